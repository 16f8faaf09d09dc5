/** `npm run fuzz -- TARGET… [--seconds N] [--seed N]`; without a target it says which there are. */
import { decodeArguments } from '../../src/cli/arguments.ts'
import { integerOption, type Option } from '../../src/cli/option-kinds.ts'
import { E } from '../../src/fp.ts'
import { keepCrash } from './crashes.ts'
import type { Tally } from './news.ts'
import { type Finding, type Report, runTarget } from './supervisor.ts'
import { loadTarget, targetNames } from './targets.ts'

interface Config {
  readonly seconds: number
  readonly seed: number
}

const DAY_S = 86_400
const LARGEST_SEED = 2 ** 31 - 1
/** An input that takes longer is worth a look, though nothing is wrong with what comes out. */
const SLOW_MS = 1000
const PROGRESS_MS = 30_000

const OPTIONS: readonly Option<Config>[] = [
  integerOption(
    { flag: 'seconds', variable: null, help: 'How long; 0 is one round.' },
    { min: 0, max: DAY_S, unit: 'N' },
    { get: config => config.seconds, set: (config, seconds) => ({ ...config, seconds }) },
  ),
  integerOption(
    { flag: 'seed', variable: null, help: 'Of the first round.' },
    { min: 0, max: LARGEST_SEED, unit: 'N' },
    { get: config => config.seed, set: (config, seed) => ({ ...config, seed }) },
  ),
]

const say = (text: string): void => {
  process.stdout.write(`${text}\n`)
}

const list = async (): Promise<void> => {
  say('Usage: npm run fuzz -- TARGET... [--seconds N] [--seed N]\n\nTargets:')
  for (const name of targetNames()) say(`  ${name.padEnd(12)}${(await loadTarget(name)).about}`)
}

const describeTallies = (tallies: Readonly<Record<string, Tally>>): string =>
  Object.entries(tallies)
    .map(([check, { inputs, slowestMs, slowestSeed }]) => {
      const slow = slowestMs > SLOW_MS ? `; slow: ${Math.round(slowestMs)} ms in round ${slowestSeed}` : ''
      return `  ${check}: ${inputs} inputs${slow}`
    })
    .join('\n')

const describeFinding = (target: string, { seed, reason, culprit }: Finding): string => {
  const kept =
    culprit === undefined
      ? 'it did not happen again, so the input is not known'
      : `kept in ${keepCrash(target, { ...culprit, seed, reason })}`
  return `${reason}\n\n${kept}\nagain: npm run fuzz -- ${target} --seed ${seed} --seconds 0`
}

const fuzz = async (target: string, { seconds, seed }: Config): Promise<Report> => {
  say(`${target}: ${seconds} s from seed ${seed}`)
  let saidAt = Date.now()
  const report = await runTarget({
    target,
    seconds,
    seed,
    onRound: (rounds, at) => {
      if (Date.now() - saidAt < PROGRESS_MS) return
      saidAt = Date.now()
      say(`  ${rounds} rounds, at seed ${at}`)
    },
  })
  say(describeTallies(report.tallies))
  if (report.finding !== undefined) say(`\n${describeFinding(target, report.finding)}`)
  return report
}

const main = async (args: readonly string[]): Promise<number> => {
  const most = targetNames().length
  const defaults: Config = { seconds: 60, seed: Math.floor(Math.random() * LARGEST_SEED) }
  const decoded = decodeArguments(OPTIONS, { min: 0, max: most, shown: 'TARGET...' }, defaults, args, {})
  if (E.isLeft(decoded)) {
    for (const problem of decoded.left.problems) process.stderr.write(`fuzz: ${problem}\n`)
    return 2
  }
  const { operands, config } = decoded.right
  const unknown = operands.filter(name => !targetNames().includes(name))
  for (const name of unknown) process.stderr.write(`fuzz: there is no target ${name}\n`)
  if (operands.length === 0 || unknown.length > 0) {
    await list()
    return unknown.length > 0 ? 2 : 0
  }
  let found = 0
  for (const target of operands) if ((await fuzz(target, config)).finding !== undefined) found += 1
  return found > 0 ? 1 : 0
}

process.exitCode = await main(process.argv.slice(2))
