/** What should exist, and the difference to what was asked for before. */
import type { Link, LinkKey } from './link.ts'

/** May this link be connected, and who says so. Decided before anything is injected. */
export type Verdict =
  | { readonly _tag: 'Admitted'; readonly rule: string }
  | { readonly _tag: 'Denied'; readonly rule: string }
  /** An earlier link of the graph has the same consumer and target. */
  | { readonly _tag: 'Conflict'; readonly winner: LinkKey }
  | { readonly _tag: 'Unsupported'; readonly reason: string }

/** A denied or unsupported link is here too: users must be able to see why it is not connected. */
export interface DesiredLink {
  readonly key: LinkKey
  readonly link: Link
  readonly verdict: Verdict
}

export interface DesiredState {
  readonly links: Readonly<Record<LinkKey, DesiredLink>>
}

export const NOTHING_DESIRED: DesiredState = { links: {} }

/** Every entry carries the whole new value, never what changed in it. */
export interface Plan {
  readonly wanted: readonly DesiredLink[]
  readonly changed: readonly DesiredLink[]
  readonly unwanted: readonly LinkKey[]
}

export const isEmptyPlan = (plan: Plan): boolean =>
  plan.wanted.length === 0 && plan.changed.length === 0 && plan.unwanted.length === 0

export const sameVerdict = (a: Verdict, b: Verdict): boolean => {
  if (a === b) return true
  switch (a._tag) {
    case 'Admitted':
    case 'Denied':
      return b._tag === a._tag && b.rule === a.rule
    case 'Conflict':
      return b._tag === 'Conflict' && b.winner === a.winner
    case 'Unsupported':
      return b._tag === 'Unsupported' && b.reason === a.reason
  }
}
