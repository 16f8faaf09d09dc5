/**
 * From a command line and an environment to a typed configuration, by a table of options.
 * Flags win over variables, variables over defaults; every mistake of a command line is reported at once, in words.
 * Knows no verb: each brings its own table.
 */
import { parseArgs } from 'node:util'
import { E } from '../fp.ts'
import { meant, nearest } from './nearest.ts'
import { allowedOf, type Option, type OptionKind, usageOf, VARIABLE_PREFIX } from './option-kinds.ts'

/** What a verb takes besides options. */
export interface Operands {
  readonly min: number
  readonly max: number
  /** As usage shows them: `FILE`, `[FILE|-]`. */
  readonly shown: string
}

export const NO_OPERANDS: Operands = { min: 0, max: 0, shown: '' }

/** The command was used wrongly: exit code 2. */
export interface UsageError {
  readonly _tag: 'UsageError'
  readonly problems: readonly string[]
}

export const usageError = (...problems: readonly string[]): UsageError => ({ _tag: 'UsageError', problems })

export interface Arguments<C> {
  readonly config: C
  readonly operands: readonly string[]
}

export type Variables = Readonly<Record<string, string | undefined>>

/** `--inspect FILE` has an operand, `--inspect 127.0.0.1:9300` a value: Node's parser would take both for values. */
const withOptionalValues = <C>(table: readonly Option<C>[], args: readonly string[]): readonly string[] => {
  const end = args.indexOf('--')
  return args.map((arg, at) => {
    const option = table.find(({ flag }) => arg === `--${flag}`)
    if (option?.bare === undefined || (end >= 0 && at > end)) return arg
    return option.bare.test(args[at + 1] ?? '') ? arg : `${arg}=`
  })
}

/** Whether the line asks for help; what follows `--` is never an option. */
export const asksForHelp = (args: readonly string[]): boolean => {
  const end = args.indexOf('--')
  return (end < 0 ? args : args.slice(0, end)).some(arg => arg === '--help' || arg === '-h')
}

/** Variables of ours that no option knows: a typing error that nothing else would show. */
export const unknownVariables = <C>(table: readonly Option<C>[], variables: Variables): readonly string[] => {
  const known = new Set(table.map(option => option.variable))
  return Object.keys(variables).filter(name => name.startsWith(VARIABLE_PREFIX) && !known.has(name))
}

export const decodeArguments = <C>(
  table: readonly Option<C>[],
  operands: Operands,
  defaults: C,
  args: readonly string[],
  variables: Variables,
): E.Either<UsageError, Arguments<C>> => {
  const problems: string[] = []
  let config = defaults
  const assign = (option: Option<C>, source: string, text: string): void => {
    const assigned = option.assign(text, config)
    if (E.isLeft(assigned)) problems.push(`${source} ${assigned.left}`)
    else config = assigned.right
  }

  const given = readFlags(table, args)
  problems.push(...given.problems)
  for (const option of table) {
    const flags = given.values.get(option) ?? []
    const variable = option.variable === null ? undefined : variables[option.variable]
    if (flags.length > 0) for (const flag of flags) assign(option, `--${option.flag}`, flag)
    else if (variable !== undefined && variable !== '')
      assign(option, `variable ${option.variable}`, variable)
  }

  const count = given.operands.length
  if (count > operands.max) problems.push(tooMany(operands, given.operands))
  else if (count < operands.min) problems.push(`it needs ${operands.shown}`)
  return problems.length > 0 ? E.left(usageError(...problems)) : E.right({ config, operands: given.operands })
}

interface Flags<C> {
  readonly values: ReadonlyMap<Option<C>, readonly string[]>
  readonly operands: readonly string[]
  readonly problems: readonly string[]
}

const readFlags = <C>(table: readonly Option<C>[], args: readonly string[]): Flags<C> => {
  const byFlag = new Map(table.map(option => [option.flag, option]))
  const { tokens } = parseArgs({
    args: [...withOptionalValues(table, args)],
    options: Object.fromEntries(
      table.map(({ flag, kind, short }) => [
        flag,
        { type: parseTypeOf(kind), ...(short === undefined ? {} : { short }) },
      ]),
    ),
    // Its own errors name neither the nearest flag nor the allowed values.
    strict: false,
    tokens: true,
  })
  const values = new Map<Option<C>, readonly string[]>()
  /** Of an option that is given twice the last counts, but for those that may be. */
  const keep = (option: Option<C>, value: string): void => {
    values.set(option, [...(option.many === true ? (values.get(option) ?? []) : []), value])
  }
  const operands: string[] = []
  const problems: string[] = []
  /** Where the value of an unknown flag may stand; to report it as well would be noise. */
  let perhapsValueAt = -1
  for (const token of tokens) {
    if (token.kind === 'positional' && token.index !== perhapsValueAt) operands.push(token.value)
    if (token.kind !== 'option') continue
    const option = byFlag.get(token.name)
    if (option === undefined) {
      problems.push(unknownFlag(token.rawName, [...byFlag.keys()]))
      if (!token.inlineValue) perhapsValueAt = token.index + 1
    } else if (option.kind._tag === 'switch') {
      keep(option, token.value ?? 'on')
    } else if (token.value === undefined || (!token.inlineValue && token.value.startsWith('--'))) {
      problems.push(`--${option.flag} needs a value: ${usageOf(option)} (${allowedOf(option.kind)})`)
    } else {
      keep(option, token.value)
    }
  }
  return { values, operands, problems }
}

const parseTypeOf = (kind: OptionKind): 'boolean' | 'string' =>
  kind._tag === 'switch' ? 'boolean' : 'string'

const unknownFlag = (raw: string, known: readonly string[]): string => {
  const near = nearest(raw.replace(/^-+/, ''), known)
  return `unknown option ${raw}${meant(near === undefined ? undefined : `--${near}`)}`
}

const tooMany = (operands: Operands, given: readonly string[]): string => {
  const extra = given
    .slice(operands.max)
    .map(text => JSON.stringify(text))
    .join(', ')
  return operands.max === 0
    ? `it takes options only, not ${extra}`
    : `it takes ${operands.shown} and no more, not ${extra}`
}
