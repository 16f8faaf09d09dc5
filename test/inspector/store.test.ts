/** What a page that is open for weeks keeps, without a browser. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { taken } from '../../src/inspector/page/happened.ts'
import { takeChanges, takeSnapshot } from '../../src/inspector/page/messages.ts'
import { choose, MOST_GONE, presentRows, rowOf } from '../../src/inspector/page/store.ts'
import { rowOf as rowOfView } from '../../src/inspector/rows.ts'
import type { LinkRow, LogEntry } from '../../src/inspector/shared/protocol.ts'
import { aLink } from '../support/builders.ts'
import { LINK_MACHINE, viewOf } from './support.ts'

const row = (name: string): LinkRow => rowOfView(viewOf(aLink(name).build()))

const begin = (links: readonly LinkRow[]): void =>
  takeSnapshot(
    {
      about: { mode: 'live', subject: 'test', version: '0' },
      machine: LINK_MACHINE,
      links,
      log: [],
      counters: [],
      daemonState: null,
      conditions: [],
    },
    0,
  )

describe('what the page knows', () => {
  test('forgets links that have gone, if they are many, but neither who is there nor who is chosen', () => {
    const [stays, watched, first] = [row('stays'), row('watched'), row('first')]
    begin([stays, watched, first])
    choose(watched.key)
    const before = [stays, watched, first].map(({ key }) => rowOf(key))
    takeChanges({ links: [], gone: [watched.key, first.key], log: [] })
    assert.equal(rowOf(first.key), before[2])
    for (let at = 0; at <= MOST_GONE; at += 1) {
      const passing = row(`passing-${at}`)
      takeChanges({ links: [passing], gone: [], log: [] })
      takeChanges({ links: [], gone: [passing.key], log: [] })
    }
    assert.equal(rowOf(stays.key), before[0])
    assert.equal(rowOf(watched.key), before[1])
    assert.notEqual(rowOf(first.key), before[2])
    assert.deepEqual(
      presentRows.value.map(({ key }) => key),
      [stays.key],
    )
  })

  test('counts each transition of the chosen link, for as many as its log has', () => {
    const flapping = row('flapping')
    begin([flapping])
    choose(flapping.key)
    const moves = [
      { from: 'injecting.wanted', to: 'pending.waiting', event: 'inject: Left' },
      { from: 'pending.waiting', to: 'injecting.wanted', event: 'after retryDelay' },
    ]
    const log = Array.from({ length: 20_000 }, (_, n): LogEntry => {
      const move = moves[n % 2] ?? { from: null, to: '', event: '' }
      return { n, at: n, kind: 'transition', link: flapping.key, reason: '', pass: null, ...move }
    })
    takeChanges({ links: [], gone: [], log })
    assert.deepEqual([...taken.value.counts.values()], [10_000, 10_000])
    assert.deepEqual(
      taken.value.last.map(({ to }) => to),
      ['injecting.wanted'],
    )
  })
})
