/**
 * Offers of another protocol (RFC 9110 section 7.8): which of a consumer's are passed on, and whether what the provider
 * switches to is one of them. Offers that lead back to HTTP are dropped: in there, nobody would strip forged identities.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { bytesOf, HYPHEN, isWord, LOWER, runEnd, SLASH, TOKEN } from './octets.ts'
import { isToken, ListReader } from './values.ts'

/** Nobody offers so many; the rest is dropped. */
const MOST_OFFERS = 16

const LEADING_BACK = [bytesOf('h2c'), bytesOf('h2'), bytesOf('http'), bytesOf('tls')]
const FIELD_NAME = bytesOf('Upgrade: ')
const COMMA_SPACE = bytesOf(', ')
const LINE_END = bytesOf('\r\n')

const list = new ListReader()

const stemOf = (view: ByteView, start: number, end: number): number => {
  let at = start
  while (at < end && view[at] !== HYPHEN) at += 1
  return at
}

/** `name[/version]`, both tokens, and of a protocol that may be switched to. */
const isAcceptable = (view: ByteView, start: number, end: number): boolean => {
  const nameEnd = runEnd(TOKEN, view, start, end)
  // Drafts of HTTP/2 were offered as `h2c-14` and the like.
  const stemEnd = stemOf(view, start, nameEnd)
  if (nameEnd === start || LEADING_BACK.some(word => isWord(view, start, stemEnd, word))) return false
  return nameEnd === end || (view[nameEnd] === SLASH && isToken(view, nameEnd + 1, end))
}

const lowerCased = (bytes: Uint8Array): Uint8Array => bytes.map(octet => LOWER[octet] ?? octet)

/** What one request offers. Made only for requests that do. */
export class Offers {
  readonly #offers: Uint8Array[] = []
  /** The same, to compare with. */
  readonly #words: Uint8Array[] = []
  /** Some were dropped. */
  filtered = false

  /** Take those of a field's value. */
  add(view: ByteView, start: number, end: number): void {
    list.begin(start, end)
    while (list.next(view)) {
      if (list.start === list.end) continue
      if (this.#offers.length < MOST_OFFERS && isAcceptable(view, list.start, list.end)) {
        const offer = view.slice(list.start, list.end)
        this.#offers.push(offer)
        this.#words.push(lowerCased(offer))
      } else {
        this.filtered = true
      }
    }
  }

  get none(): boolean {
    return this.#offers.length === 0
  }

  /** The field, as it is passed on. */
  get field(): readonly ByteView[] {
    const values = this.#offers.flatMap((offer, at) => (at === 0 ? [offer] : [COMMA_SPACE, offer]))
    return [FIELD_NAME, ...values, LINE_END]
  }

  /** Whether a response's value names only what was offered, and something. */
  include(view: ByteView, start: number, end: number): boolean {
    list.begin(start, end)
    while (list.next(view)) {
      const { start: from, end: to } = list
      if (!this.#words.some(word => isWord(view, from, to, word))) return false
    }
    return true
  }
}
