/** A session run by the relay on real sockets: each command does what the contract says, whatever the pieces. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Io } from '../../src/kernel/errno.ts'
import type { Session } from '../../src/relay/contract.ts'
import { manualClock } from '../support/clock.ts'
import { consume, leavesNoDescriptors, openDescriptors, parcels } from '../support/descriptors.ts'
import { type LineSession, lineSession } from '../support/line-session.ts'
import {
  type Opened,
  pattern,
  quiet,
  type RelayOptions,
  type TestRelay,
  until,
  type Wire,
  withRelay,
} from '../support/relay.ts'

leavesNoDescriptors()

const UID = process.getuid?.() ?? 0
const PREFIX = `${UID}: `

interface Stage {
  readonly relay: TestRelay
  readonly connection: Opened['connection']
  readonly consumer: Wire
  readonly session: LineSession
}

/** One connection run by a line session. */
const onStage = (options: RelayOptions, body: (stage: Stage) => Promise<void>): Promise<void> => {
  const sessions: LineSession[] = []
  const session = (): LineSession => {
    const made = lineSession()
    sessions.push(made)
    return made
  }
  return withRelay({ ...options, session }, async relay => {
    const opened = relay.connect()
    const [first] = sessions
    if (first === undefined) throw new Error('no session was made')
    await body({ relay, session: first, connection: opened.connection, consumer: opened.consumer })
  })
}

const text = async (wire: Wire, length: number): Promise<string> => String(await wire.take(length))

const hears = async (wire: Wire, expected: string): Promise<void> =>
  assert.equal(await text(wire, expected.length), expected)

const over = (relay: TestRelay): Promise<void> => until('the connection is over', () => relay.open.size === 0)

const provider = async (relay: TestRelay): Promise<Wire> => {
  await until('the provider is reached', () => relay.dialer.wires.length > 0)
  const [wire] = relay.dialer.wires
  if (wire === undefined) throw new Error('not reached')
  return wire
}

// Split points.

const MESSAGES: readonly { readonly text: string; readonly fds: number }[] = [
  { text: '# a remark\nfirst\n', fds: 0 },
  { text: 'with two\n', fds: 2 },
  { text: 'ping\n', fds: 0 },
  { text: '# dropped with one\n', fds: 1 },
  { text: 'raw 13\n', fds: 0 },
  { text: 'ping\n# not\nx\n', fds: 1 },
  { text: 'last\nquit\n', fds: 0 },
]
const EXPECTED = `${PREFIX}first\n${PREFIX}with two\nping\n# not\nx\n${PREFIX}last\n`
const WITH_TWO = EXPECTED.indexOf('with two')
const OPAQUE = EXPECTED.indexOf('ping')

/** What the provider gets, and where descriptors came: read byte by byte, so that their position shows. */
const collect = async (wire: Wire): Promise<{ text: string; fds: [number, string][] }> => {
  let got = ''
  const fds: [number, string][] = []
  for (;;) {
    const message = await wire.next(1)
    for (const identity of consume(message.fds)) fds.push([got.length, identity])
    if (message.bytes.length === 0) return { text: got, fds }
    got += String(message.bytes)
  }
}

for (const pace of ['with a pause at each message', 'back to back'] as const) {
  test(`a transcript split at any point arrives the same, descriptors included, ${pace}`, () =>
    withRelay({ session: lineSession }, async relay => {
      const length = MESSAGES.reduce((sum, message) => sum + message.text.length, 0)
      const sent = parcels(4)
      const [two1 = '', two2 = '', , opaque = ''] = sent.identities
      for (let cut = 0; cut <= length; cut += 1) {
        const opened = relay.connect()
        let position = 0
        let next = 0
        for (const message of MESSAGES) {
          const fds = sent.fds.slice(next, next + message.fds)
          next += message.fds
          const at = Math.max(0, Math.min(message.text.length, cut - position))
          const [head, tail] = [message.text.slice(0, at), message.text.slice(at)]
          if (head !== '') opened.consumer.send(head, fds)
          if (head !== '' && (tail !== '' || cut === position + at)) await quiet(3)
          if (tail !== '') opened.consumer.send(tail, head === '' ? fds : [])
          if (pace === 'with a pause at each message') await quiet(3)
          position += message.text.length
        }
        await until('the provider is reached', () => relay.dialer.wires.length === cut + 1)
        const got = await collect(opened.provider)
        assert.equal(got.text, EXPECTED, `split at ${cut}`)
        assert.deepEqual(
          got.fds,
          [
            [WITH_TWO, two1],
            [WITH_TWO, two2],
            [OPAQUE, opaque],
          ],
          `split at ${cut}`,
        )
        assert.equal(String(await opened.consumer.toEnd()), 'pong\n')
      }
      sent.close()
    }))
}

