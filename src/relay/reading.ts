/** How reading one side ended, for this turn or for good. */
import { Io } from '../kernel/errno.ts'
import type { Written } from './outbox.ts'

/**
 * `idle`: nothing left, readiness will tell. `budget`: there is more, after everybody else had a turn.
 * `blocked`, `busy`, `sink-gone`: what writing said. `ended`: end of stream. `source-gone`: the peer reset it.
 * `starved`: too few descriptors are free to take what comes. `too-long`: a packet over the limit, left where it is.
 * `lost`: descriptors were truncated, the session is over. `refused`: descriptors came where nobody may send any.
 */
export type Read =
  | 'idle'
  | 'budget'
  | 'blocked'
  | 'busy'
  | 'sink-gone'
  | 'ended'
  | 'source-gone'
  | 'starved'
  | 'too-long'
  | 'lost'
  | 'refused'

/** What a failed read means. */
export const readFailure = (n: number): Read => (n === Io.again ? 'idle' : 'source-gone')

/** What a write means to the reading it came from; `undefined`: go on. */
export const afterWrite = (written: Written): Read | undefined => {
  switch (written) {
    case 'all':
    case 'later':
      return undefined
    case 'blocked':
    case 'busy':
      return written
    case 'gone':
      return 'sink-gone'
  }
}

/** Bytes one descriptor may move in one turn of the reactor, so that none starves the others. */
export const TURN_BYTES = 1024 * 1024
/** Packets likewise: small ones cost by the piece. */
export const TURN_PACKETS = 64
/** How long to wait where no readiness tells: for descriptors, for those in flight, for room at a client. */
export const RETRY_MS = 50
