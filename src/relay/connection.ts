/**
 * One connection: the consumer's socket, the provider's socket, and what moves between them.
 *
 * Each direction is independent. Ends travel as the kernel tells them apart (shutdown(2), epoll(7)). Of bytes that nobody
 * looks at, the relay passes the end on itself (`Flow.endsByItself`):
 *
 *   on side A                          what is done
 *   read gives 0, no hang-up           once A->B is written out: shutdown(B, write); B->A goes on
 *   hang-up or reset                   read A to the end; drop B->A, shutdown(B, read); end when A->B is out
 *   write to B fails                   drop A->B, shutdown(A, read); B->A goes on until its own end
 *   both directions over               close both
 *
 * Where a session looks at them, it is told, and decides:
 *
 *   on side A                          what is done
 *   read gives 0                       `ended`; B is shut down for writing only where the session asks for it
 *   hang-up, or a write to A fails     drop B->A, now and from then on, and `broken`; both sides are read on
 *   the session closes                 close at once, or once all is written, or let go of the provider only (`leaveProvider`)
 *
 * What is told in the middle of a read could meet a session in the middle of a call: it waits for `Flow.settling`, which
 * comes with every change and before anything is concluded from it. Small writes wait for the end of the turn (`depart`).
 * A connection of which one direction is over, or which is closing, ends when nothing has moved for `lingerMs`: a slow
 * reader is not cut as long as he reads.
 * It owns both descriptors, their watches, and everything queued, and counts as open until both are closed.
 */

import { E } from '../fp.ts'
import { closeSocket, discardQueued } from '../kernel/closing.ts'
import { Readiness } from '../kernel/epoll.ts'
import { OwnedFd } from '../kernel/fd.ts'
import { endReading, endWriting, peerCredentials } from '../kernel/socket.ts'
import type { DialError, DialIdentity, DialledAs, PeerCredentials, Side } from './contract.ts'
import type { Flow } from './flow.ts'
import { Half } from './half.ts'
import { IdleWatch } from './idle-watch.ts'
import type { Written } from './outbox.ts'
import type { CancelDial, LinkTraffic } from './ports.ts'

/** How long to wait where the kernel says "too much in flight" or descriptors are short: no readiness tells. */
const RETRY_MS = 50

export class Connection {
  readonly traffic: LinkTraffic
  readonly #flow: Flow
  readonly #onClosed: (connection: Connection) => void
  readonly #consumer: Half
  #provider: Half | undefined
  #cancelDial: CancelDial | undefined
  /** The end of what goes to the provider was known before it was reached. */
  #endsProvider = false
  /** The provider was let go of, for good. */
  #leftProvider = false
  #closed = false
  /** Sockets that are being closed. */
  #closing = 0
  #lastMoved = 0
  #linger: IdleWatch | undefined
  #retry: unknown
  /** Stop reading both sides until the retry timer: descriptors are short. */
  #starved = false

  constructor(
    traffic: LinkTraffic,
    accepted: OwnedFd,
    flow: (connection: Connection) => Flow,
    onClosed: (connection: Connection) => void,
  ) {
    this.traffic = traffic
    this.#onClosed = onClosed
    this.#flow = flow(this)
    this.#consumer = new Half(this, 'consumer', accepted, this.#flow.outboxFor('consumer', accepted.borrowed))
  }

  /** To be called once, after the constructor: the flow may dial, answer or close at once. */
  start(): void {
    this.#flow.opened()
    this.settle()
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The provider has been reached. */
  get connected(): boolean {
    return this.#provider !== undefined
  }

  half(side: Side): Half | undefined {
    return side === 'consumer' ? this.#consumer : this.#provider
  }

  #other(half: Half): Half | undefined {
    return half === this.#consumer ? this.#provider : this.#consumer
  }

