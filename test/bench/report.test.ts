import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Bar, Figure, Role } from './contract.ts'
import { type FigureReport, hasFailed, measureReport, type Report } from './report.ts'
import type { Problem } from './runner.ts'
import { renderReport, shown } from './table.ts'

type Values = readonly (number | undefined)[]

const figure = (...bars: readonly Bar[]): Figure => ({
  key: 'speed',
  title: 'speed',
  unit: 'GB/s',
  better: 'more',
  bars,
})

const reportOf = (of: Figure, rows: readonly (readonly [string, Role, Values])[]): FigureReport => {
  const { figures } = measureReport({
    name: 'm',
    title: 'a measure',
    rounds: 3,
    trials: [
      {
        figures: [of],
        rows: rows.map(([contender, role, values]) => ({
          contender,
          role,
          samples: values.map(value => (value === undefined ? undefined : { [of.key]: value })),
        })),
      },
    ],
    problems: [],
  })
  const [first] = figures
  assert.ok(first !== undefined)
  return first
}

const DIRECT = ['direct', 'reference', [4, 5, 6]] as const
const OURS = ['pv-xconnect', 'ours', [2, 4, 3]] as const

const outcomes = ({ bars }: FigureReport): readonly string[] =>
  bars.map(({ bar, value, outcome }) => `${bar}: ${value} ${outcome}`)

describe('a report', () => {
  test('has the median and the spread of the rounds, and the rounds', () => {
    const [, ours] = reportOf(figure(), [DIRECT, OURS]).contenders
    assert.deepEqual([ours?.median, ours?.min, ours?.max, ours?.rounds], [3, 2, 4, [2, 4, 3]])
  })

  test('takes the median of the ratios, not the ratio of the medians', () => {
    const [, ours] = reportOf(figure(), [DIRECT, OURS]).contenders
    assert.deepEqual(ours?.ratios, [{ to: 'direct', median: 0.5, min: 0.5, max: 0.8 }])
  })

  test('holds everybody against the reference, and ours against everybody', () => {
    const { contenders } = reportOf(figure(), [DIRECT, OURS, ['socat', 'tool', [1, 1, 1]]])
    assert.deepEqual(
      contenders.map(({ ratios }) => ratios.map(({ to }) => to)),
      [[], ['direct', 'socat'], ['direct']],
    )
  })

  test('leaves a contender out that gave nothing, and says null for a round that gave nothing', () => {
    const { contenders } = reportOf(figure(), [
      DIRECT,
      ['pv-xconnect', 'ours', [2, undefined, 3]],
      ['peer 1: x', 'peer', [undefined, undefined]],
    ])
    assert.deepEqual(
      contenders.map(({ contender, rounds }) => [contender, rounds]),
      [
        ['direct', [4, 5, 6]],
        ['pv-xconnect', [2, null, 3]],
      ],
    )
  })

  test('says whether a bar on a ratio is met', () => {
    const bars: readonly Bar[] = [
      { ratioTo: 'reference', bound: 'at least', value: 0.5 },
      { ratioTo: 'reference', bound: 'at least', value: 0.6 },
      { ratioTo: 'reference', bound: 'at most', value: 0.4 },
    ]
    assert.deepEqual(outcomes(reportOf(figure(...bars), [DIRECT, OURS])), [
      'at least 0.5 of direct: 0.5 met',
      'at least 0.6 of direct: 0.5 missed',
      'at most 0.4 of direct: 0.5 missed',
    ])
  })

  test('says whether a bar on the value is met, in its unit', () => {
    const bar: Bar = { ratioTo: null, bound: 'at most', value: 3 }
    assert.deepEqual(outcomes(reportOf(figure(bar), [OURS])), ['at most 3 GB/s: 3 met'])
  })

  test('holds ours against each peer, and says so where there is none', () => {
    const bar: Bar = { ratioTo: 'peer', bound: 'at least', value: 4 }
    const peers = [
      ['peer 1: x', 'peer', [1, 1, 1]],
      ['peer 2: y', 'peer', [0.5, 0.5, 0.5]],
    ] as const
    assert.deepEqual(outcomes(reportOf(figure(bar), [DIRECT, OURS, ...peers])), [
      'at least 4 of peer 1: x: 3 missed',
      'at least 4 of peer 2: y: 6 met',
    ])
    assert.deepEqual(outcomes(reportOf(figure(bar), [DIRECT, OURS])), [
      'at least 4 of a peer: null not measured',
    ])
  })

  test('holds ours against the relay alone', () => {
    const bar: Bar = { ratioTo: 'relay', bound: 'at least', value: 0.8 }
    const relay = ['pv-xconnect unix', 'relay', [2, 4, 4]] as const
    assert.deepEqual(outcomes(reportOf(figure(bar), [DIRECT, relay, OURS])), [
      'at least 0.8 of pv-xconnect unix: 1 met',
    ])
  })

  test('meets no bar without a value of ours', () => {
    const bars: readonly Bar[] = [
      { ratioTo: null, bound: 'at most', value: 3 },
      { ratioTo: 'reference', bound: 'at least', value: 1 },
    ]
    assert.deepEqual(outcomes(reportOf(figure(...bars), [DIRECT])), [
      'at most 3 GB/s: null not measured',
      'at least 1 of direct: null not measured',
    ])
  })
})

