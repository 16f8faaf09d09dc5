/**
 * The field names that a `rest` link knows; all others it passes on without a thought.
 * Names are compared by length first, then without case, and never become strings.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { ALPHANUMERIC, bytesOf, FOLDED, isIn, isWord, LOWER } from './octets.ts'

/** `reserved`: it would be taken for an identity. `lookAlike`: some servers would take it for one of the framing fields. */
export type FieldName =
  | 'other'
  | 'reserved'
  | 'lookAlike'
  | 'te'
  | 'host'
  | 'expect'
  | 'upgrade'
  | 'trailer'
  | 'connection'
  | 'keep-alive'
  | 'authorization'
  | 'content-length'
  | 'http2-settings'
  | 'proxy-connection'
  | 'transfer-encoding'

interface KnownName {
  readonly name: FieldName
  readonly bytes: Uint8Array
}

const knownName = (name: FieldName): KnownName => ({ name, bytes: bytesOf(name) })

const CONTENT_LENGTH = knownName('content-length')
const TRANSFER_ENCODING = knownName('transfer-encoding')

const KNOWN: readonly KnownName[] = [
  knownName('te'),
  knownName('host'),
  knownName('expect'),
  knownName('upgrade'),
  knownName('trailer'),
  knownName('connection'),
  knownName('keep-alive'),
  knownName('authorization'),
  CONTENT_LENGTH,
  knownName('http2-settings'),
  knownName('proxy-connection'),
  TRANSFER_ENCODING,
]

const LONGEST = Math.max(...KNOWN.map(({ bytes }) => bytes.length))
const BY_LENGTH: readonly (readonly KnownName[])[] = Array.from({ length: LONGEST + 1 }, (_, length) =>
  KNOWN.filter(({ bytes }) => bytes.length === length),
)
const NONE: readonly KnownName[] = []

const X = 0x78
const P = 0x70
const V = 0x76

/** `x-pv-` at the beginning, for a server that folds every character but letters and digits into one. */
const isReserved = (view: ByteView, start: number, end: number): boolean =>
  end - start >= 5 &&
  LOWER[view[start] ?? 0] === X &&
  LOWER[view[start + 2] ?? 0] === P &&
  LOWER[view[start + 3] ?? 0] === V &&
  !isIn(ALPHANUMERIC, view, start + 1) &&
  !isIn(ALPHANUMERIC, view, start + 4)

const looksLike = (view: ByteView, start: number, { bytes }: KnownName): boolean => {
  for (let at = 0; at < bytes.length; at += 1) {
    if (FOLDED[view[start + at] ?? 0] !== bytes[at]) return false
  }
  return true
}

const isLookAlike = (view: ByteView, start: number, length: number): boolean =>
  (length === CONTENT_LENGTH.bytes.length && looksLike(view, start, CONTENT_LENGTH)) ||
  (length === TRANSFER_ENCODING.bytes.length && looksLike(view, start, TRANSFER_ENCODING))

/** Which of them the token that stands there is. */
export const fieldNameAt = (view: ByteView, start: number, end: number): FieldName => {
  const length = end - start
  const candidates = BY_LENGTH[length] ?? NONE
  for (let at = 0; at < candidates.length; at += 1) {
    const known = candidates[at]
    if (known !== undefined && isWord(view, start, end, known.bytes)) return known.name
  }
  if (isReserved(view, start, end)) return 'reserved'
  return isLookAlike(view, start, length) ? 'lookAlike' : 'other'
}
