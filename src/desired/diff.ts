/**
 * What to say to the links so that the world becomes `next`. Pure, and level-triggered: every entry is a whole value.
 * An unchanged world gives an empty plan, unless a resync repeats everything that is wanted.
 */
import type { DesiredLink, DesiredState, Plan } from '../model/desired.ts'
import type { LinkKey } from '../model/link.ts'
import { sameDesired } from './compute.ts'

export interface DiffOptions {
  /** Repeat what did not change too: it heals whatever got lost on the way. */
  readonly resync: boolean
}

const EMPTY_PLAN: Plan = { wanted: [], changed: [], unwanted: [] }

export const diff = (previous: DesiredState, next: DesiredState, { resync }: DiffOptions): Plan => {
  if (previous === next && !resync) return EMPTY_PLAN
  const wanted: DesiredLink[] = []
  const changed: DesiredLink[] = []
  for (const desired of Object.values(next.links)) {
    const before = previous.links[desired.key]
    if (before === undefined) wanted.push(desired)
    else if (!sameDesired(before, desired)) changed.push(desired)
    else if (resync) wanted.push(desired)
  }
  const unwanted: LinkKey[] = []
  for (const { key } of Object.values(previous.links)) {
    if (next.links[key] === undefined) unwanted.push(key)
  }
  return { wanted, changed, unwanted }
}
