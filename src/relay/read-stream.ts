/**
 * Reading a stream for a relay that does not look at the bytes.
 *
 * Rights belong to the first byte of their message, and one recvmsg may return plain bytes followed by a message with
 * rights: passing that on as it came would deliver the rights too early. So ask first: a peek with one byte of room
 * and no control buffer walks all that is queued, creates no descriptor and says whether rights are anywhere in it.
 * Then plain bytes go by the cheapest way, and a message with rights goes alone.
 */

import { closeReceived } from '../kernel/closing.ts'
import { Io } from '../kernel/errno.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import {
  addInput,
  beginParts,
  INPUT_BYTES,
  peek,
  queuedBytes,
  received,
  receivePlain,
  receiveUpToRights,
  receiveWithRights,
} from '../kernel/message.ts'
import type { Side } from './contract.ts'
import { countBytes, type LinkCounters } from './counters.ts'
import { type HeldDescriptors, roomForRights } from './descriptor-reserve.ts'
import type { Descriptors } from './ports.ts'
import { afterWrite, type Read, readFailure, TURN_BYTES } from './reading.ts'
import { takeReceived } from './receive.ts'
import type { StreamOutbox } from './stream-outbox.ts'

/** From here on a splice is cheaper than a copy. */
const SPLICE_FROM_BYTES = 16 * 1024
/** A kernel stream buffer is at most about 36 KiB, so no message with rights is longer than this. */
const RIGHTS_BYTES = 64 * 1024

/** How many bytes the last `readStream` moved. */
export let bytesMoved = 0

interface Source {
  readonly fd: BorrowedFd
  readonly side: Side
  readonly descriptors: Descriptors
  readonly held: HeldDescriptors
  /** Takes over descriptors that are not to pass with their byte. */
  readonly queue: ((fds: readonly number[]) => void) | undefined
}

/** Pass on the message with rights that stands first, or the plain bytes in front of it. */
const passRights = (
  source: Source,
  outbox: StreamOutbox,
  counters: LinkCounters,
  room: number,
): Read | undefined => {
  const end = peek(source.fd, Math.min(RIGHTS_BYTES, room))
  if (end <= 0) return readFailure(end)
  if (source.queue !== undefined) return queueRights(source, source.queue, outbox, counters, end)
  const before = end > 1 ? receiveUpToRights(source.fd, 0, end) : Io.fault
  if (before >= 0) return passPlain(source, outbox, counters, before)
  if (before !== Io.fault) return readFailure(before)
  if (source.descriptors === 'refused') return 'refused'
  if (!roomForRights(source.fd, end, source.held)) return 'starved'
  const n = receiveWithRights(source.fd, 0, end)
  if (n < 0) return readFailure(n)
  const fds = takeReceived(source.descriptors, counters, source.held)
  beginParts()
  addInput(0, n)
  countBytes(counters, source.side, n)
  bytesMoved += n
  if (received.controlTruncated) {
    closeReceived(fds, source.held)
    return 'lost'
  }
  return afterWrite(outbox.writeParts(fds))
}

/** Pass on the bytes up to the end of the first message with rights, and put those aside. */
const queueRights = (
  source: Source,
  queue: (fds: readonly number[]) => void,
  outbox: StreamOutbox,
  counters: LinkCounters,
  end: number,
): Read | undefined => {
  if (!roomForRights(source.fd, end, source.held)) return 'starved'
  const n = receiveWithRights(source.fd, 0, end)
  if (n < 0) return readFailure(n)
  queue(takeReceived(source.descriptors, counters, source.held))
  return received.controlTruncated ? 'lost' : passPlain(source, outbox, counters, n)
}

const passPlain = (
  source: Source,
  outbox: StreamOutbox,
  counters: LinkCounters,
  n: number,
): Read | undefined => {
  if (n === 0) return 'ended'
  countBytes(counters, source.side, n)
  bytesMoved += n
  return afterWrite(outbox.writeInput(n))
}

const splice = (
  source: Source,
  outbox: StreamOutbox,
  counters: LinkCounters,
  length: number,
): Read | undefined | 'copy' => {
  const spliced = outbox.spliceFrom(source.fd, length)
  if (spliced === undefined) return 'copy'
  const { moved, written } = spliced
  if (moved === 0) return 'ended'
  if (moved < 0) return readFailure(moved)
  countBytes(counters, source.side, moved)
  bytesMoved += moved
  return afterWrite(written)
}

const passBytes = (
  source: Source,
  outbox: StreamOutbox,
  counters: LinkCounters,
  length: number,
): Read | undefined => {
  if (length >= SPLICE_FROM_BYTES && outbox.spliceable) {
    const done = splice(source, outbox, counters, length)
    if (done !== 'copy') return done
  }
  const n = receivePlain(source.fd, 0, Math.min(length, INPUT_BYTES))
  return n < 0 ? readFailure(n) : passPlain(source, outbox, counters, n)
}

/**
 * Move what the source has into the outbox, at most `limit` bytes and one turn's worth. Ends after a small read: a
 * further one would mostly find nothing, and readiness asks at the price of no extra call.
 */
export const readStream = (
  source: Source,
  outbox: StreamOutbox,
  counters: LinkCounters,
  limit: number = Number.POSITIVE_INFINITY,
): Read => {
  bytesMoved = 0
  const turn = Math.min(TURN_BYTES, limit)
  while (bytesMoved < turn) {
    if (outbox.full) return 'blocked'
    const room = turn - bytesMoved
    const queued = queuedBytes(source.fd)
    if (queued < 0) return readFailure(queued)
    let stop: Read | undefined
    if (source.descriptors === 'none') {
      stop = passBytes(source, outbox, counters, Math.min(room, Math.max(queued, 1)))
    } else {
      // In this order: what arrives between the two calls lies beyond `queued`.
      const seen = peek(source.fd, 1)
      if (seen === 0) return 'ended'
      if (seen < 0) return readFailure(seen)
      if (queued === 0) continue
      stop = received.controlTruncated
        ? passRights(source, outbox, counters, room)
        : passBytes(source, outbox, counters, Math.min(room, queued))
    }
    if (stop !== undefined) return stop
    if (queued < SPLICE_FROM_BYTES) return 'idle'
  }
  return 'budget'
}
