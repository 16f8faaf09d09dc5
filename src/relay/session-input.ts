/** What has come from one side of a session's connection and waits: for more, for the provider, or for the session to go on. */
import { closeReceived } from '../kernel/closing.ts'
import { inputBytes } from '../kernel/message.ts'
import type { HeldDescriptors } from './descriptor-reserve.ts'

const NOTHING = new Uint8Array(0)

export interface PendingInput {
  /** What the session has not consumed: it is shown again, with what comes. */
  stash: Uint8Array
  fds: number[]
  /** Offset in the stashed bytes of the byte that each descriptor belongs to. */
  fdsAt: number[]
  /** How many of the coming bytes the session does not want to see; infinite: all. */
  opaque: number
  paused: boolean
  /** When its last byte came, as the reactor's clock tells it. */
  lastMoved: number
  /** What waits is to be shown again, though nothing was added. */
  again: boolean
}

export const newInput = (): PendingInput => ({
  stash: NOTHING,
  fds: [],
  fdsAt: [],
  opaque: 0,
  paused: false,
  lastMoved: 0,
  again: false,
})

/** Nothing waits that the session has seen, and it does not want to see what comes. */
export const isUnseen = (input: PendingInput): boolean => input.opaque > 0 && input.stash.length === 0

/**
 * Descriptors that wait for the rest of their message. More than any message can have are nobody's, and only kept from others.
 */
export const MOST_WAITING_DESCRIPTORS = 1024

/** Take over descriptors that came with bytes whose first one lies at this offset. */
export const addDescriptors = (
  input: PendingInput,
  fds: readonly number[],
  at: number,
  held: HeldDescriptors,
): void => {
  for (const fd of fds) {
    input.fds.push(fd)
    input.fdsAt.push(at)
  }
  held.add(fds.length)
}

/** Keep what was not consumed of an offer: the input buffer's bytes from `consumed` to `end`. */
export const stashRest = (input: PendingInput, consumed: number, end: number): void => {
  input.stash = consumed === end ? NOTHING : inputBytes().slice(consumed, end)
  for (let i = 0; i < input.fdsAt.length; i += 1)
    input.fdsAt[i] = Math.max(0, (input.fdsAt[i] ?? 0) - consumed)
}

/** Close the descriptors that nobody took. */
export const closeInput = (input: PendingInput, held: HeldDescriptors): void => {
  closeReceived(input.fds, held)
  held.add(-input.fds.length)
  input.fds = []
  input.fdsAt = []
}
