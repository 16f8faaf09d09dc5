/** What links may hold of the descriptor table: each its share, and nobody at the cost of those that hold nothing. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HeldDescriptors } from '../../src/relay/descriptor-reserve.ts'

const ALL = 100

describe('descriptors held in queues', () => {
  test('fill a link at half of what all links may hold', () => {
    const link = new HeldDescriptors(ALL).ofLink()
    link.add(ALL / 2 - 1)
    assert.equal(link.full, false)
    link.add(1)
    assert.equal(link.full, true)
  })

  test('make room again when they leave', () => {
    const link = new HeldDescriptors(ALL).ofLink()
    link.add(ALL)
    link.add(-ALL)
    assert.equal(link.full, false)
  })

  test('of two greedy links stop a third one that holds some, and not one that holds none', () => {
    const all = new HeldDescriptors(ALL)
    const [first, second, third, fourth] = [all.ofLink(), all.ofLink(), all.ofLink(), all.ofLink()]
    first.add(ALL / 2)
    third.add(1)
    second.add(ALL / 2 - 1)
    assert.equal(all.full, true)
    assert.equal(third.full, true)
    assert.equal(fourth.full, false)
  })
})
