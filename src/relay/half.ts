/** One of the two sockets of a connection: what is known of its two directions. What follows from it, the connection decides. */
import { Readiness } from '../kernel/epoll.ts'
import type { OwnedFd } from '../kernel/fd.ts'
import { unreadBytes } from '../kernel/message.ts'
import { endWriting, takeUrgentInline } from '../kernel/socket.ts'
import type { ReadyHandler, TurnEnd, Watch } from '../reactor/contract.ts'
import type { Side } from './contract.ts'
import type { Outbox } from './outbox.ts'
import type { LinkTraffic } from './ports.ts'

export const opposite = (side: Side): Side => (side === 'consumer' ? 'provider' : 'consumer')

/** What a half asks of the connection that has it. */
export interface Whole {
  readonly traffic: LinkTraffic
  ready(half: Half, readiness: number): void
  /** The turn is over. */
  depart(half: Half): void
  close(): void
}

export class Half implements ReadyHandler, TurnEnd {
  readonly side: Side
  readonly fd: OwnedFd
  readonly outbox: Outbox
  readonly watch: Watch
  readonly #whole: Whole
  /** More may come from it. */
  inputOpen = true
  /** It still takes what is written to it. */
  outputOpen = true
  /** Its peer is gone altogether; what it wrote may still wait to be read. */
  hungUp = false
  /** Its outbox waits for the socket. */
  blocked = false
  /** End its output as soon as the outbox is empty. */
  ending = false
  /** It is called when the turn ends. */
  departing = false
  /** What its peer had not read when that was looked at last. */
  #unread = 0
  #lastRead = 0

  constructor(whole: Whole, side: Side, fd: OwnedFd, outbox: Outbox) {
    this.#whole = whole
    this.side = side
    this.fd = fd
    this.outbox = outbox
    if (whole.traffic.kind === 'stream') takeUrgentInline(fd.borrowed)
    this.watch = whole.traffic.plane.reactor.watch(fd.borrowed, 0, this)
  }

  /**
   * When its peer was last seen to have read something; looks again. A slow reader shows nowhere else: a socket is called
   * writable only when most of its queue has been read (unix(7)), and what lies in front of it keeps us from reading on. The
   * kernel counts by whole buffers, of at most some 64 KiB.
   */
  lastRead(now: number): number {
    const unread = this.outbox.waiting + unreadBytes(this.fd.borrowed)
    if (unread < this.#unread) this.#lastRead = now
    this.#unread = unread
    return this.#lastRead
  }

  /** Nothing new is written to it: it was shut down, or will be once its outbox is empty. */
  get takesNothing(): boolean {
    return !this.outputOpen || this.ending
  }

  /** Shut its output down once what waits for it is out, where that was asked for. */
  settleEnding(): void {
    if (!this.ending || !this.outputOpen || !this.outbox.empty) return
    this.outputOpen = false
    endWriting(this.fd.borrowed)
  }

  /** Have its watch tell what there is to do for it; `reads`: it is to be read. */
  await(reads: boolean): void {
    const readiness = (reads ? Readiness.in : 0) | (this.blocked && this.outputOpen ? Readiness.out : 0)
    // A hang-up cannot be masked and would be reported without end: leave the set until there is something to do.
    if (this.hungUp && readiness === 0) this.watch.rest()
    else this.watch.wait(readiness)
  }

  ready(readiness: number): void {
    this.#whole.ready(this, readiness)
  }

  turnEnds(): void {
    this.#whole.depart(this)
  }

  failed(): void {
    this.#whole.close()
  }
}
