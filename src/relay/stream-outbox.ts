/**
 * The outbox of a stream socket: bytes with descriptors at exact positions, or bytes in a pipe on their way by splice.
 * Plain bytes may be merged with plain bytes; an entry that carries descriptors is written by a sendmsg of its own and
 * nothing is appended to it, because its end is a boundary that the receiver can see.
 */

import { closeReceived } from '../kernel/closing.ts'
import { SCM_MAX_FD } from '../kernel/constants.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import {
  addAside,
  addCopy,
  addInput,
  asideBytes,
  beginParts,
  copyParts,
  forgetAside,
  INPUT_BYTES,
  OUTPUT_BYTES,
  partBytes,
  putAside,
  sendAside,
  sendPartsTo,
} from '../kernel/message.ts'
import { growSendBuffer } from '../kernel/socket.ts'
import type { PipePool, SplicePipe } from '../kernel/splice.ts'
import type { Reactor } from '../reactor/contract.ts'
import type { HeldDescriptors } from './descriptor-reserve.ts'
import { failedWrite, type Outbox, type Written } from './outbox.ts'
import type { RelayLimits } from './ports.ts'
import { NO_FDS } from './receive.ts'

const CHUNK_BYTES = 16 * 1024
/**
 * What the kernel may hold for a receiver once bulk data goes to it; it doubles this for its own bookkeeping (socket(7)).
 * A writer is woken when three quarters have been read, so a small buffer means a wake-up for every few pages.
 */
const BULK_SEND_BUFFER = 512 * 1024

interface Entry {
  readonly buffer: Uint8Array
  start: number
  end: number
  fds: readonly number[]
  /** It carried descriptors when it was queued: nothing may be appended. */
  readonly sealed: boolean
}

/** What it shares with the other connections of its link. */
interface OutboxOf {
  readonly plane: {
    readonly pipes: PipePool
    readonly limits: Pick<RelayLimits, 'queueBytes' | 'queueDescriptors'>
    readonly reactor: Pick<Reactor, 'isTurning'>
  }
  readonly held: HeldDescriptors
}

export class StreamOutbox implements Outbox {
  readonly #pipes: PipePool
  readonly #reactor: Pick<Reactor, 'isTurning'>
  readonly #held: HeldDescriptors
  readonly #mostBytes: number
  readonly #mostDescriptors: number
  #fd: BorrowedFd | undefined
  #entries: Entry[] = []
  #bytes = 0
  #descriptors = 0
  #pipe: SplicePipe | undefined
  #madeRoom = false
  /** Bytes that were put aside for the end of the turn, and where. As long as there are any, nothing else waits. */
  #asideBytes = 0
  #asideAt = 0

  /** Without a socket yet, everything is queued until `open`. */
  constructor({ plane, held }: OutboxOf, fd?: BorrowedFd) {
    this.#pipes = plane.pipes
    this.#reactor = plane.reactor
    this.#held = held
    this.#mostBytes = plane.limits.queueBytes
    this.#mostDescriptors = plane.limits.queueDescriptors
    this.#fd = fd
  }

  open(fd: BorrowedFd): void {
    this.#fd = fd
  }

  get waiting(): number {
    return this.#bytes + this.#asideBytes + (this.#pipe?.held ?? 0)
  }

  get empty(): boolean {
    return this.#entries.length === 0 && this.#pipe === undefined && this.#asideBytes === 0
  }

  get full(): boolean {
    return (
      this.#bytes >= this.#mostBytes || this.#descriptors >= this.#mostDescriptors || this.#pipe !== undefined
    )
  }

  /**
   * More waits than what is passed on can make of it: a full queue and one read beyond. The rest is a session's own
   * answers, which whoever asks for them has to take before it may ask for more.
   */
  get overfull(): boolean {
    return (
      this.#bytes >= this.#mostBytes + 2 * INPUT_BYTES ||
      this.#descriptors >= this.#mostDescriptors + 4 * SCM_MAX_FD
    )
  }

  get hungry(): boolean {
    return (
      this.#bytes <= this.#mostBytes / 2 &&
      this.#descriptors <= this.#mostDescriptors / 2 &&
      this.#pipe === undefined
    )
  }

