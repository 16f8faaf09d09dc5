/** The definition that the page draws, held against the table that heads the machine's source. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { entered, triggerOf } from '../../src/inspector/shared/definition.ts'
import { LINK_MACHINE } from './support.ts'

const { states, transitions } = LINK_MACHINE

describe('the definition of the link machine', () => {
  test('has every state, with where it is and where it begins', () => {
    assert.deepEqual(
      states.map(({ id }) => id),
      [
        'pending',
        'pending.waiting',
        'pending.blocked',
        'injecting',
        'injecting.wanted',
        'injecting.abandoned',
        'mediating',
        'mediating.steady',
        'mediating.changing',
        'tearing-down',
        'tearing-down.renewing',
        'tearing-down.closing',
        'released',
      ],
    )
    assert.deepEqual(
      states.filter(({ initial }) => initial).map(({ id }) => id),
      ['pending', 'pending.waiting', 'injecting.wanted', 'mediating.steady', 'tearing-down.renewing'],
    )
    assert.deepEqual(
      states.filter(({ final }) => final).map(({ id }) => id),
      ['released'],
    )
    assert.equal(entered(LINK_MACHINE, 'mediating'), 'mediating.steady')
  })

  test('names the effects of states', () => {
    const effects = states
      .filter(({ invokes }) => invokes.length > 0)
      .map(({ id, invokes }) => [id, ...invokes])
    assert.deepEqual(effects, [
      ['injecting', 'inject'],
      ['mediating.changing', 'change'],
      ['tearing-down', 'teardown'],
    ])
  })

  test('says guards, delays and actions in the words of the source', () => {
    const told = transitions.map(
      ({ from, to, guard, actions, ...trigger }) =>
        `${from} ${triggerOf(trigger)} [${guard ?? ''}] ${to ?? '-'} / ${actions.join(' ')}`,
    )
    for (const line of [
      'pending.waiting after retryDelay [admitted and consumerRuns] injecting.wanted / ',
      'pending.waiting at once [not admitted] pending.blocked / ',
      'pending.waiting link.wanted [specChanged] pending.waiting / keepSpec resetAttempts',
      'mediating link.wanted [specChanged or not stillAdmitted] tearing-down.renewing / keepSpec',
      'mediating after aMinute [] - / resetAttempts',
      'injecting.wanted inject.failed [worthRetrying or hasNextSpec] pending.waiting / countFailure takeNextSpec',
      'injecting inject: threw [] - / ',
    ])
      assert.ok(told.includes(line), `${line}\nis not among\n${told.join('\n')}`)
  })

  test('has a way for each row of the table that leads elsewhere', () => {
    const source = readFileSync('machines/link.machine.ts', 'utf8')
    const [heading = ''] = /^ \* {3}state .*$/m.exec(source) ?? []
    const [fromAt, onAt, nextAt] = ['state', 'on ', 'next'].map(word => heading.indexOf(word))
    const cells = source
      .split('\n')
      .filter(line => /^ \* {3}(?:pending|injecting|mediating|tearing-down)/.test(line))
      .map(
        line =>
          [line, line.slice(fromAt, onAt).trim(), line.slice(nextAt).split(/[ ,]/, 1)[0] ?? ''] as const,
      )
    assert.ok(cells.length > 20)
    for (const [row, from, next] of cells) {
      if (!states.some(({ id }) => id === next)) continue
      const found = transitions.some(
        transition =>
          (transition.from === from || from.startsWith(`${transition.from}.`)) &&
          transition.to !== null &&
          entered(LINK_MACHINE, transition.to) === entered(LINK_MACHINE, next),
      )
      assert.ok(found, row)
    }
  })

  test('gives each transition a name of its own', () => {
    assert.equal(new Set(transitions.map(({ id }) => id)).size, transitions.length)
  })
})
