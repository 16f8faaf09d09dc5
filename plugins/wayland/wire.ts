/**
 * The Wayland wire, as far as a link needs it: the header of a message, the two events and the request that name a global,
 * and the one event that is of our own making. Everything else passes as it is.
 *
 * Words are in the byte order of the host (Wayland specification, "Wire Format"), since both ends are on it.
 */

/** Object id; then the size, which counts the header, above the opcode. */
export const HEADER_BYTES = 8

export const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** Every connection begins with this object, of the interface wl_display. */
export const DISPLAY = 1

/** Requests of the interfaces that are followed, by their opcodes in wayland.xml. */
export const REQUEST = {
  displayGetRegistry: 1,
  registryBind: 0,
  fixesDestroy: 0,
  fixesDestroyRegistry: 1,
} as const
export const EVENT = {
  displayError: 0,
  displayDeleteId: 1,
  registryGlobal: 0,
  registryGlobalRemove: 1,
} as const

/** A header and one word: an id, or a name. */
export const ONE_WORD_BYTES = HEADER_BYTES + 4

/** wl_display.error of wayland.xml. */
export const ERROR = { invalidObject: 0, invalidMethod: 1, noMemory: 2 } as const

/** Longer than any interface's name that could be visible: the rest of one decides nothing. */
export const MOST_NAME_BYTES = 128

const padded = (bytes: number): number => (bytes + 3) & ~3

/** A string's characters up to its first NUL, as strcmp(3) sees it; of an endless one, enough to be unlike any other. */
const textAt = (words: DataView, at: number, bytes: number): string => {
  let text = ''
  for (let i = 0; i < Math.min(bytes, MOST_NAME_BYTES + 1); i += 1) {
    const octet = words.getUint8(at + i)
    if (octet === 0) break
    text += String.fromCharCode(octet)
  }
  return text
}

/** An interface and the number that stands for a global of it: in a registry's event and, with an id for it, in a bind. */
export interface Global {
  readonly name: number
  readonly interface: string
}

export interface Bind extends Global {
  readonly id: number
}

const NAME_AT = HEADER_BYTES
const LENGTH_AT = NAME_AT + 4
const STRING_AT = LENGTH_AT + 4

/**
 * The arguments of wl_registry.bind, whose message of `size` bytes begins at `at`. `undefined`: they are not what the
 * message's size allows for, or the string does not end where it says.
 */
export const bindAt = (words: DataView, at: number, size: number): Bind | undefined => {
  if (size < STRING_AT) return undefined
  const length = words.getUint32(at + LENGTH_AT, LITTLE_ENDIAN)
  if (length === 0 || length > size || STRING_AT + padded(length) + 8 !== size) return undefined
  if (words.getUint8(at + STRING_AT + length - 1) !== 0) return undefined
  return {
    name: words.getUint32(at + NAME_AT, LITTLE_ENDIAN),
    interface: textAt(words, at + STRING_AT, length),
    id: words.getUint32(at + size - 4, LITTLE_ENDIAN),
  }
}

/** The arguments of wl_registry.global. `undefined`: it is none, whoever has that id by now. */
export const globalAt = (words: DataView, at: number, size: number): Global | undefined => {
  if (size < STRING_AT) return undefined
  const length = words.getUint32(at + LENGTH_AT, LITTLE_ENDIAN)
  if (length === 0 || length > size || STRING_AT + padded(length) + 4 > size) return undefined
  return {
    name: words.getUint32(at + NAME_AT, LITTLE_ENDIAN),
    interface: textAt(words, at + STRING_AT, length),
  }
}

/** The word behind the header, of a message that has one. */
export const firstWord = (words: DataView, at: number): number =>
  words.getUint32(at + HEADER_BYTES, LITTLE_ENDIAN)

/** What is shown of a name that a client made up: short, and nothing that a terminal would obey. */
export const excerptOf = (name: string): string => name.slice(0, 64).replace(/[^\x20-\x7e]/g, '?')

/** wl_display.error: the last thing a client hears. `text` is ASCII. */
export const errorEvent = (object: number, code: number, text: string): Uint8Array => {
  const length = text.length + 1
  const size = STRING_AT + 4 + padded(length)
  const event = new Uint8Array(size)
  const words = new DataView(event.buffer)
  words.setUint32(0, DISPLAY, LITTLE_ENDIAN)
  words.setUint32(4, ((size << 16) | EVENT.displayError) >>> 0, LITTLE_ENDIAN)
  words.setUint32(8, object, LITTLE_ENDIAN)
  words.setUint32(12, code, LITTLE_ENDIAN)
  words.setUint32(16, length, LITTLE_ENDIAN)
  for (let i = 0; i < text.length; i += 1) event[20 + i] = text.charCodeAt(i)
  return event
}
