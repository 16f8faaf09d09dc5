/**
 * Moving bytes between sockets without copying them (splice(2)), through a pipe.
 * Descriptors in the moved bytes would be lost in silence: whoever calls this has looked, or has a contract without them.
 */
import { F_SETPIPE_SZ, O_CLOEXEC, O_NONBLOCK, SPLICE_F_MOVE, SPLICE_F_NONBLOCK } from './constants.ts'
import { c, NULL } from './declarations.ts'
import { ioFailure } from './errno.ts'
import { type BorrowedFd, freeDescriptors, OwnedFd } from './fd.ts'
import { NativeBlock } from './memory.ts'

/** What one pipe may hold; larger needs a privilege, and more would only be latency. */
const PIPE_BYTES = 1024 * 1024

export class SplicePipe {
  readonly #read: OwnedFd
  readonly #write: OwnedFd
  /** Bytes inside. */
  held = 0

  constructor(read: OwnedFd, write: OwnedFd) {
    this.#read = read
    this.#write = write
  }

  /** Move at most `length` bytes of a socket in. The count, 0 at the end of the stream, or an `Io` failure (`again`: full or empty). */
  fill(from: BorrowedFd, length: number): number {
    const n = c.splice(from, NULL, this.#write.borrowed, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
    if (n < 0) return ioFailure()
    this.held += n
    return n
  }

  /** Move what is inside out to a socket. The count, or an `Io` failure. */
  drain(to: BorrowedFd): number {
    const n = c.splice(this.#read.borrowed, NULL, to, NULL, this.held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK)
    if (n < 0) return ioFailure()
    this.held -= n
    return n
  }

  close(): void {
    this.#read.close()
    this.#write.close()
  }
}

const pair = new NativeBlock(8)

/** With fewer free, bytes are copied: connections need the descriptors more. */
const KEPT_FREE = 64

const openPipe = (): SplicePipe | undefined => {
  if (freeDescriptors(KEPT_FREE) < KEPT_FREE) return undefined
  if (c.pipe2(pair.address, O_CLOEXEC | O_NONBLOCK) < 0) {
    // ioFailure keeps errno's meaning for the log; the caller copies instead.
    ioFailure()
    return undefined
  }
  const read = new OwnedFd(pair.data.getInt32(0, true))
  const write = new OwnedFd(pair.data.getInt32(4, true))
  // Refused over the pipe-user-pages limit: a pipe of the default size moves fewer bytes a call and is as right.
  c.fcntl(write.borrowed, F_SETPIPE_SZ, PIPE_BYTES)
  return new SplicePipe(read, write)
}

/** Empty pipes, kept for the next large read. */
export class PipePool {
  readonly #idle: SplicePipe[] = []
  readonly #keep: number

  constructor(keep: number) {
    this.#keep = keep
  }

  /** `undefined`: none can be had, so copy. */
  take(): SplicePipe | undefined {
    return this.#idle.pop() ?? openPipe()
  }

  /** A pipe that still holds bytes belongs to nobody else: it is closed. */
  give(pipe: SplicePipe): void {
    if (pipe.held === 0 && this.#idle.length < this.#keep) this.#idle.push(pipe)
    else pipe.close()
  }

  close(): void {
    for (const pipe of this.#idle) pipe.close()
    this.#idle.length = 0
  }
}
