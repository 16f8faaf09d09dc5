import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createHistory, type History } from '../../src/control/history.ts'
import { type LinkKey, linkKeyOf } from '../../src/model/link.ts'
import { aView } from './support.ts'

const key = linkKeyOf('app/api@/t')
const { context } = aView()

let clock = 0
const moved = (
  history: History,
  from: string | null,
  to: string,
  reason = 'why',
  link: LinkKey = key,
): void => {
  clock += 1
  history.note({ link, from, to, event: 'event', reason, pass: 1, at: clock, context })
}

const stepsOf = (history: History, link: LinkKey = key): readonly string[] =>
  history.of(link).map(({ from, to, times }) => `${from} ${to} ${times}`)

describe('history', () => {
  it('has the transitions of each link in their order, and nothing of one it never heard of', () => {
    const history = createHistory()
    moved(history, null, 'injecting.wanted')
    moved(history, 'injecting.wanted', 'mediating.steady')
    moved(history, null, 'pending.blocked', 'why', linkKeyOf('other'))
    assert.deepEqual(stepsOf(history), ['null injecting.wanted 1', 'injecting.wanted mediating.steady 1'])
    assert.deepEqual(stepsOf(history, linkKeyOf('nobody')), [])
  })

  it('keeps no snapshot of the link', () => {
    const history = createHistory()
    moved(history, null, 'injecting.wanted')
    assert.deepEqual(Object.keys(history.of(key)[0] ?? {}).sort(), [
      'at',
      'event',
      'from',
      'lastAt',
      'pass',
      'reason',
      'times',
      'to',
    ])
  })

  it('a retry that fails as before is the same entry again, so that what came before it stays', () => {
    const history = createHistory()
    moved(history, null, 'injecting.wanted', 'first')
    for (let round = 0; round < 100; round += 1) {
      moved(history, 'injecting.wanted', 'pending.waiting', 'EROFS')
      moved(history, 'pending.waiting', 'injecting.wanted', 'again')
    }
    assert.deepEqual(stepsOf(history), [
      'null injecting.wanted 1',
      'injecting.wanted pending.waiting 100',
      'pending.waiting injecting.wanted 100',
    ])
    const [, failure] = history.of(key)
    assert.equal((failure?.lastAt ?? 0) - (failure?.at ?? 0), 198)
  })

  it('a retry that fails in another way is an entry of its own', () => {
    const history = createHistory()
    moved(history, 'injecting.wanted', 'pending.waiting', 'EROFS')
    moved(history, 'injecting.wanted', 'pending.waiting', 'ENOSPC')
    assert.equal(history.of(key).length, 2)
  })

  it('forgets the oldest of too many transitions', () => {
    const history = createHistory({ entriesPerLink: 3, linksGone: 1 })
    for (const reason of ['a', 'b', 'c', 'd']) moved(history, 'x', 'y', reason)
    assert.deepEqual(
      history.of(key).map(({ reason }) => reason),
      ['b', 'c', 'd'],
    )
  })

  it('remembers links that are gone for a while, and goes on where one comes back', () => {
    const history = createHistory({ entriesPerLink: 9, linksGone: 2 })
    for (const name of ['a', 'b', 'c']) moved(history, 'x', 'released', 'why', linkKeyOf(name))
    assert.deepEqual(stepsOf(history, linkKeyOf('a')), [])
    assert.equal(stepsOf(history, linkKeyOf('b')).length, 1)
    moved(history, null, 'injecting.wanted', 'back', linkKeyOf('b'))
    for (const name of ['d', 'e', 'f']) moved(history, 'x', 'released', 'why', linkKeyOf(name))
    assert.equal(stepsOf(history, linkKeyOf('b')).length, 2)
    assert.deepEqual(stepsOf(history, linkKeyOf('c')), [])
  })
})
