/** docs/dbus.md has every reason, counter and limit of the sources, and no other. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { FIGURES, HANDSHAKE_FAULTS } from '../../plugins/dbus/figures.ts'
import { POLICY_RULES, POLICY_STATE } from '../../plugins/dbus/policy/policy.ts'
import { ROLE_UID } from '../../plugins/dbus/provider-side.ts'
import { POLICY_OPTIONS } from '../../src/cli/commands/policy.ts'
import { DAEMON_OPTIONS, DEFAULT_CONFIG } from '../../src/cli/options.ts'
import type { Figure } from '../../src/relay/contract.ts'
import { inRepository } from './support.ts'

const page = readFileSync(inRepository('docs/dbus.md'), 'utf8')

/** The cells of the rows of a section's tables, without their heads. */
const rowsOf = (heading: string): readonly (readonly string[])[] => {
  const [, rest = ''] = page.split(`\n## ${heading}\n`)
  const [section = ''] = rest.split(/^## /m)
  const rows = section.split('\n').filter(line => line.startsWith('| '))
  return rows.slice(1).map(row =>
    row
      .split('|')
      .slice(1, -1)
      .map(cell => cell.trim()),
  )
}

const sorted = (words: Iterable<string>): readonly string[] => [...new Set(words)].sort()

const wordsOf = (rows: readonly (readonly string[])[]): readonly string[] =>
  rows.flatMap(([cell = '']) => [...cell.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word))

test('each reason for which a handshake ends has its row', () =>
  assert.deepEqual(sorted(wordsOf(rowsOf('Before the messages'))), sorted(HANDSHAKE_FAULTS)))

test('each fault of a message has its row', () =>
  assert.deepEqual(sorted(wordsOf(rowsOf('Messages'))), sorted(Object.keys(FIGURES.protocolErrors.consumer))))

test('each reason of a denial has its row', () =>
  assert.deepEqual(sorted(wordsOf(rowsOf('What is refused'))), sorted(Object.keys(FIGURES.denied))))

test('each kind of line in the log has its row', () => {
  const sources = readdirSync(inRepository('plugins/dbus')).filter(file => file.endsWith('.ts'))
  const said = sources.flatMap(file =>
    [...readFileSync(inRepository(`plugins/dbus/${file}`), 'utf8').matchAll(/'(dbus-[a-z-]+)'/g)].map(
      ([, word = '']) => word,
    ),
  )
  assert.ok(said.length > 0)
  assert.deepEqual(sorted(wordsOf(rowsOf('Log'))), sorted(said))
})

const isFigure = (value: unknown): value is Figure =>
  typeof value === 'object' && value !== null && 'help' in value && 'kind' in value

const figuresIn = (value: object): readonly Figure[] =>
  Object.values(value).flatMap(each => (isFigure(each) ? [each] : figuresIn(each)))

test('each counter has its row, with its labels', () => {
  const figures = figuresIn([FIGURES, ROLE_UID, POLICY_STATE, POLICY_RULES])
  const counted = figures.map(({ name, kind, labels = {} }) => {
    const shown = Object.keys(labels).map(label => `\`${label}\``)
    return `\`${name}\`${kind === 'gauge' ? ' (gauge)' : ''} ${shown.join(', ')}`.trim()
  })
  const told = rowsOf('Counters').map(([name = '', labels]) => `${name} ${labels}`.trim())
  assert.deepEqual(sorted(told), sorted(counted))
})

test('each advice is prose that is not too long to be shown', () => {
  const advices = figuresIn([FIGURES, POLICY_STATE]).flatMap(({ advice }) => advice ?? [])
  assert.ok(advices.length > 10)
  for (const advice of advices) assert.match(advice, /^[A-Z].{20,510}\.$/)
})

test('a link has no more figures than it may count', () => assert.ok(figuresIn([FIGURES]).length < 200))

test('each option of dbus links is named, and none that does not exist', () => {
  const flags = [...DAEMON_OPTIONS, ...POLICY_OPTIONS].map(({ flag }) => flag)
  const named = [...page.matchAll(/`--([a-z-]+)`/g)].map(([, flag = '']) => flag)
  for (const flag of named) assert.ok(flags.includes(flag), flag)
  for (const flag of flags.filter(each => each.startsWith('dbus-'))) assert.ok(named.includes(flag), flag)
})

test('each limit has its default', () => {
  const rows = rowsOf('Limits and timeouts')
  assert.ok(rows.length > 10)
  for (const [, flag = '', shown = ''] of rows) {
    const known = DAEMON_OPTIONS.find(option => flag === `\`--${option.flag}\``)
    assert.equal(/^\d+/.exec(shown)?.[0], known?.show(DEFAULT_CONFIG), flag)
  }
})
