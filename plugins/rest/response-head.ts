/**
 * The head of a response: only what tells where the response ends, and whether its connection goes on. It is passed on
 * byte for byte, so what two readers could understand differently is no response at all.
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { ByteView } from '../../src/relay/contract.ts'
import { FieldReader } from './fields.ts'
import { LineReader } from './lines.ts'
import { bytesOf, digitAt, isExactly, isWord, SP } from './octets.ts'
import type { Offers } from './upgrade.ts'
import { CLOSE, contentLengthOf, endsInChunked, KEEP_ALIVE, ListReader } from './values.ts'

const HTTP_1 = bytesOf('HTTP/1.')

/** `HTTP/1.x`, a space, three digits: where what follows them begins. */
const STATUS_AT = 9
const STATUS_END = 12

const SWITCHING_PROTOCOLS = 101

export class ResponseHead {
  readonly #lines = new LineReader()
  readonly #fields: FieldReader
  readonly #limits: ProtocolLimits
  readonly #list = new ListReader()
  #hasLine = false
  /** Where it ends, once it is whole. */
  end = 0
  status = 0
  #isHttp10 = false
  /** -1: none was given. */
  contentLength = -1
  hasCoding = false
  isChunked = false
  /** Its framing can be understood in two ways. */
  isAmbiguous = false
  #closes = false
  #keepsAlive = false
  #offers: Offers | undefined
  /** It names the protocol switched to, and that was offered. */
  #switches = false
  #switchesElse = false

  constructor(limits: ProtocolLimits) {
    this.#limits = limits
    const bytes = limits.restResponseHeadBytes
    this.#fields = new FieldReader(this.#lines, { bytes, fieldBytes: bytes, fields: bytes })
  }

  /** A response to a request with these offers begins at this place in the view. */
  begin(at: number, offers: Offers | undefined): void {
    this.#lines.begin(at)
    this.#hasLine = false
    this.contentLength = -1
    this.hasCoding = false
    this.isChunked = false
    this.isAmbiguous = false
    this.#closes = false
    this.#keepsAlive = false
    this.#offers = offers
    this.#switches = false
    this.#switchesElse = false
  }

  /** As many bytes at the beginning of the view were consumed. */
  shift(bytes: number): void {
    this.#lines.shift(bytes)
    this.#fields.shift(bytes)
  }

  get isInterim(): boolean {
    return this.status < 200 && this.status !== SWITCHING_PROTOCOLS
  }

  /** A 101 to a protocol that was offered. */
  get isSwitch(): boolean {
    return this.status === SWITCHING_PROTOCOLS && this.#switches && !this.#switchesElse
  }

  /** The provider means to go on after it. */
  get keepsAlive(): boolean {
    return !this.#closes && (!this.#isHttp10 || this.#keepsAlive)
  }

  read(view: ByteView): 'whole' | 'more' | 'bad' {
    if (!this.#hasLine) {
      const line = this.#lines.next(view, this.#limits.restResponseHeadBytes)
      if (line === 'more') return 'more'
      if (line !== 'line' || this.#lines.hasControl) return 'bad'
      if (!this.#takeStatus(view, this.#lines.start, this.#lines.end)) return 'bad'
      this.#hasLine = true
      this.#fields.begin(this.#lines.start)
    }
    for (;;) {
      const found = this.#fields.next(view)
      if (found === 'field') {
        if (this.#fields.name !== 'other') this.#take(view)
      } else if (found === 'end') {
        this.end = this.#fields.upcoming
        this.isAmbiguous ||= this.hasCoding && (this.contentLength >= 0 || this.#isHttp10)
        return 'whole'
      } else {
        return found === 'more' ? 'more' : 'bad'
      }
    }
  }

  #takeStatus(view: ByteView, start: number, end: number): boolean {
    const minor = digitAt(view, start + 7)
    const hundreds = digitAt(view, start + STATUS_AT)
    const tens = digitAt(view, start + STATUS_AT + 1)
    const ones = digitAt(view, start + STATUS_AT + 2)
    this.status = hundreds * 100 + tens * 10 + ones
    this.#isHttp10 = minor === 0
    return (
      end - start >= STATUS_END &&
      isExactly(view, start, start + HTTP_1.length, HTTP_1) &&
      minor >= 0 &&
      view[start + 8] === SP &&
      hundreds >= 1 &&
      tens >= 0 &&
      ones >= 0 &&
      // Many leave out the space where there are no words.
      (end - start === STATUS_END || view[start + STATUS_END] === SP)
    )
  }

  #take(view: ByteView): void {
    const { name, valueStart: start, valueEnd: end } = this.#fields
    switch (name) {
      case 'content-length': {
        const length = contentLengthOf(view, start, end)
        if (length < 0 || (this.contentLength >= 0 && this.contentLength !== length)) this.isAmbiguous = true
        this.contentLength = length
        return
      }
      case 'transfer-encoding':
        this.hasCoding = true
        this.isChunked = endsInChunked(view, start, end)
        return
      case 'connection':
        this.#takeOptions(view, start, end)
        return
      case 'upgrade':
        if (this.#offers?.include(view, start, end) === true) this.#switches = true
        else this.#switchesElse = true
        return
      default:
        return
    }
  }

  #takeOptions(view: ByteView, start: number, end: number): void {
    const list = this.#list
    list.begin(start, end)
    while (list.next(view)) {
      if (isWord(view, list.start, list.end, CLOSE)) this.#closes = true
      else if (isWord(view, list.start, list.end, KEEP_ALIVE)) this.#keepsAlive = true
    }
  }
}
