/**
 * Whom a filtered client knows: the bus, itself, its services and their owners, and who has spoken to it.
 * All other names are hidden from it, and it cannot tell a hidden one from one that nobody has.
 */
import { BUS_NAME } from '../contract.ts'
import { Owners } from './owners.ts'
import { Recent } from './recent.ts'
import type { Scope, Standing } from './scope.ts'

const COLON = 0x3a

const isUnique = (name: string): boolean => name.charCodeAt(0) === COLON

export class Acquaintances {
  readonly #scope: Scope
  readonly #owners: Owners
  readonly #seen: Recent
  #me = ''
  #lastSeen = ''

  constructor(scope: Scope, mostSeen: number) {
    this.#scope = scope
    this.#owners = new Owners(scope)
    this.#seen = new Recent(mostSeen)
  }

  /** The client's own unique name. */
  introduce(uniqueName: string): void {
    this.#me = uniqueName
  }

  /** What is reached under a name, be it unique or well-known. */
  standingOf(name: string): Standing {
    return isUnique(name) ? this.#owners.standingOf(name) : this.#scope.standingOf(name)
  }

  isVisible(name: string): boolean {
    if (isUnique(name)) return name === this.#me || this.#owners.has(name) || this.#seen.has(name)
    return name === BUS_NAME || this.#scope.standingOf(name) !== 'none'
  }

  /** Somebody has sent the client a message of its own. */
  see(sender: string | undefined): void {
    if (sender === undefined || sender === this.#lastSeen || !isUnique(sender)) return
    this.#lastSeen = sender
    // When it owns nothing any more, it is one who has been seen.
    if (!this.#owners.has(sender)) this.#seen.add(sender)
  }

  /** As the bus tells it: `''` is nobody. A unique name that has no owner any more is gone for good. */
  ownerIs(name: string, owner: string): void {
    if (isUnique(name)) {
      if (owner === '') this.#forget(name)
      return
    }
    if (this.#scope.standingOf(name) === 'none') return
    const former = this.#owners.set(name, owner)
    if (former === undefined) return
    this.#seen.add(former)
    this.#lastSeen = ''
  }

  #forget(unique: string): void {
    this.#owners.vanish(unique)
    this.#seen.delete(unique)
    if (this.#lastSeen === unique) this.#lastSeen = ''
  }
}
