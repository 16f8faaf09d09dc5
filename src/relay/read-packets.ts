/** Reading SEQPACKET: one packet at a time, boundaries, descriptors and empty packets kept (unix(7)). */

import { closeReceived } from '../kernel/closing.ts'
import { Io } from '../kernel/errno.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import {
  growInput,
  INPUT_BYTES,
  nextPacketBytes,
  received,
  receiveWithRights,
  shrinkInput,
} from '../kernel/message.ts'
import type { Side } from './contract.ts'
import { countBytes, type LinkCounters } from './counters.ts'
import { type HeldDescriptors, roomForRights } from './descriptor-reserve.ts'
import type { Written } from './outbox.ts'
import type { PacketOutbox } from './packet-outbox.ts'
import type { Descriptors } from './ports.ts'
import { afterWrite, type Read, readFailure, TURN_BYTES, TURN_PACKETS } from './reading.ts'
import { takeReceived } from './receive.ts'

export interface PacketSource {
  readonly fd: BorrowedFd
  readonly side: Side
  readonly descriptors: Descriptors
  readonly held: HeldDescriptors
  /** The longest packet that is taken. */
  readonly mostBytes: number
}

/** Takes over the packet at the beginning of the input buffer, with its descriptors. */
export type TakePacket = (length: number, fds: readonly number[]) => Written

/** Read the next packet and hand it on. `undefined`: go on. */
export const readPacket = (
  { fd, side, descriptors, held, mostBytes }: PacketSource,
  counters: LinkCounters,
  take: TakePacket,
): Read | undefined => {
  // A peer that closed with unread data leaves an error in front of the packets it had sent; reading takes it away. It
  // may close at any time, between a look and a read too.
  let length = nextPacketBytes(fd)
  if (length === Io.gone) length = nextPacketBytes(fd)
  if (length < 0) return readFailure(length)
  if (length > mostBytes) return 'too-long'
  if (!roomForRights(fd, 1, held)) return 'starved'
  growInput(length)
  let n = receiveWithRights(fd, 0, Math.max(length, 1))
  if (n === Io.gone) n = receiveWithRights(fd, 0, Math.max(length, 1))
  if (n < 0) return readFailure(n)
  // Every packet carries credentials, because our sockets ask for them; the end of the stream does not.
  if (n === 0 && !received.credentialed) return 'ended'
  const isRefused = received.fdCount > 0 && descriptors === 'refused'
  const fds = takeReceived(descriptors, counters, held)
  if (isRefused) return 'refused'
  countBytes(counters, side, n)
  counters.messages += 1
  if (received.controlTruncated) {
    closeReceived(fds, held)
    return 'lost'
  }
  const written = take(n, fds)
  if (length > INPUT_BYTES) shrinkInput()
  return afterWrite(written)
}

/** Move the packets the source has into the outbox, at most one turn's worth. */
export const readPackets = (source: PacketSource, outbox: PacketOutbox, counters: LinkCounters): Read => {
  const before = counters.bytesUp + counters.bytesDown
  for (let packets = 0; packets < TURN_PACKETS; packets += 1) {
    if (outbox.full) return 'blocked'
    const stop = readPacket(source, counters, outbox.take)
    if (stop !== undefined) return stop
    if (counters.bytesUp + counters.bytesDown - before >= TURN_BYTES) return 'budget'
  }
  return 'budget'
}
