/**
 * Asking for the graph again, and seeing that the answer is the same: byte for byte one that was read and understood
 * before, but for its date. That is what nearly every pass finds, so it is found without parsing and without garbage.
 * Knows nothing of HTTP but where a date stands: an answer that differs anywhere is for `client.ts` to read.
 */
import { connect, type Socket } from 'node:net'
import { Duplex } from 'node:stream'

/** An answer whose end its own bytes tell, by its length or its last chunk: whoever sends them all has sent it. */
export interface KnownAnswer {
  readonly bytes: Buffer
  /** Where its date stands, which servers may add and which proves nothing. Both 0: there is none. */
  readonly dateStart: number
  readonly dateEnd: number
}

/**
 * `different`: the answer goes on as a stream, from its first byte, for whoever can read it. `late`: nothing was decided
 * within the time. `failed`: there is no answer to speak of.
 */
export type Comparison =
  | { readonly _tag: 'same' }
  | { readonly _tag: 'late' }
  | { readonly _tag: 'failed' }
  | { readonly _tag: 'different'; readonly answer: Duplex }

export interface AskOptions {
  readonly socketPath: string
  /** The request, as bytes. It is to have the answer's server close the connection. */
  readonly request: string
  readonly timeoutMs: number
}

/** As every HTTP date has it: always as long (RFC 9110, 5.6.7). */
const DATE = /^date:[ \t]*([A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT)[ \t]*\r?$/im

export const knownAnswer = (bytes: Buffer): KnownAnswer => {
  const text = bytes.toString('latin1')
  const headers = text.slice(0, text.search(/\r?\n\r?\n/))
  const found = DATE.exec(headers)
  if (found?.[1] === undefined) return { bytes, dateStart: 0, dateEnd: 0 }
  const dateStart = found.index + found[0].indexOf(found[1])
  return { bytes, dateStart, dateEnd: dateStart + found[1].length }
}

/** Whether `chunk`, as it came after `at` bytes, is what the known answer has there. */
const continues = ({ bytes, dateStart, dateEnd }: KnownAnswer, chunk: Uint8Array, at: number): boolean => {
  const end = at + chunk.length
  if (end > bytes.length) return false
  const isSame = (from: number, to: number): boolean =>
    from >= to || bytes.compare(chunk, from - at, to - at, from, to) === 0
  return isSame(at, Math.min(end, dateStart)) && isSame(Math.max(at, dateEnd), end)
}

/** An answer of which the beginning has been read: what is written to it was said already. */
class Continued extends Duplex {
  readonly #socket: Socket

  constructor(socket: Socket) {
    super()
    this.#socket = socket
  }

  override _read(): void {
    this.#socket.resume()
  }

  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy()
    done(error)
  }
}

const READ_BYTES = 64 * 1024

/** Gives a function that asks once for each call, and never rejects. Whoever is given an answer destroys it. */
export const createAsker = ({
  socketPath,
  request,
  timeoutMs,
}: AskOptions): ((known: KnownAnswer) => Promise<Comparison>) => {
  // One for all: a buffer for each read would make V8 collect its whole heap every now and then.
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  return known =>
    new Promise(resolve => {
      let at = 0
      let answer: Continued | undefined
      const decide = (comparison: Comparison): void => {
        clearTimeout(deadline)
        resolve(comparison)
        if (comparison._tag !== 'different') socket.destroy()
      }
      const goOn = (): Continued => {
        const begun = new Continued(socket)
        begun.push(Buffer.from(known.bytes.subarray(0, at)))
        answer = begun
        decide({ _tag: 'different', answer: begun })
        return begun
      }
      const callback = (count: number, shared: Uint8Array): boolean => {
        const chunk = shared.subarray(0, count)
        if (answer === undefined && continues(known, chunk, at)) {
          at += count
          if (at === known.bytes.length) decide({ _tag: 'same' })
          return true
        }
        return (answer ?? goOn()).push(Buffer.from(chunk))
      }
      const deadline = setTimeout(() => decide({ _tag: 'late' }), timeoutMs)
      const socket = connect({ path: socketPath, onread: { buffer, callback } })
      socket.on('end', () => {
        // What has ended early differs too, and its reader sees where.
        if (at < known.bytes.length) (answer ?? goOn()).push(null)
      })
      socket.on('error', error => {
        if (answer === undefined) decide({ _tag: 'failed' })
        else answer.destroy(error)
      })
      socket.write(request)
    })
}
