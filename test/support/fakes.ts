/**
 * A world to run the control plane in: containers that are maps, a plugin that plants into them, graphs from a list.
 * Tests check what is planted in the end, not which calls were made.
 */
import { SimulatedClock } from 'xstate'
import type { TE } from '../../src/fp.ts'
import { E } from '../../src/fp.ts'
import type { GraphError, ReadError } from '../../src/graph/errors.ts'
import type { GraphReading, GraphSource } from '../../src/graph/source.ts'
import type { Environment } from '../../src/model/clock.ts'
import { type InjectError, syscallError } from '../../src/model/errors.ts'
import type { Graph } from '../../src/model/graph.ts'
import type { Pid } from '../../src/model/identity.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import type { Link, LinkKey } from '../../src/model/link.ts'
import { keyOf } from '../../src/model/link.ts'
import { type Mediation, type MediationId, NOTHING_COUNTED } from '../../src/model/mediation.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import type {
  Attention,
  LinkLog,
  Loss,
  ProviderAddress,
  Toolbox,
  ToolboxHost,
} from '../../src/toolbox/contract.ts'
import { repeat } from '../../src/toolbox/repeat.ts'
import { createSharedValues } from '../../src/toolbox/shared.ts'

/** Everything that only waits for promises is done when this resolves: an immediate runs after all of them. */
export const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

export interface FakeEnvironment extends Environment {
  readonly clock: SimulatedClock
}

export const fakeEnvironment = (): FakeEnvironment => {
  const clock = new SimulatedClock()
  return { clock, wallClock: () => 1_700_000_000_000 + clock.now(), random: () => 0 }
}

/** Let the clock run in steps, so that what a timer starts is done before the next one fires. */
export const pass = async (env: FakeEnvironment, ms: number, stepMs = 50): Promise<void> => {
  for (let left = ms; left > 0; left -= stepMs) {
    env.clock.increment(Math.min(stepMs, left))
    await settled()
  }
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly facts: object
  readonly message: string
}

