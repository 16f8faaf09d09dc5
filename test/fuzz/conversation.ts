/**
 * Both ends of one relayed connection, and a model of what the relay owes them: every byte and every descriptor that
 * was taken from one end arrives at the other, in order and at its place, before the end does, as long as the other
 * end is there to read it. Ends, refusals and resets are believed only where the model has a reason for them.
 */
import assert from 'node:assert/strict'
import { Io } from '../../src/kernel/errno.ts'
import { nextPacketBytes } from '../../src/kernel/message.ts'
import type { Side } from '../../src/relay/contract.ts'
import type { SocketKind } from '../../src/toolbox/contract.ts'
import { consume, type Parcels } from '../support/descriptors.ts'
import { pattern, type Wire } from '../support/relay.ts'

export const opposite = (side: Side): Side => (side === 'consumer' ? 'provider' : 'consumer')

/** No send is longer: it would not fit in one. */
export const LONGEST = 200_000

/** Taken round and round; prime, so that a block out of place shows. */
const ROUND = 1_000_003
const ONCE = pattern(ROUND)
const SOURCE = Buffer.concat([ONCE, ONCE.subarray(0, LONGEST)])

/** What one end has written and the other has read. */
class Direction {
  /** Where in the round it begins. */
  readonly seed: number
  sent = 0
  read = 0
  /** Of a stream: the places of descriptors that are still to come. Of packets: every one, descriptors or not. */
  readonly due: { readonly at: number; readonly length: number; readonly identities: readonly string[] }[] =
    []
  /** The writer has ended it. */
  ended = false
  /** The reader has seen its end. */
  over = false

  constructor(seed: number) {
    this.seed = seed
  }

  piece(at: number, length: number): Buffer {
    const start = (this.seed + at) % ROUND
    return SOURCE.subarray(start, start + length)
  }
}

export class Conversation {
  readonly #kind: SocketKind
  readonly #wires: () => { readonly consumer: Wire; readonly provider: Wire | undefined }
  readonly #parcels: Parcels
  /** By who writes. */
  readonly #from: Readonly<Record<Side, Direction>>
  readonly #closed = new Set<Side>()
  #nextParcel: number

  constructor(
    kind: SocketKind,
    wires: () => { readonly consumer: Wire; readonly provider: Wire | undefined },
    parcels: Parcels,
    seed: number,
  ) {
    this.#kind = kind
    this.#wires = wires
    this.#parcels = parcels
    this.#from = { consumer: new Direction(seed * 7919), provider: new Direction(seed * 7919 + 104_729) }
    this.#nextParcel = seed
  }

