/**
 * Ways of a client to a provider of the measure's own, held against each other for as long as the measure runs. One that does
 * not come up says why in each round, and costs the others nothing.
 */
import type { Contender } from './contenders.ts'
import type { Lane, Role } from './contract.ts'
import { cpuMs } from './processes.ts'
import { wordsOf } from './runner.ts'

/** How to bring one up. */
export interface Way {
  readonly name: string
  readonly role: Role
  /** Another one each time, with a socket of its own. The caller stops it. */
  readonly start: () => Promise<Contender>
}

/** A way that is up, with what its kind says of it besides. */
export type Up<W extends Way> = Contender & Omit<W, 'start'>

export interface Ways<W extends Way> {
  /** Each of the ways that came up. */
  readonly contenders: readonly Up<W>[]
  /** One for each that did not: it says why, and belongs into one trial. */
  readonly absent: readonly Lane[]
  readonly stop: () => Promise<void>
}

const absentLane = ({ name, role }: Way, why: unknown): Lane => ({
  contender: name,
  role,
  sample: () => Promise.reject(new Error(`did not come up: ${wordsOf(why)}`)),
})

export const bringUp = async <W extends Way>(ways: readonly W[]): Promise<Ways<W>> => {
  const contenders: Up<W>[] = []
  const absent: Lane[] = []
  for (const way of ways) {
    try {
      const { start, ...what } = way
      contenders.push({ ...(await start()), ...what })
    } catch (error) {
      absent.push(absentLane(way, error))
    }
  }
  const stop = async (): Promise<void> => {
    await Promise.all(contenders.map(contender => contender.stop()))
  }
  return { contenders, absent, stop }
}

/** What the process in between spends on it; `undefined` where there is none. */
export const withCore = async <A>(
  { pid }: Pick<Contender, 'pid'>,
  body: () => Promise<A>,
): Promise<{ readonly result: A; readonly coreMs: number | undefined }> => {
  if (pid === undefined) return { result: await body(), coreMs: undefined }
  const before = cpuMs(pid)
  const result = await body()
  return { result, coreMs: cpuMs(pid) - before }
}
