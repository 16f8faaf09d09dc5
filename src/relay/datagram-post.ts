/**
 * A planted datagram socket (syslog, sd_notify and the like): each datagram goes to the provider from the correspondent of the
 * client that sent it, as one datagram, with its descriptors; answers go back the same way.
 *
 * Nothing is queued: the kernel does, at the planted socket, and its senders block or are told. A datagram that the provider has no
 * room for is held, one at a time, and nothing more is read until it is gone or was waited for long enough.
 * It owns the planted socket, all correspondents and what is held.
 */
import { closeReceived, closeSocket } from '../kernel/closing.ts'
import { Readiness } from '../kernel/epoll.ts'
import { Io, lastFailure } from '../kernel/errno.ts'
import { OwnedFd } from '../kernel/fd.ts'
import {
  growInput,
  INPUT_BYTES,
  inputBytes,
  nextPacketBytes,
  receiveAside,
  receiveDatagram,
  received,
  receivedFrom,
  receivedWriter,
  sendDatagram,
  shrinkInput,
  stageInput,
  type Writer,
} from '../kernel/message.ts'
import { senderAddress } from '../kernel/socket.ts'
import type { ReadyHandler, Watch } from '../reactor/contract.ts'
import type { DialError, Figure } from './contract.ts'
import { Correspondent, type Post } from './correspondent.ts'
import { countBytes } from './counters.ts'
import { roomForRights } from './descriptor-reserve.ts'
import type { CancelDial, ClientSockets, Entrance, LinkTraffic } from './ports.ts'
import { RETRY_MS, TURN_PACKETS } from './reading.ts'
import { takeReceived } from './receive.ts'

const DROPPED: Figure = {
  name: 'datagrams_dropped',
  help: 'Datagrams that could not be passed on, in either direction.',
  kind: 'total',
}

/** A datagram that waits. */
interface Held {
  readonly to: Correspondent
  readonly bytes: Uint8Array
  readonly fds: readonly number[]
  readonly writer: Writer | undefined
  readonly deadline: number
}

export class DatagramPost implements ReadyHandler, Entrance, Post {
  readonly traffic: LinkTraffic
  readonly #socket: OwnedFd
  readonly #clients: ClientSockets
  readonly #watch: Watch
  /** By address; the one used last comes last. */
  readonly #correspondents = new Map<string, Correspondent>()
  #held: Held | undefined
  #cancelDial: CancelDial | undefined
  #retry: unknown
  #idle: unknown
  #closed = false

  /** Takes the socket, which asks for credentials where the link passes them on. */
  constructor(socket: OwnedFd, traffic: LinkTraffic, clients: ClientSockets) {
    this.#socket = socket
    this.traffic = traffic
    this.#clients = clients
    this.#watch = traffic.plane.reactor.watch(socket.borrowed, Readiness.in, this)
  }

  ready(): void {
    for (let i = 0; i < TURN_PACKETS && !this.#closed && !this.#waits; i += 1) if (!this.#readNext()) return
  }

  failed(): void {
    this.traffic.log.error({}, 'taking datagrams stopped after an internal error')
    this.close()
  }

  get #waits(): boolean {
    return this.#held !== undefined || this.#retry !== undefined
  }

  #listen(): void {
    if (!this.#closed) this.#watch.wait(this.#waits ? 0 : Readiness.in)
  }

