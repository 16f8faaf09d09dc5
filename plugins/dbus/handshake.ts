/**
 * A connection before its messages: server to the consumer, client to the bus, and no line of either passed through (`sasl-server.ts`,
 * `sasl-client.ts`). The bus is dialled when the consumer asks to be let in, not before: a bus can be shut by silent connections.
 * Lines are answered in their order: while the bus is asked for something, the consumer is not read.
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { ByteView, Commands, DialledAs, SessionHandle, TimerName } from '../../src/relay/contract.ts'
import { FIGURES, type HandshakeFault } from './figures.ts'
import { CLIENT_PATIENCE_MS, type HandshakeGate, type Pass } from './handshake-gate.ts'
import { CLIENT_SAYS, SaslClient } from './sasl-client.ts'
import { LINE_END_BYTES, lineEndIn } from './sasl-lines.ts'
import { type Asked, SaslServer, SERVER_SAYS } from './sasl-server.ts'

const CLIENT_PATIENCE: TimerName = 'client'
/** For the whole of it. */
const HANDSHAKE: TimerName = 'handshake'
/**
 * So often others wait for a client while they wait for it patiently: for what follows each answer that a client needs to hear (DATA,
 * OK, AGREE_UNIX_FD), for Hello behind BEGIN, and once more. One that always has another word to say would keep its place.
 */
const MOST_WAITS = 5

export interface HandshakeOptions {
  readonly limits: ProtocolLimits
  /** Of the provider as it is when it is asked for. */
  readonly gate: () => HandshakeGate
  /** Whose connections wait in one line. */
  readonly line: object
  readonly handle: SessionHandle
  /** May this user connect? Asked before the bus is. */
  readonly admits: (as: DialledAs, out: Commands) => boolean
}

export class Handshake {
  readonly #limits: ProtocolLimits
  readonly #gate: () => HandshakeGate
  readonly #line: object
  readonly #handle: SessionHandle
  readonly #admits: HandshakeOptions['admits']
  readonly #server = new SaslServer()
  readonly #client = new SaslClient()
  #pass: Pass | undefined
  #waits = 0
  /** The time runs in which the client is to say something. */
  #isTimed = false
  #nulCame = false
  #lines = 0
  /** What the bus is to answer before the consumer's next line is looked at. */
  #awaits: 'bus' | 'descriptors' | undefined
  #hasDialled = false
  #fault: HandshakeFault | undefined
  /** The consumer has said BEGIN, and the bus was told. */
  hasBegun = false
  /** Both ends agreed that messages may have descriptors. */
  passesDescriptors = false
  /** As whom the bus sees its client. */
  as: DialledAs | undefined

  constructor({ limits, gate, line, handle, admits }: HandshakeOptions) {
    this.#limits = limits
    this.#gate = gate
    this.#line = line
    this.#handle = handle
    this.#admits = admits
  }

  /** The connection is being closed, and nothing more is to be told to this. */
  get hasFailed(): boolean {
    return this.#fault !== undefined
  }

  begin(out: Commands): void {
    out.setTimer(HANDSHAKE, this.#limits.dbusHandshakeMs)
  }

  fromConsumer(view: ByteView, fds: number, out: Commands): void {
    const at = this.#readLines(view, out)
    if (this.hasFailed) return
    // Those of a message behind BEGIN are that message's.
    if (fds > 0 && !(this.hasBegun && at < view.length)) {
      this.fail('descriptors', out)
      return
    }
    out.drop('consumer', at, 0)
    if (this.#awaits !== undefined) out.pause('consumer')
  }

  /** Gives how far it came. */
  #readLines(view: ByteView, out: Commands): number {
    let at = 0
    if (!this.#nulCame) {
      if (view[0] !== 0) {
        this.fail('no-nul', out)
        return 0
      }
      this.#nulCame = true
      at = 1
    }
    while (this.#awaits === undefined && !this.hasBegun && !this.hasFailed) {
      const end = lineEndIn(view, at)
      if ((end < 0 ? view.length : end + LINE_END_BYTES) - at > this.#limits.dbusLineBytes) {
        this.fail('line-length', out)
        return at
      }
      if (end < 0) return at
      this.#lines += 1
      if (this.#lines > this.#limits.dbusLines) this.fail('lines', out)
      else this.#answer(this.#server.read(view, at, end), out)
      at = end + LINE_END_BYTES
    }
    return at
  }

  #answer(asked: Asked, out: Commands): void {
    this.#clientSpoke(out)
    switch (asked) {
      case 'bus':
        this.#letIn(out)
        return
      case 'descriptors':
        if (this.passesDescriptors) out.send('consumer', [SERVER_SAYS.agreed], 0)
        else this.#ask('descriptors', CLIENT_SAYS.negotiate, out)
        return
      case 'begin':
        this.#beginMessages(out)
        return
      case 'close':
        this.fail('begin-too-early', out)
        return
      default:
        out.send('consumer', [asked], 0)
    }
    if (this.#server.isExhausted) this.fail('rejected-too-often', out)
    else if (this.#server.wantsBus) this.#reachBus(out)
    this.#awaitClient(out)
  }

  #letIn(out: Commands): void {
    const { guid } = this.#client
    if (guid !== undefined) {
      this.#sayOk(guid, out)
      return
    }
    this.#awaits = 'bus'
    this.#reachBus(out)
  }

  #sayOk(guid: string, out: Commands): void {
    out.send('consumer', [SERVER_SAYS.ok(guid)], 0)
    this.#awaitClient(out)
  }

  #ask(what: 'descriptors', line: ByteView, out: Commands): void {
    this.#awaits = what
    out.send('provider', [line], 0)
  }

