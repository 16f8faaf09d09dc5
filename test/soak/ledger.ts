/**
 * What a soak did: counted by kind for the summary, and in words, in a file and the last of it at hand, for whoever looks
 * into a failure.
 */
import { appendFileSync } from 'node:fs'

const KEPT_ACTIONS = 60

/** An invariant that does not hold: what a soak ends with when it fails. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

export class Ledger {
  readonly #startedAt: number
  readonly #file: string
  readonly #conversations = new Map<string, number>()
  readonly #disturbances = new Map<string, number>()
  readonly #outcomes = new Map<string, number>()
  readonly #last: string[] = []
  bytes = 0
  descriptors = 0

  constructor(startedAt: number, file: string) {
    this.#startedAt = startedAt
    this.#file = file
  }

  conversation(kind: string, outcome: string): void {
    count(this.#conversations, kind)
    count(this.#outcomes, outcome)
  }

  disturbance(name: string): void {
    count(this.#disturbances, name)
  }

  /** Something was done to whom. */
  note(at: number, text: string): void {
    const line = `${new Date().toISOString()} ${((at - this.#startedAt) / 1000).toFixed(3).padStart(10)}s  ${text}`
    appendFileSync(this.#file, `${line}\n`)
    this.#last.push(line)
    if (this.#last.length > KEPT_ACTIONS) this.#last.shift()
  }

  get totals(): { readonly conversations: number; readonly disturbances: number } {
    return { conversations: sum(this.#conversations), disturbances: sum(this.#disturbances) }
  }

  get lastActions(): readonly string[] {
    return this.#last
  }

  get lines(): readonly string[] {
    return [
      `conversations  ${shown(this.#conversations)}`,
      `  came to      ${shown(this.#outcomes)}`,
      `disturbances   ${shown(this.#disturbances)}`,
      `moved          ${(this.bytes / 1e6).toFixed(1)} MB, ${this.descriptors} descriptors`,
    ]
  }
}

const count = (map: Map<string, number>, key: string): void => {
  map.set(key, (map.get(key) ?? 0) + 1)
}

const sum = (map: ReadonlyMap<string, number>): number => [...map.values()].reduce((a, b) => a + b, 0)

/** The most frequent first. */
const shown = (map: ReadonlyMap<string, number>): string => {
  const parts = [...map].sort(([, a], [, b]) => b - a).map(([key, times]) => `${key} ${times}`)
  return `${sum(map)}: ${parts.join(', ')}`
}
