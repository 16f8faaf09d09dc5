/** Lets actors act, or holds them: closing waits until nobody acts any more. */
import { nap } from './clock.ts'

const LOOK_EVERY_MS = 20

export class Gate {
  #open = true
  #inside = 0

  get inside(): number {
    return this.#inside
  }

  /** Run it now, or not at all. True: it was run. */
  async through(act: () => Promise<void>): Promise<boolean> {
    if (!this.#open) return false
    this.#inside += 1
    try {
      await act()
    } finally {
      this.#inside -= 1
    }
    return true
  }

  /** Nobody enters from now on; resolves when those inside have left. */
  async close(): Promise<void> {
    this.#open = false
    while (this.#inside > 0) await nap(LOOK_EVERY_MS)
  }

  open(): void {
    this.#open = true
  }
}
