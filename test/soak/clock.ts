/** One clock for all that takes part: milliseconds since the machine started, as the peers count them too. */
import { setTimeout as sleep } from 'node:timers/promises'

/** CLOCK_MONOTONIC, which containers share (time_namespaces(7): ours are not given one of their own). */
export const now = (): number => Number(process.hrtime.bigint() / 1_000_000n)

export const nap = (ms: number): Promise<void> => sleep(ms)
