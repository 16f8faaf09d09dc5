/** Bodies of the bus's own answers and signals that are nothing but strings. Pure (D-Bus specification, "Marshaling"). */
import type { ByteView } from '../../../src/relay/contract.ts'
import { align4, uint32At } from '../wire.ts'

const TEXT = new TextDecoder()

/** Strings one after the other, from `at` to `end` exactly. */
const stringsBetween = (
  body: ByteView,
  start: number,
  end: number,
  littleEndian: boolean,
): readonly string[] | undefined => {
  const strings: string[] = []
  for (let at = start; at < end; ) {
    const textAt = align4(at) + 4
    if (textAt > end) return undefined
    const textEnd = textAt + uint32At(body, textAt - 4, littleEndian)
    if (textEnd >= end) return undefined
    strings.push(TEXT.decode(body.subarray(textAt, textEnd)))
    at = textEnd + 1
  }
  return strings
}

/** The strings of a body of strings, or of one list of them; `undefined`: it is neither, or not well-formed. */
export const stringsOf = (
  signature: string,
  body: ByteView,
  littleEndian: boolean,
): readonly string[] | undefined => {
  if (signature === 'as') {
    if (body.length < 4) return undefined
    const end = 4 + uint32At(body, 0, littleEndian)
    return end > body.length ? undefined : stringsBetween(body, 4, end, littleEndian)
  }
  return /^s*$/.test(signature) ? stringsBetween(body, 0, body.length, littleEndian) : undefined
}
