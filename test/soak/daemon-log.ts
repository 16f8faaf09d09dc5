/**
 * The daemon's log as it goes by: the state of each link, what should never have been said, how much was said. Holds the
 * last lines only, so that a soak of days needs no more memory than one of minutes.
 */
import { isState, type LogLine, parseLine } from '../support/daemon.ts'

const KEPT_LINES = 60

/** From here on a line is for a person; the others are asked for by the tests. */
const LOUD: ReadonlySet<unknown> = new Set(['info', 'warn', 'error', 'fatal'])

export class DaemonLog {
  readonly #states = new Map<string, string>()
  readonly #last: string[] = []
  readonly #problems: string[] = []
  #loud = 0

  take(lines: readonly string[]): void {
    for (const text of lines) {
      this.#last.push(text)
      this.#note(parseLine(text), text)
    }
    if (this.#last.length > KEPT_LINES) this.#last.splice(0, this.#last.length - KEPT_LINES)
  }

  #note(line: LogLine, text: string): void {
    const { level, link, from, to } = line
    if (LOUD.has(level)) this.#loud += 1
    if ('unparsed' in line) this.#problems.push(`no JSON: ${text}`)
    if (level === 'error' || level === 'fatal') this.#problems.push(text)
    if (typeof link !== 'string' || typeof to !== 'string') return
    const before = this.#states.get(link) ?? null
    if (from !== before) this.#problems.push(`${link} was ${before}, yet went from ${from} to ${to}`)
    if (to === 'released') this.#states.delete(link)
    else this.#states.set(link, to)
  }

  /** Whether the link is in that state, whatever the substate. */
  isIn(link: string, state: string): boolean {
    return isState(this.#states.get(link), state)
  }

  /** Links that are not released, each with its state. */
  get links(): ReadonlyMap<string, string> {
    return this.#states
  }

  /** Lines at `info` and above. */
  get loud(): number {
    return this.#loud
  }

  /** Bugs it reports, and steps of a link that do not follow from each other. */
  get problems(): readonly string[] {
    return this.#problems
  }

  get lastLines(): readonly string[] {
    return this.#last
  }
}
