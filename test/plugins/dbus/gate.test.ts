/** Handshakes with one bus: so many at once, the others in line, and nobody kept waiting for a slow client. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HandshakeGate } from '../../../plugins/dbus/handshake-gate.ts'
import { DbusStage, GUID, line } from '../../support/dbus-stage.ts'
import { BUS, call, hello, helloReply, reply } from '../../support/dbus-wire.ts'

const OK = `OK ${GUID}⏎`

/** Clients of two places, that have asked to be let in and have not been answered. */
const clients = (gate: HandshakeGate, count: number): readonly DbusStage[] =>
  Array.from({ length: count }, () => new DbusStage({ gate }).says('consumer', '␀AUTH EXTERNAL 30⏎'))

const hasDialled = ({ commands }: DbusStage): boolean => commands.said.includes('dial role')

/** The bus lets this one in, and takes it in. */
const greet = (stage: DbusStage | undefined): void => {
  stage?.says('provider', OK).says('consumer', 'BEGIN⏎').sends('consumer', hello())
  stage?.sends('provider', helloReply())
}

/** Whoever was woken hears it. */
const wake = (stages: readonly DbusStage[]): void => {
  for (const stage of stages) stage.commands.elapse(0)
}

test('so many are on their way as may be, and the others follow in order', () => {
  const stages = clients(new HandshakeGate(2), 5)
  assert.deepEqual(stages.map(hasDialled), [true, true, false, false, false])
  greet(stages[1])
  wake(stages)
  assert.deepEqual(stages.map(hasDialled), [true, true, true, false, false])
  greet(stages[0])
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

// A bus counts those that it has let in and that did not come to their Hello like those in the handshake.

const begun = (gate: HandshakeGate): DbusStage =>
  new DbusStage({ gate })
    .says('consumer', '␀AUTH EXTERNAL 30⏎')
    .says('provider', OK)
    .says('consumer', 'BEGIN⏎')

/** Who has had a place for a second, and somebody who comes then and waits. */
const aSecondLater = (gate: HandshakeGate, first: DbusStage): DbusStage => {
  first.commands.elapse(1000)
  const second = new DbusStage({ gate }).says('consumer', '␀AUTH EXTERNAL 30⏎')
  wake([first, second])
  return second
}

const WAITING: Readonly<Record<string, Uint8Array>> = {
  'has said BEGIN and no more': new Uint8Array(0),
  'does not end its Hello': hello().subarray(0, -1),
  'does not end the body of its Hello': Buffer.concat([
    call({ destination: BUS, interface: BUS, member: 'Hello', signature: 's', body: Buffer.alloc(100) }),
  ]).subarray(0, -1),
  'says something else than Hello': call({ destination: 'org.example.Service' }),
}

for (const [what, bytes] of Object.entries(WAITING)) {
  test(`a client that ${what} has a place until somebody needs it`, () => {
    const gate = new HandshakeGate(1)
    const first = begun(gate).sends('consumer', bytes)
    first.commands.elapse(20_000)
    assert.equal(first.closing, undefined)
    const second = aSecondLater(gate, first)
    assert.equal(first.closing, 'flush')
    assert.deepEqual(first.reports, ['dbus-handshake-failed evicted'])
    assert.equal(hasDialled(second), true)
  })
}

test('who waits for the answer to its Hello keeps its place, and gives it up with the answer', () => {
  const gate = new HandshakeGate(1)
  const first = begun(gate).sends('consumer', Buffer.concat([hello(), hello(2).subarray(0, -1)]))
  const second = aSecondLater(gate, first)
  assert.equal(first.closing, undefined)
  assert.equal(hasDialled(second), false)
  first.sends('provider', helloReply())
  wake([first, second])
  assert.equal(hasDialled(second), true)
  first.commands.elapse(20_000)
  assert.equal(first.closing, undefined)
})

test('a client whose Hello is refused is as one that has said none', () => {
  const gate = new HandshakeGate(1)
  const first = begun(gate).sends('consumer', hello())
  first.sends('provider', reply({ to: 1, error: 'org.freedesktop.DBus.Error.LimitsExceeded' }))
  const second = aSecondLater(gate, first)
  assert.equal(first.closing, 'flush')
  assert.equal(hasDialled(second), true)
})

test('a client keeps its place no longer by always having another word to say', () => {
  const gate = new HandshakeGate(1)
  const first = new DbusStage({ gate }).says('consumer', '␀AUTH EXTERNAL 30⏎').says('provider', OK)
  const second = new DbusStage({ gate }).says('consumer', '␀AUTH EXTERNAL 30⏎')
  for (let seconds = 0; seconds < 6 && first.closing === undefined; seconds += 1) {
    first.commands.elapse(900)
    first.sends('consumer', line('x⏎'))
    wake([first, second])
  }
  assert.equal(first.closing, 'flush')
  assert.equal(hasDialled(second), true)
})

test('lines take turns: a link with many clients does not keep another waiting for all of them', () => {
  const gate = new HandshakeGate(1)
  const woken: string[] = []
  const [crowd, guest] = [{}, {}]
  const enter = (name: string, line: object) => gate.enter({ wake: () => woken.push(name) }, line)
  const passes = [
    enter('a', crowd),
    enter('b', crowd),
    enter('c', crowd),
    enter('d', guest),
    enter('e', guest),
  ]
  for (let left = 0; left < 5; left += 1) passes.find(({ state }) => state === 'admitted')?.leave()
  assert.deepEqual(woken, ['b', 'd', 'c', 'e'])
})
