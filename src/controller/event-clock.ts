/**
 * The control plane's clock in a daemon: a timeline that follows a real clock, moment by moment. What arrives from outside
 * has a moment of its own, which is the one that a recording writes down; all that was due before is dealt with first. That a
 * timer comes late, as timers do, can then not be told by anything the control plane does.
 */
import type { Clock } from '../model/clock.ts'
import { createTimeline } from './timeline.ts'

export interface EventClock extends Clock {
  /**
   * Something arrives: run what was due before, and let it be now. To be called before it is acted upon. The moment, in
   * milliseconds since the clock was made.
   */
  arrive(): number
}

/** So that a moment is written down as it was, in few digits. */
const PER_MS = 1000

/** `fault` is told of what a timer throws; the others go on. */
export const createEventClock = (base: Clock, fault: (error: unknown) => void): EventClock => {
  const timeline = createTimeline()
  const start = base.now()
  let armed: { readonly id: unknown; readonly due: number } | undefined
  let running = false

  const elapsed = (): number => Math.round((base.now() - start) * PER_MS) / PER_MS

  const disarm = (): void => {
    if (armed !== undefined) base.clearTimeout(armed.id)
    armed = undefined
  }

  const arm = (): void => {
    const due = timeline.nextDue()
    if (due === armed?.due || running) return
    disarm()
    if (due === undefined) return
    armed = { due, id: base.setTimeout(turn, Math.max(0, due - elapsed())) }
  }

  const runDue = (until: number): void => {
    if (running) return
    running = true
    for (let due = timeline.nextDue(); due !== undefined && due <= until; due = timeline.nextDue()) {
      try {
        timeline.runNext()
      } catch (error) {
        fault(error)
      }
    }
    running = false
  }

  const turn = (): void => {
    armed = undefined
    runDue(elapsed())
    arm()
  }

  return {
    now: timeline.now,
    setTimeout: (fn, timeoutMs) => {
      const timer = timeline.setTimeout(fn, timeoutMs)
      arm()
      return timer
    },
    clearTimeout: id => {
      timeline.clearTimeout(id)
      arm()
    },
    arrive: () => {
      const moment = elapsed()
      runDue(moment)
      timeline.goTo(moment)
      arm()
      return timeline.now()
    },
  }
}
