/**
 * Who owns the names that a filtered client is here for, as the bus tells its own connection, in the bus's order.
 * A connection counts as the service only while it owns a name: what it once was means nothing.
 */
import type { Scope, Standing } from './scope.ts'

/** Names below the wanted one that are followed: whoever may own one may own many. Those beyond are reached by name only. */
export const MOST_FOLLOWED = 4096

export class Owners {
  readonly #scope: Scope
  /** Name -> unique name. */
  readonly #owners = new Map<string, string>()
  /** Unique name -> what it owns of them. */
  readonly #names = new Map<string, Set<string>>()
  readonly #standings = new Map<string, Standing>()

  constructor(scope: Scope) {
    this.#scope = scope
  }

  /** What a unique name is now. */
  standingOf(unique: string): Standing {
    return this.#standings.get(unique) ?? 'none'
  }

  has(unique: string): boolean {
    return this.#standings.has(unique)
  }

  /** A name has this owner now; `''`: none. Whoever owned it before, and does no longer. */
  set(name: string, owner: string): string | undefined {
    const former = this.#owners.get(name)
    if (former === owner) return undefined
    if (former !== undefined) {
      this.#owners.delete(name)
      this.#names.get(former)?.delete(name)
      this.#judge(former)
    }
    if (owner !== '' && this.#isFollowed(name)) {
      this.#owners.set(name, owner)
      const names = this.#names.get(owner)
      if (names === undefined) this.#names.set(owner, new Set([name]))
      else names.add(name)
      this.#judge(owner)
    }
    return former
  }

  /** A connection is gone. The bus has said so of its names before; this holds if it has not. */
  vanish(unique: string): void {
    for (const name of this.#names.get(unique) ?? []) this.#owners.delete(name)
    this.#names.delete(unique)
    this.#standings.delete(unique)
  }

  /** The wanted name itself always is, however many there are below it. */
  #isFollowed(name: string): boolean {
    const { wanted, prefixes } = this.#scope
    return this.#owners.size < MOST_FOLLOWED || name === wanted.name || prefixes.includes(name)
  }

  #judge(unique: string): void {
    let standing: Standing = 'none'
    for (const name of this.#names.get(unique) ?? []) {
      if (this.#scope.isService(name)) {
        standing = 'service'
        break
      }
      standing = 'prefix'
    }
    if (standing === 'none') {
      this.#names.delete(unique)
      this.#standings.delete(unique)
    } else {
      this.#standings.set(unique, standing)
    }
  }
}
