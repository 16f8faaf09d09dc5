/**
 * How a connection that a session runs comes to its end: who is told what, what is dropped, how long a close lingers, and
 * what becomes of it when its link is withdrawn.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Io } from '../../src/kernel/errno.ts'
import type { Commands, Session, SessionInput } from '../../src/relay/contract.ts'
import { manualClock } from '../support/clock.ts'
import { leavesNoDescriptors, openDescriptors, parcels } from '../support/descriptors.ts'
import {
  pattern,
  quiet,
  type RelayOptions,
  type TestRelay,
  until,
  type Wire,
  withRelay,
} from '../support/relay.ts'

leavesNoDescriptors()

type On = (input: SessionInput, out: Commands) => void

interface Stage {
  readonly relay: TestRelay
  readonly consumer: Wire
  readonly told: string[]
}

/** One connection whose session dials at once, keeps a record of what it is told, and does what the test adds. */
const onStage = (options: RelayOptions, on: On, body: (stage: Stage) => Promise<void>): Promise<void> => {
  const told: string[] = []
  const session = (): Session => ({
    on: (input, out) => {
      if (input.kind === 'opened') out.dial('daemon')
      if (input.kind === 'broken') told.push(`${input.to} broken`)
      else if (input.kind === 'ended') told.push(`${input.from} ${input.fully ? 'gone' : 'ended'}`)
      else if (input.kind === 'timer') told.push(`timer ${input.name}`)
      else if (input.kind !== 'bytes') told.push(input.kind)
      on(input, out)
    },
  })
  return withRelay({ ...options, session }, async relay => {
    const { consumer } = relay.connect()
    await body({ relay, consumer, told })
  })
}

const passAll: On = (input, out) => {
  if (input.kind === 'bytes') out.forward(input.from, input.view.length, input.fds.count)
}

const only = (relay: TestRelay): Wire => {
  const [wire] = relay.dialer.wires
  if (wire === undefined) throw new Error('the provider has not been reached')
  return wire
}

const over = (relay: TestRelay): Promise<void> => until('the connection is over', () => relay.open.size === 0)

test('a consumer that is gone altogether is told at once, even while its side is paused', () =>
  onStage(
    {},
    (input, out) => {
      if (input.kind === 'bytes' && input.from === 'consumer') out.pause('consumer')
      if (input.kind === 'broken') out.close('now')
    },
    async ({ relay, consumer, told }) => {
      consumer.send('request')
      await quiet()
      assert.deepEqual(told, ['opened', 'dialled'])
      consumer.close()
      await over(relay)
      assert.deepEqual(told, ['opened', 'dialled', 'consumer broken'])
    },
  ))

test('a consumer that has only half-closed is not broken', () =>
  onStage({}, passAll, async ({ relay, consumer, told }) => {
    consumer.endWriting()
    await until('its end is told', () => told.includes('consumer ended'))
    await quiet()
    assert.deepEqual(told, ['opened', 'dialled', 'consumer ended'])
    only(relay).send('answer')
    assert.equal(String(await consumer.take(6)), 'answer')
  }))

test('what comes for a provider that is gone is dropped, and the consumer can write on until the session closes', () =>
  onStage({}, passAll, async ({ relay, consumer, told }) => {
    only(relay).send('enough')
    only(relay).close()
    await until('it is told', () => told.includes('provider gone'))
    assert.deepEqual([...told].sort(), ['dialled', 'opened', 'provider broken', 'provider gone'])
    await consumer.sendAll(pattern(3_000_000))
    assert.equal(String(await consumer.take(6)), 'enough')
    assert.equal(consumer.silent, true)
  }))

test('bytes that pass unseen are dropped likewise, and the session sees what comes after them', () => {
  let after = ''
  return onStage(
    {},
    (input, out) => {
      if (input.kind === 'dialled') out.opaque('consumer', 1_000_000)
      if (input.kind !== 'bytes') return
      after += Buffer.from(input.view).toString()
      out.drop(input.from, input.view.length, 0)
    },
    async ({ relay, consumer, told }) => {
      only(relay).close()
      await until('it is told', () => told.includes('provider broken'))
      await consumer.sendAll(pattern(1_000_000))
      consumer.send('after')
      await until('it sees the rest', () => after === 'after')
    },
  )
})

