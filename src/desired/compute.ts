/**
 * Graph + policy + plugins -> what should exist. Pure, and the only home of immer.
 * Promises structural sharing: what did not change keeps its identity, down to the whole tree.
 */
import { produce } from 'immer'
import type { Policy } from '../access/verdict.ts'
import { verdictFor } from '../access/verdict.ts'
import type { DesiredLink, DesiredState, Verdict } from '../model/desired.ts'
import { sameVerdict } from '../model/desired.ts'
import type { Graph } from '../model/graph.ts'
import type { Link, LinkKey } from '../model/link.ts'
import { keyOf, sameLink } from '../model/link.ts'
import type { Catalogue } from '../plugin/contract.ts'
import { conflicts } from './conflict.ts'

export const compute = (
  graph: Graph,
  policy: Policy,
  catalogue: Catalogue,
  previous: DesiredState,
): DesiredState => {
  const inConflict = conflicts()
  const wanted = new Map<LinkKey, DesiredLink>()
  for (const link of graph.links) {
    const verdict = inConflict(link, verdictOf(link, policy, catalogue))
    wanted.set(keyOf(link), { key: keyOf(link), link, verdict })
  }
  // Compared against the previous values themselves: reading through the draft would make a proxy for every link.
  const kept = previous.links
  return produce(previous, draft => {
    for (const [key, desired] of wanted) {
      const before = kept[key]
      if (before === undefined || !sameDesired(before, desired)) draft.links[key] = desired
    }
    for (const { key } of Object.values(kept)) {
      if (!wanted.has(key)) delete draft.links[key]
    }
  })
}

export const sameDesired = (a: DesiredLink, b: DesiredLink): boolean =>
  a === b || (sameLink(a.link, b.link) && sameVerdict(a.verdict, b.verdict))

const verdictOf = (link: Link, policy: Policy, catalogue: Catalogue): Verdict => {
  const opinion = catalogue.admits(link)
  if (catalogue.supports(link.type)) return verdictFor(link, policy, opinion)
  // A type whose plugin failed says why; one that nobody ever heard of cannot.
  return opinion?._tag === 'Unsupported'
    ? opinion
    : { _tag: 'Unsupported', reason: `no plugin for type ${JSON.stringify(link.type)}` }
}
