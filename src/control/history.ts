/**
 * What happened to each link lately: its last transitions, without the snapshots they came with.
 * Bounded on every side: entries a link, and links that are gone; those that are there are bounded by the graph.
 */
import type { LinkTransition } from '../controller/links.ts'
import type { LinkKey } from '../model/link.ts'

export interface HistoryEntry extends Omit<LinkTransition, 'link' | 'context'> {
  /** How often in all: a retry that fails as before is the same entry again, so that what came before it stays. */
  readonly times: number
  /** When it happened last; `at` is the first time. Milliseconds since the epoch. */
  readonly lastAt: number
}

export interface History {
  note(transition: LinkTransition): void
  /** From the oldest. Empty: nothing is known of such a link. */
  of(key: LinkKey): readonly HistoryEntry[]
}

export interface HistoryLimits {
  readonly entriesPerLink: number
  /** Links that have been released are remembered for a while: they may come back, or somebody may ask where they went. */
  readonly linksGone: number
}

const DEFAULT_LIMITS: HistoryLimits = { entriesPerLink: 16, linksGone: 256 }

/** A retry is two transitions, there and back. */
const ROUND = 2

export const createHistory = (limits: HistoryLimits = DEFAULT_LIMITS): History => {
  const present = new Map<LinkKey, HistoryEntry[]>()
  /** From the one that was released longest ago. */
  const gone = new Map<LinkKey, HistoryEntry[]>()

  const entriesOf = (key: LinkKey): HistoryEntry[] => {
    const known = present.get(key) ?? gone.get(key) ?? []
    gone.delete(key)
    present.set(key, known)
    return known
  }

  const retire = (key: LinkKey, entries: HistoryEntry[]): void => {
    present.delete(key)
    gone.set(key, entries)
    const [oldest] = gone.keys()
    if (gone.size > limits.linksGone && oldest !== undefined) gone.delete(oldest)
  }

  return {
    note({ link, from, to, event, reason, pass, at }) {
      const entries = entriesOf(link)
      const start = Math.max(0, entries.length - ROUND)
      const same = entries.findIndex(
        (entry, index) => index >= start && entry.from === from && entry.to === to && entry.reason === reason,
      )
      const before = entries[same]
      if (before === undefined) entries.push({ at, from, to, event, reason, pass, times: 1, lastAt: at })
      else entries[same] = { ...before, times: before.times + 1, lastAt: at }
      if (entries.length > limits.entriesPerLink) entries.shift()
      if (to === 'released') retire(link, entries)
    },
    of: key => present.get(key) ?? gone.get(key) ?? [],
  }
}