export const fakeLog = (): LinkLog & { readonly lines: LogLine[] } => {
  const lines: LogLine[] = []
  const at = (level: LogLine['level']) => (facts: object, message: string) => {
    lines.push({ level, facts, message })
  }
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export interface FakeSource extends GraphSource {
  /** What every read from now on says. */
  says(graph: Graph): void
  fails(error?: ReadError | GraphError): void
  /** Reads wait until it is called with what to do next. */
  reads: number
  hold(): () => void
}

export const fakeSource = (): FakeSource => {
  let current: E.Either<ReadError | GraphError, Graph> = E.left(UNREACHABLE)
  let told: Graph | null = null
  let gate: Promise<void> | null = null
  const source: FakeSource = {
    reads: 0,
    says: graph => {
      current = E.right(graph)
    },
    fails: (error = UNREACHABLE) => {
      current = E.left(error)
    },
    hold: () => {
      let open = (): void => undefined
      gate = new Promise(resolve => {
        open = resolve
      })
      return () => {
        gate = null
        open()
      }
    },
    read: (): TE.TaskEither<ReadError | GraphError, GraphReading> => async () => {
      source.reads += 1
      await gate
      if (E.isLeft(current)) return current
      if (current.right === told) return E.right({ _tag: 'Unchanged' })
      told = current.right
      return E.right({ _tag: 'Graph', graph: told, body: Buffer.from(JSON.stringify(told.links)) })
    },
  }
  return source
}

const UNREACHABLE: ReadError = { _tag: 'Unreachable', socketPath: '/pv/pv-ctrl', errno: 'ENOENT' }

export interface PlantedLink {
  readonly link: Link
  readonly mediation: Mediation
  provider: ProviderAddress
}

export interface FakeWorld {
  readonly host: ToolboxHost
  /** By `consumer:target`. */
  readonly planted: Map<string, PlantedLink>
  readonly dead: Set<Pid>
  readonly followed: Set<Pid>
  /** Fresh ones, not counting a lost target planted again. */
  injections: number
  withdrawals: number
  /** Lost targets planted again, their connections kept. */
  replants: number
  /** The next injections of this link fail with these. */
  failNext(key: LinkKey, ...errors: readonly InjectError[]): void
  /** Injections of this link do not end until the returned function is called. */
  holdInjection(key: LinkKey): () => void
  /** The consumer's process ends, and the host notices. */
  exit(pid: Pid): void
  /** Somebody in the container deletes the planted socket; noticed by the next look. */
  deleteTarget(link: Link): void
  attention(why: Attention): void
}

export const placeOf = (link: Link): string => `${link.consumer}:${link.target}`

export const fakeWorld = (log: LinkLog = fakeLog()): FakeWorld => {
  const failures = new Map<LinkKey, InjectError[]>()
  const gates = new Map<LinkKey, Promise<void>>()
  const lost = new Set<MediationId>()
  const shared = createSharedValues()
  const clock = new SimulatedClock()
  let listener: (why: Attention) => void = () => undefined
  let ids = 0

  const toolboxFor = (link: Link): Toolbox => ({
    log,
    limits: DEFAULT_LIMITS,
    injectSocket: (request, kept) => async () => {
      const key = keyOf(link)
      await gates.get(key)
      const failure = failures.get(key)?.shift()
      if (failure !== undefined) return E.left(failure)
      if (link.consumer_pid !== null && world.dead.has(link.consumer_pid)) {
        return E.left({ _tag: 'PeerGone', peer: 'consumer', pid: link.consumer_pid })
      }
      const occupant = world.planted.get(placeOf(link))
      if (occupant !== undefined && occupant.mediation.id !== kept?.id) {
        const cause = syscallError('bind', 'EADDRINUSE', request.target)
        return E.left({ _tag: 'TargetRefused', target: request.target, cause })
      }
      ids += 1
      const mediation: Mediation = {
        id: kept?.id ?? idOf(`m${ids}`),
        planted: {
          target: request.target,
          kind: 'stream',
          device: '1',
          inode: String(ids),
          directoriesMade: [],
        },
        counters: () => NOTHING_COUNTED,
      }
      if (kept === undefined) world.injections += 1
      else world.replants += 1
      lost.delete(mediation.id)
      world.planted.set(placeOf(link), { link, mediation, provider: request.provider })
      return E.right(mediation)
    },
    retargetSocket: (mediation, provider) => async () => {
      for (const planted of world.planted.values()) {
        if (planted.mediation.id === mediation.id) planted.provider = provider
      }
      return E.right(mediation)
    },
    injectNode: (request, kept) =>
      toolboxFor(link).injectSocket(
        { kind: 'stream', target: request.target, provider: request.provider, descriptors: 'none' },
        kept,
      ),
    withdraw: mediation => async () => {
      for (const [place, planted] of world.planted) {
        if (planted.mediation.id !== mediation.id) continue
        world.planted.delete(place)
        world.withdrawals += 1
      }
      return { connectionsClosed: 0, leftBehind: [] }
    },
    connect: () => ({ close: () => undefined }),
    lookInto: provider => E.left(syscallError('pidfd_open', 'ESRCH', `process ${provider}`)),
    userOfRole: provider => E.left(syscallError('pidfd_open', 'ESRCH', `process ${provider}`)),
    shared: (name, make) => shared.of(link.type, name, make),
    repeat: (everyMs, body) => repeat(clock, everyMs, body),
    count: () => undefined,
  })

  const world: FakeWorld = {
    planted: new Map(),
    dead: new Set(),
    followed: new Set(),
    injections: 0,
    withdrawals: 0,
    replants: 0,
    failNext: (key, ...errors) => failures.set(key, [...errors]),
    holdInjection: key => {
      let open = (): void => undefined
      gates.set(
        key,
        new Promise(resolve => {
          open = resolve
        }),
      )
      return () => {
        gates.delete(key)
        open()
      }
    },
    exit: pid => {
      world.dead.add(pid)
      listener({ _tag: 'ProcessExited', pid })
    },
    deleteTarget: link => {
      const planted = world.planted.get(placeOf(link))
      if (planted !== undefined) lost.add(planted.mediation.id)
    },
    attention: why => listener(why),
    host: {
      toolboxFor,
      sweep: () => undefined,
      follow: pids => {
        world.followed.clear()
        for (const pid of pids) world.followed.add(pid)
        // Harsher than the contract asks: one that is gone already is reported too, each time.
        for (const pid of pids) if (world.dead.has(pid)) listener({ _tag: 'ProcessExited', pid })
      },
      observe: ids => {
        const wanted = new Set(ids)
        const losses = new Map<MediationId, Loss>([...wanted].map(id => [id, 'target-lost']))
        for (const { link, mediation } of world.planted.values()) {
          losses.delete(mediation.id)
          if (!wanted.has(mediation.id)) continue
          if (link.consumer_pid !== null && world.dead.has(link.consumer_pid)) {
            losses.set(mediation.id, 'consumer-exited')
          } else if (lost.has(mediation.id)) losses.set(mediation.id, 'target-lost')
        }
        return losses
      },
      onAttention: next => {
        listener = next
      },
      beginDrain: () => undefined,
      close: () => undefined,
    },
  }
  return world
}

export const idOf = (text: string): MediationId => text as MediationId

export const addressOf = (link: Link): ProviderAddress => ({ pid: link.provider_pid, socket: link.socket })

/** Plants a socket and follows its provider, like the real one for unix sockets. */
export const fakePlugin = (type: string, changes: Partial<Plugin> = {}): Plugin => ({
  name: `fake ${type}`,
  type,
  onLinkAdded: (link, box, kept) =>
    box.injectSocket(
      { kind: 'stream', target: link.target, provider: addressOf(link), descriptors: 'exact' },
      kept,
    ),
  onLinkChanged: (link, mediation, box) => box.retargetSocket(mediation, addressOf(link)),
  onLinkRemoved: (_, mediation, box) => box.withdraw(mediation),
  ...changes,
})
