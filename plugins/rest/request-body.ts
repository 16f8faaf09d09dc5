/**
 * The body of a request on its way to the provider: counted bytes unseen, chunks validated and without their extensions.
 * Its last chunk and trailers are held back until they are known to be good: a body that breaks off, or is broken,
 * never looks complete to the provider.
 */
import type { ProtocolLimits } from '../../src/model/limits.ts'
import type { ByteView, Commands } from '../../src/relay/contract.ts'
import { CHUNK_LINE_BYTES, ChunkLine } from './chunk-line.ts'
import { FieldReader, FieldTable } from './fields.ts'
import { FIGURES } from './figures.ts'
import { LineReader } from './lines.ts'
import { CR, LF } from './octets.ts'
import { REFUSALS, type Refusal } from './refusals.ts'
import { IN_CHUNKS } from './request-framing.ts'

/** From here on bytes that need no look are left to the relay: below, that costs more than it saves. */
export const UNSEEN_FROM_BYTES = 32 * 1024

type State = 'over' | 'counted' | 'chunk-line' | 'chunk' | 'chunk-end' | 'trailer'

export class RequestBody {
  readonly #limits: ProtocolLimits
  readonly #lines = new LineReader()
  readonly #chunk = new ChunkLine()
  readonly #fields: FieldReader
  readonly #table: FieldTable
  #state: State = 'over'
  /** Of the counted body, or of the chunk. */
  #remaining = 0
  #extensionBytes = 0
  /** Of the last chunk: where its size and its line end. */
  #lastSizeEnd = 0
  #lastLineEnd = 0
  /** How far into the view the last `pass` came. */
  reached = 0

