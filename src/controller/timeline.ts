/**
 * Time as a row of moments: it stands still while something is dealt with, and goes on when it is told to. Timers fire in
 * the order in which they are due, each at exactly that moment, however late whoever drives the time may be.
 * So two drivers that tell it the same moments see the same things happen, which is what a replay is. Knows no real clock.
 */
import type { Clock } from '../model/clock.ts'

export interface Timeline extends Clock {
  /** When the next timer is due; `undefined`: none is set. */
  nextDue(): number | undefined
  /** Go to the moment of the next timer and run it. Nothing happens without one. */
  runNext(): void
  /** Go to a moment; one that is over is now. Timers that are due by then must have been run before. */
  goTo(moment: number): void
}

interface Timer {
  readonly due: number
  readonly order: number
  /** `undefined`: it was cleared. */
  fn: (() => void) | undefined
}

const isBefore = (a: Timer, b: Timer): boolean => a.due < b.due || (a.due === b.due && a.order < b.order)

/** Cleared timers stay until they come up, or until they are so many that it pays to sort them out. */
const MOST_CLEARED = 1024

/** A binary heap: ten thousand links have a timer each. */
export const createTimeline = (): Timeline => {
  let now = 0
  let made = 0
  let cleared = 0
  let heap: Timer[] = []

  const at = (index: number): Timer => {
    const timer = heap[index]
    if (timer === undefined) throw new Error('a heap has no hole')
    return timer
  }

  const swap = (a: number, b: number): void => {
    const timer = at(a)
    heap[a] = at(b)
    heap[b] = timer
  }

  const rise = (from: number): void => {
    let index = from
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(at(index), at(parent))) return
      swap(index, parent)
      index = parent
    }
  }

  const sink = (from: number): void => {
    let index = from
    for (;;) {
      let least = index
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < heap.length && isBefore(at(child), at(least))) least = child
      }
      if (least === index) return
      swap(index, least)
      index = least
    }
  }

  const removeFirst = (): void => {
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    heap[0] = last
    sink(0)
  }

  const dropCleared = (): void => {
    while (heap[0] !== undefined && heap[0].fn === undefined) {
      removeFirst()
      cleared -= 1
    }
  }

  const sortOut = (): void => {
    heap = heap.filter(({ fn }) => fn !== undefined).sort((a, b) => (isBefore(a, b) ? -1 : 1))
    cleared = 0
  }

  return {
    now: () => now,
    setTimeout: (fn, timeoutMs) => {
      made += 1
      const timer: Timer = { due: now + Math.max(0, timeoutMs), order: made, fn: () => fn() }
      heap.push(timer)
      rise(heap.length - 1)
      return timer
    },
    clearTimeout: id => {
      const timer = id as Timer | undefined
      if (timer?.fn === undefined) return
      timer.fn = undefined
      cleared += 1
      if (cleared > MOST_CLEARED && cleared > heap.length / 2) sortOut()
    },
    nextDue: () => {
      dropCleared()
      return heap[0]?.due
    },
    runNext: () => {
      dropCleared()
      const [timer] = heap
      if (timer === undefined) return
      removeFirst()
      now = Math.max(now, timer.due)
      const { fn } = timer
      timer.fn = undefined
      fn?.()
    },
    goTo: moment => {
      now = Math.max(now, moment)
    },
  }
}
