/**
 * The daemon under test, as a process of its own: its log, its links' states as that log tells them, and what the
 * kernel says about it. Looks at nothing else of it, so that any implementation of the contract could be put here.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import { untilEnded } from './container.ts'
import { eventually } from './eventually.ts'
import { DAEMON } from './requirements.ts'

export const INTERVAL_MS = 200

export type LogLine = Readonly<Record<string, unknown>>

export interface DaemonOptions {
  readonly pvCtrl: string
  /** A file that takes its log: unlike a pipe it can always be written, so that no line is dropped in a burst. */
  readonly logFile: string
  /** Give it something else instead, that takes little or nothing; then nothing is known of its log. */
  readonly logTo?: 'a pipe that nobody reads' | 'a pipe whose reader is gone' | 'a full device'
  /** Absent: beside pv-ctrl's socket. */
  readonly journal?: string
  readonly intervalMs?: number
  /** Its control socket; beside its log if nobody says otherwise, so that no two daemons share one. */
  readonly control?: string
  /** Its policy file, which need not be there; beside its log too: a machine's own must not decide a test. */
  readonly policy?: string
  readonly args?: readonly string[]
  /** For Node itself. */
  readonly nodeArgs?: readonly string[]
  /** Soft and hard limit of open descriptors. */
  readonly mostDescriptors?: number
}

export interface Daemon {
  readonly pid: number
  /** The path of its control socket. */
  readonly control: string
  /** The path of its policy file. */
  readonly policy: string
  readonly log: () => readonly LogLine[]
  /** The first line, from the start on or from `since` lines on, that satisfies the test. */
  readonly logged: (
    what: string,
    test: (line: LogLine) => boolean,
    options?: { since?: number; deadlineMs?: number },
  ) => Promise<LogLine>
  /** The state a link went to last; `undefined` before its first transition. */
  readonly stateOf: (link: string) => string | undefined
  /** Every state the link has been in, in order. */
  readonly statesOf: (link: string) => readonly string[]
  readonly isIn: (link: string, state: string) => boolean
  /** Whether it has ever been in it. */
  readonly wasIn: (link: string, state: string) => boolean
  /** Until the link is in that state (`pending` includes `pending.waiting`). */
  readonly reaches: (link: string, state: string, deadlineMs?: number) => Promise<void>
  /** Until the link, after its first `seen` states, has come to that state. */
  readonly reachesAgain: (link: string, state: string, seen: number, deadlineMs?: number) => Promise<void>
  readonly descriptors: () => readonly string[]
  /** Bytes of memory that are its own: what grows when something is kept that should not be. */
  readonly anonymousMemory: () => number
  readonly signal: (name: NodeJS.Signals) => void
  readonly isRunning: () => boolean
  /** Exit code, once it has ended; a signal's name if one ended it. */
  readonly ended: (deadlineMs?: number) => Promise<number | NodeJS.Signals>
  /** SIGTERM and its end, which must be a good one. */
  readonly stop: () => Promise<void>
  /** What it should never have to say: bugs, and steps of a link that do not follow from each other. */
  readonly oddities: () => readonly string[]
  /** What it said besides its log. */
  readonly complaints: () => string
  /** The end of its log, to be shown with a failure. */
  readonly lastWords: () => string
}

const isObject = (value: unknown): value is LogLine =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const parseLine = (line: string): LogLine => {
  try {
    const parsed: unknown = JSON.parse(line)
    return isObject(parsed) ? parsed : { unparsed: line }
  } catch {
    return { unparsed: line }
  }
}

export const isState = (current: string | undefined, wanted: string): boolean =>
  current === wanted || current?.startsWith(`${wanted}.`) === true

/** The whole line as text: for words that may be in its message or in any of its facts. */
export const asText = (line: LogLine): string => JSON.stringify(line)

/** The kernel ends it should the test be killed: a daemon left running would go on in whatever comes next. */
const OUTLIVES_NOBODY = ['setpriv', '--pdeathsig', 'KILL', '--']

const controlOf = ({ control, logFile }: DaemonOptions): string =>
  control ?? join(dirname(logFile), 'control.sock')

const policyOf = ({ policy, logFile }: DaemonOptions): string =>
  policy ?? join(dirname(logFile), 'policy.json')

const commandOf = (options: DaemonOptions): readonly string[] => {
  const limit = options.mostDescriptors
  return [
    ...OUTLIVES_NOBODY,
    ...(limit === undefined ? [] : ['prlimit', `--nofile=${limit}:${limit}`]),
    process.execPath,
    ...(options.nodeArgs ?? []),
    DAEMON,
    'daemon',
    '--pv-ctrl',
    options.pvCtrl,
    '--control',
    controlOf(options),
    '--policy',
    policyOf(options),
    '--journal',
    options.journal ?? `${options.pvCtrl}.journal`,
    '--interval',
    `${options.intervalMs ?? INTERVAL_MS}`,
    // Every transition: at `info` the rounds of a retry that fails as before are left out.
    '--log-level',
    'debug',
    ...(options.args ?? []),
  ]
}

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

/** Transitions that do not begin where the one before ended. */
const gapsIn = (log: readonly LogLine[]): readonly string[] => {
  const last = new Map<string, unknown>()
  return log.flatMap(line => {
    const { link, from, to } = line
    if (typeof link !== 'string' || typeof to !== 'string') return []
    const before = last.get(link) ?? null
    last.set(link, to === 'released' ? null : to)
    return from === before ? [] : [`${link} was ${before}, yet went from ${from} to ${to}`]
  })
}

