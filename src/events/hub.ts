/**
 * Where live events come together: made of what the control plane and the plugins tell, numbered, the latest kept, and
 * handed to whoever listens. Promises that a listener hears every event in order, once; what it does with one that it
 * cannot take is its own affair. Refuses to know how events travel.
 */
import type { LinkTransition } from '../controller/links.ts'
import { describeVerdict } from '../controller/links.ts'
import type { Noticing } from '../controller/notice.ts'
import type { DesiredLink } from '../model/desired.ts'
import type { Graph } from '../model/graph.ts'
import type { DaemonEvent } from './event.ts'

export type EventListener = (event: DaemonEvent) => void

export interface EventHub {
  /** For the controller. */
  readonly onNotice: Noticing
  readonly onTransition: (transition: LinkTransition) => void
  /** What a plugin reports of a link's connection. */
  audit(link: string, event: string, facts: Readonly<Record<string, string | number>>): void
  /** The number of the last event; 0: there was none. */
  seq(): number
  /** Those of the latest that came after this one, from the oldest. */
  since(seq: number): readonly DaemonEvent[]
  /** Returns how to stop listening. */
  listen(listener: EventListener): () => void
}

/** Of the latest events, so many are kept. */
const EVENTS_KEPT = 512

type Untold = DaemonEvent extends infer One
  ? One extends DaemonEvent
    ? Omit<One, 'seq' | 'at'>
    : never
  : never

/** `wallClock`: milliseconds since the epoch. */
export const createEventHub = (wallClock: () => number, kept = EVENTS_KEPT): EventHub => {
  const listeners = new Set<EventListener>()
  const latest: DaemonEvent[] = []
  let seq = 0
  let graph: Graph | null = null

  const tell = (untold: Untold, at = wallClock()): void => {
    seq += 1
    const event: DaemonEvent = { ...untold, seq, at: new Date(at).toISOString() }
    latest.push(event)
    // Now and then, as taking one from the front moves all the others.
    if (latest.length >= 2 * kept) latest.splice(0, latest.length - kept)
    for (const listener of listeners) listener(event)
  }

  const tellGraph = (available: boolean, reason: string | null): void =>
    tell({
      type: 'graph',
      available,
      links: graph?.links.length ?? 0,
      rejected: graph?.rejected.length ?? 0,
      reason,
    })

  const tellVerdict = ({ key, link, verdict }: DesiredLink): void =>
    tell({
      type: 'verdict',
      link: key,
      decision: verdict._tag,
      reason: describeVerdict(verdict),
      linkType: link.type,
      role: link.role,
      provider: link.provider,
    })

  return {
    onNotice: notice => {
      switch (notice._tag) {
        case 'Decided':
          tellVerdict(notice.desired)
          return
        case 'GraphTaken':
          graph = notice.graph
          tellGraph(true, null)
          return
        case 'Availability': {
          const { status, message } = notice.condition
          if (status !== 'True') tellGraph(false, message)
          // The first graph tells of itself.
          else if (graph !== null) tellGraph(true, null)
          return
        }
        default:
      }
    },
    onTransition: ({ link, from, to, event, reason, pass, at }) =>
      tell({ type: 'transition', link, from, to, event, reason, pass }, at),
    audit: (link, event, facts) => tell({ type: 'audit', link, event, facts }),
    seq: () => seq,
    since: after => latest.slice(-kept).filter(event => event.seq > after),
    listen: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
