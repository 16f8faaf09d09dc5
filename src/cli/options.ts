/**
 * The daemon's options: the one table that its command line, its `PV_XCONNECT_*` variables, `--help`
 * and `docs/operations.md` follow. A new setting is a line here.
 */
import { E, pipe } from '../fp.ts'
import type { ListenAddress } from '../inspector/listen-address.ts'
import { DEFAULT_LIMITS, type Limits } from '../model/limits.ts'
import { type Level, LOG_LEVELS } from '../model/log-level.ts'
import { decodeArguments, NO_OPERANDS, type UsageError, type Variables } from './arguments.ts'
import { dbusOptions } from './dbus-options.ts'
import { dbusPolicyOptions } from './dbus-policy-options.ts'
import { DAY_MS, HOUR_MS, KIB, limitOption, MIB, MILLION, MINUTE_MS } from './limit-option.ts'
import {
  addressOption,
  choiceOption,
  fileOrNoneOption,
  filePathOption,
  folderPathOption,
  integerOption,
  type Option,
  socketPathOption,
  switchOption,
} from './option-kinds.ts'
import { relayOptions } from './relay-options.ts'
import { restOptions } from './rest-options.ts'
import { waylandOptions } from './wayland-options.ts'

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
  /** Where the inspector's page is served; `null`: nowhere. */
  readonly inspect: ListenAddress | null
  /** What happens is recorded in this file, absolute; `null`: it is not. */
  readonly record: string | null
  /** A recording that has grown so large is followed by a new one. */
  readonly recordMaxBytes: number
  /** So many older ones stay. */
  readonly recordOlder: number
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
  inspect: null,
  record: null,
  recordMaxBytes: 16 * MIB,
  recordOlder: 3,
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

export const graphLimitOptions = <C extends { readonly limits: Limits }>(): readonly Option<C>[] => [
  limitOption(
    'graphBodyBytes',
    'max-graph-bytes',
    { min: KIB, max: 256 * MIB, unit: 'BYTES' },
    'Largest answer that is read as a graph; a larger one is a failed read.',
  ),
  limitOption(
    'graphLinks',
    'max-graph-links',
    { min: 1, max: MILLION, unit: 'N' },
    'Most entries of a graph; one with more is a failed read.',
  ),
  limitOption(
    'graphStringBytes',
    'max-string-bytes',
    { min: 64, max: MIB, unit: 'BYTES' },
    'Longest string of an entry; an entry with a longer one is rejected.',
  ),
  limitOption(
    'graphTimeoutMs',
    'graph-timeout',
    { min: 10, max: 10 * MINUTE_MS, unit: 'MS' },
    'How long the whole answer may take; one that takes longer is a failed read.',
  ),
]

const workOptions: readonly Option<DaemonConfig>[] = [
  limitOption(
    'retryMs',
    'retry',
    { min: 10, max: HOUR_MS, unit: 'MS' },
    'When a link that failed is tried again; doubles up to --retry-max.',
  ),
  limitOption(
    'retryMaxMs',
    'retry-max',
    { min: 10, max: HOUR_MS, unit: 'MS' },
    'The longest time between two of these tries.',
  ),
  limitOption(
    'deviceRetryMs',
    'device-retry',
    { min: 10, max: HOUR_MS, unit: 'MS' },
    'The longest time between two tries of a link whose device is not there.',
  ),
  limitOption(
    'deviceGroups',
    'max-device-groups',
    { min: 1, max: MILLION, unit: 'N' },
    'Most cgroups of one container that are told to allow a device.',
  ),
  limitOption(
    'resyncMs',
    'resync',
    { min: 1000, max: DAY_MS, unit: 'MS' },
    'How often every link is told anew what is wanted; blocked ones are tried again then.',
  ),
  limitOption(
    'deepLookMs',
    'deep-look',
    { min: 50, max: DAY_MS, unit: 'MS' },
    "How often planted sockets and nodes, and the providers' nodes, are looked up by their whole path.",
  ),
  limitOption(
    'looksApartMs',
    'looks-apart',
    { min: 10, max: HOUR_MS, unit: 'MS' },
    'How far apart the passes are that containers cause by what they do.',
  ),
]

const logOptions: readonly Option<DaemonConfig>[] = [
  limitOption(
    'logBacklogBytes',
    'log-backlog',
    { min: 4 * KIB, max: 64 * MIB, unit: 'BYTES' },
    'Log that is held for a reader that is behind; beyond it lines are dropped.',
  ),
  limitOption(
    'logBurstLines',
    'log-burst',
    { min: 1, max: 10_000, unit: 'N' },
    'Lines about one link that are logged as they come; then one per --log-every.',
  ),
  limitOption(
    'logEveryMs',
    'log-every',
    { min: 100, max: HOUR_MS, unit: 'MS' },
    'How often one more line about the same link is logged.',
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
  addressOption(
    {
      flag: 'inspect',
      help: 'Serve a page that shows the links live (docs/debugging.md), to this machine alone; its URL is in the log. Without an address: 127.0.0.1 and any free port.',
    },
    { get: config => config.inspect, set: (config, inspect) => ({ ...config, inspect }) },
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
  fileOrNoneOption(
    {
      flag: 'record',
      help: 'Record there what happens, without any payload, to be replayed (docs/debugging.md).',
    },
    { get: config => config.record, set: (config, record) => ({ ...config, record }) },
  ),
  integerOption(
    { flag: 'record-max-bytes', help: 'A recording that has grown so large is followed by a new one.' },
    { min: 4 * KIB, max: 256 * MIB, unit: 'BYTES' },
    {
      get: config => config.recordMaxBytes,
      set: (config, recordMaxBytes) => ({ ...config, recordMaxBytes }),
    },
  ),
  integerOption(
    {
      flag: 'record-older',
      help: 'So many older recordings stay beside it, as FILE.1, the youngest, FILE.2 and so on.',
    },
    { min: 0, max: 1000, unit: 'N' },
    { get: config => config.recordOlder, set: (config, recordOlder) => ({ ...config, recordOlder }) },
  ),
  ...graphLimitOptions<DaemonConfig>(),
  ...relayOptions<DaemonConfig>(),
  ...restOptions<DaemonConfig>(),
  ...dbusOptions<DaemonConfig>(),
  ...dbusPolicyOptions<DaemonConfig>(),
  ...waylandOptions<DaemonConfig>(),
  ...workOptions,
  ...logOptions,
]

export const decodeDaemonConfig = (
  args: readonly string[],
  variables: Variables,
): E.Either<UsageError, DaemonConfig> =>
  pipe(
    decodeArguments(DAEMON_OPTIONS, NO_OPERANDS, DEFAULT_CONFIG, args, variables),
    E.map(decoded => decoded.config),
  )
