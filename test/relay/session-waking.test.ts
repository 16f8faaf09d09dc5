/** What one session may do with another: wake it, so that it looks at what they share. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Session, SessionHandle } from '../../src/relay/contract.ts'
import { leavesNoDescriptors } from '../support/descriptors.ts'
import { quiet, type TestRelay, until, withRelay } from '../support/relay.ts'

leavesNoDescriptors()

interface Sleeper {
  readonly handle: SessionHandle
  woken: number
}

const withSleepers = (
  onWoken: (sleeper: Sleeper) => 'close' | 'stay',
  body: (relay: TestRelay, sleepers: readonly Sleeper[]) => Promise<void>,
): Promise<void> => {
  const sleepers: Sleeper[] = []
  const session = (handle: SessionHandle): Session => {
    const sleeper: Sleeper = { handle, woken: 0 }
    sleepers.push(sleeper)
    return {
      on: (input, out) => {
        if (input.kind === 'ended') out.close('now')
        if (input.kind !== 'woken') return
        sleeper.woken += 1
        if (onWoken(sleeper) === 'close') out.close('now')
      },
    }
  }
  return withRelay({ session }, relay => body(relay, sleepers))
}

test('a session that is woken many times in a row is told once', () =>
  withSleepers(
    () => 'stay',
    async (relay, sleepers) => {
      relay.connect()
      relay.connect()
      for (let i = 0; i < 10; i += 1) sleepers[0]?.handle.wake()
      assert.equal(sleepers[0]?.woken, 0, 'never within the call')
      await until('it is told', () => sleepers[0]?.woken === 1)
      await quiet()
      assert.deepEqual(
        sleepers.map(({ woken }) => woken),
        [1, 0],
      )
      sleepers[0]?.handle.wake()
      await until('it can be woken again', () => sleepers[0]?.woken === 2)
    },
  ))

test('what a woken session asks for is done', () =>
  withSleepers(
    () => 'close',
    async (relay, sleepers) => {
      const { consumer } = relay.connect()
      sleepers[0]?.handle.wake()
      await until('the connection is over', () => relay.open.size === 0)
      assert.equal((await consumer.toEnd()).length, 0)
    },
  ))

test('a session that is over is woken no more', () =>
  withSleepers(
    () => 'stay',
    async (relay, sleepers) => {
      const { consumer } = relay.connect()
      sleepers[0]?.handle.wake()
      consumer.close()
      await until('the connection is over', () => relay.open.size === 0)
      const { woken } = sleepers[0] ?? { woken: -1 }
      sleepers[0]?.handle.wake()
      await quiet()
      assert.equal(sleepers[0]?.woken, woken)
      assert.deepEqual(relay.faults, [])
    },
  ))

test('a session is told that its connection is over, once, however that came', async () => {
  const ends = {
    'the session closes it': (relay: TestRelay) => relay.connect().consumer.close(),
    'the relay closes it': (relay: TestRelay) => {
      relay.connect()
      for (const connection of [...relay.open]) connection.close()
    },
  }
  for (const [how, end] of Object.entries(ends)) {
    let closed = 0
    const session = (): Session => ({
      on: (input, out) => {
        if (input.kind === 'ended') out.close('now')
      },
      closed: () => {
        closed += 1
      },
    })
    await withRelay({ session }, async relay => {
      end(relay)
      await until('the connection is over', () => relay.open.size === 0)
      assert.equal(closed, 1, how)
    })
    assert.equal(closed, 1, how)
  }
})