  dial(identity: DialIdentity): void {
    if (this.#closed || this.#leftProvider) return
    if (this.#provider !== undefined || this.#cancelDial !== undefined) return
    const as = identity === 'peer' ? this.#peer() : identity
    if (as === undefined) {
      this.#dialled('identity')
      return
    }
    let answered = false
    const cancel = this.traffic.dialer.dial(as, this.traffic.kind, (result, dialledAs) => {
      answered = true
      this.#cancelDial = undefined
      this.#dialled(result, dialledAs)
    })
    if (!answered) this.#cancelDial = cancel
  }

  #peer(): PeerCredentials | undefined {
    const peer = peerCredentials(this.#consumer.fd.borrowed)
    return E.isLeft(peer) ? undefined : peer.right
  }

  #dialled(result: OwnedFd | DialError, as?: DialledAs): void {
    try {
      this.#adopt(result, as)
    } catch (error) {
      // Called from a timer or another link's event: nobody above could tell which connection it was.
      if (result instanceof OwnedFd && this.#provider === undefined) closeSocket(result)
      this.close()
      throw error
    }
  }

  #adopt(result: OwnedFd | DialError, as: DialledAs | undefined): void {
    if (result instanceof OwnedFd) {
      this.#provider = new Half(this, 'provider', result, this.#flow.outboxFor('provider', result.borrowed))
      this.#provider.ending = this.#endsProvider
      this.#flow.dialled(undefined, as)
      if (this.#provider?.outbox.departs === false) this.#flush(this.#provider)
    } else {
      this.traffic.counters.connectionsRefused += 1
      this.#flow.dialled(result, undefined)
    }
    this.settle()
  }

  ready(half: Half, readiness: number): void {
    if (!this.#has(half)) return
    if ((readiness & Readiness.out) !== 0) this.#flush(half)
    if (this.#has(half) && (readiness & (Readiness.hangUp | Readiness.error)) !== 0) this.#hangUp(half)
    if (this.#has(half) && (readiness & (Readiness.in | Readiness.hangUp | Readiness.error)) !== 0)
      this.#read(half)
    this.settle()
  }

  /** It is open, and this is still one of its sides. */
  #has(half: Half): boolean {
    return !this.#closed && (half === this.#consumer || half === this.#provider)
  }

  #hangUp(half: Half): void {
    if (half.hungUp) return
    half.hungUp = true
    this.#breakOutput(half)
    if (this.#closed || half.side !== 'consumer' || this.#provider !== undefined) return
    if (!this.#flow.endsByItself('consumer')) return
    // Nobody is there to read an answer: a dial would only wake the provider up, and what is not read never ends.
    if (this.#cancelDial !== undefined || !this.#flow.reads('consumer')) this.close()
  }

  /** Nothing more can be written to `half`: forget what waits, and let the other side's writer know. */
  #breakOutput(half: Half): void {
    if (!half.outputOpen) return
    half.outputOpen = false
    half.blocked = false
    half.outbox.discard()
    const other = this.#other(half)
    if (other !== undefined && this.#flow.endsByItself(half.side)) {
      other.inputOpen = false
      endReading(other.fd.borrowed)
      // With a full queue poll(2) would not tell its peer, were it waiting for room to write, that nobody reads any more.
      discardQueued(other.fd.borrowed, this.traffic.held)
    }
    this.#flow.outputBroken(half.side)
  }

  /** Apply how a write to `half` went. */
  wrote(half: Half, written: Written): void {
    switch (written) {
      case 'all':
        half.blocked = false
        return
      case 'later':
        this.#departLater(half)
        return
      case 'blocked':
        half.blocked = true
        return
      case 'busy':
        half.blocked = false
        this.#retryLater()
        return
      case 'gone':
        this.#breakOutput(half)
        return
    }
  }

  #departLater(half: Half): void {
    if (half.departing) return
    half.departing = true
    this.traffic.plane.reactor.atTurnEnd(half)
  }

  /** The turn is over: what was put off goes out. */
  depart(half: Half): void {
    half.departing = false
    if (!this.#has(half)) return
    // A later write may have taken it along, and may be waiting for the socket itself.
    const departs = half.outbox.departs
    const written = departs ? half.outbox.depart() : 'all'
    if (written === 'all' && !half.ending && !this.#flow.closing) return
    if (departs) this.wrote(half, written)
    if (half.outbox.empty && half.outputOpen) this.#flow.drained(half.side)
    this.settle()
  }

  #flush(half: Half): void {
    if (half.outbox.empty) {
      half.blocked = false
      return
    }
    this.wrote(half, half.outbox.flush())
    this.#lastMoved = this.traffic.plane.reactor.clock.now()
    if (half.outbox.empty && half.outputOpen) this.#flow.drained(half.side)
  }

  #retryLater(): void {
    if (this.#retry !== undefined) return
    this.#retry = this.traffic.plane.reactor.clock.setTimeout(() => {
      this.#retry = undefined
      this.#starved = false
      for (const half of [this.#consumer, this.#provider]) {
        if (half !== undefined && this.#has(half)) this.#flush(half)
      }
      this.settle()
    }, RETRY_MS)
  }

  #read(half: Half): void {
    if (!half.inputOpen || !this.#flow.reads(half.side)) return
    // What is read to nowhere moves nothing: its writer could go on for ever.
    const moves = !this.#flow.closing
    const outcome = this.#flow.read(half.side)
    // Nor does a look at what may not be read yet: of connections that keep each other waiting, none would ever be idle.
    if (moves && outcome !== 'starved') this.#lastMoved = this.traffic.plane.reactor.clock.now()
    if (!this.#has(half)) return
    const other = this.#other(half)
    if (other?.outbox.departs === true) this.#departLater(other)
    switch (outcome) {
      case 'idle':
      case 'budget':
        return
      case 'blocked':
        if (other !== undefined) other.blocked = !other.outbox.empty
        return
      case 'busy':
        this.#retryLater()
        return
      case 'starved':
        this.#starved = true
        this.#retryLater()
        return
      case 'sink-gone':
        if (other !== undefined) this.#breakOutput(other)
        return
      case 'source-gone':
        this.#hangUp(half)
        this.#endInput(half)
        return
      case 'ended':
        this.#endInput(half)
        return
      case 'too-long':
        this.traffic.log.warn(
          { side: half.side, mostBytes: this.traffic.plane.limits.packetBytes },
          'a packet is longer than may be carried: connection closed',
        )
        this.close()
        return
      case 'refused':
        this.traffic.log.warn({ side: half.side }, 'descriptors came where none may pass: connection closed')
        this.close()
        return
      case 'lost':
        this.traffic.log.error({ side: half.side }, 'descriptors could not be taken whole: connection closed')
        this.close()
        return
    }
  }

  #endInput(half: Half): void {
    if (!half.inputOpen) return
    half.inputOpen = false
    if (!this.#flow.passesEnd(half.side, half.hungUp)) return
    this.endWrite(half === this.#consumer ? 'provider' : 'consumer')
  }

  /** Half-close a side once what waits for it has been written. */
  endWrite(side: Side): void {
    const half = this.half(side)
    if (half !== undefined) half.ending = true
    else this.#endsProvider = true
  }

  /**
   * Bring watches, half-closes and the end of it all in line with the state. Idempotent; a flow that acted outside of `read`
   * calls it too.
   */
  settle(): void {
    if (this.#closed) return
    this.#flow.settling()
    if (this.#closed) return
    this.#settleEnding(this.#consumer)
    if (this.#provider !== undefined) this.#settleEnding(this.#provider)
    if (this.#isOver) {
      this.close()
      return
    }
    this.#await(this.#consumer)
    if (this.#provider !== undefined) this.#await(this.#provider)
    this.#settleLinger()
  }

  /** Nothing will be written to either side, and nobody is left who could say otherwise. */
  get #isOver(): boolean {
    if (!this.#hasEnded(this.#consumer)) return false
    if (this.#provider !== undefined) return this.#hasEnded(this.#provider)
    return (
      !this.#consumer.inputOpen && (this.#cancelDial === undefined || this.#flow.endsByItself('consumer'))
    )
  }

  /** It was ended, or broke where that is the relay's own business, or is gone altogether. */
  #hasEnded(half: Half): boolean {
    return !half.outputOpen && (half.ending || !half.inputOpen || this.#flow.endsByItself(half.side))
  }

  #settleEnding(half: Half): void {
    if (!half.ending || !half.outputOpen || !half.outbox.empty) return
    half.outputOpen = false
    endWriting(half.fd.borrowed)
  }

  #await(half: Half): void {
    const reads = half.inputOpen && !this.#starved && this.#flow.reads(half.side)
    const readiness = (reads ? Readiness.in : 0) | (half.blocked && half.outputOpen ? Readiness.out : 0)
    // A hang-up cannot be masked and would be reported without end: leave the set until there is something to do.
    if (half.hungUp && readiness === 0) half.watch.rest()
    else half.watch.wait(readiness)
  }

  /** With one direction over, an idle connection is a leak in the making: nobody may ever end the other, or read its rest. */
  #settleLinger(): void {
    const oneOver = this.#consumer.takesNothing || this.#provider?.takesNothing === true
    if (!(oneOver || this.#flow.closing) || this.#linger !== undefined) return
    this.#linger = new IdleWatch(
      this.traffic.plane.reactor.clock,
      this.traffic.lingerMs,
      now => this.#lastMovement(now),
      () => this.close(),
    )
  }

  /** A byte came, or was written, or somebody read some of what lies in front of him. */
  #lastMovement(now: number): number {
    const consumer = this.#consumer.lastRead(now)
    return Math.max(this.#lastMoved, consumer, this.#provider?.lastRead(now) ?? 0)
  }

  /** The link was withdrawn: what is in progress may end by itself. */
  withdraw(): void {
    if (this.#closed) return
    this.#flow.withdrawn()
    this.settle()
  }

  /** Let go of the provider at once and for good; the consumer is not touched. */
  leaveProvider(): void {
    this.#leftProvider = true
    this.#cancelDial?.()
    this.#cancelDial = undefined
    const provider = this.#provider
    this.#provider = undefined
    if (provider !== undefined) this.#closeHalf(provider)
  }

  /** It counts as long as anything of it is left: what its closing waits for is its own link's cost. */
  #closeHalf(half: Half): void {
    this.#closing += 1
    half.watch.close()
    half.outbox.discard()
    closeSocket(half.fd, () => {
      this.#closing -= 1
      this.#tellClosed()
    })
  }

  #tellClosed(): void {
    if (this.#closed && this.#closing === 0) this.#onClosed(this)
  }

  /** End at once; what is queued is dropped. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const { clock } = this.traffic.plane.reactor
    this.#cancelDial?.()
    this.#linger?.close()
    if (this.#retry !== undefined) clock.clearTimeout(this.#retry)
    // Until both are under way and the flow is done, it is not over.
    this.#closing += 1
    this.#closeHalf(this.#consumer)
    if (this.#provider !== undefined) this.#closeHalf(this.#provider)
    this.#flow.closed()
    this.#closing -= 1
    this.#tellClosed()
  }
}
