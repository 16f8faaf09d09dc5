import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { figuresTable, timesTable } from '../../src/cli/figure-tables.ts'
import type { FigureJson, TimesJson } from '../../src/control/shapes.ts'
import { NOTHING_COUNTED } from '../../src/model/mediation.ts'

const figure = (name: string, value: number, labels = {}, kind = 'total'): FigureJson => ({
  of: 'protocol',
  name,
  help: `All ${name}.`,
  labels,
  kind,
  value,
})

const times = (counts: readonly number[], sumMs = 0): TimesJson => ({
  name: 'response',
  help: 'How long.',
  bucketsMs: [5, 50, 2500],
  counts,
  sumMs,
})

const figuresOf = (...figures: readonly FigureJson[]) => figuresTable({ ...NOTHING_COUNTED, figures })
const timesOf = (...histograms: readonly TimesJson[]) => timesTable({ ...NOTHING_COUNTED, histograms })

describe('what a protocol counted', () => {
  test('is a row a figure, by name, and what happened most first', () => {
    assert.equal(
      figuresOf(
        figure('requests', 1204),
        figure('errors', 3, { status: '400', reason: 'bad_field' }),
        figure('tunnels', 2, {}, 'gauge'),
        figure('errors', 12, { status: '404' }),
      ),
      [
        'WHAT      OF                            COUNT  MEANING',
        'errors    status 404                    12     All errors.',
        'errors    status 400, reason bad_field  3      All errors.',
        'requests                                1204   All requests.',
        'tunnels                                 2 now  All tunnels.',
        '',
      ].join('\n'),
    )
  })

  test('says nothing of what never happened', () => {
    assert.equal(figuresOf(figure('errors', 0), figure('tunnels', 0, {}, 'gauge')), null)
    assert.deepEqual([figuresOf(), figuresTable(null)], [null, null])
  })

  test('cannot move the cursor', () => {
    assert.match(figuresOf(figure('odd', 1, { x: '\x1b[2J' })) ?? '', /x \\x1b\[2J/)
  })
})

describe('how long it took', () => {
  const cellsOf = (table: string | null): readonly string[] =>
    table?.trimEnd().split('\n').at(-1)?.split(/ {2,}/) ?? []

  test('is told by the bucket that so many of them end in', () => {
    assert.deepEqual(cellsOf(timesOf(times([90, 6, 3, 1], 1234))), [
      'response',
      '100',
      '12.3 ms',
      '≤ 5 ms',
      '≤ 50 ms',
      '≤ 2.5 s',
      'How long.',
    ])
  })

  test('is told of one, and of those that took longer than any bucket', () => {
    assert.deepEqual(cellsOf(timesOf(times([0, 1, 0, 0], 7))).slice(1, -1), [
      '1',
      '7 ms',
      '≤ 50 ms',
      '≤ 50 ms',
      '≤ 50 ms',
    ])
    assert.deepEqual(cellsOf(timesOf(times([0, 0, 0, 4], 10_000_000))).slice(1, -1), [
      '4',
      '2500 s',
      '> 2.5 s',
      '> 2.5 s',
      '> 2.5 s',
    ])
  })

  test('says nothing of what never happened', () => {
    assert.deepEqual([timesOf(times([0, 0, 0, 0])), timesOf(), timesTable(null)], [null, null, null])
  })
})
