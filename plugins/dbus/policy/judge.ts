/**
 * The judge that applies a bus's policy to the messages of one connection. It only ever takes away: what it passes, the bus
 * judges once more. Replies are the bus's own business, because it alone knows which ones are expected.
 */
import type { ByteView, Side } from '../../../src/relay/contract.ts'
import {
  BUS_NAME,
  type DenialReason,
  type Judge,
  MESSAGE_TYPE,
  type MessageHead,
  type Verdict,
} from '../contract.ts'
import {
  type Decision,
  type Headers,
  mayConnect,
  mayOwn,
  mayReceive,
  maySend,
  type Party,
  type PolicyUser,
} from './evaluate.ts'
import { ANYBODY } from './name-owners.ts'
import type { Standing } from './provider-policy.ts'
import type { Rule } from './rules.ts'

/** A denial, and what it rests on. */
export interface Finding {
  readonly reason: Extract<DenialReason, `policy-${string}`>
  /** File and line of the rule that decided, or that there was none. */
  readonly rule: string
  /** `false`: it is only said, and the message passes. */
  readonly enforced: boolean
}

export interface JudgeOptions {
  readonly user: PolicyUser
  /** Asked for each message: it may change meanwhile. */
  readonly standing: () => Standing
  readonly partyOf: (name: string) => Party
  readonly enforces: boolean
}

const PASS: Verdict = { kind: 'pass' }
const BUS: Party = { kind: 'bus' }
const PEER = 'org.freedesktop.DBus.Peer'
const INTROSPECTABLE = 'org.freedesktop.DBus.Introspectable'

/** The longest bus name there is (D-Bus specification, "Valid Names"), with its length before it and the NUL behind. */
const NAME_BYTES = 4 + 255 + 1

const isBusCall = ({ type, destination }: MessageHead): boolean =>
  type === MESSAGE_TYPE.call && destination === BUS_NAME

/** Without an interface the bus goes by the member alone. */
const isBusMember = (head: MessageHead, member: string): boolean =>
  isBusCall(head) && head.member === member && (head.interface === undefined || head.interface === BUS_NAME)

const TEXT = new TextDecoder()

/** The string that a body begins with; `undefined`: it is no name, and the bus will say so. */
const firstString = ({ littleEndian, signature }: MessageHead, body: ByteView): string | undefined => {
  if (!signature.startsWith('s') || body.length < 4) return undefined
  const length = new DataView(body.buffer, body.byteOffset, 4).getUint32(0, littleEndian)
  return length <= body.length - 4 ? TEXT.decode(body.subarray(4, 4 + length)) : undefined
}

/** Each is asked for by each rule; a head makes its texts anew each time. */
const headersOf = (head: MessageHead): Headers => ({
  type: head.type,
  path: head.path,
  interface: head.interface,
  member: head.member,
  errorName: head.errorName,
  replySerial: head.replySerial,
  destination: head.destination,
  sender: head.sender,
  unixFds: head.unixFds,
})

/** Where a rule stands, in one word. */
const placeOf = (rule: Rule | undefined): string =>
  rule === undefined ? 'no rule allows it' : `${rule.origin.file}:${rule.origin.line}`

export class PolicyJudge implements Judge {
  readonly #options: JudgeOptions
  /** Of the last message, or of the connection itself. */
  finding: Finding | undefined
  /** Rules that were looked at so far: what it has cost. */
  looked = 0

  constructor(options: JudgeOptions) {
    this.#options = options
  }

  /** May the role connect at all? */
  admits(): boolean {
    this.finding = undefined
    const standing = this.#options.standing()
    if (standing.kind !== 'ruled') return true
    return !this.#denies('policy-connect', mayConnect(standing.policy, this.#options.user))
  }

  /** Whether a policy is in force that lets the role have that name; without one nobody has said so. */
  mayOwn(name: string): boolean {
    const standing = this.#options.standing()
    if (standing.kind !== 'ruled') return false
    const { allowed, looked } = mayOwn(standing.policy, name)
    this.looked += looked
    return allowed
  }

  bodyWanted(from: Side, head: MessageHead): number {
    return from === 'consumer' && isBusMember(head, 'RequestName') ? NAME_BYTES : 0
  }

  judge(from: Side, head: MessageHead, body: ByteView): Verdict {
    this.finding = undefined
    const standing = this.#options.standing()
    if (standing.kind === 'open') return PASS
    const isSignal = head.type === MESSAGE_TYPE.signal
    // Neither who replies is judged here, nor who calls.
    if (!isSignal && (from === 'provider' || head.type !== MESSAGE_TYPE.call)) return PASS
    const reason = from === 'provider' ? this.#receiving(head, standing) : this.#sending(head, body, standing)
    if (reason === undefined) return PASS
    return isSignal ? { kind: 'drop', reason } : { kind: 'deny', reason }
  }

  #sending(head: MessageHead, body: ByteView, standing: Standing): Finding['reason'] | undefined {
    if (isBusMember(head, 'Hello')) return undefined
    if (standing.kind === 'closed') {
      const isHarmless = isBusCall(head) && (head.interface === PEER || head.interface === INTROSPECTABLE)
      return isHarmless ? undefined : this.#find('policy-send', standing.reason)
    }
    if (standing.kind === 'open') return undefined
    const receiver = this.#receiverOf(head)
    if (this.#denies('policy-send', maySend(standing.policy, headersOf(head), receiver))) return 'policy-send'
    if (!isBusMember(head, 'RequestName')) return undefined
    const name = firstString(head, body)
    const isDenied = name !== undefined && this.#denies('policy-own', mayOwn(standing.policy, name))
    return isDenied ? 'policy-own' : undefined
  }

  #receiving(head: MessageHead, standing: Standing): Finding['reason'] | undefined {
    const isOfBus = head.sender === BUS_NAME
    if (standing.kind === 'closed') return isOfBus ? undefined : this.#find('policy-receive', standing.reason)
    if (standing.kind === 'open') return undefined
    const sender = isOfBus ? BUS : this.#partyOf(head.sender)
    const decision = mayReceive(standing.policy, headersOf(head), sender)
    return this.#denies('policy-receive', decision) ? 'policy-receive' : undefined
  }

  #receiverOf({ destination }: MessageHead): Party {
    return destination === BUS_NAME ? BUS : this.#partyOf(destination)
  }

  #partyOf(name: string | undefined): Party {
    return name === undefined ? ANYBODY : this.#options.partyOf(name)
  }

  /** Whether it is denied in earnest. */
  #denies(reason: Finding['reason'], { allowed, by, looked }: Decision<Rule>): boolean {
    this.looked += looked
    return !allowed && this.#find(reason, placeOf(by)) !== undefined
  }

  #find(reason: Finding['reason'], rule: string): Finding['reason'] | undefined {
    const { enforces } = this.#options
    this.finding = { reason, rule, enforced: enforces }
    return enforces ? reason : undefined
  }
}
