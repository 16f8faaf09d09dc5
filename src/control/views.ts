/**
 * What the daemon knows, as the JSON of the control API. Pure: snapshots in, plain values out.
 * Promises the field names of shapes.ts, and that nothing is left out because it went wrong: a denied link is shown too.
 */
import type { DaemonState } from '../controller/controller.ts'
import type { LinkView } from '../controller/links.ts'
import { describeVerdict } from '../controller/links.ts'
import type { Condition } from '../model/condition.ts'
import type { Verdict } from '../model/desired.ts'
import { describeError } from '../model/errors.ts'
import type { Graph } from '../model/graph.ts'
import { keyOf, type Link } from '../model/link.ts'
import type { HistoryEntry } from './history.ts'
import type {
  AssignedJson,
  ConditionJson,
  GraphJson,
  LinkDetailsJson,
  LinkJson,
  LinksJson,
  TransitionJson,
  VerdictJson,
} from './shapes.ts'

const isoOf = (ms: number): string => new Date(ms).toISOString()

/** The state's plain name, and where in it the link is: `pending` and `blocked`. */
export const stateParts = (state: string): { readonly state: string; readonly substate: string | null } => {
  const [plain = state, substate = null] = state.split('.')
  return { state: plain, substate }
}

export const conditionJson = ({
  type,
  status,
  reason,
  message,
  lastTransitionTime,
}: Condition): ConditionJson => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: isoOf(lastTransitionTime),
})

const verdictJson = (verdict: Verdict): VerdictJson => {
  const { _tag: decision, ...why } = verdict
  return { decision, ...why }
}

const assignedJson = (link: Link): AssignedJson => ({
  key: keyOf(link),
  consumer: link.consumer,
  consumer_pid: link.consumer_pid,
  provider: link.provider,
  provider_pid: link.provider_pid,
  name: link.name,
  type: link.type,
  role: link.role,
  interface: link.interface,
  target: link.target,
  socket: link.socket,
  uid: link.uid,
})

/** Why the link does not work, or may not, in a few words; `null`: nothing is known against it. */
export const reasonFor = ({ state, desired: { link, verdict }, context }: LinkView): string | null => {
  if (verdict._tag !== 'Admitted') return describeVerdict(verdict)
  // What failed before the consumer went is of no interest any more.
  if (link.consumer_pid === null) return 'the consumer is not running'
  if (context.lastError !== null) return describeError(context.lastError)
  switch (state) {
    case 'pending.waiting':
    case 'pending.blocked':
      return 'it is about to be set up'
    case 'injecting.wanted':
      return 'it is being set up'
    case 'tearing-down.renewing':
      return 'it is being set up anew'
    case 'injecting.abandoned':
    case 'tearing-down.closing':
    case 'released':
      return 'it is being removed'
    default:
      return link.provider_pid === null ? 'the provider is not running' : null
  }
}

/** When a link that failed is tried again; `null`: not by the clock, or not known. */
const nextRetry = ({ state, desired, context }: LinkView, now: number): string | null => {
  if (state !== 'pending.waiting' || context.attempt === 0 || desired.link.consumer_pid === null) return null
  const at = context.since + context.retryDelayMs
  return at < now ? null : isoOf(at)
}

export const linkJson = (view: LinkView, now: number): LinkJson => {
  const { desired, context, counters } = view
  const { lastError, mediation } = context
  // Assigned, not spread: V8 makes an object of two spreads and this many fields twenty times as slowly.
  return Object.assign(assignedJson(desired.link), stateParts(view.state), {
    since: isoOf(context.since),
    reason: reasonFor(view),
    verdict: verdictJson(desired.verdict),
    conditions: context.conditions.map(conditionJson),
    attempt: context.attempt,
    retryDelayMs: context.retryDelayMs,
    nextRetry: nextRetry(view, now),
    lastError: lastError === null ? null : { error: lastError, text: describeError(lastError) },
    planted: mediation === null ? null : mediation.planted,
    counters,
  })
}

const byKey = (a: LinkJson, b: LinkJson): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)

export const linksJson = (views: readonly LinkView[], now: number): LinksJson => ({
  links: views.map(view => linkJson(view, now)).sort(byKey),
})

export const transitionJson = (entry: HistoryEntry): TransitionJson => ({
  ...entry,
  at: isoOf(entry.at),
  lastAt: isoOf(entry.lastAt),
})

export const linkDetailsJson = (
  view: LinkView,
  history: readonly HistoryEntry[],
  advice: readonly string[],
  now: number,
): LinkDetailsJson => ({
  ...linkJson(view, now),
  transitions: history.map(transitionJson),
  advice,
})

export interface GraphFacts {
  readonly daemonState: DaemonState
  /** `null`: none was read yet. */
  readonly graph: Graph | null
  readonly readAt: number | null
  readonly conditions: readonly Condition[]
}

export const graphJson = ({ daemonState, graph, readAt, conditions }: GraphFacts): GraphJson => ({
  daemonState,
  readAt: readAt === null ? null : isoOf(readAt),
  conditions: conditions.map(conditionJson),
  links: (graph?.links ?? []).map(assignedJson),
  rejected: graph?.rejected ?? [],
})
