/**
 * Where the body of a response ends (RFC 9112 section 6.3): counted, in chunks, or with its connection. Looks at nothing
 * but what tells that, and at each byte of that once: whatever is there of it can be passed on at once.
 */
import type { ByteView } from '../../src/relay/contract.ts'
import { CHUNK_LINE_BYTES } from './chunk-line.ts'
import { ChunkSize } from './chunk-size.ts'
import { CR, isBlank, isIn, LF, PLAIN, SEMICOLON } from './octets.ts'
import { UNSEEN_FROM_BYTES } from './request-body.ts'

type State =
  | 'over'
  | 'broken'
  | 'counted'
  | 'until-end'
  // Of a chunk, in the order in which they come.
  | 'size'
  | 'blanks'
  | 'extensions'
  | 'line-end'
  | 'data'
  | 'data-end'
  | 'data-line-end'
  // Of what follows the last one.
  | 'trailer-start'
  | 'trailer'
  | 'trailer-end'
  | 'last-end'

export class ResponseBody {
  readonly #size = new ChunkSize()
  #state: State = 'over'
  /** Of the counted body, or of the chunk. */
  #remaining = 0
  #lineBytes = 0

  beginEmpty(): void {
    this.#state = 'over'
  }

  beginCounted(bytes: number): void {
    this.#state = bytes === 0 ? 'over' : 'counted'
    this.#remaining = bytes
  }

  beginChunks(): void {
    this.#beginChunk()
  }

  beginUntilEnd(): void {
    this.#state = 'until-end'
  }

  get over(): boolean {
    return this.#state === 'over'
  }

  /** What came cannot belong to a body in chunks. */
  get broken(): boolean {
    return this.#state === 'broken'
  }

  /** It ends where its connection does, so that an end completes it. */
  get endsWithConnection(): boolean {
    return this.#state === 'until-end'
  }

  /** Where in the view what belongs to it ends. */
  pass(view: ByteView, from: number): number {
    switch (this.#state) {
      case 'over':
        return from
      case 'until-end':
        return view.length
      case 'counted': {
        const here = Math.min(this.#remaining, view.length - from)
        this.#remaining -= here
        if (this.#remaining === 0) this.#state = 'over'
        return from + here
      }
      default:
        return this.#passChunks(view, from)
    }
  }

  /** How many of the coming bytes need no look, where they are many: they count as passed. `seen`: how many came last. */
  takeUnseen(seen: number): number {
    const remaining = this.#remaining
    switch (this.#state) {
      case 'counted':
        if (remaining <= UNSEEN_FROM_BYTES) return 0
        // Its last byte tells that it is complete.
        this.#remaining = 1
        return remaining - 1
      case 'data':
        if (remaining <= UNSEEN_FROM_BYTES) return 0
        this.#remaining = 0
        this.#state = 'data-end'
        return remaining
      case 'until-end':
        // No number says how many come: so many at once say enough.
        return seen <= UNSEEN_FROM_BYTES ? 0 : Number.MAX_SAFE_INTEGER
      default:
        return 0
    }
  }

  #beginChunk(): void {
    this.#state = 'size'
    this.#size.clear()
    this.#lineBytes = 0
  }

  #passChunks(view: ByteView, from: number): number {
    let at = from
    while (at < view.length) {
      if (this.#state === 'data') {
        const here = Math.min(this.#remaining, view.length - at)
        at += here
        this.#remaining -= here
        if (this.#remaining === 0) this.#state = 'data-end'
      } else {
        this.#look(view, at)
        if (this.#state === 'broken') return at
        at += 1
        if (this.#state === 'over') return at
      }
    }
    return at
  }

  /** One byte outside of the data. */
  #look(view: ByteView, at: number): void {
    const octet = view[at]
    switch (this.#state) {
      case 'size':
        this.#lookAtSize(view, at)
        return
      case 'blanks':
        if (octet === SEMICOLON) this.#state = 'extensions'
        else if (!isBlank(octet)) this.#state = 'broken'
        this.#countLineByte()
        return
      case 'extensions':
        if (octet === CR) this.#state = 'line-end'
        else if (!isIn(PLAIN, view, at)) this.#state = 'broken'
        this.#countLineByte()
        return
      case 'line-end':
        if (octet !== LF) this.#state = 'broken'
        else this.#beginData()
        return
      case 'data-end':
        this.#state = octet === CR ? 'data-line-end' : 'broken'
        return
      case 'data-line-end':
        if (octet === LF) this.#beginChunk()
        else this.#state = 'broken'
        return
      case 'trailer-start':
        if (octet === CR) this.#state = 'last-end'
        else this.#state = isIn(PLAIN, view, at) ? 'trailer' : 'broken'
        return
      case 'trailer':
        if (octet === CR) this.#state = 'trailer-end'
        else if (octet === LF) this.#state = 'broken'
        return
      case 'trailer-end':
        this.#state = octet === LF ? 'trailer-start' : 'broken'
        return
      case 'last-end':
        this.#state = octet === LF ? 'over' : 'broken'
        return
      default:
        this.#state = 'broken'
    }
  }

  #lookAtSize(view: ByteView, at: number): void {
    const isDigit = this.#size.take(view, at)
    if (!this.#size.isValid) this.#state = 'broken'
    else if (isDigit) return
    else if (view[at] === CR) this.#state = 'line-end'
    else if (view[at] === SEMICOLON) this.#state = 'extensions'
    else this.#state = isBlank(view[at]) ? 'blanks' : 'broken'
  }

  /** Of the last chunk there is none. */
  #beginData(): void {
    this.#remaining = this.#size.bytes
    this.#state = this.#remaining === 0 ? 'trailer-start' : 'data'
  }

  #countLineByte(): void {
    this.#lineBytes += 1
    if (this.#lineBytes > CHUNK_LINE_BYTES) this.#state = 'broken'
  }
}
