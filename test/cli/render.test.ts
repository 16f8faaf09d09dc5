import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  byteCount,
  type Column,
  displayWidth,
  duration,
  indented,
  printable,
  renderTable,
  wrap,
} from '../../src/cli/render.ts'

const COLUMNS: readonly Column[] = [
  { title: 'NAME', cut: 'end' },
  { title: 'PID', cut: 'never' },
  { title: 'TARGET', cut: 'middle' },
]

const linesOf = (text: string): readonly string[] => text.trimEnd().split('\n')

describe('a table', () => {
  test('aligns its columns and ends no line in blanks', () => {
    const table = renderTable(COLUMNS, [
      ['app', '1', '/run/a.sock'],
      ['a-long-name', '12345', '/run/b'],
    ])
    assert.equal(
      table,
      [
        'NAME         PID    TARGET',
        'app          1      /run/a.sock',
        'a-long-name  12345  /run/b',
        '',
      ].join('\n'),
    )
  })

  test('with no rows is its header', () => {
    assert.equal(renderTable(COLUMNS, []), 'NAME  PID  TARGET\n')
  })

  test('takes a row that is too short', () => {
    assert.equal(renderTable(COLUMNS, [['app']]), 'NAME  PID  TARGET\napp\n')
  })

  test('fits a narrow terminal, cutting the widest cells where their column says', () => {
    const table = renderTable(
      COLUMNS,
      [['a-very-long-container-name', '42', '/run/deep/down/service.sock']],
      40,
    )
    for (const line of linesOf(table)) assert.ok(displayWidth(line) <= 40, line)
    const [, row = ''] = linesOf(table)
    assert.match(row, /^a-very-long-con…\s+42\s+\/run\/dee….*\.sock$/)
  })

  test('never cuts a column that says so, however narrow the terminal', () => {
    const table = renderTable(COLUMNS, [['a-very-long-name', '1234567', '/run/deep/down/service.sock']], 5)
    assert.match(table, /1234567/)
  })

  test('counts wide characters as two columns and combining marks as none', () => {
    assert.equal(displayWidth('日本'), 4)
    assert.equal(displayWidth('e\u0301'), 1)
    const [, wide = '', plain = ''] = linesOf(
      renderTable(COLUMNS, [
        ['日本', '1', 'x'],
        ['abcd', '1', 'x'],
      ]),
    )
    assert.equal(displayWidth(wide), displayWidth(plain))
  })

  test('shows control characters instead of sending them', () => {
    assert.equal(printable('a\x1b[2Jb\nc\u0085\u202e'), 'a\\x1b[2Jb\\x0ac\\x85\\u202e')
    assert.equal(renderTable(COLUMNS, [['a\nb', '1', '\x1b']]).includes('\x1b'), false)
  })
})

test('a paragraph is wrapped between words, and a word that is too long stays whole', () => {
  assert.equal(wrap('one two three', 9, ' '), ' one two\n three')
  assert.equal(wrap('a-word-too-long b', 5, ''), 'a-word-too-long\nb')
})

describe('a duration', () => {
  test('has its two largest units', () => {
    const second = 1000
    const minute = 60 * second
    const hour = 60 * minute
    for (const [ms, shown] of [
      [-5, '0s'],
      [999, '0s'],
      [59 * second, '59s'],
      [minute, '1m0s'],
      [3 * minute + 12.9 * second, '3m12s'],
      [2 * hour + 5 * minute + 59 * second, '2h5m'],
      [107 * hour, '4d11h'],
    ] as const)
      assert.equal(duration(ms), shown)
  })
})

describe('a count of bytes', () => {
  test('has a unit in which it is short', () => {
    for (const [bytes, shown] of [
      [0, '0 B'],
      [999, '999 B'],
      [1000, '1.0 kB'],
      [999_940, '999.9 kB'],
      [999_950, '1.0 MB'],
      [34_520_000, '34.5 MB'],
      [2e15, '2.0 PB'],
      [5e18, '5000.0 PB'],
    ] as const)
      assert.equal(byteCount(bytes), shown)
  })
})

describe('indented text', () => {
  test('leaves empty lines empty', () => {
    assert.equal(indented('a\n\nb\n', '  '), '  a\n\n  b\n')
  })
})
