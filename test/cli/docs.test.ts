/** The documents say what the sources do: options, variables and errors are compared both ways. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { allowedOf, type Option, usageOf } from '../../src/cli/arguments.ts'
import { DAEMON_OPTIONS, type DaemonConfig, DEFAULT_CONFIG } from '../../src/cli/options.ts'
import { E } from '../../src/fp.ts'
import { inRepository } from './support.ts'

const read = (path: string): string => readFileSync(inRepository(path), 'utf8')

const matchesOf = (text: string, pattern: RegExp): ReadonlySet<string> =>
  new Set([...text.matchAll(pattern)].flatMap(match => match[1] ?? []))

const sorted = (words: Iterable<string>): readonly string[] => [...words].sort()

/** Whether an option sets one of `Limits`. */
const isLimit = (option: Option<DaemonConfig>): boolean => {
  if (option.kind._tag !== 'integer') return false
  const set = option.assign(String(option.kind.max), DEFAULT_CONFIG)
  return E.isRight(set) && set.right.limits !== DEFAULT_CONFIG.limits
}

describe('docs/operations.md', () => {
  const operations = read('docs/operations.md')

  test('has a row for every option of the daemon, as --help shows it', () => {
    const rows = operations.split('\n').filter(line => line.startsWith('| `--'))
    assert.deepEqual(
      rows.map(row =>
        row
          .split('|')
          .slice(1, 5)
          .map(cell => cell.trim()),
      ),
      DAEMON_OPTIONS.map(option => [
        `\`${usageOf(option)}\``,
        `\`${option.variable}\``,
        option.show(DEFAULT_CONFIG),
        allowedOf(option.kind),
      ]),
    )
  })

  test('says of every limit what happens there, with its default', () => {
    const section = operations.slice(operations.indexOf('## Limits'), operations.indexOf('## Security'))
    const rows = section.split('\n').filter(line => /^\| .* \| `--/.test(line))
    const told = rows.map(row => row.split('|').map(cell => cell.trim()))
    for (const cells of told)
      assert.ok(cells.length === 7 && !cells.slice(1, -1).includes(''), cells.join('|'))
    assert.deepEqual(
      told.map(([, , flag, shown = '']) => [flag, /^\d+/.exec(shown)?.[0]]).sort(),
      DAEMON_OPTIONS.filter(isLimit)
        .map(option => [`\`--${option.flag}\``, option.show(DEFAULT_CONFIG)])
        .sort(),
    )
  })

  test('names no variable that does not exist', () => {
    const variables = DAEMON_OPTIONS.flatMap(({ variable }) => variable ?? [])
    assert.deepEqual(sorted(matchesOf(operations, /`(PV_XCONNECT_[A-Z_]+)/g)), sorted(variables))
  })
})

describe('docs/errors.md', () => {
  const sources = ['src/model/errors.ts', 'src/graph/errors.ts', 'src/access/errors.ts']
  const tags = matchesOf(sources.map(read).join('\n'), /_tag: '(\w+)'/g)
  const rows = read('docs/errors.md')
    .split('\n')
    .filter(line => /^\| `\w+` \|/.test(line))

  test('has a line for every tag, and no line without one', () => {
    assert.ok(tags.size > 0)
    assert.deepEqual(sorted(rows.flatMap(row => [...matchesOf(row, /^\| `(\w+)`/g)])), sorted(tags))
  })

  test('leaves no cell of a line empty', () => {
    for (const row of rows) {
      const cells = row.split('|').slice(1, -1)
      assert.equal(cells.length, 4, row)
      for (const cell of cells) assert.notEqual(cell.trim(), '', row)
    }
  })
})
