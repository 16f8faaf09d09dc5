/**
 * The objects of one connection that globals go through, and the globals that are hidden from it: the least that is safe.
 *
 * Requests are followed in their order, in which the compositor carries them out too. A registry is `live` from the request
 * that makes it, and `dying` from the one that destroys it, until the compositor gives its id back: its last events are
 * still on their way then. An id that is given back while `live` was somebody else's before: a client may
 * use one again in the same write in which it makes the compositor free it, and must not lose its watcher by that.
 */
import { DISPLAY } from './wire.ts'

type State = 'live' | 'dying'

export class Registries {
  readonly #mostObjects: number
  readonly #mostHidden: number
  readonly #registries = new Map<number, State>()
  /** Objects of the interface wl_fixes, which destroy registries. */
  readonly #fixes = new Set<number>()
  /** Names (numbers) of globals that were announced and not shown. */
  readonly #hidden = new Set<number>()
  /** Those of them that have gone since, the first to go first. */
  readonly #gone = new Set<number>()
  /** No id above it is of any interest, which spares most messages a look. */
  highest = DISPLAY

  constructor(mostObjects: number, mostHidden: number) {
    this.#mostObjects = mostObjects
    this.#mostHidden = mostHidden
  }

  /** False: there are too many. */
  #hasRoomFor(id: number): boolean {
    if (this.#registries.size + this.#fixes.size >= this.#mostObjects) return false
    this.highest = Math.max(this.highest, id)
    return true
  }

  // What requests do.

  /** A registry is made. False: there are too many. */
  begin(id: number): boolean {
    if (!this.#registries.has(id) && !this.#hasRoomFor(id)) return false
    this.#registries.set(id, 'live')
    return true
  }

  isLive(id: number): boolean {
    return this.#registries.get(id) === 'live'
  }

  /** An object is made by which registries can be destroyed. False: there are too many. */
  beginFixes(id: number): boolean {
    if (!this.#fixes.has(id) && !this.#hasRoomFor(id)) return false
    this.#fixes.add(id)
    return true
  }

  isFixes(id: number): boolean {
    return this.#fixes.has(id)
  }

  endFixes(id: number): void {
    this.#fixes.delete(id)
  }

  destroy(id: number): void {
    if (this.#registries.has(id)) this.#registries.set(id, 'dying')
  }

  // What events do.

  /** Its events are a registry's. */
  has(id: number): boolean {
    return this.#registries.has(id)
  }

  /** The compositor gives an id back. */
  deleted(id: number): void {
    if (this.#registries.get(id) === 'dying') this.#registries.delete(id)
  }

  // Globals.

  /** False: there are too many. */
  hide(name: number): boolean {
    if (!this.#hidden.has(name) && this.#hidden.size >= this.#mostHidden && !this.#forgetOne()) return false
    this.#hidden.add(name)
    this.#gone.delete(name)
    return true
  }

  show(name: number): void {
    this.#hidden.delete(name)
    this.#gone.delete(name)
  }

  /**
   * A global goes. True: its client never knew of it. The name is kept as long as there is room: every registry hears of it, and a
   * compositor may take a bind for a while yet. But devices that come and go must not use up what may be hidden.
   */
  removesHidden(name: number): boolean {
    if (!this.#hidden.has(name)) return false
    this.#gone.add(name)
    return true
  }

  #forgetOne(): boolean {
    const [name] = this.#gone
    if (name === undefined) return false
    this.show(name)
    return true
  }

  isHidden(name: number): boolean {
    return this.#hidden.has(name)
  }
}
