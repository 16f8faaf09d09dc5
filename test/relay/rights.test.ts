/** Descriptors through a plain stream connection: each at the byte it was sent with, none lost, none left open. */
import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { Io } from '../../src/kernel/errno.ts'
import { closeRaw, OwnedFd } from '../../src/kernel/fd.ts'
import { openSocketPair } from '../../src/kernel/socket.ts'
import {
  consume,
  identityOf,
  leavesNoDescriptors,
  must,
  openDescriptors,
  type Parcels,
  parcels,
} from '../support/descriptors.ts'
import { pattern, quiet, turn, until, Wire, withRelay } from '../support/relay.ts'

leavesNoDescriptors()

/** What a reader of one byte at a time sees: the position of every descriptor, by its identity. */
const readByByte = async (wire: Wire, length: number): Promise<{ bytes: Buffer; at: [number, string][] }> => {
  const bytes = Buffer.alloc(length)
  const at: [number, string][] = []
  for (let i = 0; i < length; i += 1) {
    const message = await wire.next(1)
    bytes[i] = message.bytes[0] ?? 0
    for (const identity of consume(message.fds)) at.push([i, identity])
  }
  return { bytes, at }
}

const at = (position: number, sent: Parcels): [number, string][] =>
  sent.identities.map(identity => [position, identity])

for (const count of [1, 2, 16, 253]) {
  test(`${count} descriptors arrive with the byte they were sent with, between plain bytes`, () =>
    withRelay({}, async relay => {
      const { consumer, provider } = relay.connect()
      const sent = parcels(count)
      const whole = pattern(100 + 10 + 50)
      // All of it is queued before the relay has had a turn.
      consumer.send(whole.subarray(0, 100))
      consumer.send(whole.subarray(100, 110), sent.fds)
      consumer.send(whole.subarray(110))
      const got = await readByByte(provider, 160)
      assert.ok(got.bytes.equals(whole))
      assert.deepEqual(got.at, at(100, sent))
      sent.close()
    }))
}

test('descriptors travel from the provider to the consumer as well', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = parcels(3)
    provider.send('plain')
    provider.send('x', sent.fds)
    const got = await readByByte(consumer, 6)
    assert.deepEqual(got.at, at(5, sent))
    assert.equal(relay.traffic.counters.descriptorsPassed, 3)
    sent.close()
  }))

test('descriptors sent before the provider was reached arrive with their byte', () =>
  withRelay({ patient: true }, async relay => {
    const { consumer } = relay.connect()
    const sent = parcels(2)
    consumer.send('ab')
    consumer.send('c', sent.fds)
    await quiet()
    const got = await readByByte(relay.dialer.answer(), 3)
    assert.deepEqual(got.at, at(2, sent))
    sent.close()
  }))

test('a service that reads a header and then the body with its descriptors gets them', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = parcels(1)
    consumer.send('HEAD')
    consumer.send('body', sent.fds)
    // Read without control room: descriptors that came with the header would be lost here.
    assert.equal(String(await provider.take(4)), 'HEAD')
    const body = await provider.next()
    assert.equal(String(body.bytes), 'body')
    assert.deepEqual(consume(body.fds), sent.identities)
    sent.close()
  }))

test('two messages with descriptors stay two messages', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const first = parcels(1)
    const second = parcels(1)
    consumer.send('one', first.fds)
    consumer.send('two', second.fds)
    const messages = [await provider.next(), await provider.next()]
    assert.deepEqual(
      messages.map(message => String(message.bytes)),
      ['one', 'two'],
    )
    assert.deepEqual(
      messages.map(message => consume(message.fds)),
      [first.identities, second.identities],
    )
    first.close()
    second.close()
  }))

test('the same descriptor can be sent more than once in a message', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = parcels(1)
    consumer.send('x', [...sent.fds, ...sent.fds, ...sent.fds])
    const { fds } = await provider.next()
    assert.deepEqual(consume(fds), [...sent.identities, ...sent.identities, ...sent.identities])
    sent.close()
  }))

test('over two thousand messages bytes and descriptors keep their order', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const files = parcels(97)
    const count = 2000
    const writing = (async () => {
      for (let i = 0; i < count; i += 1) {
        const fds = i % 3 === 0 ? [files.fds[i % 97] ?? -1] : []
        await consumer.sendAll(`${String(i).padStart(7)}\n`, fds)
      }
    })()
    let seen = ''
    const identities: string[] = []
    const positions: number[] = []
    while (seen.length < count * 8) {
      const { bytes, fds } = await provider.next(8)
      for (const identity of consume(fds)) {
        identities.push(identity)
        positions.push(seen.length)
      }
      seen += String(bytes)
    }
    await writing
    const numbers = seen.trim().split('\n').map(Number)
    assert.deepEqual(numbers, [...Array(count).keys()])
    const carrying = [...Array(count).keys()].filter(i => i % 3 === 0)
    assert.deepEqual(
      positions,
      carrying.map(i => i * 8),
    )
    assert.deepEqual(
      identities,
      carrying.map(i => files.identities[i % 97]),
    )
    files.close()
  }))

