/**
 * Calls a plugin's session with one input at a time, and carries out the commands that it gives.
 *
 * It has what lies between a session and its two sockets: what waits of each side's input, what is queued for each side,
 * timers, figures, and how the connection is to close. Which input comes when is the flow's (`session-flow.ts`).
 * Effects that could re-enter the session wait until its call is over. A session never holds a descriptor's number: they
 * queue per direction, and it moves counts of them.
 */

import { closeReceived } from '../kernel/closing.ts'
import type { Connection } from './connection.ts'
import type {
  AuditEvent,
  ByteView,
  Commands,
  CommonCounter,
  DialIdentity,
  Figure,
  Histogram,
  Session,
  SessionFactory,
  SessionHandle,
  SessionInput,
  Side,
  TimerName,
} from './contract.ts'
import { ConnectionFigures } from './figures.ts'
import { GatheredWrites } from './gathered-writes.ts'
import { opposite } from './half.ts'
import { NO_FDS } from './receive.ts'
import { closeInput, newInput, type PendingInput } from './session-input.ts'
import { SessionTimers } from './session-timers.ts'
import { StreamOutbox } from './stream-outbox.ts'

/** How long a lingering close reads on for the peer's own end (RFC 9112 section 9.6 has the reason). */
const LINGER_CLOSE_MS = 5000

/** The relay's own timers among the session's; no session can name them. */
const LINGER: TimerName = '\0linger'
const HANDSHAKE: TimerName = '\0handshake'
const WAKING: TimerName = '\0waking'

export type Closing = 'now' | 'flush' | 'linger'

export class SessionHost implements Commands, SessionHandle {
  readonly #connection: Connection
  readonly #session: Session
  // Fields of their own: an object with the sides as keys costs a look-up by name with every step.
  readonly #consumerInput = newInput()
  readonly #providerInput = newInput()
  readonly #consumerOutbox: StreamOutbox
  readonly #providerOutbox: StreamOutbox
  readonly #timers: SessionTimers
  readonly #figures: ConnectionFigures
  readonly #writes = new GatheredWrites((to, fds) => this.#write(to, fds))
  /** Whose input is being offered: it lies at the beginning of the input buffer. */
  #offered: Side | undefined
  /** How much of it has been consumed, and how much there is. */
  #consumed = 0
  #offeredBytes = 0
  #dialAs: DialIdentity | undefined
  #hasDialled = false
  /** The provider was dialled in vain, or let go of. */
  #isUnreachable = false
  #closing: Closing | undefined
  #inCall = false

