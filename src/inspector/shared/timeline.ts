/**
 * Where every link of a recording is at any position of its timeline, without running anything again. Pure.
 * A position is a count of entries: at 0 nothing has happened, at `entries.length` everything.
 */
import type { LogEntry, Timeline } from './protocol.ts'

export interface TimelineIndex {
  readonly length: number
  /** The entry that made a link's state what it is at the position; `undefined`: the link has not appeared yet. */
  lastOf(link: string, position: number): LogEntry | undefined
  /** How many entries happened up to a time, that moment included. */
  positionAt(time: number): number
  /** The time of the entry before the position; the start's, before the first. */
  timeAt(position: number): number
}

export const indexTimeline = ({ entries, startedAt }: Timeline): TimelineIndex => {
  const byLink = new Map<string, number[]>()
  entries.forEach(({ link, kind }, at) => {
    if (link === null || kind !== 'transition') return
    const positions = byLink.get(link)
    if (positions === undefined) byLink.set(link, [at])
    else positions.push(at)
  })
  return {
    length: entries.length,
    lastOf(link, position) {
      const positions = byLink.get(link) ?? []
      const found = positions[countUpTo(positions, at => at < position) - 1]
      return found === undefined ? undefined : entries[found]
    },
    positionAt: time => countUpTo(entries, entry => entry.at <= time),
    timeAt: position => entries[position - 1]?.at ?? startedAt,
  }
}

/** How many of the first items hold, where those that hold come first. */
const countUpTo = <A>(items: readonly A[], holds: (item: A) => boolean): number => {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = items[middle]
    if (item !== undefined && holds(item)) low = middle + 1
    else high = middle
  }
  return low
}
