/**
 * The messages of one connection: what its judges say of each, carried out. Both directions are framed by `message-stream.ts`.
 *
 * The filter is asked first, then the provider's policy about what the filter let pass. With a filter, a connection starts in
 * steps, because nothing may reach the client before it is known who is who on the bus, and nothing before the Hello reply:
 *
 *   hello     the client's first message has to be Hello; then it is not read
 *   named     the bus names the client: the filter sends calls of its own; all that is for the client is held, the reply first
 *   ready     the filter knows enough: what was held is sent, and the client is read
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { ByteView, Commands, DialledAs, Side, TimerName } from '../../src/relay/contract.ts'
import { denialFacts } from './audit.ts'
import {
  type Answer,
  BUS_NAME,
  type DenialReason,
  MESSAGE_TYPE,
  type MessageHead,
  type TrackingJudge,
  type Verdict,
} from './contract.ts'
import { FIGURES, type MessageFault } from './figures.ts'
import { Greeting, isHello, wantsReply } from './greeting.ts'
import type { MessageReader } from './message-reader.ts'
import { descriptorTimer, type Fate, type MessageCourt, MessageStream } from './message-stream.ts'
import { answerTo, ownCall } from './message-writer.ts'
import type { ConnectionPolicy, Finding } from './policy/policy.ts'
import { uint32At } from './wire.ts'

/** From here on serials are the filter's. */
const FIRST_OWN_SERIAL = 0xffff0000
/** Answers for a client that wait for the end of a message to it: with more, it is not read. */
const MOST_WAITING_ANSWERS = 64 * 1024

/** Rules of a policy that are looked at in one go: a few milliseconds at most. Others come next, and all may be like this one. */
const MOST_LOOKS = 50_000

const ACCESS_DENIED = 'org.freedesktop.DBus.Error.AccessDenied'

const SIDES = ['consumer', 'provider'] as const
const PASS: Fate = { kind: 'pass' }
const VANISH: Fate = { kind: 'vanish' }
const HOLD: Fate = { kind: 'hold' }
const PASSED: Verdict = { kind: 'pass' }

export interface ConversationOptions {
  readonly limits: ProtocolLimits
  readonly role: string
  readonly as: DialledAs
  readonly passesDescriptors: boolean
  readonly filter: TrackingJudge | undefined
  readonly policy: ConnectionPolicy | undefined
  /** Have `woken` called soon. */
  readonly wake: () => void
}

const isKnownType = (type: number): boolean => type <= MESSAGE_TYPE.signal

const nameIn = ({ signature, littleEndian }: MessageHead, body: ByteView): string | undefined => {
  if (signature !== 's' || body.length < 4) return undefined
  const length = uint32At(body, 0, littleEndian)
  if (length + 5 !== body.length) return undefined
  return Buffer.from(body.subarray(4, 4 + length)).toString('latin1')
}

export class Conversation implements MessageCourt {
  readonly #role: string
  readonly #as: DialledAs
  readonly #filter: TrackingJudge | undefined
  readonly #policy: ConnectionPolicy | undefined
  readonly #fromConsumer: MessageStream
  readonly #fromProvider: MessageStream
  #start: 'hello' | 'named' | 'ready' = 'hello'
  /** The serial of the client's Hello; 0: there was none yet. */
  #hello = 0
  /** The client's unique name, as soon as the bus has called it by it. */
  #name: string | undefined
  #consumerWaits = false
  readonly #wake: () => void
  /** What the policy had looked at when this turn began. */
  #lookedBefore = 0
  /** Sides whose messages have cost so much that others come first. */
  readonly #resting = new Set<Side>()
  readonly #greeting = new Greeting()
  /** The provider has said something. */
  hasHeard = false

  constructor(options: ConversationOptions) {
    const { limits, role, as, passesDescriptors, filter, policy, wake } = options
    this.#role = role
    this.#as = as
    this.#filter = filter
    this.#policy = policy
    this.#wake = wake
    this.#fromConsumer = new MessageStream('consumer', this, limits, passesDescriptors)
    this.#fromProvider = new MessageStream('provider', this, limits, passesDescriptors)
  }

  /** The bus has given the client its name. */
  get isGreeted(): boolean {
    return this.#greeting.isOver
  }

  /** The bus waits for the client's Hello, and the client may say it. */
  get awaitsHello(): boolean {
    return this.#greeting.awaitsClient && !this.#consumerWaits
  }

