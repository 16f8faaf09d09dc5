/**
 * What the control API answers: the names of its fields, once for the daemon that writes them and the verbs that read
 * them. Users depend on these names; docs/operations.md lists them, and a test compares the two.
 * Fields of Pantavisor keep Pantavisor's spelling; times are ISO 8601 in UTC.
 */
import * as t from 'io-ts'

const orNull = <A>(codec: t.Type<A, A, unknown>): t.Type<A | null, A | null, unknown> =>
  t.union([codec, t.null])

export const ConditionJson = t.readonly(
  t.type({
    type: t.string,
    status: t.string,
    reason: t.string,
    message: t.string,
    lastTransitionTime: t.string,
  }),
)
export type ConditionJson = t.TypeOf<typeof ConditionJson>

/** `rule`, `winner` or `reason` says why, and the other two are absent. */
export const VerdictJson = t.readonly(
  t.intersection([
    t.type({ decision: t.string }),
    t.partial({ rule: t.string, winner: t.string, reason: t.string }),
  ]),
)
export type VerdictJson = t.TypeOf<typeof VerdictJson>

/** The error as a value, with its tag and facts (docs/errors.md), and in words. */
export const ErrorJson = t.readonly(
  t.type({ error: t.intersection([t.type({ _tag: t.string }), t.UnknownRecord]), text: t.string }),
)
export type ErrorJson = t.TypeOf<typeof ErrorJson>

export const PlantedJson = t.readonly(
  t.intersection([
    t.type({
      target: t.string,
      kind: t.string,
      device: t.string,
      inode: t.string,
      directoriesMade: t.readonlyArray(t.string),
    }),
    /** Of a device node: which device. */
    t.partial({ represents: t.string }),
  ]),
)
export type PlantedJson = t.TypeOf<typeof PlantedJson>

export const FigureJson = t.readonly(
  t.type({
    of: t.string,
    name: t.string,
    help: t.string,
    labels: t.readonly(t.record(t.string, t.string)),
    kind: t.string,
    value: t.number,
  }),
)
export type FigureJson = t.TypeOf<typeof FigureJson>

export const TimesJson = t.readonly(
  t.type({
    name: t.string,
    help: t.string,
    bucketsMs: t.readonlyArray(t.number),
    /** Of each bucket alone; behind the last, of what took longer. */
    counts: t.readonlyArray(t.number),
    sumMs: t.number,
  }),
)
export type TimesJson = t.TypeOf<typeof TimesJson>

export const CountersJson = t.readonly(
  t.type({
    connectionsOpen: t.number,
    connectionsTotal: t.number,
    connectionsRefused: t.number,
    bytesUp: t.number,
    bytesDown: t.number,
    descriptorsPassed: t.number,
    messages: t.number,
    denials: t.number,
    figures: t.readonlyArray(FigureJson),
    histograms: t.readonlyArray(TimesJson),
  }),
)
export type CountersJson = t.TypeOf<typeof CountersJson>

/** The four words for where a link is; a substate says more. */
export const LINK_STATES = ['pending', 'injecting', 'mediating', 'tearing-down'] as const

/** A link as Pantavisor's graph has it, and its key. */
const AssignedFields = {
  key: t.string,
  consumer: t.string,
  consumer_pid: orNull(t.number),
  provider: orNull(t.string),
  provider_pid: orNull(t.number),
  name: t.string,
  type: t.string,
  role: t.string,
  interface: t.string,
  target: t.string,
  socket: t.string,
  uid: orNull(t.number),
}
export const AssignedJson = t.readonly(t.type(AssignedFields))
export type AssignedJson = t.TypeOf<typeof AssignedJson>

const LinkFields = {
  ...AssignedFields,
  state: t.string,
  substate: orNull(t.string),
  since: t.string,
  /** Why it does not work, or may not; `null`: nothing is known against it. */
  reason: orNull(t.string),
  verdict: VerdictJson,
  conditions: t.readonlyArray(ConditionJson),
  attempt: t.number,
  retryDelayMs: t.number,
  nextRetry: orNull(t.string),
  lastError: orNull(ErrorJson),
  planted: orNull(PlantedJson),
  counters: orNull(CountersJson),
}
export const LinkJson = t.readonly(t.type(LinkFields))
export type LinkJson = t.TypeOf<typeof LinkJson>

export const TransitionJson = t.readonly(
  t.type({
    at: t.string,
    from: orNull(t.string),
    to: t.string,
    event: t.string,
    reason: t.string,
    pass: t.number,
    /** The same again and again, as when a retry fails as before, is one item. */
    times: t.number,
    lastAt: t.string,
  }),
)
export type TransitionJson = t.TypeOf<typeof TransitionJson>

/** `GET /links` */
export const LinksJson = t.readonly(t.type({ links: t.readonlyArray(LinkJson) }))
export type LinksJson = t.TypeOf<typeof LinksJson>

/** `GET /links/KEY` */
export const LinkDetailsJson = t.readonly(
  t.type({ ...LinkFields, transitions: t.readonlyArray(TransitionJson), advice: t.readonlyArray(t.string) }),
)
export type LinkDetailsJson = t.TypeOf<typeof LinkDetailsJson>

const RejectedJson = t.readonly(
  t.intersection([t.type({ index: t.number, reason: t.string }), t.partial({ called: t.string })]),
)

/** `GET /graph`: the last good one, which is in force. */
export const GraphJson = t.readonly(
  t.type({
    daemonState: t.string,
    readAt: orNull(t.string),
    conditions: t.readonlyArray(ConditionJson),
    links: t.readonlyArray(AssignedJson),
    rejected: t.readonlyArray(RejectedJson),
  }),
)
export type GraphJson = t.TypeOf<typeof GraphJson>

/** Every answer that is no success. */
export const RefusalJson = t.readonly(t.type({ error: t.string, message: t.string }))
export type RefusalJson = t.TypeOf<typeof RefusalJson>
