/** Lines of the authentication protocol (D-Bus specification, "Authentication Protocol"): they end with CRLF, and with nothing less. */
import type { ByteView } from '../../src/relay/contract.ts'
import { bytesOf } from './wire.ts'

const TAB = 0x09
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20
const LAST_PRINTED = 0x7e

export const LINE_END_BYTES = 2

/** Where the CR of the first line end stands, or -1. */
export const lineEndIn = (view: ByteView, start: number): number => {
  let at = view.indexOf(LF, start)
  while (at >= 0) {
    if (at > start && view[at - 1] === CR) return at - 1
    at = view.indexOf(LF, at + 1)
  }
  return -1
}

export interface Line {
  readonly command: string
  /** Without the blanks in front of it. */
  readonly rest: string
}

/** `undefined`: it has what no line may have. */
export const lineOf = (view: ByteView, start: number, end: number): Line | undefined => {
  for (let at = start; at < end; at += 1) {
    const octet = view[at] ?? 0
    if ((octet < SPACE && octet !== TAB) || octet > LAST_PRINTED) return undefined
  }
  return split(Buffer.from(view.subarray(start, end)).toString('latin1'))
}

/** At the first run of blanks. */
export const split = (text: string): Line => {
  const [command = ''] = text.split(/[ \t]/, 1)
  return { command, rest: text.slice(command.length).replace(/^[ \t]+/, '') }
}

export const sayLine = (text: string): ByteView => bytesOf(`${text}\r\n`)
