/** Medians, trends, and what counts as growth. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { growth, median, type Sample, slopePerMinute } from './statistics.ts'

/** A sample a second. */
const samples = (...values: readonly number[]): readonly Sample[] =>
  values.map((value, index) => ({ at: index * 1000, value }))

describe('the median', () => {
  it('is the middle one, or between the two in the middle', () => {
    assert.equal(median([3, 1, 2]), 2)
    assert.equal(median([4, 1, 2, 3]), 2.5)
    assert.ok(Number.isNaN(median([])))
  })
})

describe('the slope', () => {
  it('is what is added a minute', () => {
    assert.equal(slopePerMinute(samples(10, 11, 12, 13)), 60)
  })

  it('takes no notice of a single peak', () => {
    assert.equal(slopePerMinute(samples(5, 5, 5, 500, 5, 5, 5)), 0)
  })

  it('of one sample is none', () => {
    assert.equal(slopePerMinute(samples(5)), 0)
    assert.equal(slopePerMinute([]), 0)
  })
})

describe('growth', () => {
  it('is what the last third is above the first, after the warming up', () => {
    assert.equal(growth(samples(1000, 500, 10, 11, 12, 20, 21, 22, 30, 31, 32)), 20)
  })

  it('of too few samples is not known', () => {
    assert.equal(growth(samples(1, 2, 3, 4, 5, 6, 7)), undefined)
  })

  it('is negative where something shrinks', () => {
    assert.equal(growth(samples(0, 0, 30, 30, 20, 20, 10, 10)), -20)
  })
})
