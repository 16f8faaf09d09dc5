/**
 * What we say to the bus before the messages (D-Bus specification, "Authentication Protocol"): who we are, as the kernel tells
 * it too, and what our client asks for. Pure. One question at a time.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { lineOf, sayLine } from './sasl-lines.ts'
import { bytesOf } from './wire.ts'

const GUID = /^[0-9A-Fa-f]{32}$/

/** `unexpected`: no answer that a bus gives. */
export type BusAnswer = 'ok' | 'rejected' | 'agreed' | 'no descriptors' | 'unexpected'

/** In decimal, and that in hexadecimal; in no other way, because not every bus would take it. */
const authLine = (uid: number): ByteView =>
  sayLine(`AUTH EXTERNAL ${Buffer.from(bytesOf(String(uid))).toString('hex')}`)

export const CLIENT_SAYS = {
  auth: authLine,
  negotiate: sayLine('NEGOTIATE_UNIX_FD'),
  begin: sayLine('BEGIN'),
}

export class SaslClient {
  /** As the bus gave it with its `OK`; `undefined`: it did not. */
  guid: string | undefined

  /** The answer to what was said last; the line of `view` from `start` to `end`, without what ends it. */
  read(view: ByteView, start: number, end: number): BusAnswer {
    const { command, rest } = lineOf(view, start, end) ?? { command: '', rest: '' }
    return this.guid === undefined ? this.#toAuth(command, rest) : this.#toNegotiate(command)
  }

  #toAuth(command: string, rest: string): BusAnswer {
    if (command === 'REJECTED') return 'rejected'
    if (command !== 'OK' || !GUID.test(rest)) return 'unexpected'
    this.guid = rest
    return 'ok'
  }

  #toNegotiate(command: string): BusAnswer {
    if (command === 'AGREE_UNIX_FD') return 'agreed'
    return command === 'ERROR' ? 'no descriptors' : 'unexpected'
  }
}
