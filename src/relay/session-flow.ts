/**
 * The flow that asks a plugin's session what to do with each input.
 *
 * Bytes stay where the kernel put them: the session sees a view of the shared input buffer and what it forwards is
 * written from there, one sendmsg per destination and call. What it leaves is stashed and comes again with more.
 * What its commands do is no business of this file (`session-host.ts`).
 */

import type { BorrowedFd } from '../kernel/fd.ts'
import { INPUT_BYTES, inputBytes, inputView, received } from '../kernel/message.ts'
import type { Connection } from './connection.ts'
import type { ByteView, DialError, DialledAs, SessionFactory, Side } from './contract.ts'
import { countBytes } from './counters.ts'
import { roomForRights } from './descriptor-reserve.ts'
import type { Flow } from './flow.ts'
import { opposite } from './half.ts'
import { keepsDescriptors } from './ports.ts'
import { bytesMoved, readStream } from './read-stream.ts'
import { type Read, readFailure } from './reading.ts'
import { receiveAs, receiveToDiscard, takeReceived } from './receive.ts'
import { SessionHost } from './session-host.ts'
import {
  addDescriptors,
  isUnseen,
  MOST_WAITING_DESCRIPTORS,
  type PendingInput,
  stashRest,
} from './session-input.ts'
import type { StreamOutbox } from './stream-outbox.ts'

/** One for all that is shown: a session may keep nothing of an input. */
const SHOWN: { kind: 'bytes'; from: Side; view: ByteView; fds: { count: number; at: number } } = {
  kind: 'bytes',
  from: 'consumer',
  view: new Uint8Array(0),
  fds: { count: 0, at: 0 },
}

export class SessionFlow implements Flow {
  readonly #connection: Connection
  readonly #host: SessionHost
  /** Sides that broke, of which the session has not been told. */
  readonly #broken: Side[] = []

  constructor(connection: Connection, session: SessionFactory) {
    this.#connection = connection
    this.#host = new SessionHost(connection, session)
  }

  opened(): void {
    const peer = this.#connection.peer()
    if (peer === undefined) {
      this.#connection.close()
      return
    }
    this.#host.tell({ kind: 'opened', peer })
    this.#host.boundHandshake()
  }

  dialled(failed: DialError | undefined, as: DialledAs | undefined): void {
    if (failed !== undefined) this.#host.giveUpProvider()
    const kind = 'dialled'
    this.#host.tell(failed !== undefined ? { kind, failed } : as !== undefined ? { kind, as } : { kind })
  }

  outboxFor(side: Side, fd: BorrowedFd): StreamOutbox {
    const outbox = this.#host.outbox(side)
    outbox.open(fd)
    return outbox
  }

  get closing(): boolean {
    return this.#host.closing !== undefined
  }

  reads(from: Side): boolean {
    const host = this.#host
    if (host.closing !== undefined) return host.closing === 'linger'
    const input = host.input(from)
    if (input.paused) return false
    // Bytes that nobody looks at have nowhere to wait until the provider is there.
    if (isUnseen(input) && !this.#connection.connected) return false
    // A session may answer to either side, so both outboxes bound what is read. But what one side does not take may not
    // keep the other from hearing it: a server that answers before it has read all would wait for ever.
    if (host.outbox(from).overfull) return false
    const outbox = host.outbox(opposite(from))
    return this.#connection.half(opposite(from))?.blocked === true ? outbox.hungry : !outbox.full
  }

  read(from: Side): Read {
    const source = this.#connection.half(from)
    if (source === undefined) return 'idle'
    const fd = source.fd.borrowed
    if (this.#host.closing === 'linger') return this.#readToDiscard(fd)
    const input = this.#host.input(from)
    input.lastMoved = this.#connection.traffic.plane.reactor.clock.now()
    if (!isUnseen(input)) return this.#readForSession(from, fd, input)
    return this.#connection.half(opposite(from))?.outputOpen === false
      ? this.#dropUnseen(from, fd, input)
      : this.#passUnseen(from, fd, input)
  }

  #readToDiscard(fd: BorrowedFd): Read {
    const { held, counters } = this.#connection.traffic
    const n = receiveToDiscard(fd, INPUT_BYTES, counters, held)
    if (n === 0) return 'ended'
    return n < 0 ? readFailure(n) : 'budget'
  }

  /** They have nowhere to go. */
  #dropUnseen(from: Side, fd: BorrowedFd, input: PendingInput): Read {
    const { counters, held } = this.#connection.traffic
    const n = receiveToDiscard(fd, Math.min(INPUT_BYTES, input.opaque), counters, held)
    if (n === 0) return 'ended'
    if (n < 0) return readFailure(n)
    countBytes(counters, from, n)
    input.opaque -= n
    return 'budget'
  }

  #passUnseen(from: Side, fd: BorrowedFd, input: PendingInput): Read {
    const { counters, descriptors, held } = this.#connection.traffic
    const queue =
      descriptors === 'queued' ? (fds: readonly number[]) => addDescriptors(input, fds, 0, held) : undefined
    const source = { fd, side: from, descriptors, held, queue }
    const outcome = readStream(source, this.#host.outbox(opposite(from)), counters, input.opaque)
    input.opaque -= bytesMoved
    return this.#hoards(from, input) ? 'idle' : outcome
  }

