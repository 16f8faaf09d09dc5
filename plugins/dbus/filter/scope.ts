/**
 * What is within a wanted name: interfaces, bus names, and the argument of Properties. Names end at their dots: one that
 * only begins with the same letters is another one.
 */
import type { ByteView } from '../../../src/relay/contract.ts'
import { BUS_NAME } from '../contract.ts'
import { uint32At } from './arguments.ts'
import { prefixesOf, type WantedName } from './wanted-name.ts'

/** What a connection is that has a name: the service itself, or one that the wanted name may be an interface of. */
export type Standing = 'service' | 'prefix' | 'none'

const DOT = 0x2e
const NUL = 0

export class Scope {
  readonly wanted: WantedName
  /** Names before the dots of the wanted one. */
  readonly prefixes: readonly string[]
  readonly #bytes: Uint8Array

  constructor(wanted: WantedName) {
    this.wanted = wanted
    this.prefixes = prefixesOf(wanted)
    this.#bytes = new TextEncoder().encode(wanted.name)
  }

  /** The wanted name, or one below it. */
  within(name: string): boolean {
    const { name: wanted } = this.wanted
    const { length } = wanted
    if (name.length === length) return name === wanted
    return name.length > length && name.charCodeAt(length) === DOT && name.startsWith(wanted)
  }

  /** The same of the string that a body begins with, without making it one. What the body has no end of is not within. */
  firstStringIsWithin(littleEndian: boolean, body: ByteView): boolean {
    const wanted = this.#bytes
    const { length } = wanted
    if (body.length < 4 + length) return false
    const size = uint32At(body, 0, littleEndian) ?? 0
    if (size < length || body.length < 4 + size + 1 || body[4 + size] !== NUL) return false
    if (size > length && body[4 + length] !== DOT) return false
    for (let at = 0; at < length; at += 1) {
      if (body[4 + at] !== wanted[at]) return false
    }
    return true
  }

  /** A bus name that the client is here for. The bus's own is none, whatever was wanted. */
  isService(name: string): boolean {
    if (name === this.wanted.name) return name !== BUS_NAME
    return this.wanted.below && this.within(name) && name !== BUS_NAME
  }

  standingOf(name: string): Standing {
    if (this.isService(name)) return 'service'
    return this.prefixes.includes(name) ? 'prefix' : 'none'
  }
}
