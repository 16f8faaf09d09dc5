/**
 * The head of a request: read strictly, judged once it is whole, and passed on with the identity of its link as its first
 * fields. What could be understood in two ways is refused and never repaired (RFC 9112 section 11.2).
 *
 * Lines are judged as they arrive; what needs the whole head, at its end: framing, then `Host`, then `Connection` and
 * `Expect`. All positions are those of a view that begins where the head does.
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { ByteView, Commands } from '../../src/relay/contract.ts'
import type { FieldName } from './field-names.ts'
import { FieldReader, FieldTable } from './fields.ts'
import { LineReader } from './lines.ts'
import { areAlike, bytesOf, HTAB, isWord } from './octets.ts'
import { REFUSALS, type Refusal } from './refusals.ts'
import { RequestLine } from './request-line.ts'
import { Offers } from './upgrade.ts'
import { contentLengthOf, isHost, isToken, ListReader, transferCodingOf } from './values.ts'

/** What `RequestHead.bodyBytes` says of a body in chunks. */
export const CHUNKED = -1

/** RFC 9112 section 2.2 has a server ignore at least one. */
const MOST_EMPTY_LINES = 2

const CLOSE = bytesOf('close')
const KEEP_ALIVE = bytesOf('keep-alive')
const TE = bytesOf('te')
const UPGRADE = bytesOf('upgrade')
const CONTINUE = bytesOf('100-continue')
/** A request that loses one of these is another request (RFC 9110 section 7.6.1). */
const NEVER_NOMINATED = [bytesOf('content-length'), bytesOf('transfer-encoding'), bytesOf('host')]

/** The options that `Connection` may be given back with, as the bits of an index. */
const OPTIONS = ['close', 'keep-alive', 'te', 'Upgrade']
const Option = { close: 1, keepAlive: 2, te: 4, upgrade: 8 } as const
const CONNECTION_FIELDS: readonly (readonly ByteView[])[] = Array.from({ length: 16 }, (_, bits) => {
  const options = OPTIONS.filter((_option, bit) => (bits & (1 << bit)) !== 0)
  return [bytesOf(`Connection: ${options.join(', ')}\r\n`)]
})

export class RequestHead {
  readonly #limits: ProtocolLimits
  readonly #lines = new LineReader()
  readonly #fields: FieldReader
  readonly #table: FieldTable
  readonly #list = new ListReader()
  readonly line = new RequestLine()
  #hasLine = false
  /** Of empty lines before the request line. */
  emptyBytes = 0
  /** Of all of it, once it is whole. */
  bytes = 0
  #fieldsStart = 0
  #fieldsEnd = 0

  /** Or `CHUNKED`. */
  bodyBytes = 0
  /** Nothing more from its connection is to be processed. */
  closes = false
  /** What is passed on of its offers. */
  offers: Offers | undefined
  offersFiltered = false
  /** Fields that claimed an identity. */
  spoofed = 0

  #lengths = 0
  #codings = 0
  #hosts = 0
  #expectations = 0
  #framingDefect: Refusal | undefined
  #hostDefect: Refusal | undefined
  #optionDefect: Refusal | undefined
  /** Where the line of each kind begins that was read last. */
  #framingLine = 0
  #hostLine = 0
  #optionLine = 0
  /** Where the line begins that the whole head is refused for, or -1. */
  #blamedLine = -1
  #options = 0
  /** Where the options of `Connection` that nominate other fields stand: start and end of each in turn. */
  readonly #nominated: number[] = []
  #nominations = 0

