/** Handshakes with one bus: so many at once, the others in line, and nobody kept waiting for a slow client. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HandshakeGate } from '../../../plugins/dbus/handshake-gate.ts'
import { DbusStage, GUID } from '../../support/dbus-stage.ts'

const OK = `OK ${GUID}⏎`

/** Clients of two places, that have asked to be let in and have not been answered. */
const clients = (gate: HandshakeGate, count: number): readonly DbusStage[] =>
  Array.from({ length: count }, () => new DbusStage({ gate }).says('consumer', '␀AUTH EXTERNAL 30⏎'))

const hasDialled = ({ commands }: DbusStage): boolean => commands.said.includes('dial role')

/** Whoever was woken hears it. */
const wake = (stages: readonly DbusStage[]): void => {
  for (const stage of stages) stage.commands.elapse(0)
}

test('so many are on their way as may be, and the others follow in order', () => {
  const stages = clients(new HandshakeGate(2), 5)
  assert.deepEqual(stages.map(hasDialled), [true, true, false, false, false])
  stages[1]?.says('provider', OK).says('consumer', 'BEGIN⏎')
  wake(stages)
  assert.deepEqual(stages.map(hasDialled), [true, true, true, false, false])
  stages[0]?.says('provider', OK).says('consumer', 'BEGIN⏎')
  stages[2]?.commands.cut()
  wake(stages)
  assert.deepEqual(stages.map(hasDialled), [true, true, true, true, true])
  assert.equal(stages[4]?.counted('handshakes_queued'), 1)
})

test('who leaves the line does not hold it up', () => {
  const stages = clients(new HandshakeGate(1), 3)
  stages[1]?.commands.end('consumer', true)
  stages[1]?.commands.elapse(5000)
  stages[0]?.commands.cut()
  wake(stages)
  assert.deepEqual(stages.map(hasDialled), [true, false, true])
})

test('a client that has kept others waiting for a second has to go, the slowest first', () => {
  const gate = new HandshakeGate(2)
  const slow = clients(gate, 2)
  slow[1]?.says('provider', OK).commands.elapse(100)
  slow[0]?.says('provider', OK)
  for (const { commands } of slow) commands.elapse(900)
  const [newcomer] = clients(gate, 1)
  assert.ok(newcomer)
  wake([...slow, newcomer])
  assert.deepEqual(
    slow.map(({ closing }) => closing),
    [undefined, 'flush'],
  )
  assert.deepEqual(slow[1]?.reports, ['dbus-handshake-failed evicted'])
  assert.equal(hasDialled(newcomer), true)
})

test('who comes before anybody has been slow for a second waits until somebody has', () => {
  const gate = new HandshakeGate(1)
  const [first] = clients(gate, 1)
  first?.says('provider', OK).commands.elapse(500)
  const [second] = clients(gate, 1)
  assert.ok(first !== undefined && second !== undefined)
  wake([first, second])
  assert.equal(first.closing, undefined)
  first.commands.elapse(500)
  wake([first, second])
  assert.equal(first.closing, 'flush')
  assert.equal(hasDialled(second), true)
})

test('nobody has to go as long as nobody waits', () => {
  const [only] = clients(new HandshakeGate(1), 1)
  only?.says('provider', OK).commands.elapse(20_000)
  assert.equal(only?.closing, undefined)
})

test('one for whom the bus takes its time is not taken for slow', () => {
  const gate = new HandshakeGate(1)
  const stages = clients(gate, 2)
  for (const { commands } of stages) commands.elapse(20_000)
  wake(stages)
  assert.deepEqual(
    stages.map(({ closing }) => closing),
    [undefined, undefined],
  )
})

test('a client that says something is no longer slow', () => {
  const gate = new HandshakeGate(1)
  const [first] = clients(gate, 1)
  first?.says('provider', OK).commands.elapse(2000)
  first?.says('consumer', 'x⏎')
  const [second] = clients(gate, 1)
  assert.ok(first !== undefined && second !== undefined)
  wake([first, second])
  assert.equal(first.closing, undefined)
})

test('as many go as wait, and not more', () => {
  const gate = new HandshakeGate(3)
  const slow = clients(gate, 3)
  for (const stage of slow) stage.says('provider', OK).commands.elapse(1000)
  const newcomers = clients(gate, 2)
  wake([...slow, ...newcomers])
  assert.equal(slow.filter(({ closing }) => closing === 'flush').length, 2)
  assert.deepEqual(newcomers.map(hasDialled), [true, true])
})
