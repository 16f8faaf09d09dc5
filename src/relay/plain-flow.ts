/** Flows that do not look at what they carry: dial at once, say who comes where the link wants that, then pass everything as it comes. */
import type { BorrowedFd } from '../kernel/fd.ts'
import { addCopy, beginParts, stageInput } from '../kernel/message.ts'
import type { Connection } from './connection.ts'
import type { DialError, PeerCredentials, Side } from './contract.ts'
import type { Flow } from './flow.ts'
import { opposite } from './half.ts'
import type { Outbox, Written } from './outbox.ts'
import { PacketOutbox } from './packet-outbox.ts'
import type { LinkTraffic } from './ports.ts'
import { readPackets } from './read-packets.ts'
import { readStream } from './read-stream.ts'
import type { Read } from './reading.ts'
import { StreamOutbox } from './stream-outbox.ts'

export const passStream = (
  { counters, descriptors, held }: LinkTraffic,
  side: Side,
  fd: BorrowedFd,
  outbox: StreamOutbox,
): Read => readStream({ fd, side, descriptors, held, queue: undefined }, outbox, counters)

export const passPackets = (
  { counters, descriptors, held }: LinkTraffic,
  side: Side,
  fd: BorrowedFd,
  outbox: PacketOutbox,
): Read => readPackets({ fd, side, descriptors, held, mostBytes: outbox.mostPacketBytes }, outbox, counters)

export abstract class PlainFlow<C extends Outbox, P extends Outbox = C> implements Flow {
  protected readonly connection: Connection
  protected readonly outboxes: { consumer?: C; provider?: P } = {}
  /** The first that the provider is to hear, and on whose behalf. */
  #greeting: { readonly bytes: Uint8Array; readonly from: PeerCredentials } | undefined
  readonly closing = false

  constructor(connection: Connection) {
    this.connection = connection
  }

  protected abstract outboxToConsumer(fd: BorrowedFd): C
  protected abstract outboxToProvider(fd: BorrowedFd): P
  protected abstract passUp(fd: BorrowedFd, outbox: P): Read
  protected abstract passDown(fd: BorrowedFd, outbox: C): Read
  /** The first that the provider hears. */
  protected abstract greet(outbox: P, greeting: Uint8Array, peer: PeerCredentials): Written

  opened(): void {
    const { introduction } = this.connection.traffic
    // Made now: whoever connected may be gone when the provider comes.
    if (introduction?.greeting !== undefined && !this.#meet(introduction.greeting)) return
    this.connection.dial(introduction?.dialAs ?? 'daemon')
  }

  #meet(greeting: (peer: PeerCredentials) => Uint8Array): boolean {
    const peer = this.connection.peer()
    if (peer === undefined) {
      this.connection.close()
      return false
    }
    this.#greeting = { bytes: greeting(peer), from: peer }
    return true
  }

  dialled(failed: DialError | undefined): void {
    if (failed !== undefined) {
      this.connection.close()
      return
    }
    const greeting = this.#greeting
    const provider = this.connection.half('provider')
    const outbox = this.outboxes.provider
    if (greeting === undefined || provider === undefined || outbox === undefined) return
    const written = this.greet(outbox, greeting.bytes, greeting.from)
    this.connection.wrote(provider, written === 'later' ? outbox.depart() : written)
  }

  outboxFor(side: Side, fd: BorrowedFd): Outbox {
    if (side === 'consumer') {
      const outbox = this.outboxToConsumer(fd)
      this.outboxes.consumer = outbox
      return outbox
    }
    const outbox = this.outboxToProvider(fd)
    this.outboxes.provider = outbox
    return outbox
  }

  reads(from: Side): boolean {
    const outbox = this.outboxes[opposite(from)]
    if (outbox === undefined) return false
    const half = this.connection.half(opposite(from))
    // Once full, an outbox is left alone until it is half empty: refilling it byte by byte would cost a call each.
    return half?.outputOpen === true && !half.ending && (half.blocked ? outbox.hungry : !outbox.full)
  }

  read(from: Side): Read {
    const source = this.connection.half(from)
    if (source === undefined) return 'idle'
    const fd = source.fd.borrowed
    const { consumer, provider } = this.outboxes
    if (from === 'consumer') return provider === undefined ? 'idle' : this.passUp(fd, provider)
    return consumer === undefined ? 'idle' : this.passDown(fd, consumer)
  }

  passesEnd(): boolean {
    return true
  }

  endsByItself(): boolean {
    return true
  }

  outputBroken(): void {
    // The other direction goes on, if it can.
  }

  settling(): void {
    // Nothing is put off.
  }

  withdrawn(): void {
    // Nobody can tell what is in progress in bytes that nobody looks at.
  }

  drained(): void {
    // Nothing waits for it: reading resumes by itself.
  }

  closed(): void {
    // Nothing is held beyond the connection's own.
  }
}

/** Bytes, with descriptors at their exact positions where the link carries any. */
export class StreamFlow extends PlainFlow<StreamOutbox> {
  protected outboxToConsumer(fd: BorrowedFd): StreamOutbox {
    return new StreamOutbox(this.connection.traffic, fd)
  }

  protected outboxToProvider(fd: BorrowedFd): StreamOutbox {
    return new StreamOutbox(this.connection.traffic, fd)
  }

  protected passUp(fd: BorrowedFd, outbox: StreamOutbox): Read {
    return passStream(this.connection.traffic, 'consumer', fd, outbox)
  }

  protected passDown(fd: BorrowedFd, outbox: StreamOutbox): Read {
    return passStream(this.connection.traffic, 'provider', fd, outbox)
  }

  protected greet(outbox: StreamOutbox, greeting: Uint8Array): Written {
    beginParts()
    addCopy(greeting)
    return outbox.writeParts([])
  }
}

/** Packets. */
export class PacketFlow extends PlainFlow<PacketOutbox> {
  protected outboxToConsumer(fd: BorrowedFd): PacketOutbox {
    return new PacketOutbox(this.connection.traffic, fd)
  }

  protected outboxToProvider(fd: BorrowedFd): PacketOutbox {
    return new PacketOutbox(this.connection.traffic, fd)
  }

  protected passUp(fd: BorrowedFd, outbox: PacketOutbox): Read {
    return passPackets(this.connection.traffic, 'consumer', fd, outbox)
  }

  protected passDown(fd: BorrowedFd, outbox: PacketOutbox): Read {
    return passPackets(this.connection.traffic, 'provider', fd, outbox)
  }

  protected greet(outbox: PacketOutbox, greeting: Uint8Array): Written {
    stageInput(greeting)
    return outbox.write(greeting.length, [])
  }
}
