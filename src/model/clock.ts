/** Time and chance, passed in: the real loop, a simulated clock in a test, and a replay drive the same code. */
import type { Chance } from './chance.ts'

export interface Clock {
  /** Milliseconds that only grow; where they count from is not said. */
  now(): number
  /** Shaped as xstate's clock, so that one object serves machines and data plane. */
  setTimeout(fn: (...args: unknown[]) => void, timeoutMs: number): unknown
  clearTimeout(id: unknown): void
}

/** What else differs between a real run and a replay. */
export interface Environment {
  readonly clock: Clock
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number
  readonly random: Chance
}
