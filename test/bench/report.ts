/**
 * From what was sampled to what is reported: medians, spreads, ratios, bars. Its type is the format of `--json`, which
 * docs/benchmarks.md describes; a change that a reader could stumble over raises `version`. Pure.
 */
import type { Bar, Figure, Role } from './contract.ts'
import type { MeasureResult, Problem, Row, TrialResult } from './runner.ts'
import { ratiosOf, type Spread, spreadOf } from './statistics.ts'

export interface Machine {
  readonly kernel: string
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly node: string
  /** What made the load. */
  readonly load: string
  /** Of the last minute before the first round: above 1 or so, others were at work. */
  readonly loadAverage: number
}

export interface Ratio extends Spread {
  readonly to: string
}

export interface ContenderReport extends Spread {
  readonly contender: string
  readonly role: Role
  /** In order of the rounds; `null` where it gave nothing. */
  readonly rounds: readonly (number | null)[]
  /** To the reference, and for `ours` to everybody else. */
  readonly ratios: readonly Ratio[]
}

export interface BarReport {
  /** As in docs/benchmarks.md: "at least 0.6 of direct". */
  readonly bar: string
  /** `null`: there was nothing to hold it against. */
  readonly value: number | null
  readonly outcome: 'met' | 'missed' | 'not measured'
}

export interface FigureReport {
  readonly key: string
  readonly title: string
  readonly unit: string
  readonly better: Figure['better']
  readonly contenders: readonly ContenderReport[]
  readonly bars: readonly BarReport[]
}

export interface MeasureReport {
  readonly name: string
  readonly title: string
  readonly rounds: number
  readonly figures: readonly FigureReport[]
}

export interface Report {
  readonly format: 'pv-xconnect-bench'
  readonly version: 1
  /** ISO 8601, UTC. */
  readonly startedAt: string
  readonly tookSeconds: number
  readonly settings: { readonly rounds: number; readonly warmMs: number; readonly forMs: number }
  readonly machine: Machine
  readonly measures: readonly MeasureReport[]
  readonly problems: readonly Problem[]
}

interface Column {
  readonly contender: string
  readonly role: Role
  readonly values: readonly (number | undefined)[]
}

const columnOf = ({ contender, role, samples }: Row, key: string): Column => ({
  contender,
  role,
  values: samples.map(sample => sample?.[key]),
})

const isKnown = (value: number | undefined): value is number => value !== undefined

const ratioTo = (column: Column, other: Column): readonly Ratio[] => {
  const ratios = ratiosOf(column.values, other.values)
  return other === column || ratios.length === 0 ? [] : [{ to: other.contender, ...spreadOf(ratios) }]
}

const contenderReport = (column: Column, all: readonly Column[]): ContenderReport => ({
  contender: column.contender,
  role: column.role,
  ...spreadOf(column.values.filter(isKnown)),
  rounds: column.values.map(value => value ?? null),
  ratios: all
    .filter(({ role }) => role === 'reference' || column.role === 'ours')
    .flatMap(other => ratioTo(column, other)),
})

const boundWords = ({ bound, value }: Bar): string => `${bound} ${value}`

const judge = ({ bound, value: limit }: Bar, value: number): 'met' | 'missed' =>
  (bound === 'at least' ? value >= limit : value <= limit) ? 'met' : 'missed'

const NOT_MEASURED = { value: null, outcome: 'not measured' } as const

const barReports = (
  bar: Bar,
  figure: Figure,
  contenders: readonly ContenderReport[],
): readonly BarReport[] => {
  const ours = contenders.find(({ role }) => role === 'ours')
  if (bar.ratioTo === null) {
    const words = `${boundWords(bar)} ${figure.unit}`
    return [
      ours === undefined
        ? { bar: words, ...NOT_MEASURED }
        : { bar: words, value: ours.median, outcome: judge(bar, ours.median) },
    ]
  }
  const others = contenders.filter(({ role }) => role === bar.ratioTo)
  if (others.length === 0) return [{ bar: `${boundWords(bar)} of a ${bar.ratioTo}`, ...NOT_MEASURED }]
  return others.map(({ contender }) => {
    const words = `${boundWords(bar)} of ${contender}`
    const ratio = ours?.ratios.find(({ to }) => to === contender)
    return ratio === undefined
      ? { bar: words, ...NOT_MEASURED }
      : { bar: words, value: ratio.median, outcome: judge(bar, ratio.median) }
  })
}

const figureReport = (figure: Figure, rows: readonly Row[]): FigureReport => {
  const columns = rows.map(row => columnOf(row, figure.key)).filter(({ values }) => values.some(isKnown))
  const contenders = columns.map(column => contenderReport(column, columns))
  return {
    key: figure.key,
    title: figure.title,
    unit: figure.unit,
    better: figure.better,
    contenders,
    bars: figure.bars.flatMap(bar => barReports(bar, figure, contenders)),
  }
}

const figureReports = ({ figures, rows }: TrialResult): readonly FigureReport[] =>
  figures.map(figure => figureReport(figure, rows))

export const measureReport = ({ name, title, rounds, trials }: MeasureResult): MeasureReport => ({
  name,
  title,
  rounds,
  figures: trials.flatMap(figureReports),
})

/** Whether anything that is not a peer's or a tool's own fault went wrong. */
export const hasFailed = (problems: readonly Problem[]): boolean =>
  problems.some(({ role }) => role !== 'peer' && role !== 'tool')