  #readForSession(from: Side, fd: BorrowedFd, input: PendingInput): Read {
    const { counters, descriptors, held } = this.#connection.traffic
    if (descriptors !== 'none' && !roomForRights(fd, INPUT_BYTES, held)) return 'starved'
    const before = input.stash.length
    const room = INPUT_BYTES - before
    if (room === 0) {
      this.#connection.traffic.log.error(
        { side: from },
        'session left a full buffer unconsumed: connection closed',
      )
      this.#connection.close()
      return 'idle'
    }
    const n = receiveAs(descriptors, fd, before, room)
    if (n === 0) return 'ended'
    if (n < 0) return readFailure(n)
    countBytes(counters, from, n)
    if (received.fdCount > 0) addDescriptors(input, takeReceived(descriptors, counters, held), before, held)
    if (keepsDescriptors(descriptors) && received.controlTruncated) return 'lost'
    if (this.#hoards(from, input)) return 'idle'
    if (before > 0) inputBytes().set(input.stash)
    this.#offer(from, input, before + n)
    return 'idle'
  }

  /** More descriptors wait than any message can have: their connection is closed. */
  #hoards(from: Side, input: PendingInput): boolean {
    if (input.fds.length <= MOST_WAITING_DESCRIPTORS) return false
    this.#connection.traffic.log.warn(
      { side: from, most: MOST_WAITING_DESCRIPTORS },
      'more descriptors came than any message can have: connection closed',
    )
    this.#connection.close()
    return true
  }

  /** Offer the first `length` bytes of the input buffer, as often as the session makes progress. */
  #offer(from: Side, input: PendingInput, length: number): void {
    const host = this.#host
    host.beginOffer(from, length)
    while (host.consumed < length && host.closing === undefined && !input.paused) {
      const before = host.consumed
      if (input.opaque > 0) {
        this.#forwardUnseen(from, input, Math.min(input.opaque, length - before))
      } else {
        SHOWN.from = from
        SHOWN.view = inputView(before, length)
        SHOWN.fds.count = input.fds.length
        SHOWN.fds.at = Math.max(0, (input.fdsAt[0] ?? 0) - before)
        host.tell(SHOWN)
      }
      if (host.consumed === before && input.opaque === 0) break
    }
    const consumed = host.endOffer()
    stashRest(input, host.closing === undefined ? consumed : length, length)
  }

  /** Pass bytes on that were read for the session but are not its business, with the descriptors among them. */
  #forwardUnseen(from: Side, input: PendingInput, bytes: number): void {
    const host = this.#host
    input.opaque -= bytes
    // Queued descriptors belong to a message that is still to come.
    if (this.#connection.traffic.descriptors === 'queued') {
      host.forward(from, bytes, 0)
      return
    }
    const end = host.consumed + bytes
    while (host.consumed < end) {
      const at = host.consumed
      // One message for the descriptors of one byte: it goes as far as the next byte that has some.
      let fds = 0
      while ((input.fdsAt[fds] ?? end) <= at) fds += 1
      host.forward(from, Math.min(end, input.fdsAt[fds] ?? end) - at, fds)
    }
  }

  passesEnd(from: Side, fully: boolean): boolean {
    const host = this.#host
    if (host.closing !== undefined) {
      if (from === 'consumer') host.endLinger()
      return false
    }
    if (host.input(from).opaque === Number.POSITIVE_INFINITY) return true
    host.tell({ kind: 'ended', from, fully })
    return false
  }

  endsByItself(to: Side): boolean {
    return this.#host.input(opposite(to)).opaque === Number.POSITIVE_INFINITY
  }

  outputBroken(to: Side): void {
    // What a close waited for will never be written.
    if (this.#host.closing !== undefined) this.#host.finishClosing()
    // The session may be looking at something else just now.
    else if (!this.endsByItself(to)) this.#broken.push(to)
  }

  settling(): void {
    // A provider that answers at once makes the connection settle in the middle of a look.
    if (this.#host.offering) return
    while (!this.#connection.closed && this.#host.closing === undefined) {
      const to = this.#broken.shift()
      if (to !== undefined) this.#host.tell({ kind: 'broken', to })
      else if (!this.#offerAgain('provider') && !this.#offerAgain('consumer')) return
    }
  }

  /** Offer what waits of a side that was resumed. False: there is nothing to offer. */
  #offerAgain(from: Side): boolean {
    const input = this.#host.input(from)
    if (!input.again || input.paused) return false
    input.again = false
    if (input.stash.length === 0) return false
    const { length } = input.stash
    inputBytes().set(input.stash)
    this.#offer(from, input, length)
    // Without progress it would be shown the same again, without end.
    if (input.stash.length === length) input.again = false
    return true
  }

  withdrawn(): void {
    if (this.#host.closing === undefined) this.#host.tell({ kind: 'withdrawn' })
  }

  drained(to: Side): void {
    const { closing } = this.#host
    if (closing === 'flush' || closing === 'linger') this.#host.finishClosing()
    else this.#host.tell({ kind: 'drained', to })
  }

  closed(): void {
    this.#host.closed()
  }
}
