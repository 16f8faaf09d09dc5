/** What the process that runs rounds tells the one that watches it, a JSON line each. */
import * as t from 'io-ts'

const Tally = t.type({
  inputs: t.number,
  /** The slowest input, and the round it was in. */
  slowestMs: t.number,
  slowestSeed: t.number,
})
export type Tally = t.TypeOf<typeof Tally>

export const News = t.union([
  t.type({ says: t.literal('round'), seed: t.number }),
  /** It is tried next. Told only on request: there are many. */
  t.type({ says: t.literal('input'), check: t.string, input: t.unknown }),
  t.type({ says: t.literal('found'), check: t.string, seed: t.number, input: t.unknown, reason: t.string }),
  /** By check, over all rounds so far. */
  t.type({ says: t.literal('tried'), tallies: t.record(t.string, Tally) }),
])
export type News = t.TypeOf<typeof News>
