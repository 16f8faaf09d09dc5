/**
 * How a connection ends: each row of the table in `connection.ts`, seen from the outer ends.
 * An end is passed on once what was written before it has been delivered, and nothing outlives both ends.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { c } from '../../src/kernel/declarations.ts'
import { Readiness } from '../../src/kernel/epoll.ts'
import { Io } from '../../src/kernel/errno.ts'
import { OwnedFd } from '../../src/kernel/fd.ts'
import { NativeBlock } from '../../src/kernel/memory.ts'
import { manualClock } from '../support/clock.ts'
import { leavesNoDescriptors } from '../support/descriptors.ts'
import { type Opened, pattern, quiet, type TestRelay, until, type Wire, withRelay } from '../support/relay.ts'

leavesNoDescriptors()

type Role = 'consumer' | 'provider'
const ROLES: readonly Role[] = ['consumer', 'provider']

/** The one who acts and the one who looks. */
const cast = (opened: Opened, role: Role): readonly [Wire, Wire] =>
  role === 'consumer' ? [opened.consumer, opened.provider] : [opened.provider, opened.consumer]

const over = (relay: TestRelay): Promise<void> => until('the connection is over', () => relay.open.size === 0)

for (const role of ROLES) {
  test(`a half-close of the ${role} travels, and the other direction goes on`, () =>
    withRelay({}, async relay => {
      const [one, other] = cast(relay.connect(), role)
      one.send('last words')
      one.endWriting()
      assert.equal(String(await other.toEnd()), 'last words')
      await other.sendAll(pattern(500_000))
      assert.ok((await one.take(500_000)).equals(pattern(500_000)))
    }))

  test(`a half-close answered by the other side of the ${role} ends the connection`, () =>
    withRelay({}, async relay => {
      const [one, other] = cast(relay.connect(), role)
      one.endWriting()
      await other.toEnd()
      other.send('bye')
      other.endWriting()
      assert.equal(String(await one.toEnd()), 'bye')
      await over(relay)
    }))

  for (const size of [10, 30_000, 150_000]) {
    test(`${size} bytes that the ${role} wrote before it closed altogether are delivered`, () =>
      withRelay({}, async relay => {
        const [one, other] = cast(relay.connect(), role)
        const sent = one.send(pattern(size))
        one.close()
        assert.ok((await other.toEnd()).equals(pattern(size).subarray(0, sent)))
        await over(relay)
      }))
  }

  test(`what lies queued behind a slow reader is delivered after the ${role} has closed altogether`, () =>
    withRelay({}, async relay => {
      const [one, other] = cast(relay.connect(), role)
      const taken = await one.fill(pattern(10_000))
      one.close()
      await quiet()
      assert.equal((await other.toEnd()).length, taken)
      await over(relay)
    }))

  test(`a ${role} that closes with unread bytes still gets its own delivered`, () =>
    withRelay({}, async relay => {
      const [one, other] = cast(relay.connect(), role)
      other.send('never read')
      await quiet()
      one.send('last words')
      one.close()
      assert.equal(String(await other.take(10)), 'last words')
      // The rest of the way is an end or a reset; either way it is over.
      await until('the other sees the end', () => {
        const more = other.receive()
        return typeof more === 'number' ? more === Io.gone : more.bytes.length === 0
      })
      await over(relay)
    }))

  test(`whoever writes to a ${role} that has closed gets EPIPE`, () =>
    withRelay({}, async relay => {
      const [one, other] = cast(relay.connect(), role)
      one.close()
      await until('writing fails', () => other.send('x') === Io.gone)
    }))

  for (const [kind, size] of [
    ['stream', 50_000],
    ['seqpacket', 50_000],
    ['seqpacket', 100],
  ] as const) {
    test(`who waits for room to write ${kind} by ${size} to a ${role} that closes is told so without reading`, () =>
      withRelay({ kind }, async relay => {
        const [one, other] = cast(relay.connect(), role)
        // So much that it cannot all be delivered to one who does not read.
        await one.fill(pattern(size))
        await other.fill(pattern(size))
        let told = false
        const watch = relay.reactor.watch(other.fd, Readiness.out, {
          ready: () => {
            told = true
            watch.rest()
          },
          failed: () => undefined,
        })
        await quiet()
        assert.equal(told, false)
        one.close()
        await until('it is told', () => told)
        assert.equal(other.send('x'), Io.gone)
        watch.close()
      }))
  }

  test(`a ${role} that stops reading but goes on writing is heard, and its writer told`, () =>
    withRelay({}, async relay => {
      const [one, other] = cast(relay.connect(), role)
      assert.equal(c.shutdown(one.fd, 0), 0)
      await until('writing to it fails', () => other.send('x') === Io.gone)
      one.send('still talking')
      assert.equal(String(await other.take(13)), 'still talking')
      one.endWriting()
      assert.equal(String(await other.toEnd()), '')
      await over(relay)
    }))

  test(`a ${role} that vanishes while the other does not read is noticed and dropped`, () =>
    withRelay({ lingerMs: 50 }, async relay => {
      const [one, other] = cast(relay.connect(), role)
      await one.fill(pattern(50_000))
      one.close()
      await over(relay)
      assert.ok((await other.take(1)).length === 1)
    }))
}

