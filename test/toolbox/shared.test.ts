/** Values that links have in common, and calls that come again and again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { repeat } from '../../src/toolbox/repeat.ts'
import { createSharedValues } from '../../src/toolbox/shared.ts'
import { manualClock } from '../support/clock.ts'

interface Value {
  closed: number
  close(): void
}

const value = (): Value => {
  const made: Value = {
    closed: 0,
    close: () => {
      made.closed += 1
    },
  }
  return made
}

test('a shared value is made by the first who asks, and closed when the last lets go', () => {
  const values = createSharedValues()
  const one = values.of('dbus', 'bus', value)
  const two = values.of('dbus', 'bus', (): Value => assert.fail('it is there'))
  assert.equal(one.value, two.value)
  one.release()
  one.release()
  assert.equal(one.value.closed, 0, 'giving it back twice counts once')
  two.release()
  assert.equal(one.value.closed, 1)
  const three = values.of('dbus', 'bus', value)
  assert.notEqual(three.value, one.value)
})

test('types do not see each other', () => {
  const values = createSharedValues()
  assert.notEqual(values.of('dbus', 'bus', value).value, values.of('other', 'bus', value).value)
})

test('a repeated call comes again and again until it is ended', () => {
  const clock = manualClock()
  let calls = 0
  const end = repeat(clock, 100, () => {
    calls += 1
  })
  clock.advance(99)
  assert.equal(calls, 0)
  clock.advance(1)
  clock.advance(100)
  assert.equal(calls, 2)
  end()
  clock.advance(1000)
  assert.equal(calls, 2)
})

test('a repeated call that throws is made again', () => {
  const clock = manualClock()
  let calls = 0
  const end = repeat(clock, 100, () => {
    calls += 1
    throw new Error('no')
  })
  assert.throws(() => clock.advance(100))
  assert.throws(() => clock.advance(100))
  assert.equal(calls, 2)
  end()
})
