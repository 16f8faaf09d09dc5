/** SEQPACKET through a connection: one packet in, one packet out, with its descriptors. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Io } from '../../src/kernel/errno.ts'
import { growSendBuffer } from '../../src/kernel/socket.ts'
import { createCounters } from '../../src/relay/counters.ts'
import type { HeldDescriptors } from '../../src/relay/descriptor-reserve.ts'
import { PacketOutbox } from '../../src/relay/packet-outbox.ts'
import { readPackets } from '../../src/relay/read-packets.ts'
import { consume, leavesNoDescriptors, openDescriptors, parcels } from '../support/descriptors.ts'
import { fakeLog } from '../support/fakes.ts'
import { needsRoot } from '../support/privileges.ts'
import {
  type Message,
  pairOf,
  pattern,
  quiet,
  type RelayOptions,
  turn,
  until,
  Wire,
  withRelay,
} from '../support/relay.ts'

leavesNoDescriptors()

const PACKETS: RelayOptions = { kind: 'seqpacket' }

const packet = async (wire: Wire): Promise<Message> => {
  const message = await wire.nextPacket()
  if (message === undefined) throw new Error('it has ended')
  return message
}

const texts = async (wire: Wire, count: number): Promise<string[]> => {
  const got: string[] = []
  for (let i = 0; i < count; i += 1) got.push(String((await packet(wire)).bytes))
  return got
}

test('packets keep their boundaries both ways', () =>
  withRelay(PACKETS, async relay => {
    const { consumer, provider } = relay.connect()
    for (const text of ['one', 'two', 'three']) consumer.send(text)
    assert.deepEqual(await texts(provider, 3), ['one', 'two', 'three'])
    for (const text of ['a', 'bc']) provider.send(text)
    assert.deepEqual(await texts(consumer, 2), ['a', 'bc'])
    assert.equal(relay.traffic.counters.messages, 5)
  }))

test('an empty packet is a packet, not an end', () =>
  withRelay(PACKETS, async relay => {
    const { consumer, provider } = relay.connect()
    for (const text of ['', 'x', '', '']) consumer.send(text)
    assert.deepEqual(await texts(provider, 4), ['', 'x', '', ''])
    provider.send('')
    assert.deepEqual(await texts(consumer, 1), [''])
  }))

test('descriptors arrive with their packet, an empty one too', () =>
  withRelay(PACKETS, async relay => {
    const { consumer, provider } = relay.connect()
    const first = parcels(2)
    const second = parcels(253)
    consumer.send('plain')
    consumer.send('with', first.fds)
    consumer.send('', second.fds)
    assert.deepEqual((await packet(provider)).fds, [])
    assert.deepEqual(consume((await packet(provider)).fds), first.identities)
    const empty = await packet(provider)
    assert.equal(empty.bytes.length, 0)
    assert.deepEqual(consume(empty.fds), second.identities)
    first.close()
    second.close()
  }))

test('a packet of 900 KB arrives whole', t => {
  if (!needsRoot(t)) return
  return withRelay(PACKETS, async relay => {
    const { consumer, provider } = relay.connect()
    const whole = pattern(900 * 1024)
    sendLarge(consumer, whole)
    assert.ok((await packet(provider)).bytes.equals(whole))
    provider.send('ok')
    assert.deepEqual(await texts(consumer, 1), ['ok'])
  })
})

test('a large packet behind a reader that stands still arrives whole, and what follows after it', t => {
  if (!needsRoot(t)) return
  return withRelay(PACKETS, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = await fill(consumer, 200)
    const whole = pattern(700 * 1024)
    await until('there is room for it', () => trySendLarge(consumer, whole) >= 0 || drainOne(provider))
    consumer.send('after')
    const got: Buffer[] = []
    while (String(got.at(-1)) !== 'after') got.push((await packet(provider)).bytes)
    assert.ok(got.some(bytes => bytes.equals(whole)))
    assert.ok(sent > 0)
  })
})

test('any sequence of packets arrives as it was sent, however slow the reader', () =>
  withRelay(PACKETS, async relay => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 60_000 })), {
          minLength: 1,
          maxLength: 60,
        }),
        fc.integer({ min: 0, max: 3 }),
        async (sizes, pauses) => {
          const { connection, consumer, provider } = relay.connect()
          const packets = sizes.map((size, i) => pattern(size, i))
          const writing = (async () => {
            for (const bytes of packets) {
              while (consumer.send(bytes) === Io.again) await turn()
            }
          })()
          for (const bytes of packets) {
            assert.ok((await packet(provider)).bytes.equals(bytes))
            await quiet(pauses)
          }
          await writing
          connection.close()
        },
      ),
      { numRuns: 40 },
    )
  }))

/** Send packets until none is taken over many turns; how many were. */
const fill = async (wire: Wire, bytes: number, fds: readonly number[] = []): Promise<number> => {
  const piece = pattern(bytes)
  let sent = 0
  for (let idle = 0; idle < 50 && sent < 5000; ) {
    if (wire.send(piece, fds) >= 0) {
      sent += 1
      idle = 0
    } else {
      idle += 1
      await turn()
    }
  }
  return sent
}

