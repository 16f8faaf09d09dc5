/**
 * The grammar of names and object paths (D-Bus specification, "Valid Names" and "Valid Object Paths"), on bytes where they lie.
 * Nothing here allocates. What is valid is ASCII.
 */
import type { ByteView } from '../../src/relay/contract.ts'

const LONGEST_NAME = 255
const DOT = 0x2e
const SLASH = 0x2f
const COLON = 0x3a

/** Letters and the underscore, which may begin an element. */
const INITIAL = 1
const DIGIT = 2
/** In bus names only. */
const HYPHEN = 3

const CLASS = Uint8Array.from({ length: 256 }, (_, octet) => {
  const character = String.fromCharCode(octet)
  if (/[A-Za-z_]/.test(character)) return INITIAL
  if (/[0-9]/.test(character)) return DIGIT
  return character === '-' ? HYPHEN : 0
})

/** At least two elements with dots between them. */
const isDotted = (
  view: ByteView,
  start: number,
  end: number,
  mostClass: number,
  digitsBegin: boolean,
): boolean => {
  let begins = true
  let dots = 0
  for (let at = start; at < end; at += 1) {
    const octet = view[at] ?? 0
    if (octet === DOT) {
      if (begins) return false
      begins = true
      dots += 1
      continue
    }
    const octetClass = CLASS[octet] ?? 0
    if (octetClass === 0 || octetClass > mostClass) return false
    if (begins && octetClass === DIGIT && !digitsBegin) return false
    begins = false
  }
  return !begins && dots > 0
}

/** Well-known or unique. */
export const isBusName = (view: ByteView, start: number, end: number): boolean => {
  if (end - start > LONGEST_NAME) return false
  return view[start] === COLON
    ? isDotted(view, start + 1, end, HYPHEN, true)
    : isDotted(view, start, end, HYPHEN, false)
}

/** Errors are named alike. */
export const isInterfaceName = (view: ByteView, start: number, end: number): boolean =>
  end - start <= LONGEST_NAME && isDotted(view, start, end, DIGIT, false)

export const isMemberName = (view: ByteView, start: number, end: number): boolean => {
  if (end <= start || end - start > LONGEST_NAME) return false
  if (CLASS[view[start] ?? 0] !== INITIAL) return false
  for (let at = start + 1; at < end; at += 1) {
    const octetClass = CLASS[view[at] ?? 0] ?? 0
    if (octetClass === 0 || octetClass === HYPHEN) return false
  }
  return true
}

/** Of any length. */
export const isObjectPath = (view: ByteView, start: number, end: number): boolean => {
  if (end <= start || view[start] !== SLASH) return false
  let afterSlash = true
  for (let at = start + 1; at < end; at += 1) {
    const octet = view[at] ?? 0
    if (octet === SLASH) {
      if (afterSlash) return false
      afterSlash = true
      continue
    }
    const octetClass = CLASS[octet] ?? 0
    if (octetClass === 0 || octetClass === HYPHEN) return false
    afterSlash = false
  }
  return !afterSlash || end - start === 1
}