// Commands, one by one.

test('a session knows who connected', () =>
  onStage({}, async ({ relay, consumer }) => {
    consumer.send('hello\n')
    await hears(await provider(relay), `${PREFIX}hello\n`)
    assert.deepEqual(relay.dialer.identities, ['daemon'])
  }))

test('nothing is dialled before the session asks for it', () =>
  onStage({}, async ({ relay, consumer }) => {
    consumer.send('ping\n# nothing\nincomplete')
    await hears(consumer, 'pong\n')
    assert.equal(relay.dialer.identities.length, 0)
  }))

test('what is sent before the provider is reached waits for it', () =>
  onStage({ patient: true }, async ({ relay, consumer }) => {
    consumer.send('one\ntwo\n')
    await until('it dials', () => relay.dialer.waiting.length === 1)
    await hears(relay.dialer.answer(), `${PREFIX}one\n${PREFIX}two\n`)
  }))

for (const patient of [true, false]) {
  test(`a line that is held until the provider is reached is offered again then (${patient ? 'later' : 'at once'})`, () =>
    onStage({ patient }, async ({ relay, consumer }) => {
      consumer.send('hold this\nthen that\n')
      if (patient) {
        await until('it dials', () => relay.dialer.waiting.length === 1)
        await quiet()
        relay.dialer.answer()
      }
      await hears(await provider(relay), `${PREFIX}hold this\n${PREFIX}then that\n`)
    }))
}

test('a session whose provider cannot be reached may say so and close', () =>
  onStage({ patient: true }, async ({ relay, consumer }) => {
    consumer.send('request\n')
    await until('it dials', () => relay.dialer.waiting.length === 1)
    relay.dialer.fail('timeout')
    assert.equal(String(await consumer.toEnd()), 'no provider: timeout\n')
    await over(relay)
  }))

test('opaque bytes pass by the million, and the session looks again behind them', () =>
  onStage({}, async ({ relay, consumer }) => {
    const body = pattern(3_000_000)
    const writing = (async () => {
      await consumer.sendAll(`first\nraw ${body.length}\n`)
      await consumer.sendAll(body)
      await consumer.sendAll('ping\nlast\n')
    })()
    const wire = await provider(relay)
    await hears(wire, `${PREFIX}first\n`)
    assert.ok((await wire.take(body.length)).equals(body))
    await hears(wire, `${PREFIX}last\n`)
    await hears(consumer, 'pong\n')
    await writing
  }))

test('a tunnel passes everything both ways, and half-closes travel', () =>
  onStage({}, async ({ relay, session, consumer }) => {
    consumer.send('tunnel\nping\n')
    const wire = await provider(relay)
    await hears(wire, 'ping\n')
    wire.send('from the provider')
    await hears(consumer, 'from the provider')
    consumer.endWriting()
    assert.equal((await wire.toEnd()).length, 0)
    wire.send('still')
    await hears(consumer, 'still')
    wire.endWriting()
    assert.equal((await consumer.toEnd()).length, 0)
    await over(relay)
    assert.deepEqual(
      session.told.filter(told => told.includes('ended')),
      [],
      'nobody is asked about the ends of a tunnel',
    )
  }))

test('a tunnel opened before the provider was reached loses nothing', () =>
  onStage({ patient: true }, async ({ relay, consumer }) => {
    consumer.send('tunnel\nearly ')
    await until('it dials', () => relay.dialer.waiting.length === 1)
    consumer.send('late')
    consumer.endWriting()
    await quiet()
    assert.equal(String(await relay.dialer.answer().toEnd()), 'early late')
  }))

