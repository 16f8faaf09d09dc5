/**
 * One `GET /xconnect-graph` over Pantavisor's control socket: the only I/O of the graph.
 * Promises the whole body or a `ReadError`, never a part, within the timeout and the size limit, and no
 * connection left open. Knows nothing of what the body means, and does not retry.
 */
import { request } from 'node:http'
import type { TE } from '../fp.ts'
import { E } from '../fp.ts'
import type { Limits } from '../model/limits.ts'
import type { ReadError } from './errors.ts'

export interface ReadOptions {
  readonly socketPath: string
  readonly limits: Pick<Limits, 'graphBodyBytes' | 'graphTimeoutMs'>
}

export const GRAPH_PATH = '/xconnect-graph'

export const readGraph =
  ({ socketPath, limits }: ReadOptions): TE.TaskEither<ReadError, Buffer> =>
  () =>
    new Promise(resolve => {
      const chunks: Buffer[] = []
      let receivedBytes = 0
      let answered = false

      const finish = (result: E.Either<ReadError, Buffer>): void => {
        clearTimeout(deadline)
        resolve(result)
        req.destroy()
      }

      const req = request(
        {
          socketPath,
          path: GRAPH_PATH,
          method: 'GET',
          agent: false,
          headers: { host: 'localhost', accept: 'application/json', connection: 'close' },
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
                ? E.right(Buffer.concat(chunks, receivedBytes))
                : E.left({ _tag: 'Truncated', receivedBytes }),
            ),
          )
        },
      )
      const timeoutMs = limits.graphTimeoutMs
      const deadline = setTimeout(() => finish(E.left({ _tag: 'TimedOut', timeoutMs })), timeoutMs)

      // Errors after the answer began show on the response; a promise takes the first result only.
      req.on('error', (error: NodeJS.ErrnoException) =>
        finish(E.left(answered ? { _tag: 'Truncated', receivedBytes } : failureOf(error, socketPath))),
      )
      req.end()
    })

const failureOf = (error: NodeJS.ErrnoException, socketPath: string): ReadError => {
  const code = error.code ?? error.name
  // A parse failure has a code of the parser's own; an early end of the connection reads as ECONNRESET.
  if (code.startsWith('HPE_')) return { _tag: 'BadAnswer', reason: error.message }
  if (code === 'ECONNRESET' || code === 'EPIPE') return { _tag: 'Truncated', receivedBytes: 0 }
  return { _tag: 'Unreachable', socketPath, errno: code }
}
