/** The counters of one link, written by the data plane and read through `Counters`. */
import type { Counters } from '../model/mediation.ts'
import type { Side } from './contract.ts'

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

export type LinkCounters = Mutable<Counters>

export const createCounters = (): LinkCounters => ({
  connectionsOpen: 0,
  connectionsTotal: 0,
  connectionsRefused: 0,
  bytesUp: 0,
  bytesDown: 0,
  descriptorsPassed: 0,
  messages: 0,
  denials: 0,
})

export const countBytes = (counters: LinkCounters, from: Side, bytes: number): void => {
  if (from === 'consumer') counters.bytesUp += bytes
  else counters.bytesDown += bytes
}