test('a direction that nobody looks at ends as the relay ends it: its writer gets EPIPE, the session is not asked', () =>
  onStage(
    {},
    (input, out) => {
      if (input.kind === 'dialled')
        for (const side of ['consumer', 'provider'] as const) out.opaque(side, 'until-end')
    },
    async ({ relay, consumer, told }) => {
      await quiet()
      consumer.send('last words')
      consumer.close()
      const wire = only(relay)
      assert.equal(String(await wire.toEnd()), 'last words')
      await until('its writes fail', () => wire.send('x') === Io.gone)
      await over(relay)
      assert.deepEqual(told, ['opened', 'dialled'])
    },
  ))

test('a lingering close lets go of the provider at once, and the consumer reads all before its end', () => {
  const answer = pattern(600_000)
  return onStage(
    {},
    (input, out) => {
      if (input.kind !== 'bytes') return
      out.drop(input.from, input.view.length, 0)
      out.send('consumer', [answer], 0)
      out.close('linger')
    },
    async ({ relay, consumer }) => {
      await consumer.sendAll('request')
      assert.equal((await only(relay).next()).bytes.length, 0)
      assert.equal((await consumer.take(answer.length)).equals(answer), true)
      await consumer.sendAll(pattern(500_000))
      assert.equal(relay.open.size, 1)
      consumer.endWriting()
      await over(relay)
    },
  )
})

for (const [what, answer] of [
  ['a small answer', Buffer.from('answer')],
  ['more than its socket holds', pattern(600_000)],
] as const) {
  test(`a consumer that ends while a close lingers gets all that is queued for it: ${what}`, () =>
    onStage(
      {},
      (input, out) => {
        if (input.kind !== 'bytes') return
        out.drop(input.from, input.view.length, 0)
        out.send('consumer', [answer], 0)
        out.close('linger')
      },
      async ({ relay, consumer }) => {
        await quiet()
        // In one turn: the provider's bytes begin the close, and the consumer's end is looked at after them.
        only(relay).send('begin')
        consumer.endWriting()
        await quiet()
        assert.equal((await consumer.toEnd()).equals(answer), true)
        await over(relay)
      },
    ))
}

test('a lingering close whose consumer never ends is cut, and the session hears of that last', () => {
  const clock = manualClock()
  return onStage(
    { clock },
    (input, out) => {
      if (input.kind === 'bytes') out.close('linger')
    },
    async ({ relay, consumer, told }) => {
      consumer.send('request')
      assert.equal((await consumer.next()).bytes.length, 0)
      clock.advance(4999)
      await quiet()
      assert.equal(relay.open.size, 1)
      clock.advance(10)
      await over(relay)
      assert.equal(told.at(-1), 'linger-over')
    },
  )
})

test('descriptors that come while a close lingers are closed', () =>
  onStage(
    {},
    (input, out) => {
      if (input.kind === 'bytes') out.close('linger')
    },
    async ({ consumer }) => {
      consumer.send('request')
      assert.equal((await consumer.next()).bytes.length, 0)
      const before = openDescriptors()
      const sent = parcels(3)
      consumer.send('late', sent.fds)
      sent.close()
      await until('they are closed', () => openDescriptors() === before)
    },
  ))

test('a withdrawn connection is told, and goes on until its session ends it', () =>
  onStage({}, passAll, async ({ relay, consumer, told }) => {
    const [connection] = relay.open
    connection?.withdraw()
    assert.equal(told.at(-1), 'withdrawn')
    consumer.send('still here')
    assert.equal(String(await only(relay).take(10)), 'still here')
  }))

test('an idle timer counts from the last byte, whether the session saw it or not', () => {
  const clock = manualClock()
  return onStage(
    { clock },
    (input, out) => {
      if (input.kind !== 'dialled') return
      out.opaque('consumer', 1_000_000)
      out.setIdleTimer('quiet', 'consumer', 1000)
    },
    async ({ relay, consumer, told }) => {
      clock.advance(900)
      consumer.send('unseen')
      assert.equal(String(await only(relay).take(6)), 'unseen')
      clock.advance(990)
      assert.equal(told.includes('timer quiet'), false)
      clock.advance(20)
      assert.equal(told.includes('timer quiet'), true)
    },
  )
})

