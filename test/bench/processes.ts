/** What the kernel says about a process: its own memory and its time on a core (proc(5)), all its threads included. */
import { readdirSync, readFileSync } from 'node:fs'

/** Bytes of memory that are its own: not of files, not shared. */
export const anonymousBytes = (pid: number): number => {
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  if (kilobytes === undefined) throw new Error('the kernel does not say RssAnon')
  return Number(kilobytes) * 1024
}

/** Milliseconds on a core since its start, exact to the nanosecond: `stat` counts in ticks of 10 ms. */
export const cpuMs = (pid: number): number =>
  readdirSync(`/proc/${pid}/task`).reduce((sum, task) => {
    const [ns = ''] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')
    return sum + Number(ns) / 1e6
  }, 0)
