/**
 * `GET /xconnect-graph` over Pantavisor's control socket.
 * Promises the whole body or a `ReadError`, never a part, within the timeout and the size limit, and no
 * connection left open. Knows nothing of what the body means, and does not retry.
 */
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TE } from '../fp.ts'
import { E } from '../fp.ts'
import type { Limits } from '../model/limits.ts'
import type { ReadError } from './errors.ts'
import { createAsker, type KnownAnswer, knownAnswer } from './same-answer.ts'

export interface ReadOptions {
  readonly socketPath: string
  readonly limits: Pick<Limits, 'graphBodyBytes' | 'graphTimeoutMs'>
}

export const GRAPH_PATH = '/xconnect-graph'

const HEADERS = { host: 'localhost', accept: 'application/json', connection: 'close' }

interface Answer {
  readonly body: Buffer
  /** As it came, head and all; `undefined` where only the end of the connection tells that it is whole. */
  readonly bytes: Buffer | undefined
}

/** RFC 9112, 6.3: by its length, or by the last of its chunks; else it goes on until the connection ends. */
const tellsItsEnd = ({ headers }: IncomingMessage): boolean => {
  const coding = headers['transfer-encoding']
  return coding === undefined ? headers['content-length'] !== undefined : /\bchunked\s*$/i.test(coding)
}

/** An answer that was asked for already. */
interface Begun {
  /** What came of it, and comes. */
  readonly answer: Duplex
  /** How much of its time is over. */
  readonly elapsedMs: number
}

const readAnswer =
  ({ socketPath, limits }: ReadOptions, begun?: Begun): TE.TaskEither<ReadError, Answer> =>
  () =>
    new Promise(resolve => {
      const received: Buffer[] = []
      const chunks: Buffer[] = []
      let receivedBytes = 0
      let answered = false

      const finish = (result: E.Either<ReadError, Answer>): void => {
        clearTimeout(deadline)
        resolve(result)
        req.destroy()
      }

      const req = request(
        {
          // Without an agent, which would only keep a book of connections that are not kept.
          createConnection: () => begun?.answer ?? connect(socketPath),
          path: GRAPH_PATH,
          method: 'GET',
          headers: HEADERS,
          // The answer comes from the platform's own small server over a root-owned socket, one request a
          // connection: sloppy line ends are worth understanding, and there is no second request to smuggle.
          insecureHTTPParser: true,
        },
        response => {
          answered = true
          if (response.statusCode !== 200) {
            finish(E.left({ _tag: 'BadStatus', status: response.statusCode ?? 0 }))
            return
          }
          response.on('data', (chunk: Buffer) => {
            receivedBytes += chunk.length
            if (receivedBytes > limits.graphBodyBytes) {
              finish(E.left({ _tag: 'TooLarge', limitBytes: limits.graphBodyBytes }))
              return
            }
            chunks.push(chunk)
          })
          response.on('error', () => finish(E.left({ _tag: 'Truncated', receivedBytes })))
          response.on('end', () =>
            finish(
              response.complete
                ? E.right({
                    body: Buffer.concat(chunks, receivedBytes),
                    bytes: tellsItsEnd(response) ? Buffer.concat(received) : undefined,
                  })
                : E.left({ _tag: 'Truncated', receivedBytes }),
            ),
          )
        },
      )
      const timeoutMs = limits.graphTimeoutMs
      const leftMs = timeoutMs - (begun?.elapsedMs ?? 0)
      const deadline = setTimeout(() => finish(E.left({ _tag: 'TimedOut', timeoutMs })), leftMs)

      req.on('socket', socket => socket.on('data', (chunk: Buffer) => received.push(chunk)))
      // Errors after the answer began show on the response; a promise takes the first result only.
      req.on('error', (error: NodeJS.ErrnoException) =>
        finish(E.left(answered ? { _tag: 'Truncated', receivedBytes } : failureOf(error, socketPath))),
      )
      req.end()
    })

/** Read it once. */
export const readGraph =
  (options: ReadOptions): TE.TaskEither<ReadError, Buffer> =>
  async () => {
    const answer = await readAnswer(options)()
    return E.isLeft(answer) ? answer : E.right(answer.right.body)
  }

/**
 * For reading it again and again, one at a time: gives the same buffer as before where the answer is the same, at a fraction
 * of what reading costs.
 */
export const graphReader = (options: ReadOptions): TE.TaskEither<ReadError, Buffer> => {
  const { socketPath, limits } = options
  const timeoutMs = limits.graphTimeoutMs
  const headers = Object.entries(HEADERS).map(([name, value]) => `${name}: ${value}\r\n`)
  const ask = createAsker({
    socketPath,
    request: `GET ${GRAPH_PATH} HTTP/1.1\r\n${headers.join('')}\r\n`,
    timeoutMs,
  })
  let known: { readonly answer: KnownAnswer; readonly body: Buffer } | undefined

  return async () => {
    const began = performance.now()
    const comparison = known === undefined ? undefined : await ask(known.answer)
    if (known !== undefined && comparison?._tag === 'same') return E.right(known.body)
    if (comparison?._tag === 'late') return E.left({ _tag: 'TimedOut', timeoutMs })
    const answer = await readAnswer(
      options,
      comparison?._tag === 'different'
        ? { answer: comparison.answer, elapsedMs: performance.now() - began }
        : undefined,
    )()
    if (E.isLeft(answer)) return answer
    const { body, bytes } = answer.right
    known = bytes === undefined ? undefined : { answer: knownAnswer(bytes), body }
    return E.right(body)
  }
}

const failureOf = (error: NodeJS.ErrnoException, socketPath: string): ReadError => {
  const code = error.code ?? error.name
  // A parse failure has a code of the parser's own; an early end of the connection reads as ECONNRESET.
  if (code.startsWith('HPE_')) return { _tag: 'BadAnswer', reason: error.message }
  if (code === 'ECONNRESET' || code === 'EPIPE') return { _tag: 'Truncated', receivedBytes: 0 }
  return { _tag: 'Unreachable', socketPath, errno: code }
}
