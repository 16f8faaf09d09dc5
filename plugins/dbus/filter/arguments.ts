/**
 * The few arguments of the bus's own methods and signals that decide something: strings, one number, a list of names
 * (D-Bus specification, "Marshaling"). What does not fit into the bytes that are there is not there.
 */
import type { ByteView } from '../../../src/relay/contract.ts'

const NUL = 0

/** `at` is a multiple of four within the view; anything else has no value. */
export const uint32At = (body: ByteView, at: number, littleEndian: boolean): number | undefined => {
  if (at + 4 > body.length) return undefined
  const b0 = body[at] ?? 0
  const b1 = body[at + 1] ?? 0
  const b2 = body[at + 2] ?? 0
  const b3 = body[at + 3] ?? 0
  return (
    (littleEndian ? b0 | (b1 << 8) | (b2 << 16) | (b3 << 24) : b3 | (b2 << 8) | (b1 << 16) | (b0 << 24)) >>> 0
  )
}

/** How many bytes of a body a string as its first argument may take that is this long. */
export const stringBytes = (length: number): number => 4 + length + 1

const aligned = (at: number): number => (at + 3) & ~3

/** Byte by byte as it stands: what is compared are names, and they are ASCII. */
const textOf = (body: ByteView, start: number, end: number): string =>
  Buffer.from(body.buffer, body.byteOffset + start, end - start).toString('latin1')

/** Reads strings one after the other, as `s`, `ss`, … or the elements of `as` have them. */
export class StringReader {
  readonly #body: ByteView
  readonly #littleEndian: boolean
  readonly #end: number
  #at: number

  constructor(body: ByteView, littleEndian: boolean, at = 0, end = body.length) {
    this.#body = body
    this.#littleEndian = littleEndian
    this.#at = at
    this.#end = end
  }

  get atEnd(): boolean {
    return this.#at === this.#end
  }

  /** `undefined`: there is no whole one. */
  next(): string | undefined {
    const at = aligned(this.#at)
    const length = uint32At(this.#body, at, this.#littleEndian)
    if (length === undefined) return undefined
    const start = at + 4
    const end = start + length
    if (end >= this.#end || this.#body[end] !== NUL) return undefined
    this.#at = end + 1
    return textOf(this.#body, start, end)
  }
}

/** The one a body begins with, if it is no longer than that. */
export const firstString = (body: ByteView, littleEndian: boolean, longest: number): string | undefined => {
  const length = uint32At(body, 0, littleEndian)
  if (length === undefined || length > longest) return undefined
  const end = 4 + length
  return body[end] === NUL ? textOf(body, 4, end) : undefined
}

/** A body that is an array of strings, whole; `undefined`: it is none. */
export const stringList = (body: ByteView, littleEndian: boolean): readonly string[] | undefined => {
  const bytes = uint32At(body, 0, littleEndian)
  if (bytes === undefined || bytes !== body.length - 4) return undefined
  const reader = new StringReader(body, littleEndian, 4)
  const list: string[] = []
  while (!reader.atEnd) {
    const next = reader.next()
    if (next === undefined) return undefined
    list.push(next)
  }
  return list
}

/** The same, written: of what `stringList` has read. */
export const stringListBody = (list: readonly string[], littleEndian: boolean): Uint8Array => {
  const bytes = list.reduce((at, text) => aligned(at) + stringBytes(text.length), 4)
  const body = Buffer.alloc(bytes)
  const write = (value: number, at: number): number =>
    littleEndian ? body.writeUInt32LE(value, at) : body.writeUInt32BE(value, at)
  write(bytes - 4, 0)
  let at = 4
  for (const text of list) {
    at = aligned(at)
    write(text.length, at)
    body.write(text, at + 4, 'latin1')
    at += stringBytes(text.length)
  }
  return body
}
