/**
 * The routes of the control API: what each method of each path does, as a table. Requests and answers are plain values;
 * how they travel is the server's business.
 * Everything is asked for at the time of the request. Every refusal says in JSON what was wrong and what to do.
 */
import type { Controller } from '../controller/controller.ts'
import type { PassEnd } from '../controller/trigger.ts'
import type { EventHub } from '../events/hub.ts'
import { type Reader as EventReader, stream } from '../events/sse.ts'
import { E } from '../fp.ts'
import type { Condition } from '../model/condition.ts'
import { linkKeyOf } from '../model/link.ts'
import { type Level, LOG_LEVELS } from '../model/log-level.ts'
import type { Tape } from '../record/tape.ts'
import { adviceFor } from './advice.ts'
import type { History, HistoryEntry } from './history.ts'
import { graphJson, linkDetailsJson, linksJson, stateParts, transitionJson } from './views.ts'

export interface ControlRequest {
  /** As it was sent: `GET`. */
  readonly method: string
  /** The request's target as it was sent, percent-encoded and with its query. */
  readonly url: string
  readonly contentType: string | undefined
  /** What a client that lost its connection heard last. */
  readonly lastEventId?: string | undefined
  readonly body: string
}

/** Whole, in one piece. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Whoever asked, while an answer goes on. */
export interface Reader extends EventReader {
  end(): void
}

/** One that goes on until either side has enough. Its status is 200. */
export interface OngoingAnswer {
  readonly headers: Readonly<Record<string, string>>
  /** Returns what to do when the reader is gone. */
  readonly begin: (reader: Reader) => () => void
}

/** What the routes ask, and the little they may change. */
export interface ControlSubject {
  readonly controller: Pick<
    Controller,
    'state' | 'links' | 'link' | 'graph' | 'graphReadAt' | 'passes' | 'kick'
  >
  /** The controller's, and what else concerns all links. */
  readonly conditions: () => readonly Condition[]
  readonly history: History
  readonly events: EventHub
  readonly tape: Pick<Tape, 'listen'>
  readonly log: { level(): Level; setLevel(level: Level): void; droppedLines(): number }
  readonly policyPath: string
  readonly version: string
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** `rest` is what follows the path of a route that takes more, decoded. */
type Handler = (request: ControlRequest, rest: string) => Answer | OngoingAnswer | Promise<Answer>

interface Route {
  readonly path: string
  /** The path goes on behind a slash, as in `/links/KEY`. */
  readonly takesRest?: true
  readonly methods: Readonly<Record<string, Handler>>
}

export type Answerer = (request: ControlRequest) => Promise<Answer | OngoingAnswer>

export const json = (status: number, value: unknown, headers: Answer['headers'] = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: `${JSON.stringify(value)}\n`,
})

/** `error` is a word for programs, `message` says what happened and what to do. */
export const refusal = (
  status: number,
  error: string,
  message: string,
  headers: Answer['headers'] = {},
): Answer => json(status, { error, message }, headers)

