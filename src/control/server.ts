/**
 * The control API on its Unix socket: HTTP in front of the routes.
 * Promises that no client can keep the daemon busy, waiting or alive: what a connection may send, how long it may take for
 * it and how many there are is bounded, and each is over after one answer. Knows nothing of what is asked.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { E } from '../fp.ts'
import type { LinkLog } from '../toolbox/contract.ts'
import { Connections } from './connections.ts'
import type { ControlError } from './errors.ts'
import { type Answer, type Answerer, type OngoingAnswer, type Reader, refusal } from './routes.ts'
import { listenAt } from './socket.ts'

export interface ControlLimits {
  /** For one more than these, the oldest is cut. */
  readonly connections: number
  /** From connecting to the last byte of the request, and again for taking the answer. */
  readonly patienceMs: number
  readonly bodyBytes: number
  /** Answers that go on, at the same time. */
  readonly streams: number
  /** What may wait for one reader of such an answer. */
  readonly streamBytes: number
}

const DEFAULT_LIMITS: ControlLimits = {
  connections: 64,
  patienceMs: 5000,
  bodyBytes: 4096,
  streams: 16,
  streamBytes: 256 * 1024,
}

/** The request line may hold a link's key: three strings of a graph, each byte percent-encoded. */
const HEADER_BYTES = 64 * 1024

/** A body that is too large is read on up to here, so that its sender comes to read the answer. */
const MOST_DISCARDED = 1024 * 1024

/** As late as a timer can be: deadlines are ours to keep, and only while somebody is connected. */
const NEVER_MS = 2 ** 31 - 1

export interface ControlOptions {
  readonly path: string
  readonly answer: Answerer
  readonly log: LinkLog
  /** Tells whoever asks what listens here. */
  readonly version: string
  readonly limits?: ControlLimits
}

export interface ControlServer {
  /** End the answers that go on; resolves when their readers have all that was said, or after a moment. */
  farewell(): Promise<void>
  /** Let go of the socket and of whoever is connected, at once. Idempotent. */
  close(): void
}

export const openControlServer = async (
  options: ControlOptions,
): Promise<E.Either<ControlError, ControlServer>> => {
  const { server, farewell } = serverOf(options)
  const place = await listenAt(server, options.path)
  if (E.isLeft(place)) {
    server.close()
    return place
  }
  const close = (): void => {
    place.right.release()
    server.close()
    server.closeAllConnections()
  }
  return E.right({ close, farewell })
}

/** How long a reader that is behind may keep the daemon from ending. */
const FAREWELL_MS = 250

interface Serving {
  readonly server: Server
  readonly farewell: () => Promise<void>
}