test('a timer that is set again fires at its new time only, be it later or sooner, and a cleared one never', () => {
  const clock = manualClock()
  let out: Commands | undefined
  return onStage(
    { clock },
    (_input, commands) => {
      out = commands
    },
    async ({ told }) => {
      const fired = (): number => told.filter(line => line === 'timer t').length
      out?.setTimer('t', 100)
      clock.advance(50)
      out?.setTimer('t', 100)
      clock.advance(60)
      assert.equal(fired(), 0)
      clock.advance(50)
      assert.equal(fired(), 1)
      out?.setTimer('t', 1000)
      out?.setTimer('t', 10)
      clock.advance(20)
      assert.equal(fired(), 2)
      out?.setTimer('t', 10)
      out?.clearTimer('t')
      clock.advance(1000)
      assert.equal(fired(), 2)
    },
  )
})

for (const seen of [true, false]) {
  test(`descriptors that may not pass are closed where the kernel cannot refuse them, with bytes that are ${seen ? 'looked at' : 'not looked at'}`, () =>
    onStage(
      { descriptors: 'dropped' },
      (input, out) => {
        if (input.kind === 'dialled' && !seen) out.opaque('consumer', 'until-end')
        passAll(input, out)
        if (input.kind === 'ended') out.endWrite('provider')
      },
      async ({ relay, consumer }) => {
        await quiet()
        const before = openDescriptors()
        for (const text of ['with two', ' and with two more']) {
          const sent = parcels(2)
          consumer.send(text, sent.fds)
          sent.close()
        }
        consumer.endWriting()
        const first = await only(relay).next()
        assert.deepEqual(first.fds, [])
        assert.equal(
          first.bytes.length + (await only(relay).toEnd()).length,
          'with two and with two more'.length,
        )
        await until('they are closed', () => openDescriptors() === before)
        const { counted, descriptorsPassed } = relay.traffic.counters
        assert.equal(descriptorsPassed, 0)
        assert.deepEqual(
          counted.figures().map(({ name, value }) => [name, value]),
          [['descriptors_dropped', 4]],
        )
      },
    ))
}

test('what a session still says to the provider after a lingering close goes nowhere, and to nobody else', () => {
  const clock = manualClock()
  return onStage(
    { clock },
    (input, out) => {
      if (input.kind === 'bytes') {
        out.drop(input.from, input.view.length, 0)
        out.close('linger')
      }
      if (input.kind === 'linger-over') out.send('provider', [Buffer.from('meant for the first')], 0)
    },
    async ({ relay, consumer, told }) => {
      await quiet()
      consumer.send('request')
      await until('the provider is let go of', () => typeof only(relay).receive() !== 'number')
      // It is given the number of the descriptor that was closed.
      const second = relay.connect()
      clock.advance(5010)
      assert.equal(told.includes('linger-over'), true)
      await quiet()
      assert.equal(second.consumer.silent, true)
      assert.equal(second.provider.silent, true)
    },
  )
})

test('a session that has closed is told of no timer any more', () => {
  const clock = manualClock()
  return onStage(
    { clock },
    (input, out) => {
      if (input.kind !== 'bytes') return
      out.drop(input.from, input.view.length, 0)
      out.setTimer('late', 10)
      out.close('linger')
    },
    async ({ relay, consumer, told }) => {
      await quiet()
      consumer.send('request')
      await until('the provider is let go of', () => typeof only(relay).receive() !== 'number')
      clock.advance(5010)
      assert.deepEqual(told, ['opened', 'dialled', 'linger-over'])
    },
  )
})

test('a session that ignores that its provider is out of reach does not keep a consumer that is gone', () =>
  onStage(
    { patient: true, lingerMs: 30 },
    (input, out) => {
      if (input.kind === 'bytes') out.pause('consumer')
    },
    async ({ relay, consumer, told }) => {
      consumer.send('request')
      await quiet()
      relay.dialer.fail('timeout')
      consumer.close()
      await over(relay)
      assert.deepEqual(told, ['opened', 'dialled', 'consumer broken'])
    },
  ))

test('a consumer that writes on and reads nothing does not prolong a lingering close', () =>
  onStage(
    { lingerMs: 60 },
    (input, out) => {
      if (input.kind !== 'bytes') return
      out.drop(input.from, input.view.length, 0)
      out.send('consumer', [pattern(2_000_000)], 0)
      out.close('linger')
    },
    async ({ relay, consumer }) => {
      await until('it is cut', () => {
        consumer.send('and another thing')
        return relay.open.size === 0
      })
    },
  ))
