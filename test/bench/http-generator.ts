/**
 * The load where it is HTTP: `http-client.c` and `http-provider.c` where there is a C compiler, else `http-load.ts`. Promises
 * that every answer that is counted was the expected one, to a request that had arrived with the expected identity, and
 * that every byte of a body arrived whole: anything else is an error.
 */
import { compiled, compilerVersion } from './compile.ts'
import { type Command, count, intact, measured, type Provider, provided, type Window } from './program.ts'

export interface Requests {
  /** So many X-PV-Client and so many X-PV-Role fields must every request have when it arrives. */
  readonly identities: 0 | 1
  /** At once, each with one request under way. */
  readonly clients: number
  readonly fields: number
  readonly connections: 'kept' | 'a new one each'
}

export interface Answered {
  readonly perSecond: number
  readonly medianUs: number
  readonly p99Us: number
  /** All there were, warm-up included. */
  readonly requests: number
}

/** A body that is got, with a Content-Length or in chunks; one that is put; or one sent after an upgrade. */
export type Way = 'counted' | 'chunked' | 'upload' | 'tunnel'

export interface Moved {
  readonly bytesPerSecond: number
  /** All there were, warm-up included. */
  readonly bytes: number
}

export interface HttpGenerator {
  readonly provide: (socket: string) => Promise<Provider>
  readonly ask: (target: string, what: Requests, window: Window) => Promise<Answered>
  /** Of `bodyBytes` each, a multiple of 1 MiB, as often as the window has room for, and once at least. */
  readonly move: (target: string, way: Way, bodyBytes: number, window: Window) => Promise<Moved>
}

const IN_NODE = [process.execPath, 'build/test/bench/http-load.js'] as const

const generatorOf = (client: Command, provider: Command): HttpGenerator => ({
  provide: socket => provided(provider, socket),
  ask: async (target, { identities, clients, fields, connections }, window) => {
    const fresh = connections === 'kept' ? 0 : 1
    const counts = await measured(client, ['ask', target, identities, clients, fields, fresh], window)
    return {
      perSecond: count(counts, 'counted') / count(counts, 'seconds'),
      medianUs: count(counts, 'medianUs'),
      p99Us: count(counts, 'p99Us'),
      requests: count(counts, 'requests'),
    }
  },
  move: async (target, way, bodyBytes, window) => {
    const counts = await measured(client, [way, target, bodyBytes], window)
    intact(counts)
    return {
      bytesPerSecond: count(counts, 'bytes') / count(counts, 'seconds'),
      bytes: count(counts, 'sent'),
    }
  },
})

export const nodeHttpGenerator = (): HttpGenerator => generatorOf(IN_NODE, [...IN_NODE, 'provide'])

/** `undefined` where there is no compiler. */
export const compiledHttpGenerator = async (): Promise<HttpGenerator | undefined> =>
  (await compilerVersion()) === undefined
    ? undefined
    : generatorOf([await compiled('http-client')], [await compiled('http-provider')])

export const openHttpGenerator = async (): Promise<HttpGenerator> =>
  (await compiledHttpGenerator()) ?? nodeHttpGenerator()