  #wire(side: Side): Wire | undefined {
    return this.#closed.has(side) ? undefined : this.#wires()[side]
  }

  write(side: Side, length: number, fds: number): void {
    const wire = this.#wire(side)
    const direction = this.#from[side]
    if (wire === undefined || direction.ended) return
    const size = this.#kind === 'stream' ? Math.max(1, length) : length
    const chosen = Array.from({ length: fds }, (_, i) => (this.#nextParcel + i) % this.#parcels.fds.length)
    const sent = wire.send(
      direction.piece(direction.sent, size),
      chosen.map(index => this.#parcels.fds[index] ?? -1),
    )
    if (sent === Io.again || sent === Io.busy) return
    if (sent < 0) {
      assert.equal(sent, Io.gone)
      assert.ok(this.#closed.has(opposite(side)), `the ${side} cannot write, yet its peer is there`)
      return
    }
    if (this.#kind === 'seqpacket') assert.equal(sent, size)
    if (fds > 0 || this.#kind === 'seqpacket') {
      const identities = chosen.map(index => this.#parcels.identities[index] ?? '')
      direction.due.push({ at: direction.sent, length: sent, identities })
      this.#nextParcel += fds
    }
    direction.sent += sent
  }

  /** One read of what is there. True: it brought something, be it the end. */
  async read(side: Side, room: number): Promise<boolean> {
    const wire = this.#wire(side)
    const direction = this.#from[opposite(side)]
    if (wire === undefined || direction.over) return false
    return this.#kind === 'stream'
      ? this.#readStream(side, wire, direction, room)
      : this.#readPacket(side, wire, direction)
  }

  #readStream(side: Side, wire: Wire, direction: Direction, room: number): boolean {
    const [next] = direction.due
    // Never past the place of the next descriptors, so that their place shows.
    const ahead = next !== undefined && next.at > direction.read ? next.at - direction.read : LONGEST
    const message = wire.receive(Math.max(1, Math.min(room, ahead)))
    if (typeof message === 'number')
      return message === Io.again ? false : this.#failed(side, direction, message)
    const identities = consume(message.fds)
    if (message.bytes.length === 0) return this.#ended(side, direction)
    const expected = next?.at === direction.read ? next.identities : []
    assert.deepEqual(identities, expected, `descriptors at byte ${direction.read} to the ${side}`)
    if (next?.at === direction.read) direction.due.shift()
    this.#compare(side, direction, message.bytes)
    return true
  }

  async #readPacket(side: Side, wire: Wire, direction: Direction): Promise<boolean> {
    // A reset stands in front of the packets, and looking takes it away.
    if (nextPacketBytes(wire.fd) === Io.again) return false
    const packet = await wire.nextPacket()
    if (packet === undefined) return this.#ended(side, direction)
    const identities = consume(packet.fds)
    const next = direction.due.shift()
    assert.ok(next !== undefined, `the ${side} got a packet of ${packet.bytes.length} bytes that nobody sent`)
    assert.equal(packet.bytes.length, next.length, `length of the packet at byte ${next.at} to the ${side}`)
    assert.deepEqual(
      identities,
      next.identities,
      `descriptors of the packet at byte ${next.at} to the ${side}`,
    )
    this.#compare(side, direction, packet.bytes)
    return true
  }

  #compare(side: Side, direction: Direction, bytes: Buffer): void {
    assert.ok(direction.read + bytes.length <= direction.sent, `the ${side} got more than was sent`)
    const expected = direction.piece(direction.read, bytes.length)
    assert.ok(expected.equals(bytes), `the ${side} got other bytes than were sent, after ${direction.read}`)
    direction.read += bytes.length
  }

  #ended(side: Side, direction: Direction): boolean {
    assert.ok(direction.ended, `the ${side} saw an end that its peer did not make`)
    assert.equal(direction.read, direction.sent, `the ${side} saw the end early`)
    direction.over = true
    return true
  }

  /** Only a peer that closed with something unread resets, and it loses nothing that was sent before. */
  #failed(side: Side, direction: Direction, failure: number): boolean {
    assert.equal(failure, Io.gone)
    assert.ok(this.#closed.has(opposite(side)), `the ${side} was reset, yet its peer is there`)
    return this.#ended(side, direction)
  }

  end(side: Side): void {
    const wire = this.#wire(side)
    if (wire === undefined || this.#from[side].ended) return
    wire.endWriting()
    this.#from[side].ended = true
  }

  close(side: Side): void {
    const wire = this.#wire(side)
    if (wire === undefined) return
    wire.close()
    this.#closed.add(side)
    this.#from[side].ended = true
  }

  /** Nobody who is there still waits for anything. A provider need not be dialled for a consumer that has left. */
  get isOver(): boolean {
    const { provider } = this.#wires()
    const isDone = (side: Side): boolean => this.#closed.has(side) || this.#from[opposite(side)].over
    return (
      isDone('consumer') && (isDone('provider') || (provider === undefined && this.#closed.has('consumer')))
    )
  }

  /** For a message: how far both directions are. */
  get state(): string {
    return (['consumer', 'provider'] as const)
      .map(side => `${side} sent ${this.#from[side].sent}, of which ${this.#from[side].read} were read`)
      .join('; ')
  }
}
