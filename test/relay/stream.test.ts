/** Bytes through a plain stream connection: exact, in order, within bounds, and both ends of it. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { Io } from '../../src/kernel/errno.ts'
import { leavesNoDescriptors, parcels } from '../support/descriptors.ts'
import { pattern, quiet, turn, until, type Wire, withRelay } from '../support/relay.ts'

leavesNoDescriptors()

/** Write all of it in these pieces while the other end reads it, as fast as both can. */
const pump = async (from: Wire, to: Wire, pieces: readonly Uint8Array[]): Promise<Buffer> => {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const writing = (async () => {
    for (const piece of pieces) await from.sendAll(piece)
  })()
  const got = await to.take(length)
  await writing
  return got
}

/** Write as much of it as is taken while nobody reads; how much that was. */
const pour = async (to: Wire, whole: Uint8Array, pieceBytes: number): Promise<number> => {
  let at = 0
  for (let idle = 0; idle < 50 && at < whole.length; ) {
    const n = to.send(whole.subarray(at, at + pieceBytes))
    if (n > 0) {
      at += n
      idle = 0
    } else {
      idle += 1
      await turn()
    }
  }
  return at
}

const checksum = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex')

test('what the consumer says reaches the provider, and its answer the consumer', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    consumer.send('question')
    assert.equal(String(await provider.take(8)), 'question')
    provider.send('answer')
    assert.equal(String(await consumer.take(6)), 'answer')
  }))

test('the provider may speak first', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    provider.send('hello')
    assert.equal(String(await consumer.take(5)), 'hello')
  }))

for (const descriptors of ['exact', 'none'] as const) {
  test(`every byte arrives in its place, whatever the sizes of the writes (descriptors ${descriptors})`, () =>
    withRelay({ descriptors }, async relay => {
      const size = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 150_000 }))
      await fc.assert(
        fc.asyncProperty(
          fc.array(size, { minLength: 1, maxLength: 8 }),
          fc.array(size, { minLength: 1, maxLength: 8 }),
          async (up, down) => {
            const { connection, consumer, provider } = relay.connect()
            const piecesUp = up.map((length, i) => pattern(length, i))
            const piecesDown = down.map((length, i) => pattern(length, i + 100))
            const [gotUp, gotDown] = await Promise.all([
              pump(consumer, provider, piecesUp),
              pump(provider, consumer, piecesDown),
            ])
            assert.ok(gotUp.equals(Buffer.concat(piecesUp)))
            assert.ok(gotDown.equals(Buffer.concat(piecesDown)))
            connection.close()
          },
        ),
        { numRuns: 40 },
      )
    }))

  test(`fifty megabytes keep their checksum (descriptors ${descriptors})`, () =>
    withRelay({ descriptors }, async relay => {
      const { consumer, provider } = relay.connect()
      const piece = pattern(1024 * 1024)
      const pieces = Array.from({ length: 50 }, () => piece)
      const got = await pump(consumer, provider, pieces)
      assert.equal(checksum(got), checksum(Buffer.concat(pieces)))
      assert.equal(relay.traffic.counters.bytesUp, 50 * 1024 * 1024)
    }))
}

test('where the contract excludes descriptors, those that come all the same are dropped', () =>
  withRelay({ descriptors: 'none' }, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = parcels(2)
    consumer.send('x', sent.fds)
    const { bytes, fds } = await provider.next()
    assert.equal(String(bytes), 'x')
    assert.deepEqual(fds, [])
    sent.close()
  }))

test('bytes are counted by their direction', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    consumer.send('12345')
    provider.send('123')
    await provider.take(5)
    await consumer.take(3)
    assert.equal(relay.traffic.counters.bytesUp, 5)
    assert.equal(relay.traffic.counters.bytesDown, 3)
  }))

for (const descriptors of ['exact', 'none'] as const) {
  for (const pieceBytes of [100, 8000, 200_000]) {
    test(`behind a reader that stands still no more is taken than the bounds allow (${descriptors}, ${pieceBytes} bytes a write)`, () =>
      withRelay({ descriptors }, async relay => {
        const { consumer, provider } = relay.connect()
        const whole = pattern(4 * 1024 * 1024)
        const taken = await pour(consumer, whole, pieceBytes)
        const { bytesUp } = relay.traffic.counters
        // What the relay holds: its queue, or one pipe; beside it one read, and what the provider's socket takes.
        assert.ok(bytesUp <= 1024 * 1024 + 512 * 1024, `${bytesUp} bytes were read`)
        await quiet()
        assert.equal(relay.traffic.counters.bytesUp, bytesUp, 'it has stopped')
        assert.ok((await provider.take(taken)).equals(whole.subarray(0, taken)))
      }))
  }
}

test('a reader that stands still does not hold up the other direction', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    await consumer.fill(pattern(100_000))
    provider.send('still here')
    assert.equal(String(await consumer.take(10)), 'still here')
  }))

test('after a stop everything goes on, in order', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const whole = pattern(4 * 1024 * 1024)
    const at = await pour(consumer, whole, 100_000)
    assert.ok(at < whole.length)
    const got = provider.take(whole.length)
    await consumer.sendAll(whole.subarray(at))
    assert.ok((await got).equals(whole))
  }))

test('bytes sent before the provider was reached arrive first', () =>
  withRelay({ patient: true }, async relay => {
    const { consumer } = relay.connect()
    consumer.send('early ')
    await quiet()
    const provider = relay.dialer.answer()
    consumer.send('late')
    assert.equal(String(await provider.take(10)), 'early late')
  }))

test('a half-close before the provider was reached travels afterwards', () =>
  withRelay({ patient: true }, async relay => {
    const { consumer } = relay.connect()
    consumer.send('all')
    consumer.endWriting()
    await quiet()
    const provider = relay.dialer.answer()
    assert.equal(String(await provider.toEnd()), 'all')
    provider.send('answer')
    assert.equal(String(await consumer.take(6)), 'answer')
  }))

for (const error of ['timeout', 'refused', 'kind-mismatch'] as const) {
  test(`a provider that cannot be reached (${error}) closes the consumer, and is counted`, () =>
    withRelay({ patient: true }, async relay => {
      const { connection, consumer } = relay.connect()
      relay.dialer.fail(error)
      assert.equal((await consumer.next()).bytes.length, 0)
      assert.ok(connection.closed)
      assert.equal(relay.traffic.counters.connectionsRefused, 1)
    }))
}

test('a consumer that hangs up while it waits is not dialled for any more', () =>
  withRelay({ patient: true }, async relay => {
    const { connection, consumer } = relay.connect()
    consumer.send('never mind')
    consumer.close()
    await until('the connection is over', () => connection.closed)
    assert.equal(relay.dialer.cancelled, 1)
    assert.equal(relay.dialer.waiting.length, 0)
  }))

test('nothing is read from a consumer whose provider has not been reached', () =>
  withRelay({ patient: true }, async relay => {
    const { consumer } = relay.connect()
    await consumer.fill(pattern(1000))
    assert.equal(relay.traffic.counters.bytesUp, 0)
  }))

test('a writer learns that its reader is gone', () =>
  withRelay({}, async relay => {
    const { connection, consumer, provider } = relay.connect()
    provider.close()
    await until('the consumer cannot write', () => consumer.send('x') === Io.gone)
    consumer.close()
    await until('the connection is over', () => connection.closed)
  }))
