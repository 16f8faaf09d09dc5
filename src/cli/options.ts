/**
 * The daemon's options: the one table that its command line, its `PV_XCONNECT_*` variables, `--help`
 * and `docs/operations.md` follow. A new setting is a line here.
 */
import { E, pipe } from '../fp.ts'
import { DEFAULT_LIMITS, type Limits } from '../model/limits.ts'
import { type Level, LOG_LEVELS } from '../model/log-level.ts'
import {
  choiceOption,
  decodeArguments,
  filePathOption,
  folderPathOption,
  integerOption,
  NO_OPERANDS,
  type Option,
  type OptionKind,
  socketPathOption,
  switchOption,
  type UsageError,
  type Variables,
} from './arguments.ts'

export interface DaemonConfig {
  /** Pantavisor's socket, absolute. */
  readonly pvCtrl: string
  /** The control socket, absolute. */
  readonly control: string
  /** How often the graph is read. */
  readonly intervalMs: number
  readonly logLevel: Level
  /** For people instead of JSON lines. */
  readonly pretty: boolean
  /** The access policy's file, absolute. */
  readonly policy: string
  /** Where it is written down what stands in containers, absolute. */
  readonly journal: string
  /** The folder that plugins of third parties are loaded from, absolute; `null`: there are none. */
  readonly pluginDir: string | null
  readonly limits: Limits
}

export const DEFAULT_CONFIG: DaemonConfig = {
  pvCtrl: '/run/pantavisor/pv/pv-ctrl',
  control: '/run/pv-xconnect/control.sock',
  intervalMs: 1000,
  logLevel: 'info',
  pretty: false,
  policy: '/etc/pv-xconnect/policy.json',
  journal: '/run/pv-xconnect/journal',
  pluginDir: null,
  limits: DEFAULT_LIMITS,
}

/** Other verbs reach the same socket and hold the same limits. */
export const pvCtrlOption = <C extends { readonly pvCtrl: string }>(help: string): Option<C> =>
  socketPathOption(
    { flag: 'pv-ctrl', help },
    { get: config => config.pvCtrl, set: (config, pvCtrl) => ({ ...config, pvCtrl }) },
  )

/** The daemon answers on it, and verbs ask it. */
export const controlOption = <C extends { readonly control: string }>(help: string): Option<C> =>
  socketPathOption(
    { flag: 'control', help },
    { get: config => config.control, set: (config, control) => ({ ...config, control }) },
  )

const limitOption = <C extends { readonly limits: Limits }>(
  key: keyof Limits,
  flag: string,
  range: Omit<Extract<OptionKind, { readonly _tag: 'integer' }>, '_tag'>,
  help: string,
): Option<C> =>
  integerOption({ flag, help }, range, {
    get: config => config.limits[key],
    set: (config, value) => ({ ...config, limits: { ...config.limits, [key]: value } }),
  })

const HOUR_MS = 3_600_000
const MIB = 1024 * 1024

export const graphLimitOptions = <C extends { readonly limits: Limits }>(): readonly Option<C>[] => [
  limitOption(
    'graphBodyBytes',
    'max-graph-bytes',
    { min: 1024, max: 256 * MIB, unit: 'BYTES' },
    'Largest answer that is read as a graph; a larger one is a failed read.',
  ),
  limitOption(
    'graphLinks',
    'max-graph-links',
    { min: 1, max: 1_000_000, unit: 'N' },
    'Most entries of a graph; one with more is a failed read.',
  ),
  limitOption(
    'graphStringBytes',
    'max-string-bytes',
    { min: 64, max: MIB, unit: 'BYTES' },
    'Longest string of an entry; an entry with a longer one is rejected.',
  ),
]

export const DAEMON_OPTIONS: readonly Option<DaemonConfig>[] = [
  pvCtrlOption('The Unix socket on which Pantavisor answers GET /xconnect-graph.'),
  controlOption('The Unix socket on which the daemon answers: links, describe, metrics.'),
  integerOption(
    { flag: 'interval', help: 'How often the graph is read.' },
    { min: 50, max: HOUR_MS, unit: 'MS' },
    {
      get: config => config.intervalMs,
      set: (config, intervalMs) => ({ ...config, intervalMs }),
    },
  ),
  choiceOption({ flag: 'log-level', help: 'The least level that is logged.' }, LOG_LEVELS, {
    get: config => config.logLevel,
    set: (config, logLevel) => ({ ...config, logLevel }),
  }),
  switchOption(
    { flag: 'pretty', help: 'Log for people instead of JSON lines.' },
    { get: config => config.pretty, set: (config, pretty) => ({ ...config, pretty }) },
  ),
  filePathOption(
    { flag: 'policy', help: 'Who may have which link (docs/access.md); absent: what Pantavisor assigned.' },
    { get: config => config.policy, set: (config, policy) => ({ ...config, policy }) },
  ),
  filePathOption(
    {
      flag: 'journal',
      help: 'Where it is written down what stands in containers, for the start after a kill; each daemon has its own.',
    },
    { get: config => config.journal, set: (config, journal) => ({ ...config, journal }) },
  ),
  folderPathOption(
    { flag: 'plugin-dir', help: 'Where plugins of third parties are (docs/plugins.md).' },
    { get: config => config.pluginDir, set: (config, pluginDir) => ({ ...config, pluginDir }) },
  ),
  limitOption(
    'pluginLoadMs',
    'plugin-load-timeout',
    { min: 10, max: HOUR_MS, unit: 'MS' },
    'How long a plugin of a third party may take to load before its links say so.',
  ),
  limitOption(
    'pluginAnswerMs',
    'plugin-timeout',
    { min: 10, max: HOUR_MS, unit: 'MS' },
    'How long a plugin may take to set up, change or remove a link.',
  ),
  limitOption(
    'connectGraceMs',
    'connect-timeout',
    { min: 0, max: HOUR_MS, unit: 'MS' },
    'How long a new connection waits for a provider that is not there.',
  ),
  limitOption(
    'connectionsPerLink',
    'max-connections-per-link',
    { min: 1, max: 1_000_000, unit: 'N' },
    'Most connections open at once through one link.',
  ),
  limitOption(
    'connectionsTotal',
    'max-connections',
    { min: 1, max: 1_000_000, unit: 'N' },
    'Most connections open at once through all links.',
  ),
  limitOption(
    'listenBacklog',
    'backlog',
    { min: 1, max: 65_535, unit: 'N' },
    'Connections the kernel queues per planted socket; it clamps this to net.core.somaxconn.',
  ),
  limitOption(
    'lingerMs',
    'linger',
    { min: 100, max: 24 * HOUR_MS, unit: 'MS' },
    'A connection with one dead half and no byte moving is cut after this.',
  ),
  limitOption(
    'drainMs',
    'drain',
    { min: 0, max: HOUR_MS, unit: 'MS' },
    'How long open connections are given when the daemon ends.',
  ),
  ...graphLimitOptions<DaemonConfig>(),
]

export const decodeDaemonConfig = (
  args: readonly string[],
  variables: Variables,
): E.Either<UsageError, DaemonConfig> =>
  pipe(
    decodeArguments(DAEMON_OPTIONS, NO_OPERANDS, DEFAULT_CONFIG, args, variables),
    E.map(decoded => decoded.config),
  )