  #now(): number {
    return this.traffic.plane.reactor.clock.now()
  }

  #drop(fds: readonly number[], facts: object, why: string): void {
    closeReceived(fds, this.traffic.held)
    this.traffic.counters.counted.countOwn(DROPPED)
    this.traffic.log.warn(facts, `a datagram is dropped: ${why}`)
  }

  /** False: there is none now. */
  #readNext(): boolean {
    const { descriptors, held, counters, plane } = this.traffic
    const fd = this.#socket.borrowed
    const length = nextPacketBytes(fd)
    if (length < 0) return false
    if (!roomForRights(fd, 1, held)) {
      this.#later(() => undefined)
      return false
    }
    if (length > plane.limits.packetBytes) {
      receiveAside(fd)
      const fds = takeReceived(descriptors, counters, held)
      this.#drop(
        fds,
        { bytes: length, mostBytes: plane.limits.packetBytes },
        'it is longer than may be carried',
      )
      return true
    }
    growInput(length)
    const n = receiveDatagram(fd, Math.max(length, 1))
    if (n < 0) return false
    const isRefused = received.fdCount > 0 && descriptors === 'refused'
    const fds = takeReceived(descriptors, counters, held)
    if (isRefused) this.#drop(fds, {}, 'it brought descriptors, and none may pass')
    else if (received.controlTruncated && descriptors !== 'refused')
      this.#drop(fds, {}, 'its descriptors could not be taken whole')
    else this.#post(receivedFrom(), n, fds)
    if (length > INPUT_BYTES) shrinkInput()
    return true
  }

  #post(from: Uint8Array, length: number, fds: readonly number[]): void {
    const { counters, introduction } = this.traffic
    countBytes(counters, 'consumer', length)
    counters.messages += 1
    const attests = introduction !== undefined && introduction.credentials !== 'none'
    const writer = attests ? receivedWriter() : undefined
    if (attests && writer === undefined) {
      this.#drop(fds, {}, 'the kernel did not say who wrote it')
      return
    }
    const to = this.#correspondentFor(from)
    const n = to.send(length, fds, writer)
    if (n >= 0) {
      closeReceived(fds, this.traffic.held)
      return
    }
    this.#hold({
      to,
      bytes: inputBytes().slice(0, length),
      fds,
      writer,
      deadline: this.#now() + this.traffic.plane.limits.connectGraceMs,
    })
    this.#goOnAfter(n)
  }

  #hold(datagram: Held): void {
    this.#held = datagram
    this.traffic.held.add(datagram.fds.length)
    this.#listen()
  }

  /** What is held goes, sent or not, and reading goes on. */
  #release(): Held | undefined {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) this.traffic.held.add(-held.fds.length)
    this.#listen()
    return held
  }

  #giveUp(why: string, facts: object = {}): void {
    const held = this.#release()
    if (held !== undefined) this.#drop(held.fds, facts, why)
  }

  /** What to wait for before it is tried again. */
  #goOnAfter(failure: number): void {
    const held = this.#held
    if (held === undefined) return
    switch (failure) {
      case Io.again:
        held.to.awaitRoom()
        return
      case Io.busy:
        this.#later(() => this.#trySending())
        return
      case Io.unreachable:
      case Io.gone: {
        const wasConnected = held.to.socket !== undefined
        held.to.disconnect()
        if (!wasConnected || this.#now() < held.deadline) this.#reach(held)
        else this.#giveUp('the provider does not take it')
        return
      }
      case Io.tooLarge:
        this.#giveUp('it is longer than the kernel sends')
        return
      default:
        this.#giveUp('the provider cannot be sent to', { errno: lastFailure() })
    }
  }

  #trySending(): void {
    const held = this.#held
    if (held === undefined) return
    stageInput(held.bytes)
    const n = held.to.send(held.bytes.length, held.fds, held.writer)
    shrinkInput()
    if (n >= 0) closeReceived(this.#release()?.fds ?? [], this.traffic.held)
    else if (n === Io.unreachable || n === Io.gone) this.#later(() => this.#goOnAfter(n))
    else this.#goOnAfter(n)
  }

  #reach(held: Held): void {
    // It is being reached.
    if (this.#cancelDial !== undefined) return
    let answered = false
    const cancel = this.traffic.dialer.dial(
      'daemon',
      'dgram',
      result => {
        answered = true
        this.#cancelDial = undefined
        this.#reached(held, result)
      },
      held.to.address.length > 0,
    )
    if (!answered) this.#cancelDial = cancel
  }

  #reached(held: Held, result: OwnedFd | DialError): void {
    if (!(result instanceof OwnedFd)) {
      this.traffic.counters.connectionsRefused += 1
      this.#giveUp('its provider could not be reached', { failed: result })
      return
    }
    held.to.connect(result)
    const { introduction } = this.traffic
    if (introduction?.credentials === 'role') {
      held.to.role = introduction.roleIds()
      // As somebody else it would be told what is not so.
      if (held.to.role === undefined) {
        held.to.disconnect()
        this.#giveUp('its provider cannot be given the identity of the link')
        return
      }
    }
    this.#trySending()
  }

  #later(then: () => void): void {
    this.#retry ??= this.traffic.plane.reactor.clock.setTimeout(() => {
      this.#retry = undefined
      then()
      this.#listen()
    }, RETRY_MS)
    this.#listen()
  }

  roomAt(correspondent: Correspondent): void {
    if (this.#held?.to === correspondent) this.#trySending()
  }

  answer(to: Correspondent, fds: readonly number[]): number | undefined {
    const address = senderAddress(to.address)
    if (address.form === 'abstract') return sendDatagram(this.#socket.borrowed, fds, to.address)
    const n =
      address.form === 'path' && address.path.startsWith('/')
        ? this.#clients.at(address.path, at => sendDatagram(this.#socket.borrowed, fds, at))
        : undefined
    if (n === undefined) {
      this.traffic.counters.counted.countOwn(DROPPED)
      this.traffic.log.debug(
        { form: address.form },
        'a client cannot be answered: it has no address that leads to it',
      )
    }
    return n
  }

  #correspondentFor(address: Uint8Array): Correspondent {
    const name = Buffer.from(address).toString('latin1')
    const known = this.#correspondents.get(name)
    const correspondent = known ?? new Correspondent(this, address, 0)
    correspondent.usedAt = this.#now()
    if (known === undefined) this.#makeRoom()
    this.#correspondents.delete(name)
    this.#correspondents.set(name, correspondent)
    if (known === undefined) {
      this.traffic.counters.connectionsTotal += 1
      this.traffic.counters.connectionsOpen += 1
      this.#watchIdle()
    }
    return correspondent
  }

  #makeRoom(): void {
    for (const [name, oldest] of this.#correspondents) {
      if (this.#correspondents.size < this.traffic.plane.limits.datagramClients) return
      this.#forget(name, oldest)
    }
  }

  #forget(name: string, correspondent: Correspondent): void {
    this.#correspondents.delete(name)
    this.traffic.counters.connectionsOpen -= 1
    correspondent.disconnect()
  }

  #watchIdle(): void {
    this.#idle ??= this.traffic.plane.reactor.clock.setTimeout(() => {
      this.#idle = undefined
      this.#closeIdle()
      if (this.#correspondents.size > 0) this.#watchIdle()
    }, this.traffic.plane.limits.datagramIdleMs)
  }

  #closeIdle(): void {
    const before = this.#now() - this.traffic.plane.limits.datagramIdleMs
    for (const [name, correspondent] of this.#correspondents) {
      if (correspondent.usedAt <= before && this.#held?.to !== correspondent)
        this.#forget(name, correspondent)
    }
  }

  providerChanged(): void {
    for (const correspondent of this.#correspondents.values()) correspondent.disconnect()
    if (this.#held !== undefined && this.#cancelDial === undefined) this.#goOnAfter(Io.unreachable)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const { clock } = this.traffic.plane.reactor
    this.#cancelDial?.()
    if (this.#retry !== undefined) clock.clearTimeout(this.#retry)
    if (this.#idle !== undefined) clock.clearTimeout(this.#idle)
    closeReceived(this.#release()?.fds ?? [], this.traffic.held)
    for (const [name, correspondent] of [...this.#correspondents]) this.#forget(name, correspondent)
    this.#watch.close()
    closeSocket(this.#socket)
  }
}
