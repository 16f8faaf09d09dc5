/**
 * The interface filter of one connection: a client reaches the service it is for, and is told of nothing else on the bus.
 * Decides by the names that the bus vouches for, on what the bus says first. Knows no bytes but those of a few arguments.
 */
import type { ProtocolLimits } from '../../../src/model/limits.ts'
import type { ByteView, Side } from '../../../src/relay/contract.ts'
import {
  BUS_NAME,
  MESSAGE_TYPE,
  type MessageHead,
  type OwnCall,
  type TrackingJudge,
  type Verdict,
} from '../contract.ts'
import { Acquaintances } from './acquaintances.ts'
import { StringReader, stringBytes } from './arguments.ts'
import { BusCalls } from './bus-calls.ts'
import { ExpectedReplies, FROM_ANYBODY, IncomingCalls } from './replies.ts'
import { Scope } from './scope.ts'
import { OWN_SERIALS, Tracking } from './tracking.ts'
import { DENY, DROP, PASS } from './verdicts.ts'
import { isInterfaceName, LONGEST_NAME, type WantedName } from './wanted-name.ts'

export interface FilterOptions {
  readonly wanted: WantedName
  /** Whether the bus's policy lets the role own a name. Asked each time: policies change. */
  readonly mayOwn: (name: string) => boolean
  readonly limits: Pick<ProtocolLimits, 'dbusCalls' | 'dbusSeen'>
}

// D-Bus specification, "Standard Interfaces".
const PEER = 'org.freedesktop.DBus.Peer'
const PROPERTIES = 'org.freedesktop.DBus.Properties'
const INTROSPECTABLE = 'org.freedesktop.DBus.Introspectable'
const OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager'

/** `s`: a string. */
const S = 0x73

const INTERFACE_BYTES = stringBytes(LONGEST_NAME)
/** Three names, aligned. */
const OWNER_CHANGE_BYTES = 3 * (INTERFACE_BYTES + 3)

const OWN_SERIAL_USED: Verdict = {
  kind: 'violation',
  reason: `serials from ${OWN_SERIALS} on are not for clients of a filtered link`,
}
const NO_HELLO: Verdict = { kind: 'violation', reason: 'the first message is not the Hello to the bus' }
const OWNER_UNREADABLE: Verdict = { kind: 'violation', reason: 'the change of an owner cannot be read' }

/** A text is made of a header's field when it is asked for: most signals are told apart by the first. */
const isNameOwnerChanged = (head: MessageHead): boolean =>
  head.member === 'NameOwnerChanged' && head.sender === BUS_NAME && head.interface === BUS_NAME

const isHello = ({ type, destination, member, interface: of }: MessageHead): boolean =>
  type === MESSAGE_TYPE.call &&
  destination === BUS_NAME &&
  member === 'Hello' &&
  (of === undefined || of === BUS_NAME)

const isReplyToUs = ({ replySerial = 0 }: MessageHead): boolean => replySerial >= OWN_SERIALS

const completionOf = (name: string): Verdict =>
  isInterfaceName(name) ? { kind: 'complete', interface: name } : DENY.interface

class Filter implements TrackingJudge {
  readonly #scope: Scope
  readonly #known: Acquaintances
  readonly #tracking: Tracking
  readonly #expected: ExpectedReplies
  readonly #incoming: IncomingCalls
  readonly #bus: BusCalls
  readonly #completion: Verdict

  constructor({ wanted, mayOwn, limits }: FilterOptions) {
    this.#scope = new Scope(wanted)
    this.#completion = completionOf(wanted.name)
    this.#known = new Acquaintances(this.#scope, limits.dbusSeen)
    this.#tracking = new Tracking(this.#scope, this.#known)
    this.#expected = new ExpectedReplies(limits.dbusCalls)
    this.#incoming = new IncomingCalls(limits.dbusCalls)
    this.#bus = new BusCalls(this.#scope, this.#known, this.#expected, mayOwn)
  }

  begin(uniqueName: string): readonly OwnCall[] {
    this.#known.introduce(uniqueName)
    this.#bus.greeted()
    return this.#tracking.begin()
  }

  nextCalls(): readonly OwnCall[] {
    return this.#tracking.take()
  }

  get ready(): boolean {
    return this.#tracking.ready
  }

  bodyWanted(from: Side, head: MessageHead): number {
    switch (head.type) {
      case MESSAGE_TYPE.call:
        return from === 'consumer' ? this.#wantedOfCall(head) : 0
      case MESSAGE_TYPE.signal:
        return from === 'provider' ? this.#wantedOfSignal(head) : 0
      case MESSAGE_TYPE.return:
        return from === 'provider' ? this.#wantedOfReturn(head) : 0
      default:
        return 0
    }
  }

  judge(from: Side, head: MessageHead, body: ByteView): Verdict {
    return from === 'consumer' ? this.#judgeOutgoing(head, body) : this.#judgeIncoming(head, body)
  }

  recall({ type, serial }: MessageHead): void {
    // Whatever else has that serial, the call of that serial waits on.
    if (type !== MESSAGE_TYPE.call) return
    const awaited = this.#expected.get(serial)
    if (awaited === undefined) return
    this.#expected.delete(serial)
    this.#bus.recall(awaited)
  }

  // From the client.

