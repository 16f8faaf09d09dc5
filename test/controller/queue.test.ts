import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { exclusive, oneByOne } from '../../src/controller/queue.ts'
import { settled } from '../support/fakes.ts'

describe('one by one', () => {
  it('effects of one key run in turn, those of another key do not wait', async () => {
    const inTurn = oneByOne<string>()
    const seen: string[] = []
    let open = (): void => undefined
    const gate = new Promise<void>(resolve => {
      open = resolve
    })
    const first = inTurn('a', async () => {
      await gate
      seen.push('a1')
    })
    const second = inTurn('a', async () => seen.push('a2'))
    await inTurn('b', async () => seen.push('b1'))
    open()
    await Promise.all([first, second])
    assert.deepEqual(seen, ['b1', 'a1', 'a2'])
  })
})

describe('exclusive', () => {
  it('a place goes from owner to owner in the order they asked', async () => {
    const places = exclusive<string>()
    const seen: string[] = []
    for (const owner of ['a', 'b', 'c']) void places.take('x', owner).then(() => seen.push(owner))
    void places.take('y', 'b').then(() => seen.push('b has y'))
    await settled()
    assert.deepEqual(seen, ['a', 'b has y'])
    places.free('x', 'b')
    await settled()
    assert.equal(seen.length, 2)
    places.free('x', 'a')
    await settled()
    places.free('x', 'b')
    await settled()
    assert.deepEqual(seen, ['a', 'b has y', 'b', 'c'])
  })

  it('the owner takes its place again without waiting', async () => {
    const places = exclusive<string>()
    await places.take('x', 'a')
    await places.take('x', 'a')
  })
})
