/**
 * The root of all logs: one JSON object a line, or text for people, into a destination that never blocks.
 * Messages are constant and facts are keys named in our sources; a value from outside is never a key.
 * The level can change while it runs, for the children that were made before as well.
 */
import { type Logger, pino } from 'pino'
import type { Level } from './model/log-level.ts'
import type { LinkLog } from './toolbox/contract.ts'

/** Takes whole lines, at once; what its reader does not take in time is dropped and counted. */
export interface LogDestination {
  write(line: string): void
  /** Lines lost so far. */
  dropped(): number
  /** Write what is still held, as far as that is possible now. */
  flush(): void
}

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

export interface RootLog extends Log {
  level(): Level
  /** From now on, for this log and for every child of it, whenever that was made. Says so if either level shows it. */
  setLevel(level: Level): void
  /** Lines that were lost because nobody read them in time. */
  droppedLines(): number
}

const RANK: Readonly<Record<Level, number>> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, fatal: 5 }

/** What a log and all its children hold in common. */
interface Threshold {
  level: Level
}

/** Holds back what is below the threshold. pino's own children would each keep the level they were made with. */
class GatedLog implements Log {
  readonly #lines: Logger
  readonly #threshold: Threshold

  constructor(lines: Logger, threshold: Threshold) {
    this.#lines = lines
    this.#threshold = threshold
  }

  isLevelEnabled(level: Level): boolean {
    return RANK[level] >= RANK[this.#threshold.level]
  }

  child(facts: object): Log {
    return new GatedLog(this.#lines.child(facts), this.#threshold)
  }

  trace(facts: object, message: string): void {
    if (this.isLevelEnabled('trace')) this.#lines.trace(facts, message)
  }

  debug(facts: object, message: string): void {
    if (this.isLevelEnabled('debug')) this.#lines.debug(facts, message)
  }

  info(facts: object, message: string): void {
    if (this.isLevelEnabled('info')) this.#lines.info(facts, message)
  }

  warn(facts: object, message: string): void {
    if (this.isLevelEnabled('warn')) this.#lines.warn(facts, message)
  }

  error(facts: object, message: string): void {
    if (this.isLevelEnabled('error')) this.#lines.error(facts, message)
  }

  fatal(facts: object, message: string): void {
    if (this.isLevelEnabled('fatal')) this.#lines.fatal(facts, message)
  }
}

class GatedRoot extends GatedLog implements RootLog {
  readonly #common: Threshold
  readonly #destination: LogDestination

  constructor(lines: Logger, common: Threshold, destination: LogDestination) {
    super(lines, common)
    this.#common = common
    this.#destination = destination
  }

  level(): Level {
    return this.#common.level
  }

  setLevel(level: Level): void {
    const before = this.#common.level
    if (level === before) return
    if (RANK[level] < RANK[before]) this.#common.level = level
    this.info({ from: before, to: level }, 'the log level changed')
    this.#common.level = level
  }

  droppedLines(): number {
    return this.#destination.dropped()
  }
}

export const createLog = async ({ level, pretty, destination }: LogOptions): Promise<RootLog> => {
  const format = pretty ? await prettyFormat() : asItIs
  let reported = 0
  let reporting = false

  const reportDropped = (): void => {
    const dropped = destination.dropped()
    if (dropped === reported || reporting) return
    reporting = true
    log.warn({ lines: dropped - reported }, 'log lines were dropped: they were not read fast enough')
    reporting = false
    // The report may have been dropped itself; then the next line tries again.
    if (destination.dropped() === dropped) reported = dropped
  }

  const lines = pino(
    {
      level: 'trace',
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
  const log = new GatedRoot(lines, { level }, destination)
  return log
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
