/**
 * The flow that asks a plugin's session what to do with each input, and carries it out.
 *
 * Bytes stay where the kernel put them: the session sees a view of the shared input buffer and what it forwards is
 * written from there, one sendmsg per destination and call. What it leaves is stashed and comes again with more.
 * Descriptors queue per direction and are handed out by count, so a session never holds a number.
 */

import { E } from '../fp.ts'
import { closeReceived } from '../kernel/closing.ts'
import { Io } from '../kernel/errno.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import {
  INPUT_BYTES,
  inputBytes,
  peek,
  received,
  receivePlain,
  receiveUpToRights,
  receiveWithRights,
} from '../kernel/message.ts'
import { peerCredentials } from '../kernel/socket.ts'
import type { Connection, Flow } from './connection.ts'
import type {
  AuditEvent,
  ByteView,
  Commands,
  CommonCounter,
  DialError,
  DialIdentity,
  Figure,
  Histogram,
  Session,
  SessionInput,
  Side,
  TimerName,
} from './contract.ts'
import { countBytes } from './counters.ts'
import { roomForRights } from './descriptor-reserve.ts'
import { ConnectionFigures } from './figures.ts'
import { GatheredWrites, NO_FDS } from './gathered-writes.ts'
import { opposite } from './plain-flow.ts'
import { bytesMoved, readStream, takeReceived } from './read-stream.ts'
import { type Read, readFailure } from './reading.ts'
import { SessionTimers } from './session-timers.ts'
import { StreamOutbox } from './stream-outbox.ts'

/** How long a lingering close reads on for the peer's own end (RFC 9112 section 9.6 has the reason). */
const LINGER_CLOSE_MS = 5000
const EMPTY = new Uint8Array(0)

/** One direction's input: what the session has not consumed, and what it has asked for. */
interface Input {
  stash: Uint8Array
  fds: number[]
  /** Offset in the stashed bytes of the byte that the first descriptor belongs to. */
  fdsAt: number
  opaque: number
  paused: boolean
  /** When its last byte came, as the reactor's clock tells it. */
  lastMoved: number
  /** What waits is to be shown again, though nothing was added. */
  again: boolean
}

const newInput = (): Input => ({
  stash: EMPTY,
  fds: [],
  fdsAt: 0,
  opaque: 0,
  paused: false,
  lastMoved: 0,
  again: false,
})

/**
 * Read plain bytes, or one message with descriptors: never both, so that a session is told the byte they belong to.
 * Plain bytes with descriptors behind them would come in one recvmsg (`read-stream.ts` has the whole story).
 */
const receiveExact = (fd: BorrowedFd, at: number, room: number): number => {
  const seen = peek(fd, 1)
  if (seen <= 0 || !received.controlTruncated) return receiveWithRights(fd, at, room)
  const end = peek(fd, room)
  const before = end > 1 ? receiveUpToRights(fd, at, end) : Io.fault
  return before === Io.fault ? receiveWithRights(fd, at, Math.max(end, 1)) : before
}

export class SessionFlow implements Flow, Commands {
  readonly #connection: Connection
  readonly #session: Session
  // Fields of their own: an object with the sides as keys costs a look-up by name with every step.
  readonly #consumerInput = newInput()
  readonly #providerInput = newInput()
  readonly #consumerOutbox: StreamOutbox
  readonly #providerOutbox: StreamOutbox
  readonly #timers: SessionTimers
  readonly #figures: ConnectionFigures
  /** Position in the view that the session is looking at. */
  #consumed = 0
  #viewEnd = 0
  /** Whose input is being offered. */
  #offered: Side | undefined
  /** Sides that broke, of which the session has not been told. */
  readonly #broken: Side[] = []
  readonly #writes = new GatheredWrites((to, fds) => this.#write(to, fds))
  #dialAs: DialIdentity | undefined
  #hasDialled = false
  /** The provider was dialled in vain, or let go of. */
  #isUnreachable = false
  #closing: 'now' | 'flush' | 'linger' | undefined
  #inCall = false

