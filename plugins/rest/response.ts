/**
 * One response on its way to the consumer, with the interim ones before it: passed on byte for byte as it comes, and
 * watched only for its end, or for the switch to another protocol (RFC 9112 section 6.3).
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { ByteView, Commands } from '../../src/relay/contract.ts'
import { FIGURES, RESPONSE_HEAD_TIME } from './figures.ts'
import { ResponseBody } from './response-body.ts'
import { ResponseHead } from './response-head.ts'
import type { Offers } from './upgrade.ts'

/** More than that are no progress (RFC 9110 section 15.2 sets no bound). */
const MOST_INTERIM = 32

const NO_CONTENT = 204
const NOT_MODIFIED = 304

/** What of a request decides how its response is read. */
export interface Asked {
  readonly isHead: boolean
  readonly isHttp10: boolean
  readonly offers: Offers | undefined
}

export class Response {
  readonly #head: ResponseHead
  readonly #body = new ResponseBody()
  #asked: Asked = { isHead: false, isHttp10: false, offers: undefined }
  #interim = 0
  /** The head of the final response, or of the switch, has been passed on. */
  hasBegun = false
  /** How far into the view the last `pass` came. */
  reached = 0

  constructor(limits: ProtocolLimits) {
    this.#head = new ResponseHead(limits)
  }

  begin(asked: Asked): void {
    this.#asked = asked
    this.#interim = 0
    this.hasBegun = false
    this.#head.begin(0, asked.offers)
  }

  /** The provider means to go on after it. */
  get keepsAlive(): boolean {
    return this.#head.keepsAlive
  }

  /** It has begun, and is over when the provider's connection is. */
  get endsWithConnection(): boolean {
    return this.hasBegun && this.#body.endsWithConnection
  }

  /** Pass on what is there of it. `bad`: from `reached` on it is no response; `switched`: all that follows is no HTTP. */
  pass(view: ByteView, out: Commands): 'more' | 'over' | 'switched' | 'bad' {
    let at = 0
    if (!this.hasBegun) {
      const found = this.#passHeads(view, out)
      if (found !== 'begun') return found
      at = this.reached
    }
    const end = this.#body.pass(view, at)
    if (end > at) out.forward('provider', end - at, 0)
    this.reached = end
    if (this.#body.over) return 'over'
    if (this.#body.broken) return 'bad'
    const unseen = this.#body.takeUnseen(end - at)
    if (unseen > 0) out.opaque('provider', unseen)
    return 'more'
  }

  /** The heads that are there, up to the final one's. */
  #passHeads(view: ByteView, out: Commands): 'begun' | 'more' | 'switched' | 'bad' {
    const head = this.#head
    for (this.reached = 0; ; this.reached = head.end) {
      const found = head.read(view)
      if (found === 'more') head.shift(this.reached)
      if (found !== 'whole') return found
      if (!head.isInterim) return this.#passFinal(out)
      this.#interim += 1
      if (this.#interim > MOST_INTERIM) return 'bad'
      this.#count(out)
      // HTTP/1.0 knows none of them (RFC 9110 section 15.2).
      if (this.#asked.isHttp10) out.drop('provider', head.end - this.reached, 0)
      else out.forward('provider', head.end - this.reached, 0)
      head.begin(head.end, this.#asked.offers)
    }
  }

  #passFinal(out: Commands): 'begun' | 'switched' | 'bad' {
    const head = this.#head
    if (!head.isSwitch && !this.#beginBody()) return 'bad'
    this.hasBegun = true
    this.#count(out)
    out.observe(RESPONSE_HEAD_TIME)
    out.forward('provider', head.end - this.reached, 0)
    this.reached = head.end
    return head.isSwitch ? 'switched' : 'begun'
  }

  /** False: nobody can say where it ends. */
  #beginBody(): boolean {
    const head = this.#head
    const body = this.#body
    if (head.status < 200) return false
    if (this.#asked.isHead || head.status === NO_CONTENT || head.status === NOT_MODIFIED) body.beginEmpty()
    else if (head.isAmbiguous) return false
    else if (head.isChunked) body.beginChunks()
    else if (head.hasCoding || head.contentLength < 0) body.beginUntilEnd()
    else body.beginCounted(head.contentLength)
    return true
  }

  #count(out: Commands): void {
    const figure = FIGURES.responses[Math.trunc(this.#head.status / 100) - 1]
    if (figure !== undefined) out.count(figure)
  }
}
