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

/** Three digits that count, never in exponents. */
export const shown = (value: number): string => {
  if (!Number.isFinite(value)) return '-'
  const size = Math.abs(value)
  if (size >= 1000) return Math.round(value).toLocaleString('en-US')
  if (size === 0 || size >= 100) return value.toFixed(0)
  return value.toFixed(size >= 10 ? 1 : 2)
}

const spread = ({ min, max }: { readonly min: number; readonly max: number }): string =>
  `${shown(min)} - ${shown(max)}`

type Cells = readonly [string, string, string, string]

const HEAD: Cells = ['', 'median', 'min - max', 'times']

const ratioWords = (ratio: Ratio): string => `${shown(ratio.median)} of ${ratio.to} (${spread(ratio)})`

const contenderCells = (contender: ContenderReport): Cells => [
  `    ${contender.contender}`,
  shown(contender.median),
  spread(contender),
  contender.ratios.map(ratioWords).join(', '),
]

const barWords = ({ bar, value, outcome }: BarReport): string =>
  outcome === 'not measured' ? `${bar}: not measured` : `${bar}: ${outcome} (${shown(value ?? Number.NaN)})`

const figureCells = ({ title, unit, better, contenders, bars }: FigureReport): readonly Cells[] => [
  [`  ${title}, ${unit} (${better} is better)`, '', '', ''],
  ...contenders.map(contenderCells),
  ...(contenders.length === 0 ? [['    (nobody gave it)', '', '', ''] satisfies Cells] : []),
  ...bars.map((bar): Cells => [`    bar: ${barWords(bar)}`, '', '', '']),
]

/** A line with one cell may be as long as it likes. */
const laidOut = (rows: readonly Cells[]): string => {
  const width = (column: 0 | 1 | 2): number =>
    Math.max(...rows.filter(row => row[1] !== '').map(row => row[column].length), 0)
  const widths = [width(0), width(1), width(2)] as const
  return rows
    .map(([name, middle, range, times]) =>
      middle === ''
        ? name
        : `${name.padEnd(widths[0])}  ${middle.padStart(widths[1])}  ${range.padStart(widths[2])}  ${times}`,
    )
    .map(line => line.trimEnd())
    .join('\n')
}

const measureBlock = ({ name, title, rounds, figures }: MeasureReport): string => {
  const head = `${name}: ${title} (${rounds} ${rounds === 1 ? 'round' : 'rounds'})`
  return `${head}\n${laidOut([HEAD, ...figures.flatMap(figureCells)])}`
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
