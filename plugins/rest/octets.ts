/**
 * The octets of HTTP (RFC 9110 section 5.6, RFC 3986): lookup tables and the few comparisons that need no string.
 * Nothing here allocates but when the module is loaded.
 */
import type { ByteView } from '../../src/relay/contract.ts'

export const HTAB = 0x09
export const LF = 0x0a
export const CR = 0x0d
export const SP = 0x20
export const DOUBLE_QUOTE = 0x22
const HASH = 0x23
export const ASTERISK = 0x2a
export const COMMA = 0x2c
export const HYPHEN = 0x2d
export const SLASH = 0x2f
export const ZERO = 0x30
export const COLON = 0x3a
export const SEMICOLON = 0x3b
export const EQUALS = 0x3d
export const QUESTION_MARK = 0x3f
export const OPENING_BRACKET = 0x5b
export const BACKSLASH = 0x5c
export const CLOSING_BRACKET = 0x5d
const DEL = 0x7f

/** 1 for the octets that belong to the class. */
export type OctetClass = Uint8Array

const octets = (belongs: (octet: number) => boolean): OctetClass =>
  Uint8Array.from({ length: 256 }, (_, octet) => (belongs(octet) ? 1 : 0))

const isOneOf = (text: string) => (octet: number) => text.includes(String.fromCharCode(octet))
const isDigit = (octet: number): boolean => octet >= ZERO && octet <= 0x39
const isLetter = (octet: number): boolean => (octet | 0x20) >= 0x61 && (octet | 0x20) <= 0x7a
const isAlphanumeric = (octet: number): boolean => isDigit(octet) || isLetter(octet)
const isControl = (octet: number): boolean => octet < SP || octet === DEL
const isSubDelimiter = isOneOf("!$&'()*+,;=")
const isUnreserved = (octet: number): boolean => isAlphanumeric(octet) || isOneOf('-._~')(octet)

export const DIGIT = octets(isDigit)
export const ALPHANUMERIC = octets(isAlphanumeric)
/** RFC 9110 section 5.6.2. */
export const TOKEN = octets(octet => isAlphanumeric(octet) || isOneOf("!#$%&'*+-.^_`|~")(octet))
/** All that may stand within a line and needs no second look: no control but the tab. */
export const PLAIN = octets(octet => octet === HTAB || !isControl(octet))
/** What a request target may be made of: visible ASCII; a fragment is never sent (RFC 9112 section 3.2). */
export const TARGET = octets(octet => octet > SP && octet < DEL && octet !== HASH)
/** RFC 3986 section 3.2.2: a registered name or an IPv4 address, escapes included. */
export const REG_NAME = octets(octet => isUnreserved(octet) || isSubDelimiter(octet) || octet === 0x25)
/** What may stand between the brackets of an IP literal: a zone's escape (RFC 6874) too. */
export const IP_LITERAL = octets(octet => REG_NAME[octet] === 1 || octet === COLON)

/** ASCII letters in lower case, everything else as it is. */
export const LOWER = Uint8Array.from({ length: 256 }, (_, octet) => (isLetter(octet) ? octet | 0x20 : octet))
/** As servers fold names that become variables: letters in lower case, digits, and `-` for everything else. */
export const FOLDED = Uint8Array.from({ length: 256 }, (_, octet) =>
  isAlphanumeric(octet) ? (LOWER[octet] ?? octet) : HYPHEN,
)

const NO_DIGIT = 255
const HEX = Uint8Array.from({ length: 256 }, (_, octet) => {
  if (isDigit(octet)) return octet - ZERO
  const letter = octet | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : NO_DIGIT
})

/** 0 to 15, or -1: no hexadecimal digit. */
export const hexDigitAt = (view: ByteView, at: number): number => {
  const digit = HEX[view[at] ?? 0] ?? NO_DIGIT
  return digit === NO_DIGIT ? -1 : digit
}

/** 0 to 9, or -1: no digit. */
export const digitAt = (view: ByteView, at: number): number => {
  const digit = (view[at] ?? 0) - ZERO
  return digit >= 0 && digit <= 9 ? digit : -1
}

export const isIn = (octetClass: OctetClass, view: ByteView, at: number): boolean =>
  octetClass[view[at] ?? 0] === 1

export const isBlank = (octet: number | undefined): boolean => octet === SP || octet === HTAB

/** Where the run of octets of this class that begins here ends. */
export const runEnd = (octetClass: OctetClass, view: ByteView, at: number, end: number): number => {
  let here = at
  while (here < end && octetClass[view[here] ?? 0] === 1) here += 1
  return here
}

export const skipBlanks = (view: ByteView, at: number, end: number): number => {
  let here = at
  while (here < end && isBlank(view[here])) here += 1
  return here
}

/** The end of what stands there, without the blanks that follow it. */
export const trimEnd = (view: ByteView, start: number, end: number): number => {
  let here = end
  while (here > start && isBlank(view[here - 1])) here -= 1
  return here
}

const encoder = new TextEncoder()

/** For constants, and for what is made once per link. */
export const bytesOf = (text: string): Uint8Array => encoder.encode(text)

/** `word` is in lower case. */
export const isWord = (view: ByteView, start: number, end: number, word: Uint8Array): boolean => {
  if (end - start !== word.length) return false
  for (let at = 0; at < word.length; at += 1) {
    if (LOWER[view[start + at] ?? 0] !== word[at]) return false
  }
  return true
}

/** Byte for byte. */
export const isExactly = (view: ByteView, start: number, end: number, bytes: Uint8Array): boolean => {
  if (end - start !== bytes.length) return false
  for (let at = 0; at < bytes.length; at += 1) {
    if (view[start + at] !== bytes[at]) return false
  }
  return true
}

/** Two stretches of one view, ASCII letters in either case. */
export const areAlike = (
  view: ByteView,
  start: number,
  end: number,
  otherStart: number,
  otherEnd: number,
): boolean => {
  if (end - start !== otherEnd - otherStart) return false
  for (let at = 0; at < end - start; at += 1) {
    if (LOWER[view[start + at] ?? 0] !== LOWER[view[otherStart + at] ?? 0]) return false
  }
  return true
}
