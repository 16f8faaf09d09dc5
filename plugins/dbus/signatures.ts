/**
 * Signatures (D-Bus specification, "Type System"), and how long a value of one is: what has to be known to step over a header
 * field that nobody here has a use for. Whether such a value's content is valid is left to the bus.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { uint32At } from './wire.ts'

const LONGEST_SIGNATURE = 255
const DEEPEST_ARRAYS = 32
const DEEPEST_STRUCTS = 32
/** Variants included, as the reference implementation bounds it. */
const DEEPEST_VALUE = 64
const LONGEST_ARRAY = 2 ** 26

const ARRAY = 0x61
const STRUCT_BEGIN = 0x28
const STRUCT_END = 0x29
const DICT_ENTRY_BEGIN = 0x7b
const DICT_ENTRY_END = 0x7d
const VARIANT = 0x76
const SIGNATURE = 0x67

/** How a basic type is aligned; 0: it is none. */
const BASIC_ALIGNMENT = new Uint8Array(256)
for (const [types, alignment] of [
  ['yg', 1],
  ['nq', 2],
  ['biuhso', 4],
  ['xtd', 8],
] as const) {
  for (const type of types) BASIC_ALIGNMENT[type.charCodeAt(0)] = alignment
}

const IS_STRING = new Uint8Array(256)
for (const type of 'so') IS_STRING[type.charCodeAt(0)] = 1

/** Where the one complete type that begins here ends, or -1. */
const typeEnd = (view: ByteView, at: number, end: number, arrays: number, structs: number): number => {
  if (at >= end) return -1
  const code = view[at] ?? 0
  if (code === VARIANT || (BASIC_ALIGNMENT[code] ?? 0) > 0) return at + 1
  if (code === STRUCT_BEGIN) return structEnd(view, at + 1, end, arrays, structs + 1)
  if (code !== ARRAY || arrays === DEEPEST_ARRAYS) return -1
  return view[at + 1] === DICT_ENTRY_BEGIN
    ? dictEntryEnd(view, at + 2, end, arrays + 1, structs)
    : typeEnd(view, at + 1, end, arrays + 1, structs)
}

const structEnd = (view: ByteView, at: number, end: number, arrays: number, structs: number): number => {
  if (structs > DEEPEST_STRUCTS) return -1
  let here = typeEnd(view, at, end, arrays, structs)
  while (here >= 0 && view[here] !== STRUCT_END) here = typeEnd(view, here, end, arrays, structs)
  return here < 0 || here >= end ? -1 : here + 1
}

/** A basic key and one value. */
const dictEntryEnd = (view: ByteView, at: number, end: number, arrays: number, structs: number): number => {
  if (at >= end || BASIC_ALIGNMENT[view[at] ?? 0] === 0) return -1
  const here = typeEnd(view, at + 1, end, arrays, structs)
  return here < 0 || here >= end || view[here] !== DICT_ENTRY_END ? -1 : here + 1
}

/** Any number of complete types, none included. */
export const isSignature = (view: ByteView, start: number, end: number): boolean => {
  if (end - start > LONGEST_SIGNATURE) return false
  let at = start
  while (at >= 0 && at < end) at = typeEnd(view, at, end, 0, 0)
  return at === end
}

const isCompleteType = (view: ByteView, start: number, end: number): boolean =>
  end - start <= LONGEST_SIGNATURE && typeEnd(view, start, end, 0, 0) === end

const alignmentOf = (code: number): number => {
  if (code === ARRAY) return 4
  if (code === STRUCT_BEGIN || code === DICT_ENTRY_BEGIN) return 8
  return code === VARIANT ? 1 : (BASIC_ALIGNMENT[code] ?? 1)
}

const aligned = (at: number, alignment: number): number => (at + alignment - 1) & ~(alignment - 1)

/** Steps over values in a view whose alignment counts from its `base`. */
class Walk {
  readonly #view: ByteView
  readonly #base: number
  readonly #end: number
  readonly #littleEndian: boolean

  constructor(view: ByteView, base: number, end: number, littleEndian: boolean) {
    this.#view = view
    this.#base = base
    this.#end = end
    this.#littleEndian = littleEndian
  }

  /** Where the variant that begins here ends, or -1. */
  variantEnd(at: number, depth: number): number {
    const start = at + 1
    const end = start + (this.#view[at] ?? 0)
    if (end >= this.#end || depth > DEEPEST_VALUE) return -1
    if (this.#view[end] !== 0 || !isCompleteType(this.#view, start, end)) return -1
    return this.#valueEnd(start, end + 1, depth)
  }

  #within(at: number): number {
    return at > this.#end ? -1 : at
  }

  #aligned(at: number, alignment: number): number {
    return this.#base + aligned(at - this.#base, alignment)
  }

  /** Of a value of the type at `type`, which is known to be a good one. */
  #valueEnd(type: number, at: number, depth: number): number {
    const code = this.#view[type] ?? 0
    if (depth > DEEPEST_VALUE) return -1
    switch (code) {
      case VARIANT:
        return this.variantEnd(at, depth + 1)
      case STRUCT_BEGIN:
        return this.#structEnd(type + 1, at, depth + 1)
      case ARRAY:
        return this.#arrayEnd(type + 1, at)
      case SIGNATURE:
        return at < this.#end ? this.#within(at + 1 + (this.#view[at] ?? 0) + 1) : -1
    }
    const size = BASIC_ALIGNMENT[code] ?? 1
    const start = this.#aligned(at, size)
    if (IS_STRING[code] === 0) return this.#within(start + size)
    return start + 4 > this.#end ? -1 : this.#within(start + 4 + this.#length(start) + 1)
  }

  #length(at: number): number {
    return uint32At(this.#view, at, this.#littleEndian)
  }

  #structEnd(firstType: number, at: number, depth: number): number {
    let type = firstType
    let here = this.#aligned(at, 8)
    while (here >= 0 && this.#view[type] !== STRUCT_END) {
      here = this.#valueEnd(type, here, depth)
      type = typeEnd(this.#view, type, this.#end, 0, 0)
    }
    return here < 0 ? -1 : this.#within(here)
  }

  /** By its length alone. */
  #arrayEnd(element: number, at: number): number {
    const start = this.#aligned(at, 4)
    if (start + 4 > this.#end) return -1
    const bytes = this.#length(start)
    if (bytes > LONGEST_ARRAY) return -1
    return this.#within(this.#aligned(start + 4, alignmentOf(this.#view[element] ?? 0)) + bytes)
  }
}

/** Where the variant at `at` ends, or -1: it is malformed, or runs past `end`. Alignment counts from `base`. */
export const variantEnd = (
  view: ByteView,
  base: number,
  at: number,
  end: number,
  littleEndian: boolean,
): number => (at >= end ? -1 : new Walk(view, base, end, littleEndian).variantEnd(at, 0))