  constructor(connection: Connection, session: Session) {
    this.#connection = connection
    this.#session = session
    const { traffic } = connection
    const { clock } = traffic.plane.reactor
    this.#timers = new SessionTimers(
      clock,
      from => this.#input(from).lastMoved,
      name => this.#timerFired(name),
    )
    this.#figures = new ConnectionFigures(traffic.counters.counted)
    this.#consumerOutbox = new StreamOutbox(traffic)
    this.#providerOutbox = new StreamOutbox(traffic)
  }

  #input(from: Side): Input {
    return from === 'consumer' ? this.#consumerInput : this.#providerInput
  }

  #outbox(to: Side): StreamOutbox {
    return to === 'consumer' ? this.#consumerOutbox : this.#providerOutbox
  }

  // Flow: what the connection tells us.

  opened(): void {
    const consumer = this.#connection.half('consumer')
    const peer = consumer === undefined ? undefined : peerCredentials(consumer.fd.borrowed)
    if (peer === undefined || E.isLeft(peer)) {
      this.#connection.close()
      return
    }
    this.#tell({ kind: 'opened', peer: peer.right })
    if (!this.#hasDialled && !this.#connection.closed) this.#boundHandshake()
  }

  /** A client that never says enough to be taken to its provider must not keep its place for ever. */
  #boundHandshake(): void {
    this.#timers.set(HANDSHAKE, this.#connection.traffic.plane.limits.handshakeMs)
  }

  dialled(failed: DialError | undefined): void {
    if (failed !== undefined) this.#giveUpProvider()
    this.#tell(failed === undefined ? { kind: 'dialled' } : { kind: 'dialled', failed })
  }

  /** Nobody will ever read what is for it, and a session that closes with `flush` must not wait for that. */
  #giveUpProvider(): void {
    this.#isUnreachable = true
    this.#providerOutbox.discard()
  }

  outboxFor(side: Side, fd: BorrowedFd): StreamOutbox {
    const outbox = this.#outbox(side)
    outbox.open(fd)
    return outbox
  }

  get closing(): boolean {
    return this.#closing !== undefined
  }

  reads(from: Side): boolean {
    if (this.#closing !== undefined) return this.#closing === 'linger'
    const input = this.#input(from)
    if (input.paused) return false
    // Bytes that nobody looks at have nowhere to wait until the provider is there.
    if (input.opaque > 0 && input.stash.length === 0 && !this.#connection.connected) return false
    // A session may answer to either side, so both outboxes bound what is read. But what one side does not take may not
    // keep the other from hearing it: a server that answers before it has read all would wait for ever.
    if (this.#outbox(from).overfull) return false
    const outbox = this.#outbox(opposite(from))
    return this.#connection.half(opposite(from))?.blocked === true ? outbox.hungry : !outbox.full
  }

  read(from: Side): Read {
    const source = this.#connection.half(from)
    if (source === undefined) return 'idle'
    if (this.#closing === 'linger') return this.#readToDiscard(source.fd.borrowed)
    const input = this.#input(from)
    input.lastMoved = this.#connection.traffic.plane.reactor.clock.now()
    return input.opaque > 0 && input.stash.length === 0
      ? this.#readOpaque(from, source.fd.borrowed, input)
      : this.#readForSession(from, source.fd.borrowed, input)
  }

  #readToDiscard(fd: BorrowedFd): Read {
    const { held, counters } = this.#connection.traffic
    const n = receiveWithRights(fd, 0, INPUT_BYTES)
    if (received.fdCount > 0) takeReceived('dropped', counters, held)
    if (n === 0) return 'ended'
    if (n < 0) return readFailure(n)
    return 'budget'
  }

  #readOpaque(from: Side, fd: BorrowedFd, input: Input): Read {
    const { counters, descriptors, held } = this.#connection.traffic
    if (this.#connection.half(opposite(from))?.outputOpen === false) return this.#dropOpaque(from, fd, input)
    const outcome = readStream(
      { fd, side: from, descriptors, held },
      this.#outbox(opposite(from)),
      counters,
      input.opaque,
    )
    input.opaque -= bytesMoved
    return outcome
  }

  /** They have nowhere to go. */
  #dropOpaque(from: Side, fd: BorrowedFd, input: Input): Read {
    const n = this.#receive(fd, 0, Math.min(INPUT_BYTES, input.opaque))
    if (n === 0) return 'ended'
    if (n < 0) return readFailure(n)
    const { counters, held } = this.#connection.traffic
    if (received.fdCount > 0) takeReceived('dropped', counters, held)
    countBytes(counters, from, n)
    input.opaque -= n
    return 'budget'
  }

  #receive(fd: BorrowedFd, at: number, room: number): number {
    switch (this.#connection.traffic.descriptors) {
      case 'exact':
        return receiveExact(fd, at, room)
      case 'dropped':
        return receiveWithRights(fd, at, room)
      case 'none':
        received.fdCount = 0
        return receivePlain(fd, at, room)
    }
  }

  #readForSession(from: Side, fd: BorrowedFd, input: Input): Read {
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
    const n = this.#receive(fd, before, room)
    if (n === 0) return 'ended'
    if (n < 0) return readFailure(n)
    countBytes(counters, from, n)
    if (received.fdCount > 0) {
      const fds = takeReceived(descriptors, counters, held)
      if (input.fds.length === 0) input.fdsAt = before
      input.fds.push(...fds)
      held.add(fds.length)
    }
    if (descriptors === 'exact' && received.controlTruncated) return 'lost'
    if (before > 0) inputBytes().set(input.stash)
    this.#process(from, input, before + n)
    return 'idle'
  }

  /** Offer the first `length` bytes of the input buffer, as often as the session makes progress. */
  #process(from: Side, input: Input, length: number): void {
    this.#consumed = 0
    this.#viewEnd = length
    this.#offered = from
    while (this.#consumed < length && this.#closing === undefined && !input.paused) {
      const before = this.#consumed
      if (input.opaque > 0) {
        this.#forwardOpaque(from, input, Math.min(input.opaque, length - before))
      } else {
        SHOWN.from = from
        SHOWN.view = inputBytes().subarray(before, length)
        SHOWN.fds.count = input.fds.length
        SHOWN.fds.at = Math.max(0, input.fdsAt - before)
        this.#tell(SHOWN)
      }
      if (this.#consumed === before && input.opaque === 0) break
    }
    this.#writes.commit()
    const left = this.#closing === undefined ? length - this.#consumed : 0
    input.stash = left === 0 ? EMPTY : inputBytes().slice(this.#consumed, length)
    input.fdsAt = Math.max(0, input.fdsAt - this.#consumed)
    this.#viewEnd = 0
    this.#consumed = 0
    this.#offered = undefined
  }

  /** Pass bytes on that were read for the session but are not its business, with the descriptors among them. */
  #forwardOpaque(from: Side, input: Input, bytes: number): void {
    input.opaque -= bytes
    const plain = input.fds.length === 0 ? bytes : Math.min(bytes, Math.max(0, input.fdsAt - this.#consumed))
    if (plain > 0) this.#forwardHere(from, plain, 0)
    if (plain < bytes) this.#forwardHere(from, bytes - plain, input.fds.length)
  }

  passesEnd(from: Side, fully: boolean): boolean {
    if (this.#closing !== undefined) {
      // The consumer has seen what it was told; the provider's end says nothing about that.
      if (this.#closing === 'linger' && from === 'consumer') this.#connection.close()
      return false
    }
    if (this.#input(from).opaque === Number.POSITIVE_INFINITY) return true
    this.#tell({ kind: 'ended', from, fully })
    return false
  }

  endsByItself(to: Side): boolean {
    return this.#input(opposite(to)).opaque === Number.POSITIVE_INFINITY
  }

  outputBroken(to: Side): void {
    // What a close waited for will never be written.
    if (this.#closing !== undefined) this.#finishClosing()
    // The session may be looking at something else just now.
    else if (!this.endsByItself(to)) this.#broken.push(to)
  }

  settling(): void {
    // A provider that answers at once makes the connection settle in the middle of a look.
    if (this.#offered !== undefined) return
    while (!this.#connection.closed && this.#closing === undefined) {
      const to = this.#broken.shift()
      if (to !== undefined) this.#tell({ kind: 'broken', to })
      else if (!this.#showAgain('provider') && !this.#showAgain('consumer')) return
    }
  }

  /** Show what waits of a side that was resumed. False: there is nothing to show. */
  #showAgain(from: Side): boolean {
    const input = this.#input(from)
    if (!input.again || input.paused) return false
    input.again = false
    if (input.stash.length === 0) return false
    const { length } = input.stash
    inputBytes().set(input.stash)
    this.#process(from, input, length)
    // Without progress it would be shown the same again, without end.
    if (input.stash.length === length) input.again = false
    return true
  }

  withdrawn(): void {
    if (this.#closing === undefined) this.#tell({ kind: 'withdrawn' })
  }

  drained(to: Side): void {
    if (this.#closing === 'flush' || this.#closing === 'linger') this.#finishClosing()
    else this.#tell({ kind: 'drained', to })
  }

  closed(): void {
    this.#timers.close()
    this.#figures.closed()
    for (const input of [this.#consumerInput, this.#providerInput]) {
      closeReceived(input.fds, this.#connection.traffic.held)
      this.#connection.traffic.held.add(-input.fds.length)
      input.fds = []
    }
  }

  // Commands: what the session asks for. Effects that could re-enter it wait until the call is over.

  #tell(input: SessionInput): void {
    if (this.#connection.closed) return
    this.#inCall = true
    try {
      this.#session.on(input, this)
    } catch (error) {
      // From a timer nobody above would know which connection it was.
      this.#connection.close()
      throw error
    } finally {
      this.#inCall = false
    }
    if (input.kind !== 'bytes') this.#writes.commit()
    this.#carryOut()
  }

  #carryOut(): void {
    const identity = this.#dialAs
    if (identity !== undefined) {
      this.#dialAs = undefined
      this.#hasDialled = true
      this.clearTimer(HANDSHAKE)
      this.#connection.dial(identity)
    }
    if (this.#closing !== undefined) {
      this.#writes.commit()
      this.#finishClosing()
    }
  }

  #takeFds(from: Side, fds: number): readonly number[] {
    if (fds === 0) return NO_FDS
    const queued = this.#input(from).fds
    if (queued.length < fds) {
      throw new Error(`the session asked for ${fds} descriptors where ${queued.length} are queued`)
    }
    this.#connection.traffic.held.add(-fds)
    return queued.splice(0, fds)
  }

  #consume(bytes: number): void {
    if (this.#consumed + bytes > this.#viewEnd)
      throw new Error('the session consumed bytes that it was not shown')
    this.#consumed += bytes
  }

  #write(to: Side, fds: readonly number[]): void {
    const half = this.#connection.half(to)
    if (half?.outputOpen === false || (to === 'provider' && this.#isUnreachable)) {
      closeReceived(fds, this.#connection.traffic.held)
      return
    }
    const written = this.#outbox(to).writeParts(fds)
    if (half !== undefined) this.#connection.wrote(half, written)
  }

  #forwardHere(from: Side, bytes: number, fds: number): void {
    const to = opposite(from)
    const at = this.#consumed
    this.#consume(bytes)
    this.#writes.aim(to, this.#takeFds(from, fds))
    this.#writes.addInput(at, bytes)
    if (fds > 0) this.#writes.commit()
  }

  forward(from: Side, bytes: number, fds: number): void {
    this.#forwardHere(from, bytes, fds)
  }

  drop(from: Side, bytes: number, fds: number): void {
    this.#consume(bytes)
    closeReceived(this.#takeFds(from, fds), this.#connection.traffic.held)
  }

  send(to: Side, slices: readonly ByteView[], fds: number): void {
    this.#writes.aim(to, this.#takeFds(opposite(to), fds))
    for (const slice of slices) this.#writes.addSlice(slice)
    if (fds > 0) this.#writes.commit()
  }

  opaque(from: Side, bytes: number | 'until-end'): void {
    this.#input(from).opaque += bytes === 'until-end' ? Number.POSITIVE_INFINITY : bytes
    // Asked for outside of its own input, it concerns what waits there too.
    if (this.#offered !== from) this.#input(from).again = true
  }

  pause(from: Side): void {
    this.#input(from).paused = true
  }

  resume(from: Side): void {
    const input = this.#input(from)
    if (!input.paused) return
    input.paused = false
    input.again = true
  }

  dial(identity: DialIdentity): void {
    this.#dialAs = identity
    if (this.#closing === undefined) this.#isUnreachable = false
  }

  endWrite(to: Side): void {
    this.#writes.commit()
    this.#connection.endWrite(to)
  }

  close(how: 'now' | 'flush' | 'linger'): void {
    this.#closing ??= how
  }

  #finishClosing(): void {
    if (this.#inCall || this.#connection.closed) return
    switch (this.#closing) {
      case undefined:
        return
      case 'now':
        this.#connection.close()
        return
      case 'flush':
        if (this.#consumerOutbox.empty && this.#providerOutbox.empty) this.#connection.close()
        return
      case 'linger':
        this.#connection.leaveProvider()
        // Its descriptor may be somebody else's by now.
        this.#giveUpProvider()
        if (!this.#consumerOutbox.empty) return
        this.#connection.endWrite('consumer')
        if (!this.#timers.has(LINGER)) this.#timers.set(LINGER, LINGER_CLOSE_MS)
    }
  }

  setTimer(name: TimerName, ms: number): void {
    this.#timers.set(name, ms)
  }

  setIdleTimer(name: TimerName, from: Side, ms: number): void {
    this.#timers.set(name, ms, from)
  }

  #timerFired(name: TimerName): void {
    switch (name) {
      case HANDSHAKE:
        this.#connection.traffic.log.warn(
          { afterMs: this.#connection.traffic.plane.limits.handshakeMs },
          'a client did not say in time what it wants: connection closed',
        )
        this.#connection.close()
        return
      case LINGER:
        this.#tell({ kind: 'linger-over' })
        this.#connection.close()
        return
      default:
        this.#tell({ kind: 'timer', name })
        this.#connection.settle()
    }
  }

  clearTimer(name: TimerName): void {
    this.#timers.clear(name)
  }

  count(counter: CommonCounter | Figure, by = 1): void {
    const { counters } = this.#connection.traffic
    if (counter === 'messages') counters.messages += by
    else if (counter === 'denials') counters.denials += by
    else this.#figures.count(counter, by)
  }

  mark(): void {
    this.#figures.mark(this.#connection.traffic.plane.reactor.clock.now())
  }

  observe(histogram: Histogram): void {
    this.#figures.observe(histogram, this.#connection.traffic.plane.reactor.clock.now())
  }

  report(event: AuditEvent): void {
    this.#connection.traffic.log.info({ audit: event.event, ...event.facts }, 'session event')
  }
}

/** One for all that is shown: a session may keep nothing of an input. */
const SHOWN: { kind: 'bytes'; from: Side; view: ByteView; fds: { count: number; at: number } } = {
  kind: 'bytes',
  from: 'consumer',
  view: EMPTY,
  fds: { count: 0, at: 0 },
}

/** The relay's own timers among the session's; no session can name them. */
const LINGER: TimerName = '\0linger'
const HANDSHAKE: TimerName = '\0handshake'
