/** The small pure parts of the page: filters, windows of lists, timelines, words, topologies. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { rowOf } from '../../src/inspector/rows.ts'
import { parseFilter, passes } from '../../src/inspector/shared/filter.ts'
import type { LogEntry, Timeline } from '../../src/inspector/shared/protocol.ts'
import { indexTimeline } from '../../src/inspector/shared/timeline.ts'
import { topologyOf, UNKNOWN_PROVIDER } from '../../src/inspector/shared/topology.ts'
import { scrolledTo, windowOf } from '../../src/inspector/shared/windowing.ts'
import { bytesInWords, clockTime, durationInWords } from '../../src/inspector/shared/words.ts'
import { aLink } from '../support/builders.ts'
import { viewOf } from './support.ts'

describe('a filter', () => {
  const finds = (typed: string): boolean =>
    passes(
      parseFilter(typed, ['state', 'type']),
      { state: 'pending.blocked', type: 'rest' },
      'app/Api@/run/x:y.sock pending.blocked rest',
    )

  const found = [
    '',
    '  ',
    'api',
    'API app',
    'state:pending',
    'state:blocked type:rest',
    '-dbus',
    '-state:mediating',
    '-',
    '/run/x:y',
  ]
  const missed = ['dbus', 'api dbus', 'state:rest', '-api', '-type:rest', 'type:rest -blocked', 'other:rest']
  for (const typed of found) test(`finds by ${JSON.stringify(typed)}`, () => assert.ok(finds(typed)))
  for (const typed of missed)
    test(`does not find by ${JSON.stringify(typed)}`, () => assert.ok(!finds(typed)))
})

describe('the window of a list', () => {
  test('has every row that is to be seen, and not many more, wherever it is scrolled to', () => {
    fc.assert(
      fc.property(
        fc.nat(5000),
        fc.nat(100_000),
        fc.nat(2000),
        fc.integer({ min: 1, max: 80 }),
        (rows, scrolled, height, rowPx) => {
          const { start, end } = windowOf(scrolled, height, rowPx, rows)
          assert.ok(start >= 0 && end <= rows && end - start <= height / rowPx + 20)
          for (const px of [scrolled, scrolled + height - 1]) {
            const row = Math.floor(px / rowPx)
            if (height > 0 && row < rows) assert.ok(row >= start && row < end, `${row} of ${start}..${end}`)
          }
        },
      ),
    )
  })

  test('is scrolled just so far that a row is to be seen', () => {
    assert.equal(scrolledTo(0, 100, 200, 20), 0)
    assert.equal(scrolledTo(8, 100, 200, 20), 100)
    assert.equal(scrolledTo(30, 100, 200, 20), 420)
  })
})

describe('the index of a timeline', () => {
  const entry = (n: number, at: number, link: string | null, to: string): LogEntry => ({
    n,
    at,
    kind: link === null ? 'graph' : 'transition',
    link,
    from: null,
    to,
    event: '',
    reason: '',
    pass: 1,
  })
  const timeline: Timeline = {
    startedAt: 100,
    endedAt: 200,
    links: [],
    entries: [
      entry(0, 110, null, ''),
      entry(1, 110, 'a', 'one'),
      entry(2, 120, 'b', 'two'),
      entry(3, 150, 'a', 'three'),
    ],
    cut: false,
  }
  const index = indexTimeline(timeline)

  test('knows where each link is at any position', () => {
    const states = [0, 1, 2, 3, 4].map(at => [index.lastOf('a', at)?.to, index.lastOf('b', at)?.to])
    assert.deepEqual(states, [
      [undefined, undefined],
      [undefined, undefined],
      ['one', undefined],
      ['one', 'two'],
      ['three', 'two'],
    ])
    assert.equal(index.lastOf('nobody', 4), undefined)
  })

  test('goes from times to positions and back', () => {
    assert.deepEqual([100, 110, 119, 120, 149, 999].map(index.positionAt), [0, 2, 2, 3, 3, 4])
    assert.deepEqual([0, 1, 3, 4].map(index.timeAt), [100, 110, 120, 150])
  })
})

describe('the topology', () => {
  const rows = [
    aLink('app').named('api').from('net', 1).build(),
    aLink('app').named('log').from('net', 1).at('/run/log').build(),
    aLink('tool').named('api').from('net', 1).build(),
    { ...aLink('tool').named('lost').at('/run/lost').build(), provider: null },
  ].map(link => rowOf(viewOf(link)))

  test('has each container once, with what it uses and what it offers', () => {
    const { containers, edges } = topologyOf(rows)
    assert.deepEqual(
      containers.map(({ name, uses, offers }) => [name, uses.length, offers.length]),
      [
        ['app', 2, 0],
        ['net', 0, 2],
        ['tool', 2, 0],
        [UNKNOWN_PROVIDER, 0, 1],
      ],
    )
    assert.equal(edges.length, 4)
  })

  test('is the same in whichever order links come', () => {
    assert.deepEqual(topologyOf([...rows].reverse()), topologyOf(rows))
  })
})

describe('words', () => {
  test('for bytes', () => {
    assert.deepEqual([0, 1023, 1024, 1536, 10_240, 5 * 1024 ** 3].map(bytesInWords), [
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 KiB',
      '10 KiB',
      '5.0 GiB',
    ])
  })

  test('for durations', () => {
    assert.deepEqual([-1, 0, 1234, 59_999, 61_000, 3_723_000, 90_000_000].map(durationInWords), [
      '0 s',
      '0.0 s',
      '1.2 s',
      '59 s',
      '1 min 01 s',
      '1 h 02 min',
      '1 d 01 h',
    ])
  })

  test('for times of day', () => {
    assert.equal(clockTime(Date.parse('2030-01-01T12:34:56.789Z')), '12:34:56.789')
  })
})
