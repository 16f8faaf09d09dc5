/**
 * The figures and times of one link, as its sessions count them.
 * Counting is a look-up by the object and an addition; all else is done when a figure is met first: it is checked, and
 * becomes one with another of the same name and labels. What is not fit to be shown costs itself and a line in the log,
 * never its connection: a plugin's slip in counting is no reason to fail its users.
 */
import {
  type CountedFigure,
  type CountedTimes,
  figureId,
  MOST_FIGURES,
  MOST_HISTOGRAMS,
} from '../model/figures.ts'
import type { LinkLog } from '../toolbox/contract.ts'
import type { Figure, Histogram } from './contract.ts'
import { flawOfFigure, flawOfHistogram } from './figure-flaws.ts'

interface FigureCell {
  readonly declared: Omit<CountedFigure, 'value'>
  readonly isGauge: boolean
  /** The least that may be added. */
  readonly leastStep: number
  value: number
}

interface TimesCell {
  readonly declared: Omit<CountedTimes, 'counts' | 'sumMs'>
  readonly counts: number[]
  sumMs: number
}

const figureCell = (declared: FigureCell['declared']): FigureCell => ({
  declared,
  isGauge: declared.kind === 'gauge',
  leastStep: declared.kind === 'gauge' ? Number.NEGATIVE_INFINITY : 0,
  value: 0,
})

const timesCell = (declared: TimesCell['declared']): TimesCell => ({
  declared,
  counts: Array.from({ length: declared.bucketsMs.length + 1 }, () => 0),
  sumMs: 0,
})

type WarningLog = Pick<LinkLog, 'warn'>

export class LinkFigures {
  readonly #log: WarningLog
  readonly #cells = new Map<Figure, FigureCell>()
  readonly #shown = new Map<string, FigureCell>()
  readonly #timesCells = new Map<Histogram, TimesCell>()
  readonly #timesShown = new Map<string, TimesCell>()
  /** Where that is counted which is not shown: it needs no case of its own. */
  readonly #nowhere = figureCell({ of: 'protocol', name: '', help: '', labels: {}, kind: 'total' })
  readonly #timesNowhere = timesCell({ name: '', help: '', bucketsMs: [] })
  readonly #said = new Set<string>()

  constructor(log: WarningLog) {
    this.#log = log
  }

  /** A figure of the protocol. True: it is a gauge, and has moved. */
  count(figure: Figure, by: number): boolean {
    const cell = this.#cells.get(figure) ?? this.#meet(figure)
    if (Number.isFinite(by) && by >= cell.leastStep) {
      cell.value += by
      return cell.isGauge
    }
    this.#sayOnce({ figure: cell.declared.name, by: String(by) }, 'a plugin counts by what is no such number')
    return false
  }

  /** A total that the daemon keeps for links of every type: it takes no place from a plugin's. */
  countOwn(figure: Figure, by = 1): void {
    const cell = this.#cells.get(figure) ?? this.#enter(figure, 'link')
    cell.value += by
  }

  observe(histogram: Histogram, ms: number): void {
    const cell = this.#timesCells.get(histogram) ?? this.#meetTimes(histogram)
    const { bucketsMs } = cell.declared
    let at = 0
    while (at < bucketsMs.length && ms > (bucketsMs[at] ?? 0)) at += 1
    cell.counts[at] = (cell.counts[at] ?? 0) + 1
    cell.sumMs += ms
  }

  figures(): readonly CountedFigure[] {
    // Copied field by field: V8 takes ten times as long for a spread.
    return Array.from(this.#shown.values(), ({ declared, value }) => {
      const { of, name, help, labels, kind, advice } = declared
      return advice === undefined
        ? { of, name, help, labels, kind, value }
        : { of, name, help, labels, kind, value, advice }
    })
  }

  histograms(): readonly CountedTimes[] {
    return Array.from(this.#timesShown.values(), ({ declared, counts, sumMs }) => ({
      ...declared,
      counts: [...counts],
      sumMs,
    }))
  }

  #meet(figure: Figure): FigureCell {
    if (this.#cells.size >= MOST_FIGURES) {
      this.#sayOnce(
        { most: MOST_FIGURES },
        'a plugin counts more figures than there may be: the rest is left out',
      )
      return this.#nowhere
    }
    const flaw = flawOfFigure(figure)
    if (flaw === undefined) return this.#enter(figure, 'protocol')
    this.#sayUnfit(figure, flaw)
    // Remembered, so that it is said once; and it has a place, so that this ends.
    this.#cells.set(figure, this.#nowhere)
    return this.#nowhere
  }

  #enter(figure: Figure, of: CountedFigure['of']): FigureCell {
    const { name, help, kind, labels, advice } = figure
    const plain = { of, name, help, labels: { ...labels }, kind }
    const declared = advice === undefined ? plain : { ...plain, advice }
    const id = figureId(declared)
    const cell = this.#shown.get(id) ?? figureCell(declared)
    this.#shown.set(id, cell)
    this.#cells.set(figure, cell)
    return cell
  }

  #meetTimes(histogram: Histogram): TimesCell {
    if (this.#timesCells.size >= MOST_HISTOGRAMS) {
      const most = MOST_HISTOGRAMS
      this.#sayOnce({ most }, 'a plugin has more histograms than there may be: the rest is left out')
      return this.#timesNowhere
    }
    const cell = this.#timesFor(histogram)
    if (cell !== this.#timesNowhere) this.#timesShown.set(cell.declared.name, cell)
    this.#timesCells.set(histogram, cell)
    return cell
  }

  #timesFor(histogram: Histogram): TimesCell {
    const flaw = flawOfHistogram(histogram)
    if (flaw !== undefined) {
      this.#sayUnfit(histogram, flaw)
      return this.#timesNowhere
    }
    const { name, help, bucketsMs } = histogram
    const known = this.#timesShown.get(name)
    if (known === undefined) return timesCell({ name, help, bucketsMs: [...bucketsMs] })
    if (String(known.declared.bucketsMs) === String(bucketsMs)) return known
    this.#sayUnfit(histogram, 'another of its name has other buckets')
    return this.#timesNowhere
  }

  #sayUnfit(figure: { readonly name: string } | null | undefined, reason: string): void {
    this.#log.warn({ figure: String(figure?.name).slice(0, 64), reason }, 'a figure of a plugin is left out')
  }

  #sayOnce(facts: object, message: string): void {
    if (this.#said.has(message)) return
    this.#said.add(message)
    this.#log.warn(facts, message)
  }
}

/** The same for one connection: what it added to gauges, and the moment that it remembers. */
export class ConnectionFigures {
  readonly #figures: LinkFigures
  /** Made with the first: few connections have any. */
  #gauges: Map<Figure, number> | undefined
  #marked: number | undefined
  #closed = false

  constructor(figures: LinkFigures) {
    this.#figures = figures
  }

  count(figure: Figure, by: number): void {
    // What it added has been taken back: a last word of its session must not leave anything behind.
    if (this.#closed && figure.kind === 'gauge') return
    if (!this.#figures.count(figure, by)) return
    this.#gauges ??= new Map()
    this.#gauges.set(figure, (this.#gauges.get(figure) ?? 0) + by)
  }

  mark(now: number): void {
    this.#marked = now
  }

  /** Without a mark there is no time to tell. */
  observe(histogram: Histogram, now: number): void {
    if (this.#marked !== undefined) this.#figures.observe(histogram, now - this.#marked)
  }

  /** Idempotent. */
  closed(): void {
    this.#closed = true
    for (const [figure, value] of this.#gauges ?? []) this.#figures.count(figure, -value)
    this.#gauges = undefined
  }
}
