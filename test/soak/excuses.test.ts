/** When a link may let a conversation down, and when it may not. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Excuses, type Harm } from './excuses.ts'

/** One spell from 100 to 200. */
const spell = (harm: Harm): Excuses => {
  const excuses = new Excuses()
  excuses.begin(harm, 100)
  excuses.settle(200)
  return excuses
}

describe('a link', () => {
  it('to which nothing was done has no excuse', () => {
    const excuses = new Excuses()
    assert.equal(excuses.settled, true)
    assert.equal(excuses.mayRefuse(0, 1000), false)
    assert.equal(excuses.mayCut(0, 1000, null), false)
  })

  it('has settled when it was seen to work after all that was done to it', () => {
    const excuses = new Excuses()
    excuses.begin('cuts', 100)
    excuses.begin('refuses', 150)
    assert.equal(excuses.settled, false)
    excuses.settle(200)
    assert.equal(excuses.settled, true)
    assert.equal(excuses.mayRefuse(201, 300), false)
  })

  const within = [
    ['before', 10, 99, false],
    ['across the beginning of', 10, 100, true],
    ['within', 120, 180, true],
    ['around', 10, 300, true],
    ['across the end of', 200, 300, true],
    ['after', 201, 300, false],
  ] as const
  for (const [where, from, to, may] of within) {
    it(`that cuts ${may ? 'may' : 'may not'} refuse and cut what is ${where} its spell`, () => {
      assert.equal(spell('cuts').mayRefuse(from, to), may)
      assert.equal(spell('cuts').mayCut(from, to, from), may)
    })
  }

  it('that refuses may not cut what was established before', () => {
    assert.equal(spell('refuses').mayCut(10, 300, 99), false)
  })

  it('that refuses may cut what was established meanwhile, or never', () => {
    assert.equal(spell('refuses').mayCut(10, 300, 150), true)
    assert.equal(spell('refuses').mayCut(10, 300, null), true)
  })

  it('has an excuse for as long as it has not settled', () => {
    const excuses = new Excuses()
    excuses.begin('cuts', 100)
    assert.equal(excuses.mayCut(10_000, 20_000, 10_001), true)
  })

  it('does not remember for ever', () => {
    const excuses = spell('cuts')
    excuses.begin('refuses', 1_000_000)
    assert.equal(excuses.mayCut(0, 300, 0), false)
  })
})
