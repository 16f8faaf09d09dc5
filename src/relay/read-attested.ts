/**
 * Reading a consumer's messages with their writers, which the kernel attests to a socket that asks for it (SO_PASSCRED, unix(7)).
 *
 * Of a stream, one read brings bytes of one writer: messages of different writers do not merge. Where descriptors are among
 * them, they are found and passed at their byte as in `read-stream.ts`; only their look gives the credentials room.
 */
import { closeReceived } from '../kernel/closing.ts'
import { Io } from '../kernel/errno.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import {
  peekBesideCredentials,
  received,
  receivedWriter,
  receiveUpToRights,
  receiveWithRights,
  type Writer,
} from '../kernel/message.ts'
import type { AttestedOutbox } from './attested-outbox.ts'
import { countBytes, type LinkCounters } from './counters.ts'
import { type HeldDescriptors, roomForRights } from './descriptor-reserve.ts'
import { type Descriptors, keepsDescriptors } from './ports.ts'
import { readPacket } from './read-packets.ts'
import { afterWrite, type Read, readFailure, TURN_BYTES, TURN_PACKETS } from './reading.ts'
import { takeReceived } from './receive.ts'

/** A kernel stream buffer is at most about 36 KiB; more than a few of them at a time saves nothing. */
const READ_BYTES = 64 * 1024

/** Whom the provider is told of for a writer. */
export type Attest = (writer: Writer) => Writer

interface Source {
  readonly fd: BorrowedFd
  readonly descriptors: Descriptors
  readonly held: HeldDescriptors
  readonly attest: Attest
}

const write = (
  source: Source,
  outbox: AttestedOutbox,
  counters: LinkCounters,
  n: number,
): Read | undefined => {
  const writer = receivedWriter()
  const fds = takeReceived(source.descriptors, counters, source.held)
  countBytes(counters, 'consumer', n)
  // Of whom nothing is known, nothing can be passed on: the kernel would vouch for us instead.
  if (received.controlTruncated || writer === undefined) {
    closeReceived(fds, source.held)
    return 'lost'
  }
  return afterWrite(outbox.write(n, fds, source.attest(writer)))
}

/** One read of a stream: plain bytes of one writer, or a message with descriptors. */
const passBytes = (source: Source, outbox: AttestedOutbox, counters: LinkCounters): Read | undefined => {
  const { fd } = source
  const end = peekBesideCredentials(fd, READ_BYTES)
  if (end === 0) return 'ended'
  if (end < 0) return readFailure(end)
  if (!received.controlTruncated) {
    const n = receiveWithRights(fd, 0, end)
    return n < 0 ? readFailure(n) : write(source, outbox, counters, n)
  }
  const before = end > 1 ? receiveUpToRights(fd, 0, end) : Io.fault
  if (before >= 0) return write(source, outbox, counters, before)
  if (before !== Io.fault) return readFailure(before)
  if (!keepsDescriptors(source.descriptors)) return 'refused'
  if (!roomForRights(fd, end, source.held)) return 'starved'
  const n = receiveWithRights(fd, 0, end)
  return n < 0 ? readFailure(n) : write(source, outbox, counters, n)
}

/** Move what the consumer has into the outbox, at most one turn's worth. */
export const readAttestedStream = (source: Source, outbox: AttestedOutbox, counters: LinkCounters): Read => {
  const before = counters.bytesUp
  while (counters.bytesUp - before < TURN_BYTES) {
    if (outbox.full) return 'blocked'
    const stop = passBytes(source, outbox, counters)
    if (stop !== undefined) return stop
  }
  return 'budget'
}

export const readAttestedPackets = (
  source: Source,
  outbox: AttestedOutbox,
  counters: LinkCounters,
  mostBytes: number,
): Read => {
  const before = counters.bytesUp
  for (let packets = 0; packets < TURN_PACKETS; packets += 1) {
    if (outbox.full) return 'blocked'
    const stop = readPacket({ ...source, side: 'consumer', mostBytes }, counters, (length, fds) => {
      const writer = receivedWriter()
      if (writer !== undefined) return outbox.write(length, fds, source.attest(writer))
      closeReceived(fds, source.held)
      return 'gone'
    })
    if (stop !== undefined) return stop
    if (counters.bytesUp - before >= TURN_BYTES) return 'budget'
  }
  return 'budget'
}