const problem = (role: Role): Problem => ({ measure: 'm', contender: 'c', role, what: 'lost 3 bytes' })

describe('how a run ends', () => {
  test('badly, if ours, the relay or the reference did not work', () => {
    assert.ok(hasFailed([problem('ours')]))
    assert.ok(hasFailed([problem('peer'), problem('reference')]))
    assert.ok(hasFailed([problem('relay')]))
  })

  test('well, if only others did not', () => {
    assert.ok(!hasFailed([problem('peer'), problem('tool')]))
  })
})

describe('the table', () => {
  const report: Report = {
    format: 'pv-xconnect-bench',
    version: 1,
    startedAt: '2026-01-01T00:00:00.000Z',
    tookSeconds: 12,
    settings: { rounds: 3, warmMs: 200, forMs: 1000 },
    machine: {
      kernel: '6.12.0',
      cpu: 'a processor',
      cores: 2,
      memoryBytes: 2 ** 30,
      node: 'v20.0.0',
      load: 'C, cc 12',
      loadAverage: 0.25,
    },
    measures: [
      {
        name: 'm',
        title: 'a measure',
        rounds: 3,
        figures: [
          reportOf(figure({ ratioTo: 'reference', bound: 'at least', value: 0.6 }), [
            DIRECT,
            OURS,
            ['socat', 'tool', [1, 2, 1]],
          ]),
        ],
      },
    ],
    problems: [problem('peer')],
  }

  test('has a line for each contender, with its ratio to the reference, and that of ours to it', () => {
    const text = renderReport(report)
    for (const line of [
      '                 median    min - max  of direct           ours of it',
      '    direct         5.00  4.00 - 6.00',
      '    pv-xconnect    3.00  2.00 - 4.00  0.50 (0.50 - 0.80)',
      '    socat          1.00  1.00 - 2.00  0.25 (0.17 - 0.40)  2.00 (2.00 - 3.00)',
    ]) {
      assert.ok(text.split('\n').includes(line), text)
    }
  })

  test('says of each bar whether it was met, and counts them', () => {
    const text = renderReport(report)
    assert.match(text, /bar: at least 0\.6 of direct: missed \(0\.50\)/)
    assert.match(text, /bars: 0 met, 1 missed, 0 not measured/)
  })

  test('tells every problem', () => {
    assert.match(renderReport(report), /c, m: lost 3 bytes/)
  })

  test('shows three digits that count', () => {
    assert.deepEqual([0, 0.123, 1.234, 12.34, 123.4, 999.6, 1234.5, Number.NaN].map(shown), [
      '0',
      '0.12',
      '1.23',
      '12.3',
      '123',
      '1,000',
      '1,235',
      '-',
    ])
  })
})
