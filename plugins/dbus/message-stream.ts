/**
 * One direction of a connection, message by message. It frames, keeps descriptors with their message, and carries out what is
 * decided about each (`MessageCourt`); whose business that is, it does not know.
 *
 * Bytes that pass are not copied: whole messages leave in one run with those around them, and the rest of a long one goes
 * unseen but for its last byte, with which this hears that the message is over. What is to be put between two messages waits for
 * that. Descriptors leave with the first byte of their message; those that come later, with what came with them.
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { ByteView, Commands, Side, TimerName } from '../../src/relay/contract.ts'
import { MOST_BODY_BYTES, type Verdict } from './contract.ts'
import { type MessageFault, messageFigure } from './figures.ts'
import { Gathering } from './gathering.ts'
import { MessageReader } from './message-reader.ts'
import { withBody, withInterface } from './message-writer.ts'

/** A beginning that is longer than this does not wait in the relay's buffer, which would copy it with every byte that comes. */
const GATHER_FROM_BYTES = 8 * 1024
/** From here on the rest of a message is not looked at. */
const UNSEEN_FROM_BYTES = 32 * 1024
/** The most that one sendmsg can carry (SCM_MAX_FD, unix(7)), and so the most that a message has had on any bus. */
const MOST_DESCRIPTORS = 253
/** Of what is held back from a client that may not hear anything yet. */
export const MOST_HELD_BYTES = 1024 * 1024

/** What becomes of a message, once all that a verdict means to others is done. */
export type Fate =
  | Exclude<Verdict, { kind: 'drop' | 'deny' | 'swallow' | 'answer' | 'violation' }>
  | { readonly kind: 'vanish' }
  /** It waits here, with all that comes behind it, until `release`. Its body was wanted whole. */
  | { readonly kind: 'hold' }
  | { readonly kind: 'fault'; readonly fault: MessageFault }

export interface MessageCourt {
  /** How many bytes of the body it needs to see; infinite: all. */
  bodyWanted(from: Side, head: MessageReader): number
  judge(from: Side, head: MessageReader, body: ByteView, out: Commands): Fate
  /** The fate of that message was carried out. */
  judged(from: Side, out: Commands): void
  /** The last byte of that message has come. */
  ended(from: Side): void
  /** A side that is not to be listened to for now: what it said waits where it is. */
  waits(from: Side): boolean
  /** The connection is to end: the peer broke the rules. */
  fault(from: Side, fault: MessageFault, out: Commands): void
}

interface Held {
  /** `undefined`: a message that vanished, whose descriptors have to wait for their turn. */
  readonly bytes: ByteView | undefined
  readonly fds: number
}

const NO_BODY = new Uint8Array(0)

/** One for all connections: what it says of a message is not needed beyond the call. */
const READERS = new Map<number, MessageReader>()

const readerFor = (mostFieldBytes: number): MessageReader => {
  const reader = READERS.get(mostFieldBytes) ?? new MessageReader(mostFieldBytes)
  READERS.set(mostFieldBytes, reader)
  return reader
}

export const descriptorTimer = (from: Side): TimerName => `descriptors of ${from}`

export class MessageStream {
  readonly #from: Side
  readonly #to: Side
  readonly #court: MessageCourt
  readonly #reader: MessageReader
  readonly #limits: ProtocolLimits
  readonly #passesDescriptors: boolean
  /** Bytes of the input that pass and were not commanded to yet. */
  #run = 0
  /** What is still to come of the message that is passing, or vanishing. */
  #rest = 0
  #vanishes = false
  /** Of the body, to decide about the message that the reader has. */
  #wanted = 0
  /** Descriptors of that message that did not come yet. */
  #owed = 0
  /** Descriptors in the relay's queue, those of held messages included. */
  #fds = 0
  #gathering: Gathering | undefined
  readonly #held: Held[] = []
  #heldBytes = 0
  #heldFds = 0
  /** To be put between two messages. */
  readonly #between: ByteView[] = []
  #betweenBytes = 0
  #isTimed = false
  /** In the course of this look. */
  #tookAny = false
  #hasFault = false

  constructor(from: Side, court: MessageCourt, limits: ProtocolLimits, passesDescriptors: boolean) {
    this.#from = from
    this.#to = from === 'consumer' ? 'provider' : 'consumer'
    this.#court = court
    this.#reader = readerFor(limits.dbusFieldBytes)
    this.#limits = limits
    this.#passesDescriptors = passesDescriptors
  }

  /** How much waits for the end of a message to be sent behind it. */
  get betweenBytes(): number {
    return this.#betweenBytes
  }

