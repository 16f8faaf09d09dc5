/**
 * Lines as RFC 9112 section 2.2 has them, and strictly: each ends in CR LF, and neither stands alone anywhere.
 * The view may grow from call to call; every byte of it is looked at once, however it arrives. Where a line is too long or
 * holds a stray CR or LF is told in the order of the bytes, so that it does not depend on the pieces they come in.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { CR, LF, PLAIN } from './octets.ts'

/** `more`: the line's end has not come yet. */
export type Line = 'line' | 'more' | 'stray' | 'too-long'

export class LineReader {
  /** Of the line that was read, or is being read. */
  start = 0
  /** Where its CR stands, once it has been read. */
  end = 0
  /** It holds a control character other than the tab. */
  hasControl = false
  /** Everything before this has been looked at. */
  #at = 0
  #isRead = false

  /** Where the line begins that `next` will give. */
  get upcoming(): number {
    return this.#isRead ? this.#at : this.start
  }

  /** The next line begins here. */
  begin(at: number): void {
    this.start = at
    this.hasControl = false
    this.#at = at
    this.#isRead = false
  }

  /** As many bytes at the beginning of the view were consumed: the coming ones begin after them. */
  shift(bytes: number): void {
    this.start -= bytes
    this.end -= bytes
    this.#at -= bytes
  }

  /** `mostBytes`: that a line may have, its end not counted. */
  next(view: ByteView, mostBytes: number): Line {
    if (this.#isRead) this.begin(this.#at)
    const size = view.length
    let at = this.#at
    for (;;) {
      while (at < size && PLAIN[view[at] ?? 0] === 1) at += 1
      if (at - this.start > mostBytes) return 'too-long'
      if (at === size) break
      if (view[at] === CR) {
        if (at + 1 === size) break
        if (view[at + 1] !== LF) return 'stray'
        this.end = at
        this.#at = at + 2
        this.#isRead = true
        return 'line'
      }
      if (view[at] === LF) return 'stray'
      this.hasControl = true
      at += 1
    }
    this.#at = at
    return 'more'
  }
}
