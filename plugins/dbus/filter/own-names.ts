/**
 * Names that the client has asked the bus for, so that it may give them back. What it never asked for it cannot release,
 * and is not told whether anybody has it.
 */
import { Recent } from './recent.ts'

/** A system bus lets one connection have 512. */
const MOST_OWN_NAMES = 1024

/** The client has it now, waits in line for it, or had it already (D-Bus specification, "org.freedesktop.DBus.RequestName"). */
const GRANTED: ReadonlySet<number> = new Set([1, 2, 4])

export class OwnNames {
  readonly #granted = new Recent(MOST_OWN_NAMES)
  /** Asked for, and not answered: so many times. As bounded as the calls that wait for a reply. */
  readonly #asked = new Map<string, number>()

  /** It goes to the bus. What became of it without a reply, nobody will know. */
  request(name: string, wantsReply: boolean): void {
    if (wantsReply) this.#asked.set(name, (this.#asked.get(name) ?? 0) + 1)
    else this.#granted.add(name)
  }

  /** The bus's reply; 0: an error. */
  requested(name: string, code: number): void {
    const asked = this.#asked.get(name) ?? 0
    if (asked > 1) this.#asked.set(name, asked - 1)
    else this.#asked.delete(name)
    if (GRANTED.has(code)) this.#granted.add(name)
  }

  mayRelease(name: string): boolean {
    return this.#granted.has(name) || this.#asked.has(name)
  }

  released(name: string): void {
    this.#granted.delete(name)
  }
}
