/**
 * The request line (RFC 9112 section 3): exactly `method SP target SP version`, and nothing that a server behind us could
 * understand in another way. Keeps the few facts that matter later; the bytes are passed on as they are.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import {
  ASTERISK,
  bytesOf,
  digitAt,
  HTAB,
  isExactly,
  isWord,
  QUESTION_MARK,
  runEnd,
  SLASH,
  SP,
  TARGET,
  TOKEN,
} from './octets.ts'
import { REFUSALS, type Refusal } from './refusals.ts'
import { isHost } from './values.ts'

const LONGEST_METHOD_BYTES = 32

const CONNECT = bytesOf('CONNECT')
const HEAD = bytesOf('HEAD')
const OPTIONS = bytesOf('OPTIONS')
const HTTP_1_0 = bytesOf('HTTP/1.0')
const HTTP_1_1 = bytesOf('HTTP/1.1')
const HTTP = bytesOf('HTTP/')
const HTTP_SCHEME = bytesOf('http://')
/** What HTTP/2 begins with, so that a server of HTTP/1 refuses it (RFC 9113 section 3.4). */
const HTTP2_PREFACE = bytesOf('PRI * HTTP/2.0')

/** `HTTP/` and a digit on either side of a dot, but not a version that is known. */
const isVersion = (view: ByteView, start: number, end: number): boolean =>
  end - start === HTTP_1_1.length &&
  isExactly(view, start, start + HTTP.length, HTTP) &&
  digitAt(view, start + 5) >= 0 &&
  view[start + 6] === 0x2e &&
  digitAt(view, start + 7) >= 0

/** Two single spaces, something before, between and behind them, and no tab. */
const hasThreeParts = (view: ByteView, start: number, end: number): boolean => {
  let parts = 0
  let wasSpace = true
  for (let at = start; at < end; at += 1) {
    if (view[at] === HTAB) return false
    const isSpace = view[at] === SP
    if (isSpace && wasSpace) return false
    if (!isSpace && wasSpace) parts += 1
    wasSpace = isSpace
  }
  return parts === 3 && !wasSpace
}

export class RequestLine {
  isHead = false
  isHttp10 = false
  /** It is the beginning of HTTP/2. Refused all the same. */
  isHttp2 = false
  /** Of a target in absolute form; otherwise empty. */
  authorityStart = 0
  authorityEnd = 0

  clear(): void {
    this.isHead = false
    this.isHttp2 = false
    this.authorityStart = 0
    this.authorityEnd = 0
  }

  /** Judge the line that stands there; nothing was read since `clear`. */
  read(view: ByteView, start: number, end: number): Refusal | undefined {
    const methodEnd = runEnd(TOKEN, view, start, end)
    const targetStart = methodEnd + 1
    const targetEnd = runEnd(TARGET, view, targetStart, end)
    this.isHead = isExactly(view, start, methodEnd, HEAD)
    const refusal =
      this.#method(view, start, methodEnd) ??
      this.#version(view, targetEnd + 1, end, view[targetEnd] === SP) ??
      this.#target(view, start, targetStart, targetEnd)
    if (refusal === undefined) return undefined
    if (!hasThreeParts(view, start, end)) return REFUSALS.requestLine
    this.isHttp2 = isExactly(view, start, end, HTTP2_PREFACE)
    return refusal
  }

  #method(view: ByteView, start: number, end: number): Refusal | undefined {
    if (end === start || view[end] !== SP) return REFUSALS.method
    if (end - start > LONGEST_METHOD_BYTES) return REFUSALS.methodTooLong
    // A 2xx would open a tunnel in which nobody says who speaks (RFC 9110 section 9.3.6).
    return isExactly(view, start, end, CONNECT) ? REFUSALS.connect : undefined
  }

  #version(view: ByteView, start: number, end: number, isBehindTarget: boolean): Refusal | undefined {
    if (!isBehindTarget) return REFUSALS.target
    this.isHttp10 = isExactly(view, start, end, HTTP_1_0)
    if (this.isHttp10 || isExactly(view, start, end, HTTP_1_1)) return undefined
    return isVersion(view, start, end) ? REFUSALS.versionUnknown : REFUSALS.version
  }

  #target(view: ByteView, start: number, targetStart: number, targetEnd: number): Refusal | undefined {
    if (view[targetStart] === SLASH) return undefined
    if (view[targetStart] === ASTERISK && targetEnd === targetStart + 1)
      return isExactly(view, start, targetStart - 1, OPTIONS) ? undefined : REFUSALS.target
    const authority = targetStart + HTTP_SCHEME.length
    if (authority >= targetEnd || !isWord(view, targetStart, authority, HTTP_SCHEME)) return REFUSALS.target
    let end = authority
    while (end < targetEnd && view[end] !== SLASH && view[end] !== QUESTION_MARK) end += 1
    // No userinfo either: its `@` belongs to no host.
    if (end === authority || !isHost(view, authority, end)) return REFUSALS.target
    this.authorityStart = authority
    this.authorityEnd = end
    return undefined
  }
}
