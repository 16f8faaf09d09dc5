/** A program of the load, whichever language it is in: started, asked, and its one line of JSON read. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { untilEnded } from '../support/container.ts'

/** What is measured is `forMs`, after `warmMs` of the same. */
export interface Window {
  readonly warmMs: number
  readonly forMs: number
}

/** The program, and its first arguments. */
export type Command = readonly [string, ...string[]]

export interface Provider {
  readonly stop: () => Promise<void>
}

/** Longer than the load itself waits for anything, so that it says what it waited for. */
const PATIENCE_MS = 30_000

const run = promisify(execFile)

export type Counts = Readonly<Record<string, number>>

const countsIn = (answer: string): Counts => {
  const parsed: unknown = JSON.parse(answer)
  if (typeof parsed !== 'object' || parsed === null) throw new Error(`the load answered ${answer}`)
  return Object.fromEntries(
    Object.entries(parsed).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  )
}

export const count = (counts: Counts, name: string): number => {
  const value = counts[name]
  if (value === undefined) throw new Error(`the load did not say how many ${name}`)
  return value
}

/** What the load complained of, rather than how it was called. */
const complaint = (error: unknown): Error => {
  const stderr =
    typeof error === 'object' && error !== null && 'stderr' in error ? `${error.stderr}`.trim() : ''
  return new Error(stderr === '' ? `the load failed: ${error}` : stderr)
}

/** Rejects with what the program complained of. */
export const measured = async (
  [program, ...first]: Command,
  [verb, target, ...numbers]: readonly [string, string, ...number[]],
  { warmMs, forMs }: Window,
): Promise<Counts> => {
  const args = [...first, verb, target, ...[...numbers, warmMs, forMs].map(String)]
  try {
    return countsIn((await run(program, args, { timeout: warmMs + forMs + PATIENCE_MS })).stdout)
  } catch (error) {
    throw complaint(error)
  }
}

/** It ends with its standard input, and so with the benchmark. */
export const provided = async ([program, ...first]: Command, socket: string): Promise<Provider> => {
  const child = spawn(program, [...first, socket], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('the provider did not start')))
  await Promise.race([once(child.stdout, 'data'), ended])
  ended.catch(() => undefined)
  return {
    stop: async () => {
      child.stdin.end()
      await untilEnded(child)
    },
  }
}

/** Rejects unless every byte that was sent arrived, and as it was sent. */
export const intact = (counts: Counts): void => {
  const [sent, arrived, garbled] = [count(counts, 'sent'), count(counts, 'arrived'), count(counts, 'garbled')]
  if (arrived !== sent) throw new Error(`of ${sent} bytes, ${arrived} arrived`)
  if (garbled > 0) throw new Error(`${garbled} blocks of ${sent} bytes arrived garbled`)
}
