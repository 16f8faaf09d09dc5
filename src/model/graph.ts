/** What one answer of `GET /xconnect-graph` says: the links that could be understood, and the entries that could not. */
import type { Link } from './link.ts'

export interface RejectedEntry {
  /** Position in the array, from 0. */
  readonly index: number
  /** Which field is wrong and how, for people. */
  readonly reason: string
  /** `consumer/name` as the entry has them, where both can be read: by that its owner finds it again. */
  readonly called?: string
}

export interface Graph {
  /** In the array's order: where two links want one target, the first wins. */
  readonly links: readonly Link[]
  readonly rejected: readonly RejectedEntry[]
}

export const EMPTY_GRAPH: Graph = { links: [], rejected: [] }
