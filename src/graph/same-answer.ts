/**
 * Asking for the graph again, and seeing that the answer is the same: byte for byte one that was read and understood
 * before, but for its date. That is what nearly every pass finds, so it is found without parsing and without garbage.
 * Knows nothing of HTTP but where a date stands: an answer that differs anywhere is for `client.ts` to ask for anew.
 */
import { connect } from 'node:net'

/** An answer whose end its own bytes tell, by its length or its last chunk: whoever sends them all has sent it. */
export interface KnownAnswer {
  readonly bytes: Buffer
  /** Where its date stands, which servers may add and which proves nothing. Both 0: there is none. */
  readonly dateStart: number
  readonly dateEnd: number
}

/** `late`: nothing was decided within the time. */
export type Comparison = 'same' | 'different' | 'late'

export interface AskOptions {
  readonly socketPath: string
  /** The request, as bytes. It is to have the answer's server close the connection. */
  readonly request: string
  readonly timeoutMs: number
  /** How much of an answer that is another one is still taken, so that its server may finish. */
  readonly mostBytes: number
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

const READ_BYTES = 64 * 1024

/**
 * Gives a function that asks once for each call. It never rejects. No connection outlives the time: one whose answer is
 * another is read to its end meanwhile, because who is cut off in the middle of a write may not expect it.
 */
export const createAsker = ({
  socketPath,
  request,
  timeoutMs,
  mostBytes,
}: AskOptions): ((known: KnownAnswer) => Promise<Comparison>) => {
  // One for all: a buffer for each read would make V8 collect its whole heap every now and then.
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  return known =>
    new Promise(resolve => {
      let at = 0
      let differs = false
      const finish = (comparison: Comparison): void => {
        clearTimeout(deadline)
        resolve(comparison)
        socket.destroy()
      }
      const callback = (count: number, chunk: Uint8Array): boolean => {
        differs ||= !continues(known, chunk.subarray(0, count), at)
        at += count
        if (differs) resolve('different')
        if (differs ? at > mostBytes : at === known.bytes.length) finish(differs ? 'different' : 'same')
        return true
      }
      const deadline = setTimeout(() => finish('late'), timeoutMs)
      const socket = connect({ path: socketPath, onread: { buffer, callback } })
      // An end before the last byte, or a failure, shows again to whoever asks properly.
      for (const end of ['error', 'end', 'close']) socket.on(end, () => finish('different'))
      socket.write(request)
    })
}
