/**
 * The fields that tell a provider for whom a request is: made once per link, from names as the graph gave them.
 * Encoded so that no name can end a field or look like a list (RFC 9110 section 5.5); any percent-decoder gives it back.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { bytesOf } from './octets.ts'

export interface Identity {
  readonly consumer: string
  readonly role: string
}

const LONGEST_NAME_BYTES = 255

const UNCHANGED = /[A-Za-z0-9\-._~]/

const encoded = (name: string): string =>
  Array.from(bytesOf(name), octet => {
    const character = String.fromCharCode(octet)
    return UNCHANGED.test(character) ? character : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`
  }).join('')

/** What cannot be said of a consumer or role, or `null`. */
export const nameProblem = (name: string, mayBeEmpty: boolean): string | null => {
  const bytes = bytesOf(name).length
  if (bytes === 0 && !mayBeEmpty) return 'a provider must be told who asks, so it may not be empty'
  return bytes <= LONGEST_NAME_BYTES ? null : `a name has at most ${LONGEST_NAME_BYTES} bytes`
}

/** To stand directly after the request line. */
export const identityFields = ({ consumer, role }: Identity): ByteView =>
  bytesOf(`X-PV-Client: ${encoded(consumer)}\r\nX-PV-Role: ${encoded(role === '' ? 'any' : role)}\r\n`)
