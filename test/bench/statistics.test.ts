import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { median, ratiosOf, rotated, spreadOf } from './statistics.ts'

describe('statistics', () => {
  test('the median of an odd number of values is the middle one, whatever their order', () => {
    assert.equal(median([9, 1, 5]), 5)
  })

  test('the median of an even number is half way between the two in the middle', () => {
    assert.equal(median([10, 1, 2, 4]), 3)
  })

  test('no values have no median and no spread', () => {
    assert.deepEqual(spreadOf([]), { median: Number.NaN, min: Number.NaN, max: Number.NaN })
  })

  test('values are compared as numbers', () => {
    assert.deepEqual(spreadOf([10, 9, 100]), { median: 10, min: 9, max: 100 })
  })

  test('a ratio is taken round by round', () => {
    assert.deepEqual(ratiosOf([2, 8], [4, 2]), [0.5, 4])
  })

  test('a round in which either has no value, or the reference none to divide by, has no ratio', () => {
    assert.deepEqual(ratiosOf([2, undefined, 6, 1, 5], [4, 2, undefined, 0]), [0.5])
  })

  test('each round begins with another one, and everybody has a turn', () => {
    assert.deepEqual(
      [0, 1, 2, 3].map(round => rotated(['a', 'b', 'c'], round).join('')),
      ['abc', 'bca', 'cab', 'abc'],
    )
    assert.deepEqual(rotated([], 3), [])
  })
})
