/** Chance that can be repeated. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { randomOf } from './random.ts'

const draws = (seed: number): readonly number[] => {
  const random = randomOf(seed)
  return Array.from({ length: 50 }, () => random.below(1000))
}

it('the same seed gives the same numbers, another one others', () => {
  assert.deepEqual(draws(1), draws(1))
  assert.notDeepEqual(draws(1), draws(2))
})

it('a fork gives the same whatever its parent has given before', () => {
  const one = randomOf(5)
  const other = randomOf(5)
  other.below(10)
  assert.equal(one.fork('a').below(1e9), other.fork('a').below(1e9))
  assert.notEqual(one.fork('a').below(1e9), one.fork('b').below(1e9))
})

it('numbers are within their bounds, and reach all of them', () => {
  const random = randomOf(3)
  const seen = new Set(Array.from({ length: 1000 }, () => random.between(2, 5)))
  assert.deepEqual([...seen].sort(), [2, 3, 4, 5])
  assert.deepEqual(new Set(Array.from({ length: 100 }, () => random.pick(['a', 'b']))), new Set(['a', 'b']))
})

it('what has a chance happens about as often', () => {
  const random = randomOf(9)
  const hits = Array.from({ length: 10_000 }, () => random.chance(0.2)).filter(Boolean).length
  assert.ok(hits > 1800 && hits < 2200, `${hits} of 10000`)
})
