/**
 * Asking the daemon over its control socket, as anyone else would: the answer decoded, or why there is none, in words.
 * Promises to give up in time and to leave no connection open. Knows no verb.
 */
import { lstatSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import type * as t from 'io-ts'
import { RefusalJson } from '../control/shapes.ts'
import { E } from '../fp.ts'

export type AskError =
  /** Nobody answers at the path: `errno` says how the connection failed. */
  | { readonly _tag: 'NoDaemon'; readonly path: string; readonly errno: string; readonly isSocket: boolean }
  /** Only the daemon's own user may ask, which is root. */
  | { readonly _tag: 'NotAllowed'; readonly path: string }
  /** Something answers, but no pv-xconnect, or one of another version. */
  | { readonly _tag: 'NotOurs'; readonly path: string; readonly reason: string }
  | { readonly _tag: 'TimedOut'; readonly path: string; readonly timeoutMs: number }
  /** The daemon said no. */
  | { readonly _tag: 'Refused'; readonly status: number; readonly error: string; readonly message: string }

/** A line each: what happened, and what to do. */
export const describeAskError = (error: AskError): readonly [string, ...string[]] => {
  switch (error._tag) {
    case 'NoDaemon':
      return [
        `no daemon answers on ${error.path}: ${nobodyThere(error)}`,
        'Start pv-xconnect, or give the socket of the one that runs with --control PATH.',
      ]
    case 'NotAllowed':
      return [`${error.path} may only be used by root`, 'Try it as root.']
    case 'NotOurs':
      return [
        `what answers on ${error.path} is no control API of pv-xconnect: ${error.reason}`,
        "Give the daemon's control socket with --control PATH; Pantavisor's own is another one.",
      ]
    case 'TimedOut':
      return [
        `the daemon on ${error.path} did not answer within ${error.timeoutMs} ms`,
        'It may be held up: look at its log.',
      ]
    case 'Refused':
      return [error.message]
  }
}

const nobodyThere = ({ errno, isSocket }: Extract<AskError, { readonly _tag: 'NoDaemon' }>): string => {
  if (errno === 'ENOENT') return 'there is no such socket'
  if (!isSocket) return 'it is no socket'
  return errno === 'ECONNREFUSED' ? 'it was left by a daemon that is gone' : errno
}

export interface Asked {
  readonly path: string
  readonly timeoutMs: number
}

/** Names the daemon in its answers. */
const OURS = /^pv-xconnect\//

/** `GET` a path of the control API, and understand the answer. */
export const askControl = async <A>(
  { path, timeoutMs }: Asked,
  url: string,
  shape: t.Decoder<unknown, A>,
): Promise<E.Either<AskError, A>> => {
  const fetched = await fetchBody(path, url, timeoutMs)
  if (E.isLeft(fetched)) return fetched
  const { status, body, server } = fetched.right
  const notOurs = (reason: string): E.Either<AskError, A> => E.left({ _tag: 'NotOurs', path, reason })
  if (!OURS.test(server)) return notOurs(`it calls itself ${server === '' ? 'nothing' : server}`)
  const value = parsed(body)
  if (status !== 200) {
    const refused = RefusalJson.decode(value)
    return E.isLeft(refused)
      ? notOurs(`its answer to ${url} has status ${status}`)
      : E.left({ _tag: 'Refused', status, ...refused.right })
  }
  const decoded = shape.decode(value)
  if (E.isRight(decoded)) return decoded
  const place = (decoded.left[0]?.context ?? []).flatMap(({ key }) => (key === '' ? [] : [key])).join('.')
  return notOurs(`its answer to ${url} is of another form at ${place}; it may be of another version`)
}

const parsed = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

interface Fetched {
  readonly status: number
  readonly server: string
  readonly body: string
}

const fetchBody = (path: string, url: string, timeoutMs: number): Promise<E.Either<AskError, Fetched>> =>
  new Promise(resolve => {
    const finish = (result: E.Either<AskError, Fetched>): void => {
      clearTimeout(deadline)
      resolve(result)
      asked.destroy()
    }
    const failed = (error: NodeJS.ErrnoException): void => finish(E.left(failureOf(error, path)))
    const asked = request({ socketPath: path, path: url, agent: false }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', failed)
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString()
        const server = String(response.headers['server'] ?? '')
        finish(E.right({ status: response.statusCode ?? 0, server, body }))
      })
    })
    const deadline = setTimeout(() => finish(E.left({ _tag: 'TimedOut', path, timeoutMs })), timeoutMs)
    asked.on('error', failed)
    asked.end()
  })

/** Why an answer that goes on is over. */
export type StreamEnd = 'stopped' | 'ended by the daemon'

/**
 * `GET` a path whose answer goes on, and hand on what comes, piece by piece, until `stop` resolves or the daemon ends it.
 * `take` says when it is ready for more: nothing is read before.
 */
export const streamControl = (
  path: string,
  url: string,
  take: (text: string) => void | Promise<void>,
  stop: Promise<unknown>,
): Promise<E.Either<AskError, StreamEnd>> =>
  new Promise(resolve => {
    const finish = (result: E.Either<AskError, StreamEnd>): void => {
      resolve(result)
      asked.destroy()
    }
    const asked = request({ socketPath: path, path: url, agent: false }, response => {
      const server = String(response.headers['server'] ?? '')
      if (!OURS.test(server)) {
        const reason = `it calls itself ${server === '' ? 'nothing' : server}`
        finish(E.left({ _tag: 'NotOurs', path, reason }))
        return
      }
      void readOn(response, take).then(body => {
        if (response.statusCode === 200) {
          finish(E.right('ended by the daemon'))
          return
        }
        const refused = RefusalJson.decode(parsed(body))
        const status = response.statusCode ?? 0
        finish(
          E.isRight(refused)
            ? E.left({ _tag: 'Refused', status, ...refused.right })
            : E.left({ _tag: 'NotOurs', path, reason: `its answer to ${url} has status ${status}` }),
        )
      })
    })
    asked.on('error', (error: NodeJS.ErrnoException) => finish(E.left(failureOf(error, path))))
    void stop.then(() => finish(E.right('stopped')))
    asked.end()
  })

/** What is refused is given back whole, what is not goes on. */
const readOn = async (
  response: IncomingMessage,
  take: (text: string) => void | Promise<void>,
): Promise<string> => {
  let refusal = ''
  try {
    for await (const text of response.setEncoding('utf8')) {
      if (response.statusCode === 200) await take(String(text))
      else refusal += String(text)
    }
  } catch (error) {
    // The connection broke off: that is an end too, as when the daemon was killed.
    if (!(error instanceof Error)) throw error
  }
  return refusal
}

const failureOf = (error: NodeJS.ErrnoException, path: string): AskError => {
  const errno = error.code ?? error.message
  if (errno === 'EACCES' || errno === 'EPERM') return { _tag: 'NotAllowed', path }
  // It was connected, and then something else came than an answer.
  if (errno.startsWith('HPE_')) return { _tag: 'NotOurs', path, reason: error.message }
  if (errno === 'ECONNRESET' || errno === 'EPIPE')
    return { _tag: 'NotOurs', path, reason: 'it closed the connection' }
  const found = lstatSync(path, { throwIfNoEntry: false })
  return { _tag: 'NoDaemon', path, errno, isSocket: found?.isSocket() ?? false }
}
