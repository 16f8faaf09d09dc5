/** What was heard of last, and no more than so much of it: whoever makes others remember things must not fill their memory. */

/** A set that forgets its oldest member where it would grow beyond its bound. */
export class Recent {
  readonly #members = new Set<string>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#members.size
  }

  has(member: string): boolean {
    return this.#members.has(member)
  }

  /** Whoever is a member already stays as old as it was. */
  add(member: string): void {
    this.#members.add(member)
    if (this.#members.size <= this.#most) return
    for (const oldest of this.#members) {
      this.#members.delete(oldest)
      return
    }
  }

  /** Whether it was one. */
  delete(member: string): boolean {
    return this.#members.delete(member)
  }
}
