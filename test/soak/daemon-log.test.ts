/** What a soak makes of the daemon's log. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DaemonLog } from './daemon-log.ts'

const line = (facts: object): string => JSON.stringify({ level: 'info', msg: 'link moved', ...facts })

const logOf = (...lines: readonly string[]): DaemonLog => {
  const log = new DaemonLog()
  log.take(lines)
  return log
}

describe("the daemon's log", () => {
  it('tells the state of each link, released ones left out', () => {
    const log = logOf(
      line({ link: 'a', from: null, to: 'injecting.wanted' }),
      line({ link: 'a', from: 'injecting.wanted', to: 'mediating.steady' }),
      line({ link: 'b', from: null, to: 'pending.waiting' }),
      line({ link: 'b', from: 'pending.waiting', to: 'released' }),
    )
    assert.ok(log.isIn('a', 'mediating'))
    assert.ok(!log.isIn('a', 'pending'))
    assert.deepEqual([...log.links], [['a', 'mediating.steady']])
    assert.deepEqual(log.problems, [])
  })

  it('may begin a link that was released anew', () => {
    const log = logOf(
      line({ link: 'a', from: null, to: 'pending.waiting' }),
      line({ link: 'a', from: 'pending.waiting', to: 'released' }),
      line({ link: 'a', from: null, to: 'pending.blocked' }),
    )
    assert.deepEqual(log.problems, [])
  })

  it('may not leave a step out', () => {
    const log = logOf(
      line({ link: 'a', from: null, to: 'injecting.wanted' }),
      line({ link: 'a', from: 'mediating.steady', to: 'tearing-down.closing' }),
    )
    assert.deepEqual(log.problems, [
      'a was injecting.wanted, yet went from mediating.steady to tearing-down.closing',
    ])
  })

  it('may not speak of an internal error, nor say what is no JSON', () => {
    const bug = line({ level: 'error', msg: 'internal error' })
    assert.deepEqual(logOf(bug, 'Segmentation fault').problems, [bug, 'no JSON: Segmentation fault'])
  })

  it('counts the lines that are for people', () => {
    assert.equal(logOf(line({}), line({ level: 'debug' }), line({ level: 'warn' })).loud, 2)
  })

  it('keeps its last lines only', () => {
    const log = logOf(...Array.from({ length: 500 }, (_, index) => line({ pass: index })))
    log.take([line({ pass: 'last' })])
    assert.ok(log.lastLines.length <= 60)
    assert.equal(log.lastLines.at(-1), line({ pass: 'last' }))
  })
})
