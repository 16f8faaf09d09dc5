/**
 * The head of a request: read strictly, judged once it is whole, and passed on with the identity of its link as its first
 * fields. What could be understood in two ways is refused and never repaired (RFC 9112 section 11.2).
 *
 * Lines are judged as they arrive; what needs the whole head, at its end: framing, then `Host`, then `Connection` and
 * `Expect`. All positions are those of a view that begins where the head does.
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { ByteView, Commands } from '../../src/relay/contract.ts'
import { ConnectionOptions } from './connection-options.ts'
import type { FieldName } from './field-names.ts'
import { FieldReader, FieldTable } from './fields.ts'
import { LineReader } from './lines.ts'
import { areAlike, bytesOf, isWord } from './octets.ts'
import { REFUSALS, type Refusal } from './refusals.ts'
import { RequestFraming } from './request-framing.ts'
import { RequestLine } from './request-line.ts'
import { Offers } from './upgrade.ts'
import { isHost } from './values.ts'

/** RFC 9112 section 2.2 has a server ignore at least one. */
const MOST_EMPTY_LINES = 2

const CONTINUE = bytesOf('100-continue')

export class RequestHead {
  readonly #limits: ProtocolLimits
  readonly #lines = new LineReader()
  readonly #fields: FieldReader
  readonly #table: FieldTable
  readonly #framing = new RequestFraming()
  readonly #options: ConnectionOptions
  readonly #line = new RequestLine()
  #hasLine = false
  /** Of empty lines before the request line. */
  emptyBytes = 0
  /** Of all of it, once it is whole. */
  bytes = 0
  #fieldsStart = 0
  #fieldsEnd = 0

  /** What is passed on of its offers. */
  offers: Offers | undefined
  offersFiltered = false
  /** Fields that claimed an identity. */
  spoofed = 0

  #hosts = 0
  #hostDefect: Refusal | undefined
  /** More than one: an expectation that cannot be met is there, or one too many. */
  #expectations = 0
  /** Where the line of either kind begins that was read last. */
  #hostLine = 0
  #optionLine = 0
  /** Where the line begins that the whole head is refused for, or -1. */
  #blamedLine = -1

