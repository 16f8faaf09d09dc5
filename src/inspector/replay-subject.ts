/**
 * A recording as a subject: replayed once, from its first line to its last, and then a timeline that does not change.
 * The context of every link is kept as it was after each transition: contexts share what did not change, so that costs little.
 * Nothing runs any more when somebody scrubs; the page finds states by itself and asks here for what belongs to them.
 */
import { adviceFor } from '../control/advice.ts'
import type { HistoryEntry } from '../control/history.ts'
import { linkDetailsJson } from '../control/views.ts'
import type { LinkTransition, LinkView } from '../controller/links.ts'
import { describeReadError } from '../graph/errors.ts'
import { describeError } from '../model/errors.ts'
import type { Line } from '../record/format.ts'
import type { Replay } from '../replay/contract.ts'
import type { Happening, Subject } from './contract.ts'
import { NOTHING, ofTransition } from './happenings.ts'
import { rowOf } from './rows.ts'
import type { Details, LinkRow, LogEntry, Timeline } from './shared/protocol.ts'
import { indexTimeline } from './shared/timeline.ts'
import { linkActorEvent, linkMovedEvents, type StatelyEvent } from './stately-events.ts'

export interface ReplaySubjectOptions {
  readonly replay: Replay
  /** As people call the recording: its file's name. */
  readonly name: string
  readonly version: string
  /** The link machine's configuration as JSON text, for Stately's inspector. */
  readonly definition: string
}

/** More than this is no recording to scrub by hand: the page would need hundreds of megabytes. */
export const MOST_ENTRIES = 200_000
/** As many as `describe` shows of a link's past. */
const PAST_ENTRIES = 16

/** Replays everything; a recording that cannot be replayed rejects as `Replay.next` does. */
export const createReplaySubject = async (options: ReplaySubjectOptions): Promise<Subject> => {
  const { replay, name, version, definition } = options
  const startedAt = Date.parse(replay.header.startedAt)
  const entries: LogEntry[] = []
  const links = new Map<string, LinkRow>()
  /** By the number of the entry. */
  const moves = new Map<number, LinkTransition>()
  const add = (happening: Happening): number => entries.push({ n: entries.length, ...happening }) - 1

  let cut = false
  for (let step = await replay.next(); step !== undefined; step = await replay.next()) {
    if (entries.length >= MOST_ENTRIES) {
      cut = true
      break
    }
    const cause = step.cause._tag === 'Line' ? ofLine(step.cause.line, startedAt) : undefined
    if (cause !== undefined) add(cause)
    for (const transition of step.transitions) {
      moves.set(add(ofTransition(transition)), transition)
      if (!links.has(transition.link)) links.set(transition.link, rowOf(viewOf(transition)))
    }
  }
  const timeline: Timeline = {
    startedAt,
    endedAt: startedAt + Math.max(replay.endsAt, replay.now()),
    links: [...links.values()],
    entries,
    cut,
  }
  const index = indexTimeline(timeline)
  const about = { mode: 'replay', subject: name, version } as const

  return {
    about,
    watch(watcher) {
      watcher.onWhole({ links: timeline.links, log: [], daemonState: null, conditions: [] })
      return () => undefined
    },
    timeline: () => timeline,
    details: async (key, at) => {
      const position = at ?? entries.length
      const last = index.lastOf(key, position)
      const transition = last === undefined ? undefined : moves.get(last.n)
      return transition === undefined
        ? null
        : detailsOf(transition, pastOf(key, entries.slice(0, position)), index.timeAt(position))
    },
    actors: tell => {
      tell(recordedActors())
      return () => undefined
    },
  }

  function* recordedActors(): Generator<StatelyEvent> {
    for (const { key } of timeline.links) {
      const last = moves.get(index.lastOf(key, entries.length)?.n ?? -1)
      if (last !== undefined) yield linkActorEvent(knownLink(last), definition, startedAt)
    }
    for (const [n, transition] of moves) {
      const at = entries[n]?.at ?? startedAt
      yield* linkMovedEvents(knownLink(transition), transition.event, at)
    }
  }
}

const viewOf = ({ link, to, context }: LinkTransition): LinkView => ({
  key: link,
  desired: context.wanted,
  state: to,
  context,
  counters: null,
})

const knownLink = ({ link, to, context }: LinkTransition) => ({ key: link, state: to, context })

const pastOf = (key: string, before: readonly LogEntry[]): readonly HistoryEntry[] =>
  before
    .filter(({ link, kind }) => link === key && kind === 'transition')
    .slice(-PAST_ENTRIES)
    .map(({ at, from, to, event, reason, pass }) => ({
      at,
      from,
      to,
      event,
      reason,
      pass: pass ?? 0,
      times: 1,
      lastAt: at,
    }))

const detailsOf = (transition: LinkTransition, past: readonly HistoryEntry[], now: number): Details => {
  const view = viewOf(transition)
  const advice = adviceFor(view, { conditions: [], policyPath: 'the policy file', now })
  return { link: linkDetailsJson(view, past, advice, now), context: transition.context }
}

/** What the recording says that links did not say themselves. `undefined`: nothing that people would look for. */
const ofLine = (line: Line, startedAt: number): Happening | undefined => {
  const common = { ...NOTHING, at: startedAt + line.t }
  switch (line.kind) {
    case 'graph':
      return { ...common, kind: 'graph', event: 'graph read', reason: 'another one than before' }
    case 'read-failed':
      return { ...common, kind: 'graph', event: 'graph unavailable', reason: describeReadError(line.error) }
    case 'effect':
      return { ...common, kind: 'effect', link: line.link, event: line.call, reason: effectInWords(line) }
    case 'process-exited':
      return { ...common, kind: 'process', event: 'process exited', reason: `pid ${line.pid}` }
    case 'target-lost':
      return { ...common, kind: 'process', link: line.link, event: line.loss, reason: 'found by a look' }
    case 'signal':
      return { ...common, kind: 'signal', event: line.signal, reason: 'the daemon was told' }
    case 'reconcile-asked':
      return { ...common, kind: 'signal', event: 'reconcile', reason: 'somebody asked for a pass' }
    case 'policy':
      return { ...common, kind: 'policy', event: 'policy read', reason: line.problem ?? 'it is in force' }
    default:
      return undefined
  }
}

const effectInWords = (line: Extract<Line, { readonly kind: 'effect' }>): string => {
  if (line.call === 'onLinkRemoved') {
    const { connectionsClosed, leftBehind } = line.result
    return leftBehind.length === 0 ? `${connectionsClosed} connections closed` : leftBehind.join('; ')
  }
  return line.result._tag === 'Right' ? 'done' : describeError(line.result.left)
}
