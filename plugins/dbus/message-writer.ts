/**
 * Messages of our own, and headers that say something else than they came with (D-Bus specification, "Message Format"), in
 * either byte order. What stays the same of a message is given back as a slice of it, not copied.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { type Answer, BUS_NAME, BUS_PATH, FLAG, MESSAGE_TYPE, type OwnCall } from './contract.ts'
import { FIXED_BYTES, type MessageReader } from './message-reader.ts'
import { align4, align8, bytesOf, setUint32 } from './wire.ts'

/** As dbus-broker numbers all that its driver says by itself. */
const ANSWER_SERIAL = 0xffffffff

const FIELD = { path: 1, interface: 2, member: 3, errorName: 4, replySerial: 5, destination: 6, sender: 7 }
const SIGNATURE_FIELD = 8

type FieldName = keyof typeof FIELD

const typeOf = (name: FieldName): string => {
  if (name === 'replySerial') return 'u'
  return name === 'path' ? 'o' : 's'
}

/** Grows from its beginning; alignment counts from there. */
class Marshalled {
  readonly littleEndian: boolean
  #bytes = new Uint8Array(256)
  #length = 0

  constructor(littleEndian: boolean) {
    this.littleEndian = littleEndian
  }

  get length(): number {
    return this.#length
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  #grow(by: number): number {
    const at = this.#length
    this.#length += by
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return at
  }

  /** Padding is zero, as all of it is at first. */
  alignTo8(): void {
    this.#grow(align8(this.#length) - this.#length)
  }

  octets(...octets: readonly number[]): void {
    const at = this.#grow(octets.length)
    this.#bytes.set(octets, at)
  }

  uint32(value: number): void {
    this.#grow(align4(this.#length) - this.#length)
    const at = this.#grow(4)
    setUint32(this.#bytes, at, value, this.littleEndian)
  }

  string(text: string): void {
    const bytes = bytesOf(text)
    this.uint32(bytes.length)
    const at = this.#grow(bytes.length + 1)
    this.#bytes.set(bytes, at)
  }

  signature(text: string): void {
    const bytes = bytesOf(text)
    const at = this.#grow(bytes.length + 2)
    this.#bytes[at] = bytes.length
    this.#bytes.set(bytes, at + 1)
  }

  setUint32(at: number, value: number): void {
    setUint32(this.#bytes, at, value, this.littleEndian)
  }
}

interface Described {
  readonly type: number
  readonly flags: number
  readonly serial: number
  readonly fields: Readonly<Partial<Record<FieldName, string | number>>>
  /** Of its one value; `''`: it has none. */
  readonly signature: string
  readonly body: (to: Marshalled) => void
}

const LITTLE = 0x6c
const BIG = 0x42

const FIELD_NAMES = Object.keys(FIELD) as readonly FieldName[]

const writeField = (to: Marshalled, name: FieldName, value: string | number): void => {
  to.alignTo8()
  to.octets(FIELD[name])
  to.signature(typeOf(name))
  if (typeof value === 'number') to.uint32(value)
  else to.string(value)
}

const marshal = (described: Described, littleEndian: boolean): ByteView => {
  const { type, flags, serial, fields, signature } = described
  const to = new Marshalled(littleEndian)
  to.octets(littleEndian ? LITTLE : BIG, type, flags, 1)
  to.uint32(0)
  to.uint32(serial)
  to.uint32(0)
  for (const name of FIELD_NAMES) {
    const value = fields[name]
    if (value !== undefined) writeField(to, name, value)
  }
  if (signature !== '') {
    to.alignTo8()
    to.octets(SIGNATURE_FIELD)
    to.signature('g')
    to.signature(signature)
  }
  to.setUint32(12, to.length - FIXED_BYTES)
  to.alignTo8()
  const bodyAt = to.length
  described.body(to)
  to.setUint32(4, to.length - bodyAt)
  return to.bytes
}

const bodyOf = (answer: Answer): readonly [signature: string, body: (to: Marshalled) => void] => {
  if ('error' in answer) return ['s', to => to.string(answer.text)]
  return 'boolean' in answer
    ? ['b', to => to.uint32(answer.boolean ? 1 : 0)]
    : ['u', to => to.uint32(answer.uint32)]
}

/**
 * What the bus would have said to a call, in the byte order of the call. `destination`: the caller's unique name, where it is
 * known.
 */
export const answerTo = (
  call: { readonly serial: number; readonly littleEndian: boolean },
  answer: Answer,
  destination: string | undefined,
): ByteView => {
  const [signature, body] = bodyOf(answer)
  const isError = 'error' in answer
  const fields = {
    replySerial: call.serial,
    sender: BUS_NAME,
    ...(isError ? { errorName: answer.error } : {}),
    ...(destination === undefined ? {} : { destination }),
  }
  const type = isError ? MESSAGE_TYPE.error : MESSAGE_TYPE.return
  return marshal(
    { type, flags: FLAG.noReplyExpected, serial: ANSWER_SERIAL, fields, signature, body },
    call.littleEndian,
  )
}

export const ownCall = ({ serial, member, argument }: OwnCall): ByteView =>
  marshal(
    {
      type: MESSAGE_TYPE.call,
      flags: 0,
      serial,
      fields: { path: BUS_PATH, interface: BUS_NAME, member, destination: BUS_NAME },
      signature: argument === undefined ? '' : 's',
      body: to => {
        if (argument !== undefined) to.string(argument)
      },
    },
    true,
  )

const fixedPart = (view: ByteView, at: number): Uint8Array => view.slice(at, at + FIXED_BYTES)

/**
 * The whole header of the message at `at`, with this INTERFACE behind its other fields. The body needs no other place: it
 * begins at a multiple of 8 in any case.
 */
export const withInterface = (
  head: MessageReader,
  view: ByteView,
  at: number,
  name: string,
): readonly ByteView[] => {
  const fieldsEnd = at + FIXED_BYTES + head.fieldBytes
  const added = new Marshalled(head.littleEndian)
  writeField(added, 'interface', name)
  const gap = align8(head.fieldBytes) - head.fieldBytes
  const fixed = fixedPart(view, at)
  setUint32(fixed, 12, head.fieldBytes + gap + added.length, head.littleEndian)
  added.alignTo8()
  return [fixed, view.subarray(at + FIXED_BYTES, fieldsEnd), new Uint8Array(gap), added.bytes]
}

/** The whole message at `at`, with another body of the same signature. */
export const withBody = (
  head: MessageReader,
  view: ByteView,
  at: number,
  body: ByteView,
): readonly ByteView[] => {
  const fixed = fixedPart(view, at)
  setUint32(fixed, 4, body.length, head.littleEndian)
  return [fixed, view.subarray(at + FIXED_BYTES, at + head.headerBytes), body]
}
