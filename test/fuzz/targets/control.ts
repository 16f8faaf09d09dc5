/** The control API: any request is answered in JSON that says what to do, and a listener knows of everything, told or missed. */
import assert from 'node:assert/strict'
import { validateHeaderValue } from 'node:http'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import type { StreamEvent } from '../../../src/events/event.ts'
import { createEventHub } from '../../../src/events/hub.ts'
import { stream, textOf } from '../../../src/events/sse.ts'
import { serving } from '../../control/support.ts'
import { aLink } from '../../support/builders.ts'
import { check, targetOf } from '../target.ts'

const KeptRequest = t.type({
  method: t.string,
  url: t.string,
  contentType: t.union([t.string, t.undefined]),
  lastEventId: t.union([t.string, t.undefined]),
  body: t.string,
})
type KeptRequest = t.TypeOf<typeof KeptRequest>

const PATHS = [
  '/links',
  '/links/',
  '/graph',
  '/healthz',
  '/readyz',
  '/metrics',
  '/events',
  '/recording',
  '/reconcile',
  '/log-level',
]

const text = fc.oneof(
  fc.constantFrom(
    '',
    '%',
    '%ff',
    '%2e%2e',
    'app%2Fraw%40%2Frun%2Fa.sock',
    '__proto__',
    '?',
    '#',
    '//',
    '\0',
    '\r\nX: y',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
)

const url = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...PATHS) },
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom(...PATHS), text).map(([path, rest]) => `${path}${rest}`) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.constantFrom('follow', 'since', 'x'),
        fc.constantFrom('no', 'yes', '0', '7', '-1', '1e3', '9'.repeat(16), ''),
      )
      .map(([name, value]) => `/events?${name}=${value}&follow=no`),
  },
  { weight: 1, arbitrary: text },
)

