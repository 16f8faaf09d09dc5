/** What may wait in one direction of a connection: bounded, wanted again at half of that, and at nobody else's cost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BorrowedFd, OwnedFd } from '../../src/kernel/fd.ts'
import { addInput, beginParts, inputBytes, queuedBytes } from '../../src/kernel/message.ts'
import type { Limits } from '../../src/model/limits.ts'
import type { Outbox } from '../../src/relay/outbox.ts'
import { PacketOutbox } from '../../src/relay/packet-outbox.ts'
import type { LinkTraffic } from '../../src/relay/ports.ts'
import { StreamOutbox } from '../../src/relay/stream-outbox.ts'
import { consume, leavesNoDescriptors, openDescriptors, parcels } from '../support/descriptors.ts'
import { type Opened, pairOf, pattern, quiet, type TestRelay, Wire, withRelay } from '../support/relay.ts'

leavesNoDescriptors()

/** Put so many bytes into the shared input buffer, as a read would have. */
const stage = (bytes: number): number => {
  inputBytes().fill(1, 0, bytes)
  return bytes
}

/** Descriptors as a message brings them: whoever is given them closes them. */
const arrived = (count: number): readonly number[] => {
  if (count === 0) return []
  const [near, far] = pairOf('stream')
  const sent = parcels(count)
  far.send('x', sent.fds)
  const wire = new Wire(near)
  const message = wire.receive()
  for (const each of [wire, far, sent]) each.close()
  return typeof message === 'number' ? assert.fail(`receive: ${message}`) : message.fds
}

/** Limits of which only those given can be reached. */
const only = (limits: Partial<Limits>): Partial<Limits> => ({
  queueBytes: 10_000_000,
  queueDescriptors: 10_000,
  queuePackets: 10_000,
  ...limits,
})

const MESSAGE = 100

/** Fill a socket, message by message, so that whatever is written to it next has to wait. */
const fillSocket = (ours: OwnedFd): void => {
  const wire = new Wire(ours)
  while (wire.send(pattern(MESSAGE)) > 0);
}

type Make = (traffic: LinkTraffic, fd: BorrowedFd) => Filled

interface Filled {
  readonly outbox: Outbox
  write(fds: readonly number[]): void
}

const streams: Make = (traffic, fd) => {
  const outbox = new StreamOutbox(traffic, fd)
  const write = (fds: readonly number[]): void => {
    beginParts()
    addInput(0, stage(MESSAGE))
    outbox.writeParts(fds)
  }
  return { outbox, write }
}

const packets: Make = (traffic, fd) => {
  const outbox = new PacketOutbox(traffic, fd)
  return { outbox, write: fds => outbox.write(stage(MESSAGE), fds) }
}

for (const [queue, kind, make, limits, fds] of [
  ['the descriptors of a stream', 'stream', streams, { queueDescriptors: 4 }, 1],
  ['the bytes of packets', 'seqpacket', packets, { queueBytes: 4 * MESSAGE }, 0],
  ['packets', 'seqpacket', packets, { queuePackets: 4 }, 0],
  ['the descriptors of packets', 'seqpacket', packets, { queueDescriptors: 4 }, 1],
] as const) {
  test(`a queue is full at its limit of ${queue}, and wants more from half of that down`, () =>
    withRelay({ kind, limits: only(limits) }, async ({ traffic }) => {
      const [ours, theirs] = pairOf(kind)
      fillSocket(ours)
      const { outbox, write } = make(traffic, ours.borrowed)
      for (const [full, hungry] of [
        [false, true],
        [false, true],
        [false, false],
        [true, false],
      ]) {
        write(arrived(fds))
        assert.deepEqual([outbox.full, outbox.hungry], [full, hungry])
      }
      for (const hungry of [false, true]) {
        // One is read, so one of those that wait can go.
        theirs.receive(MESSAGE)
        outbox.flush()
        assert.deepEqual([outbox.full, outbox.hungry], [false, hungry])
      }
      outbox.discard()
      ours.close()
      theirs.close()
    }))
}

test('a queue is full at its limit of plain bytes, and wants more from half of that down', () =>
  withRelay({ limits: only({ queueBytes: 1000 }) }, async ({ traffic }) => {
    const outbox = new StreamOutbox(traffic)
    for (const [bytes, full, hungry] of [
      [500, false, true],
      [1, false, false],
      [498, false, false],
      [1, true, false],
    ] as const) {
      outbox.writeInput(stage(bytes))
      assert.deepEqual([outbox.full, outbox.hungry], [full, hungry])
    }
    outbox.discard()
    assert.deepEqual([outbox.full, outbox.hungry], [false, true])
  }))

/** Send one message at a time, each once the one before was taken, until the relay takes no more. */
const sendUntilStopped = async (
  relay: TestRelay,
  { consumer }: Opened,
  message: Uint8Array,
  fds: readonly number[] = [],
): Promise<number> => {
  const { counters } = relay.traffic
  for (let sent = 0; ; sent += 1) {
    const before = counters.bytesUp
    consumer.send(message, fds)
    await quiet(5)
    if (counters.bytesUp === before) return sent
  }
}

/** The relay passes messages of another connection of the same link, and descriptors with them. */
const passes = async (relay: TestRelay): Promise<void> => {
  const { consumer, provider } = relay.connect()
  const sent = parcels(2)
  consumer.send('and I?', sent.fds)
  const got = await provider.next()
  assert.equal(String(got.bytes), 'and I?')
  assert.deepEqual(consume(got.fds), sent.identities)
  sent.close()
}

test('a sender whose reader stands still is not read beyond the limit of bytes, and others are', () =>
  withRelay({ limits: only({ queueBytes: 10_000 }) }, async relay => {
    const opened = relay.connect()
    const sent = await sendUntilStopped(relay, opened, pattern(1000))
    const waiting = sent * 1000 - queuedBytes(opened.provider.fd)
    assert.ok(waiting > 5000 && waiting <= 10_000, `${waiting} bytes wait`)
    await passes(relay)
    assert.equal((await opened.provider.take((sent + 1) * 1000)).length, (sent + 1) * 1000)
  }))

test('a sender whose reader stands still is not read beyond the limit of descriptors, and others are', () =>
  withRelay({ limits: only({ queueDescriptors: 10 }) }, async relay => {
    const opened = relay.connect()
    const file = parcels(1)
    const before = openDescriptors()
    const sent = await sendUntilStopped(relay, opened, Buffer.from('x'), file.fds)
    const waiting = openDescriptors() - before
    assert.ok(waiting > 5 && waiting <= 10, `${waiting} descriptors wait`)
    await passes(relay)
    for (let got = 0; got <= sent; got += 1)
      assert.equal(consume((await opened.provider.next()).fds).length, 1)
    file.close()
  }))

test('a packet of just the limit passes, one byte more ends its connection and no other', () =>
  withRelay({ kind: 'seqpacket', limits: { packetBytes: 5000 } }, async relay => {
    const [long, other] = [relay.connect(), relay.connect()]
    long.consumer.send(pattern(5000))
    assert.equal((await long.provider.nextPacket())?.bytes.length, 5000)
    long.consumer.send(pattern(5001))
    assert.equal(await long.provider.nextPacket(), undefined)
    assert.ok(long.connection.closed)
    assert.deepEqual(
      relay.log.lines.map(({ level, facts, message }) => [level, facts, message]),
      [
        [
          'warn',
          { side: 'consumer', mostBytes: 5000 },
          'a packet is longer than may be carried: connection closed',
        ],
      ],
    )
    other.consumer.send('still here')
    assert.equal(String((await other.provider.nextPacket())?.bytes), 'still here')
  }))