  #beginMessages(out: Commands): void {
    this.hasBegun = true
    out.send('provider', [CLIENT_SAYS.begin], 0)
    out.clearTimer(HANDSHAKE)
  }

  // The way to the bus.

  #reachBus(out: Commands): void {
    if (this.#pass !== undefined) return
    this.#pass = this.#gate().enter(this.#handle, this.#line)
    if (this.#pass.state === 'in line') out.count(FIGURES.handshakesQueued)
    this.#dialIfAdmitted(out)
  }

  #dialIfAdmitted(out: Commands): void {
    if (this.#hasDialled || this.#pass?.state !== 'admitted') return
    this.#hasDialled = true
    out.dial('role')
  }

  woken(out: Commands): void {
    if (this.#pass?.state === 'evicted') this.fail('evicted', out)
    else this.#dialIfAdmitted(out)
  }

  dialled(as: DialledAs, out: Commands): void {
    this.as = as
    if (!this.#admits(as, out)) {
      this.#refuse('not-admitted', out)
      return
    }
    out.send('provider', [CLIENT_SAYS.auth(as.uid)], 0)
    this.#awaitClient(out)
  }

  /** Others may need this place more than one whose client takes its time. */
  #awaitClient(out: Commands): void {
    if (this.#awaits !== undefined || this.as === undefined || this.hasFailed || this.#isTimed) return
    this.#isTimed = true
    this.#waits += 1
    if (this.#waits > MOST_WAITS) this.#pass?.clientIsSlow()
    else out.setTimer(CLIENT_PATIENCE, CLIENT_PATIENCE_MS)
  }

  #clientSpoke(out: Commands): void {
    this.#isTimed = false
    this.#pass?.clientSpoke()
    out.clearTimer(CLIENT_PATIENCE)
  }

  /** After BEGIN: whether it is the client's Hello that the bus waits for. */
  untilGreeted(awaitsHello: boolean, out: Commands): void {
    if (awaitsHello) this.#awaitClient(out)
    else if (this.#isTimed) this.#clientSpoke(out)
  }

  /** The bus has taken the client in: its place is for others now. */
  greeted(out: Commands): void {
    this.#clientSpoke(out)
    this.leave()
  }

  fromProvider(view: ByteView, out: Commands): void {
    let at = 0
    for (let end = lineEndIn(view, 0); end >= 0 && !this.hasFailed; end = lineEndIn(view, at)) {
      this.#hear(view, at, end, out)
      at = end + LINE_END_BYTES
    }
    if (this.hasFailed) return
    if (view.length - at > this.#limits.dbusLineBytes) this.fail('bus-answer', out)
    else out.drop('provider', at, 0)
  }

  #hear(view: ByteView, start: number, end: number, out: Commands): void {
    switch (this.#client.read(view, start, end)) {
      case 'ok':
        if (this.#awaits === 'bus') this.#sayOk(this.#client.guid ?? '', out)
        break
      case 'rejected':
        this.#refuse('bus-rejected', out)
        return
      case 'agreed':
        this.#tellDescriptors(true, out)
        break
      case 'no descriptors':
        this.#tellDescriptors(false, out)
        break
      case 'unexpected':
        this.fail('bus-answer', out)
        return
    }
    if (this.#awaits === undefined) return
    this.#awaits = undefined
    out.resume('consumer')
    this.#awaitClient(out)
  }

  #tellDescriptors(agreed: boolean, out: Commands): void {
    if (this.#awaits !== 'descriptors') {
      this.fail('bus-answer', out)
      return
    }
    this.passesDescriptors = agreed
    out.send('consumer', [agreed ? SERVER_SAYS.agreed : SERVER_SAYS.noDescriptors], 0)
  }

  // The end of it.

  timer(name: TimerName, out: Commands): void {
    if (name === CLIENT_PATIENCE) this.#pass?.clientIsSlow()
    else if (name === HANDSHAKE) this.fail('timeout', out)
  }

  #refuse(fault: 'bus-rejected' | 'not-admitted', out: Commands): void {
    out.send('consumer', [SERVER_SAYS.rejected], 0)
    this.fail(fault, out)
  }

  /** Close the connection; what was said to the consumer still reaches it. */
  fail(fault: HandshakeFault, out: Commands): void {
    if (this.hasFailed) return
    this.#fault = fault
    out.count(FIGURES.handshakesFailed[fault])
    this.#report(fault, out)
    out.close('flush')
  }

  #report(reason: HandshakeFault, out: Commands): void {
    // Clients come and go, and those that are told so know it.
    if (reason === 'client-left' || reason === 'withdrawn') return
    const uid = this.as?.uid
    out.report({ event: 'dbus-handshake-failed', facts: uid === undefined ? { reason } : { reason, uid } })
  }

  /** Make room for others. Idempotent. */
  leave(): void {
    this.#pass?.leave()
  }
}
