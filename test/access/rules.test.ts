/** The text of a policy file: what is taken, and what is malformed and why. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { decodePolicy } from '../../src/access/rules.ts'
import { ALLOW_ALL } from '../../src/access/verdict.ts'
import { E } from '../../src/fp.ts'

const policyOf = (value: unknown): unknown => {
  const decoded = decodePolicy(JSON.stringify(value))
  return E.isRight(decoded) ? decoded.right : assert.fail(decoded.left)
}

const problemOf = (text: string): string => {
  const decoded = decodePolicy(text)
  return E.isLeft(decoded) ? decoded.left : assert.fail(`accepted: ${text}`)
}

describe('a policy file', () => {
  it('that says nothing allows what was assigned', () => {
    assert.deepEqual(policyOf({}), ALLOW_ALL)
  })

  it('keeps its rules in their order', () => {
    const rules = [
      { effect: 'allow', type: 'drm', role: 'master', consumer: 'kiosk', provider: 'gpu*', name: '*' },
      { effect: 'deny' },
    ]
    assert.deepEqual(policyOf({ default: 'deny', rules }), { default: 'deny', rules })
  })

  const malformed: readonly (readonly [string, string, RegExp])[] = [
    ['no JSON', '{', /JSON/],
    ['no object', '[]', /expected an object/],
    ['an unknown key', '{"defualt":"deny"}', /unknown key "defualt"/],
    [
      'an unknown key in a rule',
      '{"rules":[{"effect":"deny"},{"effect":"deny","rol":"x"}]}',
      /rule 2: unknown key "rol"/,
    ],
    ['another default', '{"default":"maybe"}', /default.*"maybe"/],
    ['a rule without an effect', '{"rules":[{"type":"unix"}]}', /rule 1, effect/],
    [
      'a * in the middle',
      '{"rules":[{"effect":"deny","name":"a*b"}]}',
      /rule 1, name: .* \* at its end only/,
    ],
    ['an empty pattern', '{"rules":[{"effect":"deny","name":""}]}', /rule 1, name: .*non-empty/],
    ['a pattern that is no text', '{"rules":[{"effect":"deny","role":7}]}', /rule 1, role/],
    ['rules that are no list', '{"rules":{}}', /rules: expected a list of rules, got an object/],
    ['a rule that is no object', '{"rules":[7]}', /rule 1: expected an object, got 7/],
    ['too many rules', JSON.stringify({ rules: Array(1001).fill({ effect: 'deny' }) }), /at most 1000/],
  ]
  for (const [what, text, why] of malformed) {
    it(`with ${what} is malformed, and says where`, () => {
      assert.match(problemOf(text), why)
    })
  }

  it('with a value of any size or depth is refused in a few words', () => {
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const long = JSON.stringify('x'.repeat(100_000))
    for (const value of [deep, long]) {
      for (const text of [`{"default":${value}}`, `{"rules":${value}}`, `{"rules":[{"effect":${value}}]}`]) {
        assert.ok(problemOf(text).length < 200)
      }
    }
    assert.ok(problemOf(`{${long}:1}`).length < 200)
  })

  it('of any content is either taken or refused, never a crash', () => {
    fc.assert(fc.property(fc.json(), text => ['Left', 'Right'].includes(decodePolicy(text)._tag)))
  })
})
