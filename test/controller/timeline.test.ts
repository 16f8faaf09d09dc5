/** Moments in their order, whoever drives the time and however late. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { createEventClock } from '../../src/controller/event-clock.ts'
import { createTimeline } from '../../src/controller/timeline.ts'
import { manualClock } from '../support/clock.ts'

const never = (error: unknown): void => assert.fail(String(error))

describe('a timeline', () => {
  it('stands still until it is told to go', () => {
    const timeline = createTimeline()
    timeline.goTo(7.5)
    assert.equal(timeline.now(), 7.5)
    timeline.goTo(3)
    assert.equal(timeline.now(), 7.5)
  })

  it('runs timers in the order in which they are due, each at its moment, and those of one moment as they were set', () => {
    const timeline = createTimeline()
    const ran: (readonly [string, number])[] = []
    const set = (name: string, ms: number): unknown =>
      timeline.setTimeout(() => ran.push([name, timeline.now()]), ms)
    set('late', 30)
    set('a', 10)
    set('b', 10)
    set('early', 0.125)
    while (timeline.nextDue() !== undefined) timeline.runNext()
    assert.deepEqual(ran, [
      ['early', 0.125],
      ['a', 10],
      ['b', 10],
      ['late', 30],
    ])
    timeline.runNext()
    assert.equal(timeline.now(), 30)
  })

  it('does not run what was cleared, be it while another one runs, and clears twice without harm', () => {
    const timeline = createTimeline()
    const ran: string[] = []
    const second = timeline.setTimeout(() => ran.push('second'), 2)
    timeline.setTimeout(() => {
      ran.push('first')
      timeline.clearTimeout(second)
      timeline.clearTimeout(second)
    }, 1)
    timeline.clearTimeout(undefined)
    while (timeline.nextDue() !== undefined) timeline.runNext()
    assert.deepEqual(ran, ['first'])
  })

  it('keeps its order with thousands that are set and cleared', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.boolean()), {
          minLength: 1500,
          maxLength: 4000,
        }),
        plans => {
          const timeline = createTimeline()
          const ran: number[] = []
          const kept = plans.flatMap(([due, stays], index) => {
            const id = timeline.setTimeout(() => ran.push(index), due)
            if (!stays) timeline.clearTimeout(id)
            return stays ? [{ due, index }] : []
          })
          while (timeline.nextDue() !== undefined) timeline.runNext()
          const expected = kept.sort((a, b) => a.due - b.due || a.index - b.index).map(({ index }) => index)
          assert.deepEqual(ran, expected)
        },
      ),
      { numRuns: 20 },
    )
  })
})

describe('the event clock', () => {
  it('gives what arrives the moment at which it does, and stays there', () => {
    const base = manualClock(1000)
    const clock = createEventClock(base, never)
    base.advance(12.3456)
    assert.equal(clock.now(), 0)
    assert.equal(clock.arrive(), 12.346)
    base.advance(5)
    assert.equal(clock.now(), 12.346)
  })

  it('runs a timer at its own moment, though it comes late', () => {
    const base = manualClock()
    const late = { ...base, setTimeout: (fn: () => void, ms: number) => base.setTimeout(fn, ms + 40) }
    const clock = createEventClock(late, never)
    const moments: number[] = []
    clock.setTimeout(() => moments.push(clock.now()), 10)
    base.advance(100)
    assert.deepEqual(moments, [10])
  })

  it('runs what was due before something arrives, and only that', () => {
    const base = manualClock()
    const late = { ...base, setTimeout: (fn: () => void, ms: number) => base.setTimeout(fn, ms + 1000) }
    const clock = createEventClock(late, never)
    const ran: string[] = []
    clock.setTimeout(() => ran.push('before'), 10)
    clock.setTimeout(() => ran.push('after'), 30)
    base.advance(20)
    clock.arrive()
    assert.deepEqual(ran, ['before'])
  })

  it('keeps one timer of the clock below, and none without one of its own', () => {
    const base = manualClock()
    const clock = createEventClock(base, never)
    const ids = [30, 10, 20].map(ms => clock.setTimeout(() => undefined, ms))
    assert.equal(base.armed, 1)
    for (const id of ids) clock.clearTimeout(id)
    assert.equal(base.armed, 0)
  })

  it('goes on when a timer throws, and says so', () => {
    const base = manualClock()
    const faults: unknown[] = []
    const clock = createEventClock(base, error => faults.push(error))
    const ran: string[] = []
    clock.setTimeout(() => {
      throw new Error('a bug')
    }, 1)
    clock.setTimeout(() => ran.push('next'), 1)
    clock.setTimeout(() => ran.push('later'), 5)
    base.advance(10)
    assert.deepEqual([faults.length, ran], [1, ['next', 'later']])
  })

  it('a timer that arrives somewhere itself does not begin anew', () => {
    const base = manualClock()
    const clock = createEventClock(base, never)
    const moments: number[] = []
    clock.setTimeout(() => {
      base.advance(3)
      moments.push(clock.arrive())
      clock.setTimeout(() => moments.push(clock.now()), 0)
    }, 10)
    base.advance(50)
    assert.equal(moments.length, 2)
    assert.ok((moments[1] ?? 0) >= (moments[0] ?? 0))
  })
})