test('descriptors on a message of 600 KB arrive with its first byte', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = parcels(5)
    const whole = pattern(600 * 1024)
    consumer.send('plain')
    const writing = consumer.sendAll(whole, sent.fds)
    assert.equal(String(await provider.take(5)), 'plain')
    const first = await provider.next(1)
    assert.deepEqual(consume(first.fds), sent.identities)
    const rest = await provider.take(whole.length - 1)
    await writing
    assert.ok(Buffer.concat([first.bytes, rest]).equals(whole))
    sent.close()
  }))

test('any mix of plain bytes and descriptors arrives byte by byte as it was sent', async () => {
  const files = parcels(40)
  const message = fc.record({
    bytes: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(16_384, 16_383, 40_000)),
    fds: fc.oneof(
      { weight: 2, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 5 }) },
    ),
    /** Let the relay run before the next one. */
    breathe: fc.boolean(),
  })
  await withRelay({}, async relay => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 25 }), async messages => {
        const { connection, consumer, provider } = relay.connect()
        const expected: [number, string][] = []
        let length = 0
        let next = 0
        const plan = messages.map(({ bytes, fds, breathe }) => {
          const chosen: number[] = []
          for (let i = 0; i < fds; i += 1, next += 1) {
            chosen.push(files.fds[next % 40] ?? -1)
            expected.push([length, files.identities[next % 40] ?? ''])
          }
          length += bytes
          return { bytes, chosen, breathe }
        })
        const whole = pattern(length)
        const writing = (async () => {
          let at = 0
          for (const { bytes, chosen, breathe } of plan) {
            await consumer.sendAll(whole.subarray(at, at + bytes), chosen)
            at += bytes
            if (breathe) await turn()
          }
        })()
        const parts: Buffer[] = []
        const found: [number, string][] = []
        for (let read = 0; read < length; ) {
          // Never past the position of the next descriptor, so that its own position shows.
          const ahead = expected.find(([position]) => position > read)?.[0] ?? length
          const { bytes, fds } = await provider.next(Math.min(ahead - read, 64 * 1024))
          for (const identity of consume(fds)) found.push([read, identity])
          read += bytes.length
          parts.push(bytes)
        }
        await writing
        assert.deepEqual(found, expected)
        assert.ok(Buffer.concat(parts).equals(whole))
        connection.close()
      }),
      { numRuns: 40 },
    )
  })
  files.close()
})

test('behind a reader that stands still no more descriptors are taken than the bounds allow', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = parcels(100)
    const before = openDescriptors()
    let messages = 0
    for (let idle = 0; idle < 50; ) {
      const n = consumer.send('x', sent.fds)
      if (n > 0) {
        messages += 1
        idle = 0
      } else {
        idle += 1
        await turn()
      }
      if (messages === 1000) break
    }
    await quiet()
    // Reading stops at 512 queued, and the last message may bring 253 more.
    const held = openDescriptors() - before
    assert.ok(held <= 512 + 253, `${held} descriptors are held`)
    for (let i = 0; i < messages; i += 1) {
      const { fds } = await provider.next()
      assert.equal(fds.length, 100)
      for (const fd of fds) closeRaw(fd)
    }
    sent.close()
    await until('all are closed again', () => openDescriptors() === before - 100)
  }))

test('a socket with descriptors queued inside passes with all that is in it', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const [inner, outer] = must(openSocketPair('stream'))
    const sent = parcels(1)

    const wire = new Wire(outer)
    wire.send('inside', sent.fds)
    consumer.send('x', [inner.borrowed])
    inner.close()
    const { fds } = await provider.next()
    const passed = new Wire(new OwnedFd(fds[0] ?? -1))
    const message = await passed.next()
    assert.equal(String(message.bytes), 'inside')
    assert.deepEqual(consume(message.fds), sent.identities)
    for (const each of [passed, wire, sent]) each.close()
  }))

/** How many descriptors there are of these files: others, of connections that have been closed, may still go. */
const openOf = (identities: readonly string[]): number =>
  readdirSync('/proc/self/fd').filter(fd => {
    const file = statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false })
    return file !== undefined && identities.includes(`${file.dev}/${file.ino}`)
  }).length

test('the relay keeps no copy of what it has passed on', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = parcels(50)
    consumer.send('x', sent.fds)
    const { fds } = await provider.next()
    await until("only the sender's and the receiver's are left", () => openOf(sent.identities) === 100)
    assert.notEqual(identityOf(fds[0] ?? -1), identityOf(fds[1] ?? -1))
    for (const fd of fds) closeRaw(fd)
    sent.close()
  }))

test('descriptors for a reader that is gone are closed', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const before = openDescriptors()
    const sent = parcels(50)
    provider.close()
    await until('the writer is told', () => consumer.send('x', sent.fds) === Io.gone)
    sent.close()
    await until('nothing is left of them', () => openDescriptors() <= before)
  }))
