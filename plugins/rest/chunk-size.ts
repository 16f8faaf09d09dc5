/** The size in front of a chunk, digit by digit as it comes (RFC 9112 section 7.1): what of it may come later is the caller's affair. */
import type { ByteView } from '../../src/relay/contract.ts'
import { hexDigitAt } from './octets.ts'

const MOST_DIGITS = 16

export class ChunkSize {
  /** Of the data. */
  bytes = 0
  #digits = 0

  clear(): void {
    this.bytes = 0
    this.#digits = 0
  }

  /** False: what stands there is no digit, and not a part of it. */
  take(view: ByteView, at: number): boolean {
    const digit = hexDigitAt(view, at)
    if (digit < 0) return false
    this.bytes = this.bytes * 16 + digit
    this.#digits += 1
    return true
  }

  /** There is one, and it is one that everybody reads alike: not too long, and exact as a number. */
  get isValid(): boolean {
    return this.#digits > 0 && this.#digits <= MOST_DIGITS && this.bytes <= Number.MAX_SAFE_INTEGER
  }
}
