/**
 * The beginning of a message that is too long to wait where it came: it is put together in memory of its own, which is taken as
 * the bytes come and not as their length is claimed.
 */
import type { ByteView } from '../../src/relay/contract.ts'

const FIRST_BYTES = 32 * 1024

export class Gathering {
  #buffer = new Uint8Array(0)
  #length = 0
  /** How many bytes it is to have. May grow, as more of it becomes known. */
  wanted: number

  constructor(wanted: number) {
    this.wanted = wanted
  }

  get bytes(): ByteView {
    return this.#buffer.subarray(0, this.#length)
  }

  get isWhole(): boolean {
    return this.#length === this.wanted
  }

  /** Take what is wanted of the view from `at` on. How many bytes that were. */
  take(view: ByteView, at: number): number {
    const bytes = Math.min(this.wanted - this.#length, view.length - at)
    const end = this.#length + bytes
    if (end > this.#buffer.length) {
      const larger = new Uint8Array(Math.min(this.wanted, Math.max(2 * end, FIRST_BYTES)))
      larger.set(this.bytes)
      this.#buffer = larger
    }
    this.#buffer.set(view.subarray(at, at + bytes), this.#length)
    this.#length = end
    return bytes
  }
}
