/**
 * What links count besides their common counters, in the text format of Prometheus (version 0.0.4). Pure.
 * Written here and not by prom-client, which cannot be told a histogram's buckets, only what to sort into them, and
 * which adds up two series whose labels look alike when joined. Promises text that a scraper takes, whatever the
 * plugins: two that mean different things by one name cost the second its metric, and a comment says so.
 */
import type { LinkView } from '../controller/links.ts'
import type { CountedFigure, CountedTimes } from '../model/figures.ts'

interface Family {
  readonly of: CountedFigure['of']
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly lines: string[]
}

/** `taken`: names that are metrics already. Empty where nothing was counted. */
export const figuresText = (links: readonly LinkView[], taken: readonly string[]): string => {
  const families = createFamilies(taken)
  // The daemon's own come first, so that no plugin can take their names.
  for (const whose of ['link', 'protocol'] as const) {
    for (const { key, desired, counters } of links) {
      for (const figure of counters?.figures ?? [])
        if (figure.of === whose) families.add(...figureFamily(figure, desired.link.type, key))
    }
  }
  for (const { key, desired, counters } of links) {
    for (const times of counters?.histograms ?? [])
      families.add(...timesFamily(times, desired.link.type, key))
  }
  return families.text()
}

const createFamilies = (taken: readonly string[]) => {
  const families = new Map<string, Family>()
  /** What lines begin with: a histogram has three such names besides its own. */
  const owned = new Set(taken)
  const leftOut = new Set<string>()
  return {
    add(name: string, family: Family): void {
      const names = family.type === 'histogram' ? [name, ...HISTOGRAM_LINES.map(line => name + line)] : [name]
      const known = families.get(name)
      const fits =
        known === undefined
          ? !names.some(each => owned.has(each))
          : known.type === family.type && known.of === family.of
      if (!fits) {
        leftOut.add(name)
        return
      }
      for (const each of names) owned.add(each)
      if (known === undefined) families.set(name, family)
      else known.lines.push(...family.lines)
    },
    text: (): string =>
      [
        ...[...families].flatMap(([name, { type, help, lines }]) => [
          `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`,
          `# TYPE ${name} ${type}`,
          ...lines,
        ]),
        ...[...leftOut].map(name => `# Left out, as the name means something else already: ${name}`),
      ]
        .map(line => `${line}\n`)
        .join(''),
  }
}

const HISTOGRAM_LINES = ['_bucket', '_sum', '_count']

/** A type may have signs that a metric may not. */
const metricName = (type: string, name: string): string =>
  `pv_xconnect_link_${type.replace(/[^a-zA-Z0-9_]/g, '_')}_${name}`

const figureFamily = (
  { of, name, help, labels, kind, value }: CountedFigure,
  type: string,
  link: string,
): readonly [string, Family] => {
  const base = of === 'link' ? `pv_xconnect_link_${name}` : metricName(type, name)
  const metric = kind === 'total' ? `${base}_total` : base
  const line = sample(metric, { link, ...labels }, value)
  return [metric, { of, type: kind === 'total' ? 'counter' : 'gauge', help, lines: [line] }]
}

const timesFamily = (
  { name, help, bucketsMs, counts, sumMs }: CountedTimes,
  type: string,
  link: string,
): readonly [string, Family] => {
  const metric = `${metricName(type, name)}_seconds`
  let upTo = 0
  const buckets = counts.map((count, at) => {
    upTo += count
    const end = bucketsMs[at]
    return sample(`${metric}_bucket`, { link, le: end === undefined ? '+Inf' : String(end / 1000) }, upTo)
  })
  const lines = [
    ...buckets,
    sample(`${metric}_sum`, { link }, sumMs / 1000),
    sample(`${metric}_count`, { link }, upTo),
  ]
  return [metric, { of: 'protocol', type: 'histogram', help, lines }]
}

const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '"': '\\"', '\n': '\\n' }

const sample = (name: string, labels: Readonly<Record<string, string>>, value: number): string => {
  const inner = Object.entries(labels).map(
    ([label, text]) => `${label}="${text.replace(/[\\"\n]/g, sign => ESCAPED[sign] ?? sign)}"`,
  )
  return `${name}{${inner.join(',')}} ${value}`
}