const bugsIn = (log: readonly LogLine[]): readonly string[] =>
  log.filter(line => line['level'] === 'error' || line['level'] === 'fatal').map(asText)

/** A file that grows, line by line. */
export const following = (path: string): (() => readonly string[]) => {
  const fd = openSync(path, 'r')
  const room = Buffer.alloc(64 * 1024)
  const decoder = new StringDecoder('utf8')
  let rest = ''
  return () => {
    let text = rest
    for (;;) {
      const length = readSync(fd, room)
      if (length === 0) break
      text += decoder.write(room.subarray(0, length))
    }
    const lines = text.split('\n')
    rest = lines.pop() ?? ''
    return lines
  }
}

type Account = Pick<
  Daemon,
  | 'log'
  | 'logged'
  | 'stateOf'
  | 'statesOf'
  | 'isIn'
  | 'wasIn'
  | 'reaches'
  | 'reachesAgain'
  | 'oddities'
  | 'complaints'
  | 'lastWords'
>

/** What can be told from its words, from a moment on. */
const accountOf = (log: () => readonly LogLine[], complaints: () => string): Account => {
  const states = new Map<string, string[]>()
  let told = 0

  const statesOf = (link: string): readonly string[] => {
    const lines = log()
    for (; told < lines.length; told += 1) {
      const { link: of, to } = lines[told] ?? {}
      if (typeof of !== 'string' || typeof to !== 'string') continue
      const known = states.get(of)
      if (known === undefined) states.set(of, [to])
      else known.push(to)
    }
    return states.get(link)?.slice() ?? []
  }
  const stateOf = (link: string): string | undefined => statesOf(link).at(-1)

  return {
    log,
    logged: (what, test, { since = 0, deadlineMs } = {}) =>
      eventually(`the daemon logs ${what}`, () => log().slice(since).find(test), deadlineMs),
    stateOf,
    statesOf,
    isIn: (link, state) => isState(stateOf(link), state),
    wasIn: (link, state) => statesOf(link).some(each => isState(each, state)),
    reachesAgain: async (link, state, seen, deadlineMs) => {
      await eventually(
        `${link} is ${state} again`,
        () => {
          const since = statesOf(link).slice(seen)
          if (since.some(each => isState(each, state))) return true
          throw new Error(`it went through ${since.join(', ')}`)
        },
        deadlineMs,
      )
    },
    reaches: async (link, state, deadlineMs) => {
      await eventually(
        `${link} is ${state}`,
        () => {
          if (isState(stateOf(link), state)) return true
          throw new Error(`it is ${stateOf(link) ?? 'unknown'}`)
        },
        deadlineMs,
      )
    },
    complaints,
    oddities: () => [...bugsIn(log()), ...gapsIn(log()), ...(complaints() === '' ? [] : [complaints()])],
    lastWords: () => [...log().slice(-40).map(asText), complaints()].join('\n'),
  }
}

/** The same daemon, without what it said until now. */
export const fromNowOn = (daemon: Daemon): Daemon => {
  const [lines, letters] = [daemon.log().length, daemon.complaints().length]
  const account = accountOf(
    () => daemon.log().slice(lines),
    () => daemon.complaints().slice(letters),
  )
  return { ...daemon, ...account }
}

export const startDaemon = (options: DaemonOptions): Daemon => {
  const [program = '', ...args] = commandOf(options)
  const file = openSync(options.logFile, 'w')
  const sink = options.logTo === 'a full device' ? openSync('/dev/full', 'w') : file
  const child = spawn(program, args, {
    stdio: ['ignore', options.logTo?.startsWith('a pipe') === true ? 'pipe' : sink, 'pipe'],
  })
  for (const fd of new Set([file, sink])) closeSync(fd)
  const { pid, stderr } = child
  if (pid === undefined || stderr === null) throw new Error('the daemon did not start')
  if (options.logTo === 'a pipe whose reader is gone') child.stdout?.destroy()
  const newLines = following(options.logFile)
  const lines: LogLine[] = []
  let complaints = ''

  /** The log as it is now. */
  const log = (): readonly LogLine[] => {
    for (const text of newLines()) lines.push(parseLine(text))
    return lines
  }
  stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString()
  })

  const ended = async (deadlineMs = 5000): Promise<number | NodeJS.Signals> => {
    await eventually('the daemon ends', () => hasEnded(child), deadlineMs)
    await untilEnded(child)
    return child.exitCode ?? child.signalCode ?? 'SIGKILL'
  }

  return {
    pid,
    control: controlOf(options),
    policy: policyOf(options),
    ...accountOf(log, () => complaints),
    descriptors: () =>
      readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
        try {
          return [readlinkSync(`/proc/${pid}/fd/${fd}`)]
        } catch {
          return []
        }
      }),
    anonymousMemory: () => {
      const kilobytes = /^Anonymous:\s+(\d+) kB$/m.exec(
        readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'),
      )?.[1]
      if (kilobytes === undefined) throw new Error('smaps_rollup has no line Anonymous')
      return Number(kilobytes) * 1024
    },
    signal: name => {
      child.kill(name)
    },
    isRunning: () => !hasEnded(child),
    ended,
    stop: async () => {
      child.kill('SIGTERM')
      const code = await ended()
      if (code !== 0) throw new Error(`the daemon ended with ${code}`)
    },
  }
}
