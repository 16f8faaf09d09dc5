/** What a soak is told on its command line. */
import { decodeArguments, NO_OPERANDS, type UsageError } from '../../src/cli/arguments.ts'
import { integerOption, type Option, switchOption } from '../../src/cli/option-kinds.ts'
import { E, pipe } from '../../src/fp.ts'

export interface Options {
  readonly minutes: number
  readonly seed: number
  readonly killDaemon: boolean
  readonly drainDaemon: boolean
}

const WEEK_MIN = 10_080

const TABLE: readonly Option<Options>[] = [
  integerOption(
    { flag: 'minutes', variable: null, help: 'How long.' },
    { min: 1, max: WEEK_MIN, unit: 'N' },
    { get: options => options.minutes, set: (options, minutes) => ({ ...options, minutes }) },
  ),
  integerOption(
    { flag: 'seed', variable: null, help: 'What decides about all that is left to chance.' },
    { min: 0, max: 2 ** 31, unit: 'N' },
    { get: options => options.seed, set: (options, seed) => ({ ...options, seed }) },
  ),
  switchOption(
    { flag: 'kill-daemon', variable: null, help: 'Kill the daemon now and then, and start it again.' },
    { get: options => options.killDaemon, set: (options, killDaemon) => ({ ...options, killDaemon }) },
  ),
  switchOption(
    {
      flag: 'drain-daemon',
      variable: null,
      help: 'Tell the daemon to end now and then, and start it again.',
    },
    { get: options => options.drainDaemon, set: (options, drainDaemon) => ({ ...options, drainDaemon }) },
  ),
]

export const decodeOptions = (args: readonly string[], seed: number): E.Either<UsageError, Options> =>
  pipe(
    decodeArguments(
      TABLE,
      NO_OPERANDS,
      { minutes: 1, seed, killDaemon: false, drainDaemon: false },
      args,
      {},
    ),
    E.map(({ config }) => config),
  )
