/**
 * What a connection carries, as its connection sees it: a flow reads each side's input, queues what goes to the other one, and
 * says what an end of input means. It never touches a watch, a half-close or the other descriptor: those are the connection's.
 */
import type { BorrowedFd } from '../kernel/fd.ts'
import type { DialError, DialledAs, Side } from './contract.ts'
import type { Outbox } from './outbox.ts'
import type { Read } from './reading.ts'

export interface Flow {
  /** The consumer is there. */
  opened(): void
  /** The provider answered, or did not. `as`: whom it sees, unless that is the daemon. */
  dialled(failed: DialError | undefined, as: DialledAs | undefined): void
  outboxFor(side: Side, fd: BorrowedFd): Outbox
  /** It ends as soon as what waits has been written. */
  readonly closing: boolean
  /** The relay itself deals with the end of what goes to this side; else the flow says what becomes of the connection. */
  endsByItself(to: Side): boolean
  read(from: Side): Read
  /** May input of this side be read now? */
  reads(from: Side): boolean
  /** The input of a side has ended. True: the relay passes the end on; false: the flow has dealt with it. */
  passesEnd(from: Side, fully: boolean): boolean
  /** What was queued for a side has been written. */
  drained(to: Side): void
  /** Nothing more can be written to a side, and what was queued for it has been dropped. May come in the middle of a read. */
  outputBroken(to: Side): void
  /** All events of a turn have been told; what it still wants to do comes now, before the relay looks at where things stand. */
  settling(): void
  /** The link was withdrawn, and the connection is given some time. */
  withdrawn(): void
  closed(): void
}