test('a paused side waits for its timer, and what lay there comes in order', () =>
  onStage({}, async ({ relay, session, consumer }) => {
    consumer.send('one\nwait 30\ntwo\n')
    const wire = await provider(relay)
    await hears(wire, `${PREFIX}one\n`)
    consumer.send('three\n')
    const started = performance.now()
    await hears(wire, `${PREFIX}two\n${PREFIX}three\n`)
    assert.ok(performance.now() - started >= 20)
    assert.ok(session.told.includes('timer wake'))
  }))

test('an end does not overtake bytes that a pause held back', () =>
  onStage({}, async ({ relay, session, consumer }) => {
    consumer.send('one\nwait 5\ntwo\nwait 5\nthree\n')
    consumer.endWriting()
    const wire = await provider(relay)
    assert.equal(String(await wire.toEnd()), `${PREFIX}one\n${PREFIX}two\n${PREFIX}three\n`)
    assert.equal(session.told.at(-1), 'consumer ended')
  }))

test('a timer that waits keeps its connection from nothing else', async () => {
  const clock = manualClock()
  await onStage({ clock }, async ({ relay, session, consumer }) => {
    consumer.send('one\nwait 60000\ntwo\n')
    const wire = await provider(relay)
    await hears(wire, `${PREFIX}one\n`)
    wire.send('answer')
    await hears(consumer, 'answer')
    clock.advance(59_000)
    await quiet()
    assert.ok(!session.told.includes('timer wake'))
    clock.advance(1100)
    await hears(wire, `${PREFIX}two\n`)
  })
})

test('no timer outlives its connection', async () => {
  const clock = manualClock()
  await onStage({ clock }, async ({ connection, consumer }) => {
    consumer.send('wait 60000\n')
    await until('it is set', () => clock.armed === 1)
    connection.close()
    assert.equal(clock.armed, 0)
  })
})

test('close with flush delivers what was sent before, to a slow reader too', () =>
  onStage({}, async ({ relay, consumer }) => {
    consumer.send('first\nraw 400000\n')
    const wire = await provider(relay)
    const body = pattern(400_000)
    const writing = consumer.sendAll(Buffer.concat([body, Buffer.from('last\nquit\n')]))
    await quiet()
    await hears(wire, `${PREFIX}first\n`)
    assert.ok((await wire.take(400_000)).equals(body))
    assert.equal(String(await wire.toEnd()), `${PREFIX}last\n`)
    await writing
    await over(relay)
  }))

test('after close nothing more is looked at', () =>
  onStage({}, async ({ relay, consumer }) => {
    consumer.send('one\nquit\ntwo\nping\n')
    assert.equal(String(await (await provider(relay)).toEnd()), `${PREFIX}one\n`)
    await over(relay)
  }))

test('close now does not wait for a reader', () =>
  onStage({}, async ({ relay, consumer }) => {
    consumer.send('first\n')
    const wire = await provider(relay)
    await hears(wire, `${PREFIX}first\n`)
    consumer.send('abort\n')
    await over(relay)
    assert.equal((await wire.toEnd()).length, 0)
  }))

test('a lingering close ends its output at once and reads on until the consumer has seen it', async () => {
  const clock = manualClock()
  await onStage({ clock }, async ({ relay, consumer }) => {
    consumer.send('ping\nbye\n')
    assert.equal(String(await consumer.toEnd()), 'pong\n')
    // It may still write without being told off; nobody looks at it.
    assert.ok(consumer.send(pattern(1000)) === 1000)
    await quiet()
    assert.equal(relay.open.size, 1)
    consumer.endWriting()
    await over(relay)
  })
})

test('a lingering close does not wait for ever', async () => {
  const clock = manualClock()
  await onStage({ clock }, async ({ relay, consumer }) => {
    consumer.send('ping\nbye\n')
    await consumer.toEnd()
    clock.advance(4000)
    assert.equal(relay.open.size, 1)
    clock.advance(1100)
    await over(relay)
  })
})

test('a client that does not say in time what it wants is cut, and no other', async () => {
  const clock = manualClock()
  const limits = { handshakeMs: 10_000 }
  await withRelay({ clock, limits, session: lineSession }, async relay => {
    const [silent, spoken] = [relay.connect(), relay.connect()]
    silent.consumer.send('ping\n')
    await hears(silent.consumer, 'pong\n')
    spoken.consumer.send('first\n')
    const wire = await provider(relay)
    await hears(wire, `${PREFIX}first\n`)
    clock.advance(9999)
    await quiet()
    assert.equal(silent.connection.closed, false)
    clock.advance(1)
    assert.equal(String(await silent.consumer.toEnd()), '')
    assert.deepEqual(
      relay.log.lines.map(({ level, facts, message }) => [level, facts, message]),
      [['warn', { afterMs: 10_000 }, 'a client did not say in time what it wants: connection closed']],
    )
    clock.advance(24 * 3_600_000)
    spoken.consumer.send('later\n')
    await hears(wire, `${PREFIX}later\n`)
  })
})