test('behind a reader that stands still reading stops, and all arrives afterwards', () =>
  withRelay(PACKETS, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = await fill(consumer, 100)
    assert.ok(sent < 2000, `${sent} packets were taken`)
    for (let i = 0; i < sent; i += 1) assert.equal((await packet(provider)).bytes.length, 100)
    consumer.send('after')
    assert.deepEqual(await texts(provider, 1), ['after'])
  }))

test('behind a reader that stands still large packets are bounded by their bytes', () =>
  withRelay(PACKETS, async relay => {
    const { consumer } = relay.connect()
    await fill(consumer, 50_000)
    assert.ok(
      relay.traffic.counters.bytesUp <= 1024 * 1024,
      `${relay.traffic.counters.bytesUp} bytes were read`,
    )
  }))

test('behind a reader that stands still descriptors are bounded', () =>
  withRelay(PACKETS, async relay => {
    const { consumer } = relay.connect()
    const sent = parcels(100)
    const before = openDescriptors()
    await fill(consumer, 1, sent.fds)
    const held = openDescriptors() - before
    assert.ok(held <= 512 + 253, `${held} descriptors are held`)
    sent.close()
  }))

test('a half-close travels behind the last packet', () =>
  withRelay(PACKETS, async relay => {
    const { consumer, provider } = relay.connect()
    consumer.send('last')
    consumer.endWriting()
    assert.deepEqual(await texts(provider, 1), ['last'])
    assert.equal(await provider.nextPacket(), undefined)
    provider.send('answer')
    assert.deepEqual(await texts(consumer, 1), ['answer'])
    provider.endWriting()
    assert.equal(await consumer.nextPacket(), undefined)
    await until('it is over', () => relay.open.size === 0)
  }))

test('packets queued behind a slow reader are delivered after their writer has closed', () =>
  withRelay(PACKETS, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = await fill(consumer, 100)
    consumer.close()
    for (let i = 0; i < sent; i += 1) assert.equal((await packet(provider)).bytes.length, 100)
    assert.equal(await provider.nextPacket(), undefined)
    await until('it is over', () => relay.open.size === 0)
  }))

/** Does something in the middle of reading a packet: after the look at its length, before it is taken. */
const meanwhile = (held: HeldDescriptors, act: () => void): HeldDescriptors =>
  Object.defineProperty(held, 'full', {
    get: () => {
      act()
      return false
    },
  })

test('packets of a peer that resets between the look at one and its reading all arrive', () =>
  withRelay(PACKETS, async ({ traffic }) => {
    const [source, writer] = pairOf('seqpacket')
    const [sink, reader] = pairOf('seqpacket')
    const ours = new Wire(source)
    ours.send('never read')
    for (const text of ['one', 'two', 'three']) writer.send(text)
    const outbox = new PacketOutbox(traffic, sink.borrowed)
    const held = meanwhile(traffic.held, () => writer.close())
    const from = { fd: ours.fd, side: 'consumer', descriptors: 'exact', held, mostBytes: 1000 } as const
    assert.equal(readPackets(from, outbox, createCounters(fakeLog())), 'ended')
    assert.deepEqual(await texts(reader, 3), ['one', 'two', 'three'])
    for (const end of [ours, sink, reader]) end.close()
  }))

test('descriptors queued for a reader that vanishes are closed', () =>
  withRelay(PACKETS, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = parcels(10)
    const before = openDescriptors()
    await fill(consumer, 1, sent.fds)
    provider.close()
    consumer.close()
    await until('it is over', () => relay.open.size === 0)
    // Two ends and the dialled pair are gone as well.
    assert.ok(openDescriptors() <= before - 4)
    sent.close()
  }))

const trySendLarge = (wire: Wire, whole: Uint8Array): number => {
  growSendBuffer(wire.fd, 2 * whole.length + 4096)
  return wire.sendLarge(whole)
}

const sendLarge = (wire: Wire, whole: Uint8Array): void =>
  assert.equal(trySendLarge(wire, whole), whole.length)

const drainOne = (wire: Wire): false => {
  wire.receive()
  return false
}
