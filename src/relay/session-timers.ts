/**
 * The timers of one connection's session. A protocol sets and clears them with each message, so that must cost next to
 * nothing: what runs already is only given its new time, and asks again when it rings. Some count from the last time that
 * something moved from a side to the other one, which may pass without the session's seeing it.
 */
import type { Clock } from '../model/clock.ts'
import type { Side, TimerName } from './contract.ts'
import { IDLE_LOOKS } from './idle-watch.ts'

interface Timer {
  /** When it is to fire; infinite: it was cleared. */
  due: number
  ms: number
  /** Whose last movement it counts from, where that is later. */
  from: Side | 'either' | undefined
  /** When the clock calls. */
  rings: number
  id: unknown
}

export class SessionTimers {
  readonly #clock: Clock
  readonly #timers = new Map<TimerName, Timer>()
  readonly #lastMoved: (from: Side | 'either') => number
  readonly #fired: (name: TimerName) => void

  /** `lastMoved`: when something last moved from a side, as the clock tells it. */
  constructor(clock: Clock, lastMoved: (from: Side | 'either') => number, fired: (name: TimerName) => void) {
    this.#clock = clock
    this.#lastMoved = lastMoved
    this.#fired = fired
  }

  /** Start it, or start it anew. `from`: it counts from the last movement from that side, where that comes later. */
  set(name: TimerName, ms: number, from?: Side | 'either'): void {
    const due = this.#clock.now() + ms
    const timer = this.#timers.get(name)
    if (timer === undefined) {
      const created: Timer = { due, ms, from, rings: due, id: undefined }
      this.#ringWithin(name, created, ms)
      this.#timers.set(name, created)
      return
    }
    timer.due = due
    timer.ms = ms
    timer.from = from
    if (timer.rings > due) {
      this.#clock.clearTimeout(timer.id)
      this.#ringWithin(name, timer, ms)
    }
  }

  /** Has it been set, and not fired or been cleared since? */
  has(name: TimerName): boolean {
    return (this.#timers.get(name)?.due ?? Number.POSITIVE_INFINITY) < Number.POSITIVE_INFINITY
  }

  /** It goes on running, for the next one to be set. */
  clear(name: TimerName): void {
    const timer = this.#timers.get(name)
    if (timer !== undefined) timer.due = Number.POSITIVE_INFINITY
  }

  #ringWithin(name: TimerName, timer: Timer, ms: number): void {
    const inMs = timer.from === undefined ? ms : Math.min(ms, Math.ceil(timer.ms / IDLE_LOOKS))
    timer.rings = this.#clock.now() + inMs
    timer.id = this.#clock.setTimeout(() => this.#ring(name, timer), inMs)
  }

  #ring(name: TimerName, timer: Timer): void {
    const now = this.#clock.now()
    const quietUntil = timer.from === undefined ? 0 : this.#lastMoved(timer.from) + timer.ms
    const left = Math.max(timer.due, quietUntil) - now
    if (left > 0 && left < Number.POSITIVE_INFINITY) {
      this.#ringWithin(name, timer, left)
      return
    }
    this.#timers.delete(name)
    if (left <= 0) this.#fired(name)
  }

  close(): void {
    for (const { id } of this.#timers.values()) this.#clock.clearTimeout(id)
    this.#timers.clear()
  }
}
