/** What a link's protocol has counted and timed, as tables for people. Pure. Says nothing of what never happened. */
import type { CountersJson, FigureJson, TimesJson } from '../control/shapes.ts'
import { type Column, renderTable } from './render.ts'

const FIGURE_COLUMNS: readonly Column[] = ['WHAT', 'OF', 'COUNT', 'MEANING'].map(title => ({
  title,
  cut: 'never',
}))
const TIMES_COLUMNS: readonly Column[] = ['WHAT', 'COUNT', 'MEAN', 'P50', 'P95', 'P99', 'MEANING'].map(
  title => ({ title, cut: 'never' }),
)

/** `null`: nothing was. */
export const figuresTable = (counters: CountersJson | null): string | null => {
  const counted = (counters?.figures ?? []).filter(({ value }) => value !== 0)
  return counted.length === 0 ? null : renderTable(FIGURE_COLUMNS, [...counted].sort(byFigure).map(figureRow))
}

export const timesTable = (counters: CountersJson | null): string | null => {
  const timed = (counters?.histograms ?? []).filter(({ counts }) => sum(counts) > 0)
  return timed.length === 0 ? null : renderTable(TIMES_COLUMNS, timed.map(timesRow))
}

/** By name; of one name, what happened most comes first. */
const byFigure = (a: FigureJson, b: FigureJson): number =>
  a.name < b.name ? -1 : a.name > b.name ? 1 : b.value - a.value

const figureRow = ({ name, labels, kind, value, help }: FigureJson): readonly string[] => [
  name,
  Object.entries(labels)
    .map(([label, text]) => `${label} ${text}`)
    .join(', '),
  kind === 'gauge' ? `${value} now` : String(value),
  help,
]

const sum = (counts: readonly number[]): number => counts.reduce((so, count) => so + count, 0)

const timesRow = (times: TimesJson): readonly string[] => {
  const count = sum(times.counts)
  const mean = times.sumMs / count
  return [
    times.name,
    String(count),
    milliseconds(Number(mean.toPrecision(3))),
    ...[0.5, 0.95, 0.99].map(share => within(times, share * count)),
    times.help,
  ]
}

/** The bucket that the fastest `count` of them end in: what is known, without a guess at where in it. */
const within = ({ bucketsMs, counts }: TimesJson, count: number): string => {
  let faster = 0
  for (const [at, end] of bucketsMs.entries()) {
    faster += counts[at] ?? 0
    if (faster >= count) return `≤ ${milliseconds(end)}`
  }
  return `> ${milliseconds(bucketsMs.at(-1) ?? 0)}`
}

const milliseconds = (ms: number): string => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`)