  #count(descriptors: number): void {
    this.#descriptors += descriptors
    this.#held.add(descriptors)
  }

  #queueParts(skip: number, fds: readonly number[]): void {
    const length = partBytes - skip
    const sealed = fds.length > 0
    const last = this.#entries.at(-1)
    if (!sealed && last !== undefined && !last.sealed && last.buffer.length - last.end >= length) {
      copyParts(skip, last.buffer.subarray(last.end))
      last.end += length
    } else {
      const buffer = new Uint8Array(sealed ? length : Math.max(length, CHUNK_BYTES))
      copyParts(skip, buffer)
      this.#entries.push({ buffer, start: 0, end: length, fds, sealed })
    }
    this.#bytes += length
    this.#count(fds.length)
  }

  /**
   * Put a small write aside until the turn ends. Each write wakes its reader, who then takes the core from us before the
   * next connection has been looked at: with many, that is most of what a small message costs.
   */
  #putAside(): boolean {
    if (!this.#reactor.isTurning || this.#entries.length > 0 || this.#pipe !== undefined) return false
    if (this.#asideBytes > 0) {
      if (!addAside(this.#asideAt + this.#asideBytes)) return false
    } else {
      this.#asideAt = putAside()
      if (this.#asideAt < 0) return false
    }
    this.#asideBytes += partBytes
    return true
  }

  get departs(): boolean {
    return this.#asideBytes > 0
  }

  depart(): Written {
    const length = this.#asideBytes
    if (length === 0 || this.#fd === undefined) return 'all'
    const n = sendAside(this.#fd, this.#asideAt, length)
    const written = n === length ? 'all' : n >= 0 ? 'blocked' : failedWrite(n)
    if (written === 'blocked' || written === 'busy') {
      this.#queue(asideBytes(this.#asideAt + Math.max(0, n), length - Math.max(0, n)).slice())
    }
    this.#forgetAside()
    return written
  }

  #forgetAside(): void {
    if (this.#asideBytes > 0) forgetAside()
    this.#asideBytes = 0
  }

  #queue(buffer: Uint8Array): void {
    this.#entries.push({ buffer, start: 0, end: buffer.length, fds: NO_FDS, sealed: false })
    this.#bytes += buffer.length
  }

  /** Write the parts begun with `beginParts`, descriptors with their first byte; what the socket does not take is queued. */
  writeParts(fds: readonly number[]): Written {
    if (partBytes === 0) {
      // A stream cannot carry descriptors without a byte (unix(7)).
      closeReceived(fds, this.#held)
      return 'all'
    }
    if (this.#fd !== undefined && fds.length === 0 && this.#putAside()) return 'later'
    if (this.#asideBytes > 0 && this.depart() === 'gone') {
      closeReceived(fds, this.#held)
      return 'gone'
    }
    if (!this.empty || this.#fd === undefined) {
      this.#queueParts(0, fds)
      return 'blocked'
    }
    const n = sendPartsTo(this.#fd, fds)
    if (n === partBytes) {
      closeReceived(fds, this.#held)
      return 'all'
    }
    if (n > 0) {
      closeReceived(fds, this.#held)
      this.#queueParts(n, NO_FDS)
      return 'blocked'
    }
    const written = failedWrite(n)
    if (written === 'gone') closeReceived(fds, this.#held)
    else this.#queueParts(0, fds)
    return written
  }

  /** Write plain bytes of the input buffer's beginning. */
  writeInput(length: number): Written {
    beginParts()
    addInput(0, length)
    return this.writeParts(NO_FDS)
  }

  /** Splice is possible: nothing that was copied waits in front. */
  get spliceable(): boolean {
    return this.empty && this.#fd !== undefined
  }

  /**
   * Move `length` bytes of `from` by splice. How many have left `from`, or an `Io` failure of reading it;
   * `undefined`: no pipe to be had, copy instead. What went into the pipe and not out of it waits here.
   */
  spliceFrom(from: BorrowedFd, length: number): { moved: number; written: Written } | undefined {
    const pipe = this.#pipes.take()
    if (pipe === undefined || this.#fd === undefined) return undefined
    if (!this.#madeRoom) growSendBuffer(this.#fd, BULK_SEND_BUFFER)
    this.#madeRoom = true
    const result = SPLICED
    result.moved = 0
    result.written = 'all'
    while (result.moved < length) {
      const n = pipe.fill(from, length - result.moved)
      if (n <= 0) {
        if (result.moved === 0) result.moved = n
        break
      }
      result.moved += n
      while (pipe.held > 0) {
        const out = pipe.drain(this.#fd)
        if (out > 0) continue
        result.written = failedWrite(out)
        break
      }
      if (pipe.held > 0) break
    }
    if (pipe.held > 0 && result.written !== 'gone') this.#pipe = pipe
    else this.#pipes.give(pipe)
    return result
  }

  flush(): Written {
    if (this.#fd === undefined) return 'blocked'
    if (this.#asideBytes > 0 && this.depart() === 'gone') return 'gone'
    let done = 0
    let outcome: Written = 'all'
    for (const entry of this.#entries) {
      outcome = this.#flushEntry(entry, this.#fd)
      if (outcome !== 'all') break
      done += 1
    }
    if (done > 0) this.#entries.splice(0, done)
    return outcome === 'all' ? this.#flushPipe(this.#fd) : outcome
  }

  #flushEntry(entry: Entry, fd: BorrowedFd): Written {
    while (entry.start < entry.end) {
      beginParts()
      addCopy(entry.buffer.subarray(entry.start, Math.min(entry.end, entry.start + OUTPUT_BYTES)))
      const n = sendPartsTo(fd, entry.fds)
      if (n < 0) return failedWrite(n)
      if (entry.fds.length > 0) {
        closeReceived(entry.fds, this.#held)
        this.#count(-entry.fds.length)
        entry.fds = NO_FDS
      }
      entry.start += n
      this.#bytes -= n
    }
    return 'all'
  }

  #flushPipe(fd: BorrowedFd): Written {
    if (this.#pipe === undefined) return 'all'
    while (this.#pipe.held > 0) {
      const n = this.#pipe.drain(fd)
      // Never 0 with bytes inside; were it, waiting would spin.
      if (n <= 0) return n === 0 ? 'gone' : failedWrite(n)
    }
    this.#pipes.give(this.#pipe)
    this.#pipe = undefined
    return 'all'
  }

  discard(): void {
    for (const entry of this.#entries) closeReceived(entry.fds, this.#held)
    this.#forgetAside()
    this.#entries = []
    this.#bytes = 0
    this.#count(-this.#descriptors)
    this.#pipe?.close()
    this.#pipe = undefined
  }
}

/** One result object for all: a splice must not allocate. */
const SPLICED: { moved: number; written: Written } = { moved: 0, written: 'all' }
