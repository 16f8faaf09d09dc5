/**
 * What a bus says to its client before the messages (D-Bus specification, "Authentication Protocol"), one line at a time. Pure.
 * Whom the client says to be makes no difference: who it is was decided by its link.
 *
 *   state   line                              answer                          next
 *   auth    AUTH EXTERNAL hex                 asks for the bus                begin
 *           AUTH EXTERNAL                     DATA                            data
 *           AUTH, ERROR                       REJECTED EXTERNAL               auth
 *   data    DATA, DATA hex                    asks for the bus                begin
 *           CANCEL, ERROR                     REJECTED EXTERNAL               auth
 *   begin   NEGOTIATE_UNIX_FD                 asks for descriptors            begin
 *           CANCEL, ERROR                     REJECTED EXTERNAL               auth
 *           BEGIN                             the messages begin              -
 *   any     BEGIN                             the connection is closed        -
 *           anything else                     ERROR                           as before
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { type Line, lineOf, sayLine, split } from './sasl-lines.ts'

const MECHANISM = 'EXTERNAL'
/** The next one closes. */
const MOST_REJECTED = 5

const REJECTED = sayLine(`REJECTED ${MECHANISM}`)
const DATA = sayLine('DATA')
const AGREED = sayLine('AGREE_UNIX_FD')
const UNKNOWN = sayLine('ERROR "Unknown command"')
const NOT_NOW = sayLine('ERROR "Not expected now"')
const NO_HEX = sayLine('ERROR "Invalid hex encoding"')
const NO_ASCII = sayLine('ERROR "Line with other characters than printable ASCII"')
const NO_DESCRIPTORS = sayLine('ERROR "Unix fd passing not supported"')

/** Any count of digits, as both buses take it. */
const HEX = /^[0-9A-Fa-f]*$/

const KNOWN = new Set(['AUTH', 'DATA', 'CANCEL', 'ERROR', 'NEGOTIATE_UNIX_FD', 'BEGIN'])

/** A line to say, or what has to be asked for or done first. */
export type Asked = ByteView | 'bus' | 'descriptors' | 'begin' | 'close'

export class SaslServer {
  #state: 'auth' | 'data' | 'begin' = 'auth'
  #rejected = 0

  /** It wants in: who is to say yes will be needed. */
  get wantsBus(): boolean {
    return this.#state !== 'auth'
  }

  /** It was refused once too often: the last answer is said, and the connection closed. */
  get isExhausted(): boolean {
    return this.#rejected > MOST_REJECTED
  }

  /** The line of `view` from `start` to `end`, without what ends it. */
  read(view: ByteView, start: number, end: number): Asked {
    const line = lineOf(view, start, end)
    if (line === undefined) return NO_ASCII
    switch (this.#state) {
      case 'auth':
        return this.#inAuth(line)
      case 'data':
        return this.#inData(line)
      case 'begin':
        return this.#inBegin(line)
    }
  }

  #inAuth({ command, rest }: Line): Asked {
    if (command === 'ERROR') return this.#reject()
    if (command !== 'AUTH') return this.#unexpected(command)
    const { command: mechanism, rest: response } = split(rest)
    if (mechanism !== MECHANISM) return this.#reject()
    if (response !== '') return this.#identify(response)
    this.#state = 'data'
    return DATA
  }

  #inData({ command, rest }: Line): Asked {
    if (command === 'CANCEL' || command === 'ERROR') return this.#reject()
    return command === 'DATA' ? this.#identify(rest) : this.#unexpected(command)
  }

  #inBegin({ command }: Line): Asked {
    if (command === 'BEGIN') return 'begin'
    if (command === 'NEGOTIATE_UNIX_FD') return 'descriptors'
    return command === 'CANCEL' || command === 'ERROR' ? this.#reject() : this.#unexpected(command)
  }

  #identify(response: string): Asked {
    if (!HEX.test(response)) return NO_HEX
    this.#state = 'begin'
    return 'bus'
  }

  #reject(): Asked {
    this.#state = 'auth'
    this.#rejected += 1
    return REJECTED
  }

  #unexpected(command: string): Asked {
    if (command === 'BEGIN') return 'close'
    return KNOWN.has(command) ? NOT_NOW : UNKNOWN
  }
}

/** What was asked for, as the bus has answered it. */
export const SERVER_SAYS = {
  ok: (guid: string): ByteView => sayLine(`OK ${guid}`),
  rejected: REJECTED,
  agreed: AGREED,
  noDescriptors: NO_DESCRIPTORS,
}
