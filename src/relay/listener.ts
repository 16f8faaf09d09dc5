/**
 * Accepting a link's connections: within the limits, and without losing anybody to a full descriptor table. What is
 * not accepted waits in the backlog, where the kernel keeps it.
 */

import { closeListener, closeSocket } from '../kernel/closing.ts'
import { Readiness } from '../kernel/epoll.ts'
import { Io, lastFailure } from '../kernel/errno.ts'
import { descriptorLimit, freeDescriptors, OwnedFd } from '../kernel/fd.ts'
import { accept } from '../kernel/socket.ts'
import type { ReadyHandler, Watch } from '../reactor/contract.ts'
import { AttestedFlow } from './attested-flow.ts'
import { Connection } from './connection.ts'
import type { Figure } from './contract.ts'
import type { Flow } from './flow.ts'
import { PacketFlow, StreamFlow } from './plain-flow.ts'
import type { Entrance, LinkTraffic } from './ports.ts'
import { SessionFlow } from './session-flow.ts'

const ACCEPTS_A_TURN = 64
/** What a new connection needs to reach its provider, and the daemon to read the graph: those in the backlog can wait. */
const KEPT_FREE = Math.min(16, Math.floor(descriptorLimit / 8))

const pausesFor = (reason: string): Figure => ({
  name: 'accept_pauses',
  help: 'Times that accepting stopped for a while, and new connections waited in the backlog.',
  kind: 'total',
  labels: { reason },
})

const AT_LIMIT = pausesFor('connections')
const NO_DESCRIPTORS = pausesFor('descriptors')
const ACCEPT_FAILED = pausesFor('error')

const TURNED_AWAY: Figure = {
  name: 'connections_turned_away',
  help: 'Connections that were accepted and closed, because as many were open as the protocol may have.',
  kind: 'total',
}

export class Listener implements ReadyHandler, Entrance {
  readonly #socket: OwnedFd
  readonly #traffic: LinkTraffic
  readonly #watch: Watch
  readonly #connections: Set<Connection>
  readonly #resume = (): void => this.#continue()
  #pauseMs: number
  #pause: unknown
  #closed = false

  /**
   * Takes the socket. `connections` outlives it: a socket planted anew takes over those of the one that was lost.
   * A SEQPACKET socket must have been told to receive credentials before it listened.
   */
  constructor(socket: OwnedFd, traffic: LinkTraffic, connections: Set<Connection>) {
    this.#socket = socket
    this.#traffic = traffic
    this.#connections = connections
    this.#pauseMs = traffic.plane.limits.acceptPauseMs
    this.#watch = traffic.plane.reactor.watch(socket.borrowed, Readiness.in, this)
  }

  ready(): void {
    const { connections: budget, limits } = this.#traffic.plane
    for (let i = 0; i < ACCEPTS_A_TURN; i += 1) {
      const full = this.#connections.size >= this.#traffic.maxConnections
      if (full || budget.open >= budget.limit) {
        // Whether anybody is left in the backlog, readiness tells.
        if (i === 0) this.#noRoom(full ? 'this link' : 'all links')
        return
      }
      if (freeDescriptors(KEPT_FREE) < KEPT_FREE) {
        this.#acceptFailed(Io.noDescriptors)
        return
      }
      const fd = accept(this.#socket.borrowed)
      if (fd === Io.again) return
      if (fd < 0) {
        this.#acceptFailed(fd)
        return
      }
      this.#pauseMs = limits.acceptPauseMs
      if (this.#isBeyond) this.#turnAway(new OwnedFd(fd))
      else this.#begin(new OwnedFd(fd))
    }
  }

  failed(): void {
    this.#traffic.log.error({}, 'accepting stopped after an internal error')
    this.close()
  }

  get #isBeyond(): boolean {
    const { closesBeyond } = this.#traffic
    return closesBeyond !== undefined && this.#connections.size >= closesBeyond
  }

  #turnAway(accepted: OwnedFd): void {
    const { counters, closesBeyond, log } = this.#traffic
    counters.connectionsTotal += 1
    counters.counted.countOwn(TURNED_AWAY)
    log.warn({ most: closesBeyond }, 'a connection is closed: as many are open as the protocol may have')
    closeSocket(accepted)
  }

  #begin(accepted: OwnedFd): void {
    const { traffic } = this
    traffic.counters.connectionsTotal += 1
    let connection: Connection | undefined
    try {
      connection = new Connection(traffic, accepted, this.#flowFor, this.#ended)
      this.#connections.add(connection)
      traffic.counters.connectionsOpen += 1
      traffic.plane.connections.open += 1
      connection.start()
    } catch (error) {
      // One connection's bug, or the kernel out of room for it, must not cost the others their listener.
      traffic.log.error({ err: error }, 'connection could not be started')
      connection?.close()
      closeSocket(accepted)
    }
  }

  get traffic(): LinkTraffic {
    return this.#traffic
  }

  readonly #flowFor = (connection: Connection): Flow => {
    const { session, kind, introduction } = this.#traffic
    if (session !== undefined) return new SessionFlow(connection, session)
    if (introduction !== undefined && introduction.credentials !== 'none')
      return new AttestedFlow(connection, introduction)
    return kind === 'stream' ? new StreamFlow(connection) : new PacketFlow(connection)
  }

  readonly #ended = (connection: Connection): void => {
    if (!this.#connections.delete(connection)) return
    const { counters, plane } = this.#traffic
    counters.connectionsOpen -= 1
    plane.connections.open -= 1
    for (const resume of plane.connections.waiting) resume()
  }

  #noRoom(of: string): void {
    const { plane, maxConnections, counters, log } = this.#traffic
    counters.counted.countOwn(AT_LIMIT)
    const most = of === 'this link' ? maxConnections : plane.connections.limit
    log.warn({ most, of }, 'connections wait: as many are open as may be')
    this.#waitForRoom()
  }

  #acceptFailed(failure: number): void {
    const { counters, plane } = this.#traffic
    const { acceptPauseMs, acceptPauseMaxMs } = plane.limits
    counters.counted.countOwn(failure === Io.noDescriptors ? NO_DESCRIPTORS : ACCEPT_FAILED)
    if (this.#pauseMs === acceptPauseMs) {
      const reason = failure === Io.noDescriptors ? 'descriptor table is full' : lastFailure()
      this.#traffic.log.warn({ reason }, 'accepting paused')
    }
    this.#waitForRoom()
    const pauseMs = Math.min(this.#pauseMs, acceptPauseMaxMs)
    this.#pause = plane.reactor.clock.setTimeout(this.#resume, pauseMs)
    this.#pauseMs *= 2
  }

  /** Out of the set, so that a backlog that cannot be served does not spin; any connection that ends brings us back. */
  #waitForRoom(): void {
    this.#watch.rest()
    this.#traffic.plane.connections.waiting.add(this.#resume)
  }

  #continue(): void {
    this.#traffic.plane.connections.waiting.delete(this.#resume)
    if (this.#pause !== undefined) this.#traffic.plane.reactor.clock.clearTimeout(this.#pause)
    this.#pause = undefined
    if (!this.#closed) this.#watch.wait(Readiness.in)
  }

  providerChanged(): void {
    // Connections outlive it: whoever keeps them closes those that reached the old one.
  }

  /** Stop accepting; connections go on. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#continue()
    this.#watch.close()
    closeListener(this.#socket)
  }
}
