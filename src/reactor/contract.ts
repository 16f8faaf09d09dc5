/**
 * Readiness to callbacks, and time. Knows nothing about bytes.
 * Level-triggered: a handler that leaves something unread is called again, after everybody else had a turn.
 */
import type { BorrowedFd } from '../kernel/fd.ts'
import type { Clock } from '../model/clock.ts'

/** Who is called for one descriptor. */
export interface ReadyHandler {
  /** Readiness bits as `Readiness` names them. Error and hang-up come unasked, for as long as the descriptor is watched. */
  ready(readiness: number): void
  /** `ready` threw: a bug, already logged. Give up this one descriptor's business, and close it. */
  failed(): void
}

/** A descriptor in the set. The watcher's owner closes it before the descriptor. */
export interface Watch {
  /** Replace what is waited for; 0 leaves only error and hang-up. Puts the descriptor back after `rest`. */
  wait(readiness: number): void
  /** Take the descriptor out of the set: a hang-up that was handled would be reported without end. */
  rest(): void
  close(): void
}

/** Who is called once when a turn ends. */
export interface TurnEnd {
  turnEnds(): void
  /** As for a `ReadyHandler`. */
  failed(): void
}

export interface Reactor {
  /** While handlers run, its time stands still: it is when the turn began. */
  readonly clock: Clock
  /** Handlers are being called: `atTurnEnd` is possible. */
  readonly isTurning: boolean
  /** Call this when all that is ready now has been looked at. Only while turning. */
  atTurnEnd(task: TurnEnd): void
  watch(fd: BorrowedFd, readiness: number, handler: ReadyHandler): Watch
  close(): void
}
