/** What a handful of rounds says: medians and spreads. Pure; knows nothing of what was measured. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** NaN for no values at all. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const upper = sorted[Math.floor(middle)] ?? Number.NaN
  return Number.isInteger(middle) ? ((sorted[middle - 1] ?? Number.NaN) + upper) / 2 : upper
}

export const spreadOf = (values: readonly number[]): Spread => ({
  median: median(values),
  min: values.length === 0 ? Number.NaN : Math.min(...values),
  max: values.length === 0 ? Number.NaN : Math.max(...values),
})

/**
 * The ratio of every round, where both have a value. What disturbs the machine for longer than a round disturbs both and
 * so cancels out, which it would not in a ratio of two medians.
 */
export const ratiosOf = (
  values: readonly (number | undefined)[],
  references: readonly (number | undefined)[],
): readonly number[] =>
  values.flatMap((value, round) => {
    const reference = references[round]
    return value === undefined || reference === undefined || reference === 0 ? [] : [value / reference]
  })

/** The same things, beginning one further each round: nobody is always first, or always after the same one. */
export const rotated = <A>(things: readonly A[], round: number): readonly A[] => {
  const first = things.length === 0 ? 0 : round % things.length
  return [...things.slice(first), ...things.slice(0, first)]
}