  constructor(connection: Connection, session: SessionFactory) {
    this.#connection = connection
    this.#session = session(this)
    const { traffic } = connection
    this.#timers = new SessionTimers(
      traffic.plane.reactor.clock,
      from => this.#lastMoved(from),
      name => this.#timerFired(name),
    )
    this.#figures = new ConnectionFigures(traffic.counters.counted)
    this.#consumerOutbox = new StreamOutbox(traffic)
    this.#providerOutbox = new StreamOutbox(traffic)
  }

  input(from: Side): PendingInput {
    return from === 'consumer' ? this.#consumerInput : this.#providerInput
  }

  outbox(to: Side): StreamOutbox {
    return to === 'consumer' ? this.#consumerOutbox : this.#providerOutbox
  }

  /** The session has asked for the end of the connection: it is told no more, but for `linger-over`. */
  get closing(): Closing | undefined {
    return this.#closing
  }

  get offering(): boolean {
    return this.#offered !== undefined
  }

  get consumed(): number {
    return this.#consumed
  }

  /** When a byte last came from a side, or the other one read some of what lies in front of it. */
  #lastMoved(from: Side | 'either'): number {
    if (from === 'either') return Math.max(this.#lastMoved('consumer'), this.#lastMoved('provider'))
    const now = this.#connection.traffic.plane.reactor.clock.now()
    const read = this.#connection.half(opposite(from))?.lastRead(now) ?? 0
    return Math.max(this.input(from).lastMoved, read)
  }

  /** A client that never says enough to be taken to its provider must not keep its place for ever. */
  boundHandshake(): void {
    if (this.#hasDialled || this.#connection.closed) return
    this.#timers.set(HANDSHAKE, this.#connection.traffic.plane.limits.handshakeMs)
  }

  /** Nobody will ever read what is for it, and a session that closes with `flush` must not wait for that. */
  giveUpProvider(): void {
    this.#isUnreachable = true
    this.#providerOutbox.discard()
  }

  /** The first `bytes` bytes of the input buffer are this side's, and may be consumed until `endOffer`. */
  beginOffer(from: Side, bytes: number): void {
    this.#offered = from
    this.#consumed = 0
    this.#offeredBytes = bytes
  }

  /** The input buffer is about to be used for something else. Gives how much of the offer was consumed. */
  endOffer(): number {
    this.#writes.commit()
    const consumed = this.#consumed
    this.#offered = undefined
    this.#consumed = 0
    this.#offeredBytes = 0
    return consumed
  }

  /** Call the session, then do what may not be done in the middle of its call. */
  tell(input: SessionInput): void {
    if (this.#connection.closed) return
    if (this.#closing === undefined || input.kind === 'linger-over') this.#call(input)
    if (input.kind !== 'bytes') this.#writes.commit()
    this.#carryOut()
  }

  #call(input: SessionInput): void {
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
      this.finishClosing()
    }
  }

  closed(): void {
    const { held } = this.#connection.traffic
    this.#timers.close()
    this.#figures.closed()
    closeInput(this.#consumerInput, held)
    closeInput(this.#providerInput, held)
    this.#session.closed?.()
  }

  #takeFds(from: Side, fds: number): readonly number[] {
    if (fds === 0) return NO_FDS
    const { fds: queued, fdsAt } = this.input(from)
    if (queued.length < fds) {
      throw new Error(`the session asked for ${fds} descriptors where ${queued.length} are queued`)
    }
    this.#connection.traffic.held.add(-fds)
    fdsAt.splice(0, fds)
    return queued.splice(0, fds)
  }

  #consume(bytes: number): void {
    if (this.#consumed + bytes > this.#offeredBytes)
      throw new Error('the session consumed bytes that it was not shown')
    this.#consumed += bytes
  }

  #write(to: Side, fds: readonly number[]): void {
    const half = this.#connection.half(to)
    if (half?.outputOpen === false || (to === 'provider' && this.#isUnreachable)) {
      closeReceived(fds, this.#connection.traffic.held)
      return
    }
    const written = this.outbox(to).writeParts(fds)
    if (half !== undefined) this.#connection.wrote(half, written)
  }

  // Commands: what the session asks for.

  forward(from: Side, bytes: number, fds: number): void {
    const to = opposite(from)
    const at = this.#consumed
    this.#consume(bytes)
    this.#writes.aim(to, this.#takeFds(from, fds))
    this.#writes.addInput(at, bytes)
    if (fds > 0) this.#writes.commit()
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
    const input = this.input(from)
    input.opaque += bytes === 'until-end' ? Number.POSITIVE_INFINITY : bytes
    // Asked for outside of its own input, it concerns what waits there too.
    if (this.#offered !== from) input.again = true
  }

  pause(from: Side): void {
    this.input(from).paused = true
  }

  resume(from: Side): void {
    const input = this.input(from)
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

  /** The consumer has said all it will: what is queued for it is all that a lingering close still waits for. */
  endLinger(): void {
    if (this.#closing !== 'linger') return
    this.#closing = 'flush'
    this.finishClosing()
  }

  /** Do what is left of a close, if one was asked for and its turn has come. */
  finishClosing(): void {
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
        // The number of its descriptor may be somebody else's by now.
        this.giveUpProvider()
        if (!this.#consumerOutbox.empty) return
        this.#connection.endWrite('consumer')
        if (!this.#timers.has(LINGER)) this.#timers.set(LINGER, LINGER_CLOSE_MS)
    }
  }

  setTimer(name: TimerName, ms: number): void {
    this.#timers.set(name, ms)
  }

  setIdleTimer(name: TimerName, from: Side | 'either', ms: number): void {
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
        this.tell({ kind: 'linger-over' })
        this.#connection.close()
        return
      case WAKING:
        this.tell({ kind: 'woken' })
        this.#connection.settle()
        return
      default:
        this.tell({ kind: 'timer', name })
        this.#connection.settle()
    }
  }

  clearTimer(name: TimerName): void {
    this.#timers.clear(name)
  }

  /** Not at once: whoever wakes it may be in the middle of a call itself, or be this session. */
  wake(): void {
    if (this.#connection.closed || this.#closing !== undefined || this.#timers.has(WAKING)) return
    this.#timers.set(WAKING, 0)
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