  /** To be called once, before anything comes. */
  begin(out: Commands): void {
    this.#settleWaiting(out)
  }

  /** What it shares with others may have changed. */
  woken(out: Commands): void {
    if (this.#resting.delete('provider')) out.resume('provider')
    this.#resting.delete('consumer')
    this.#settleWaiting(out)
  }

  read(from: Side, view: ByteView, fds: number, out: Commands): void {
    this.#lookedBefore = this.#policy?.looked ?? 0
    if (from === 'consumer') {
      this.#fromConsumer.read(view, fds, out)
    } else {
      this.hasHeard = true
      this.#fromProvider.read(view, fds, out)
    }
    if (this.#hasLookedEnough) this.#rest(from, out)
    this.#settleWaiting(out)
  }

  get #hasLookedEnough(): boolean {
    return this.#policy !== undefined && this.#policy.looked - this.#lookedBefore > MOST_LOOKS
  }

  #rest(from: Side, out: Commands): void {
    this.#resting.add(from)
    out.pause(from)
    this.#wake()
  }

  /** Descriptors waited for too long for the rest of their message. */
  timer(name: TimerName, out: Commands): void {
    for (const from of SIDES) {
      if (name === descriptorTimer(from)) this.fault(from, 'descriptors-too-late', out)
    }
  }

  // What the streams ask.

