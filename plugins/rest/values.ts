/** The values that decide where a message ends and whom it is for: read strictly, because two opinions on them are one too many. */
import type { ByteView } from '../../src/relay/contract.ts'
import {
  bytesOf,
  CLOSING_BRACKET,
  COLON,
  COMMA,
  DIGIT,
  digitAt,
  IP_LITERAL,
  isWord,
  OPENING_BRACKET,
  REG_NAME,
  runEnd,
  skipBlanks,
  TOKEN,
  trimEnd,
  ZERO,
} from './octets.ts'

const CHUNKED = bytesOf('chunked')
/** Of `Connection` (RFC 9112 section 9.3). */
export const CLOSE = bytesOf('close')
export const KEEP_ALIVE = bytesOf('keep-alive')

/** The elements of a list (RFC 9110 section 5.6.1), empty ones too. A list without a comma has one. */
export class ListReader {
  start = 0
  end = 0
  #at = 0
  #limit = -1

  begin(start: number, end: number): void {
    this.#at = start
    this.#limit = end
  }

  next(view: ByteView): boolean {
    if (this.#at > this.#limit) return false
    let comma = this.#at
    while (comma < this.#limit && view[comma] !== COMMA) comma += 1
    this.start = skipBlanks(view, this.#at, comma)
    this.end = trimEnd(view, this.start, comma)
    this.#at = comma + 1
    return true
  }
}

export const isToken = (view: ByteView, start: number, end: number): boolean =>
  start < end && runEnd(TOKEN, view, start, end) === end

/** Digits alone, no list and no sign, at most 2^53-1; else -1 (RFC 9110 section 8.6). */
export const contentLengthOf = (view: ByteView, start: number, end: number): number => {
  if (start === end) return -1
  let length = 0
  for (let at = start; at < end; at += 1) {
    const digit = digitAt(view, at)
    if (digit < 0) return -1
    length = length * 10 + digit
    if (length > Number.MAX_SAFE_INTEGER) return -1
  }
  return length
}

/** As some parsers do, who reads `010` as 8 would find another end. */
export const hasLeadingZero = (view: ByteView, start: number, end: number): boolean =>
  end - start > 1 && view[start] === ZERO

const codings = new ListReader()

/** `others`: a clean list of codings that ends in `chunked`, once. */
export const transferCodingOf = (
  view: ByteView,
  start: number,
  end: number,
): 'chunked' | 'others' | 'invalid' => {
  if (isWord(view, start, end, CHUNKED)) return 'chunked'
  codings.begin(start, end)
  let isLast = false
  while (codings.next(view)) {
    if (isLast || !isToken(view, codings.start, codings.end)) return 'invalid'
    isLast = isWord(view, codings.start, codings.end, CHUNKED)
  }
  return isLast ? 'others' : 'invalid'
}

/** Whether chunks are the outermost of the codings, so that they tell where the message ends. */
export const endsInChunked = (view: ByteView, start: number, end: number): boolean => {
  codings.begin(start, end)
  let isLast = false
  while (codings.next(view)) isLast = isWord(view, codings.start, codings.end, CHUNKED)
  return isLast
}

/** `uri-host [ ":" port ]` (RFC 9110 section 7.2); an empty one is fine. */
export const isHost = (view: ByteView, start: number, end: number): boolean => {
  let at = start
  if (start < end && view[start] === OPENING_BRACKET) {
    at = runEnd(IP_LITERAL, view, start + 1, end)
    if (at === start + 1 || at === end || view[at] !== CLOSING_BRACKET) return false
    at += 1
  } else {
    at = runEnd(REG_NAME, view, start, end)
  }
  return at === end || (view[at] === COLON && runEnd(DIGIT, view, at + 1, end) === end)
}
