/**
 * What a link has counted besides its common counters, as plain data: figures with labels, and how long things took.
 * Promises that what comes of adding two of them up is bounded as each of them is.
 */

/** A figure as it stands. The words are a plugin's own, and checked: fit for a metric's name and labels. */
export interface CountedFigure {
  /** `link`: the daemon counts it, for links of every type; `protocol`: the plugin, for those of its own. */
  readonly of: 'link' | 'protocol'
  readonly name: string
  readonly help: string
  readonly labels: Readonly<Record<string, string>>
  readonly kind: 'total' | 'gauge'
  readonly value: number
  /** What to do where it is not 0. */
  readonly advice?: string
}

/** How long something took, over and over. */
export interface CountedTimes {
  readonly name: string
  readonly help: string
  /** Upper ends, in milliseconds, rising. */
  readonly bucketsMs: readonly number[]
  /** How many fell into each bucket alone; behind the last, how many took longer. */
  readonly counts: readonly number[]
  readonly sumMs: number
}

/** What plugins may count for one link; a code of theirs that makes up names would fill the memory else. */
export const MOST_FIGURES = 256
export const MOST_HISTOGRAMS = 16

/** Equal for two that are the same figure. */
export const figureId = ({
  of,
  kind,
  name,
  labels,
}: Omit<CountedFigure, 'advice' | 'help' | 'value'>): string =>
  JSON.stringify([of, kind, name, Object.entries(labels).sort()])

/** What is left of figures when all connections have ended. */
export const totalsAmong = (figures: readonly CountedFigure[]): readonly CountedFigure[] =>
  figures.filter(({ kind }) => kind === 'total')

export const addFigures = (
  past: readonly CountedFigure[],
  now: readonly CountedFigure[],
): readonly CountedFigure[] => {
  if (past.length === 0) return now
  const sums = new Map(past.map(figure => [figureId(figure), figure]))
  for (const figure of now) {
    const id = figureId(figure)
    const before = sums.get(id)
    if (before !== undefined) sums.set(id, { ...figure, value: before.value + figure.value })
    else if (sums.size < MOST_FIGURES || figure.of === 'link') sums.set(id, figure)
  }
  return [...sums.values()]
}

const sameBuckets = (a: CountedTimes, b: CountedTimes): boolean =>
  a.bucketsMs.length === b.bucketsMs.length && a.bucketsMs.every((end, at) => end === b.bucketsMs[at])

export const addTimes = (
  past: readonly CountedTimes[],
  now: readonly CountedTimes[],
): readonly CountedTimes[] => {
  if (past.length === 0) return now
  const sums = new Map(past.map(times => [times.name, times]))
  for (const times of now) {
    const before = sums.get(times.name)
    if (before === undefined && sums.size >= MOST_HISTOGRAMS) continue
    // Times that were told apart in another way cannot be added up: the newer ones count.
    if (before === undefined || !sameBuckets(before, times)) sums.set(times.name, times)
    else {
      const counts = times.counts.map((count, at) => count + (before.counts[at] ?? 0))
      sums.set(times.name, { ...times, counts, sumMs: before.sumMs + times.sumMs })
    }
  }
  return [...sums.values()]
}
