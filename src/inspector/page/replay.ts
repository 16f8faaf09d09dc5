/** A recording on the page: where on its timeline we are, and how we move there. Asks the server for nothing but the timeline. */
import { batch, signal } from '@preact/signals'
import type { LinkRow, LogEntry, Timeline } from '../shared/protocol.ts'
import { indexTimeline, type TimelineIndex } from '../shared/timeline.ts'
import { plainState } from '../shared/words.ts'
import { setEntries } from './happened.ts'
import { chosen, position, setKnownLinks, setRows } from './store.ts'

export interface Recording {
  readonly timeline: Timeline
  readonly index: TimelineIndex
}

export const recording = signal<Recording | null>(null)
export const playing = signal(false)
/** Recorded seconds a second. */
export const speed = signal(1)
export const SPEEDS = [0.25, 1, 5, 20, 100, 500] as const
/** Where the clock stands, between two entries as well. */
export const playhead = signal(0)

export const load = (timeline: Timeline): void => {
  const index = indexTimeline(timeline)
  batch(() => {
    setKnownLinks(timeline.links)
    setEntries(timeline.entries)
    recording.value = { timeline, index }
    const span = timeline.endedAt - timeline.startedAt
    // So that it can be watched in about half a minute.
    speed.value = SPEEDS.findLast(each => span / each > 20_000) ?? 1
  })
  goTo(lastSight(timeline))
}

/** The end; where nothing is left by then, as after a drain, the last moment at which something still came up. */
const lastSight = ({ entries, links }: Timeline): number => {
  const index = indexTimeline({ entries, links, startedAt: 0, endedAt: 0, cut: false })
  const isThere = ({ key }: LinkRow): boolean => {
    const last = index.lastOf(key, entries.length)
    return last !== undefined && !isLeaving(last)
  }
  return links.some(isThere)
    ? entries.length
    : entries.findLastIndex(entry => entry.kind === 'transition' && !isLeaving(entry)) + 1
}

const isLeaving = ({ to }: LogEntry): boolean => to === 'released' || plainState(to) === 'tearing-down'

const rowAt = (base: LinkRow, entry: LogEntry | undefined): LinkRow | null => {
  if (entry === undefined || entry.to === 'released') return null
  const reason = plainState(entry.to) === 'mediating' ? null : entry.reason
  return { ...base, state: entry.to, since: entry.at, reason }
}

/** To a position; its time becomes that of the entry before it. */
export const goTo = (wanted: number, time?: number): void => {
  const current = recording.peek()
  if (current === null) return
  const { timeline, index } = current
  const at = Math.max(0, Math.min(index.length, wanted))
  batch(() => {
    playhead.value = time ?? index.timeAt(at)
    if (position.peek() === at) return
    position.value = at
    setRows(new Map(timeline.links.map(base => [base.key, rowAt(base, index.lastOf(base.key, at))])))
  })
}

export const goToTime = (time: number): void => {
  const current = recording.peek()
  if (current === null) return
  const { startedAt, endedAt } = current.timeline
  const bounded = Math.max(startedAt, Math.min(endedAt, time))
  goTo(current.index.positionAt(bounded), bounded)
}

/** To the next transition in a direction: of the chosen link, if there is one, or of any. */
export const step = (by: 1 | -1, ofChosen = false): void => {
  const current = recording.peek()
  const from = position.peek()
  if (current === null || from === null) return
  playing.value = false
  const { entries } = current.timeline
  const only = ofChosen ? chosen.peek() : null
  for (let at = from + by; at > 0 && at <= entries.length; at += by) {
    const entry = entries[at - 1]
    if (entry?.kind === 'transition' && (only === null || entry.link === only)) {
      goTo(at)
      return
    }
  }
  goTo(by > 0 ? entries.length : 0)
}

export const play = (): void => {
  const current = recording.peek()
  if (current === null) return
  if (playing.peek()) {
    playing.value = false
    return
  }
  const { startedAt, endedAt } = current.timeline
  if (playhead.peek() >= endedAt) goToTime(startedAt)
  playing.value = true
  let before = performance.now()
  const frame = (now: number): void => {
    if (!playing.peek()) return
    const time = playhead.peek() + (now - before) * speed.peek()
    before = now
    goToTime(time)
    if (time >= endedAt) playing.value = false
    else requestAnimationFrame(frame)
  }
  requestAnimationFrame(frame)
}