  constructor(limits: ProtocolLimits) {
    this.#limits = limits
    this.#fields = new FieldReader(this.#lines, {
      bytes: limits.restHeadBytes,
      fieldBytes: limits.restFieldBytes,
      fields: limits.restFields,
    })
    this.#table = new FieldTable(limits.restFields)
  }

  /** The next request's head begins with the next view. */
  begin(): void {
    this.#lines.begin(0)
    this.#table.clear()
    this.line.isHead = false
    this.#hasLine = false
    this.emptyBytes = 0
    this.bodyBytes = 0
    this.closes = false
    this.offers = undefined
    this.offersFiltered = false
    this.spoofed = 0
    this.#lengths = 0
    this.#codings = 0
    this.#hosts = 0
    this.#expectations = 0
    this.#framingDefect = undefined
    this.#hostDefect = undefined
    this.#optionDefect = undefined
    this.#framingLine = 0
    this.#hostLine = 0
    this.#optionLine = 0
    this.#blamedLine = -1
    this.#options = 0
    this.#nominations = 0
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
        return this.line.read(view, start, end) ?? 'line'
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
        this.#hosts += 1
        this.#hostLine = this.#fields.start
        if (!isHost(view, start, end)) this.#hostDefect = REFUSALS.host
        else if (this.#isForAnother(view, start, end)) this.#hostDefect ??= REFUSALS.hostMismatch
        return false
      case 'content-length':
        this.#lengths += 1
        this.#framingLine = this.#fields.start
        this.bodyBytes = contentLengthOf(view, start, end)
        if (this.bodyBytes < 0 || this.#endsInTab(view, end)) this.#framingDefect ??= REFUSALS.contentLength
        return false
      case 'transfer-encoding':
        this.#codings += 1
        this.#framingLine = this.#fields.start
        this.#takeCoding(this.#endsInTab(view, end) ? 'invalid' : transferCodingOf(view, start, end))
        return false
      case 'lookAlike':
        this.#framingLine = this.#fields.start
        this.#framingDefect ??= REFUSALS.framingLookAlike
        return false
      case 'expect':
        this.#optionLine = this.#fields.start
        this.#expectations += 1
        if (!isWord(view, start, end, CONTINUE)) this.#expectations += 1
        return this.line.isHttp10
      case 'reserved':
        this.spoofed += 1
        return true
      case 'upgrade':
        this.offers ??= new Offers()
        this.offers.add(view, start, end)
        return true
      case 'connection':
        this.#optionLine = this.#fields.start
        this.#takeOptions(view, start, end)
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

  /**
   * A tab behind the value. It is a blank like any other (RFC 9110 section 5.6.3), but some parsers take it for a part of the
   * value (llhttp does), and would see no length or coding at all, or refuse it.
   */
  #endsInTab(view: ByteView, valueEnd: number): boolean {
    for (let at = valueEnd; at < this.#lines.end; at += 1) if (view[at] === HTAB) return true
    return false
  }

  #isForAnother(view: ByteView, start: number, end: number): boolean {
    const { authorityStart, authorityEnd } = this.line
    return authorityEnd > 0 && !areAlike(view, start, end, authorityStart, authorityEnd)
  }

  #takeCoding(coding: 'chunked' | 'others' | 'invalid'): void {
    if (coding === 'others') this.#framingDefect ??= REFUSALS.codingUnknown
    if (coding === 'invalid') this.#framingDefect ??= REFUSALS.transferEncoding
  }

  #takeOptions(view: ByteView, start: number, end: number): void {
    const list = this.#list
    list.begin(start, end)
    while (list.next(view)) {
      if (list.start === list.end) continue
      if (isWord(view, list.start, list.end, KEEP_ALIVE)) this.#options |= Option.keepAlive
      else if (isWord(view, list.start, list.end, CLOSE)) this.#options |= Option.close
      else if (isWord(view, list.start, list.end, UPGRADE)) this.#options |= Option.upgrade
      else this.#nominate(view, list.start, list.end)
    }
  }

  #nominate(view: ByteView, start: number, end: number): void {
    const isRefused =
      !isToken(view, start, end) ||
      NEVER_NOMINATED.some(name => isWord(view, start, end, name)) ||
      // More than there can be fields: each costs a look at all of them.
      this.#nominations === this.#limits.restFields
    if (isRefused) {
      this.#optionDefect = REFUSALS.connection
      return
    }
    if (isWord(view, start, end, TE)) this.#options |= Option.te
    this.#nominated[2 * this.#nominations] = start
    this.#nominated[2 * this.#nominations + 1] = end
    this.#nominations += 1
  }

  #judge(view: ByteView): Refusal | undefined {
    const { isHttp10 } = this.line
    const refusal = this.#judgeFraming() ?? this.#judgeHost() ?? this.#judgeOptions()
    if (refusal !== undefined) return refusal
    if (this.#codings > 0) this.bodyBytes = CHUNKED
    this.closes = isHttp10 || (this.#options & Option.close) !== 0
    this.#settleOptions(view)
    this.#fieldsEnd = this.#fields.start
    this.bytes = this.#fields.upcoming
    return undefined
  }

  #judgeFraming(): Refusal | undefined {
    this.#blamedLine = this.#framingLine
    if (this.#lengths > 0 && this.#codings > 0) return REFUSALS.codingAndLength
    if (this.#lengths > 1 || this.#codings > 1) return REFUSALS.repeatedFraming
    if (this.#codings > 0 && this.line.isHttp10) return REFUSALS.codingInHttp10
    return this.#framingDefect
  }

  #judgeHost(): Refusal | undefined {
    this.#blamedLine = this.#hostLine
    if (this.#hosts > 1 || (this.#hosts === 0 && !this.line.isHttp10)) return REFUSALS.host
    return this.#hostDefect
  }

  #judgeOptions(): Refusal | undefined {
    this.#blamedLine = this.#optionLine
    if (this.#optionDefect !== undefined) return this.#optionDefect
    return !this.line.isHttp10 && this.#expectations > 1 ? REFUSALS.expect : undefined
  }

  /** What is nominated goes, but for `TE`, which goes unless it is. Then see which options still apply. */
  #settleOptions(view: ByteView): void {
    let options = this.#options & (Option.close | Option.upgrade)
    if (!this.closes) options |= this.#options & Option.keepAlive
    for (let at = 0; at < 2 * this.#nominations; at += 2) {
      const start = this.#nominated[at] ?? 0
      const end = this.#nominated[at + 1] ?? 0
      const isTe = isWord(view, start, end, TE)
      if (this.#table.mark(view, start, end, !isTe) > 0 && isTe) options |= Option.te
    }
    this.#settleOffers(options)
  }

  #settleOffers(options: number): void {
    const isOffered = (options & Option.upgrade) !== 0 && !this.line.isHttp10
    this.offersFiltered = isOffered && this.offers?.filtered === true
    if (!isOffered || this.offers?.none !== false) this.offers = undefined
    this.#options = this.offers === undefined ? options & ~Option.upgrade : options
  }

  /** Give a whole head to the provider, rewritten. */
  passOn(out: Commands, identity: readonly ByteView[]): void {
    if (this.emptyBytes > 0) out.drop('consumer', this.emptyBytes, 0)
    out.forward('consumer', this.#fieldsStart - this.emptyBytes, 0)
    out.send('provider', identity, 0)
    const kept = this.#table.passOn(out, 'consumer', this.#fieldsStart, this.#fieldsEnd)
    if (this.#options !== 0) {
      if (this.#fieldsEnd > kept) out.forward('consumer', this.#fieldsEnd - kept, 0)
      if (this.offers !== undefined) out.send('provider', this.offers.field, 0)
      out.send('provider', CONNECTION_FIELDS[this.#options] ?? [], 0)
      out.forward('consumer', this.bytes - this.#fieldsEnd, 0)
    } else {
      out.forward('consumer', this.bytes - kept, 0)
    }
  }
}