test('when both ends vanish the connection is over', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    await consumer.fill(pattern(50_000))
    await provider.fill(pattern(50_000))
    consumer.close()
    provider.close()
    await over(relay)
  }))

const pipe = (): readonly [OwnedFd, OwnedFd] => {
  const ends = new NativeBlock(8)
  assert.equal(c.pipe2(ends.address, 0o2004000), 0)
  const both = [new OwnedFd(ends.data.getInt32(0, true)), new OwnedFd(ends.data.getInt32(4, true))] as const
  ends.free()
  return both
}

/** 0 at the end, when no writing end is open anywhere; negative while one is. */
const readsFrom = (fd: OwnedFd): number => {
  const room = new NativeBlock(1)
  const n = c.read(fd.borrowed, room.address, 1)
  room.free()
  return n
}

test('descriptors queued for a reader are closed when both ends vanish', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    await consumer.fill(pattern(50_000))
    const [reading, writing] = pipe()
    // It waits in the consumer's own socket or in the relay's queue; both are dropped.
    consumer.send('with a pipe', [writing.borrowed])
    writing.close()
    await quiet()
    provider.close()
    consumer.close()
    await over(relay)
    await until('no writing end of the pipe is left', () => readsFrom(reading) === 0)
    reading.close()
  }))

test('descriptors in the relay queue are closed when their reader vanishes, while the writer lives', () =>
  withRelay({}, async relay => {
    const { consumer, provider } = relay.connect()
    const [reading, writing] = pipe()
    // Messages with descriptors are never merged, so the provider's socket is soon full of them.
    for (let i = 0; i < 400; i += 1) {
      consumer.send('m', [writing.borrowed])
      await quiet(1)
    }
    writing.close()
    provider.close()
    await until('no writing end of the pipe is left', () => readsFrom(reading) === 0)
    reading.close()
    consumer.close()
    await over(relay)
  }))

test('a half-dead connection on which nothing moves is closed after the linger', async () => {
  const clock = manualClock()
  await withRelay({ clock, lingerMs: 60_000 }, async relay => {
    const { consumer, provider } = relay.connect()
    consumer.endWriting()
    await provider.toEnd()
    clock.advance(59_000)
    await quiet()
    assert.equal(relay.open.size, 1)
    clock.advance(2000)
    await over(relay)
    assert.equal((await consumer.toEnd()).length, 0)
  })
})

test('a half-dead connection on which bytes still move is not closed', async () => {
  const clock = manualClock()
  await withRelay({ clock, lingerMs: 60_000 }, async relay => {
    const { consumer, provider } = relay.connect()
    consumer.endWriting()
    await provider.toEnd()
    for (let minute = 0; minute < 10; minute += 1) {
      clock.advance(50_000)
      provider.send('tick')
      assert.equal(String(await consumer.take(4)), 'tick')
    }
    assert.equal(relay.open.size, 1)
  })
})

test('an idle connection with both halves alive is never closed', async () => {
  const clock = manualClock()
  await withRelay({ clock, lingerMs: 60_000 }, async relay => {
    const { consumer, provider } = relay.connect()
    consumer.send('x')
    await provider.take(1)
    clock.advance(24 * 3_600_000)
    await quiet()
    assert.equal(relay.open.size, 1)
  })
})

test('nothing is armed on the clock once all connections are over', async () => {
  const clock = manualClock()
  await withRelay({ clock, lingerMs: 60_000 }, async relay => {
    const { consumer, provider } = relay.connect()
    consumer.endWriting()
    await provider.toEnd()
    provider.endWriting()
    await over(relay)
    assert.equal(clock.armed, 0)
  })
})

test('a connection that is over does not keep the loop busy', () =>
  withRelay({ lingerMs: 60_000 }, async relay => {
    const { consumer, provider } = relay.connect()
    // The provider is gone and the consumer, who does not read, is full: a hang-up that was handled.
    await provider.fill(pattern(50_000))
    provider.close()
    await quiet()
    const before = process.cpuUsage()
    const started = performance.now()
    while (performance.now() - started < 100) await new Promise(resolve => setTimeout(resolve, 20))
    const { user, system } = process.cpuUsage(before)
    assert.ok(user + system < 60_000, `${user + system} us of processor time in 100 ms of nothing`)
    consumer.close()
  }))
