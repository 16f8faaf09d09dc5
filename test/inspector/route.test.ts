import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, test } from 'node:test'
import { triggerOf } from '../../src/inspector/shared/definition.ts'
import { routeOf, type Step } from '../../src/inspector/shared/route.ts'
import { LINK_MACHINE, recordedSubject } from './support.ts'

const route = (step: Step): readonly string[] =>
  routeOf(LINK_MACHINE, step).map(
    transition => `${transition.from} ${triggerOf(transition)} ${transition.to}`,
  )

describe('which transitions led from state to state', () => {
  test('one, where the event alone leads there', () => {
    assert.deepEqual(route({ from: 'injecting.wanted', to: 'mediating.steady', event: 'inject: Right' }), [
      'injecting.wanted inject.done mediating',
    ])
  })

  test('that of the state around it, where the inner one has none', () => {
    assert.deepEqual(
      route({ from: 'mediating.changing', to: 'tearing-down.closing', event: 'link.unwanted' }),
      ['mediating link.unwanted tearing-down.closing'],
    )
  })

  test('the inner one, where both could', () => {
    assert.deepEqual(route({ from: 'pending.waiting', to: 'injecting.wanted', event: 'link.wanted' }), [
      'pending.waiting link.wanted injecting.wanted',
    ])
  })

  test('several, where a state is left at once', () => {
    assert.deepEqual(
      route({ from: 'tearing-down.renewing', to: 'injecting.wanted', event: 'teardown done' }),
      ['tearing-down.renewing teardown.done pending.waiting', 'pending.waiting at once injecting.wanted'],
    )
  })

  test('from the beginning', () => {
    assert.deepEqual(route({ from: null, to: 'pending.blocked', event: 'link.wanted' }), [
      'pending.waiting at once pending.blocked',
    ])
    assert.deepEqual(route({ from: null, to: 'pending.waiting', event: 'link.wanted' }), [])
  })

  test('none, where the machine has no such way', () => {
    assert.deepEqual(route({ from: 'released', to: 'mediating.steady', event: 'link.wanted' }), [])
    assert.deepEqual(route({ from: 'mediating.steady', to: 'pending.blocked', event: 'no such event' }), [])
  })

  const recordings = readdirSync('fixtures/recordings').filter(name => name.endsWith('.rec'))
  for (const name of recordings) {
    test(`every transition of ${name} is one of the machine's`, async () => {
      const { entries = [] } = (await recordedSubject(`fixtures/recordings/${name}`)).timeline?.() ?? {}
      const moves = entries.filter(({ kind }) => kind === 'transition')
      for (const { from, to, event } of moves) {
        const isStart = from === null && to === 'pending.waiting'
        assert.ok(isStart || route({ from, to, event }).length > 0, `${from} -> ${to}: ${event}`)
      }
    })
  }
})