const serverOf = ({ answer, log, version, limits = DEFAULT_LIMITS }: ControlOptions): Serving => {
  const connections = new Connections(limits.connections, limits.patienceMs)
  const server = createServer({
    maxHeaderSize: HEADER_BYTES,
    requireHostHeader: false,
    headersTimeout: 0,
    requestTimeout: 0,
    connectionsCheckingInterval: NEVER_MS,
  })
  // What is sent behind the first request is not looked at.
  server.maxRequestsPerSocket = 1

  const streams = new Set<ServerResponse>()

  const answerSafely = async (
    request: IncomingMessage,
    body: string | null,
  ): Promise<Answer | OngoingAnswer> => {
    if (body === null) {
      const message = `The body is longer than ${limits.bodyBytes} bytes: nothing here takes one of that size.`
      return refusal(413, 'BodyTooLarge', message)
    }
    const { method = '', url = '', headers } = request
    try {
      const lastEventId = headers['last-event-id']
      return await answer({
        method,
        url,
        contentType: headers['content-type'],
        lastEventId: typeof lastEventId === 'string' ? lastEventId : undefined,
        body,
      })
    } catch (error) {
      log.error({ err: error }, 'internal error: a request of the control API could not be answered')
      return refusal(500, 'Internal', 'An internal error, which is in the log of the daemon.')
    }
  }

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { socket } = request
    const body = await bodyOf(request, limits.bodyBytes)
    connections.waitsForUs(socket)
    const given = await answerSafely(request, body)
    if ('begin' in given) {
      if (streams.size < limits.streams || request.method === 'HEAD') return goOn(request, response, given)
      const message = `There are ${streams.size} that listen already, and no more may: end one of them first.`
      return finish(request, response, refusal(503, 'TooManyListeners', message))
    }
    finish(request, response, given)
  }

  const finish = (request: IncomingMessage, response: ServerResponse, given: Answer): void => {
    connections.weWaitFor(request.socket)
    response.writeHead(given.status, headersOf(given, version))
    response.end(request.method === 'HEAD' ? undefined : given.body)
  }

  const goOn = (
    request: IncomingMessage,
    response: ServerResponse,
    { headers, begin }: OngoingAnswer,
  ): void => {
    response.writeHead(200, { ...headers, ...commonHeaders(version) })
    if (request.method === 'HEAD' || request.socket.destroyed) {
      response.end()
      return
    }
    // It may be long until there is something to tell.
    response.flushHeaders()
    streams.add(response)
    connections.keep(request.socket)
    // What it begins with may be a whole graph, which nobody can have read before the next line.
    let beginningBytes = 0
    response.on('drain', () => {
      beginningBytes = 0
    })
    const reader: Reader = {
      write: text => {
        if (response.writableLength > limits.streamBytes + beginningBytes || response.writableEnded)
          return false
        response.write(text)
        return true
      },
      onDrained: again => response.on('drain', again),
      end: () => {
        connections.add(request.socket)
        response.end()
      },
    }
    const stop = begin(reader)
    beginningBytes = response.writableLength
    response.once('close', () => {
      streams.delete(response)
      stop()
    })
  }

  server.on('connection', socket => connections.add(socket))
  server.on('request', (request, response) => {
    // It went away before all of its request was here.
    serve(request, response).catch(() => request.socket.destroy())
  })
  server.on('clientError', (error, socket) => refuseGarbage(error, socket, version))

  const farewell = async (): Promise<void> => {
    const sent = [...streams].map(response => new Promise<void>(resolve => response.end(() => resolve())))
    let bound: NodeJS.Timeout | undefined
    const enough = new Promise<void>(resolve => {
      bound = setTimeout(resolve, FAREWELL_MS)
    })
    await Promise.race([Promise.all(sent), enough])
    clearTimeout(bound)
  }
  return { server, farewell }
}

const headersOf = (
  { headers, body }: Answer,
  version: string,
): Readonly<Record<string, string | number>> => ({
  ...headers,
  'content-length': Buffer.byteLength(body),
  ...commonHeaders(version),
})

const commonHeaders = (version: string): Readonly<Record<string, string>> => ({
  'cache-control': 'no-store',
  connection: 'close',
  server: `pv-xconnect/${version}`,
})

/** `null`: it is larger than it may be. Rejects when the client goes away before its end. */
const bodyOf = (request: IncomingMessage, mostBytes: number): Promise<string | null> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= mostBytes) chunks.push(chunk)
      else if (bytes > MOST_DISCARDED) resolve(null)
    })
    request.once('end', () => resolve(bytes > mostBytes ? null : Buffer.concat(chunks).toString()))
    request.once('error', reject)
  })

/** What does not parse has no request that could be answered: the refusal is written by hand. */
const refuseGarbage = (error: NodeJS.ErrnoException, socket: Duplex, version: string): void => {
  // The parser's own codes; all others are ends of the connection.
  if (error.code?.startsWith('HPE_') !== true || !socket.writable) {
    socket.destroy()
    return
  }
  const given =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? refusal(431, 'HeadersTooLarge', `The headers are longer than ${HEADER_BYTES} bytes.`)
      : refusal(400, 'NotHttp', `This is no request of HTTP/1.1: ${error.message}.`)
  const headers = Object.entries(headersOf(given, version)).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${given.status} ${STATUS_CODES[given.status]}\r\n${headers.join('')}\r\n${given.body}`)
}
