/** The demo's screen: its steps, and who says what in them, line by line. */
import type { Terminal } from '../cli/command.ts'
import type { LinkMoved } from './daemon-process.ts'

/** What a person sees. */
export class Screen {
  readonly #terminal: Terminal
  readonly #startedAt = Date.now()
  #step = 0

  constructor(terminal: Terminal) {
    this.#terminal = terminal
  }

  step(text: string): void {
    this.#step += 1
    this.#terminal.out(`\n${this.#step}. ${text}\n`)
  }

  line(who: string, text: string): void {
    const seconds = ((Date.now() - this.#startedAt) / 1000).toFixed(2).padStart(6)
    this.#terminal.out(`   ${seconds}s  ${who.padEnd(9)} ${text}\n`)
  }

  readonly moved = ({ link, to, reason }: LinkMoved): void =>
    this.line('link', `${link} is ${to} (${reason})`)
}
