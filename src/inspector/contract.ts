/**
 * What the inspector looks at: a daemon from within, one by its control socket, a recording. Each is a subject.
 * A subject works only while it is watched; what it tells is plain data, so that the server needs to know none of them.
 */
import type { About, Around, CounterRow, Details, LinkRow, LogEntry, Timeline } from './shared/protocol.ts'
import type { StatelyEvent } from './stately-events.ts'

/** Everything, as it is now. */
export interface Whole extends Around {
  readonly links: readonly LinkRow[]
  /** What happened before, as far as it is known, from the oldest. */
  readonly log: readonly Happening[]
}

/** An entry of the log before it is numbered. */
export type Happening = Omit<LogEntry, 'n'>

export interface Update {
  readonly links: readonly LinkRow[]
  readonly gone: readonly string[]
  readonly log: readonly Happening[]
  readonly around?: Around
}

export interface Watcher {
  /** Once at the beginning, and again whenever what came between is not known. */
  onWhole(whole: Whole): void
  onUpdate(update: Update): void
  /** Of the links that counted something since. */
  onCounters(counters: readonly CounterRow[]): void
  /** Nothing can be seen, and why; `onWhole` says that it can again. */
  onDown(reason: string): void
}

export interface Subject {
  readonly about: About
  /** Look, until the returned function is called. One watcher at a time. */
  watch(watcher: Watcher): () => void
  /** `at`: a position of the timeline, where there is one. `null`: no such link, there and then. */
  details(key: string, at: number | null): Promise<Details | null>
  /** A recording has one. */
  readonly timeline?: () => Timeline
  /**
   * What goes on in xstate's own terms, from who there is on, in the order in which it is told. What is told at once may be
   * much and be worked out only as it is read. Returns how to stop.
   */
  readonly actors?: (tell: (events: Iterable<StatelyEvent>) => void) => () => void
}
