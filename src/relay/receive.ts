/**
 * One read of what came for a session, or of what nobody is to have; and the descriptors that any read brought, for whoever takes
 * them over. Nothing is kept here: they have an owner when the call returns, or are closed.
 */
import { closeReceived } from '../kernel/closing.ts'
import { Io } from '../kernel/errno.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import { peek, received, receivePlain, receiveUpToRights, receiveWithRights } from '../kernel/message.ts'
import type { Figure } from './contract.ts'
import type { LinkCounters } from './counters.ts'
import type { HeldDescriptors } from './descriptor-reserve.ts'
import { type Descriptors, keepsDescriptors } from './ports.ts'

export const NO_FDS: readonly number[] = []

/** Where the kernel refuses them for us there is nothing to count. */
const DESCRIPTORS_DROPPED: Figure = {
  name: 'descriptors_dropped',
  help: 'Descriptors that came and had nowhere to go: they were closed.',
  kind: 'total',
}

/** The descriptors of the last read, as whoever passes them on takes them over; none where they are not to pass. */
export const takeReceived = (
  descriptors: Descriptors,
  counters: LinkCounters,
  held: HeldDescriptors,
): readonly number[] => {
  if (received.fdCount === 0) return NO_FDS
  const fds = Array.from(received.fds.subarray(0, received.fdCount))
  if (keepsDescriptors(descriptors)) {
    counters.descriptorsPassed += fds.length
    return fds
  }
  counters.counted.countOwn(DESCRIPTORS_DROPPED, fds.length)
  closeReceived(fds, held)
  return NO_FDS
}

/**
 * Plain bytes, or one message with descriptors: never both, so that a session is told the byte they belong to.
 * Plain bytes with descriptors behind them would come in one recvmsg (`read-stream.ts` has the whole story).
 */
const receiveExact = (fd: BorrowedFd, at: number, room: number): number => {
  const seen = peek(fd, 1)
  if (seen <= 0 || !received.controlTruncated) return receiveWithRights(fd, at, room)
  const end = peek(fd, room)
  const before = end > 1 ? receiveUpToRights(fd, at, end) : Io.fault
  return before === Io.fault ? receiveWithRights(fd, at, Math.max(end, 1)) : before
}

/** Read to offset `at` of the input buffer, as the link treats descriptors. Gives what recvmsg(2) does, and sets `received`. */
export const receiveAs = (descriptors: Descriptors, fd: BorrowedFd, at: number, room: number): number => {
  switch (descriptors) {
    case 'exact':
      return receiveExact(fd, at, room)
    case 'queued':
    case 'dropped':
    case 'refused':
      return receiveWithRights(fd, at, room)
    case 'none':
      received.fdCount = 0
      return receivePlain(fd, at, room)
  }
}

/** Read at most `room` bytes to nowhere; descriptors that come with them are closed. Gives what recvmsg(2) does. */
export const receiveToDiscard = (
  fd: BorrowedFd,
  room: number,
  counters: LinkCounters,
  held: HeldDescriptors,
): number => {
  const n = receiveWithRights(fd, 0, room)
  if (received.fdCount > 0) takeReceived('dropped', counters, held)
  return n
}
