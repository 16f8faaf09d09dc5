/**
 * Strings for the bytes of names and paths, which come over and over: those met lately are found by their bytes, and cost no
 * allocation. Bounded, and one for all connections: it holds nothing but names, and tells nobody which.
 */
import type { ByteView } from '../../src/relay/contract.ts'

const PLACES = 2048
const LONGEST_KEPT = 128
/** How much of the end of a text chooses its place: there names of a kind differ. */
const TELLING = 12

interface Kept {
  readonly bytes: Uint8Array
  readonly text: string
}

const kept: (Kept | undefined)[] = Array.from({ length: PLACES }, () => undefined)

const placeOf = (view: ByteView, start: number, end: number): number => {
  let hash = end - start
  for (let at = Math.max(start, end - TELLING); at < end; at += 1)
    hash = Math.imul(hash ^ (view[at] ?? 0), 0x01000193)
  return ((hash >>> 16) ^ hash) & (PLACES - 1)
}

const areEqual = (bytes: Uint8Array, view: ByteView, start: number, end: number): boolean => {
  if (bytes.length !== end - start) return false
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] !== view[start + at]) return false
  return true
}

const decoded = (view: ByteView, start: number, end: number): string =>
  Buffer.from(view.buffer, view.byteOffset + start, end - start).toString('latin1')

/** Of ASCII. */
export const textOf = (view: ByteView, start: number, end: number): string => {
  if (end - start > LONGEST_KEPT) return decoded(view, start, end)
  const place = placeOf(view, start, end)
  const known = kept[place]
  if (known !== undefined && areEqual(known.bytes, view, start, end)) return known.text
  const text = decoded(view, start, end)
  kept[place] = { bytes: view.slice(start, end), text }
  return text
}
