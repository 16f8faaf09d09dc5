/** Live events: what is told, in which order, to whom, and what a listener that does not read is told afterwards. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type * as t from 'io-ts'
import { eventReader } from '../../src/cli/event-text.ts'
import { auditEvents, hearingAudits } from '../../src/events/audits.ts'
import { EVENT_CODECS, type StreamEvent } from '../../src/events/event.ts'
import { createEventHub, type EventHub } from '../../src/events/hub.ts'
import { type Reader, stream } from '../../src/events/sse.ts'
import { E } from '../../src/fp.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import { logOfLink, quietLog } from '../../src/toolbox/quiet-log.ts'
import { bodyOf, live } from '../replay/support.ts'
import { aLink } from '../support/builders.ts'
import { manualClock } from '../support/clock.ts'
import { fakeLog } from '../support/fakes.ts'

const NOW = Date.parse('2030-01-01T00:00:00.000Z')

const audits = (hub: EventHub, count: number): void => {
  for (let n = 0; n < count; n += 1) hub.audit('a/b', 'denied', { n })
}

describe('the hub', () => {
  it('numbers what it tells, and tells each listener all of it once', () => {
    const hub = createEventHub(() => NOW)
    const heard: (readonly number[])[] = [[], []]
    hub.listen(({ seq }) => (heard[0] = [...(heard[0] ?? []), seq]))
    audits(hub, 2)
    hub.listen(({ seq }) => (heard[1] = [...(heard[1] ?? []), seq]))
    audits(hub, 2)
    assert.deepEqual(heard, [
      [1, 2, 3, 4],
      [3, 4],
    ])
    assert.equal(hub.seq(), 4)
  })

  it('remembers the latest, and not more', () => {
    const hub = createEventHub(() => NOW, 3)
    for (let n = 1; n < 20; n += 1) {
      audits(hub, 1)
      const seqs = hub.since(0).map(({ seq }) => seq)
      assert.deepEqual(
        seqs,
        [n - 2, n - 1, n].filter(seq => seq > 0),
      )
    }
    assert.deepEqual(
      hub.since(18).map(({ seq }) => seq),
      [19],
    )
  })

  it('tells of graphs, verdicts and transitions of a control plane, each as its codec has it', async () => {
    const hub = createEventHub(() => NOW)
    const l = live({ onNotice: hub.onNotice })
    l.controller.onTransition(hub.onTransition)
    const told: StreamEvent[] = []
    hub.listen(event => told.push(event))
    l.body = bodyOf(aLink('app').build(), { type: 'unix' })
    await l.advance(3000)
    assert.deepEqual(
      told.map(event =>
        event.type === 'graph' ? [event.available, event.links, event.rejected] : event.type,
      ),
      [[false, 0, 0], [true, 1, 1], 'verdict', 'transition', 'transition'],
    )
    for (const event of told) {
      const decoded: t.Validation<StreamEvent> = EVENT_CODECS[event.type].decode(event)
      assert.ok(E.isRight(decoded))
    }
  })

  it('tells that the graph cannot be read, once, and that it can be again', () => {
    const hub = createEventHub(() => NOW)
    const told: StreamEvent[] = []
    hub.listen(event => told.push(event))
    const available = (status: 'True' | 'False', message: string): void =>
      hub.onNotice({
        _tag: 'Availability',
        condition: { type: 'GraphAvailable', status, reason: 'X', message, lastTransitionTime: 0 },
      })
    available('True', '')
    hub.onNotice({ _tag: 'GraphTaken', graph: { links: [aLink().build()], rejected: [] } })
    available('False', 'nobody answers')
    available('True', '')
    assert.deepEqual(
      told.map(event => event.type === 'graph' && [event.available, event.links, event.reason]),
      [
        [true, 1, null],
        [false, 1, 'nobody answers'],
        [true, 1, null],
      ],
    )
  })
})

describe('audits', () => {
  it('reach the log as they did, and are events of their link', () => {
    const hub = createEventHub(() => NOW)
    const log = fakeLog()
    const heard = hearingAudits(logOfLink(log, 'a/b'), logOfLink(auditEvents(hub), 'a/b'))
    heard.info({ audit: 'refused', status: 403, odd: { no: 'fact' } }, 'session event')
    heard.info({ other: 1 }, 'not an audit')
    assert.equal(log.lines.length, 2)
    const [event, ...others] = hub.since(0)
    assert.deepEqual(others, [])
    assert.deepEqual(event, {
      type: 'audit',
      seq: 1,
      at: '2030-01-01T00:00:00.000Z',
      link: 'a/b',
      event: 'refused',
      facts: { status: 403 },
    })
  })

  it('of a client that is denied all the time leave room for everything else', () => {
    const hub = createEventHub(() => NOW)
    const clock = manualClock()
    const bounded = quietLog(auditEvents(hub), {
      clock,
      burstLines: DEFAULT_LIMITS.logBurstLines,
      everyMs: DEFAULT_LIMITS.logEveryMs,
    })
    for (let n = 0; n < 10_000; n += 1) logOfLink(bounded, 'a/b').info({ audit: 'refused' }, 'session event')
    clock.advance(60_000)
    const told = hub.since(0)
    assert.ok(told.length < 40, String(told.length))
    const held = told.flatMap(event => (event.type === 'audit' && event.event === 'held-back' ? [event] : []))
    assert.equal(
      held.reduce((sum, { facts }) => sum + Number(facts['suppressed']), 0) + told.length - held.length,
      10_000,
    )
  })
})

interface SlowReader extends Reader {
  room: number
  readonly text: () => string
  readonly drained: () => void
}

const slowReader = (room: number): SlowReader => {
  let text = ''
  let again = (): void => undefined
  const reader: SlowReader = {
    room,
    text: () => text,
    drained: () => again(),
    write: piece => {
      if (reader.room <= 0) return false
      reader.room -= 1
      text += piece
      return true
    },
    onDrained: next => {
      again = next
    },
  }
  return reader
}

const HELLO = { version: '1.2.3', daemonState: 'serving' }

const eventsIn = (text: string): readonly StreamEvent[] => eventReader()(text)

const shapeOf = (event: StreamEvent): unknown =>
  event.type === 'missed' ? { missed: event.count } : event.type === 'hello' ? 'hello' : event.seq

describe('a listener', () => {
  it('hears who tells, then what happens', () => {
    const hub = createEventHub(() => NOW)
    audits(hub, 3)
    const reader = slowReader(100)
    const stop = stream(hub, reader, HELLO, null)
    audits(hub, 2)
    stop()
    audits(hub, 1)
    assert.deepEqual(eventsIn(reader.text()).map(shapeOf), ['hello', 4, 5])
    assert.deepEqual(eventsIn(reader.text())[0], { type: 'hello', seq: 3, ...HELLO })
  })

  it('that heard some before hears what came after that', () => {
    const hub = createEventHub(() => NOW)
    audits(hub, 5)
    const reader = slowReader(100)
    stream(hub, reader, HELLO, 3)
    assert.deepEqual(eventsIn(reader.text()).map(shapeOf), ['hello', 4, 5])
  })

  it('that was away for too long is told how much it missed', () => {
    const hub = createEventHub(() => NOW, 2)
    audits(hub, 9)
    const reader = slowReader(100)
    stream(hub, reader, HELLO, 3)
    assert.deepEqual(eventsIn(reader.text()).map(shapeOf), ['hello', { missed: 4 }, 8, 9])
  })

  it('that comes with the number of another daemon hears what there is from now on', () => {
    const hub = createEventHub(() => NOW)
    audits(hub, 2)
    const reader = slowReader(100)
    stream(hub, reader, HELLO, 4711)
    audits(hub, 1)
    assert.deepEqual(eventsIn(reader.text()).map(shapeOf), ['hello', 3])
  })

  it('that does not read misses what it has no room for, and is told so before it hears more', () => {
    const hub = createEventHub(() => NOW)
    const reader = slowReader(3)
    stream(hub, reader, HELLO, null)
    audits(hub, 10)
    assert.deepEqual(eventsIn(reader.text()).map(shapeOf), ['hello', 1, 2])
    reader.room = 3
    audits(hub, 3)
    assert.deepEqual(eventsIn(reader.text()).map(shapeOf), ['hello', 1, 2, { missed: 8 }, 11, 12])
  })

  it('is told what it missed as soon as it has read, though nothing more happens', () => {
    const hub = createEventHub(() => NOW)
    const reader = slowReader(1)
    stream(hub, reader, HELLO, null)
    audits(hub, 4)
    reader.room = 10
    reader.drained()
    reader.drained()
    assert.deepEqual(eventsIn(reader.text()).map(shapeOf), ['hello', { missed: 4 }])
  })
})

describe('a stream of events, read', () => {
  it('is the same events however it is cut', () => {
    const hub = createEventHub(() => NOW)
    const reader = slowReader(100)
    stream(hub, reader, HELLO, null)
    audits(hub, 3)
    const text = reader.text()
    for (let cut = 0; cut <= text.length; cut += 1) {
      const read = eventReader()
      assert.deepEqual([...read(text.slice(0, cut)), ...read(text.slice(cut))], eventsIn(text))
    }
  })

  it('leaves out what it does not know', () => {
    const odd =
      'event: earthquake\ndata: {}\n\n: a comment\n\nevent: missed\ndata: {"count":"x"}\n\nevent: missed\ndata: {\n\n'
    assert.deepEqual(eventsIn(odd), [])
  })
})
