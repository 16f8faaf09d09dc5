/**
 * Reads the header of a message where it lies (D-Bus specification, "Message Format"), in either byte order, and checks all
 * that a bus would close the connection for. Strings are made when somebody asks for them.
 * What is longer than may be is refused by its length alone, before anything is made of it. The body is never looked at.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { MESSAGE_TYPE, type MessageHead } from './contract.ts'
import { isBusName, isInterfaceName, isMemberName, isObjectPath } from './names.ts'
import { textOf } from './recent-strings.ts'
import { isSignature, variantEnd } from './signatures.ts'
import { align8, bytesOf, uint32At } from './wire.ts'

/** What every message begins with, the length of its fields included. */
export const FIXED_BYTES = 16
const LONGEST_MESSAGE = 2 ** 27

/** What is wrong with a header. */
export const HEADER_FAULTS = [
  'byte-order',
  'version',
  'type',
  'serial',
  'fields-length',
  'message-length',
  'padding',
  'field-bounds',
  'field-code',
  'field-type',
  'field-repeated',
  'field-value',
  'field-missing',
  'local',
] as const

export type HeaderFault = (typeof HEADER_FAULTS)[number]

/** `more`: it has not all come. */
export type Found = 'whole' | 'more' | HeaderFault

const LITTLE = 0x6c
const BIG = 0x42

const CODE = {
  path: 1,
  interface: 2,
  member: 3,
  errorName: 4,
  replySerial: 5,
  destination: 6,
  sender: 7,
  signature: 8,
  unixFds: 9,
} as const

const bit = (code: number): number => 1 << code

/** The type of each known field, by its code. */
const TYPES = bytesOf('\0osssussgu')
const SIGNATURE_TYPE = 0x67
const UINT32_TYPE = 0x75

/** What each type of message must have. */
const REQUIRED = [
  0,
  bit(CODE.path) | bit(CODE.member),
  bit(CODE.replySerial),
  bit(CODE.replySerial) | bit(CODE.errorName),
  bit(CODE.path) | bit(CODE.interface) | bit(CODE.member),
]

/** Of what a library tells itself: it never comes over the wire (ibid., "Message Bus Messages"). */
const LOCAL_PATH = bytesOf('/org/freedesktop/DBus/Local')
const LOCAL_INTERFACE = bytesOf('org.freedesktop.DBus.Local')

const isValidText = (code: number, view: ByteView, start: number, end: number): boolean => {
  switch (code) {
    case CODE.path:
      return isObjectPath(view, start, end)
    case CODE.member:
      return isMemberName(view, start, end)
    case CODE.interface:
    case CODE.errorName:
      return isInterfaceName(view, start, end)
    default:
      return isBusName(view, start, end)
  }
}

const NOTHING = new Uint8Array(0)

/** One header at a time: what it says of it, and the view that it was read from, are good until the next. */
export class MessageReader implements MessageHead {
  readonly #mostFieldBytes: number
  #view: ByteView = NOTHING
  #base = 0
  /** By their codes: a bit for each field that is there, and where its text lies. */
  #seen = 0
  readonly #starts = new Int32Array(10)
  readonly #ends = new Int32Array(10)
  #replySerial = 0
  /** Where the field that was read last ends. */
  #fieldEnd = 0
  #completed: string | undefined
  littleEndian = true
  type = 0
  flags = 0
  serial = 0
  bodyBytes = 0
  unixFds = 0
  /** Of the fields, without what is fixed and without the padding behind them. */
  fieldBytes = 0
  /** All but the body. Known as soon as what is fixed is there; before that, of what is fixed. */
  headerBytes = FIXED_BYTES

  constructor(mostFieldBytes: number) {
    this.#mostFieldBytes = mostFieldBytes
  }

  get totalBytes(): number {
    return this.headerBytes + this.bodyBytes
  }

  get path(): string | undefined {
    return this.#text(CODE.path)
  }

  get interface(): string | undefined {
    return this.#completed ?? this.#text(CODE.interface)
  }

  get member(): string | undefined {
    return this.#text(CODE.member)
  }

  get errorName(): string | undefined {
    return this.#text(CODE.errorName)
  }

  get replySerial(): number | undefined {
    return this.#replySerial === 0 ? undefined : this.#replySerial
  }

  get destination(): string | undefined {
    return this.#text(CODE.destination)
  }

  get sender(): string | undefined {
    return this.#text(CODE.sender)
  }

  get signature(): string {
    return this.#text(CODE.signature) ?? ''
  }

