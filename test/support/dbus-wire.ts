/**
 * D-Bus messages for the tests, made and read by the letter of the specification and not one step faster. Knows nothing of the
 * plugin's own reader and writer: they are held against this.
 */

export interface Field {
  readonly code: number
  /** The signature of its variant. */
  readonly type: string
  /** Bytes: as they are, aligned for the type. */
  readonly value: string | number | Uint8Array
}

export interface Made {
  readonly littleEndian?: boolean
  readonly type?: number
  readonly flags?: number
  readonly serial?: number
  readonly fields?: readonly Field[]
  readonly body?: Uint8Array
  /** Instead of what would be right. */
  readonly version?: number
  readonly order?: string
  readonly bodyLength?: number
  readonly fieldsLength?: number
}

const CODES = {
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

const TYPES = ['', 'o', 's', 's', 's', 'u', 's', 's', 'g', 'u']

export type FieldName = keyof typeof CODES

export const field = (name: FieldName, value: string | number): Field => ({
  code: CODES[name],
  type: TYPES[CODES[name]] ?? '',
  value,
})

export const fields = (named: Readonly<Partial<Record<FieldName, string | number>>>): readonly Field[] =>
  (Object.keys(named) as FieldName[]).map(name => field(name, named[name] ?? ''))

const ALIGNMENT: Readonly<Record<string, number>> = { o: 4, s: 4, u: 4, g: 1, y: 1, t: 8, v: 1, a: 4, '(': 8 }

export class Writer {
  readonly #littleEndian: boolean
  readonly #octets: number[] = []

  constructor(littleEndian: boolean) {
    this.#littleEndian = littleEndian
  }

  get length(): number {
    return this.#octets.length
  }

  pad(alignment: number): this {
    while (this.#octets.length % alignment !== 0) this.#octets.push(0)
    return this
  }

  octets(...octets: readonly number[]): this {
    this.#octets.push(...octets)
    return this
  }

  raw(bytes: Uint8Array): this {
    for (const octet of bytes) this.#octets.push(octet)
    return this
  }

  uint32(value: number): this {
    const bytes = Buffer.alloc(4)
    if (this.#littleEndian) bytes.writeUInt32LE(value)
    else bytes.writeUInt32BE(value)
    return this.pad(4).raw(bytes)
  }

  string(text: string): this {
    const bytes = Buffer.from(text)
    return this.uint32(bytes.length).raw(bytes).octets(0)
  }

  signature(text: string): this {
    return this.octets(text.length).raw(Buffer.from(text)).octets(0)
  }

  value(type: string, value: string | number | Uint8Array): this {
    if (typeof value === 'object') return this.pad(ALIGNMENT[type.charAt(0)] ?? 1).raw(value)
    if (type === 'g') return this.signature(String(value))
    return typeof value === 'number' ? this.uint32(value) : this.string(value)
  }

  bytes(): Buffer {
    return Buffer.from(this.#octets)
  }
}

/** The strings, one after the other. */
export const strings = (littleEndian: boolean, ...texts: readonly string[]): Buffer => {
  const writer = new Writer(littleEndian)
  for (const text of texts) writer.string(text)
  return writer.bytes()
}

export const message = (made: Made): Buffer => {
  const { littleEndian = true, type = 1, flags = 0, serial = 1, body = Buffer.alloc(0) } = made
  const inner = new Writer(littleEndian)
  for (const each of made.fields ?? []) {
    inner.pad(8).octets(each.code).signature(each.type).value(each.type, each.value)
  }
  const order = (made.order ?? (littleEndian ? 'l' : 'B')).charCodeAt(0)
  return new Writer(littleEndian)
    .octets(order, type, flags, made.version ?? 1)
    .uint32(made.bodyLength ?? body.length)
    .uint32(serial)
    .uint32(made.fieldsLength ?? inner.length)
    .raw(inner.bytes())
    .pad(8)
    .raw(body)
    .bytes()
}

export const BUS = 'org.freedesktop.DBus'

export interface Called {
  readonly littleEndian?: boolean
  readonly serial?: number
  readonly flags?: number
  readonly destination?: string
  readonly path?: string
  readonly interface?: string
  readonly member?: string
  readonly body?: Uint8Array
  readonly signature?: string
  readonly unixFds?: number
}

export const call = (how: Called = {}): Buffer => {
  const { littleEndian = true, serial = 1, flags = 0, body, signature } = how
  const named: Partial<Record<FieldName, string | number>> = {
    path: how.path ?? '/org/example/Object',
    member: how.member ?? 'Ask',
  }
  if (how.interface !== undefined) named.interface = how.interface
  if (how.destination !== undefined) named.destination = how.destination
  if (signature !== undefined) named.signature = signature
  if (how.unixFds !== undefined) named.unixFds = how.unixFds
  return message({
    littleEndian,
    serial,
    flags,
    fields: fields(named),
    ...(body === undefined ? {} : { body }),
  })
}

export const hello = (serial = 1): Buffer =>
  call({ serial, destination: BUS, path: '/org/freedesktop/DBus', interface: BUS, member: 'Hello' })

export interface Replied {
  readonly littleEndian?: boolean
  readonly to: number
  readonly serial?: number
  readonly sender?: string
  readonly destination?: string
  readonly error?: string
  readonly body?: Uint8Array
  readonly signature?: string
  readonly unixFds?: number
}

export const reply = (how: Replied): Buffer => {
  const { littleEndian = true, serial = 1, body } = how
  const named: Partial<Record<FieldName, string | number>> = { replySerial: how.to }
  if (how.error !== undefined) named.errorName = how.error
  named.destination = how.destination ?? ':1.7'
  named.sender = how.sender ?? BUS
  if (how.signature !== undefined) named.signature = how.signature
  if (how.unixFds !== undefined) named.unixFds = how.unixFds
  return message({
    littleEndian,
    serial,
    type: how.error === undefined ? 2 : 3,
    fields: fields(named),
    ...(body === undefined ? {} : { body }),
  })
}

export const helloReply = (to = 1, name = ':1.7'): Buffer =>
  reply({ to, destination: name, signature: 's', body: strings(true, name) })

export const signal = (
  member: string,
  how: {
    sender?: string
    destination?: string
    unixFds?: number
    body?: Uint8Array
    signature?: string
  } = {},
): Buffer =>
  message({
    type: 4,
    serial: 9,
    fields: fields({
      path: '/org/example/Object',
      interface: 'org.example.Thing',
      member,
      sender: how.sender ?? BUS,
      ...(how.destination === undefined ? {} : { destination: how.destination }),
      ...(how.signature === undefined ? {} : { signature: how.signature }),
      ...(how.unixFds === undefined ? {} : { unixFds: how.unixFds }),
    }),
    ...(how.body === undefined ? {} : { body: how.body }),
  })

// Reading, slowly.

export interface Decoded {
  readonly littleEndian: boolean
  readonly type: number
  readonly flags: number
  readonly serial: number
  readonly headerBytes: number
  readonly body: Buffer
  readonly bodyBytes: number
  /** Of the known codes. */
  readonly named: Readonly<Partial<Record<FieldName, string | number>>>
}

class Bad extends Error {}

const want = (holds: boolean, what: string): void => {
  if (!holds) throw new Bad(what)
}

const ELEMENT = '[A-Za-z_][A-Za-z0-9_]*'
const NAME_RULES: Readonly<Record<FieldName, RegExp | undefined>> = {
  path: /^(\/|(\/[A-Za-z0-9_]+)+)$/,
  interface: new RegExp(`^${ELEMENT}(\\.${ELEMENT})+$`),
  member: new RegExp(`^${ELEMENT}$`),
  errorName: new RegExp(`^${ELEMENT}(\\.${ELEMENT})+$`),
  destination: /^(:[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+|[A-Za-z_-][A-Za-z0-9_-]*(\.[A-Za-z_-][A-Za-z0-9_-]*)+)$/,
  sender: /^(:[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+|[A-Za-z_-][A-Za-z0-9_-]*(\.[A-Za-z_-][A-Za-z0-9_-]*)+)$/,
  replySerial: undefined,
  signature: undefined,
  unixFds: undefined,
}

/** The complete types that a signature consists of. */
const typesIn = (signature: string): readonly string[] => {
  want(signature.length <= 255, 'signature length')
  const types: string[] = []
  let at = 0
  const one = (arrays: number, structs: number): string => {
    const start = at
    const code = signature.charAt(at)
    at += 1
    if (code !== '' && 'ybnqiuxtdsoghv'.includes(code)) return code
    if (code === '(') {
      want(structs < 32, 'structs')
      do one(arrays, structs + 1)
      while (signature.charAt(at) !== ')')
      at += 1
      return signature.slice(start, at)
    }
    want(code === 'a' && arrays < 32, 'type')
    if (signature.charAt(at) === '{') {
      at += 1
      want('ybnqiuxtdsogh'.includes(signature.charAt(at)) && at < signature.length, 'key')
      at += 1
      one(arrays + 1, structs)
      want(signature.charAt(at) === '}', 'dict entry')
      at += 1
    } else {
      one(arrays + 1, structs)
    }
    return signature.slice(start, at)
  }
  while (at < signature.length) types.push(one(0, 0))
  return types
}

const SIZES: Readonly<Record<string, number>> = {
  y: 1,
  b: 4,
  n: 2,
  q: 2,
  i: 4,
  u: 4,
  h: 4,
  x: 8,
  t: 8,
  d: 8,
}

class Cursor {
  readonly #bytes: Buffer
  readonly #end: number
  readonly littleEndian: boolean
  at: number

  constructor(bytes: Buffer, at: number, end: number, littleEndian: boolean) {
    this.#bytes = bytes
    this.at = at
    this.#end = end
    this.littleEndian = littleEndian
  }

  get isOver(): boolean {
    return this.at >= this.#end
  }

  take(count: number): Buffer {
    want(this.at + count <= this.#end, 'bounds')
    this.at += count
    return this.#bytes.subarray(this.at - count, this.at)
  }

  align(alignment: number, mustBeZero = false): void {
    while (this.at % alignment !== 0) {
      const [octet] = this.take(1)
      want(!mustBeZero || octet === 0, 'padding')
    }
  }

  uint32(): number {
    this.align(4)
    const bytes = this.take(4)
    return this.littleEndian ? bytes.readUInt32LE() : bytes.readUInt32BE()
  }

  string(): string {
    const text = this.take(this.uint32()).toString('latin1')
    want(this.take(1)[0] === 0, 'NUL')
    return text
  }

  signature(): string {
    const text = this.take(this.take(1)[0] ?? 0).toString('latin1')
    want(this.take(1)[0] === 0, 'NUL')
    return text
  }

  /** What nobody here knows: arrays by their length, strings too, whatever is in them. */
  skip(type: string, depth: number): void {
    want(depth <= 64, 'depth')
    const code = type.charAt(0)
    const size = SIZES[code]
    if (size !== undefined) {
      this.align(size)
      this.take(size)
    } else if (code === 'v') {
      const [inner = '', ...more] = typesIn(this.signature())
      want(inner !== '' && more.length === 0, 'variant')
      want(depth + 1 <= 64, 'depth')
      this.skip(inner, depth + 1)
    } else if (code === '(') {
      this.align(8)
      for (const inner of typesIn(type.slice(1, -1))) this.skip(inner, depth + 1)
    } else if (code === 'a') {
      const length = this.uint32()
      want(length <= 2 ** 26, 'array')
      const element = type.charAt(1)
      this.align(
        element === '(' || element === '{' ? 8 : (SIZES[element] ?? ('soa'.includes(element) ? 4 : 1)),
      )
      this.take(length)
    } else if (code === 'g') {
      this.take(this.take(1)[0] ?? 0)
      this.take(1)
    } else {
      this.take(this.uint32())
      this.take(1)
    }
  }
}

const REQUIRED: readonly (readonly FieldName[])[] = [
  [],
  ['path', 'member'],
  ['replySerial'],
  ['replySerial', 'errorName'],
  ['path', 'interface', 'member'],
]

const readField = (cursor: Cursor, named: Partial<Record<FieldName, string | number>>): void => {
  const code = cursor.take(1)[0] ?? 0
  want(code !== 0, 'code')
  const name = (Object.keys(CODES) as FieldName[]).find(each => CODES[each] === code)
  if (name === undefined) {
    const [type = '', ...more] = typesIn(cursor.signature())
    want(type !== '' && more.length === 0, 'variant')
    cursor.skip(type, 0)
    return
  }
  const type = cursor.signature()
  want(type === TYPES[code], 'type')
  want(named[name] === undefined, 'repeated')
  if (type === 'u') {
    named[name] = cursor.uint32()
  } else if (type === 'g') {
    const text = cursor.signature()
    typesIn(text)
    named[name] = text
  } else {
    const text = cursor.string()
    want(NAME_RULES[name]?.test(text) === true && !text.endsWith('\n'), name)
    want(name === 'path' || text.length <= 255, 'length')
    named[name] = text
  }
}

/** Of the first message in `bytes`; the body may be incomplete. */
export const decode = (bytes: Buffer, mostFieldBytes = 2 ** 20): Decoded | 'more' | 'bad' => {
  if (bytes.length < 16) return 'more'
  try {
    const order = String.fromCharCode(bytes[0] ?? 0)
    want(order === 'l' || order === 'B', 'order')
    const littleEndian = order === 'l'
    const start = new Cursor(bytes, 0, 16, littleEndian)
    const [, type = 0, flags = 0, version] = start.take(4)
    const bodyBytes = start.uint32()
    const serial = start.uint32()
    const fieldBytes = start.uint32()
    want(type !== 0 && version === 1 && serial !== 0, 'fixed part')
    want(fieldBytes <= mostFieldBytes, 'fields')
    const headerBytes = Math.ceil((16 + fieldBytes) / 8) * 8
    want(headerBytes + bodyBytes <= 2 ** 27, 'length')
    if (bytes.length < headerBytes) return 'more'
    const cursor = new Cursor(bytes, 16, 16 + fieldBytes, littleEndian)
    const named: Partial<Record<FieldName, string | number>> = {}
    while (!cursor.isOver) {
      cursor.align(8, true)
      readField(cursor, named)
    }
    new Cursor(bytes, 16 + fieldBytes, headerBytes, littleEndian).align(8, true)
    for (const name of REQUIRED[type] ?? []) want(named[name] !== undefined, 'required')
    want((type !== 2 && type !== 3) || named.replySerial !== 0, 'reply serial')
    want(named.path !== '/org/freedesktop/DBus/Local', 'local')
    want(named.interface !== 'org.freedesktop.DBus.Local', 'local')
    const body = bytes.subarray(headerBytes, headerBytes + bodyBytes)
    return { littleEndian, type, flags, serial, headerBytes, body, bodyBytes, named }
  } catch (error) {
    if (error instanceof Bad) return 'bad'
    throw error
  }
}

/** All messages of a stream, which must be whole. */
export const decodeAll = (bytes: Buffer): readonly Decoded[] => {
  const all: Decoded[] = []
  for (let at = 0; at < bytes.length; ) {
    // A copy, as alignment counts from where a message begins.
    const decoded = decode(bytes.subarray(at))
    if (typeof decoded === 'string') throw new Error(`${decoded} at ${at}`)
    if (decoded.body.length < decoded.bodyBytes) throw new Error(`a body is not whole at ${at}`)
    all.push(decoded)
    at += decoded.headerBytes + decoded.bodyBytes
  }
  return all
}
