/** What a verb is, and what it is given: it never touches `process` itself, so a test can run it in place. */
import type { Operands, UsageError, Variables } from './arguments.ts'
import { allowedOf, type Option, usageOf } from './option-kinds.ts'
import { printable, wrap } from './render.ts'

export const PROGRAM = 'pv-xconnect'

/** 0 done, 1 found a problem, 2 used wrongly. */
export type ExitCode = 0 | 1 | 2

export interface Terminal {
  /** Results, to be read or piped on. */
  out(text: string): void
  /** Messages to the person at the keyboard. */
  err(text: string): void
  /** Columns of the terminal that `out` goes to; absent when it goes elsewhere, where nothing is cut. */
  readonly columns?: number | undefined
  /** Its lines; absent with its columns. */
  readonly rows?: number | undefined
  /** Nobody reads `out` any more: what only shows things may end. */
  readonly closed?: boolean
  readonly variables: Variables
  /** Everything on standard input, or nothing beyond `maxBytes`. */
  readStdin(maxBytes: number): Promise<Buffer>
  /** What the person types up to Enter; `null`: nothing more comes. Absent: nobody is asked. */
  nextLine?(): Promise<string | null>
  /** Resolves when the person, or whoever manages the process, wants it to end. */
  stopAsked(): Promise<NodeJS.Signals>
}

/** A verb's module exports one of these as `command`. */
export interface Command {
  /** One sentence for the list of verbs is in `main.ts`; this is what `help VERB` shows. */
  readonly help: (columns: number) => string
  readonly run: (args: readonly string[], terminal: Terminal) => Promise<number>
}

export interface Description<C> {
  readonly verb: string
  readonly operands: Operands
  /** What it does, a paragraph a string. */
  readonly about: readonly string[]
  readonly options: readonly Option<C>[]
  readonly defaults: C
  readonly examples: readonly string[]
}

const INDENT = '  '

export const helpFor = <C>(description: Description<C>, columns: number): string => {
  const { verb, operands, about, options, defaults, examples } = description
  const synopsis = [`${PROGRAM} ${verb}`, options.length > 0 ? '[options]' : '', operands.shown]
  const paragraphs = [
    `Usage: ${synopsis.filter(part => part !== '').join(' ')}`,
    ...about.map(text => wrap(text, columns, '')),
  ]
  if (options.length > 0)
    paragraphs.push(['Options:', ...options.map(optionHelp(defaults, columns))].join('\n'))
  if (examples.length > 0) paragraphs.push(['Examples:', ...examples.map(line => INDENT + line)].join('\n'))
  return `${paragraphs.join('\n\n')}\n`
}

const optionHelp =
  <C>(defaults: C, columns: number) =>
  (option: Option<C>): string => {
    const facts = [
      option.kind._tag === 'switch' || option.show(defaults) === ''
        ? undefined
        : `default ${option.show(defaults)}`,
      ['integer', 'choice', 'form'].includes(option.kind._tag) ? allowedOf(option.kind) : undefined,
    ].filter(fact => fact !== undefined)
    const value = facts.length > 0 ? ` (${facts.join('; ')})` : ''
    const variable = option.variable === null ? '' : ` [${option.variable}]`
    const short = option.short === undefined ? '' : `, -${option.short}`
    return [
      INDENT + usageOf(option) + short,
      wrap(`${option.help}${value}${variable}`, columns, INDENT.repeat(4)),
    ].join('\n')
  }

/** What happened, to what, and what to do; given as one line each. */
export const complain = (terminal: Terminal, verb: string, ...lines: readonly string[]): void => {
  const who = verb === '' ? PROGRAM : `${PROGRAM} ${verb}`
  terminal.err(
    lines
      .map((line, index) => (index === 0 ? `${who}: ${printable(line)}\n` : `  ${printable(line)}\n`))
      .join(''),
  )
}

export const refuseUsage = (terminal: Terminal, verb: string, error: UsageError): ExitCode => {
  for (const problem of error.problems) complain(terminal, verb, problem)
  terminal.err(`See: ${PROGRAM} help ${verb}\n`)
  return 2
}
