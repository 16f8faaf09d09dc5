/**
 * What the links have counted over all their mediations: a container that restarts, or a link that leaves the graph and
 * comes back, does not set its counters back. Bounded: it remembers the links whose mediations ended last.
 */
import { addFigures, addTimes, totalsAmong } from '../model/figures.ts'
import type { LinkKey } from '../model/link.ts'
import { type Counters, type Mediation, NOTHING_COUNTED } from '../model/mediation.ts'

/** More than this many links that came and went on one device is churn, and a counter may then begin anew. */
const MOST_REMEMBERED = 4096

export interface Totals {
  /** The mediation is over: what it counted stays. */
  ended(key: LinkKey, mediation: Mediation): void
  /** With what is alive now, if anything is; `null`: nothing ever was. */
  of(key: LinkKey, alive: Mediation | undefined): Counters | null
}

const sum = (past: Counters, now: Counters): Counters => ({
  connectionsOpen: now.connectionsOpen,
  connectionsTotal: past.connectionsTotal + now.connectionsTotal,
  connectionsRefused: past.connectionsRefused + now.connectionsRefused,
  bytesUp: past.bytesUp + now.bytesUp,
  bytesDown: past.bytesDown + now.bytesDown,
  descriptorsPassed: past.descriptorsPassed + now.descriptorsPassed,
  messages: past.messages + now.messages,
  denials: past.denials + now.denials,
  figures: addFigures(past.figures, now.figures),
  histograms: addTimes(past.histograms, now.histograms),
})

export const createTotals = (mostRemembered = MOST_REMEMBERED): Totals => {
  /** From the one that ended longest ago. */
  const past = new Map<LinkKey, Counters>()
  return {
    ended(key, mediation) {
      const total = sum(past.get(key) ?? NOTHING_COUNTED, mediation.counters())
      past.delete(key)
      past.set(key, { ...total, connectionsOpen: 0, figures: totalsAmong(total.figures) })
      const [oldest] = past.keys()
      if (past.size > mostRemembered && oldest !== undefined) past.delete(oldest)
    },
    of(key, alive) {
      const before = past.get(key)
      if (alive === undefined) return before ?? null
      const now = alive.counters()
      return before === undefined ? now : sum(before, now)
    },
  }
}
