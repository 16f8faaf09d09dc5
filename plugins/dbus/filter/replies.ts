/**
 * Replies that are waited for: those to calls of the client's that went to the bus, and those to calls that went to the
 * client. Each passes once; what nobody asked for does not.
 */
import { FLAG, type MessageHead, type Verdict } from '../contract.ts'
import { Recent } from './recent.ts'
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

/** Calls that the client was given, and may answer. */
export class IncomingCalls {
  readonly #calls: Recent

  constructor(most: number) {
    this.#calls = new Recent(most)
  }

  get size(): number {
    return this.#calls.size
  }

  add(head: MessageHead): void {
    if (wantsReply(head)) this.#calls.add(`${head.sender} ${head.serial}`)
  }

  /** Whether this is the answer to one of them. It is the only one. */
  answers({ destination, replySerial }: MessageHead): boolean {
    return this.#calls.delete(`${destination} ${replySerial}`)
  }
}
