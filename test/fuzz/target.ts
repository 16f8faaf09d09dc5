/**
 * What a fuzz target is: invariants of one part of the program, each with inputs made from a seed.
 * A later target is one file in `targets/` that exports `target`; whoever runs it needs to know nothing else of it.
 */
import * as fc from 'fast-check'
import type * as t from 'io-ts'
import { E } from '../../src/fp.ts'

/** One invariant and the inputs it is tried with. */
export interface Property<A> {
  readonly name: string
  readonly inputs: fc.Arbitrary<A>
  /** How an input is written to a file and read back: what breaks an invariant today is tried again for ever. */
  readonly kept: t.Type<A, unknown>
  /** Inputs a round: as many as take about a second at most. */
  readonly tries: number
  /** Throws, or rejects, where it does not hold. */
  readonly holds: (input: A) => void | Promise<void>
}

/** Told of every input, so that one that ends or blocks the whole process can be named. */
export interface Watch {
  /** `input` gives what would be kept of it. */
  readonly trying: (check: string, input: () => unknown) => void
  readonly tried: (check: string, tookMs: number) => void
}

const UNWATCHED: Watch = { trying: () => undefined, tried: () => undefined }

/** An input that breaks an invariant, as small as it could be made. */
export class Found extends Error {
  override readonly name = 'Found'
  readonly check: string
  readonly seed: number
  readonly input: unknown

  constructor(check: string, seed: number, input: unknown, why: unknown) {
    super(`${check} does not hold: ${why instanceof Error ? why.message : String(why)}`, { cause: why })
    this.check = check
    this.seed = seed
    this.input = input
  }
}

/** A property whose kind of input nobody needs to know any more. */
export interface Check {
  readonly name: string
  /** Rejects with `Found`. The same seed tries the same inputs; a `share` of 1 all of them, less the first ones. */
  readonly round: (seed: number, watch: Watch, share: number) => Promise<void>
  /** Try one kept input again; rejects where the invariant does not hold. */
  readonly replay: (kept: unknown) => Promise<void>
}

/** Making an input smaller can take as long as it likes to; this is enough for a person to read it. */
const SHRINKING_MS = 30_000

export const check = <A>({ name, inputs, kept, tries, holds }: Property<A>): Check => ({
  name,
  round: async (seed, watch, share) => {
    let stopAt = Number.POSITIVE_INFINITY
    const property = fc.asyncProperty(inputs, async input => {
      // Past its time a smaller input counts as harmless, so that the smallest one until then is what is kept.
      if (Date.now() > stopAt) return
      watch.trying(name, () => kept.encode(input))
      const start = performance.now()
      try {
        await holds(input)
      } catch (why) {
        stopAt = Math.min(stopAt, Date.now() + SHRINKING_MS)
        throw why
      } finally {
        watch.tried(name, performance.now() - start)
      }
    })
    const { counterexample, errorInstance } = await fc.check(property, {
      seed,
      numRuns: Math.ceil(tries * share),
    })
    if (counterexample !== null) throw new Found(name, seed, kept.encode(counterexample[0]), errorInstance)
  },
  replay: async input => {
    const decoded = kept.decode(input)
    if (E.isLeft(decoded)) throw new Error(`${name} has no such inputs: ${JSON.stringify(input)}`)
    await holds(decoded.right)
  },
})

export interface Target {
  /** Also the name of its file, and of the folder its crashes are kept in. */
  readonly name: string
  readonly about: string
  /** One round of every check, or a share of it; rejects with `Found`. */
  readonly run: (seed: number, watch?: Watch, share?: number) => Promise<void>
  /** Rejects where the invariant does not hold for the input, and where there is no such check. */
  readonly replay: (check: string, input: unknown) => Promise<void>
}

export const targetOf = (name: string, about: string, checks: readonly Check[]): Target => ({
  name,
  about,
  run: async (seed, watch = UNWATCHED, share = 1) => {
    for (const each of checks) await each.round(seed, watch, share)
  },
  replay: async (wanted, input) => {
    const found = checks.find(each => each.name === wanted)
    if (found === undefined) throw new Error(`target ${name} has no check ${wanted}`)
    await found.replay(input)
  },
})
