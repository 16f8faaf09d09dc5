/**
 * The root of all logs: one JSON object a line, or text for people, into a destination that never blocks.
 * Messages are constant and facts are keys named in our sources; a value from outside is never a key.
 */
import { pino } from 'pino'
import type { LinkLog } from './toolbox/contract.ts'

/** Takes whole lines, at once; what its reader does not take in time is dropped and counted. */
export interface LogDestination {
  write(line: string): void
  /** Lines lost so far. */
  dropped(): number
  /** Write what is still held, as far as that is possible now. */
  flush(): void
}

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal'

export interface LogOptions {
  readonly level: Level
  readonly pretty: boolean
  readonly destination: LogDestination
}

/** What the daemon and, through its toolbox, every plugin logs to. */
export interface Log extends LinkLog {
  trace(facts: object, message: string): void
  fatal(facts: object, message: string): void
  isLevelEnabled(level: Level): boolean
  /** A log whose every line carries these facts too. */
  child(facts: object): Log
}

export const createLog = async ({ level, pretty, destination }: LogOptions): Promise<Log> => {
  const format = pretty ? await prettyFormat() : asItIs
  let reported = 0
  let reporting = false

  const reportDropped = (): void => {
    const dropped = destination.dropped()
    if (dropped === reported || reporting) return
    reporting = true
    root.warn({ lines: dropped - reported }, 'log lines were dropped: they were not read fast enough')
    reporting = false
    // The report may have been dropped itself; then the next line tries again.
    if (destination.dropped() === dropped) reported = dropped
  }

  const root = pino(
    {
      level,
      base: { name: 'pv-xconnect' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
    },
    {
      write: line => {
        const before = destination.dropped()
        destination.write(format(line))
        if (destination.dropped() === before) reportDropped()
      },
    },
  )
  return root
}

const asItIs = (line: string): string => line

/** Loaded for `--pretty` alone: the daemon's start does not pay for it. */
const prettyFormat = async (): Promise<(line: string) => string> => {
  const { prettyFactory } = await import('pino-pretty')
  return prettyFactory({
    colorize: process.stdout.isTTY,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'name',
    singleLine: true,
    // Our `error` is a plain value; only a thrown `err` deserves lines of its own.
    errorLikeObjectKeys: ['err'],
  })
}
