/**
 * The room for a whole message in a socket's send buffer. What is larger than all of it is refused (EMSGSIZE, unix(7)) and never
 * merely waits, so the buffer is grown to the largest message that came, once for each that is larger than those before.
 */
import { Io } from '../kernel/errno.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import { growSendBuffer } from '../kernel/socket.ts'

/** The kernel counts what it keeps beside the bytes too. */
const roomFor = (bytes: number): number => 2 * bytes + 4096

export class SendRoom {
  readonly #fd: BorrowedFd
  /** The largest message that room was made for. */
  #bytes = 0

  constructor(fd: BorrowedFd) {
    this.#fd = fd
  }

  /** Sending `bytes` bytes gave `n`. True: that was for lack of room, and now there is some; send again. */
  madeAfter(n: number, bytes: number): boolean {
    if (n !== Io.tooLarge || bytes <= this.#bytes) return false
    if (!growSendBuffer(this.#fd, roomFor(bytes))) return false
    this.#bytes = bytes
    return true
  }
}
