/** A clock that stands still until the test moves it: timers run in order of their time, at exactly that time. */
import type { Clock } from '../../src/model/clock.ts'

export interface ManualClock extends Clock {
  /** Move on, running what comes due on the way. */
  advance(ms: number): void
  /** Timers that are set. */
  readonly armed: number
}

interface Timer {
  readonly at: number
  readonly fn: () => void
}

export const manualClock = (start = 0): ManualClock => {
  let now = start
  const timers = new Set<Timer>()
  const nextUntil = (end: number): Timer | undefined => {
    let first: Timer | undefined
    for (const timer of timers)
      if (timer.at <= end && (first === undefined || timer.at < first.at)) first = timer
    return first
  }
  return {
    now: () => now,
    setTimeout: (fn, timeoutMs) => {
      const timer: Timer = { at: now + timeoutMs, fn: () => fn() }
      timers.add(timer)
      return timer
    },
    clearTimeout: id => {
      timers.delete(id as Timer)
    },
    advance: ms => {
      const end = now + ms
      for (let timer = nextUntil(end); timer !== undefined; timer = nextUntil(end)) {
        timers.delete(timer)
        now = Math.max(now, timer.at)
        timer.fn()
      }
      now = end
    },
    get armed() {
      return timers.size
    },
  }
}