const requests: fc.Arbitrary<KeptRequest> = fc.record({
  method: fc.oneof(
    fc.constantFrom('GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'get', '__proto__', 'constructor'),
    text,
  ),
  url,
  contentType: fc.option(fc.oneof(fc.constantFrom('application/json', 'text/plain;x', 'a/b', ''), text), {
    nil: undefined,
  }),
  lastEventId: fc.option(fc.oneof(fc.constantFrom('0', '3', 'x'), text), { nil: undefined }),
  body: fc.oneof(
    fc.constantFrom(
      '',
      'debug',
      '"info"',
      '{"level":"warn"}',
      '{"level":',
      '{"__proto__":1}',
      '[]',
      'null',
      '{"level":null}',
    ),
    text,
  ),
})

const STATUSES = [200, 400, 404, 405, 410, 415, 503]
const MOST_BODY_CHARS = 100_000

const anyRequestIsAnswered = async (all: readonly KeptRequest[]): Promise<void> => {
  const { routes } = await serving(aLink('app').named('raw').at('/run/a.sock').running(100).from('svc', 200))
  for (const request of all) {
    const answer = await routes(request)
    for (const [name, value] of Object.entries(answer.headers)) validateHeaderValue(name, value)
    if ('begin' in answer) {
      const told: string[] = []
      const reader = {
        write: (each: string) => told.push(each) > 0,
        onDrained: () => undefined,
        end: () => undefined,
      }
      answer.begin(reader)()
      assert.ok(told.every(each => each.endsWith('\n')))
      continue
    }
    assert.ok(STATUSES.includes(answer.status), `${answer.status}`)
    assert.ok(answer.body.length < MOST_BODY_CHARS)
    if (answer.headers['content-type'] !== 'application/json') continue
    const said: unknown = JSON.parse(answer.body)
    if (answer.status < 400) continue
    assert.ok(typeof said === 'object' && said !== null && 'error' in said && 'message' in said)
  }
}

/** As browsers read it (WHATWG HTML, 9.2.6): the data of each event, and its id. */
const heardIn = (
  given: string,
): readonly { readonly data: string; readonly type: string; readonly id: string }[] => {
  const all: { data: string; type: string; id: string }[] = []
  let [data, type, id] = [[] as string[], '', '']
  for (const line of given.split(/\r\n|\n|\r/)) {
    if (line === '') {
      if (data.length > 0) all.push({ data: data.join('\n'), type, id })
      data = []
      type = ''
      continue
    }
    const [, field = '', value = ''] = /^([^:]*):? ?([\s\S]*)$/.exec(line) ?? []
    if (field === 'data') data.push(value)
    else if (field === 'event') type = value
    else if (field === 'id' && !value.includes('\0')) id = value
  }
  return all
}

const Listening = t.type({
  audits: t.readonlyArray(t.string),
  /** Of each text in turn, whether it is taken. */
  takes: t.readonlyArray(t.boolean),
  /** After so many events it joins, and asks for those since then. */
  joinsAfter: t.number,
  since: t.union([t.number, t.null]),
})
type Listening = t.TypeOf<typeof Listening>

const word = fc.oneof(
  fc.constantFrom('a', 'a\nb', '\r', '\r\ndata: x', '\u2028', '\ud800', '\0', ''),
  fc.string({ unit: 'binary', maxLength: 8 }),
)

const listenings: fc.Arbitrary<Listening> = fc.record({
  audits: fc.array(word, { maxLength: 30 }),
  takes: fc.array(fc.boolean(), { maxLength: 40 }),
  joinsAfter: fc.nat(30),
  since: fc.option(fc.nat(40), { nil: null }),
})

/** Few, so that some are forgotten. */
const KEPT = 8

const nothingIsLostInSilence = ({ audits, takes, joinsAfter, since }: Listening): void => {
  const hub = createEventHub(() => 0, KEPT)
  let given = ''
  let turn = 0
  let drained: () => void = () => undefined
  let isReading = false
  const reader = {
    write: (each: string): boolean => {
      const isTaken = isReading || (takes[turn] ?? true)
      turn += 1
      if (isTaken) given += each
      return isTaken
    },
    onDrained: (again: () => void) => {
      drained = again
    },
  }
  let joinedAt: number | undefined
  const join = (): void => {
    joinedAt = hub.seq()
    stream(hub, reader, { version: '1', daemonState: 'serving' }, since)
  }
  for (const [index, facts] of audits.entries()) {
    if (index === joinsAfter) join()
    hub.audit('app/raw', facts, { facts, number: index })
  }
  if (joinedAt === undefined) join()
  isReading = true
  drained()

  const events = heardIn(given).map(({ data, type, id }) => {
    const event: StreamEvent = JSON.parse(data)
    assert.equal(type, event.type)
    assert.equal(textOf(event).includes('\r'), false)
    if (event.type !== 'hello' && 'seq' in event) assert.equal(id, `${event.seq}`)
    return event
  })
  const numbers = events.flatMap(event => (event.type !== 'hello' && 'seq' in event ? [event.seq] : []))
  const missed = events.reduce((sum, event) => sum + (event.type === 'missed' ? event.count : 0), 0)
  assert.ok(
    numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0)),
    'out of order',
  )
  const hellos = events.filter(({ type }) => type === 'hello').length
  const from = since === null || since > (joinedAt ?? 0) ? (joinedAt ?? 0) : since
  assert.equal(hellos + numbers.length + missed, 1 + hub.seq() - from)
}

export const target = targetOf('control', 'requests to the control API, and listeners that fall behind', [
  check({
    name: 'requests',
    inputs: fc.array(requests, { maxLength: 6 }),
    kept: t.readonlyArray(KeptRequest),
    tries: 100,
    holds: anyRequestIsAnswered,
  }),
  check({
    name: 'listening',
    inputs: listenings,
    kept: Listening,
    tries: 300,
    holds: nothingIsLostInSilence,
  }),
])
