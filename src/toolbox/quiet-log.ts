/**
 * A log that cannot be flooded: containers, providers and graphs can make the same things happen again and again.
 * Each subject (a link, or else a message) has a budget: a burst of lines, then one line per while. A line of a kind
 * that is new for its subject always passes; of those held back, one line tells how many they were and the last of
 * each message, so that whoever reads the log knows the state things are in. At `debug` they are there one by one.
 * Knows nothing of what it logs; time and the log below are handed in.
 */
import type { Clock } from '../model/clock.ts'
import type { LinkLog } from './contract.ts'

export interface QuietOptions {
  readonly clock: Clock
  /** Lines about one subject that pass as they come. */
  readonly burstLines: number
  /** The time in which a subject may have one more. */
  readonly everyMs: number
  /** A line below the level of the log must not use up the budget. Absent: all are logged. */
  readonly isLevelEnabled?: (level: Level) => boolean
  /**
   * It is the log of what one link's clients cause: all lines share one budget, and what is held back goes nowhere, not
   * even to `debug`, as it comes as fast as they can connect.
   */
  readonly ofClients?: boolean
}

export interface QuietLog extends LinkLog {
  /** Tell at once what is held back. To be called before the log is given up: it has timers. */
  flush(): void
}

type Level = 'info' | 'warn' | 'error'

const LEVELS: readonly Level[] = ['info', 'warn', 'error']
/** Facts whose values are words of ours, not of whoever causes the line: they make a kind. */
const KIND_FACTS = ['to', 'verdict', 'errno', 'audit'] as const
/** Kinds and messages that one subject may have; what comes beyond is like what was there. */
const MOST_KINDS = 32
/** Subjects with a budget of their own; what comes beyond shares one. */
const MOST_SUBJECTS = 16_384
/** The subject, or the message, of what has no place of its own. */
const OTHERS = '(others)'

/** What is held back of one message. */
interface Held {
  readonly level: Level
  readonly times: number
  readonly facts: object
}

interface Budget {
  readonly link: unknown
  lines: number
  /** When `lines` was right. */
  at: number
  /** Few, and there may be many budgets: a list costs less than a set. */
  kinds: string[]
  /** By message, the last of each. */
  readonly held: Map<string, Held>
  timer: unknown
}

const fact = (facts: object, name: string): unknown => Reflect.get(facts, name)

const kindOf = (facts: object, message: string): string => {
  let kind = message
  for (const name of KIND_FACTS) {
    const word = fact(facts, name)
    if (typeof word === 'string') kind += `\0${word}`
  }
  const error = fact(facts, 'error')
  return typeof error === 'object' && error !== null ? `${kind}\0${fact(error, '_tag')}` : kind
}

/** Facts inside of a fact: the link is told once outside, and an exception would be shown as `{}`. */
const nested = (facts: object): object =>
  Object.fromEntries(
    Object.entries(facts)
      .filter(([name]) => name !== 'link')
      .map(([name, value]) => [name, value instanceof Error ? value.message : value]),
  )

export const quietLog = (log: LinkLog, options: QuietOptions): QuietLog => {
  const { clock, burstLines, everyMs, isLevelEnabled = () => true, ofClients = false } = options
  const budgets = new Map<string, Budget>()
  let sweptAt = clock.now()

  const newBudget = (subject: string, link: unknown): Budget => {
    const budget: Budget = {
      link,
      lines: burstLines,
      at: clock.now(),
      kinds: [],
      held: new Map(),
      timer: undefined,
    }
    budgets.set(subject, budget)
    return budget
  }

  const refill = (budget: Budget): void => {
    const now = clock.now()
    budget.lines = Math.min(burstLines, budget.lines + (now - budget.at) / everyMs)
    budget.at = now
  }

  /** A subject that has been quiet for so long that its budget is whole is like one that was never there. */
  const sweep = (): void => {
    if (clock.now() - sweptAt < burstLines * everyMs) return
    sweptAt = clock.now()
    for (const [subject, budget] of budgets) {
      refill(budget)
      if (budget.lines >= burstLines && budget.held.size === 0) budgets.delete(subject)
    }
  }

  const budgetOf = (facts: object, message: string): Budget => {
    sweep()
    const link = fact(facts, 'link')
    const subject = ofClients ? '' : typeof link === 'string' ? link : `\0${message}`
    const known = budgets.get(subject)
    if (known !== undefined) {
      refill(known)
      if (known.lines >= burstLines) known.kinds = []
      return known
    }
    if (budgets.size < MOST_SUBJECTS) return newBudget(subject, link)
    const shared = budgets.get(OTHERS) ?? newBudget(OTHERS, undefined)
    refill(shared)
    return shared
  }

  const isNew = (budget: Budget, kind: string): boolean => {
    if (budget.kinds.includes(kind) || budget.kinds.length >= MOST_KINDS) return false
    budget.kinds.push(kind)
    return true
  }

  const tellHeld = (budget: Budget): void => {
    clock.clearTimeout(budget.timer)
    budget.timer = undefined
    if (budget.held.size === 0) return
    let level: Level = 'info'
    let suppressed = 0
    const last: object[] = []
    for (const [msg, each] of budget.held) {
      if (LEVELS.indexOf(each.level) > LEVELS.indexOf(level)) level = each.level
      suppressed += each.times
      last.push({ msg, times: each.times, ...nested(each.facts) })
    }
    budget.held.clear()
    refill(budget)
    budget.lines = Math.max(0, budget.lines - 1)
    const about = typeof budget.link === 'string' ? { link: budget.link } : {}
    log[level]({ ...about, suppressed, last }, 'log lines were held back')
  }

  const hold = (budget: Budget, level: Level, facts: object, message: string): void => {
    const place = budget.held.has(message) || budget.held.size < MOST_KINDS ? message : OTHERS
    const before = budget.held.get(place)
    budget.held.set(place, { level, times: (before?.times ?? 0) + 1, facts })
    budget.timer ??= clock.setTimeout(
      () => {
        budget.timer = undefined
        tellHeld(budget)
      },
      (1 - budget.lines) * everyMs,
    )
    if (!ofClients) log.debug(facts, message)
  }

  const say = (level: Level, facts: object, message: string): void => {
    if (!isLevelEnabled(level)) return
    const budget = budgetOf(facts, message)
    const first = isNew(budget, kindOf(facts, message))
    if (budget.held.size === 0 && budget.lines >= 1) {
      budget.lines -= 1
      log[level](facts, message)
    } else if (first) {
      // What was held back of the same message is older: told later, it would look like the newer one.
      const older = budget.held.get(message)
      budget.held.delete(message)
      log[level](older === undefined ? facts : { ...facts, suppressed: older.times }, message)
    } else hold(budget, level, facts, message)
  }

  return {
    debug: (facts, message) => log.debug(facts, message),
    info: (facts, message) => say('info', facts, message),
    warn: (facts, message) => say('warn', facts, message),
    error: (facts, message) => say('error', facts, message),
    flush: () => {
      for (const budget of budgets.values()) tellHeld(budget)
    },
  }
}

/** The log of one link: its lines all say so, and no line can say otherwise. */
export const logOfLink = (log: LinkLog, link: string): LinkLog => {
  const about = (facts: object): object => Object.assign({ link }, facts, { link })
  return {
    debug: (facts, message) => log.debug(about(facts), message),
    info: (facts, message) => log.info(about(facts), message),
    warn: (facts, message) => log.warn(about(facts), message),
    error: (facts, message) => log.error(about(facts), message),
  }
}
