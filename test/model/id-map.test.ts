/** Translating ids by a user namespace's map, both ways. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { idMapOf, insideOf, outsideOf, SAME_IDS } from '../../src/model/id-map.ts'

const MAP = idMapOf('         0     100000      65536\n     70000       1000          1\n')

const ROWS: readonly (readonly [inside: number, outside: number])[] = [
  [0, 100_000],
  [65_535, 165_535],
  [70_000, 1000],
]

for (const [inside, outside] of ROWS)
  test(`${inside} in there is ${outside} out here, and back`, () => {
    assert.equal(outsideOf(MAP, inside), outside)
    assert.equal(insideOf(MAP, outside), inside)
  })

test('what is in no range is not mapped', () => {
  for (const id of [65_536, 69_999, 70_001, 4_294_967_294]) assert.equal(outsideOf(MAP, id), undefined)
  for (const id of [0, 999, 1001, 99_999, 165_536]) assert.equal(insideOf(MAP, id), undefined)
})

test('an empty map maps nobody', () => {
  assert.equal(outsideOf(idMapOf(''), 0), undefined)
  assert.equal(insideOf(idMapOf('\n'), 0), undefined)
})

test('the map of one namespace maps every id to itself', () => {
  for (const id of [0, 1000, 4_294_967_294]) assert.equal(outsideOf(SAME_IDS, id), id)
})
