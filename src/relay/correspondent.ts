/**
 * One client of a datagram link, as its provider knows it: a socket of our own that is connected to the provider's, so that
 * answers find the way back to that client and nobody else. All clients without an address share one, which nobody answers.
 * It owns its socket and one answer that its client has no room for.
 */
import { closeReceived, closeSocket } from '../kernel/closing.ts'
import { Readiness } from '../kernel/epoll.ts'
import { Io } from '../kernel/errno.ts'
import type { BorrowedFd, OwnedFd } from '../kernel/fd.ts'
import {
  addInput,
  beginParts,
  growInput,
  INPUT_BYTES,
  inputBytes,
  nextPacketBytes,
  received,
  receiveWithRights,
  sendPartsTo,
  shrinkInput,
  stageInput,
  type Writer,
} from '../kernel/message.ts'
import type { ReadyHandler, Watch } from '../reactor/contract.ts'
import { sendAsWriter } from './attested-outbox.ts'
import { countBytes } from './counters.ts'
import { roomForRights } from './descriptor-reserve.ts'
import type { LinkTraffic } from './ports.ts'
import { RETRY_MS, TURN_PACKETS } from './reading.ts'
import { takeReceived } from './receive.ts'
import { SendRoom } from './send-room.ts'

interface Answer {
  readonly bytes: Uint8Array
  readonly fds: readonly number[]
}

/** What a correspondent asks of whoever has it. */
export interface Post {
  readonly traffic: LinkTraffic
  /** Send the parts to its client: how many bytes were taken, or an `Io` failure. `undefined`: it cannot be answered. */
  answer(to: Correspondent, fds: readonly number[]): number | undefined
  /** There is room at the provider again. */
  roomAt(correspondent: Correspondent): void
}

export class Correspondent implements ReadyHandler {
  readonly #post: Post
  /** The client's address, as the kernel gave it; empty: it has none. */
  readonly address: Uint8Array
  usedAt: number
  #socket: OwnedFd | undefined
  #watch: Watch | undefined
  #unanswered: Answer | undefined
  #retry: unknown
  /** Whoever has it waits for room at the provider. */
  #wantsRoom = false
  /** The role's user, as the provider was told when it was reached. */
  role: { readonly uid: number; readonly gid: number } | undefined
  #room: SendRoom | undefined

  constructor(post: Post, address: Uint8Array, now: number) {
    this.#post = post
    this.address = address
    this.usedAt = now
  }

  get socket(): OwnedFd | undefined {
    return this.#socket
  }

  connect(socket: OwnedFd): void {
    this.#socket = socket
    this.#room = new SendRoom(socket.borrowed)
    this.#watch = this.#post.traffic.plane.reactor.watch(socket.borrowed, Readiness.in, this)
  }

  /** The beginning of the input buffer, as one datagram: how many bytes were taken, or an `Io` failure. */
  send(length: number, fds: readonly number[], writer: Writer | undefined): number {
    const fd = this.#socket?.borrowed
    if (fd === undefined) return Io.unreachable
    const n = this.#sendOnce(fd, length, fds, writer)
    return this.#room?.madeAfter(n, length) === true ? this.#sendOnce(fd, length, fds, writer) : n
  }

  #sendOnce(fd: BorrowedFd, length: number, fds: readonly number[], writer: Writer | undefined): number {
    beginParts()
    addInput(0, length)
    if (writer === undefined) return sendPartsTo(fd, fds)
    const attested = this.role === undefined ? writer : { pid: writer.pid, ...this.role }
    return sendAsWriter(fd, fds, attested, this.#post.traffic.introduction?.standIn ?? writer.pid)
  }

  awaitRoom(): void {
    this.#wantsRoom = true
    this.#listen()
  }

  #listen(): void {
    const reads = this.#unanswered === undefined && this.#retry === undefined
    this.#watch?.wait((reads ? Readiness.in : 0) | (this.#wantsRoom ? Readiness.out : 0))
  }

  ready(readiness: number): void {
    if ((readiness & Readiness.out) !== 0 && this.#wantsRoom) {
      this.#wantsRoom = false
      this.#listen()
      this.#post.roomAt(this)
    }
    if ((readiness & (Readiness.in | Readiness.error | Readiness.hangUp)) !== 0) this.#readAnswers()
  }

  failed(): void {
    this.disconnect()
  }

  #readAnswers(): void {
    for (let i = 0; i < TURN_PACKETS; i += 1) {
      if (this.#socket === undefined || this.#unanswered !== undefined || this.#retry !== undefined) return
      if (!this.#readAnswer(this.#socket)) return
    }
  }

  /** False: there is none now. */
  #readAnswer(socket: OwnedFd): boolean {
    const { counters, descriptors, held, plane, log } = this.#post.traffic
    const fd = socket.borrowed
    const length = nextPacketBytes(fd)
    if (length === Io.again) return false
    if (length < 0) {
      // The provider closed its socket with something unread. Whoever writes next finds a new one.
      this.disconnect()
      return false
    }
    if (!roomForRights(fd, 1, held)) {
      this.#later()
      return false
    }
    growInput(Math.min(length, plane.limits.packetBytes))
    const n = receiveWithRights(fd, 0, Math.max(1, Math.min(length, plane.limits.packetBytes)))
    if (n < 0) return false
    const fds = takeReceived(descriptors, counters, held)
    if (length > plane.limits.packetBytes || received.controlTruncated) {
      log.warn({ side: 'provider', bytes: length }, 'a datagram cannot be passed whole: dropped')
      closeReceived(fds, held)
    } else {
      countBytes(counters, 'provider', n)
      counters.messages += 1
      this.usedAt = plane.reactor.clock.now()
      this.#passAnswer(n, fds)
    }
    if (length > INPUT_BYTES) shrinkInput()
    return true
  }

  #passAnswer(length: number, fds: readonly number[]): void {
    beginParts()
    addInput(0, length)
    const n = this.#post.answer(this, fds)
    if (n !== Io.again && n !== Io.busy) {
      closeReceived(fds, this.#post.traffic.held)
      return
    }
    this.#unanswered = { bytes: inputBytes().slice(0, length), fds }
    this.#post.traffic.held.add(fds.length)
    this.#later()
  }

  #later(): void {
    this.#retry ??= this.#post.traffic.plane.reactor.clock.setTimeout(() => {
      this.#retry = undefined
      this.#answerAgain()
      if (this.#retry === undefined) this.#listen()
    }, RETRY_MS)
    this.#listen()
  }

  #answerAgain(): void {
    const answer = this.#unanswered
    if (answer === undefined) return
    stageInput(answer.bytes)
    beginParts()
    addInput(0, answer.bytes.length)
    const n = this.#post.answer(this, answer.fds)
    shrinkInput()
    if (n === Io.again || n === Io.busy) this.#later()
    else this.#forgetAnswer()
  }

  #forgetAnswer(): void {
    if (this.#unanswered === undefined) return
    const { held } = this.#post.traffic
    held.add(-this.#unanswered.fds.length)
    closeReceived(this.#unanswered.fds, held)
    this.#unanswered = undefined
  }

  /** Let go of the provider; what it has answered so far and nobody took is dropped. Idempotent. */
  disconnect(): void {
    this.#watch?.close()
    this.#watch = undefined
    if (this.#retry !== undefined) this.#post.traffic.plane.reactor.clock.clearTimeout(this.#retry)
    this.#retry = undefined
    this.#forgetAnswer()
    if (this.#socket !== undefined) closeSocket(this.#socket)
    this.#socket = undefined
    this.#wantsRoom = false
  }
}
