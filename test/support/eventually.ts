/** Waiting for the world, never for the clock: a condition is looked at again and again until it holds. */
import { setTimeout as sleep } from 'node:timers/promises'

const PAUSE_MS = 10

/** A value that says "not yet". Everything else, `0` and `''` included, is an answer. */
export type NotYet = undefined | false

/**
 * The first answer of `attempt` that is not "not yet".
 * An attempt that throws counts as "not yet" too, and what it threw is told when the deadline passes.
 */
export const eventually = async <A>(
  what: string,
  attempt: () => A | NotYet | Promise<A | NotYet>,
  deadlineMs = 5000,
): Promise<A> => {
  const deadline = Date.now() + deadlineMs
  for (;;) {
    let last: unknown
    try {
      const answer = await attempt()
      if (answer !== undefined && answer !== false) return answer
    } catch (thrown) {
      last = thrown
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${deadlineMs} ms in vain: ${what}`, last === undefined ? {} : { cause: last })
    }
    await sleep(PAUSE_MS)
  }
}

/** For what must *not* happen: looks for the whole time given, and throws as soon as `holds` does not. */
export const staysTrue = async (
  what: string,
  forMs: number,
  holds: () => boolean | Promise<boolean>,
): Promise<void> => {
  const end = Date.now() + forMs
  while (Date.now() < end) {
    if (!(await holds())) throw new Error(`no longer true: ${what}`)
    await sleep(PAUSE_MS)
  }
}
