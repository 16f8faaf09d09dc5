/**
 * Descriptors that are a queue beside the bytes: a message takes as many as it says, whichever bytes they were sent with.
 * The session here frames `LENGTH FDS\n` and a body of LENGTH bytes that it does not look at.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Session } from '../../src/relay/contract.ts'
import { manualClock } from '../support/clock.ts'
import { consume, leavesNoDescriptors, parcels } from '../support/descriptors.ts'
import { pattern, type RelayOptions, until, type Wire, withRelay } from '../support/relay.ts'

leavesNoDescriptors()

const NEWLINE = 0x0a

const framingSession = (): Session => ({
  on: (input, out) => {
    if (input.kind === 'opened') out.dial('daemon')
    if (input.kind === 'ended' || input.kind === 'broken') out.close('flush')
    if (input.kind !== 'bytes') return
    const end = input.view.indexOf(NEWLINE) + 1
    if (end === 0) return
    const [length = 0, fds = 0] = String(Buffer.from(input.view.subarray(0, end - 1)))
      .split(' ')
      .map(Number)
    if (input.fds.count < fds) return
    out.forward(input.from, end, fds)
    out.opaque(input.from, length)
  },
})

const OPTIONS: RelayOptions = { descriptors: 'queued', session: framingSession }

const frame = (body: Uint8Array, fds: number): Buffer =>
  Buffer.concat([Buffer.from(`${body.length} ${fds}\n`), body])

interface Framed {
  readonly body: Buffer
  readonly fds: readonly string[]
}

/** The next frame, read as its protocol is: its first line by the byte, so that nothing of another one comes along. */
const readFrame = async (wire: Wire): Promise<Framed> => {
  const fds: string[] = []
  let line = ''
  while (!line.endsWith('\n')) {
    const message = await wire.next(1)
    fds.push(...consume(message.fds))
    line += String(message.bytes)
  }
  const parts: Buffer[] = []
  let left = Number(line.split(' ')[0])
  while (left > 0) {
    const message = await wire.next(Math.min(left, 64 * 1024))
    assert.deepEqual(message.fds, [], 'descriptors come with the first bytes of their frame')
    parts.push(Buffer.from(message.bytes))
    left -= message.bytes.length
  }
  return { body: Buffer.concat(parts), fds }
}

for (const bodyBytes of [0, 10, 20_000, 600_000]) {
  test(`descriptors that are sent with the end of one message go with the next (${bodyBytes} bytes between)`, () =>
    withRelay(OPTIONS, async relay => {
      const { consumer, provider } = relay.connect()
      const sent = parcels(3)
      const body = Buffer.from(pattern(bodyBytes))
      const first = frame(body, 0)
      const second = frame(Buffer.from('second'), 2)
      const third = frame(Buffer.from('third'), 1)
      const head = first.subarray(0, Math.max(first.length - 5, 0))
      const whole = Buffer.concat([first, second, third])
      const sending = consumer.sendAll(head)
      const [one, two, three] = sent.identities
      // The tail of the first, with all that follows and everybody's descriptors in one message.
      const sendingRest = sending.then(() => consumer.sendAll(whole.subarray(head.length), sent.fds))
      assert.deepEqual(await readFrame(provider), { body, fds: [] })
      assert.deepEqual(await readFrame(provider), { body: Buffer.from('second'), fds: [one, two] })
      assert.deepEqual(await readFrame(provider), { body: Buffer.from('third'), fds: [three] })
      await sendingRest
      assert.equal(relay.traffic.counters.descriptorsPassed, 3)
      sent.close()
    }))
}

test('descriptors that come late hold up their message, and no byte is lost meanwhile', () =>
  withRelay(OPTIONS, async relay => {
    const { consumer, provider } = relay.connect()
    const sent = parcels(1)
    const whole = frame(Buffer.from('body'), 1)
    await consumer.sendAll(whole.subarray(0, whole.length - 1))
    await consumer.sendAll(whole.subarray(whole.length - 1), sent.fds)
    assert.deepEqual(await readFrame(provider), { body: Buffer.from('body'), fds: sent.identities })
    sent.close()
  }))

for (const where of ['of a message that is looked at', 'of a body that passes unseen'] as const) {
  test(`a client that sends descriptors without end is cut, with the bytes ${where}`, () =>
    withRelay(OPTIONS, async relay => {
      const { consumer } = relay.connect()
      const sent = parcels(1)
      const many = Array.from({ length: 250 }, () => sent.fds[0] ?? 0)
      if (where === 'of a body that passes unseen') await consumer.sendAll('1000000 0\n')
      await until('the connection is over', () => {
        consumer.send('1', many)
        return relay.open.size === 0
      })
      assert.deepEqual(
        relay.log.lines.map(({ message }) => message),
        ['more descriptors came than any message can have: connection closed'],
      )
      sent.close()
    }))
}

/** As one that delivers what a client said last, though it has gone: it waits for the end of it. */
const patientSession = (): Session => {
  const session = framingSession()
  return {
    on: (input, out) => {
      if (input.kind !== 'broken') session.on(input, out)
    },
  }
}

test('clients that left while they kept each other from their descriptors are cut after the linger, and give them back', () => {
  const clock = manualClock()
  const limits = { heldDescriptorsPerLink: 4 }
  return withRelay({ ...OPTIONS, session: patientSession, clock, limits, lingerMs: 1000 }, async relay => {
    const sent = parcels(3)
    const gone = [relay.connect(), relay.connect()]
    for (const { consumer } of gone) consumer.send('1', sent.fds)
    await until('the share is used up', () => relay.traffic.held.full)
    for (const { consumer } of gone) {
      consumer.send('2', sent.fds)
      consumer.close()
    }
    await until('they are cut', () => {
      clock.advance(100)
      return relay.open.size === 0
    })
    const { consumer, provider } = relay.connect()
    const [fd = 0] = sent.fds
    consumer.send(frame(Buffer.from('next'), 1), [fd])
    const { body, fds } = await readFrame(provider)
    assert.deepEqual([String(body), fds], ['next', sent.identities.slice(0, 1)])
    sent.close()
  })
})
