/**
 * Writes of one session call, gathered so that each destination gets one sendmsg: bytes of the input buffer from where
 * they are, a session's own bytes by a copy. Descriptors begin a message of their own and go with its first byte.
 * All of it goes out before the input buffer is read into again: whoever offers input calls `commit` first.
 */
import { addCopy, addInput, beginParts, inputBytes, OUTPUT_BYTES, partBytes } from '../kernel/message.ts'
import type { ByteView, Side } from './contract.ts'
import { NO_FDS } from './receive.ts'

export class GatheredWrites {
  /** Write the parts begun, with these descriptors, to this side. */
  readonly #write: (to: Side, fds: readonly number[]) => void
  #target: Side | undefined
  #fds: readonly number[] = NO_FDS

  constructor(write: (to: Side, fds: readonly number[]) => void) {
    this.#write = write
  }

  /** Begin or go on with a write to this side. Takes the descriptors. */
  aim(to: Side, fds: readonly number[] = NO_FDS): void {
    if (this.#target !== undefined && (this.#target !== to || fds.length > 0)) this.commit()
    if (this.#target === undefined) beginParts()
    this.#target = to
    if (fds.length > 0) this.#fds = fds
  }

  commit(): void {
    const to = this.#target
    if (to === undefined) return
    const fds = this.#fds
    this.#target = undefined
    this.#fds = NO_FDS
    if (partBytes > 0 || fds.length > 0) this.#write(to, fds)
  }

  /** Bytes of the input buffer, to the side aimed at. */
  addInput(at: number, bytes: number): void {
    if (addInput(at, bytes)) return
    this.#continue()
    addInput(at, bytes)
  }

  /** A slice of the input buffer, or bytes of the session's own. */
  addSlice(slice: ByteView): void {
    if (slice.buffer === inputBytes().buffer) {
      this.addInput(slice.byteOffset, slice.length)
      return
    }
    for (let at = 0; at < slice.length; at += OUTPUT_BYTES) {
      const piece = slice.subarray(at, at + OUTPUT_BYTES)
      if (addCopy(piece)) continue
      this.#continue()
      addCopy(piece)
    }
  }

  /** No more parts fit in one write: a second one to the same side. */
  #continue(): void {
    const to = this.#target
    if (to === undefined) return
    this.commit()
    this.aim(to)
  }
}
