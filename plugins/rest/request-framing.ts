/**
 * What says where a request ends (RFC 9112 section 6): one `Content-Length`, or one `Transfer-Encoding: chunked`, or
 * nothing. Any other wording is refused, however harmless: the provider may read it in another way than we do.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { HTAB } from './octets.ts'
import { REFUSALS, type Refusal } from './refusals.ts'
import { contentLengthOf, hasLeadingZero, transferCodingOf } from './values.ts'

/** What `RequestFraming.bodyBytes` says of a body in chunks. */
export const IN_CHUNKS = -1

/**
 * A tab behind the value is a blank like any other (RFC 9110 section 5.6.3), but some parsers take it for a part of the value
 * (llhttp does), and would see no length or coding at all, or refuse it.
 */
const hasTab = (view: ByteView, start: number, end: number): boolean => {
  for (let at = start; at < end; at += 1) if (view[at] === HTAB) return true
  return false
}

export class RequestFraming {
  /** Or `IN_CHUNKS`. Means something once it was judged. */
  bodyBytes = 0
  /** Where the line begins that was taken last. */
  lineStart = 0
  #lengths = 0
  #codings = 0
  #defect: Refusal | undefined

  clear(): void {
    this.bodyBytes = 0
    this.lineStart = 0
    this.#lengths = 0
    this.#codings = 0
    this.#defect = undefined
  }

  /** A `Content-Length` with its value from `start` to `end`, and blanks up to `lineEnd`. */
  takeLength(view: ByteView, start: number, end: number, lineEnd: number): void {
    this.#lengths += 1
    this.bodyBytes = contentLengthOf(view, start, end)
    if (this.bodyBytes < 0 || hasLeadingZero(view, start, end) || hasTab(view, end, lineEnd))
      this.#defect ??= REFUSALS.contentLength
  }

  /** A `Transfer-Encoding`, likewise. */
  takeCoding(view: ByteView, start: number, end: number, lineEnd: number): void {
    this.#codings += 1
    this.bodyBytes = IN_CHUNKS
    const coding = hasTab(view, end, lineEnd) ? 'invalid' : transferCodingOf(view, start, end)
    if (coding === 'others') this.#defect ??= REFUSALS.codingUnknown
    if (coding === 'invalid') this.#defect ??= REFUSALS.transferEncoding
  }

  /** A field that some servers would take for one of the two. */
  takeLookAlike(): void {
    this.#defect ??= REFUSALS.framingLookAlike
  }

  judge(isHttp10: boolean): Refusal | undefined {
    if (this.#lengths > 0 && this.#codings > 0) return REFUSALS.codingAndLength
    if (this.#lengths > 1 || this.#codings > 1) return REFUSALS.repeatedFraming
    if (this.#codings > 0 && isHttp10) return REFUSALS.codingInHttp10
    return this.#defect
  }
}
