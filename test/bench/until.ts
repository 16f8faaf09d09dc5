/**
 * Waiting where the waiting itself is measured: looks every millisecond, which costs little and is as exact as the
 * figures need. Elsewhere `support/eventually.ts` will do.
 */
import { lstatSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Rejects after `patienceMs`, in words. Resolves with the time it came true, as of `performance.now()`. */
export const until = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  patienceMs: number,
): Promise<number> => {
  const deadline = performance.now() + patienceMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited ${patienceMs / 1000} s in vain: ${what}`)
    await sleep(1)
  }
  return performance.now()
}

export const exists = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined

/** Asked again and again, says whether all are there. They come in order, mostly, so that few looks suffice. */
export const areThere = (paths: readonly string[]): (() => boolean) => {
  let there = 0
  return () => {
    while (there < paths.length && exists(paths[there] ?? '')) there += 1
    return there === paths.length
  }
}

export const areGone = (paths: readonly string[]): (() => boolean) => {
  let gone = 0
  return () => {
    while (gone < paths.length && !exists(paths[gone] ?? '')) gone += 1
    return gone === paths.length
  }
}
