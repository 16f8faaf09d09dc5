/**
 * The session of a `dbus` link: one consumer's connection to the provider's bus, as the user that the link's role stands for.
 * The contract is docs/dbus.md.
 *
 * First lines, which are answered here (`handshake.ts`), until the consumer says BEGIN; then messages, both ways
 * (`conversation.ts`). It ends with the bus. A consumer that has said all, or is gone, is one that the bus hears no more of, and
 * then ends by itself.
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type {
  ByteView,
  Commands,
  DialError,
  DialledAs,
  Session,
  SessionFactory,
  SessionHandle,
  SessionInput,
  Side,
  TimerName,
} from '../../src/relay/contract.ts'
import type { TrackingJudge } from './contract.ts'
import { Conversation } from './conversation.ts'
import { FIGURES } from './figures.ts'
import { Handshake } from './handshake.ts'
import type { HandshakeGate } from './handshake-gate.ts'
import type { ConnectionPolicy } from './policy/policy.ts'

/** What the connections of one link have in common. */
export interface DbusLink {
  readonly limits: ProtocolLimits
  readonly role: string
  /** Of the provider as it is now. */
  readonly gate: () => HandshakeGate
  /** The bus was reached, as this user. */
  readonly dialled: (as: DialledAs) => void
  /** Made when the provider was reached. `undefined`: messages are as the bus takes them. */
  readonly policy: ((handle: SessionHandle) => ConnectionPolicy) | undefined
  /** `undefined`: the link reaches all of the bus. */
  readonly filter: ((mayOwn: (name: string) => boolean) => TrackingJudge) | undefined
}

const CLOSE: TimerName = 'close'

/** What a bus does of which nobody else will tell why. */
const LEFT_BEFORE_HELLO =
  'dbus-daemon does so to a uid that has no passwd entry in the provider, or that a <deny user> rule names'

class DbusSession implements Session {
  readonly #link: DbusLink
  readonly #handle: SessionHandle
  readonly #handshake: Handshake
  #conversation: Conversation | undefined
  #isGreeted = false
  #policy: ConnectionPolicy | undefined
  /** The consumer is gone, or has said all: that is still delivered, for a while. */
  #isEnding = false
  #isClosing = false

  constructor(link: DbusLink, handle: SessionHandle) {
    this.#link = link
    this.#handle = handle
    this.#handshake = new Handshake({
      limits: link.limits,
      gate: link.gate,
      line: link,
      handle,
      admits: (as, out) => this.#admits(as, out),
    })
  }

  on(input: SessionInput, out: Commands): void {
    if (this.#isClosing) return
    switch (input.kind) {
      case 'opened':
        this.#handshake.begin(out)
        break
      case 'bytes':
        this.#read(input.from, input.view, input.fds.count, out)
        break
      case 'dialled':
        this.#dialled(input, out)
        break
      case 'ended':
        if (input.from === 'consumer') this.#consumerEnds(out)
        else this.#providerEnds(out)
        break
      case 'broken':
        if (input.to === 'consumer') this.#awaitEnd(out)
        break
      case 'timer':
        this.#timer(input.name, out)
        break
      case 'woken':
        this.#handshake.woken(out)
        if (!this.#handshake.hasFailed) this.#conversation?.woken(out)
        break
      case 'withdrawn':
        if (this.#conversation === undefined) this.#handshake.fail('withdrawn', out)
        else this.#close('flush', out)
        break
      default:
        break
    }
    if (this.#handshake.hasFailed) this.#isClosing = true
    else this.#followGreeting(out)
  }

  closed(): void {
    this.#handshake.leave()
    this.#policy?.close()
  }

  #read(from: Side, view: ByteView, fds: number, out: Commands): void {
    if (this.#conversation !== undefined) {
      this.#conversation.read(from, view, fds, out)
    } else if (from === 'provider') {
      this.#handshake.fromProvider(view, out)
    } else {
      this.#handshake.fromConsumer(view, fds, out)
      if (this.#handshake.hasBegun && !this.#handshake.hasFailed) this.#beginMessages(out)
    }
  }

  #admits(as: DialledAs, out: Commands): boolean {
    const policy = this.#link.policy?.(this.#handle)
    this.#policy = policy
    if (policy === undefined) return true
    const isAdmitted = policy.admits()
    const { finding } = policy
    if (finding?.reason !== 'policy-connect') return isAdmitted
    if (!isAdmitted) {
      out.count('denials')
      out.count(FIGURES.denied['policy-connect'])
    }
    out.report({
      event: isAdmitted ? 'dbus-audit' : 'dbus-deny',
      facts: { role: this.#link.role, uid: as.uid, reason: finding.reason, rule: finding.rule },
    })
    return isAdmitted
  }

  #dialled({ failed, as }: { failed?: DialError; as?: DialledAs }, out: Commands): void {
    if (failed === undefined && as !== undefined) {
      this.#link.dialled(as)
      this.#handshake.dialled(as, out)
      return
    }
    const reason = failed ?? 'identity'
    out.count(FIGURES.dialFailures[reason])
    out.report({ event: 'dbus-bus-not-reached', facts: { reason } })
    this.#close('flush', out)
  }

  #beginMessages(out: Commands): void {
    const { as, passesDescriptors } = this.#handshake
    if (as === undefined) return
    const { limits, role, filter } = this.#link
    const policy = this.#policy
    this.#conversation = new Conversation({
      limits,
      role,
      as,
      passesDescriptors,
      policy,
      filter: filter?.(name => policy?.mayOwn(name) ?? false),
      wake: () => this.#handle.wake(),
    })
    this.#conversation.begin(out)
  }

  /** Until the bus has named its client, it is one of those that it has few places for. */
  #followGreeting(out: Commands): void {
    if (this.#isGreeted || this.#conversation === undefined) return
    this.#isGreeted = this.#conversation.isGreeted
    if (this.#isGreeted) this.#handshake.greeted(out)
    else this.#handshake.untilGreeted(this.#conversation.awaitsHello, out)
  }

  // Ends. Of a client that is gone all that it said is delivered: a signal is often the last thing that it does.

  #consumerEnds(out: Commands): void {
    if (this.#conversation === undefined) {
      this.#handshake.fail('client-left', out)
      return
    }
    // The bus takes this for the end of the connection, once it has read all in front of it.
    out.endWrite('provider')
    this.#awaitEnd(out)
  }

  #awaitEnd(out: Commands): void {
    if (this.#isEnding) return
    this.#isEnding = true
    out.setTimer(CLOSE, this.#link.limits.dbusCloseMs)
  }

  #providerEnds(out: Commands): void {
    if (this.#conversation === undefined) {
      this.#handshake.fail('bus-left', out)
      return
    }
    if (!this.#conversation.hasHeard && !this.#isEnding) {
      out.count(FIGURES.leftBeforeHello)
      const uid = this.#handshake.as?.uid ?? -1
      out.report({ event: 'dbus-left-before-hello', facts: { uid, hint: LEFT_BEFORE_HELLO } })
    }
    this.#close('flush', out)
  }

  #timer(name: TimerName, out: Commands): void {
    if (name === CLOSE) {
      if (this.#conversation === undefined) this.#handshake.fail('client-left', out)
      else this.#close('now', out)
    } else {
      this.#handshake.timer(name, out)
      this.#conversation?.timer(name, out)
    }
  }

  #close(how: 'now' | 'flush', out: Commands): void {
    this.#isClosing = true
    out.close(how)
  }
}

/** One per accepted connection. */
export const dbusSessions =
  (link: DbusLink): SessionFactory =>
  handle =>
    new DbusSession(link, handle)
