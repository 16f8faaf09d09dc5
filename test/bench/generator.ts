/**
 * The load, whichever program makes it: `load.c` where there is a C compiler, else `load.ts`. Starts it and reads its
 * answers. Promises that whatever a result counts has arrived whole: lost or garbled bytes are an error.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { untilEnded } from '../support/container.ts'
import { compiled, compilerVersion } from './compile.ts'

/** What is measured is `forMs`, after `warmMs` of the same. */
export interface Window {
  readonly warmMs: number
  readonly forMs: number
}

export interface Bulk {
  readonly connections: number
  readonly writeBytes: number
  /** One comes with each so many bytes; 0 for none. */
  readonly descriptorEvery: number
}

export interface Trips {
  readonly connections: number
  readonly bytes: number
}

export interface Generator {
  /** For the report. */
  readonly described: string
  readonly passesDescriptors: boolean
  readonly provide: (socket: string) => Promise<Provider>
  readonly bulk: (
    target: string,
    what: Bulk,
    window: Window,
  ) => Promise<{
    readonly bytesPerSecond: number
    readonly descriptors: number
    /** Of them, those that arrived at their byte. */
    readonly intact: number
  }>
  readonly trip: (
    target: string,
    what: Trips,
    window: Window,
  ) => Promise<{ readonly perSecond: number; readonly medianUs: number; readonly p99Us: number }>
  /** Connections a second, one after the other. */
  readonly connect: (target: string, window: Window) => Promise<number>
}

export interface Provider {
  readonly stop: () => Promise<void>
}

const IN_NODE = 'build/test/bench/load.js'
/** Longer than the load itself waits for anything, so that it says what it waited for. */
const PATIENCE_MS = 30_000

const run = promisify(execFile)

type Counts = Readonly<Record<string, number>>

const countsIn = (answer: string): Counts => {
  const parsed: unknown = JSON.parse(answer)
  if (typeof parsed !== 'object' || parsed === null) throw new Error(`the load answered ${answer}`)
  return Object.fromEntries(
    Object.entries(parsed).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  )
}

const count = (counts: Counts, name: string): number => {
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

const generatorOf = (
  command: readonly [string, ...string[]],
  described: string,
  passes: boolean,
): Generator => {
  const [program, ...first] = command

  const measure = async (
    verb: string,
    target: string,
    numbers: readonly number[],
    { warmMs, forMs }: Window,
  ): Promise<Counts> => {
    const args = [...first, verb, target, ...[...numbers, warmMs, forMs].map(String)]
    try {
      return countsIn((await run(program, args, { timeout: warmMs + forMs + PATIENCE_MS })).stdout)
    } catch (error) {
      throw complaint(error)
    }
  }

  return {
    described,
    passesDescriptors: passes,
    provide: async socket => {
      const child = spawn(program, [...first, 'provide', socket], { stdio: ['pipe', 'pipe', 'inherit'] })
      const ended = once(child, 'exit').then(() => Promise.reject(new Error('the provider did not start')))
      await Promise.race([once(child.stdout, 'data'), ended])
      ended.catch(() => undefined)
      return {
        stop: async () => {
          child.stdin.end()
          await untilEnded(child)
        },
      }
    },
    bulk: async (target, { connections, writeBytes, descriptorEvery }, window) => {
      const counts = await measure('bulk', target, [connections, writeBytes, descriptorEvery], window)
      const sent = count(counts, 'sent')
      const arrived = count(counts, 'arrived')
      const garbled = count(counts, 'garbled')
      if (arrived !== sent) throw new Error(`of ${sent} bytes, ${arrived} arrived`)
      if (garbled > 0) throw new Error(`${garbled} blocks of ${sent} bytes arrived garbled`)
      return {
        bytesPerSecond: count(counts, 'bytes') / count(counts, 'seconds'),
        descriptors: count(counts, 'descriptors'),
        intact: count(counts, 'intact'),
      }
    },
    trip: async (target, { connections, bytes }, window) => {
      const counts = await measure('trip', target, [connections, bytes], window)
      return {
        perSecond: count(counts, 'trips') / count(counts, 'seconds'),
        medianUs: count(counts, 'medianUs'),
        p99Us: count(counts, 'p99Us'),
      }
    },
    connect: async (target, window) => {
      const counts = await measure('connect', target, [], window)
      return count(counts, 'connections') / count(counts, 'seconds')
    },
  }
}

export const nodeGenerator = (): Generator =>
  generatorOf([process.execPath, IN_NODE], `Node ${process.version}, because there is no C compiler`, false)

/** `undefined` where there is no compiler. */
export const compiledGenerator = async (): Promise<Generator | undefined> => {
  const compiler = await compilerVersion()
  return compiler === undefined ? undefined : generatorOf([await compiled('load')], `C, ${compiler}`, true)
}

export const openGenerator = async (): Promise<Generator> => (await compiledGenerator()) ?? nodeGenerator()
