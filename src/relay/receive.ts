/** One read of what came for a session, or of what nobody is to have. */
import { Io } from '../kernel/errno.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import { peek, received, receivePlain, receiveUpToRights, receiveWithRights } from '../kernel/message.ts'
import type { LinkCounters } from './counters.ts'
import type { HeldDescriptors } from './descriptor-reserve.ts'
import type { Descriptors } from './ports.ts'
import { takeReceived } from './read-stream.ts'

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
