/**
 * What makes a figure or a histogram unfit to be shown, in words for whoever writes the plugin. Pure.
 * Trusts nothing that types promise: a plugin of a third party may be plain JavaScript.
 */
import type { Figure, Histogram } from './contract.ts'

const LONGEST_WORD = 64
const LONGEST_HELP = 256
const LONGEST_ADVICE = 512
const MOST_LABELS = 8
const MOST_BUCKETS = 64
/** As Prometheus takes them (its data model): in labels, two underscores at the beginning are its own. */
const WORD = /^(?!__)[a-z_][a-z0-9_]*$/
/** Labels of the daemon's own, on every figure and on every histogram. */
const TAKEN_LABELS: readonly string[] = ['link', 'le']

const isWord = (word: unknown): boolean =>
  typeof word === 'string' && word.length <= LONGEST_WORD && WORD.test(word)

/** `undefined`: none. */
const flawOfNaming = (name: unknown, help: unknown): string | undefined => {
  if (!isWord(name)) return `its name is no snake_case word of at most ${LONGEST_WORD} characters`
  if (typeof help !== 'string' || help === '' || help.length > LONGEST_HELP)
    return `its help is no sentence of at most ${LONGEST_HELP} characters`
  return undefined
}

const flawOfAdvice = (advice: unknown): string | undefined =>
  advice === undefined || (typeof advice === 'string' && advice !== '' && advice.length <= LONGEST_ADVICE)
    ? undefined
    : `its advice is no text of at most ${LONGEST_ADVICE} characters`

const flawOfLabel = ([label, value]: readonly [string, unknown]): string | undefined => {
  const shown = JSON.stringify(label.slice(0, LONGEST_WORD))
  if (!isWord(label)) return `its label ${shown} is no snake_case word of at most ${LONGEST_WORD} characters`
  if (TAKEN_LABELS.includes(label)) return `its label ${shown} is one of the daemon's own`
  if (typeof value !== 'string' || value === '' || value.length > LONGEST_WORD)
    return `the value of its label ${shown} is no text of at most ${LONGEST_WORD} characters`
  return undefined
}

export const flawOfFigure = (figure: Figure): string | undefined => {
  if (typeof figure !== 'object' || figure === null) return 'it is no object'
  const { name, help, kind, labels, advice } = figure
  if (kind !== 'total' && kind !== 'gauge') return 'its kind is neither total nor gauge'
  const entries = Object.entries(labels ?? {})
  if (entries.length > MOST_LABELS) return `it has more than ${MOST_LABELS} labels`
  return (
    flawOfNaming(name, help) ??
    flawOfAdvice(advice) ??
    entries.map(flawOfLabel).find(flaw => flaw !== undefined)
  )
}

export const flawOfHistogram = (histogram: Histogram): string | undefined => {
  if (typeof histogram !== 'object' || histogram === null) return 'it is no object'
  const { name, help, bucketsMs } = histogram
  const isRising =
    Array.isArray(bucketsMs) &&
    bucketsMs.length > 0 &&
    bucketsMs.length <= MOST_BUCKETS &&
    bucketsMs.every((end, at) => Number.isFinite(end) && end > (bucketsMs[at - 1] ?? 0))
  if (!isRising) return `its buckets are no 1 to ${MOST_BUCKETS} rising numbers of milliseconds`
  return flawOfNaming(name, help)
}
