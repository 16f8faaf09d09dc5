/**
 * Timers in a wheel: setting and clearing one costs the same with ten thousand others there, which is what one timer
 * per connection needs. One timer of the underlying clock drives all of them and none runs while none is set.
 * A timer fires at its time or up to one tick later, never earlier.
 */
import type { Clock } from '../model/clock.ts'

const TICK_MS = 4
const SLOTS = 1024

interface Timer {
  readonly fn: () => void
  readonly due: number
  readonly slot: number
}

export interface TimerWheel extends Clock {
  /** Nobody is called any more, and nothing keeps the process from ending. */
  close(): void
}

/** `fault` is told of what a callback throws; the other timers go on. */
export const createTimerWheel = (base: Clock, fault: (error: unknown) => void): TimerWheel => {
  const slots: Set<Timer>[] = Array.from({ length: SLOTS }, () => new Set<Timer>())
  let size = 0
  /** The first tick that has not been run. */
  let cursor = 0
  let armed: { readonly id: unknown; readonly tick: number } | undefined
  let closed = false

  const run = (timer: Timer): void => {
    try {
      timer.fn()
    } catch (error) {
      fault(error)
    }
  }

  const turn = (): void => {
    armed = undefined
    const now = base.now()
    const last = Math.floor(now / TICK_MS)
    // After a long sleep one round visits every slot; more would only repeat it.
    const from = Math.max(cursor, last - SLOTS + 1)
    cursor = last + 1
    const due: Timer[] = []
    for (let tick = from; tick <= last; tick += 1) {
      for (const timer of slots[tick % SLOTS] ?? []) if (timer.due <= now) due.push(timer)
    }
    due.sort((a, b) => a.due - b.due)
    for (const timer of due) {
      // One that an earlier callback of this turn cleared is not there any more.
      if (slots[timer.slot]?.delete(timer)) {
        size -= 1
        run(timer)
      }
    }
    arm()
  }

  const armAt = (tick: number): void => {
    if (closed) return
    if (armed !== undefined) {
      if (armed.tick <= tick) return
      base.clearTimeout(armed.id)
    }
    armed = { tick, id: base.setTimeout(turn, Math.max(0, Math.ceil(tick * TICK_MS - base.now()))) }
  }

  const arm = (): void => {
    if (size === 0 || closed) return
    for (let tick = cursor; tick < cursor + SLOTS; tick += 1) {
      const slot = slots[tick % SLOTS]
      if (slot !== undefined && slot.size > 0) {
        armAt(tick)
        return
      }
    }
  }

  return {
    now: () => base.now(),
    setTimeout: (fn, timeoutMs) => {
      const now = base.now()
      const due = now + Math.max(0, timeoutMs)
      if (size === 0) cursor = Math.max(cursor, Math.floor(now / TICK_MS))
      const tick = Math.max(Math.ceil(due / TICK_MS), cursor)
      const timer: Timer = { fn, due, slot: tick % SLOTS }
      slots[timer.slot]?.add(timer)
      size += 1
      armAt(tick)
      return timer
    },
    clearTimeout: id => {
      const timer = id as Timer | undefined
      if (timer === undefined || !slots[timer.slot]?.delete(timer)) return
      size -= 1
      if (size > 0 || armed === undefined) return
      base.clearTimeout(armed.id)
      armed = undefined
    },
    close: () => {
      closed = true
      if (armed !== undefined) base.clearTimeout(armed.id)
      armed = undefined
    },
  }
}

/** Node's own time: monotonic, in milliseconds. */
export const nodeClock: Clock = {
  now: () => performance.now(),
  setTimeout: (fn, timeoutMs) => setTimeout(fn, timeoutMs),
  clearTimeout: id => clearTimeout(id as NodeJS.Timeout),
}
