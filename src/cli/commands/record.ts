/**
 * `record`: a recording of a daemon that runs already, through its control socket; or of the graphs alone, straight from
 * Pantavisor. A daemon that is to record from its start on is given `--record` instead.
 */
import { type FileHandle, open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { createEventClock } from '../../controller/event-clock.ts'
import { E } from '../../fp.ts'
import { graphReader } from '../../graph/client.ts'
import { DEFAULT_LIMITS } from '../../model/limits.ts'
import { createTape } from '../../record/tape.ts'
import { decodeArguments, type Operands } from '../arguments.ts'
import { type Command, complain, type ExitCode, helpFor, refuseUsage, type Terminal } from '../command.ts'
import { describeAskError, streamControl } from '../control-client.ts'
import { HOUR_MS } from '../limit-option.ts'
import { choiceOption, integerOption, type Option } from '../option-kinds.ts'
import { controlOption, DEFAULT_CONFIG, pvCtrlOption } from '../options.ts'
import { byteCount, printable } from '../render.ts'

type From = 'daemon' | 'pv-ctrl'

export interface RecordConfig {
  readonly from: From
  readonly control: string
  readonly pvCtrl: string
  readonly intervalMs: number
}

const DEFAULTS: RecordConfig = {
  from: 'daemon',
  control: DEFAULT_CONFIG.control,
  pvCtrl: DEFAULT_CONFIG.pvCtrl,
  intervalMs: DEFAULT_CONFIG.intervalMs,
}
const OPERANDS: Operands = { min: 1, max: 1, shown: 'FILE|-' }
const OWNER_ONLY = 0o600

export const RECORD_OPTIONS: readonly Option<RecordConfig>[] = [
  choiceOption(
    {
      flag: 'from',
      variable: null,
      help: 'What is recorded: a running daemon, or the graphs of Pantavisor alone.',
    },
    ['daemon', 'pv-ctrl'],
    { get: config => config.from, set: (config, from) => ({ ...config, from }) },
  ),
  controlOption("The daemon's control socket."),
  pvCtrlOption('The Unix socket of Pantavisor, for --from pv-ctrl.'),
  integerOption(
    { flag: 'interval', help: 'How often the graph is read, for --from pv-ctrl.' },
    { min: 50, max: HOUR_MS, unit: 'MS' },
    { get: config => config.intervalMs, set: (config, intervalMs) => ({ ...config, intervalMs }) },
  ),
]

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'record',
        operands: OPERANDS,
        about: [
          'Records into FILE, or to standard output with -, until Ctrl-C: what reaches the control plane of a running daemon and how its links move, beginning with how they are now; or, with --from pv-ctrl, the graphs that Pantavisor gives. No payload is recorded. `pv-xconnect replay FILE` plays it again.',
          'FILE must not be there yet. Ends with 1 if nothing can be recorded, or the daemon goes away; what was recorded up to then can be replayed.',
        ],
        options: RECORD_OPTIONS,
        defaults: DEFAULTS,
        examples: ['pv-xconnect record /tmp/now.rec', 'pv-xconnect record --from pv-ctrl /tmp/graphs.rec'],
      },
      columns,
    ),
  run: async (args, terminal) => {
    const decoded = decodeArguments(RECORD_OPTIONS, OPERANDS, DEFAULTS, args, terminal.variables)
    if (E.isLeft(decoded)) return refuseUsage(terminal, 'record', decoded.left)
    const { config, operands } = decoded.right
    const [file = ''] = operands
    const stop = terminal.stopAsked()
    const target = await openTarget(file, terminal)
    if (E.isLeft(target)) {
      complain(terminal, 'record', ...target.left)
      return 1
    }
    const code = await (config.from === 'daemon' ? fromDaemon : fromPvCtrl)(
      target.right,
      config,
      terminal,
      stop,
    )
    await target.right.close()
    return code
  },
}

type Lines = readonly [string, ...string[]]

interface Target {
  readonly write: (text: string) => Promise<void>
  readonly close: () => Promise<void>
  /** Said to the person; a recording on standard output speaks for itself. */
  readonly said: (bytes: number) => string | null
}

const openTarget = async (file: string, terminal: Terminal): Promise<E.Either<Lines, Target>> => {
  if (file === '-') {
    return E.right({
      write: async text => terminal.out(text),
      close: () => Promise.resolve(),
      said: () => null,
    })
  }
  try {
    const handle: FileHandle = await open(file, 'wx', OWNER_ONLY)
    return E.right({
      write: async text => {
        await handle.appendFile(text)
      },
      close: () => handle.close(),
      said: bytes => `recorded ${byteCount(bytes)} to ${file}`,
    })
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? String(error)
    return E.left(
      errno === 'EEXIST'
        ? [`${file} is there already, and is left as it is`, 'Give the name of a new file.']
        : [`${file} cannot be written: ${errno}`, 'Give a file that can be made, or - for standard output.'],
    )
  }
}

const sayRecorded = ({ said }: Target, bytes: number, terminal: Terminal): void => {
  const words = said(bytes)
  if (words !== null) terminal.out(`${printable(words)}\n`)
}

const fromDaemon = async (
  target: Target,
  { control }: RecordConfig,
  terminal: Terminal,
  stop: Promise<unknown>,
): Promise<ExitCode> => {
  let bytes = 0
  const ended = await streamControl(
    control,
    '/recording',
    async text => {
      bytes += Buffer.byteLength(text)
      await target.write(text)
    },
    stop,
  )
  if (E.isLeft(ended)) {
    complain(terminal, 'record', ...describeAskError(ended.left))
    return 1
  }
  sayRecorded(target, bytes, terminal)
  if (ended.right === 'stopped') return 0
  complain(
    terminal,
    'record',
    'the daemon has ended, or was not listened to fast enough; what it said was recorded',
  )
  return 1
}

/** The tape of a daemon without one: reads are all it hears. */
const fromPvCtrl = async (
  target: Target,
  { pvCtrl, intervalMs }: RecordConfig,
  terminal: Terminal,
  stop: Promise<unknown>,
): Promise<ExitCode> => {
  const stopped = new AbortController()
  void stop.then(() => stopped.abort())
  const clock = createEventClock(
    {
      now: () => performance.now(),
      setTimeout: () => undefined,
      clearTimeout: () => undefined,
    },
    () => undefined,
  )
  const tape = createTape({ clock, wallClock: Date.now, daemon: null, intervalMs, limits: DEFAULT_LIMITS })
  let bytes = 0
  let lines: string[] = []
  tape.listen(line => lines.push(line))
  const read = tape.hearingFetch(graphReader({ socketPath: pvCtrl, limits: DEFAULT_LIMITS }))
  const flush = async (): Promise<void> => {
    const text = lines.join('')
    lines = []
    bytes += Buffer.byteLength(text)
    await target.write(text)
  }
  while (!stopped.signal.aborted && terminal.closed !== true) {
    const began = performance.now()
    await read()
    await flush()
    const waitMs = Math.max(0, began + intervalMs - performance.now())
    await sleep(waitMs, undefined, { signal: stopped.signal }).catch(() => undefined)
  }
  tape.end()
  await flush()
  sayRecorded(target, bytes, terminal)
  return 0
}
