/**
 * Room for the descriptors that messages bring. With a full table recvmsg(2) succeeds and they are lost, and
 * descriptors that wait for one slow reader must not take the last ones from everybody else.
 */
import { SCM_MAX_FD } from '../kernel/constants.ts'
import { type BorrowedFd, descriptorLimit, freeDescriptors } from '../kernel/fd.ts'
import { peekRights, received } from '../kernel/message.ts'

/** Free, these are enough for any one message and for what we open ourselves. */
const WORST_CASE = SCM_MAX_FD + 16
/** Under a limit that leaves no such room, a quarter of it is kept for the daemon's own needs. */
const KEPT_FREE = Math.min(WORST_CASE, Math.floor(descriptorLimit / 4))

/** Descriptors that wait in the queues of a link, and, as its parent, in those of all links. */
export class HeldDescriptors {
  readonly #limit: number
  readonly #parent: HeldDescriptors | undefined
  #held = 0

  constructor(limit: number, parent?: HeldDescriptors) {
    this.#limit = limit
    this.#parent = parent
  }

  /** Of all links: half of what may be open at all. */
  static ofAll(): HeldDescriptors {
    return new HeldDescriptors(Math.floor(descriptorLimit / 2))
  }

  /** Of one link: half of that again, so that no link can take it all. */
  ofLink(): HeldDescriptors {
    return new HeldDescriptors(Math.floor(this.#limit / 2), this)
  }

  /** Once all links together hold their share, only those that hold nothing go on: they are not the cause. */
  get full(): boolean {
    return this.#held >= this.#limit || (this.#held > 0 && this.#parent?.full === true)
  }

  /** Negative when they leave. */
  add(count: number): void {
    this.#held += count
    this.#parent?.add(count)
  }
}

/**
 * Whether the next message may be read. False: leave it where it is and ask again later; one without descriptors may
 * always be read. Looks at `bytes` of the queue where it is not obvious.
 */
export const roomForRights = (fd: BorrowedFd, bytes: number, held: HeldDescriptors): boolean => {
  const free = freeDescriptors(WORST_CASE)
  const plenty = free >= WORST_CASE && !held.full
  if (plenty) return true
  // A look costs the descriptors for a moment, and says how many there are without losing any.
  peekRights(fd, bytes)
  if (received.controlTruncated) return false
  return received.fdCount === 0 || (free >= KEPT_FREE && !held.full)
}
