/** Two links, one target: the first in the graph's order that may be connected has it. Pure. */
import type { Verdict } from '../model/desired.ts'
import type { Link, LinkKey } from '../model/link.ts'
import { keyOf } from '../model/link.ts'

/** Turns the verdict of a link into `Conflict` where an earlier admitted one has its target. To be asked in graph order. */
export const conflicts = (): ((link: Link, verdict: Verdict) => Verdict) => {
  const winners = new Map<string, LinkKey>()
  return (link, verdict) => {
    // A link that is refused anyway does not keep others from its target.
    if (verdict._tag !== 'Admitted') return verdict
    const place = `${link.consumer}\0${link.target}`
    const winner = winners.get(place)
    if (winner !== undefined) return { _tag: 'Conflict', winner }
    winners.set(place, keyOf(link))
    return verdict
  }
}
