/** The outbox of a SEQPACKET socket: whole messages with their descriptors, empty ones too. */

import { closeReceived } from '../kernel/closing.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import { addInput, beginParts, inputBytes, sendPartsTo, shrinkInput, stageInput } from '../kernel/message.ts'
import type { HeldDescriptors } from './descriptor-reserve.ts'
import { failedWrite, type Outbox, type Written } from './outbox.ts'
import type { RelayLimits } from './ports.ts'
import { SendRoom } from './send-room.ts'

interface Packet {
  readonly bytes: Uint8Array
  readonly fds: readonly number[]
}

/** What it shares with the other connections of its link. */
interface OutboxOf {
  readonly plane: {
    readonly limits: Pick<RelayLimits, 'queueBytes' | 'queueDescriptors' | 'queuePackets' | 'packetBytes'>
  }
  readonly held: HeldDescriptors
}

export class PacketOutbox implements Outbox {
  readonly #fd: BorrowedFd
  readonly #held: HeldDescriptors
  readonly #mostBytes: number
  readonly #mostDescriptors: number
  readonly #mostPackets: number
  /** The longest packet it takes. */
  readonly mostPacketBytes: number
  #packets: Packet[] = []
  #bytes = 0
  #descriptors = 0
  readonly #room: SendRoom

  constructor({ plane, held }: OutboxOf, fd: BorrowedFd) {
    this.#fd = fd
    this.#room = new SendRoom(fd)
    this.#held = held
    this.#mostBytes = plane.limits.queueBytes
    this.#mostDescriptors = plane.limits.queueDescriptors
    this.#mostPackets = plane.limits.queuePackets
    this.mostPacketBytes = plane.limits.packetBytes
  }

  get waiting(): number {
    return this.#bytes
  }

  get empty(): boolean {
    return this.#packets.length === 0
  }

  get full(): boolean {
    return (
      this.#bytes >= this.#mostBytes ||
      this.#descriptors >= this.#mostDescriptors ||
      this.#packets.length >= this.#mostPackets
    )
  }

  get hungry(): boolean {
    return (
      this.#bytes <= this.#mostBytes / 2 &&
      this.#descriptors <= this.#mostDescriptors / 2 &&
      this.#packets.length <= this.#mostPackets / 2
    )
  }

  #send(length: number, fds: readonly number[]): Written {
    let n = sendPartsTo(this.#fd, fds)
    if (this.#room.madeAfter(n, length)) n = sendPartsTo(this.#fd, fds)
    if (n >= 0) {
      closeReceived(fds, this.#held)
      return 'all'
    }
    return failedWrite(n)
  }

  /** Write the packet at the start of the input buffer. Takes the descriptors. */
  write(length: number, fds: readonly number[]): Written {
    if (this.empty) {
      beginParts()
      addInput(0, length)
      const written = this.#send(length, fds)
      if (written === 'all') return written
      if (written === 'gone') {
        closeReceived(fds, this.#held)
        return written
      }
      this.#queue(length, fds)
      return written
    }
    this.#queue(length, fds)
    return 'blocked'
  }

  /** `write`, for whoever reads packets. */
  readonly take = (length: number, fds: readonly number[]): Written => this.write(length, fds)

  #count(descriptors: number): void {
    this.#descriptors += descriptors
    this.#held.add(descriptors)
  }

  #queue(length: number, fds: readonly number[]): void {
    this.#packets.push({ bytes: inputBytes().slice(0, length), fds })
    this.#bytes += length
    this.#count(fds.length)
  }

  /** Nothing waits for that: each packet is a message of its own. */
  readonly departs = false

  depart(): Written {
    return 'all'
  }

  flush(): Written {
    let done = 0
    let outcome: Written = 'all'
    for (const packet of this.#packets) {
      stageInput(packet.bytes)
      beginParts()
      addInput(0, packet.bytes.length)
      outcome = this.#send(packet.bytes.length, packet.fds)
      if (outcome !== 'all') break
      done += 1
      this.#bytes -= packet.bytes.length
      this.#count(-packet.fds.length)
    }
    shrinkInput()
    if (done > 0) this.#packets.splice(0, done)
    return outcome
  }

  discard(): void {
    for (const packet of this.#packets) closeReceived(packet.fds, this.#held)
    this.#packets = []
    this.#bytes = 0
    this.#count(-this.#descriptors)
  }
}
