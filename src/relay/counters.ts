/** The counters of one link, written by the data plane and read through `Counters`. */
import { type Counters, NOTHING_COUNTED } from '../model/mediation.ts'
import type { Side } from './contract.ts'

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

export type LinkCounters = Mutable<Counters>

export const createCounters = (): LinkCounters => ({ ...NOTHING_COUNTED })

export const countBytes = (counters: LinkCounters, from: Side, bytes: number): void => {
  if (from === 'consumer') counters.bytesUp += bytes
  else counters.bytesDown += bytes
}
