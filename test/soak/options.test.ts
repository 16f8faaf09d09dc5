/** What can be said to a soak. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { E } from '../../src/fp.ts'
import { decodeOptions } from './options.ts'

it('a soak takes a minute and any seed unless it is told otherwise', () => {
  const options = { minutes: 1, seed: 42, killDaemon: false, drainDaemon: false }
  assert.deepEqual(decodeOptions([], 42), E.right(options))
})

it('a soak can be repeated, be long, and be hard on the daemon', () => {
  assert.deepEqual(
    decodeOptions(['--minutes', '600', '--seed=7', '--kill-daemon', '--drain-daemon'], 42),
    E.right({ minutes: 600, seed: 7, killDaemon: true, drainDaemon: true }),
  )
})

it('a soak says what it does not understand', () => {
  const decoded = decodeOptions(['--minutes', '0', '--seeds', '1'], 42)
  assert.ok(E.isLeft(decoded))
  assert.equal(decoded.left.problems.length, 2)
})
