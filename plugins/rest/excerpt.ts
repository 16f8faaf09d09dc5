/** A few bytes of a line for the log, so that whoever reads it sees what was wrong with them. */
import type { ByteView } from '../../src/relay/contract.ts'
import { BACKSLASH, CR, LF, SP } from './octets.ts'

const MOST_BYTES = 64

/** Printable ASCII stays, everything else becomes `\xNN`. */
const escaped = (octet: number): string =>
  octet >= SP && octet < 0x7f && octet !== BACKSLASH
    ? String.fromCharCode(octet)
    : `\\x${octet.toString(16).padStart(2, '0')}`

/** From here to the end of the line, but not many. */
export const excerptOf = (view: ByteView, start: number): string => {
  let end = start
  const most = Math.min(view.length, start + MOST_BYTES)
  while (end < most && !(view[end] === CR && view[end + 1] === LF)) end += 1
  return Array.from(view.subarray(start, end), escaped).join('')
}
