/**
 * Room for the descriptors that messages bring. With a full table recvmsg(2) succeeds and they are lost, and
 * descriptors that wait for one slow reader must not take the last ones from everybody else.
 */
import { SCM_MAX_FD } from '../kernel/constants.ts'
import { type BorrowedFd, descriptorLimit, freeDescriptors } from '../kernel/fd.ts'
import { carriesRights, peekRights, received } from '../kernel/message.ts'
import type { Limits } from '../model/limits.ts'

/** Free, these are enough for any one message and for what we open ourselves: no look is needed. */
const WORST_CASE = SCM_MAX_FD + 16

/** How the descriptor table is shared out. */
export interface Shares {
  /** What may wait in the queues of all links. */
  readonly held: number
  /** What may wait in those of one link. */
  readonly heldPerLink: number
  /** What messages leave free. */
  readonly keptFree: number
}

/**
 * The limits as they are under this RLIMIT_NOFILE: what is left open (0) is half of what may be open at all, and half of
 * that for one link, so that none can take it all; what is kept free never is more than a quarter.
 */
export const sharesOf = (
  limits: Pick<Limits, 'heldDescriptors' | 'heldDescriptorsPerLink' | 'descriptorReserve'>,
  openFiles = descriptorLimit,
): Shares => {
  const held = limits.heldDescriptors > 0 ? limits.heldDescriptors : Math.floor(openFiles / 2)
  return {
    held,
    heldPerLink: limits.heldDescriptorsPerLink > 0 ? limits.heldDescriptorsPerLink : Math.floor(held / 2),
    keptFree: Math.min(limits.descriptorReserve, Math.floor(openFiles / 4)),
  }
}

/** Descriptors that wait in the queues of a link, and, as its parent, in those of all links. */
export class HeldDescriptors {
  readonly #shares: Shares
  readonly #limit: number
  readonly #parent: HeldDescriptors | undefined
  #held = 0
  /** With fewer free, a message with descriptors waits. */
  readonly keptFree: number

  private constructor(shares: Shares, limit: number, parent?: HeldDescriptors) {
    this.#shares = shares
    this.#limit = limit
    this.keptFree = shares.keptFree
    this.#parent = parent
  }

  static ofAll(shares: Shares): HeldDescriptors {
    return new HeldDescriptors(shares, shares.held)
  }

  ofLink(): HeldDescriptors {
    return new HeldDescriptors(this.#shares, this.#shares.heldPerLink, this)
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
  const enough = Math.max(WORST_CASE, held.keptFree)
  const free = freeDescriptors(enough)
  if (free >= enough && !held.full) return true
  // Whoever has to wait asks again and again, and there may be many of them: that look must cost next to nothing.
  if (free < held.keptFree || held.full) return !carriesRights(fd)
  // This one costs the descriptors for a moment, and says whether there is room for all without losing any.
  peekRights(fd, bytes)
  return !received.controlTruncated
}