test('a session that dials at once has no handshake to be late with', async () => {
  const clock = manualClock()
  const session = (): Session => ({
    on: (input, out) => {
      if (input.kind === 'opened') out.dial('daemon')
    },
  })
  await withRelay({ clock, session, patient: true }, async relay => {
    relay.connect()
    assert.equal(clock.armed, 0)
  })
})

test('a close that waits for a reader who stands still is cut after the linger', async () => {
  const clock = manualClock()
  const answer = pattern(1_000_000)
  const session = (): Session => ({
    on: (input, out) => {
      if (input.kind !== 'opened') return
      out.send('consumer', [answer], 0)
      out.close('flush')
    },
  })
  await withRelay({ clock, lingerMs: 60_000, session }, async relay => {
    const { connection, consumer } = relay.connect()
    clock.advance(59_999)
    await consumer.take(1000)
    assert.equal(connection.closed, false)
    await consumer.take(500_000)
    clock.advance(59_000)
    await quiet()
    assert.equal(connection.closed, false, 'bytes moved meanwhile')
    clock.advance(60_000)
    await until('it is over', () => connection.closed)
  })
})

test('ending the output to one side leaves the other direction alone', () =>
  onStage({}, async ({ relay, consumer }) => {
    consumer.send('one\nend\n')
    const wire = await provider(relay)
    assert.equal(String(await wire.toEnd()), `${PREFIX}one\n`)
    wire.send('answer')
    await hears(consumer, 'answer')
  }))

test('an output that is ended before the provider was reached is ended afterwards', () =>
  onStage({ patient: true }, async ({ relay, consumer }) => {
    consumer.send('one\n')
    consumer.endWriting()
    await until('it dials', () => relay.dialer.waiting.length === 1)
    await quiet()
    assert.equal(String(await relay.dialer.answer().toEnd()), `${PREFIX}one\n`)
  }))

test('a half-close is told as an end, a hang-up as gone', () =>
  onStage({}, async ({ relay, session, consumer }) => {
    consumer.send('one\n')
    const wire = await provider(relay)
    consumer.endWriting()
    await until('the end is told', () => session.told.includes('consumer ended'))
    wire.close()
    await until('the hang-up is told', () => session.told.includes('provider gone'))
    await over(relay)
  }))

test('a side that had to wait is told of as drained', () =>
  onStage({}, async ({ relay, session, consumer }) => {
    consumer.send('one\n')
    const wire = await provider(relay)
    await hears(wire, `${PREFIX}one\n`)
    assert.ok(!session.told.includes('drained provider'))
    const line = `${'x'.repeat(10_000)}\n`
    let lines = 0
    while (!session.told.includes('drained provider')) {
      if (consumer.send(line) === line.length) lines += 1
      else await wire.take(PREFIX.length + line.length)
      await quiet(1)
    }
    assert.ok(lines > 0)
  }))

test('behind a reader that stands still the session is not fed without bound', () =>
  onStage({}, async ({ relay, consumer }) => {
    consumer.send('one\n')
    await provider(relay)
    await consumer.fill(Buffer.from(`${'x'.repeat(99)}\n`))
    const { bytesUp } = relay.traffic.counters
    assert.ok(bytesUp < 1024 * 1024, `${bytesUp} bytes were read`)
  }))

for (const pass of ['lines', 'opaque bytes'] as const) {
  test(`a provider that answers without reading on is heard all the same (${pass})`, () =>
    onStage({}, async ({ relay, consumer }) => {
      consumer.send(pass === 'lines' ? 'one\n' : 'one\nraw 100000000\n')
      const wire = await provider(relay)
      await consumer.fill(Buffer.from(`${'x'.repeat(9999)}\n`))
      wire.send('too much\n')
      await hears(consumer, 'too much\n')
    }))
}

