/**
 * What happens in the daemon, as it is told to whoever listens: the events of `GET /events`, once for the daemon that
 * writes them and for those that read them. Users depend on these names; docs/operations.md lists them, and a
 * test compares the two. Pure. An event is told once; the state of things is to be asked for (`GET /links`).
 */
import * as t from 'io-ts'

const orNull = <A>(codec: t.Type<A, A, unknown>): t.Type<A | null, A | null, unknown> =>
  t.union([codec, t.null])

const event = <K extends string, P extends t.Props>(type: K, props: P) =>
  t.readonly(t.type({ type: t.literal(type), ...props }))

/** Of what was told in the order of `seq`: it grows by one with each, from the start of the daemon on. */
const TOLD = {
  seq: t.number,
  /** ISO 8601, UTC. */
  at: t.string,
}

export const EVENT_CODECS = {
  /** A link moved from one state to another. */
  transition: event('transition', {
    ...TOLD,
    link: t.string,
    /** `null`: the link was not known before. */
    from: orNull(t.string),
    to: t.string,
    /** As the machine's table calls it. */
    event: t.string,
    /** The event, or why it failed or is blocked, for people. */
    reason: t.string,
    pass: t.number,
  }),
  /** It was decided whether a link may be connected. */
  verdict: event('verdict', {
    ...TOLD,
    link: t.string,
    /** `Admitted`, `Denied`, `Conflict` or `Unsupported`. */
    decision: t.string,
    reason: t.string,
    linkType: t.string,
    role: t.string,
    provider: orNull(t.string),
  }),
  /** What a plugin reports of a connection, as a refused request; `facts` depend on `event`. */
  audit: event('audit', {
    ...TOLD,
    link: t.string,
    event: t.string,
    facts: t.readonly(t.record(t.string, t.union([t.string, t.number]))),
  }),
  /** There is another graph in force, or the graph cannot be read any more, or can be read again. */
  graph: event('graph', {
    ...TOLD,
    available: t.boolean,
    links: t.number,
    rejected: t.number,
    /** Why it cannot be read, in words. */
    reason: orNull(t.string),
  }),
  /** The first that a listener hears: who tells, and the number of the last event before. */
  hello: event('hello', { seq: t.number, version: t.string, daemonState: t.string }),
  /** This listener did not read: so many events were not told to it. */
  missed: event('missed', { count: t.number }),
} as const

export type EventType = keyof typeof EVENT_CODECS
export type EventOf<K extends EventType> = t.TypeOf<(typeof EVENT_CODECS)[K]>
/** Anything that comes over `/events`. */
export type StreamEvent = { [K in EventType]: EventOf<K> }[EventType]
/** What is told to everybody. */
export type DaemonEvent = Exclude<StreamEvent, EventOf<'hello'> | EventOf<'missed'>>