  #text(code: number): string | undefined {
    if ((this.#seen & bit(code)) === 0) return undefined
    return textOf(this.#view, this.#starts[code] ?? 0, this.#ends[code] ?? 0)
  }

  /** From now on it is as if this INTERFACE were in it. */
  complete(name: string): void {
    this.#completed = name
  }

  /** The header that begins at `at`. Anything but `whole`: only `headerBytes` may be asked for. */
  read(view: ByteView, at: number): Found {
    this.headerBytes = FIXED_BYTES
    if (view.length - at < FIXED_BYTES) return 'more'
    const fault = this.#readFixed(view, at)
    if (fault !== undefined) return fault
    if (view.length - at < this.headerBytes) return 'more'
    this.#view = view
    this.#base = at
    this.#seen = 0
    this.#replySerial = 0
    this.#completed = undefined
    this.unixFds = 0
    return this.#readFields() ?? this.#faultOfWhole() ?? 'whole'
  }

  #readFixed(view: ByteView, at: number): HeaderFault | undefined {
    const order = view[at]
    if (order !== LITTLE && order !== BIG) return 'byte-order'
    const littleEndian = order === LITTLE
    this.littleEndian = littleEndian
    this.type = view[at + 1] ?? 0
    if (this.type === 0) return 'type'
    this.flags = view[at + 2] ?? 0
    if (view[at + 3] !== 1) return 'version'
    this.bodyBytes = uint32At(view, at + 4, littleEndian)
    this.serial = uint32At(view, at + 8, littleEndian)
    if (this.serial === 0) return 'serial'
    const fieldBytes = uint32At(view, at + 12, littleEndian)
    if (fieldBytes > this.#mostFieldBytes) return 'fields-length'
    const headerBytes = align8(FIXED_BYTES + fieldBytes)
    if (headerBytes + this.bodyBytes > LONGEST_MESSAGE) return 'message-length'
    this.fieldBytes = fieldBytes
    this.headerBytes = headerBytes
    return undefined
  }

  #readFields(): HeaderFault | undefined {
    const view = this.#view
    const base = this.#base
    const end = base + FIXED_BYTES + this.fieldBytes
    let at = base + FIXED_BYTES
    while (at < end) {
      const start = base + align8(at - base)
      // A code, and the shortest signature that can follow it.
      if (start + 4 > end) return 'field-bounds'
      if (!this.#isPadding(at, start)) return 'padding'
      const code = view[start] ?? 0
      if (code === 0) return 'field-code'
      if (code > CODE.unixFds) {
        at = variantEnd(view, base, start + 1, end, this.littleEndian)
        if (at < 0) return 'field-value'
        continue
      }
      const fault = this.#readField(code, start, end)
      if (fault !== undefined) return fault
      at = this.#fieldEnd
    }
    return this.#isPadding(end, base + this.headerBytes) ? undefined : 'padding'
  }

  #isPadding(start: number, end: number): boolean {
    for (let at = start; at < end; at += 1) if (this.#view[at] !== 0) return false
    return true
  }

  #readField(code: number, start: number, end: number): HeaderFault | undefined {
    const view = this.#view
    const type = TYPES[code] ?? 0
    if (view[start + 1] !== 1 || view[start + 2] !== type || view[start + 3] !== 0) return 'field-type'
    if ((this.#seen & bit(code)) !== 0) return 'field-repeated'
    this.#seen |= bit(code)
    if (type === SIGNATURE_TYPE) return this.#readSignature(start + 4, end)
    if (start + 8 > end) return 'field-bounds'
    const value = uint32At(view, start + 4, this.littleEndian)
    if (type === UINT32_TYPE) {
      if (code === CODE.unixFds) this.unixFds = value
      else this.#replySerial = value
      this.#fieldEnd = start + 8
      return undefined
    }
    const textStart = start + 8
    const textEnd = textStart + value
    if (textEnd >= end) return 'field-bounds'
    if (view[textEnd] !== 0 || !isValidText(code, view, textStart, textEnd)) return 'field-value'
    this.#placeText(code, textStart, textEnd)
    return undefined
  }

  #readSignature(at: number, end: number): HeaderFault | undefined {
    if (at >= end) return 'field-bounds'
    const textEnd = at + 1 + (this.#view[at] ?? 0)
    if (textEnd >= end) return 'field-bounds'
    if (this.#view[textEnd] !== 0 || !isSignature(this.#view, at + 1, textEnd)) return 'field-value'
    this.#placeText(CODE.signature, at + 1, textEnd)
    return undefined
  }

  /** A NUL follows it. */
  #placeText(code: number, start: number, end: number): void {
    this.#starts[code] = start
    this.#ends[code] = end
    this.#fieldEnd = end + 1
  }

  #faultOfWhole(): HeaderFault | undefined {
    const required = REQUIRED[this.type] ?? 0
    if ((this.#seen & required) !== required) return 'field-missing'
    const isReply = this.type === MESSAGE_TYPE.return || this.type === MESSAGE_TYPE.error
    if (isReply && this.#replySerial === 0) return 'field-value'
    const isLocal = this.#is(CODE.path, LOCAL_PATH) || this.#is(CODE.interface, LOCAL_INTERFACE)
    return isLocal ? 'local' : undefined
  }

  #is(code: number, text: Uint8Array): boolean {
    if ((this.#seen & bit(code)) === 0) return false
    const start = this.#starts[code] ?? 0
    if ((this.#ends[code] ?? 0) - start !== text.length) return false
    for (let at = 0; at < text.length; at += 1) if (this.#view[start + at] !== text[at]) return false
    return true
  }
}
