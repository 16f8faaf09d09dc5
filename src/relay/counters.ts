/** The counters of one link, written by the data plane and read through `Counters`. */
import { type CommonCounters, type Counters, NO_TRAFFIC } from '../model/mediation.ts'
import type { LinkLog } from '../toolbox/contract.ts'
import type { Side } from './contract.ts'
import { LinkFigures } from './figures.ts'

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

export interface LinkCounters extends Mutable<CommonCounters> {
  /** What only some links count: their protocols' figures, and rare ones of the daemon's own. */
  readonly counted: LinkFigures
}

/** The log hears of what a plugin counts and cannot be shown. */
export const createCounters = (log: Pick<LinkLog, 'warn'>): LinkCounters => ({
  ...NO_TRAFFIC,
  counted: new LinkFigures(log),
})

export const snapshotOf = ({ counted, ...common }: LinkCounters): Counters => ({
  ...common,
  figures: counted.figures(),
  histograms: counted.histograms(),
})

export const countBytes = (counters: LinkCounters, from: Side, bytes: number): void => {
  if (from === 'consumer') counters.bytesUp += bytes
  else counters.bytesDown += bytes
}
