/**
 * Numbers and alignment on the wire (D-Bus specification, "Marshaling"). All arithmetic stays within unsigned 32 bits;
 * whether what is read lies within the view is the caller's business.
 */
import type { ByteView } from '../../src/relay/contract.ts'

export const uint32At = (view: ByteView, at: number, littleEndian: boolean): number => {
  const a = view[at] ?? 0
  const b = view[at + 1] ?? 0
  const c = view[at + 2] ?? 0
  const d = view[at + 3] ?? 0
  return (littleEndian ? a | (b << 8) | (c << 16) | (d << 24) : (a << 24) | (b << 16) | (c << 8) | d) >>> 0
}

export const setUint32 = (bytes: Uint8Array, at: number, value: number, littleEndian: boolean): void => {
  for (let i = 0; i < 4; i += 1) bytes[at + i] = (value >>> (8 * (littleEndian ? i : 3 - i))) & 0xff
}

/** Up to 2^31: no message is that long. */
export const align4 = (offset: number): number => (offset + 3) & ~3
export const align8 = (offset: number): number => (offset + 7) & ~7

const encoder = new TextEncoder()

export const bytesOf = (text: string): Uint8Array => encoder.encode(text)
