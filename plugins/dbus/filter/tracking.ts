/**
 * How a filtered connection learns who owns the names it is for: by calls of its own to the bus, on the client's
 * connection. There the bus tells every change before the new owner's first message; on another one it would be a race.
 */

import type { ByteView } from '../../../src/relay/contract.ts'
import { BUS_NAME, MESSAGE_TYPE, type MessageHead, type OwnCall, type Verdict } from '../contract.ts'
import type { Acquaintances } from './acquaintances.ts'
import { firstString, stringBytes, stringList } from './arguments.ts'
import { trackingRules } from './match-rules.ts'
import { MOST_FOLLOWED } from './owners.ts'
import type { Scope } from './scope.ts'
import { DROP, SWALLOW } from './verdicts.ts'
import { LONGEST_NAME } from './wanted-name.ts'

/** The client may use none from here on. */
export const OWN_SERIALS = 0xffff_0000

const NONE: readonly OwnCall[] = []

const refused = (what: string): Verdict => ({ kind: 'violation', reason: `the bus refuses ${what}` })
const unreadable = (what: string): Verdict => ({ kind: 'violation', reason: `${what} cannot be read` })

export class Tracking {
  readonly #scope: Scope
  readonly #known: Acquaintances
  readonly #pending = new Map<number, OwnCall>()
  #unsent: OwnCall[] = []
  #serial = OWN_SERIALS
  #begun = false

  constructor(scope: Scope, known: Acquaintances) {
    this.#scope = scope
    this.#known = known
  }

  get begun(): boolean {
    return this.#begun
  }

  /** All that was asked at the beginning is answered. */
  get ready(): boolean {
    return this.#begun && this.#pending.size === 0
  }

  /** First the rules, so that no change is missed, then how things are. */
  begin(): readonly OwnCall[] {
    this.#begun = true
    const { wanted, prefixes } = this.#scope
    for (const rule of trackingRules(this.#scope)) this.#call('AddMatch', rule)
    if (wanted.below) this.#call('ListNames')
    else this.#call('GetNameOwner', wanted.name)
    for (const prefix of prefixes) this.#call('GetNameOwner', prefix)
    return this.take()
  }

  /** What is to be sent now. */
  take(): readonly OwnCall[] {
    if (this.#unsent.length === 0) return NONE
    const calls = this.#unsent
    this.#unsent = []
    return calls
  }

  bodyWanted({ type, replySerial = 0 }: MessageHead): number {
    if (type !== MESSAGE_TYPE.return) return 0
    switch (this.#pending.get(replySerial)?.member) {
      case 'ListNames':
        return Number.POSITIVE_INFINITY
      case 'GetNameOwner':
        return stringBytes(LONGEST_NAME)
      default:
        return 0
    }
  }

  /** A reply to a serial of ours. Of anybody but the bus it is none. */
  reply(head: MessageHead, body: ByteView): Verdict {
    const { replySerial = 0, sender } = head
    const call = this.#pending.get(replySerial)
    if (call === undefined || sender !== BUS_NAME) return DROP.reply
    this.#pending.delete(replySerial)
    const isError = head.type === MESSAGE_TYPE.error
    switch (call.member) {
      case 'GetNameOwner':
        return this.#owner(call.argument ?? '', head, body)
      case 'ListNames':
        return isError ? refused('to list names') : this.#names(head, body)
      default:
        return isError ? refused('the match rule by which ownership is followed') : SWALLOW
    }
  }

  /** An error is normal: nobody has the name. */
  #owner(name: string, { type, littleEndian, signature }: MessageHead, body: ByteView): Verdict {
    if (type === MESSAGE_TYPE.error) {
      this.#known.ownerIs(name, '')
      return SWALLOW
    }
    const owner = signature === 's' ? firstString(body, littleEndian, LONGEST_NAME) : undefined
    if (owner === undefined) return unreadable("a name's owner")
    this.#known.ownerIs(name, owner)
    return SWALLOW
  }

  #names({ littleEndian, signature }: MessageHead, body: ByteView): Verdict {
    const names = signature === 'as' ? stringList(body, littleEndian) : undefined
    if (names === undefined) return unreadable('the list of names')
    const services = names.filter(name => this.#scope.isService(name))
    for (const name of services.slice(0, MOST_FOLLOWED)) this.#call('GetNameOwner', name)
    return SWALLOW
  }

  #call(member: OwnCall['member'], argument?: string): void {
    this.#serial += 1
    const call: OwnCall = { serial: this.#serial, member, ...(argument === undefined ? {} : { argument }) }
    this.#pending.set(call.serial, call)
    this.#unsent.push(call)
  }
}