  /** `fds`: all that wait. */
  read(view: ByteView, fds: number, out: Commands): void {
    this.#fds = fds
    this.#tookAny = false
    let at = 0
    while (at < view.length && !this.#hasFault && !this.#court.waits(this.#from)) {
      const next = this.#rest > 0 ? this.#goOn(view, at, out) : this.#begin(view, at, out)
      if (next === at) break
      at = next
    }
    if (this.#hasFault) return
    this.#passRun(out)
    if (at === view.length && !this.#vanishes && this.#rest > UNSEEN_FROM_BYTES) this.#passUnseen(out)
    this.#keepDescriptors(at === view.length, out)
  }

  /** Own bytes for where this leads to, at once or behind the message that is on its way. */
  put(bytes: ByteView, out: Commands): void {
    if (this.#rest > 0 && !this.#vanishes) {
      this.#between.push(bytes)
      this.#betweenBytes += bytes.length
      return
    }
    this.#passRun(out)
    out.send(this.#to, [bytes], 0)
  }

  /** Send what was held. */
  release(out: Commands): void {
    this.#passRun(out)
    for (const { bytes, fds } of this.#held.splice(0)) {
      if (bytes === undefined) out.drop(this.#from, 0, fds)
      else out.send(this.#to, [bytes], fds)
      this.#took(fds)
    }
    this.#heldBytes = 0
    this.#heldFds = 0
  }

  // Where the next bytes belong to a message whose fate is known.

  #goOn(view: ByteView, at: number, out: Commands): number {
    const bytes = Math.min(this.#rest, view.length - at)
    const fds = Math.min(this.#owed, this.#free)
    this.#owed -= fds
    if (bytes === this.#rest && this.#owed > 0) return this.#fail('descriptors-missing', at, out)
    this.#rest -= bytes
    if (this.#vanishes) this.#vanish(bytes, fds, out)
    else this.#pass(bytes, fds, out)
    if (this.#rest === 0) this.#court.ended(this.#from)
    if (this.#rest === 0 && !this.#vanishes) this.#sendBetween(out)
    return at + bytes
  }

  #pass(bytes: number, fds: number, out: Commands): void {
    if (fds === 0) {
      this.#run += bytes
      return
    }
    this.#passRun(out)
    out.forward(this.#from, bytes, fds)
    this.#took(fds)
  }

  #took(fds: number): void {
    this.#fds -= fds
    this.#tookAny ||= fds > 0
  }

  #vanish(bytes: number, fds: number, out: Commands): void {
    this.#passRun(out)
    if (fds > 0 && this.#held.length > 0) {
      // They wait behind those of messages that are held.
      this.#held.push({ bytes: undefined, fds })
      this.#heldFds += fds
      out.drop(this.#from, bytes, 0)
      return
    }
    out.drop(this.#from, bytes, fds)
    this.#took(fds)
  }

  #passRun(out: Commands): void {
    if (this.#run > 0) out.forward(this.#from, this.#run, 0)
    this.#run = 0
  }

  #sendBetween(out: Commands): void {
    if (this.#between.length === 0) return
    this.#passRun(out)
    out.send(this.#to, this.#between.splice(0), 0)
    this.#betweenBytes = 0
  }

  /** Descriptors that are nobody's yet. */
  get #free(): number {
    return this.#fds - this.#heldFds
  }

  // Where a message begins.

  /** Gives where what follows begins; `at`: there is not enough of it. */
  #begin(view: ByteView, at: number, out: Commands): number {
    if (this.#gathering !== undefined) return this.#gather(this.#gathering, view, at, out)
    const needed = this.#needed(view, at)
    if (typeof needed !== 'number') return this.#fail(needed, at, out)
    if (view.length - at < needed) {
      if (needed < GATHER_FROM_BYTES) return at
      this.#gathering = new Gathering(needed)
      return this.#gather(this.#gathering, view, at, out)
    }
    const there = Math.min(this.#reader.totalBytes, view.length - at)
    return this.#settle(view, at, there, 0, out)
  }

  /**
   * How many bytes of the message that begins there have to be there to decide about it, as far as that is known. Once they are,
   * the reader has its header.
   */
  #needed(view: ByteView, at: number): number | MessageFault {
    const head = this.#reader
    const found = head.read(view, at)
    if (found === 'more') return head.headerBytes
    if (found !== 'whole') return found
    const wanted = this.#court.bodyWanted(this.#from, head)
    if (wanted === Number.POSITIVE_INFINITY && head.bodyBytes > MOST_BODY_BYTES) return 'body-length'
    this.#wanted = Math.min(wanted, head.bodyBytes)
    return head.headerBytes + this.#wanted
  }

  #gather(gathering: Gathering, view: ByteView, at: number, out: Commands): number {
    const taken = gathering.take(view, at)
    this.#passRun(out)
    out.drop(this.#from, taken, 0)
    if (!gathering.isWhole) return at + taken
    const { bytes } = gathering
    const needed = this.#needed(bytes, 0)
    if (typeof needed !== 'number') return this.#fail(needed, at, out)
    gathering.wanted = needed
    if (!gathering.isWhole) return at + taken
    this.#gathering = undefined
    this.#settle(bytes, 0, bytes.length, bytes.length, out)
    return at + taken
  }

  /**
   * Decide about the message at `at`, of which `there` bytes have come; the first `gathered` are no longer in the input. Gives
   * where what follows begins.
   */
  #settle(view: ByteView, at: number, there: number, gathered: number, out: Commands): number {
    const head = this.#reader
    const { unixFds, headerBytes, totalBytes } = head
    if (unixFds > 0 && !this.#passesDescriptors) return this.#fail('descriptors-not-negotiated', at, out)
    if (unixFds > MOST_DESCRIPTORS) return this.#fail('descriptors-too-many', at, out)
    const fds = Math.min(unixFds, this.#free)
    if (there === totalBytes && fds < unixFds) return this.#fail('descriptors-missing', at, out)
    const body = this.#wanted > 0 ? view.subarray(at + headerBytes, at + there) : NO_BODY
    const fate = this.#court.judge(this.#from, head, body, out)
    this.#owed = unixFds - fds
    this.#vanishes = fate.kind !== 'pass' && fate.kind !== 'complete'
    switch (fate.kind) {
      case 'pass':
        if (gathered > 0) this.#send([view], fds, out)
        else this.#pass(there, fds, out)
        break
      case 'complete':
        this.#passRun(out)
        this.#send(withInterface(head, view, at, fate.interface), fds, out)
        if (gathered > 0) this.#send([view.subarray(headerBytes)], 0, out)
        else out.drop(this.#from, headerBytes, 0)
        if (gathered === 0) this.#run += there - headerBytes
        break
      case 'rewrite':
        this.#passRun(out)
        this.#send(withBody(head, view, at, fate.body), fds, out)
        this.#vanish(there - gathered, 0, out)
        break
      case 'vanish':
        this.#vanish(there - gathered, fds, out)
        break
      case 'hold':
        this.#hold(view.slice(at, at + there), fds, out)
        out.drop(this.#from, there - gathered, 0)
        break
      case 'fault':
        return this.#fail(fate.fault, at, out)
    }
    this.#rest = totalBytes - there
    // What is held or rewritten reaches the other side, though not out of the input.
    if (fate.kind !== 'vanish') out.count(messageFigure(this.#to, head.type))
    out.count('messages')
    this.#court.judged(this.#from, out)
    if (this.#rest === 0) this.#court.ended(this.#from)
    return at + there
  }

  #send(slices: readonly ByteView[], fds: number, out: Commands): void {
    this.#passRun(out)
    out.send(this.#to, slices, fds)
    this.#took(fds)
  }

  #hold(bytes: ByteView, fds: number, out: Commands): void {
    this.#passRun(out)
    this.#held.push({ bytes, fds })
    this.#heldFds += fds
    this.#heldBytes += bytes.length
    if (this.#heldBytes > MOST_HELD_BYTES) this.#fail('start-up', 0, out)
  }

  /** All of the view has been commanded to: what comes next is the rest. */
  #passUnseen(out: Commands): void {
    out.opaque(this.#from, this.#rest - 1)
    this.#rest = 1
  }

  // Rules that it breaks.

  #fail(fault: MessageFault, at: number, out: Commands): number {
    this.#passRun(out)
    this.#hasFault = true
    this.#court.fault(this.#from, fault, out)
    return at
  }

  /** All that has come is dealt with: descriptors that are left belong to a message that did not come whole, or to none. */
  #keepDescriptors(isDrained: boolean, out: Commands): void {
    const free = this.#free
    const atBoundary = isDrained && this.#rest === 0 && this.#gathering === undefined
    if (free > 0 && atBoundary) {
      this.#fail('descriptors-left-over', 0, out)
      return
    }
    if (free > 0 && (!this.#isTimed || this.#tookAny))
      out.setTimer(descriptorTimer(this.#from), this.#limits.dbusDescriptorsMs)
    else if (free === 0 && this.#isTimed) out.clearTimer(descriptorTimer(this.#from))
    this.#isTimed = free > 0
  }
}
