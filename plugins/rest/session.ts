/**
 * The session of a `rest` link: HTTP/1.1 from one consumer to its provider, one exchange at a time, each request with the
 * identity of its link. The contract is docs/rest.md; sections of RFC 9112 stand where a rule comes from there.
 *
 *   phase      from the consumer                     from the provider        left when
 *   idle       a head, judged before anyone is       nothing may come         the head is good
 *              dialled
 *   exchange   the request's body; what comes then   the response             the response is over
 *              waits, unread
 *   tunnel     anything, unseen                      anything, unseen         both have ended
 *   closing    nothing                               nothing                  -
 *
 * One timer is enough, because only one thing is waited for at a time: `#await…` says what.
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { ByteView, Commands, Session, SessionInput, TimerName } from '../../src/relay/contract.ts'
import { excerptOf } from './excerpt.ts'
import { FIGURES } from './figures.ts'
import { HTTP2_ANSWER } from './http2.ts'
import { type Identity, identityFields } from './identity.ts'
import { REFUSALS, type Refusal } from './refusals.ts'
import { RequestBody } from './request-body.ts'
import { RequestHead } from './request-head.ts'
import { Response } from './response.ts'

type Phase = 'idle' | 'exchange' | 'tunnel' | 'closing'

const PATIENCE: TimerName = 'patience'

class RestSession implements Session {
  readonly #limits: ProtocolLimits
  readonly #identity: readonly ByteView[]
  readonly #consumer: string
  readonly #request: RequestHead
  readonly #requestBody: RequestBody
  readonly #response: Response
  #phase: Phase = 'idle'
  #hasDialled = false
  /** Responses that this connection to the provider has completed. */
  #served = 0
  /** Bytes of the consumer's that were left where they are. */
  #waiting = 0
  #isPaused = false
  /** The head that is being read has its own timer. */
  #headIsTimed = false
  /** The consumer waits for the provider's word before it sends its body. */
  #awaitsWord = false
  /** It has said all, but still listens. */
  #consumerEnded = false
  /** It is gone altogether. */
  #consumerGone = false
  /** What it says is still read, but no further request can be given to it. */
  #providerIsBroken = false
  /** What runs may end; nothing new begins. */
  #isWithdrawn = false

  constructor(identity: readonly ByteView[], consumer: string, limits: ProtocolLimits) {
    this.#identity = identity
    this.#consumer = consumer
    this.#limits = limits
    this.#request = new RequestHead(limits)
    this.#requestBody = new RequestBody(limits)
    this.#response = new Response(limits)
  }

  on(input: SessionInput, out: Commands): void {
    if (input.kind === 'linger-over') out.count(FIGURES.lingerCut)
    if (this.#phase === 'closing') return
    switch (input.kind) {
      case 'opened':
        this.#awaitRequest(out)
        return
      case 'bytes':
        if (input.from === 'consumer') this.#fromConsumer(input.view, out)
        else this.#fromProvider(input.view, out)
        return
      case 'ended':
        if (input.from === 'consumer') this.#consumerEnds(input.fully, out)
        else this.#providerEnds(out)
        return
      case 'broken':
        if (input.to === 'consumer') this.#consumerLeaves(out)
        else this.#providerStopsReading(out)
        return
      case 'dialled':
        if (input.failed !== undefined) this.#refuse(REFUSALS.unreachable, out)
        return
      case 'timer':
        this.#losePatience(out)
        return
      case 'withdrawn':
        this.#isWithdrawn = true
        if (this.#phase === 'idle') this.#close(this.#waiting > 0 ? 'linger' : 'flush', out)
        return
      default:
        return
    }
  }

  // What the consumer says.

  #fromConsumer(view: ByteView, out: Commands): void {
    const begins = this.#phase === 'idle'
    if (begins && !this.#readRequest(view, out)) return
    const at = begins || !this.#requestBody.over ? this.#passRequestBody(view, begins, out) : 0
    if (this.#phase !== 'exchange') return
    this.#waiting = view.length - at
    if (this.#waiting === 0 || !this.#requestBody.over) return
    // The next request, or what is meant for a tunnel that is not there yet: it waits for the end of the response.
    out.pause('consumer')
    this.#isPaused = true
  }

  /** True: a whole and good head has been given to the provider. */
  #readRequest(view: ByteView, out: Commands): boolean {
    const head = this.#request
    const found = head.read(view)
    if (found === 'more') {
      this.#waiting = view.length - head.emptyBytes
      if (this.#consumerEnded) this.#endsInHead(out)
      else if (this.#waiting > 0) this.#awaitHead(out)
      return false
    }
    if (found !== 'whole') {
      this.#refuseHead(found, view, out)
      return false
    }
    this.#beginExchange(out)
    head.passOn(out, this.#identity)
    this.#requestBody.begin(head.bodyBytes, head.bytes)
    return true
  }

  #refuseHead(refusal: Refusal, view: ByteView, out: Commands): void {
    const head = this.#request
    if (head.isHttp2 && !this.#hasDialled) {
      out.count(FIGURES.http2Refused)
      out.report({ event: 'request-refused', facts: { consumer: this.#consumer, reason: 'http2' } })
      out.send('consumer', HTTP2_ANSWER, 0)
      this.#close('linger', out)
    } else {
      this.#refuse(refusal, out, view, head.refusedLine)
    }
  }

  #beginExchange(out: Commands): void {
    const head = this.#request
    this.#phase = 'exchange'
    this.#response.begin(head)
    out.mark()
    out.count('messages')
    out.count(FIGURES.requests)
    if (head.spoofed > 0) out.count(FIGURES.spoofStripped, head.spoofed)
    if (head.offers !== undefined) out.count(FIGURES.upgradesOffered)
    if (head.offersFiltered) out.count(FIGURES.upgradesFiltered)
    if (!this.#hasDialled) out.dial('daemon')
    this.#hasDialled = true
  }

  /** Gives how far into the view it came. `begins`: it follows its head. */
  #passRequestBody(view: ByteView, begins: boolean, out: Commands): number {
    const body = this.#requestBody
    const refusal = body.pass(view, begins ? this.#request.bytes : 0, out)
    if (refusal !== undefined) this.#refuse(refusal, out, view, body.lineStart)
    else if (body.over) this.#requestIsOver(out)
    else if (this.#consumerEnded) this.#refuse(REFUSALS.incomplete, out)
    else if (begins && this.#request.expectsContinue && body.reached === this.#request.bytes)
      this.#awaitWord(out)
    else if (begins || this.#awaitsWord) this.#awaitRequestBody(out)
    return body.reached
  }

  #requestIsOver(out: Commands): void {
    if (this.#phase === 'tunnel') {
      out.opaque('consumer', 'until-end')
      return
    }
    // Nobody is left to hear the answer: the provider gets the whole request, and sees that nobody waits for it.
    if (this.#consumerGone) this.#close('flush', out)
    else this.#awaitResponse(out)
  }

  // What the provider says.

  #fromProvider(view: ByteView, out: Commands): void {
    if (this.#phase !== 'exchange') {
      out.count(FIGURES.unsolicited)
      this.#close('linger', out)
      return
    }
    const response = this.#response
    const { hasBegun } = response
    switch (response.pass(view, out)) {
      case 'more':
        if (!this.#requestBody.over && (this.#awaitsWord || hasBegun !== response.hasBegun)) {
          this.#awaitRequestBody(out)
        }
        return
      case 'over':
        this.#responseIsOver(view.length - response.reached, out)
        return
      case 'switched':
        this.#beginTunnel(out)
        return
      case 'bad':
        if (response.hasBegun) out.count(FIGURES.responsesTruncated)
        this.#refuse(REFUSALS.badResponse, out, view, response.reached)
    }
  }

  /** `beyond`: bytes of the provider's that nobody asked for. */
  #responseIsOver(beyond: number, out: Commands): void {
    this.#served += 1
    if (beyond > 0) out.count(FIGURES.unsolicited)
    const goesOn =
      beyond === 0 &&
      this.#response.keepsAlive &&
      !this.#request.closes &&
      // What is left of a request must never be read as another one.
      this.#requestBody.over &&
      !this.#providerIsBroken &&
      !this.#isWithdrawn
    if (!goesOn) {
      this.#close('linger', out)
    } else if (this.#consumerEnded && this.#waiting === 0) {
      this.#close('flush', out)
    } else {
      this.#awaitRequest(out)
      if (this.#isPaused) out.resume('consumer')
      this.#isPaused = false
    }
  }

  #beginTunnel(out: Commands): void {
    this.#phase = 'tunnel'
    out.clearTimer(PATIENCE)
    out.count(FIGURES.tunnels)
    out.count(FIGURES.tunnelsActive)
    out.opaque('provider', 'until-end')
    if (!this.#requestBody.over) return
    if (this.#consumerEnded) out.endWrite('provider')
    else out.opaque('consumer', 'until-end')
    if (this.#isPaused) out.resume('consumer')
    this.#isPaused = false
  }

  // Ends. AF_UNIX tells one that has said all from one that is gone.

  #consumerEnds(fully: boolean, out: Commands): void {
    if (fully) {
      this.#consumerLeaves(out)
      if (this.#phase !== 'closing') this.#close('now', out)
      return
    }
    this.#consumerEnded = true
    if (this.#phase === 'idle') {
      this.#endsInHead(out)
    } else if (!this.#requestBody.over) {
      this.#refuse(REFUSALS.incomplete, out)
    } else {
      out.count(FIGURES.halfCloses)
      this.#awaitResponse(out)
    }
  }

  #endsInHead(out: Commands): void {
    if (this.#waiting > 0) this.#refuse(REFUSALS.incomplete, out)
    else this.#close('flush', out)
  }

  /** What it wrote before it went may still come; a request that it completes is given to the provider. */
  #consumerLeaves(out: Commands): void {
    if (this.#consumerGone || this.#phase === 'tunnel') return
    this.#consumerGone = true
    if (this.#phase !== 'exchange') return
    out.count(FIGURES.consumerAborts)
    if (this.#requestBody.over) this.#close('flush', out)
  }

  /** The response to what it has read may still come (RFC 9112 section 9.5). */
  #providerStopsReading(out: Commands): void {
    this.#providerIsBroken = true
    if (this.#phase === 'idle') this.#providerEnds(out)
  }

  #providerEnds(out: Commands): void {
    if (this.#phase !== 'exchange') {
      out.count(FIGURES.unsolicited)
      this.#close('linger', out)
    } else if (this.#response.endsWithConnection) {
      this.#close('linger', out)
    } else {
      out.count(FIGURES.responsesTruncated)
      // On a connection that served before, the end may have crossed the request: the consumer knows whether to ask again.
      if (this.#response.hasBegun || this.#served > 0) this.#close('linger', out)
      else this.#refuse(REFUSALS.providerClosed, out)
    }
  }

  // What is waited for, and for how long.

  #awaitRequest(out: Commands): void {
    this.#phase = 'idle'
    this.#headIsTimed = false
    this.#request.begin()
    out.setTimer(PATIENCE, this.#limits.restIdleMs)
  }

  /** From its first byte on, however many come meanwhile. */
  #awaitHead(out: Commands): void {
    if (this.#headIsTimed) return
    this.#headIsTimed = true
    out.setTimer(PATIENCE, this.#limits.restHeadMs)
  }

  /** The client does not send its body before the provider has spoken: it is the provider that is slow. */
  #awaitWord(out: Commands): void {
    this.#awaitResponse(out)
    this.#awaitsWord = true
  }

  /** Once the response has begun, a client may read it first and write on later. */
  #awaitRequestBody(out: Commands): void {
    this.#awaitsWord = false
    const from = this.#response.hasBegun ? 'either' : 'consumer'
    out.setIdleTimer(PATIENCE, from, this.#limits.restBodyMs)
  }

  #awaitResponse(out: Commands): void {
    this.#awaitsWord = false
    const { restResponseMs, restHalfClosedMs } = this.#limits
    const ms = this.#consumerEnded ? restHalfClosedMs : restResponseMs
    if (ms > 0) out.setIdleTimer(PATIENCE, 'provider', ms)
    else out.clearTimer(PATIENCE)
  }

  #losePatience(out: Commands): void {
    if (this.#phase === 'exchange' && (this.#requestBody.over || this.#awaitsWord)) {
      out.count(this.#consumerEnded ? FIGURES.halfClosedTimeouts : FIGURES.responseTimeouts)
      this.#refuse(REFUSALS.responseTimeout, out)
    } else if (this.#phase === 'exchange') {
      out.count(FIGURES.bodyTimeouts)
      this.#refuse(REFUSALS.bodyTimeout, out)
    } else if (this.#headIsTimed) {
      out.count(FIGURES.headTimeouts)
      this.#refuse(REFUSALS.headTimeout, out)
    } else {
      out.count(FIGURES.idleTimeouts)
      this.#close('linger', out)
    }
  }

  // The end of it.

  /** Say what is wrong, if an answer has not begun, and close. `view` and `at`: where the line that shows it begins. */
  #refuse(refusal: Refusal, out: Commands, view?: ByteView, at = 0): void {
    out.count(refusal.figure)
    if (!refusal.isProviders) out.count('denials')
    const { status, reason } = refusal
    const facts = { consumer: this.#consumer, status, reason }
    out.report({
      event: 'request-refused',
      facts: view === undefined ? facts : { ...facts, line: excerptOf(view, at) },
    })
    if (this.#phase === 'idle' || !this.#response.hasBegun) {
      out.send('consumer', this.#request.isHead ? refusal.answerToHead : refusal.answer, 0)
    }
    this.#close(this.#consumerGone ? 'now' : 'linger', out)
  }

  #close(how: 'now' | 'flush' | 'linger', out: Commands): void {
    this.#phase = 'closing'
    out.close(how)
  }
}

/** One per accepted connection; what does not change from one to the next is made here, once per link. */
export const restSessions = (identity: Identity, limits: ProtocolLimits): (() => Session) => {
  const fields = [identityFields(identity)]
  return () => new RestSession(fields, identity.consumer, limits)
}
