/** The command line of the benchmark. Pure; every mistake is reported at once, in words. */
import { parseArgs } from 'node:util'
import { E } from '../../src/fp.ts'
import type { Settings } from './contract.ts'

export interface Options {
  readonly settings: Settings
  /** Names of measures; `null`: all. */
  readonly only: readonly string[] | null
  /** Commands of daemons that read a graph at the default place. */
  readonly peers: readonly string[]
  readonly jsonFile: string | null
  readonly help: boolean
}

export const USAGE = `Usage: npm run bench -- [options]

  --rounds N      how often everything is measured, in turn (5; quick: 2)
  --seconds S     length of one run of the load, after a warm-up of a fifth of it (1; quick: 0.2)
  --only A,B      these measures only
  --peer COMMAND  hold against this daemon too; it reads /run/pantavisor/pv/pv-ctrl. May be repeated
  --json FILE     write the report to this file too
  --quick         few and short rounds: for a first look
  --help          this
`

const SECONDS = { full: 1, quick: 0.2, most: 60 }
const ROUNDS = { full: 5, quick: 2, most: 100 }
const WARM_UP = 0.2

const numberOf = (
  name: string,
  given: string | undefined,
  otherwise: number,
  most: number,
  problems: string[],
): number => {
  if (given === undefined) return otherwise
  const value = Number(given)
  if (given.trim() !== '' && value > 0 && value <= most) return value
  problems.push(`--${name} is ${JSON.stringify(given)}; give a number above 0, at most ${most}`)
  return otherwise
}

const namesIn = (given: string | undefined, known: readonly string[], problems: string[]) => {
  if (given === undefined) return null
  const names = given.split(',').filter(name => name !== '')
  const unknown = names.filter(name => !known.includes(name))
  if (names.length === 0) problems.push(`--only is empty; give some of ${known.join(', ')}`)
  if (unknown.length > 0) {
    problems.push(`there is no measure ${unknown.join(', ')}; there are ${known.join(', ')}`)
  }
  return names
}

const parsed = (args: readonly string[]) =>
  E.tryCatch(
    () =>
      parseArgs({
        args: [...args],
        options: {
          rounds: { type: 'string' },
          seconds: { type: 'string' },
          only: { type: 'string' },
          peer: { type: 'string', multiple: true },
          json: { type: 'string' },
          quick: { type: 'boolean' },
          help: { type: 'boolean', short: 'h' },
        },
      }).values,
    error => [error instanceof Error ? error.message : String(error)],
  )

/** `measures` are the names there are. */
export const decodeOptions = (
  args: readonly string[],
  measures: readonly string[],
): E.Either<readonly string[], Options> => {
  const given = parsed(args)
  if (E.isLeft(given)) return given
  const { rounds, seconds, only, peer = [], json = null, quick = false, help = false } = given.right
  const size = quick ? 'quick' : 'full'
  const problems: string[] = []
  const forMs = numberOf('seconds', seconds, SECONDS[size], SECONDS.most, problems) * 1000
  const options: Options = {
    settings: {
      rounds: Math.ceil(numberOf('rounds', rounds, ROUNDS[size], ROUNDS.most, problems)),
      window: { warmMs: Math.ceil(forMs * WARM_UP), forMs: Math.ceil(forMs) },
      quick,
    },
    only: namesIn(only, measures, problems),
    peers: peer,
    jsonFile: json,
    help,
  }
  if (peer.some(command => command.trim() === '')) problems.push('--peer is empty; give a command')
  return problems.length > 0 ? E.left(problems) : E.right(options)
}
