/**
 * A section of fields, as heads and trailers have them (RFC 9112 section 5): read one by one up to the empty line, and
 * kept in a table of positions where some of them are to be left out. Says what is wrong, and repairs nothing.
 */
import type { ByteView, Commands, Side } from '../../src/relay/contract.ts'
import { type FieldName, fieldNameAt } from './field-names.ts'
import type { LineReader } from './lines.ts'
import { areAlike, COLON, isBlank, runEnd, skipBlanks, TOKEN, trimEnd } from './octets.ts'
import { REFUSALS, type Refusal } from './refusals.ts'

export interface SectionLimits {
  /** From where `begin` was told the limits start, the empty line included. */
  readonly bytes: number
  readonly fieldBytes: number
  readonly fields: number
}

export class FieldReader {
  readonly #lines: LineReader
  readonly #limits: SectionLimits
  /** Where the section's limit on bytes is reached. */
  #limit = 0
  #count = 0
  name: FieldName = 'other'
  /** Of a known field's value, without the blanks around it. */
  valueStart = 0
  valueEnd = 0

  constructor(lines: LineReader, limits: SectionLimits) {
    this.#lines = lines
    this.#limits = limits
  }

  /** The next line is the first of the section, whose bytes count from here. */
  begin(at: number): void {
    this.#limit = at + this.#limits.bytes
    this.#count = 0
  }

  shift(bytes: number): void {
    this.#limit -= bytes
  }

  /** Of the line that was read last: a field's, or the empty one. */
  get start(): number {
    return this.#lines.start
  }

  /** Where the line after it begins. */
  get upcoming(): number {
    return this.#lines.upcoming
  }

  next(view: ByteView): 'field' | 'end' | 'more' | Refusal {
    const lines = this.#lines
    // The line's own end is within the section's limit too.
    const left = this.#limit - 2 - lines.upcoming
    const line = lines.next(view, Math.min(this.#limits.fieldBytes, left))
    if (line === 'more') return 'more'
    if (line === 'stray') return REFUSALS.strayCrOrLf
    if (line === 'too-long') return REFUSALS.headTooLarge
    return lines.end === lines.start ? 'end' : this.#field(view)
  }

  #field(view: ByteView): 'field' | Refusal {
    const { start, end, hasControl } = this.#lines
    this.#count += 1
    if (this.#count > this.#limits.fields) return REFUSALS.headTooLarge
    if (isBlank(view[start])) return REFUSALS.folding
    const colon = runEnd(TOKEN, view, start, end)
    if (colon === start || view[colon] !== COLON) return REFUSALS.fieldName
    if (hasControl) return REFUSALS.fieldValue
    this.name = fieldNameAt(view, start, colon)
    if (this.name === 'other') return 'field'
    this.valueStart = skipBlanks(view, colon + 1, end)
    this.valueEnd = trimEnd(view, this.valueStart, end)
    return 'field'
  }
}

/** Where each field of a section begins, and which of them are not passed on. */
export class FieldTable {
  readonly #starts: Int32Array
  readonly #left: Uint8Array
  #count = 0
  #anyLeft = false

  constructor(fields: number) {
    this.#starts = new Int32Array(fields + 1)
    this.#left = new Uint8Array(fields)
  }

  clear(): void {
    this.#count = 0
    this.#anyLeft = false
  }

  add(start: number, leftOut: boolean): void {
    this.#starts[this.#count] = start
    this.#left[this.#count] = leftOut ? 1 : 0
    this.#anyLeft ||= leftOut
    this.#count += 1
  }

  shift(bytes: number): void {
    for (let at = 0; at < this.#count; at += 1) this.#starts[at] = (this.#starts[at] ?? 0) - bytes
  }

  /** Leave out, or not, every field of the name that stands there. How many there are. */
  mark(view: ByteView, nameStart: number, nameEnd: number, leftOut: boolean): number {
    let found = 0
    const length = nameEnd - nameStart
    for (let at = 0; at < this.#count; at += 1) {
      const start = this.#starts[at] ?? 0
      if (view[start + length] !== COLON || !areAlike(view, start, start + length, nameStart, nameEnd))
        continue
      this.#left[at] = leftOut ? 1 : 0
      this.#anyLeft ||= leftOut
      found += 1
    }
    return found
  }

  /**
   * Pass on what begins at `from`, and the fields up to `end`, where the empty line is; but not those left out. Gives
   * where it stopped: what follows is passed on together with what comes after it.
   */
  passOn(out: Commands, side: Side, from: number, end: number): number {
    if (!this.#anyLeft) return from
    let kept = from
    this.#starts[this.#count] = end
    for (let at = 0; at < this.#count; at += 1) {
      if (this.#left[at] === 0) continue
      const start = this.#starts[at] ?? 0
      const next = this.#starts[at + 1] ?? 0
      if (start > kept) out.forward(side, start - kept, 0)
      out.drop(side, next - start, 0)
      kept = next
    }
    return kept
  }
}