  constructor(limits: ProtocolLimits) {
    this.#limits = limits
    this.#fields = new FieldReader(this.#lines, {
      bytes: limits.restTrailerBytes,
      fieldBytes: limits.restTrailerBytes,
      fields: limits.restFields,
    })
    this.#table = new FieldTable(limits.restFields)
  }

  /** Where the line begins that was read last: what a refusal is about. */
  get lineStart(): number {
    return this.#lines.start
  }

  /** All of it has been passed on. */
  get over(): boolean {
    return this.#state === 'over'
  }

  /** `bytes`: as `RequestFraming.bodyBytes`. It begins at this place in the view. */
  begin(bytes: number, at: number): void {
    if (bytes === IN_CHUNKS) {
      this.#state = 'chunk-line'
      this.#extensionBytes = 0
      this.#lines.begin(at)
    } else {
      this.#state = bytes === 0 ? 'over' : 'counted'
      this.#remaining = bytes
    }
  }

  /** Pass on what is there of it from `at` on; what comes before has been consumed. */
  pass(view: ByteView, at: number, out: Commands): Refusal | undefined {
    this.reached = at
    switch (this.#state) {
      case 'over':
        return undefined
      case 'counted':
        this.#passCounted(view, at, out)
        return undefined
      default:
        return this.#passChunks(view, at, out)
    }
  }

  #passCounted(view: ByteView, at: number, out: Commands): void {
    const here = Math.min(this.#remaining, view.length - at)
    if (here > 0) out.forward('consumer', here, 0)
    this.reached = at + here
    this.#remaining -= here
    if (this.#remaining === 0) this.#state = 'over'
    if (this.#remaining <= UNSEEN_FROM_BYTES) return
    // Its last byte tells that it is complete.
    out.opaque('consumer', this.#remaining - 1)
    this.#remaining = 1
  }

  /** Whatever passes as it is goes with one command, however many chunks it holds. */
  #passChunks(view: ByteView, from: number, out: Commands): Refusal | undefined {
    let passed = from
    let at = from
    for (;;) {
      switch (this.#state) {
        case 'chunk-line': {
          const line = this.#lines.next(view, CHUNK_LINE_BYTES)
          if (line === 'more') return this.#leave(this.#lines.start, passed, out)
          const { start, end, hasControl } = this.#lines
          if (line !== 'line' || hasControl || !this.#chunk.read(view, start, end)) return REFUSALS.chunk
          const { size, sizeEnd } = this.#chunk
          this.#extensionBytes += end - sizeEnd
          if (this.#extensionBytes > this.#limits.restExtensionBytes) return REFUSALS.chunk
          if (size === 0) {
            if (start > passed) out.forward('consumer', start - passed, 0)
            passed = start
            this.#holdLast(sizeEnd, end)
            break
          }
          if (sizeEnd < end) {
            out.forward('consumer', sizeEnd - passed, 0)
            out.drop('consumer', end - sizeEnd, 0)
            passed = end
          }
          at = end + 2
          this.#remaining = size
          this.#state = 'chunk'
          break
        }
        case 'chunk': {
          const here = Math.min(this.#remaining, view.length - at)
          at += here
          this.#remaining -= here
          if (this.#remaining > 0) return this.#leaveData(at, passed, out)
          this.#state = 'chunk-end'
          break
        }
        case 'chunk-end':
          this.#lines.begin(at)
          if (at < view.length && view[at] !== CR) return REFUSALS.chunk
          if (at + 1 >= view.length) return this.#leave(at, passed, out)
          if (view[at + 1] !== LF) return REFUSALS.chunk
          at += 2
          this.#lines.begin(at)
          this.#state = 'chunk-line'
          break
        case 'trailer': {
          const found = this.#fields.next(view)
          if (found === 'more') return this.#leave(passed, passed, out)
          if (found === 'end') {
            this.#passLast(passed, out)
            return undefined
          }
          if (found !== 'field' || !this.#takeTrailer(out)) return REFUSALS.trailer
          break
        }
        default:
          return undefined
      }
    }
  }

  /** Pass on what comes before `at`; what comes after is looked at again with more. */
  #leave(at: number, passed: number, out: Commands): undefined {
    if (at > passed) out.forward('consumer', at - passed, 0)
    this.reached = at
    this.#lines.shift(at)
    this.#fields.shift(at)
    this.#table.shift(at)
    this.#lastSizeEnd -= at
    this.#lastLineEnd -= at
  }

  /** In the middle of a chunk, at the end of the view. */
  #leaveData(at: number, passed: number, out: Commands): undefined {
    if (at > passed) out.forward('consumer', at - passed, 0)
    this.reached = at
    if (this.#remaining <= UNSEEN_FROM_BYTES) return
    out.opaque('consumer', this.#remaining)
    this.#remaining = 0
    this.#state = 'chunk-end'
  }

  #holdLast(sizeEnd: number, lineEnd: number): void {
    this.#lastSizeEnd = sizeEnd
    this.#lastLineEnd = lineEnd
    this.#fields.begin(lineEnd + 2)
    this.#table.clear()
    this.#state = 'trailer'
  }

  /** False: it must not stand in a trailer (RFC 9110 section 6.5.1). */
  #takeTrailer(out: Commands): boolean {
    const { name, start } = this.#fields
    switch (name) {
      case 'content-length':
      case 'transfer-encoding':
      case 'lookAlike':
      case 'host':
      case 'connection':
      case 'upgrade':
      case 'te':
      case 'trailer':
      case 'expect':
      case 'authorization':
        return false
      default:
        if (name === 'reserved') out.count(FIGURES.trailersStripped)
        this.#table.add(start, name === 'reserved')
        return true
    }
  }

  #passLast(passed: number, out: Commands): void {
    let kept = passed
    if (this.#lastSizeEnd < this.#lastLineEnd) {
      out.forward('consumer', this.#lastSizeEnd - passed, 0)
      out.drop('consumer', this.#lastLineEnd - this.#lastSizeEnd, 0)
      kept = this.#lastLineEnd
    }
    kept = this.#table.passOn(out, 'consumer', kept, this.#fields.start)
    this.reached = this.#fields.upcoming
    out.forward('consumer', this.reached - kept, 0)
    this.#state = 'over'
  }
}