/** Answers every request; `HEAD` is answered as `GET`, and the server leaves the body out. */
export const createRoutes = (subject: ControlSubject): Answerer => {
  const routes = routesFor(subject)
  const shown = routes.map(({ path, takesRest }) => (takesRest ? `${path}/KEY` : path)).join(', ')
  return async request => {
    const path = decodedPath(request.url)
    if (path === null) {
      return refusal(
        400,
        'BadPath',
        `${request.url} is no percent-encoded UTF-8: encode the key of a link as encodeURIComponent does.`,
      )
    }
    const found = findRoute(routes, path)
    if (found === undefined) {
      return refusal(404, 'NoSuchPath', `${path} is not served here. There are: ${shown}.`)
    }
    const { methods } = found.route
    const asked = request.method === 'HEAD' ? 'GET' : request.method
    const [, handler] = Object.entries(methods).find(([method]) => method === asked) ?? []
    if (handler !== undefined) return handler(request, found.rest)
    const allowed = Object.keys(methods).flatMap(method => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
    return refusal(
      405,
      'MethodNotAllowed',
      `${found.route.path} takes ${allowed.join(', ')}, not ${request.method}.`,
      { allow: allowed.join(', ') },
    )
  }
}

/** The path without its query; `null` where it does not decode. */
const decodedPath = (url: string): string | null => {
  const [path = ''] = url.split('?')
  try {
    return decodeURIComponent(path)
  } catch {
    return null
  }
}

const findRoute = (
  routes: readonly Route[],
  path: string,
): { readonly route: Route; readonly rest: string } | undefined => {
  for (const route of routes) {
    if (!route.takesRest && path === route.path) return { route, rest: '' }
    const prefix = `${route.path}/`
    if (route.takesRest && path.startsWith(prefix)) return { route, rest: path.slice(prefix.length) }
  }
  return undefined
}

const routesFor = (subject: ControlSubject): readonly Route[] => [
  { path: '/links', methods: { GET: () => links(subject) } },
  { path: '/links', takesRest: true, methods: { GET: (_, key) => link(subject, key) } },
  { path: '/graph', methods: { GET: () => graph(subject) } },
  { path: '/healthz', methods: { GET: () => json(200, { status: 'alive', version: subject.version }) } },
  { path: '/readyz', methods: { GET: () => readiness(subject) } },
  { path: '/metrics', methods: { GET: () => metrics(subject) } },
  { path: '/events', methods: { GET: request => events(subject, request) } },
  { path: '/recording', methods: { GET: () => recording(subject) } },
  { path: '/reconcile', methods: { POST: () => reconcile(subject) } },
  {
    path: '/log-level',
    methods: { GET: () => logLevel(subject), PUT: request => setLogLevel(subject, request) },
  },
]

const links = ({ controller, now }: ControlSubject): Answer => json(200, linksJson(controller.links(), now()))

const link = (subject: ControlSubject, key: string): Answer => {
  const { controller, history, policyPath } = subject
  const known = linkKeyOf(key)
  const view = controller.link(known)
  if (view === undefined) return noLink(key, history.of(known))
  const now = subject.now()
  const advice = adviceFor(view, { conditions: subject.conditions(), policyPath, now })
  return json(200, linkDetailsJson(view, history.of(known), advice, now))
}

const noLink = (key: string, transitions: readonly HistoryEntry[]): Answer => {
  const last = transitions.at(-1)
  if (last === undefined) {
    const message = `There is no link ${JSON.stringify(key)}: GET /links has those there are.`
    return refusal(404, 'NoSuchLink', message)
  }
  const since = new Date(last.lastAt).toISOString()
  const message = `The link ${JSON.stringify(key)} is gone since ${since}: the graph no longer has it.`
  return json(410, { error: 'LinkGone', message, transitions: transitions.map(transitionJson) })
}

const graph = (subject: ControlSubject): Answer => {
  const { controller, conditions } = subject
  return json(
    200,
    graphJson({
      daemonState: controller.state(),
      graph: controller.graph(),
      readAt: controller.graphReadAt(),
      conditions: conditions(),
    }),
  )
}

const readiness = (subject: ControlSubject): Answer => {
  const { controller, conditions } = subject
  switch (controller.state()) {
    case 'serving':
      return json(200, { status: 'ready' })
    case 'starting':
    case 'syncing': {
      const why = conditions().find(({ type, status }) => type === 'GraphAvailable' && status === 'False')
      const message = why === undefined ? 'No graph was read yet.' : `No graph was read yet: ${why.message}.`
      return refusal(503, 'NotSynced', message)
    }
    case 'draining':
    case 'stopped':
      return refusal(503, 'Draining', 'The daemon is ending.')
  }
}

const metrics = async (subject: ControlSubject): Promise<Answer> => {
  const { controller, conditions, log, version } = subject
  // At the first scrape: neither the daemon's start nor one that nobody scrapes pays for it.
  const { metricsText } = await import('./metrics.ts')
  const { contentType, text } = await metricsText({
    links: controller.links(),
    graph: controller.graph(),
    graphReadAt: controller.graphReadAt(),
    conditions: conditions(),
    passes: controller.passes(),
    logLinesDropped: log.droppedLines(),
    version,
  })
  return { status: 200, headers: { 'content-type': contentType }, body: text }
}

/** `?follow=no`: those that are remembered, and no more. `?since=N`, or Last-Event-ID: those after number N. */
const events = (
  { events: hub, controller, version }: ControlSubject,
  { url, lastEventId }: ControlRequest,
): Answer | OngoingAnswer => {
  const asked = new URLSearchParams(url.split('?')[1] ?? '')
  const follow = asked.get('follow') ?? 'yes'
  const since = asked.get('since') ?? lastEventId ?? (follow === 'no' ? '0' : '')
  if (!['yes', 'no'].includes(follow) || !/^\d{0,15}$/.test(since)) {
    return refusal(
      400,
      'BadQuery',
      `${url} cannot be answered: give follow=yes or no, and since= the number of an event.`,
    )
  }
  const hello = { version, daemonState: controller.state() }
  return {
    headers: { 'content-type': 'text/event-stream' },
    begin: reader => {
      const stop = stream(hub, reader, hello, since === '' ? null : Number(since))
      if (follow === 'yes') return stop
      stop()
      reader.end()
      return () => undefined
    },
  }
}

/** One that cannot be written whole is of no use: a reader that is behind is told so by its end. */
const recording = ({ tape }: ControlSubject): OngoingAnswer => ({
  headers: { 'content-type': 'application/jsonl' },
  begin: reader => {
    let beginning: string[] | undefined = []
    let over = false
    const stop = tape.listen(line => {
      if (beginning !== undefined) beginning.push(line)
      else if (!over && !reader.write(line)) {
        over = true
        reader.end()
      }
    })
    // In one piece: how large it is does not depend on how fast it is read.
    reader.write(beginning.join(''))
    beginning = undefined
    return stop
  },
})

const PASS_ENDS: Readonly<Record<Exclude<PassEnd, 'stopped'>, string>> = {
  done: 'The graph was read and applied.',
  'read-failed': 'The graph could not be read; the last good one was applied again.',
  failed: 'The pass ended with an internal error, which is in the log.',
}

const reconcile = async ({ controller, conditions }: ControlSubject): Promise<Answer> => {
  const outcome = await controller.kick('asked')
  if (outcome === 'stopped') return refusal(503, 'Draining', 'The daemon is ending: no pass begins any more.')
  const counts: Record<string, number> = {}
  for (const view of controller.links()) {
    const { state } = stateParts(view.state)
    counts[state] = (counts[state] ?? 0) + 1
  }
  const unread = conditions().find(({ type, status }) => type === 'GraphAvailable' && status === 'False')
  const why = unread === undefined ? '' : ` ${unread.message}`
  return json(200, {
    outcome,
    message: `${PASS_ENDS[outcome]}${outcome === 'read-failed' ? why : ''}`,
    pass: controller.passes(),
    links: counts,
  })
}

const logLevel = ({ log }: ControlSubject): Answer => json(200, { level: log.level(), allowed: LOG_LEVELS })

/** curl's `-d` calls everything a form: a word is a word all the same. */
const TAKEN = ['application/json', 'text/plain', 'application/x-www-form-urlencoded']

const setLogLevel = (subject: ControlSubject, { contentType, body }: ControlRequest): Answer => {
  const [mediaType = ''] = (contentType ?? '').split(';')
  if (mediaType !== '' && !TAKEN.includes(mediaType.trim().toLowerCase())) {
    return refusal(
      415,
      'UnsupportedMediaType',
      `${mediaType} is not taken here: send {"level":"debug"} as application/json, or the word as text/plain.`,
    )
  }
  const level = levelIn(body)
  if (E.isLeft(level)) {
    const allowed = LOG_LEVELS.join(', ')
    return refusal(
      400,
      'BadLevel',
      `${level.left}: send {"level":"debug"}, or the word alone. Allowed are: ${allowed}.`,
    )
  }
  subject.log.setLevel(level.right)
  return logLevel(subject)
}

const levelIn = (body: string): E.Either<string, Level> => {
  const text = body.trim()
  if (text === '') return E.left('The body is empty')
  const word = /^["{[]/.test(text) ? wordInJson(text) : text
  const level = LOG_LEVELS.find(known => known === word)
  return level === undefined ? E.left(`There is no level ${JSON.stringify(word)}`) : E.right(level)
}

const wordInJson = (text: string): unknown => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && 'level' in value ? value.level : value
  } catch {
    return text
  }
}
