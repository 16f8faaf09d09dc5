/** A report for people: one block a measure, one line a contender. Pure. */
import type {
  BarReport,
  ContenderReport,
  FigureReport,
  Machine,
  MeasureReport,
  Ratio,
  Report,
} from './report.ts'
import type { Problem } from './runner.ts'
import type { Spread } from './statistics.ts'

/** Three digits that count, never in exponents. */
export const shown = (value: number): string => {
  if (!Number.isFinite(value)) return '-'
  const size = Math.abs(value)
  if (size >= 999.5) return Math.round(value).toLocaleString('en-US')
  if (size === 0 || size >= 100) return value.toFixed(0)
  return value.toFixed(size >= 10 ? 1 : 2)
}

const spread = ({ min, max }: Spread): string => `${shown(min)} - ${shown(max)}`

const ratioWords = (ratio: Ratio | undefined): string =>
  ratio === undefined ? '' : `${shown(ratio.median)} (${spread(ratio)})`

/** Name, median, spread, ratio to the reference, ratio of ours to it. */
type Cells = readonly [string, string, string, string, string]

/** A line that has but one cell may be as long as it likes. */
const line = (text: string): Cells => [text, '', '', '', '']

const contenderCells = (contender: ContenderReport, all: readonly ContenderReport[]): Cells => {
  const ratioTo = (of: ContenderReport | undefined, to: ContenderReport | undefined): Ratio | undefined =>
    of?.ratios.find(ratio => ratio.to === to?.contender)
  const reference = all.find(({ role }) => role === 'reference')
  const ours = all.find(({ role }) => role === 'ours')
  return [
    `    ${contender.contender}`,
    shown(contender.median),
    spread(contender),
    ratioWords(ratioTo(contender, reference)),
    contender === reference ? '' : ratioWords(ratioTo(ours, contender)),
  ]
}

const barWords = ({ bar, value, outcome }: BarReport): string =>
  outcome === 'not measured' ? `${bar}: not measured` : `${bar}: ${outcome} (${shown(value ?? Number.NaN)})`

const figureCells = ({ title, unit, better, contenders, bars }: FigureReport): readonly Cells[] => [
  line(`  ${title}, ${unit} (${better} is better)`),
  ...(contenders.length === 0 ? [line('    (nobody gave it)')] : []),
  ...contenders.map(contender => contenderCells(contender, contenders)),
  ...bars.map(bar => line(`    bar: ${barWords(bar)}`)),
]

/** Columns that nobody fills are left out, heads and all. */
const headOf = (rows: readonly Cells[], reference: string | undefined): Cells => [
  '',
  'median',
  'min - max',
  rows.some(row => row[3] !== '') ? `of ${reference}` : '',
  rows.some(row => row[4] !== '') ? 'ours of it' : '',
]

const laidOut = (rows: readonly Cells[]): string => {
  const full = rows.filter(row => row[1] !== '')
  const widthOf = (column: 0 | 1 | 2 | 3): number => Math.max(0, ...full.map(row => row[column].length))
  const widths = [widthOf(0), widthOf(1), widthOf(2), widthOf(3)] as const
  return rows
    .map(([name, middle, range, ratio, ours]) =>
      middle === ''
        ? name
        : [
            name.padEnd(widths[0]),
            middle.padStart(widths[1]),
            range.padStart(widths[2]),
            ratio.padEnd(widths[3]),
            ours,
          ].join('  '),
    )
    .map(text => text.trimEnd())
    .join('\n')
}

const measureBlock = ({ name, title, rounds, figures }: MeasureReport): string => {
  const rows = figures.flatMap(figureCells)
  const reference = figures.flatMap(({ contenders }) => contenders).find(({ role }) => role === 'reference')
  const head = `${name}: ${title} (${rounds} ${rounds === 1 ? 'round' : 'rounds'})`
  return `${head}\n${laidOut([headOf(rows, reference?.contender), ...rows])}`
}

const machineLines = (machine: Machine): string =>
  [
    `Linux ${machine.kernel}, ${machine.cpu}, ${machine.cores} cores, ${shown(machine.memoryBytes / 2 ** 30)} GiB; Node ${machine.node}`,
    `load: ${machine.load}; load average ${machine.loadAverage.toFixed(2)} at start`,
  ].join('\n')

const problemLine = ({ measure, contender, what }: Problem): string => `  ${contender}, ${measure}: ${what}`

const endLines = ({ problems, measures }: Report): string => {
  const bars = measures.flatMap(({ figures }) => figures.flatMap(figure => figure.bars))
  const count = (outcome: BarReport['outcome']): number => bars.filter(bar => bar.outcome === outcome).length
  const summary = `bars: ${count('met')} met, ${count('missed')} missed, ${count('not measured')} not measured`
  return problems.length === 0 ? summary : `${summary}\nproblems:\n${problems.map(problemLine).join('\n')}`
}

export const renderReport = (report: Report): string =>
  [
    `${machineLines(report.machine)}\n${report.startedAt}, took ${Math.round(report.tookSeconds)} s`,
    ...report.measures.map(measureBlock),
    endLines(report),
  ].join('\n\n')