  waits(from: Side): boolean {
    return (from === 'consumer' && this.#consumerWaits) || this.#hasLookedEnough
  }

  bodyWanted(from: Side, head: MessageReader): number {
    const ofPolicy = this.#policy?.bodyWanted(from, head) ?? 0
    if (this.#filter === undefined) return ofPolicy
    // What is held is held whole.
    if (from === 'provider' && !this.#isReady) return Number.POSITIVE_INFINITY
    return Math.max(ofPolicy, this.#filter.bodyWanted(from, head))
  }

  judge(from: Side, head: MessageReader, body: ByteView, out: Commands): Fate {
    if (!this.#greeting.isOver) this.#greet(from, head)
    if (this.#filter === undefined && this.#policy === undefined) return PASS
    if (from === 'provider') this.#learnName(head)
    if (!isKnownType(head.type)) return this.#judgeUnknown(from, out)
    if (this.#filter !== undefined && !this.#isReady)
      return this.#judgeStart(this.#filter, from, head, body, out)
    return this.#carryOut(this.#verdict(from, head, body, out), from, head, out)
  }

  #greet(from: Side, head: MessageReader): void {
    if (from === 'consumer') this.#greeting.said(head)
    else this.#greeting.heard(head)
  }

  ended(from: Side): void {
    if (from === 'consumer') this.#greeting.saidAll()
  }

  judged(from: Side, out: Commands): void {
    const filter = this.#filter
    if (filter === undefined) return
    if (from === 'provider') {
      for (const call of filter.nextCalls()) this.#fromConsumer.put(ownCall(call), out)
    }
    if (this.#start !== 'named' || !filter.ready) return
    this.#start = 'ready'
    this.#fromProvider.release(out)
  }

  fault(from: Side, fault: MessageFault, out: Commands): void {
    out.count(FIGURES.protocolErrors[from][fault])
    out.report({ event: 'dbus-protocol-error', facts: { side: from, reason: fault } })
    out.close('flush')
  }

  // Verdicts.

  get #isReady(): boolean {
    return this.#filter === undefined || this.#start === 'ready'
  }

  #learnName({ destination }: MessageHead): void {
    if (this.#name === undefined && destination?.startsWith(':') === true) this.#name = destination
  }

  /** The bus makes no use of such messages either. */
  #judgeUnknown(from: Side, out: Commands): Fate {
    if (this.#filter === undefined) return PASS
    if (from === 'consumer' && this.#hello === 0) return { kind: 'fault', fault: 'no-hello' }
    out.count(FIGURES.unknownTypes)
    return VANISH
  }

  #verdict(from: Side, head: MessageReader, body: ByteView, out: Commands): Verdict {
    const filter = this.#filter
    if (filter !== undefined && from === 'consumer' && head.serial >= FIRST_OWN_SERIAL)
      return { kind: 'violation', reason: 'own-serial' }
    const verdict = filter === undefined ? PASSED : filter.judge(from, head, body)
    if (this.#policy === undefined) return verdict
    switch (verdict.kind) {
      case 'complete':
        head.complete(verdict.interface)
        break
      case 'pass':
      case 'rewrite':
        break
      default:
        return verdict
    }
    const second = this.#policy.judge(from, head, body)
    this.#tellOfAudit(this.#policy.finding, head, out)
    if (second.kind === 'pass') return verdict
    if (from === 'consumer') filter?.recall(head)
    return second
  }

  #carryOut(verdict: Verdict, from: Side, head: MessageHead, out: Commands): Fate {
    switch (verdict.kind) {
      case 'pass':
      case 'complete':
      case 'rewrite':
        return verdict
      case 'swallow':
        return VANISH
      case 'answer':
        this.#answer(from, head, verdict.answer, out)
        return VANISH
      case 'drop':
        this.#tellOfDenial(verdict.reason, head, out)
        return VANISH
      case 'deny':
        this.#tellOfDenial(verdict.reason, head, out)
        this.#answer(from, head, denial(head), out)
        return VANISH
      case 'violation':
        return { kind: 'fault', fault: verdict.reason === 'own-serial' ? 'own-serial' : 'judged' }
    }
  }

  #answer(from: Side, head: MessageHead, answer: Answer, out: Commands): void {
    if (from !== 'consumer' || !wantsReply(head)) return
    out.count(FIGURES.answers)
    this.#fromProvider.put(answerTo(head, answer, this.#name), out)
  }

  #tellOfDenial(reason: DenialReason, head: MessageHead, out: Commands): void {
    out.count('denials')
    out.count(FIGURES.denied[reason])
    // What it found before is about another message, unless it is what denied this one.
    const rule = reason.startsWith('policy-') ? this.#policy?.finding?.rule : undefined
    out.report({
      event: 'dbus-deny',
      facts: denialFacts(head, { role: this.#role, uid: this.#as.uid, reason, rule }),
    })
  }

  /** What a policy that only watches would have denied. */
  #tellOfAudit(finding: Finding | undefined, head: MessageHead, out: Commands): void {
    if (finding === undefined || finding.enforced) return
    const { reason, rule } = finding
    out.report({
      event: 'dbus-audit',
      facts: denialFacts(head, { role: this.#role, uid: this.#as.uid, reason, rule }),
    })
  }

  // The start of a filtered connection.

  #judgeStart(filter: TrackingJudge, from: Side, head: MessageReader, body: ByteView, out: Commands): Fate {
    if (from === 'consumer') return this.#judgeHello(head, body, out)
    // Others may send replies that nobody asked for, where their bus lets them.
    const isHelloReply =
      this.#start === 'hello' && head.sender === BUS_NAME && head.replySerial === this.#hello
    if (isHelloReply && head.type === MESSAGE_TYPE.error) {
      // It may try again.
      filter.judge('provider', head, body)
      this.#hello = 0
      return PASS
    }
    if (isHelloReply) return this.#beName(filter, head, body, out)
    const fate = this.#carryOut(this.#verdict(from, head, body, out), from, head, out)
    if (fate.kind !== 'rewrite' && fate.kind !== 'complete') return fate.kind === 'pass' ? HOLD : fate
    return { kind: 'fault', fault: 'start-up' }
  }

  /** The client is not read while one is on its way. */
  #judgeHello(head: MessageReader, body: ByteView, out: Commands): Fate {
    if (!isHello(head)) return { kind: 'fault', fault: 'no-hello' }
    this.#hello = head.serial
    this.#consumerWaits = true
    return this.#carryOut(this.#verdict('consumer', head, body, out), 'consumer', head, out)
  }

  #beName(filter: TrackingJudge, head: MessageReader, body: ByteView, out: Commands): Fate {
    const name = nameIn(head, body)
    if (name === undefined || head.unixFds > 0) return { kind: 'fault', fault: 'start-up' }
    this.#name = name
    this.#start = 'named'
    filter.judge('provider', head, body)
    for (const call of filter.begin(name)) this.#fromConsumer.put(ownCall(call), out)
    return HOLD
  }

  // Whether the client is read.

  #settleWaiting(out: Commands): void {
    const waits =
      this.#resting.has('consumer') ||
      this.#policy?.settled === false ||
      (this.#filter !== undefined && this.#hello !== 0 && this.#start !== 'ready') ||
      this.#fromProvider.betweenBytes > MOST_WAITING_ANSWERS
    this.#consumerWaits = waits
    if (waits) out.pause('consumer')
    else out.resume('consumer')
  }
}

const denial = ({ destination }: MessageHead): Answer => ({
  error: ACCESS_DENIED,
  text: `The link does not allow this message to ${JSON.stringify(destination ?? '')}`,
})
