/**
 * `serve`: a stand-in for Pantavisor's socket that answers the graph a file holds at that moment.
 * It serves what is there, good or not, so that the daemon's handling of a bad graph can be tried out.
 */
import { lstat, readFile, stat, unlink } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'
import { E } from '../../fp.ts'
import { GRAPH_PATH } from '../../graph/client.ts'
import { decodeGraph } from '../../graph/codec.ts'
import { describeReadError } from '../../graph/errors.ts'
import { DEFAULT_LIMITS } from '../../model/limits.ts'
import { decodeArguments, type Operands } from '../arguments.ts'
import { type Command, complain, helpFor, refuseUsage, type Terminal } from '../command.ts'
import type { Option } from '../option-kinds.ts'
import { DEFAULT_CONFIG, pvCtrlOption } from '../options.ts'
import { counted, printable } from '../render.ts'

export interface ServeConfig {
  readonly pvCtrl: string
}

const DEFAULTS: ServeConfig = { pvCtrl: DEFAULT_CONFIG.pvCtrl }
const OPERANDS: Operands = { min: 1, max: 1, shown: 'FILE' }

export const SERVE_OPTIONS: readonly Option<ServeConfig>[] = [pvCtrlOption('The Unix socket to serve on.')]

export const command: Command = {
  help: columns =>
    helpFor(
      {
        verb: 'serve',
        operands: OPERANDS,
        about: [
          'Stands in for Pantavisor: answers GET /xconnect-graph on a Unix socket with what FILE holds at that moment, so that an edit takes effect at the next read. Says when the answer changed, and whether it can be understood.',
          'A socket that nobody listens on is replaced; anything else that is there is left alone. Ends with SIGINT or SIGTERM and removes its socket.',
        ],
        options: SERVE_OPTIONS,
        defaults: DEFAULTS,
        examples: [
          'pv-xconnect serve graph.json --pv-ctrl /tmp/pv-ctrl',
          'pv-xconnect --pv-ctrl /tmp/pv-ctrl --pretty',
        ],
      },
      columns,
    ),
  run: async (args, terminal) => {
    const decoded = decodeArguments(SERVE_OPTIONS, OPERANDS, DEFAULTS, args, terminal.variables)
    if (E.isLeft(decoded)) return refuseUsage(terminal, 'serve', decoded.left)
    const [file = ''] = decoded.right.operands
    const path = decoded.right.config.pvCtrl

    const answers = answersOf(file, terminal)
    const first = await answers.current()
    if (E.isLeft(first)) {
      complain(terminal, 'serve', first.left, 'Give a file with a graph: a JSON array of links.')
      return 1
    }
    const stop = terminal.stopAsked()
    const server = await listenAt(path, (request, response) => void answer(answers, request, response))
    if (E.isLeft(server)) {
      complain(terminal, 'serve', ...server.left)
      return 1
    }
    terminal.out(`serving ${printable(file)} on ${path}; end with Ctrl-C\n`)
    await stop
    await close(server.right)
    return 0
  },
}

interface Answers {
  /** The file's content now, or why there is none. */
  current(): Promise<E.Either<string, Buffer>>
}

/** Each read says so when it differs from the one before. */
const answersOf = (file: string, terminal: Terminal): Answers => {
  let last: string | undefined
  const say = (state: string, words: string): void => {
    if (state !== last) terminal.out(`${printable(`${file}: ${words}`)}\n`)
    last = state
  }
  return {
    current: async () => {
      const body = await readFile(file).then(
        content => E.right<string, Buffer>(content),
        (error: NodeJS.ErrnoException) => E.left(`${file} cannot be read: ${error.code ?? error.message}`),
      )
      if (E.isLeft(body)) say(body.left, 'cannot be read, answering 503')
      else say(body.right.toString('latin1'), contentWords(body.right))
      return body
    },
  }
}

const contentWords = (body: Buffer): string => {
  const graph = decodeGraph(body, DEFAULT_LIMITS)
  if (E.isLeft(graph)) return `served as it is, but ${describeReadError(graph.left)}`
  const { links, rejected } = graph.right
  const reasons = rejected.map(({ index, reason }) => `; entry ${index} is rejected: ${reason}`)
  return counted(links.length, 'link') + reasons.join('')
}

const answer = async (
  answers: Answers,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const respond = (status: number, body: string | Buffer, headers: Record<string, string> = {}): void => {
    const length = Buffer.byteLength(body)
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': length, ...headers })
    response.end(request.method === 'HEAD' ? undefined : body)
  }
  const [path] = (request.url ?? '').split('?')
  if (path !== GRAPH_PATH) return respond(404, refusal(`only ${GRAPH_PATH} is served here`))
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return respond(405, refusal(`${GRAPH_PATH} can only be read`), { allow: 'GET, HEAD' })
  }
  const body = await answers.current()
  return E.isLeft(body) ? respond(503, refusal(body.left)) : respond(200, body.right)
}

const refusal = (error: string): string => `${JSON.stringify({ error })}\n`

type Handler = (request: IncomingMessage, response: ServerResponse) => void
type Lines = readonly [string, ...string[]]

/** A server that owns the socket at `path`; what was there was stale, or it is refused. */
const listenAt = async (path: string, handler: Handler): Promise<E.Either<Lines, Server>> => {
  // libuv reports a missing directory as EACCES.
  const parent = await stat(dirname(path)).catch(() => undefined)
  if (!parent?.isDirectory()) {
    return E.left([
      `${path} cannot be served on: there is no directory ${dirname(path)}`,
      'Make it, or choose another place with --pv-ctrl PATH.',
    ])
  }
  const occupied = await clearStale(path)
  if (E.isLeft(occupied)) return occupied
  const server = createServer(handler)
  return new Promise(resolve => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve(
        E.left([
          `${path} cannot be served on: ${error.code ?? error.message}`,
          'Choose another place with --pv-ctrl PATH.',
        ]),
      ),
    )
    server.listen(path, () => resolve(E.right(server)))
  })
}

const ELSEWHERE = 'It is left as it is. Choose another place with --pv-ctrl PATH.'

const clearStale = async (path: string): Promise<E.Either<Lines, void>> => {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return E.right(undefined)
  if (!found.isSocket()) return E.left([`${path} exists and is no socket`, ELSEWHERE])
  const knocked = await knock(path)
  if (knocked !== 'ECONNREFUSED') {
    const why = knocked === 'answered' ? 'is in use: something listens on it' : `cannot be tried: ${knocked}`
    return E.left([`${path} ${why}`, ELSEWHERE])
  }
  return unlink(path).then(
    () => E.right(undefined),
    (error: NodeJS.ErrnoException) => {
      const what = `${path} is left over from an earlier run and cannot be removed: ${error.code ?? error.message}`
      return E.left<Lines>([what, ELSEWHERE])
    },
  )
}

const knock = (path: string): Promise<string> =>
  new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve('answered')
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })

const close = (server: Server): Promise<void> =>
  new Promise(resolve => {
    // Node removes the socket's name when its listener is closed.
    server.close(() => resolve())
    server.closeAllConnections()
  })
