/**
 * The options of `Connection` (RFC 9110 section 7.6.1). The field is never passed on as it came, or a provider would remove
 * whatever a consumer nominates in it, its own identity included: what is nominated is removed here, and what still
 * applies is said anew.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import type { FieldTable } from './fields.ts'
import { bytesOf, isWord } from './octets.ts'
import { REFUSALS, type Refusal } from './refusals.ts'
import { CLOSE, isToken, KEEP_ALIVE, ListReader } from './values.ts'

const TE = bytesOf('te')
const UPGRADE = bytesOf('upgrade')
/** A request that loses one of these is another request. */
const NEVER_NOMINATED = [bytesOf('content-length'), bytesOf('transfer-encoding'), bytesOf('host')]

/** The options that are passed on, as the bits of an index, and all fields that can come of them. */
const Option = { close: 1, keepAlive: 2, te: 4, upgrade: 8 } as const
const WORDS = ['close', 'keep-alive', 'te', 'Upgrade']
const FIELDS: readonly (readonly ByteView[])[] = Array.from({ length: 1 << WORDS.length }, (_, options) => {
  const words = WORDS.filter((_word, bit) => (options & (1 << bit)) !== 0)
  return words.length === 0 ? [] : [bytesOf(`Connection: ${words.join(', ')}\r\n`)]
})
const NO_FIELD: readonly ByteView[] = []

const list = new ListReader()

export class ConnectionOptions {
  readonly #mostNominations: number
  #options = 0
  /** Where the nominated names stand: start and end of each in turn. */
  readonly #nominated: number[] = []
  #nominations = 0
  defect: Refusal | undefined

  /** More nominations than there can be fields are refused: each costs a look at all of them. */
  constructor(mostNominations: number) {
    this.#mostNominations = mostNominations
  }

  clear(): void {
    this.#options = 0
    this.#nominations = 0
    this.defect = undefined
  }

  get close(): boolean {
    return (this.#options & Option.close) !== 0
  }

  get upgrade(): boolean {
    return (this.#options & Option.upgrade) !== 0
  }

  /** Those of one field's value. */
  take(view: ByteView, start: number, end: number): void {
    list.begin(start, end)
    while (list.next(view)) {
      if (list.start === list.end) continue
      if (isWord(view, list.start, list.end, KEEP_ALIVE)) this.#options |= Option.keepAlive
      else if (isWord(view, list.start, list.end, CLOSE)) this.#options |= Option.close
      else if (isWord(view, list.start, list.end, UPGRADE)) this.#options |= Option.upgrade
      else this.#nominate(view, list.start, list.end)
    }
  }

  #nominate(view: ByteView, start: number, end: number): void {
    const isRefused =
      !isToken(view, start, end) ||
      NEVER_NOMINATED.some(name => isWord(view, start, end, name)) ||
      this.#nominations === this.#mostNominations
    if (isRefused) {
      this.defect = REFUSALS.connection
      return
    }
    this.#nominated[2 * this.#nominations] = start
    this.#nominated[2 * this.#nominations + 1] = end
    this.#nominations += 1
  }

  /** What is nominated goes; but `TE` goes unless it is. */
  settle(view: ByteView, fields: FieldTable): void {
    for (let at = 0; at < 2 * this.#nominations; at += 2) {
      const start = this.#nominated[at] ?? 0
      const end = this.#nominated[at + 1] ?? 0
      const isTe = isWord(view, start, end, TE)
      const found = fields.mark(view, start, end, !isTe)
      if (isTe && found > 0) this.#options |= Option.te
    }
  }

  /** The field for the provider; empty: none is needed. */
  fieldFor(closes: boolean, upgrades: boolean): readonly ByteView[] {
    let options = this.#options
    if (closes) options &= ~Option.keepAlive
    if (!upgrades) options &= ~Option.upgrade
    return FIELDS[options] ?? NO_FIELD
  }
}
