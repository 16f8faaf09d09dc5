/** Whoever reads slowly is not idle: what waits in front of him keeps the relay from reading on, but it gets less. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Session } from '../../src/relay/contract.ts'
import { type ManualClock, manualClock } from '../support/clock.ts'
import { leavesNoDescriptors } from '../support/descriptors.ts'
import { quiet, type RelayOptions, type TestRelay, until, type Wire, withRelay } from '../support/relay.ts'

leavesNoDescriptors()

const PIECE = Buffer.alloc(8 * 1024, 'x')
const IDLE_MS = 1000

interface Watched {
  readonly session: () => Session
  readonly fired: string[]
}

/** All passes unseen, and a timer counts from the last movement of one side. */
const watched = (from: 'consumer' | 'provider'): Watched => {
  const fired: string[] = []
  const on: Session['on'] = (input, out) => {
    if (input.kind === 'opened') out.dial('daemon')
    if (input.kind === 'dialled') {
      out.opaque('consumer', 100_000_000)
      out.opaque('provider', 100_000_000)
      out.setIdleTimer('quiet', from, IDLE_MS)
    }
    if (input.kind === 'timer') fired.push(input.name)
    if (input.kind === 'ended') out.endWrite(input.from === 'consumer' ? 'provider' : 'consumer')
  }
  return { session: () => ({ on }), fired }
}

/** Of so much at least the kernel knows within the idle time that it was read: it counts by whole buffers. */
const READ_BYTES = 48 * 1024

/** Read a little, over and over, for many times the idle time. */
const readSlowly = async (wire: Wire, clock: ManualClock, times: number): Promise<void> => {
  for (let i = 0; i < times; i += 1) {
    let read = 0
    while (read < READ_BYTES) {
      const { bytes } = await wire.next()
      assert.ok(bytes.length > 0)
      read += bytes.length
    }
    await quiet(3)
    clock.advance(IDLE_MS / 2)
    await quiet(3)
  }
}

const withClock = (
  options: RelayOptions,
  body: (relay: TestRelay, clock: ManualClock) => Promise<void>,
): Promise<void> => {
  const clock = manualClock()
  return withRelay({ ...options, clock }, relay => body(relay, clock))
}

for (const from of ['consumer', 'provider'] as const) {
  test(`a timer that counts from the ${from} does not ring while the other side reads slowly, and does when it stops`, () => {
    const { session, fired } = watched(from)
    return withClock({ session, descriptors: 'none' }, async (relay, clock) => {
      const { consumer, provider } = relay.connect()
      const [writer, reader] = from === 'consumer' ? [consumer, provider] : [provider, consumer]
      await writer.fill(PIECE)
      await readSlowly(reader, clock, 15)
      assert.deepEqual(fired, [])
      clock.advance(IDLE_MS * 1.5)
      assert.deepEqual(fired, ['quiet'])
    })
  })
}

test('a timer rings as soon as ever where nothing waits for anybody', () => {
  const { session, fired } = watched('provider')
  return withClock({ session, descriptors: 'none' }, async (relay, clock) => {
    const { consumer, provider } = relay.connect()
    provider.send('all there is')
    await consumer.take(12)
    clock.advance(IDLE_MS - 10)
    assert.deepEqual(fired, [])
    clock.advance(20)
    assert.deepEqual(fired, ['quiet'])
  })
})

for (const kind of ['stream', 'seqpacket'] as const) {
  test(`what a ${kind} consumer left behind is delivered to a slow reader, however long it takes`, () =>
    withClock({ kind, lingerMs: IDLE_MS }, async (relay, clock) => {
      const { consumer, provider } = relay.connect()
      const pieces = 40
      for (let i = 0; i < pieces; i += 1) await consumer.sendAll(PIECE)
      consumer.endWriting()
      await quiet()
      await readSlowly(provider, clock, 5)
      assert.equal(relay.open.size, 1)
      clock.advance(IDLE_MS * 2)
      await until('whoever stops reading is cut', () => relay.open.size === 0)
    }))
}
