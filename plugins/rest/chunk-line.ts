/** The line in front of a chunk: its size, and extensions, which are for the next hop only (RFC 9112 section 7.1). */
import type { ByteView } from '../../src/relay/contract.ts'
import { ChunkSize } from './chunk-size.ts'
import { BACKSLASH, DOUBLE_QUOTE, EQUALS, runEnd, SEMICOLON, skipBlanks, TOKEN } from './octets.ts'

export const CHUNK_LINE_BYTES = 1024

/** Behind its closing quote, or -1. Controls were looked for before; a quoted pair may quote anything else. */
const quotedStringEnd = (view: ByteView, start: number, end: number): number => {
  for (let at = start + 1; at < end; at += 1) {
    if (view[at] === DOUBLE_QUOTE) return at + 1
    if (view[at] === BACKSLASH) at += 1
  }
  return -1
}

/** `*( BWS ";" BWS name [ BWS "=" BWS value ] )`, up to the end of the line. */
const areExtensions = (view: ByteView, start: number, end: number): boolean => {
  let at = start
  while (at < end) {
    at = skipBlanks(view, at, end)
    if (at === end || view[at] !== SEMICOLON) return false
    const name = skipBlanks(view, at + 1, end)
    at = runEnd(TOKEN, view, name, end)
    if (at === name) return false
    const equals = skipBlanks(view, at, end)
    if (equals === end || view[equals] !== EQUALS) continue
    const value = skipBlanks(view, equals + 1, end)
    at = view[value] === DOUBLE_QUOTE ? quotedStringEnd(view, value, end) : runEnd(TOKEN, view, value, end)
    if (at <= value) return false
  }
  return true
}

export class ChunkLine {
  readonly #size = new ChunkSize()
  /** Where the digits end, and extensions, if any, begin. */
  sizeEnd = 0

  /** Of the data. */
  get size(): number {
    return this.#size.bytes
  }

  /** False: it is none. */
  read(view: ByteView, start: number, end: number): boolean {
    const size = this.#size
    size.clear()
    let at = start
    while (at < end && size.take(view, at)) at += 1
    this.sizeEnd = at
    return size.isValid && (at === end || areExtensions(view, at, end))
  }
}
