/** The few figures a soak is judged by. Pure. */

export interface Sample {
  /** Milliseconds. */
  readonly at: number
  readonly value: number
}

/** NaN of nothing. */
export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low, high] = [sorted[middle - 1], sorted[middle]]
  if (high === undefined) return Number.NaN
  return sorted.length % 2 === 1 || low === undefined ? high : (low + high) / 2
}

/** Change a minute: the median of the slopes between all pairs (Theil and Sen), so that single peaks do not count. */
export const slopePerMinute = (samples: readonly Sample[]): number => {
  const slopes = samples.flatMap((later, index) =>
    samples
      .slice(0, index)
      .filter(({ at }) => at !== later.at)
      .map(earlier => (later.value - earlier.value) / (later.at - earlier.at)),
  )
  return slopes.length === 0 ? 0 : median(slopes) * 60_000
}

/** Fewer say nothing about a trend. */
const FEWEST_SAMPLES = 6

/**
 * By how much the median of the last third is above that of the first, the warming up left out; `undefined`: too few
 * samples to tell.
 */
export const growth = (samples: readonly Sample[], warmUp = 2): number | undefined => {
  const counted = samples.slice(warmUp)
  if (counted.length < FEWEST_SAMPLES) return undefined
  const third = Math.floor(counted.length / 3)
  const medianOf = (part: readonly Sample[]): number => median(part.map(({ value }) => value))
  return medianOf(counted.slice(-third)) - medianOf(counted.slice(0, third))
}
