/**
 * When a link may let a conversation down: what was done to it, from when until when. Pure; times are those of one clock.
 * A spell lasts from just before something is done to the link until the link has been seen to work again.
 */

/** `cuts`: open connections may end. `refuses`: open ones go on, but new ones may not come about. */
export type Harm = 'cuts' | 'refuses'

interface Spell {
  readonly harm: Harm
  readonly from: number
  /** Infinite as long as it lasts. */
  readonly to: number
}

/** Conversations are over long before. */
const FORGOTTEN_AFTER_MS = 300_000

export class Excuses {
  #spells: readonly Spell[] = []

  begin(harm: Harm, at: number): void {
    this.#spells = [
      ...this.#spells.filter(({ to }) => to > at - FORGOTTEN_AFTER_MS),
      { harm, from: at, to: Number.POSITIVE_INFINITY },
    ]
  }

  /** The link works: whatever lasted until now is over. */
  settle(at: number): void {
    this.#spells = this.#spells.map(spell => (spell.to > at ? { ...spell, to: at } : spell))
  }

  get settled(): boolean {
    return this.#spells.every(({ to }) => to !== Number.POSITIVE_INFINITY)
  }

  #any(from: number, to: number, harms: readonly Harm[]): boolean {
    return this.#spells.some(spell => harms.includes(spell.harm) && spell.from <= to && spell.to >= from)
  }

  /** May a connection that was tried within this time have been refused? */
  mayRefuse(from: number, to: number): boolean {
    return this.#any(from, to, ['cuts', 'refuses'])
  }

  /** May a connection have been cut? `established`: when its provider answered; absent: that is not known. */
  mayCut(from: number, to: number, established: number | null): boolean {
    return this.#any(from, to, ['cuts']) || this.#any(from, established ?? to, ['refuses'])
  }
}