test('answers that nobody reads stop the reading of questions', () =>
  onStage({}, async ({ relay, consumer }) => {
    await consumer.fill(Buffer.from('ping\n'.repeat(1000)))
    const { bytesUp } = relay.traffic.counters
    assert.ok(bytesUp < 1.5 * 1024 * 1024, `${bytesUp} bytes were read`)
  }))

test('a line that never ends closes its connection when the buffer is full', () =>
  onStage({}, async ({ relay, consumer }) => {
    const wire = consumer.sendAll(Buffer.alloc(600_000, 'x')).catch(() => undefined)
    await over(relay)
    await wire
    assert.match(relay.log.lines.map(line => line.message).join(), /unconsumed/)
  }))

test('what a session counts and reports is the link counters and the log', () =>
  onStage({}, async ({ relay, consumer }) => {
    consumer.send('note\nnote\nping\n')
    await hears(consumer, 'pong\n')
    assert.equal(relay.traffic.counters.messages, 2)
    assert.equal(relay.traffic.counters.denials, 4)
    assert.deepEqual(relay.log.lines[0]?.facts, { audit: 'noted', uid: UID })
  }))

test('dropped descriptors are closed', () =>
  onStage({}, async ({ consumer }) => {
    const before = openDescriptors()
    const sent = parcels(5)
    consumer.send('# with five\n', sent.fds)
    consumer.send('ping\n')
    await hears(consumer, 'pong\n')
    sent.close()
    assert.equal(openDescriptors(), before)
  }))

test('descriptors of a line that never came to its end are closed with the connection', () =>
  onStage({}, async ({ relay, consumer, connection }) => {
    const before = openDescriptors()
    const sent = parcels(5)
    consumer.send('incomplete', sent.fds)
    await until('they are read', () => relay.traffic.counters.descriptorsPassed === 5)
    connection.close()
    sent.close()
    assert.equal(openDescriptors(), before - 1)
  }))

// Bugs of a session.

const faulty = async (
  session: () => Session,
  act: (opened: Opened) => void | Promise<void>,
): Promise<void> => {
  let made = 0
  const factory = (): Session => {
    made += 1
    return made === 1 ? session() : lineSession()
  }
  await assert.rejects(
    withRelay({ session: factory }, async relay => {
      const bad = relay.connect()
      const good = relay.connect()
      await act(bad)
      await until('the faulty one is closed', () => bad.connection.closed)
      good.consumer.send('ping\n')
      await hears(good.consumer, 'pong\n')
      assert.ok(!good.connection.closed)
    }),
    /boom|descriptors|not shown/,
  )
}

test('a session that throws over bytes costs only its connection', () =>
  faulty(lineSession, ({ consumer }) => void consumer.send('one\nboom\n')))

test('a session that throws over a timer costs only its connection', () =>
  faulty(
    () => ({
      on: (input, out) => {
        if (input.kind === 'opened') out.setTimer('soon', 1)
        if (input.kind === 'timer') throw new Error('boom')
      },
    }),
    () => undefined,
  ))

test('a session that throws over bytes that were held back costs only its connection', () =>
  faulty(lineSession, ({ consumer }) => void consumer.send('wait 1\nboom\n')))

test('a session that throws over an end costs only its connection', () =>
  faulty(
    () => ({
      on: input => {
        if (input.kind === 'ended') throw new Error('boom')
      },
    }),
    ({ consumer }) => consumer.endWriting(),
  ))

test('a session that consumes more than it was shown costs only its connection', () =>
  faulty(
    () => ({
      on: (input, out) => {
        if (input.kind === 'bytes') out.forward(input.from, input.view.length + 1, 0)
      },
    }),
    ({ consumer }) => void consumer.send('x'),
  ))

test('a session that takes descriptors that are not there costs only its connection', () =>
  faulty(
    () => ({
      on: (input, out) => {
        if (input.kind === 'bytes') out.drop(input.from, input.view.length, 1)
      },
    }),
    ({ consumer }) => void consumer.send('x'),
  ))

test('whoever writes to a connection whose session failed gets EPIPE', () =>
  withRelay({ session: lineSession }, async relay => {
    const { consumer } = relay.connect()
    consumer.send('boom\n')
    await until('writing fails', () => consumer.send('x') === Io.gone)
    relay.faults.length = 0
  }))
