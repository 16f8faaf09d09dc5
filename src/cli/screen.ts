/**
 * One text after the other in the same place of a terminal, without flicker: each line is written over the one before
 * it, and nothing is cleared first. Owns the terminal's alternate screen between its first text and `leave`.
 */
import type { Terminal } from './command.ts'

const ESC = '\x1b['
/** Of xterm (ctlseqs): the alternate screen, without a cursor, where lines that are too long are cut, not wrapped. */
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l`
const LEAVE = `${ESC}?7h${ESC}?25h${ESC}?1049l`
const HOME = `${ESC}H`
const REST_OF_LINE = `${ESC}K`
const REST_OF_SCREEN = `${ESC}J`

export interface Screen {
  draw(text: string): void
  /** Back to where the person was before. */
  leave(): void
}

export const openScreen = (terminal: Pick<Terminal, 'out' | 'rows'>): Screen => {
  let entered = false
  let shown = ''
  return {
    draw(text) {
      const frame = frameOf(text, terminal.rows ?? Number.POSITIVE_INFINITY)
      if (frame === shown) return
      terminal.out(entered ? frame : ENTER + frame)
      entered = true
      shown = frame
    },
    leave() {
      if (entered) terminal.out(LEAVE)
      entered = false
    },
  }
}

/** What fits is drawn; of what does not, how much it is. */
const frameOf = (text: string, rows: number): string => {
  const lines = text.replace(/\n$/, '').split('\n')
  const fitting =
    lines.length <= rows
      ? lines
      : [...lines.slice(0, rows - 1), `... and ${lines.length - rows + 1} more lines`]
  return HOME + fitting.map(line => line + REST_OF_LINE).join('\r\n') + REST_OF_SCREEN
}
