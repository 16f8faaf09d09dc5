/** One end of a `wayland` link, led by a test message by message (`peers/wayland.py`). */
import * as t from 'io-ts'
import type { Place } from './container.ts'
import { type Peer, peerOf, startPeerProcess } from './peer.ts'
import { told } from './wayland-wire.ts'

const PATIENCE_MS = 20_000

const Nothing = t.type({})
const Count = t.type({ count: t.number })
const Amount = t.type({ bytes: t.number })
const Heard = t.type({
  hex: t.string,
  reads: t.array(
    t.type({
      at: t.number,
      descriptors: t.array(t.type({ dev: t.string, ino: t.string, content: t.union([t.string, t.null]) })),
      cut: t.boolean,
    }),
  ),
  ended: t.union([t.string, t.null]),
})

export interface Heard {
  readonly bytes: Buffer
  /** The messages, for a person to compare. */
  readonly told: readonly string[]
  /** What descriptors held, in their order. */
  readonly descriptors: readonly (string | null)[]
  /** How many came with each read that had some. */
  readonly shares: readonly number[]
  /** The kernel dropped some, because there was no room. */
  readonly isCut: boolean
  /** `end`, or an errno; `null`: it goes on. */
  readonly ended: string | null
}

const heard = ({ hex, reads, ended }: t.TypeOf<typeof Heard>): Heard => {
  const bytes = Buffer.from(hex, 'hex')
  return {
    bytes,
    told: told(bytes),
    descriptors: reads.flatMap(({ descriptors }) => descriptors.map(({ content }) => content)),
    shares: reads.map(({ descriptors }) => descriptors.length),
    isCut: reads.some(({ cut }) => cut),
    ended,
  }
}

export interface Saying {
  readonly descriptors?: readonly string[]
  /** Bytes of one write. */
  readonly piece?: number
}

export interface WaylandPeer extends Peer {
  says(name: string, messages: readonly Uint8Array[], saying?: Saying): Promise<void>
  /** A byte at a time, each with so many copies of a descriptor, until the other end closes: how many bytes that were. */
  saysWithEach(name: string, bytes: Uint8Array, descriptor: string, copies: number): Promise<number>
  hears(name: string, bytes: number): Promise<Heard>
  hearsToEnd(name: string): Promise<Heard>
  /** Messages of 4 KiB to this object until nothing is taken for a while: how many bytes went. */
  floods(name: string, object: number, quietMs: number): Promise<number>
  /** The first message of a flood of so many bytes that is not what it should be, or -1. */
  hearsFlood(name: string, object: number, bytes: number): Promise<number>
}

export const startWaylandPeer = async (place: Place): Promise<WaylandPeer> => {
  const program = await startPeerProcess(place, 'wayland.py')
  const { ask } = program
  return {
    ...peerOf(place, program),
    says: async (name, messages, { descriptors = [], piece } = {}) => {
      const hex = Buffer.concat(messages).toString('hex')
      await ask(Nothing, 'write', { name, hex, descriptors, piece }, PATIENCE_MS)
    },
    saysWithEach: async (name, bytes, descriptor, copies) =>
      (
        await ask(
          Count,
          'write_with_each',
          { name, hex: Buffer.from(bytes).toString('hex'), descriptor, copies },
          PATIENCE_MS,
        )
      ).count,
    hears: async (name, size) => heard(await ask(Heard, 'hear', { name, size }, PATIENCE_MS)),
    hearsToEnd: async name => heard(await ask(Heard, 'hear_to_end', { name }, PATIENCE_MS)),
    floods: async (name, object, quietMs) =>
      (await ask(Amount, 'flood', { name, object, quiet_ms: quietMs }, PATIENCE_MS)).bytes,
    hearsFlood: async (name, object, size) =>
      (await ask(Count, 'hear_flood', { name, object, size }, PATIENCE_MS)).count,
  }
}
