/**
 * What the benchmark is made of: a measure has trials, a trial has lanes, a lane gives one sample a round. A new measure
 * is a file in `measures/` and its line in `measures/index.ts`; nothing else knows one from another.
 */
import type { Contender } from './contenders.ts'
import type { Generator } from './generator.ts'
import type { GraphDaemon } from './graph-daemon.ts'
import type { HttpGenerator } from './http-generator.ts'
import type { Window } from './program.ts'

/**
 * `reference`: what the others are held against. `relay`: our daemon where it only relays, for what more than that costs. `peer`: a
 * proxy of the usual design, or a daemon that was given on the command line. `tool`: another way to do the same. Only the
 * reference, `ours` and `relay` decide whether the benchmark ends well.
 */
export type Role = 'reference' | 'ours' | 'relay' | 'tool' | 'peer'

export interface Bar {
  /** `null`: on the value itself. Of several peers each is held against it. */
  readonly ratioTo: 'reference' | 'relay' | 'peer' | null
  readonly bound: 'at least' | 'at most'
  readonly value: number
}

export interface Figure {
  /** Unique within its measure, and the same in every version: programs read it. */
  readonly key: string
  readonly title: string
  readonly unit: string
  readonly better: 'more' | 'less'
  /** For `ours`. For information: a missed bar is no failure. */
  readonly bars: readonly Bar[]
}

/** Values by the key of their figure; one that is absent was not to be had. */
export type Sample = Readonly<Record<string, number>>

export interface Lane {
  readonly contender: string
  readonly role: Role
  /** Rejects in words if something did not work; the lane is then left out of the rounds to come. */
  readonly sample: () => Promise<Sample>
}

/** Figures that are measured together, of everybody in turn. */
export interface Trial {
  readonly figures: readonly Figure[]
  readonly lanes: readonly Lane[]
}

export interface Opened {
  readonly trials: readonly Trial[]
  /** What the lanes share is given back. */
  readonly close: () => Promise<void>
}

export interface Measure {
  /** As `--only` knows it. */
  readonly name: string
  readonly title: string
  /** Whether it uses `Bench.contenders`: they run only as long as somebody does. */
  readonly needsContenders: boolean
  readonly rounds: (settings: Settings) => number
  readonly open: (bench: Bench) => Promise<Opened>
}

export interface Settings {
  readonly rounds: number
  /** Of one run of the load. */
  readonly window: Window
  /** Fewer and shorter looks wherever there is a choice. */
  readonly quick: boolean
}

/** What a measure is given. */
export interface Bench {
  readonly settings: Settings
  /** A folder of this run's own. */
  readonly scratch: string
  /** A path in it that nobody has used yet, short enough for a socket: what a peer left behind must not be taken for new. */
  readonly newPath: () => string
  readonly generator: Generator
  readonly http: HttpGenerator
  /** The socket of the one provider, on the host. */
  readonly provider: string
  /** Ways from a client to that provider, all up. */
  readonly contenders: readonly Contender[]
  /** Daemons that read a graph: ours, and the peers that came up. */
  readonly daemons: readonly GraphDaemon[]
}

export const NOTHING_TO_CLOSE = (): Promise<void> => Promise.resolve()
