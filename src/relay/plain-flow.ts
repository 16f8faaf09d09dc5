/** Flows that do not look at what they carry: dial at once, then pass everything as it comes. */
import type { BorrowedFd } from '../kernel/fd.ts'
import type { Connection } from './connection.ts'
import type { DialError, Side } from './contract.ts'
import type { Flow } from './flow.ts'
import { PacketOutbox } from './packet-outbox.ts'
import { readPackets } from './read-packets.ts'
import { readStream } from './read-stream.ts'
import type { Read } from './reading.ts'
import { StreamOutbox } from './stream-outbox.ts'

export const opposite = (side: Side): Side => (side === 'consumer' ? 'provider' : 'consumer')

abstract class PlainFlow<O extends StreamOutbox | PacketOutbox> implements Flow {
  protected readonly connection: Connection
  protected readonly outboxes: { consumer?: O; provider?: O } = {}
  readonly closing = false

  constructor(connection: Connection) {
    this.connection = connection
  }

  protected abstract newOutbox(fd: BorrowedFd): O
  protected abstract pass(from: Side, fd: BorrowedFd, outbox: O): Read

  opened(): void {
    this.connection.dial('daemon')
  }

  dialled(failed: DialError | undefined): void {
    if (failed !== undefined) this.connection.close()
  }

  outboxFor(side: Side, fd: BorrowedFd): O {
    const outbox = this.newOutbox(fd)
    this.outboxes[side] = outbox
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
    const outbox = this.outboxes[opposite(from)]
    if (source === undefined || outbox === undefined) return 'idle'
    return this.pass(from, source.fd.borrowed, outbox)
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
  protected newOutbox(fd: BorrowedFd): StreamOutbox {
    return new StreamOutbox(this.connection.traffic, fd)
  }

  protected pass(side: Side, fd: BorrowedFd, outbox: StreamOutbox): Read {
    const { counters, descriptors, held } = this.connection.traffic
    return readStream({ fd, side, descriptors, held, queue: undefined }, outbox, counters)
  }
}

/** Packets. */
export class PacketFlow extends PlainFlow<PacketOutbox> {
  protected newOutbox(fd: BorrowedFd): PacketOutbox {
    return new PacketOutbox(this.connection.traffic, fd)
  }

  protected pass(side: Side, fd: BorrowedFd, outbox: PacketOutbox): Read {
    const { counters, held } = this.connection.traffic
    return readPackets(fd, side, outbox, counters, held)
  }
}
