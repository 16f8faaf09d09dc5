/** A call every so often. A body that throws has its clock's owner told, and is called again all the same. */
import type { Clock } from '../model/clock.ts'

/** The next call is that long after the one before it ended. Gives what ends it. */
export const repeat = (clock: Clock, everyMs: number, body: () => void): (() => void) => {
  let timer: unknown
  const again = (): void => {
    timer = clock.setTimeout(() => {
      again()
      body()
    }, everyMs)
  }
  again()
  return () => clock.clearTimeout(timer)
}
