/** Command lines and variables of the daemon and of `graph`: what is taken, and what comes out of it. */
import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import {
  type Arguments,
  asksForHelp,
  decodeArguments,
  type Operands,
  unknownVariables,
} from '../../../src/cli/arguments.ts'
import { GRAPH_OPTIONS, type GraphConfig } from '../../../src/cli/commands/graph.ts'
import { type Option, variableOf } from '../../../src/cli/option-kinds.ts'
import { DAEMON_OPTIONS, DEFAULT_CONFIG } from '../../../src/cli/options.ts'
import { E } from '../../../src/fp.ts'
import { check, targetOf } from '../target.ts'

const Line = t.type({ args: t.readonlyArray(t.string), variables: t.record(t.string, t.string) })
type Line = t.TypeOf<typeof Line>

const flags = [...new Set([...DAEMON_OPTIONS, ...GRAPH_OPTIONS].map(({ flag }) => flag))]

const value = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom('1', '50', '1000', '4096', '65535', '/run/x', 'info', 'on', 'off', ''),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom('-1', '0', '007', '1e3', '0x10', ' 5', '5 ', '+5', '9'.repeat(30), 'inf'),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom('--', '-', '--pretty', '-h', '__proto__', 'a\0b', 'x'.repeat(200)),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
)

const flag = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...flags) },
  { weight: 1, arbitrary: fc.constantFrom('no-pretty', 'interva', '__proto__', 'constructor', 'help', '') },
)

const words = fc.oneof(
  { weight: 5, arbitrary: fc.tuple(flag, value).map(([name, text]) => [`--${name}`, text]) },
  { weight: 5, arbitrary: fc.tuple(flag, value).map(([name, text]) => [`--${name}=${text}`]) },
  { weight: 2, arbitrary: flag.map(name => [`--${name}`]) },
  { weight: 1, arbitrary: value.map(text => [text]) },
)

const variables = fc
  .array(
    fc.tuple(fc.oneof(flag.map(variableOf), fc.constantFrom('PATH', 'PV_XCONNECT_', '__proto__')), value),
    {
      maxLength: 4,
    },
  )
  .map(pairs => Object.fromEntries(pairs))

const line: fc.Arbitrary<Line> = fc.record({
  args: fc.array(words, { maxLength: 5 }).map(lists => lists.flat()),
  variables,
})

interface Verb<C> {
  readonly options: readonly Option<C>[]
  readonly operands: Operands
  readonly defaults: C
}

const DAEMON = { options: DAEMON_OPTIONS, operands: { min: 0, max: 0, shown: '' }, defaults: DEFAULT_CONFIG }
const GRAPH: Verb<GraphConfig> = {
  options: GRAPH_OPTIONS,
  operands: { min: 0, max: 1, shown: '[FILE|-]' },
  defaults: { pvCtrl: '/x', json: false, limits: DEFAULT_CONFIG.limits },
}

const decode = <C>({ options, operands, defaults }: Verb<C>, { args, variables: given }: Line) =>
  decodeArguments(options, operands, defaults, args, given)

/** Every value of a configuration is one that could have been typed, and typing it gives the same. */
const canBeTyped = <C>(verb: Verb<C>, { config, operands }: Arguments<C>): void => {
  const typed = verb.options.map(option => `--${option.flag}=${option.show(config)}`)
  const again = decode(verb, { args: [...typed, '--', ...operands], variables: {} })
  assert.deepEqual(again, E.right({ config, operands }))
  for (const option of verb.options) {
    const shown = option.show(config)
    if (option.kind._tag === 'integer') {
      const { min, max } = option.kind
      assert.ok(Number.isInteger(Number(shown)) && Number(shown) >= min && Number(shown) <= max, shown)
    } else if (option.kind._tag === 'choice') assert.ok(option.kind.values.includes(shown), shown)
    else if (option.kind._tag === 'path' && shown !== 'none') assert.equal(resolve(shown), shown)
  }
}

/** Flags as a reader of the manual takes them, for lines without a `--` and without loose words; else `undefined`. */
const flagsOf = <C>(
  { options }: Verb<C>,
  args: readonly string[],
): ReadonlyMap<string, string> | undefined => {
  const found = new Map<string, string>()
  for (const arg of args) {
    const [, name, text] = /^--([^=]+)=(.*)$/s.exec(arg) ?? []
    if (name === undefined || text === undefined || !options.some(option => option.flag === name))
      return undefined
    found.set(name, text)
  }
  return found
}

const eachIsTakenAsItSays = <C>(verb: Verb<C>, given: Line): void => {
  const decoded = decode(verb, given)
  const shuffled = Object.fromEntries(Object.entries(given.variables).reverse())
  assert.deepEqual(
    decode(verb, { args: given.args, variables: shuffled }),
    decoded,
    'the order of variables counts',
  )
  if (E.isLeft(decoded)) {
    assert.ok(decoded.left.problems.length > 0)
    for (const problem of decoded.left.problems) assert.ok(problem.length > 0)
  } else canBeTyped(verb, decoded.right)

  const typed = flagsOf(verb, given.args)
  if (typed === undefined) return
  const problems = verb.options.filter(option => {
    const text = typed.get(option.flag) ?? (option.variable === null ? '' : given.variables[option.variable])
    if (!typed.has(option.flag) && (text === undefined || text === '')) return false
    return E.isLeft(option.assign(text ?? '', verb.defaults))
  })
  assert.equal(E.isLeft(decoded) ? decoded.left.problems.length : 0, problems.length)
  if (E.isLeft(decoded)) return
  for (const option of verb.options) {
    const text = typed.get(option.flag)
    if (text === undefined) continue
    const alone = option.assign(text, verb.defaults)
    assert.ok(E.isRight(alone))
    assert.equal(
      option.show(decoded.right.config),
      option.show(alone.right),
      `--${option.flag} was not the last word`,
    )
  }
}

const everyLineIsDecoded = (given: Line): void => {
  eachIsTakenAsItSays(DAEMON, given)
  eachIsTakenAsItSays(GRAPH, given)
  const end = given.args.indexOf('--')
  const before = end < 0 ? given.args : given.args.slice(0, end)
  assert.equal(asksForHelp(given.args), before.includes('-h') || before.includes('--help'))
  for (const name of unknownVariables(DAEMON_OPTIONS, given.variables)) {
    assert.ok(name.startsWith('PV_XCONNECT_') && !DAEMON_OPTIONS.some(({ variable }) => variable === name))
  }
}

export const target = targetOf('arguments', 'command lines and variables', [
  check({ name: 'line', inputs: line, kept: Line, tries: 500, holds: everyLineIsDecoded }),
])
