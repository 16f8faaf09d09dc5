/**
 * Replies that are waited for: those to calls of the client's that went to the bus, and those to calls that went to the
 * client. Each passes once; what nobody asked for does not.
 */
import { FLAG, type MessageHead, type Verdict } from '../contract.ts'
import { DENY, TOO_MANY_CALLS } from './verdicts.ts'

/** A call of the client's that was passed on. */
export interface Awaited {
  /** Who may reply. */
  readonly from: 'bus' | 'anybody'
  /** `list`: of names, which is shortened. The others tell what became of `text`. */
  readonly kind: 'plain' | 'list' | 'add-match' | 'request-name' | 'release-name'
  /** The call's string, where it is of use. */
  readonly text: string
}

/** Who replies is the bus's business: it lets nobody reply who was not asked. */
export const FROM_ANYBODY: Awaited = { from: 'anybody', kind: 'plain', text: '' }
export const FROM_BUS: Awaited = { from: 'bus', kind: 'plain', text: '' }
export const LIST_FROM_BUS: Awaited = { from: 'bus', kind: 'list', text: '' }

export const wantsReply = ({ flags }: MessageHead): boolean => (flags & FLAG.noReplyExpected) === 0

export class ExpectedReplies {
  readonly #bySerial = new Map<number, Awaited>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#bySerial.size
  }

  /**
   * Why this call may not go to the bus now. A serial that is waited for may not be used again, as the bus has it too, and
   * even by a call that wants no reply: some get one all the same, which would be taken for another call's.
   */
  refusal(head: MessageHead): Verdict | undefined {
    if (this.#bySerial.has(head.serial)) return DENY.reply
    return this.#bySerial.size >= this.#most && wantsReply(head) ? TOO_MANY_CALLS : undefined
  }

  /** It goes to the bus. */
  add(head: MessageHead, awaited: Awaited): void {
    if (wantsReply(head)) this.#bySerial.set(head.serial, awaited)
  }

  get(serial: number): Awaited | undefined {
    return this.#bySerial.get(serial)
  }

  delete(serial: number): void {
    this.#bySerial.delete(serial)
  }

  clear(): void {
    this.#bySerial.clear()
  }
}

/** Calls that the client was given, and may answer. Beyond the bound the oldest are forgotten, of the same caller if there are any. */
export class IncomingCalls {
  /** Caller -> serials, none of them empty. */
  readonly #calls = new Map<string, Set<number>>()
  readonly #most: number
  #size = 0

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#size
  }

  add(head: MessageHead): void {
    const { sender } = head
    if (sender === undefined || !wantsReply(head)) return
    const serials = this.#calls.get(sender)
    if (serials?.has(head.serial) === true) return
    if (this.#size >= this.#most) this.#forgetOne(sender)
    this.#size += 1
    // It may have been this caller's last one that was forgotten.
    const here = this.#calls.get(sender)
    if (here === undefined) this.#calls.set(sender, new Set([head.serial]))
    else here.add(head.serial)
  }

  /** Whether this is the answer to one of them. It is the only one. */
  answers({ destination, replySerial }: MessageHead): boolean {
    return destination !== undefined && replySerial !== undefined && this.#delete(destination, replySerial)
  }

  #forgetOne(caller: string): void {
    const [first = caller] = this.#calls.keys()
    const from = this.#calls.has(caller) ? caller : first
    const [oldest = 0] = this.#calls.get(from) ?? []
    this.#delete(from, oldest)
  }

  #delete(caller: string, serial: number): boolean {
    const serials = this.#calls.get(caller)
    if (serials?.delete(serial) !== true) return false
    this.#size -= 1
    if (serials.size === 0) this.#calls.delete(caller)
    return true
  }
}
