/**
 * Whether there is room for the descriptors that a message brings. With a full table recvmsg(2) succeeds and they are
 * lost, and descriptors that wait for one slow reader must not take the last ones from everybody else.
 */
import { SCM_MAX_FD } from '../kernel/constants.ts'
import { type BorrowedFd, descriptorLimit, freeDescriptors } from '../kernel/fd.ts'
import { peekRights, received } from '../kernel/message.ts'

/** Free, these are enough for any one message and for what we open ourselves. */
const WORST_CASE = SCM_MAX_FD + 16
/** Under a limit that leaves no such room, a quarter of it is kept for the daemon's own needs. */
const KEPT_FREE = Math.min(WORST_CASE, Math.floor(descriptorLimit / 4))

/** False: leave the message where it is and ask again later. Looks at `bytes` of the queue where it is not obvious. */
export const roomForRights = (fd: BorrowedFd, bytes: number): boolean => {
  const free = freeDescriptors(WORST_CASE)
  if (free >= WORST_CASE) return true
  if (free < KEPT_FREE) return false
  // Too few for the worst case, but the message may carry only some: a look says, without losing any.
  peekRights(fd, bytes)
  return !received.controlTruncated
}
