import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Policy } from '../../src/access/verdict.ts'
import { ALLOW_ALL, verdictFor } from '../../src/access/verdict.ts'
import { aLink } from '../support/builders.ts'

const link = aLink('app').named('api').ofType('unix').withRole('reader').from('net', 200).build()
const denying = (...rules: Policy['rules']): Policy => ({ default: 'deny', rules })

describe('verdict', () => {
  it('without rules the default decides, and says so', () => {
    assert.deepEqual(verdictFor(link, ALLOW_ALL), { _tag: 'Admitted', rule: 'default' })
    assert.deepEqual(verdictFor(link, denying()), { _tag: 'Denied', rule: 'default' })
  })

  it('the first rule that matches wins and is named by its position', () => {
    const policy: Policy = {
      default: 'allow',
      rules: [
        { effect: 'deny', type: 'drm', role: 'any' },
        { effect: 'allow', consumer: 'other' },
        { effect: 'deny', type: 'unix', role: 'read*' },
        { effect: 'allow' },
      ],
    }
    assert.deepEqual(verdictFor(link, policy), { _tag: 'Denied', rule: 'rule 3: deny type=unix role=read*' })
  })

  it('a rule without patterns matches everything', () => {
    assert.deepEqual(verdictFor(link, denying({ effect: 'allow' })), {
      _tag: 'Admitted',
      rule: 'rule 1: allow',
    })
  })

  const globs: readonly (readonly [string, boolean])[] = [
    ['*', true],
    ['app', true],
    ['ap*', true],
    ['app*', true],
    ['ap', false],
    ['*p', false],
    ['App', false],
    ['', false],
  ]
  for (const [consumer, matches] of globs) {
    it(`the pattern "${consumer}" ${matches ? 'matches' : 'does not match'} "app"`, () => {
      const verdict = verdictFor(link, denying({ effect: 'allow', consumer }))
      assert.equal(verdict._tag === 'Admitted', matches)
    })
  }

  it('an unknown provider is matched by * only', () => {
    const unknown = { ...link, provider: null }
    assert.equal(verdictFor(unknown, denying({ effect: 'allow', provider: '*' }))._tag, 'Admitted')
    assert.equal(verdictFor(unknown, denying({ effect: 'allow', provider: 'n*' }))._tag, 'Denied')
  })

  it('a plugin may refuse what the policy allows, not allow what it denies', () => {
    const refused = { _tag: 'Denied', rule: 'plugin unix: role reader' } as const
    const admitted = { _tag: 'Admitted', rule: 'plugin unix' } as const
    assert.deepEqual(verdictFor(link, ALLOW_ALL, refused), refused)
    assert.equal(verdictFor(link, denying(), admitted)._tag, 'Denied')
    assert.deepEqual(verdictFor(link, ALLOW_ALL, admitted), { _tag: 'Admitted', rule: 'default' })
  })
})
