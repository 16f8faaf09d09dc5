/**
 * The two ends of a soak's conversations, in their containers, led from here: `test/support/peers/soak.py`, and `soak_types.py` for
 * links that are not `unix`.
 */
import * as t from 'io-ts'
import type { Place } from '../support/container.ts'
import { type Kind, startPeerProcess } from '../support/peer.ts'

/** Longer than the peers' own patience: who is stuck says so itself. */
const PATIENCE_MS = 90_000

/** How a conversation goes: both at once; one after the other; one leaves as soon as it has said all. */
export type How = 'both' | 'turn' | 'vanish' | 'hangup'

/** All that is going to happen, told to both ends. Keys as the peers spell them. */
export interface Header {
  readonly id: number
  readonly seed: number
  /** Bytes from the consumer, and from the provider. */
  readonly up: number
  readonly down: number
  /** Messages carry descriptors. */
  readonly rights: boolean
  readonly packets: boolean
  readonly how: How
  /** Milliseconds before either begins to read. */
  readonly client_wait: number
  readonly server_wait: number
  /** The provider says first that it is there. */
  readonly acknowledged: boolean
}

const Outcome = t.intersection([
  t.type({ outcome: t.keyof({ done: null, cut: null, refused: null, stuck: null, wrong: null }) }),
  t.partial({
    why: t.string,
    bytes: t.number,
    descriptors: t.number,
    established: t.union([t.number, t.null]),
  }),
])
export type Outcome = t.TypeOf<typeof Outcome>

/** `at`: when the provider saw it. */
const Problem = t.type({ id: t.number, at: t.number, outcome: t.string, why: t.string })
export type Problem = t.TypeOf<typeof Problem>

const Nothing = t.type({})
const Storm = t.type({ outcomes: t.array(Outcome) })
const Left = t.type({ refused: t.string })
const Report = t.type({
  problems: t.array(Problem),
  conversations: t.number,
  bytes: t.number,
  descriptors: t.number,
})
const Occupant = t.type({ ino: t.string })

const Faults = t.type({ faults: t.array(t.string) })

export type UseType = 'rest' | 'dbus' | 'wayland' | 'drm'
export type LinkType = 'unix' | UseType

/** What a client of such a link does: its values are what the peers' functions take, by name. */
export type Plan = Readonly<Record<string, number | string | boolean>>

export interface SoakPeer {
  /** One conversation through the socket at that path. */
  talk(path: string, header: Header): Promise<Outcome>
  /** Many, begun one right after the other. */
  storm(path: string, headers: readonly Header[]): Promise<readonly Outcome[]>
  /** Connect and be gone, so often; the errno of the last that was refused. */
  leave(path: string, packets: boolean, count: number): Promise<string>

  /** One conversation through a link that is not `unix`; where it is one of a device, a look at its node. */
  use(type: UseType, path: string, plan: Plan): Promise<Outcome>

  /** Listen there and be the provider of all who come. */
  provide(name: string, path: string, kind: Kind): Promise<void>
  /** The same for links that are not `unix`; `number`: of the device, where it is one. */
  offer(type: UseType, name: string, path: string, number: string): Promise<void>
  /** The device's node is gone. */
  unplug(path: string): Promise<void>
  /** What such providers met that no client of theirs may cause, since the last time. */
  faults(): Promise<readonly string[]>
  /** Stop listening; conversations go on. */
  close(name: string): Promise<void>
  stall(ms: number): Promise<unknown>
  /** What went other than well since the last time. */
  problems(): Promise<readonly Problem[]>

  /** Put something of its own at the path; returns what takes it away again. */
  occupy(path: string, how: 'socket' | 'file'): Promise<() => Promise<unknown>>
  kill(): Promise<void>
}

export const startSoakPeer = async (place: Place): Promise<SoakPeer> => {
  const { ask, kill } = await startPeerProcess(place, 'soak.py')
  return {
    talk: (path, header) => ask(Outcome, 'talk', { path, header }, PATIENCE_MS),
    storm: async (path, headers) => (await ask(Storm, 'storm', { path, headers }, PATIENCE_MS)).outcomes,
    leave: async (path, packets, count) => (await ask(Left, 'leave', { path, packets, count })).refused,

    use: (type, path, plan) => ask(Outcome, 'use', { type, path, plan }, PATIENCE_MS),

    offer: async (type, name, path, number) => {
      await ask(Nothing, 'offer', { type, name, path, number }, PATIENCE_MS)
    },
    unplug: async path => {
      await ask(Nothing, 'unplug', { path })
    },
    faults: async () => (await ask(Faults, 'offer_faults', {})).faults,
    provide: async (name, path, kind) => {
      await ask(Nothing, 'listen', { name, path, kind, replace: true })
      await ask(Nothing, 'answer', { listener: name })
    },
    close: async name => {
      await ask(Nothing, 'close', { name })
    },
    stall: ms => ask(Nothing, 'stall', { ms }),
    problems: async () => (await ask(Report, 'report', {})).problems,

    occupy: async (path, how) => {
      const { ino } = await ask(Occupant, 'occupy', { path, how })
      return () => ask(Nothing, 'vacate', { path, ino })
    },
    kill,
  }
}