  #wantedOfCall(head: MessageHead): number {
    if (head.destination === BUS_NAME) return this.#bus.bodyWanted(head)
    return head.interface === PROPERTIES ? INTERFACE_BYTES : 0
  }

  #judgeOutgoing(head: MessageHead, body: ByteView): Verdict {
    if (head.serial >= OWN_SERIALS) return OWN_SERIAL_USED
    if (!this.#tracking.begun && !isHello(head)) return NO_HELLO
    switch (head.type) {
      case MESSAGE_TYPE.call:
        return this.#judgeCall(head, body)
      case MESSAGE_TYPE.return:
      case MESSAGE_TYPE.error:
        return this.#incoming.answers(head) ? PASS : DROP.reply
      case MESSAGE_TYPE.signal:
        return this.#maySignal(head) ? PASS : DROP.signalOut
      default:
        return DROP.signalOut
    }
  }

  #judgeCall(head: MessageHead, body: ByteView): Verdict {
    const { destination } = head
    if (destination === BUS_NAME) return this.#bus.judge(head, body)
    const verdict = destination === undefined ? this.#reachNobody(head) : this.#reach(destination, head, body)
    if (verdict.kind === 'deny') return verdict
    const refusal = this.#expected.refusal(head)
    if (refusal !== undefined) return refusal
    this.#expected.add(head, FROM_ANYBODY)
    return verdict
  }

  /** The bus answers for itself, and only those. */
  #reachNobody(head: MessageHead): Verdict {
    return head.interface === PEER ? PASS : DENY.dest
  }

  #reach(destination: string, head: MessageHead, body: ByteView): Verdict {
    const standing = this.#known.standingOf(destination)
    if (standing === 'none') return DENY.dest
    const isService = standing === 'service'
    const { interface: of } = head
    switch (of) {
      case undefined:
        return isService ? this.#complete(destination) : DENY.interface
      case PROPERTIES:
        return this.#namesAnInterface(head, body) ? PASS : DENY.property
      case PEER:
      case INTROSPECTABLE:
        return PASS
      case OBJECT_MANAGER:
        return isService ? PASS : DENY.interface
      default:
        return this.#scope.within(of) ? PASS : DENY.interface
    }
  }

  /** Without an interface the service would take a member of any. A name below the wanted one stands for itself. */
  #complete(destination: string): Verdict {
    const isBelow = destination !== this.#scope.wanted.name && this.#scope.within(destination)
    return isBelow ? completionOf(destination) : this.#completion
  }

  #maySignal({ destination, interface: of }: MessageHead): boolean {
    if (destination !== undefined && this.#known.standingOf(destination) === 'none') return false
    return of !== undefined && (of === PROPERTIES || of === OBJECT_MANAGER || this.#scope.within(of))
  }

  // To the client.

  #wantedOfReturn(head: MessageHead): number {
    if (isReplyToUs(head)) return this.#tracking.bodyWanted(head)
    const awaited = this.#expected.get(head.replySerial ?? 0)
    return awaited === undefined ? 0 : this.#bus.bodyWantedOfReply(awaited)
  }

  #wantedOfSignal(head: MessageHead): number {
    if (isNameOwnerChanged(head)) return OWNER_CHANGE_BYTES
    return head.destination === undefined && head.interface === PROPERTIES ? INTERFACE_BYTES : 0
  }

  #judgeIncoming(head: MessageHead, body: ByteView): Verdict {
    switch (head.type) {
      case MESSAGE_TYPE.call:
        this.#known.see(head.sender)
        this.#incoming.add(head)
        return PASS
      case MESSAGE_TYPE.return:
      case MESSAGE_TYPE.error:
        return this.#judgeReply(head, body)
      case MESSAGE_TYPE.signal:
        return this.#judgeSignal(head, body)
      default:
        return DROP.signalIn
    }
  }

  #judgeReply(head: MessageHead, body: ByteView): Verdict {
    if (isReplyToUs(head)) return this.#tracking.reply(head, body)
    const { replySerial = 0, sender } = head
    const awaited = this.#expected.get(replySerial)
    if (awaited === undefined || (awaited.from === 'bus' && sender !== BUS_NAME)) return DROP.reply
    this.#expected.delete(replySerial)
    this.#known.see(sender)
    return this.#bus.judgeReply(awaited, head, body)
  }

  #judgeSignal(head: MessageHead, body: ByteView): Verdict {
    if (isNameOwnerChanged(head)) return this.#ownerChanged(head, body)
    if (head.destination === undefined) return this.#mayHear(head, body) ? PASS : DROP.signalIn
    this.#known.see(head.sender)
    return PASS
  }

  #ownerChanged({ littleEndian, signature }: MessageHead, body: ByteView): Verdict {
    const reader = new StringReader(body, littleEndian)
    const name = reader.next()
    const former = reader.next()
    const owner = reader.next()
    if (signature !== 'sss' || name === undefined || former === undefined || owner === undefined) {
      return OWNER_UNREADABLE
    }
    // Of one that is gone the client is still told, if it knew it.
    const wasVisible = this.#known.isVisible(name)
    this.#known.ownerIs(name, owner)
    return wasVisible || this.#known.isVisible(name) ? PASS : DROP.signalIn
  }

  #mayHear(head: MessageHead, body: ByteView): boolean {
    const { sender, interface: of } = head
    if (sender === undefined || of === undefined) return false
    const standing = this.#known.standingOf(sender)
    if (standing === 'none') return false
    if (of === PROPERTIES) return this.#namesAnInterface(head, body)
    return of === OBJECT_MANAGER ? standing === 'service' : this.#scope.within(of)
  }

  /** The first argument of a property's method or signal: whose property it is. */
  #namesAnInterface({ littleEndian, signature }: MessageHead, body: ByteView): boolean {
    return signature.charCodeAt(0) === S && this.#scope.firstStringIsWithin(littleEndian, body)
  }
}

/** For one connection, before its first message. */
export const createFilter = (options: FilterOptions): TrackingJudge => new Filter(options)
