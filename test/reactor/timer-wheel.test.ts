/** The timer wheel on a clock that the test moves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createTimerWheel } from '../../src/reactor/timer-wheel.ts'
import { manualClock } from '../support/clock.ts'

const TICK_MS = 4
/** A round of the wheel; longer timers stay in their slot for more than one. */
const ROUND_MS = TICK_MS * 1024

const wheel = (start = 0) => {
  const base = manualClock(start)
  const faults: unknown[] = []
  return { base, faults, clock: createTimerWheel(base, error => faults.push(error)) }
}

/** Fractions as well: the real clock has them. */
const delay = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.double({ min: 0, max: 2 * ROUND_MS, noNaN: true }),
  fc.integer({ min: ROUND_MS - 8, max: ROUND_MS + 8 }),
  fc.integer({ min: 0, max: 5 * ROUND_MS }),
)

/** A timer that may be cleared before it is due, and may set another one in its callback. */
const timer = fc.record({
  setAt: fc.integer({ min: 0, max: 2 * ROUND_MS }),
  delay,
  clearAfter: fc.option(fc.integer({ min: 0, max: 2 * ROUND_MS }), { nil: undefined }),
  next: fc.option(delay, { nil: undefined }),
})

interface Fired {
  readonly due: number
  readonly at: number
}

test('whatever is set, cleared and set anew, each fires once, in order, never early and at most a tick late', () => {
  fc.assert(
    fc.property(
      fc.array(timer, { maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: ROUND_MS }), { maxLength: 60 }),
      fc.double({ min: 0, max: 100_000, noNaN: true }),
      (timers, steps, start) => {
        const { base, clock } = wheel(start)
        const fired: Fired[] = []
        let expected = 0
        let cleared = 0
        const set = (delayMs: number, next?: number): { readonly id: unknown; done: boolean } => {
          const due = base.now() + delayMs
          expected += 1
          const id = clock.setTimeout(() => {
            mine.done = true
            fired.push({ due, at: base.now() })
            if (next !== undefined) set(next)
          }, delayMs)
          const mine = { id, done: false }
          return mine
        }
        for (const { setAt, delay, clearAfter, next } of timers) {
          base.setTimeout(() => {
            const mine = set(delay, next)
            if (clearAfter === undefined) return
            base.setTimeout(() => {
              clock.clearTimeout(mine.id)
              if (!mine.done) cleared += 1
            }, clearAfter)
          }, setAt)
        }
        for (const step of steps) base.advance(step)
        base.advance(20 * ROUND_MS)
        assert.equal(fired.length, expected - cleared)
        for (const { due, at } of fired) {
          assert.ok(at >= due, `due at ${due}, fired at ${at}`)
          assert.ok(at - due <= TICK_MS + 1, `due at ${due}, fired at ${at}`)
        }
        assert.equal(base.armed, 0)
      },
    ),
    { numRuns: 300 },
  )
})

test('after a long sleep all that came due fires in order of its time', () => {
  fc.assert(
    fc.property(fc.array(delay, { maxLength: 50 }), delays => {
      const base = manualClock()
      let asleep = true
      // A base that fires nothing while the machine is suspended, and everything late afterwards.
      const late: (() => void)[] = []
      const clock = createTimerWheel(
        {
          now: base.now,
          setTimeout: (fn, ms) => base.setTimeout(() => (asleep ? late.push(() => fn()) : fn()), ms),
          clearTimeout: base.clearTimeout,
        },
        error => {
          throw error
        },
      )
      const order: number[] = []
      for (const ms of delays) clock.setTimeout(() => order.push(ms), ms)
      base.advance(10 * ROUND_MS)
      asleep = false
      for (const fn of late) fn()
      base.advance(10 * ROUND_MS)
      assert.deepEqual(
        order,
        [...delays].sort((a, b) => a - b),
      )
    }),
    { numRuns: 200 },
  )
})

test('a callback that throws is told of and does not stop the others', () => {
  const { base, faults, clock } = wheel()
  let ran = 0
  clock.setTimeout(() => {
    throw new Error('a bug')
  }, 10)
  clock.setTimeout(() => {
    ran += 1
  }, 10)
  clock.setTimeout(() => {
    ran += 1
  }, 30)
  base.advance(100)
  assert.equal(ran, 2)
  assert.equal(faults.length, 1)
})

test('a timer cleared by an earlier one of the same moment does not fire', () => {
  const { base, clock } = wheel()
  let fired = false
  clock.setTimeout(() => clock.clearTimeout(second), 10)
  const second = clock.setTimeout(() => {
    fired = true
  }, 11)
  base.advance(100)
  assert.equal(fired, false)
})

test('a timer of no time at all does not fire within the call that sets it', () => {
  const { base, clock } = wheel()
  let fired = false
  clock.setTimeout(() => {
    fired = true
  }, 0)
  assert.equal(fired, false)
  base.advance(TICK_MS)
  assert.equal(fired, true)
})

test('a timer that sets itself again with no time does not hold the loop', () => {
  const { base, clock } = wheel()
  let fired = 0
  const again = (): void => {
    fired += 1
    clock.setTimeout(again, 0)
  }
  clock.setTimeout(again, 0)
  base.advance(100)
  assert.ok(fired > 0 && fired <= 100 / TICK_MS + 2, `fired ${fired} times`)
})

test('one timer of the base drives ten thousand', () => {
  const { base, clock } = wheel()
  for (let i = 0; i < 10_000; i += 1) clock.setTimeout(() => undefined, i)
  assert.equal(base.armed, 1)
})

test('nothing is armed while nothing is set', () => {
  const { base, clock } = wheel()
  assert.equal(base.armed, 0)
  clock.setTimeout(() => undefined, 10)
  base.advance(20)
  assert.equal(base.armed, 0)
})

test('nothing stays armed for a timer that was cleared', () => {
  const { base, clock } = wheel()
  clock.clearTimeout(clock.setTimeout(() => undefined, 60_000))
  assert.equal(base.armed, 0)
})

test('clearing a timer that has fired, was cleared, or never was, changes nothing', () => {
  const { base, clock } = wheel()
  const fired = clock.setTimeout(() => undefined, 1)
  base.advance(10)
  let ran = false
  clock.setTimeout(() => {
    ran = true
  }, 1)
  clock.clearTimeout(fired)
  clock.clearTimeout(fired)
  clock.clearTimeout(undefined)
  base.advance(10)
  assert.equal(ran, true)
})

test('once it is closed nobody is called, and nothing is armed, whatever is set', () => {
  const { base, clock } = wheel()
  let called = 0
  const call = (): void => {
    called += 1
  }
  clock.setTimeout(call, 10)
  clock.close()
  assert.equal(base.armed, 0)
  clock.setTimeout(call, 10)
  assert.equal(base.armed, 0)
  base.advance(100)
  assert.equal(called, 0)
})
