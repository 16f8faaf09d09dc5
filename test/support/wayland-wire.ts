/**
 * Wayland messages for tests, written and read with no line of the plugin's: a second reading of the wire format. Words are in
 * the byte order of this machine's x86 or ARM, the lower byte first.
 */

export type Argument = number | string

const stringOf = (text: string): Buffer => {
  const bytes = Buffer.from(`${text}\0`, 'latin1')
  const padded = Buffer.alloc(4 + Math.ceil(bytes.length / 4) * 4)
  padded.writeUInt32LE(bytes.length)
  bytes.copy(padded, 4)
  return padded
}

const wordOf = (value: number): Buffer => {
  const word = Buffer.alloc(4)
  word.writeUInt32LE(value >>> 0)
  return word
}

/** A header, whatever it says. */
export const header = (object: number, opcode: number, size: number): Buffer =>
  Buffer.concat([wordOf(object), wordOf(size * 0x1_0000 + opcode)])

export const raw = (object: number, opcode: number, body: Uint8Array): Buffer =>
  Buffer.concat([header(object, opcode, 8 + body.length), body])

export const message = (object: number, opcode: number, ...args: readonly Argument[]): Buffer =>
  raw(
    object,
    opcode,
    Buffer.concat(args.map(each => (typeof each === 'number' ? wordOf(each) : stringOf(each)))),
  )

/** A message of so many bytes that nobody looks at. */
export const filler = (object: number, size: number, opcode = 5): Buffer =>
  raw(object, opcode, Buffer.alloc(size - 8, 0x6d))

// Requests.

export const sync = (id: number): Buffer => message(1, 0, id)
export const getRegistry = (id: number): Buffer => message(1, 1, id)
export const bind = (registry: number, name: number, interfaceName: string, id = 9, version = 1): Buffer =>
  message(registry, 0, name, interfaceName, version, id)
export const destroyFixes = (fixes: number): Buffer => message(fixes, 0)
export const destroyRegistry = (fixes: number, registry: number): Buffer => message(fixes, 1, registry)

// Events.

export const global = (registry: number, name: number, interfaceName: string, version = 1): Buffer =>
  message(registry, 0, name, interfaceName, version)
export const globalRemove = (registry: number, name: number): Buffer => message(registry, 1, name)
export const deleteId = (id: number): Buffer => message(1, 1, id)
export const done = (callback: number): Buffer => message(callback, 0, 0)
export const error = (object: number, code: number, text: string): Buffer => message(1, 0, object, code, text)

/** What a client hears that binds what it may not see. */
export const refused = (registry: number, name: number, interfaceName: string): Buffer =>
  error(registry, 0, `invalid global ${interfaceName} (${name})`)

export interface Message {
  readonly object: number
  readonly opcode: number
  readonly size: number
  readonly bytes: Buffer
  /** Where it begins. */
  readonly at: number
}

/** The whole messages that these bytes begin with. */
export const messagesIn = (bytes: Buffer): readonly Message[] => {
  const all: Message[] = []
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = bytes.readUInt16LE(at + 6)
    if (size < 8 || at + size > bytes.length) break
    all.push({
      object: bytes.readUInt32LE(at),
      opcode: bytes.readUInt16LE(at + 4),
      size,
      bytes: bytes.subarray(at, at + size),
      at,
    })
    at += size
  }
  return all
}

/** A string among the arguments, up to its first NUL; `undefined`: none fits there. */
export const stringAt = (bytes: Buffer, at: number): string | undefined => {
  if (at + 4 > bytes.length) return undefined
  const length = bytes.readUInt32LE(at)
  if (length === 0 || at + 4 + length > bytes.length) return undefined
  return bytes
    .subarray(at + 4, at + 4 + length)
    .toString('latin1')
    .split('\0')[0]
}

/** For a person: what each message is. */
export const told = (bytes: Buffer): readonly string[] => {
  const all = messagesIn(bytes)
  const { at = 0, size = 0 } = all.at(-1) ?? {}
  const rest = bytes.length - at - size
  return [
    ...all.map(
      ({ object, opcode, bytes: each }) => `${object}.${opcode} ${each.subarray(8).toString('hex')}`,
    ),
    ...(rest > 0 ? [`and ${rest} bytes`] : []),
  ]
}
