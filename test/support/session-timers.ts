/** A session's timers on a clock that goes only when told to: one per name, some counted from the last byte of a side. */
import type { Side, TimerName } from '../../src/relay/contract.ts'

interface Timer {
  readonly ms: number
  readonly due: number
  readonly from: Side | 'either' | undefined
}

export class SessionTimers {
  readonly #timers = new Map<TimerName, Timer>()
  readonly #movedAt: (from: Side | 'either') => number

  /** `movedAt`: when the last byte of a side came. */
  constructor(movedAt: (from: Side | 'either') => number) {
    this.#movedAt = movedAt
  }

  get size(): number {
    return this.#timers.size
  }

  set(name: TimerName, now: number, ms: number, from?: Side | 'either'): void {
    this.#timers.set(name, { ms, due: now + ms, from })
  }

  clear(name: TimerName): void {
    this.#timers.delete(name)
  }

  /** The first to ring, if nothing moves until then. */
  next(): { readonly name: TimerName; readonly at: number } | undefined {
    const rings = [...this.#timers].map(([name, timer]) => ({ name, at: this.#dueOf(timer) }))
    return rings.sort((a, b) => a.at - b.at)[0]
  }

  #dueOf({ due, ms, from }: Timer): number {
    return from === undefined ? due : Math.max(due, this.#movedAt(from) + ms)
  }
}
