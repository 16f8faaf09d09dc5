/**
 * Who owns which name on a bus, as NameOwnerChanged and GetNameOwner tell it. Pure.
 * Only owners count, not those who wait in a name's queue: of those the bus tells nobody.
 */
import type { Party } from './evaluate.ts'

/** A bus with more is not followed any further: its names are text of the provider's, and they are kept. */
const MOST_NAMES = 65_536

/** Of one connection. Of who has more it is not known that it has no others. A system bus lets it have 512 (dbus-daemon(1)). */
export const MOST_NAMES_OF_ONE = 1024

const NOBODY: ReadonlySet<string> = new Set()

/** Whoever it is: it has this name, if any, and perhaps others. */
const somebody = (name: string): Party => ({ kind: 'connection', names: new Set([name]), complete: false })

export class NameOwners {
  /** Well-known name -> unique name. */
  readonly #owners = new Map<string, string>()
  /** Unique name -> its names, itself among them. */
  readonly #names = new Map<string, Set<string>>()
  /** Those that once had more names than are kept of one. */
  readonly #crowded = new Set<string>()
  #synced = false

  /** All is known that there is to know. */
  get synced(): boolean {
    return this.#synced
  }

  get size(): number {
    return this.#owners.size + this.#names.size
  }

  /** Too many to be followed. */
  get isFull(): boolean {
    return this.size > MOST_NAMES
  }

  /** What came until now was all of it; from now on it is changes. */
  sync(): void {
    this.#synced = true
  }

  /** The connection that told it is gone. */
  forget(): void {
    this.#synced = false
    this.#owners.clear()
    this.#names.clear()
    this.#crowded.clear()
  }

  /** `owner` is a unique name; anything else is nobody: the name is not had any more. */
  set(name: string, owner: string): void {
    if (name.startsWith(':')) {
      if (owner === '') this.#vanish(name)
      else this.#namesOf(name)
      return
    }
    const before = this.#owners.get(name)
    if (before !== undefined) this.#names.get(before)?.delete(name)
    if (owner.startsWith(':')) {
      this.#owners.set(name, owner)
      this.#give(owner, name)
    } else {
      this.#owners.delete(name)
    }
  }

  #give(owner: string, name: string): void {
    const names = this.#namesOf(owner)
    if (names.size <= MOST_NAMES_OF_ONE) names.add(name)
    else this.#crowded.add(owner)
  }

  #vanish(unique: string): void {
    this.#names.delete(unique)
    this.#crowded.delete(unique)
  }

  /** Of a connection that is there, whether it was known or not. */
  #namesOf(unique: string): Set<string> {
    const known = this.#names.get(unique)
    if (known !== undefined) return known
    const names = new Set([unique])
    this.#names.set(unique, names)
    return names
  }

  /** Who a message to that name, or from it, has at its other end. */
  partyOf(name: string): Party {
    if (!this.#synced) return somebody(name)
    const unique = name.startsWith(':') ? name : this.#owners.get(name)
    const names = unique === undefined ? undefined : this.#names.get(unique)
    // Nobody has it: the bus will start who does, or say so.
    if (unique === undefined || names === undefined) return somebody(name)
    return { kind: 'connection', names, complete: !this.#crowded.has(unique) }
  }
}

/** Nobody can say who it is. */
export const ANYBODY: Party = { kind: 'connection', names: NOBODY, complete: false }
