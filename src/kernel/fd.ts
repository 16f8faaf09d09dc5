/**
 * File descriptors and who closes them.
 * An `OwnedFd` has one owner, which closes it once; a `BorrowedFd` is only used while its owner keeps it open.
 */
import { readdirSync } from 'node:fs'
import { RLIMIT_NOFILE } from './constants.ts'
import { c } from './declarations.ts'
import { getWord, NativeBlock } from './memory.ts'
import { RLIMIT } from './structs.ts'

/** A descriptor number to use, never to close. */
export type BorrowedFd = number & { readonly __brand: 'BorrowedFd' }

let ownedCount = 0

export class OwnedFd {
  #number: number

  /** Take ownership of a descriptor that a call has just returned. */
  constructor(number: number) {
    this.#number = number
    ownedCount += 1
  }

  /** Throws after `close`: the number may be somebody else's by then. */
  get borrowed(): BorrowedFd {
    if (this.#number < 0) throw new Error('a closed descriptor was used')
    return this.#number as BorrowedFd
  }

  get closed(): boolean {
    return this.#number < 0
  }

  /** Give it up: whoever gets the number closes it, and says so (`noteClosed`). */
  release(): number {
    const number = this.borrowed
    this.#number = -1
    return number
  }

  /** Idempotent. A failure of close(2) is not reported: on Linux the descriptor is gone whatever it says. */
  close(): void {
    if (this.#number < 0) return
    c.close(this.#number)
    this.#number = -1
    ownedCount -= 1
  }
}

/** A descriptor that had been given up is closed. */
export const noteClosed = (): void => {
  ownedCount -= 1
}

/** Count descriptors that a message has brought: whoever took them closes each with `closeRaw`. */
export const noteReceived = (count: number): void => {
  ownedCount += count
}

/**
 * Close a descriptor that never had an owner object. For those of which somebody else still has a reference, or that cannot
 * wait: what a container sent goes to `closeReceived`.
 */
export const closeRaw = (fd: number): void => {
  c.close(fd)
  ownedCount -= 1
}

// Node raises the soft limit to the hard one before any JavaScript runs, so it is read once and never set.
const readLimit = (): number => {
  const limits = new NativeBlock(RLIMIT.size)
  const answer = c.getrlimit(RLIMIT_NOFILE, limits.address)
  const soft = getWord(limits.data, RLIMIT.soft)
  limits.free()
  // Without an answer, accept(2) and recvmsg(2) still say when the table is full.
  return answer < 0 ? Number.MAX_SAFE_INTEGER : soft
}

/** RLIMIT_NOFILE: descriptors this process may have open. */
export const descriptorLimit = readLimit()
const COUNT_VALID_MS = 100
let counted: { readonly total: number; readonly owned: number; readonly at: number } | undefined

const countOpen = (): number => {
  try {
    return readdirSync('/proc/self/fd').length
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // The table, here or the system's, is so full that not even this could be opened. Without /proc, our own count has to do.
    return code === 'EMFILE' || code === 'ENFILE' ? descriptorLimit : ownedCount
  }
}

/**
 * How many descriptors can still be opened, within a few: those of our own are counted exactly, Node's by a look at
 * /proc/self/fd, which is repeated when it gets tight, but not so often that it would cost more than it tells.
 */
export const freeDescriptors = (enough: number): number => {
  if (counted !== undefined) {
    const free = descriptorLimit - (counted.total + ownedCount - counted.owned)
    if (free >= enough + 32 || performance.now() - counted.at < COUNT_VALID_MS) return free
  }
  const total = countOpen()
  counted = { total, owned: ownedCount, at: performance.now() }
  return descriptorLimit - total
}
