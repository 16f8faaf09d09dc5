/** Chance that is the same again, and chance enough. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chanceOf } from '../../src/model/chance.ts'

describe('chance', () => {
  it('is the same for the same words and the same seed, whatever was drawn before', () => {
    const chance = chanceOf(42)
    const first = chance('app/raw attempt 1')
    chance('anything else')
    assert.equal(chance('app/raw attempt 1'), first)
    assert.equal(chanceOf(42)('app/raw attempt 1'), first)
    assert.notEqual(chanceOf(43)('app/raw attempt 1'), first)
  })

  it('is even, also for words that differ in one character', () => {
    const chance = chanceOf(1)
    const buckets = Array.from({ length: 10 }, () => 0)
    for (let n = 0; n < 10_000; n += 1) {
      const drawn = chance(`app${n}/raw attempt 1`)
      assert.ok(drawn >= 0 && drawn < 1)
      const bucket = Math.floor(drawn * 10)
      buckets[bucket] = (buckets[bucket] ?? 0) + 1
    }
    for (const count of buckets) assert.ok(count > 850 && count < 1150, buckets.join(' '))
  })
})
