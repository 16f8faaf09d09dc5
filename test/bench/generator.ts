/**
 * The load, whichever program makes it: `load.c` where there is a C compiler, else `load.ts`. Starts it and reads its
 * answers. Promises that whatever a result counts has arrived whole: lost or garbled bytes are an error.
 */
import { compiled, compilerVersion } from './compile.ts'
import { type Command, count, intact, measured, type Provider, provided, type Window } from './program.ts'

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

const IN_NODE = 'build/test/bench/load.js'

const generatorOf = (command: Command, described: string, passes: boolean): Generator => ({
  described,
  passesDescriptors: passes,
  provide: socket => provided([...command, 'provide'], socket),
  bulk: async (target, { connections, writeBytes, descriptorEvery }, window) => {
    const counts = await measured(command, ['bulk', target, connections, writeBytes, descriptorEvery], window)
    intact(counts)
    return {
      bytesPerSecond: count(counts, 'bytes') / count(counts, 'seconds'),
      descriptors: count(counts, 'descriptors'),
      intact: count(counts, 'intact'),
    }
  },
  trip: async (target, { connections, bytes }, window) => {
    const counts = await measured(command, ['trip', target, connections, bytes], window)
    return {
      perSecond: count(counts, 'trips') / count(counts, 'seconds'),
      medianUs: count(counts, 'medianUs'),
      p99Us: count(counts, 'p99Us'),
    }
  },
  connect: async (target, window) => {
    const counts = await measured(command, ['connect', target], window)
    return count(counts, 'connections') / count(counts, 'seconds')
  },
})

export const nodeGenerator = (): Generator =>
  generatorOf([process.execPath, IN_NODE], `Node ${process.version}, because there is no C compiler`, false)

/** `undefined` where there is no compiler. */
export const compiledGenerator = async (): Promise<Generator | undefined> => {
  const compiler = await compilerVersion()
  return compiler === undefined ? undefined : generatorOf([await compiled('load')], `C, ${compiler}`, true)
}

export const openGenerator = async (): Promise<Generator> => (await compiledGenerator()) ?? nodeGenerator()
