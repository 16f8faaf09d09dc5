/**
 * What waits to be written to one socket. Bounded: whoever fills it looks at `full` before reading more.
 * An outbox owns the descriptors queued in it, from the call that hands them over until they are sent or discarded.
 */
import { Io } from '../kernel/errno.ts'

/**
 * How a write went. `later`: it goes out when the turn ends, by `depart`. `busy`: the kernel holds too many of our
 * descriptors in flight; no readiness tells when that ends.
 */
export type Written = 'all' | 'later' | 'blocked' | 'busy' | 'gone'

/** What a failed write means; `n` is an `Io` failure. */
export const failedWrite = (n: number): Written => {
  if (n === Io.again) return 'blocked'
  return n === Io.busy ? 'busy' : 'gone'
}

export interface Outbox {
  /** Bytes that wait. */
  readonly waiting: number
  /** Nothing waits. */
  readonly empty: boolean
  /** Stop reading for it. */
  readonly full: boolean
  /** Start reading for it again, once it was full. */
  readonly hungry: boolean
  /** Something waits for the end of the turn. */
  readonly departs: boolean
  /** Write it. */
  depart(): Written
  /** Write what waits, as far as the socket takes it. */
  flush(): Written
  /** Forget what waits, and close its descriptors. */
  discard(): void
}
