import assert from 'node:assert/strict'
import { test } from 'node:test'
import { distance, nearest } from '../../src/cli/nearest.ts'

const KNOWN = ['daemon', 'graph', 'serve', 'demo', 'version', 'help']

test('distance counts insertions, deletions, replacements and swaps of neighbours', () => {
  assert.equal(distance('graph', 'graph'), 0)
  assert.equal(distance('grahp', 'graph'), 1)
  assert.equal(distance('grap', 'graph'), 1)
  assert.equal(distance('', 'abc'), 3)
  assert.equal(distance('kitten', 'sitting'), 3)
})

test('a typing error or a beginning finds its word, something else finds nothing', () => {
  for (const [typed, meant] of [
    ['grahp', 'graph'],
    ['ver', 'version'],
    ['deamon', 'daemon'],
    ['hlep', 'help'],
    ['SERVE', 'serve'],
  ] as const) {
    assert.equal(nearest(typed, KNOWN), meant)
  }
  for (const typed of ['x', 'qq', 'frobnicate', '']) assert.equal(nearest(typed, KNOWN), undefined)
})
