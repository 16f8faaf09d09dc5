import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openScreen, type Screen } from '../../src/cli/screen.ts'

/** What a terminal would show, for the few sequences that a screen uses. */
class Terminal {
  rows: number | undefined
  written = ''
  alternate = false
  cursor = true
  lines: string[] = []

  constructor(rows?: number) {
    this.rows = rows
  }

  readonly out = (text: string): void => {
    this.written += text
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what it is about
    for (const [, code, plain] of text.matchAll(/\x1b\[(\?\d+[hl]|[HKJ])|([^\x1b]+)/g)) {
      if (code === '?1049h') this.alternate = true
      else if (code === '?1049l') this.alternate = false
      else if (code === '?25l') this.cursor = false
      else if (code === '?25h') this.cursor = true
      else if (code === 'H') this.lines = []
      else if (plain !== undefined) this.lines.push(...plain.split('\r\n').filter(line => line !== ''))
    }
  }
}

const screenOn = (terminal: Terminal): Screen => openScreen(terminal)

describe('a screen', () => {
  test('puts each text in the place of the one before, and clears nothing first', () => {
    const terminal = new Terminal(10)
    const screen = screenOn(terminal)
    screen.draw('one\ntwo\n')
    screen.draw('three\n')
    assert.deepEqual(terminal.lines, ['three'])
    assert.ok(!terminal.written.includes('\x1b[2J'))
    // What the longer text left behind is gone: the rest of each line, then the rest of the screen.
    assert.ok(terminal.written.endsWith('three\x1b[K\x1b[J'))
  })

  test('writes nothing where nothing has changed', () => {
    const terminal = new Terminal(10)
    const screen = screenOn(terminal)
    screen.draw('same\n')
    const { length } = terminal.written
    screen.draw('same\n')
    assert.equal(terminal.written.length, length)
  })

  test('says how much does not fit', () => {
    const terminal = new Terminal(3)
    screenOn(terminal).draw('1\n2\n3\n4\n5\n')
    assert.deepEqual(terminal.lines, ['1', '2', '... and 3 more lines'])
  })

  test('leaves the terminal as it was, and only if it has entered it', () => {
    const terminal = new Terminal(3)
    const screen = screenOn(terminal)
    screen.leave()
    assert.equal(terminal.written, '')
    screen.draw('x\n')
    assert.deepEqual([terminal.alternate, terminal.cursor], [true, false])
    screen.leave()
    assert.deepEqual([terminal.alternate, terminal.cursor], [false, true])
  })
})
