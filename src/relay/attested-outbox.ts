/**
 * The outbox of a provider that is told with every message who wrote it (SCM_CREDENTIALS, unix(7)): one message each, with its
 * writer and its descriptors, on a socket of any type. Nothing is merged: without a writer of its own a message would be taken
 * for the daemon's.
 */
import { closeReceived } from '../kernel/closing.ts'
import { Io, lastFailure } from '../kernel/errno.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import {
  addInput,
  beginParts,
  inputBytes,
  sendPartsTo,
  shrinkInput,
  stageInput,
  type Writer,
} from '../kernel/message.ts'
import type { LinkLog } from '../toolbox/contract.ts'
import type { HeldDescriptors } from './descriptor-reserve.ts'
import { failedWrite, type Outbox, type Written } from './outbox.ts'
import type { RelayLimits } from './ports.ts'
import { NO_FDS } from './receive.ts'
import { SendRoom } from './send-room.ts'

interface Message {
  bytes: Uint8Array
  fds: readonly number[]
  readonly writer: Writer
}

/** What it shares with the other connections of its link. */
interface OutboxOf {
  readonly log: Pick<LinkLog, 'warn'>
  readonly plane: {
    readonly limits: Pick<RelayLimits, 'queueBytes' | 'queueDescriptors' | 'queuePackets'>
  }
  readonly held: HeldDescriptors
}

/**
 * Send the parts on behalf of a writer. One that has ended and was waited for cannot be named any more (ESRCH), nor can one
 * of another pid namespace, which has no number here: then the `standIn`, the container's init, is named, and last ourselves.
 * Its user and group stay.
 */
export const sendAsWriter = (
  fd: BorrowedFd,
  fds: readonly number[],
  writer: Writer,
  standIn: number,
): number => {
  const n = sendPartsTo(fd, fds, writer)
  if (n !== Io.noProcess) return n
  const again = sendPartsTo(fd, fds, { ...writer, pid: standIn })
  return again === Io.noProcess ? sendPartsTo(fd, fds, { ...writer, pid: process.pid }) : again
}

export class AttestedOutbox implements Outbox {
  readonly #fd: BorrowedFd
  readonly #log: Pick<LinkLog, 'warn'>
  readonly #held: HeldDescriptors
  readonly #limits: OutboxOf['plane']['limits']
  readonly #standIn: number
  #messages: Message[] = []
  #bytes = 0
  #descriptors = 0
  readonly #room: SendRoom

  /** `standIn`: who is named for a writer that is gone. */
  constructor({ plane, held, log }: OutboxOf, fd: BorrowedFd, standIn: number) {
    this.#fd = fd
    this.#room = new SendRoom(fd)
    this.#log = log
    this.#held = held
    this.#limits = plane.limits
    this.#standIn = standIn
  }

  get waiting(): number {
    return this.#bytes
  }

  get empty(): boolean {
    return this.#messages.length === 0
  }

  get full(): boolean {
    const { queueBytes, queueDescriptors, queuePackets } = this.#limits
    return (
      this.#bytes >= queueBytes ||
      this.#descriptors >= queueDescriptors ||
      this.#messages.length >= queuePackets
    )
  }

  get hungry(): boolean {
    const { queueBytes, queueDescriptors, queuePackets } = this.#limits
    return (
      this.#bytes <= queueBytes / 2 &&
      this.#descriptors <= queueDescriptors / 2 &&
      this.#messages.length <= queuePackets / 2
    )
  }

  /** How many bytes were taken, or an `Io` failure. */
  #send(length: number, fds: readonly number[], writer: Writer): number {
    const n = sendAsWriter(this.#fd, fds, writer, this.#standIn)
    // EPERM: it takes CAP_SETUID, CAP_SETGID and CAP_SYS_ADMIN to name somebody else.
    if (n === Io.failed) this.#log.warn({ errno: lastFailure() }, 'a message cannot be sent for its writer')
    return this.#room.madeAfter(n, length) ? sendAsWriter(this.#fd, fds, writer, this.#standIn) : n
  }

  /** Write the beginning of the input buffer as one message. Takes the descriptors. */
  write(length: number, fds: readonly number[], writer: Writer): Written {
    if (!this.empty) {
      this.#queue(0, length, fds, writer)
      return 'blocked'
    }
    beginParts()
    addInput(0, length)
    const n = this.#send(length, fds, writer)
    if (n >= 0) {
      closeReceived(fds, this.#held)
      if (n === length) return 'all'
      this.#queue(n, length, NO_FDS, writer)
      return 'blocked'
    }
    const written = failedWrite(n)
    if (written === 'gone') closeReceived(fds, this.#held)
    else this.#queue(0, length, fds, writer)
    return written
  }

  #count(descriptors: number): void {
    this.#descriptors += descriptors
    this.#held.add(descriptors)
  }

  #queue(start: number, end: number, fds: readonly number[], writer: Writer): void {
    this.#messages.push({ bytes: inputBytes().slice(start, end), fds, writer })
    this.#bytes += end - start
    this.#count(fds.length)
  }

  /** Nothing waits for that: each message is one of its own. */
  readonly departs = false

  depart(): Written {
    return 'all'
  }

  #flushOne(message: Message): Written {
    for (;;) {
      stageInput(message.bytes)
      beginParts()
      addInput(0, message.bytes.length)
      const n = this.#send(message.bytes.length, message.fds, message.writer)
      if (n < 0) return failedWrite(n)
      closeReceived(message.fds, this.#held)
      this.#count(-message.fds.length)
      message.fds = NO_FDS
      this.#bytes -= n
      if (n === message.bytes.length) return 'all'
      // A stream took a part: what is left is the same writer's.
      message.bytes = message.bytes.subarray(n)
    }
  }

  flush(): Written {
    let done = 0
    let outcome: Written = 'all'
    for (const message of this.#messages) {
      outcome = this.#flushOne(message)
      if (outcome !== 'all') break
      done += 1
    }
    shrinkInput()
    if (done > 0) this.#messages.splice(0, done)
    return outcome
  }

  discard(): void {
    for (const message of this.#messages) closeReceived(message.fds, this.#held)
    this.#messages = []
    this.#bytes = 0
    this.#count(-this.#descriptors)
  }
}