  constructor(limits: ProtocolLimits) {
    this.#limits = limits
    this.#fields = new FieldReader(this.#lines, {
      bytes: limits.restHeadBytes,
      fieldBytes: limits.restFieldBytes,
      fields: limits.restFields,
    })
    this.#table = new FieldTable(limits.restFields)
    this.#options = new ConnectionOptions(limits.restFields)
  }

  /** The next request's head begins with the next view. */
  begin(): void {
    this.#lines.begin(0)
    this.#table.clear()
    this.#framing.clear()
    this.#options.clear()
    this.#line.clear()
    this.#hasLine = false
    this.emptyBytes = 0
    this.offers = undefined
    this.offersFiltered = false
    this.spoofed = 0
    this.#hosts = 0
    this.#hostDefect = undefined
    this.#expectations = 0
    this.#hostLine = 0
    this.#optionLine = 0
    this.#blamedLine = -1
  }

  get isHead(): boolean {
    return this.#line.isHead
  }

  get isHttp10(): boolean {
    return this.#line.isHttp10
  }

  /** It begins as HTTP/2 does. Refused all the same. */
  get isHttp2(): boolean {
    return this.#line.isHttp2 && this.emptyBytes === 0
  }

  /** Of the body; or `IN_CHUNKS`. */
  get bodyBytes(): number {
    return this.#framing.bodyBytes
  }

  /** Nothing more from its connection is to be processed. */
  get closes(): boolean {
    return this.#line.isHttp10 || this.#options.close
  }

  /** Where the line begins that a refusal is about. */
  get refusedLine(): number {
    return this.#blamedLine < 0 ? this.#lines.start : this.#blamedLine
  }

  read(view: ByteView): 'whole' | 'more' | Refusal {
    if (!this.#hasLine) {
      const found = this.#readLine(view)
      if (found !== 'line') return found
    }
    for (;;) {
      const found = this.#fields.next(view)
      if (found === 'field') {
        const { name, start } = this.#fields
        this.#table.add(start, name !== 'other' && this.#take(view, name))
      } else if (found === 'end') {
        return this.#judge(view) ?? 'whole'
      } else {
        return found
      }
    }
  }

  #readLine(view: ByteView): 'line' | 'more' | Refusal {
    for (;;) {
      const line = this.#lines.next(view, this.#limits.restLineBytes)
      if (line === 'more') return 'more'
      if (line === 'stray') return REFUSALS.strayCrOrLf
      if (line === 'too-long') return REFUSALS.requestLineTooLong
      const { start, end } = this.#lines
      if (start < end) {
        this.#hasLine = true
        this.#fields.begin(start)
        this.#fieldsStart = end + 2
        return this.#line.read(view, start, end) ?? 'line'
      }
      this.emptyBytes += 2
      if (this.emptyBytes > 2 * MOST_EMPTY_LINES) return REFUSALS.emptyLines
    }
  }

  /** Take note of a field. True: it is not passed on. */
  #take(view: ByteView, name: FieldName): boolean {
    const { valueStart: start, valueEnd: end } = this.#fields
    switch (name) {
      case 'host':
        this.#takeHost(view, start, end)
        return false
      case 'content-length':
        this.#framing.lineStart = this.#fields.start
        this.#framing.takeLength(view, start, end, this.#lines.end)
        return false
      case 'transfer-encoding':
        this.#framing.lineStart = this.#fields.start
        this.#framing.takeCoding(view, start, end, this.#lines.end)
        return false
      case 'lookAlike':
        this.#framing.lineStart = this.#fields.start
        this.#framing.takeLookAlike()
        return false
      case 'expect':
        this.#optionLine = this.#fields.start
        this.#expectations += isWord(view, start, end, CONTINUE) ? 1 : 2
        return this.#line.isHttp10
      case 'connection':
        this.#optionLine = this.#fields.start
        this.#options.take(view, start, end)
        return true
      case 'upgrade':
        this.offers ??= new Offers()
        this.offers.add(view, start, end)
        return true
      case 'reserved':
        this.spoofed += 1
        return true
      case 'keep-alive':
      case 'proxy-connection':
      case 'http2-settings':
      case 'te':
        return true
      default:
        return false
    }
  }

  #takeHost(view: ByteView, start: number, end: number): void {
    const { authorityStart, authorityEnd } = this.#line
    const isAbsolute = authorityEnd > 0
    this.#hosts += 1
    this.#hostLine = this.#fields.start
    if (!isHost(view, start, end)) this.#hostDefect ??= REFUSALS.host
    else if (isAbsolute && !areAlike(view, start, end, authorityStart, authorityEnd))
      this.#hostDefect ??= REFUSALS.hostMismatch
  }

  #judge(view: ByteView): Refusal | undefined {
    const refusal = this.#judgeFraming() ?? this.#judgeHost() ?? this.#judgeOptions()
    if (refusal !== undefined) return refusal
    this.#options.settle(view, this.#table)
    this.#settleOffers()
    this.#fieldsEnd = this.#fields.start
    this.bytes = this.#fields.upcoming
    return undefined
  }

  #judgeFraming(): Refusal | undefined {
    this.#blamedLine = this.#framing.lineStart
    return this.#framing.judge(this.#line.isHttp10)
  }

  #judgeHost(): Refusal | undefined {
    this.#blamedLine = this.#hostLine
    if (this.#hosts > 1 || (this.#hosts === 0 && !this.#line.isHttp10)) return REFUSALS.host
    return this.#hostDefect
  }

  /** The client waits to be told that its body is wanted (RFC 9110 section 10.1.1). */
  get expectsContinue(): boolean {
    return this.#expectations === 1 && !this.#line.isHttp10
  }

  #judgeOptions(): Refusal | undefined {
    this.#blamedLine = this.#optionLine
    if (this.#options.defect !== undefined) return this.#options.defect
    return !this.#line.isHttp10 && this.#expectations > 1 ? REFUSALS.expect : undefined
  }

  /** Offers count where they were announced, on 1.1 (RFC 9110 section 7.8). */
  #settleOffers(): void {
    const mayOffer = this.#options.upgrade && !this.#line.isHttp10
    this.offersFiltered = mayOffer && this.offers?.filtered === true
    if (!mayOffer || this.offers?.none === true) this.offers = undefined
  }

  /** Give a whole head to the provider, rewritten. */
  passOn(out: Commands, identity: readonly ByteView[]): void {
    const connection = this.#options.fieldFor(this.closes, this.offers !== undefined)
    if (this.emptyBytes > 0) out.drop('consumer', this.emptyBytes, 0)
    out.forward('consumer', this.#fieldsStart - this.emptyBytes, 0)
    out.send('provider', identity, 0)
    const kept = this.#table.passOn(out, 'consumer', this.#fieldsStart, this.#fieldsEnd)
    if (connection.length === 0) {
      out.forward('consumer', this.bytes - kept, 0)
      return
    }
    if (this.#fieldsEnd > kept) out.forward('consumer', this.#fieldsEnd - kept, 0)
    if (this.offers !== undefined) out.send('provider', this.offers.field, 0)
    out.send('provider', connection, 0)
    out.forward('consumer', this.bytes - this.#fieldsEnd, 0)
  }
}
