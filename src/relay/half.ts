/** One of the two sockets of a connection: what is known of its two directions. What follows from it, the connection decides. */
import type { OwnedFd } from '../kernel/fd.ts'
import { unreadBytes } from '../kernel/message.ts'
import { takeUrgentInline } from '../kernel/socket.ts'
import type { ReadyHandler, TurnEnd, Watch } from '../reactor/contract.ts'
import type { Connection } from './connection.ts'
import type { Side } from './contract.ts'
import type { Outbox } from './outbox.ts'

export class Half implements ReadyHandler, TurnEnd {
  readonly side: Side
  readonly fd: OwnedFd
  readonly outbox: Outbox
  readonly watch: Watch
  readonly #connection: Connection
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

  constructor(connection: Connection, side: Side, fd: OwnedFd, outbox: Outbox) {
    this.#connection = connection
    this.side = side
    this.fd = fd
    this.outbox = outbox
    if (connection.traffic.kind === 'stream') takeUrgentInline(fd.borrowed)
    this.watch = connection.traffic.plane.reactor.watch(fd.borrowed, 0, this)
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

  ready(readiness: number): void {
    this.#connection.ready(this, readiness)
  }

  turnEnds(): void {
    this.#connection.depart(this)
  }

  failed(): void {
    this.#connection.close()
  }
}
