/**
 * Why and when a pass runs. One at a time; whatever is asked for during a pass causes exactly one more.
 * A reason never changes what a pass does to the links: a pass looks at the whole world each time.
 * After a failed read it comes again sooner than the interval, then backs off to it.
 */
import type { Chance } from '../model/chance.ts'
import type { Clock } from '../model/clock.ts'

export type Reason =
  | 'start'
  | 'interval'
  | 'sighup'
  | 'process-exit'
  | 'target-changed'
  | 'plugins-changed'
  | 'asked'

/** `failed`: a bug ended it. */
export type PassOutcome = 'done' | 'read-failed' | 'failed'

/** What became of a pass that was asked for; `stopped`: none begins any more. */
export type PassEnd = PassOutcome | 'stopped'

export interface TriggerOptions {
  readonly clock: Clock
  readonly random: Chance
  /** From the start of one pass to the start of the next; `null`: only when asked, as a replay does. */
  readonly intervalMs: number | null
  /** Must not reject. */
  readonly pass: (reasons: ReadonlySet<Reason>) => Promise<PassOutcome>
}

export interface Trigger {
  start(): void
  /** Resolves when a pass that began after the call has ended, or the trigger was stopped. */
  ask(reason: Reason): Promise<PassEnd>
  /** No pass begins afterwards; resolves when the running one has ended. */
  stop(): Promise<void>
}

const FIRST_RETRY_MS = 250
const JITTER = 0.25

export const createTrigger = ({ clock, random, intervalMs, pass }: TriggerOptions): Trigger => {
  let asked = new Set<Reason>()
  let waiting: ((end: PassEnd) => void)[] = []
  let running: Promise<void> | null = null
  let timer: unknown
  let state: 'idle' | 'started' | 'stopped' = 'idle'
  let failures = 0

  const delayMs = (interval: number, passStartedAt: number): number => {
    if (failures === 0) return Math.max(0, passStartedAt + interval - clock.now())
    const backoff = FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 16)
    // Never slower than the interval: what Pantavisor says when it is back is acted upon within one.
    return Math.min(Math.max(interval, FIRST_RETRY_MS), backoff) * (1 - JITTER * random(`read ${failures}`))
  }

  const passes = async (): Promise<void> => {
    let passStartedAt = clock.now()
    while (asked.size > 0 && state === 'started') {
      const reasons = asked
      const answered = waiting
      asked = new Set()
      waiting = []
      passStartedAt = clock.now()
      const outcome = await pass(reasons)
      failures = outcome === 'done' ? 0 : failures + 1
      for (const resolve of answered) resolve(outcome)
    }
    running = null
    if (intervalMs !== null && state === 'started') {
      timer = clock.setTimeout(() => void ask('interval'), delayMs(intervalMs, passStartedAt))
    }
  }

  const run = (): void => {
    if (state !== 'started' || running !== null) return
    clock.clearTimeout(timer)
    running = passes()
  }

  const ask = (reason: Reason): Promise<PassEnd> => {
    if (state === 'stopped') return Promise.resolve('stopped')
    asked.add(reason)
    const answered = new Promise<PassEnd>(resolve => waiting.push(resolve))
    run()
    return answered
  }

  return {
    start() {
      if (state !== 'idle') return
      state = 'started'
      void ask('start')
    },
    ask,
    async stop() {
      state = 'stopped'
      clock.clearTimeout(timer)
      await running
      for (const resolve of waiting) resolve('stopped')
      waiting = []
    },
  }
}
