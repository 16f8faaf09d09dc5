/** Tells when nothing has moved for a while, by looking a few times within it: that a reader reads shows only to who compares. */
import type { Clock } from '../model/clock.ts'

/** How often within its time it looks. */
export const IDLE_LOOKS = 4

export class IdleWatch {
  readonly #clock: Clock
  readonly #ms: number
  readonly #lastMoved: (now: number) => number
  readonly #onIdle: () => void
  readonly #began: number
  #timer: unknown

  /** It begins now. `lastMoved` says when something moved last, and is asked at each look. */
  constructor(clock: Clock, ms: number, lastMoved: (now: number) => number, onIdle: () => void) {
    this.#clock = clock
    this.#ms = ms
    this.#lastMoved = lastMoved
    this.#onIdle = onIdle
    this.#began = clock.now()
    this.#lookWithin(ms)
  }

  #lookWithin(ms: number): void {
    this.#timer = this.#clock.setTimeout(() => this.#look(), Math.min(ms, Math.ceil(this.#ms / IDLE_LOOKS)))
  }

  #look(): void {
    const now = this.#clock.now()
    const idle = now - Math.max(this.#began, this.#lastMoved(now))
    if (idle >= this.#ms) this.#onIdle()
    else this.#lookWithin(this.#ms - idle)
  }

  close(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
