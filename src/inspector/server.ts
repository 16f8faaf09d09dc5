/**
 * The inspector on its address: HTTP for the page, server-sent events for what happens, a WebSocket for Stately's.
 * Promises to listen on loopback alone, to answer only who passes the gate, and that no client can keep the process busy
 * or alive: how many there are, how long they may take and what they may queue is bounded. Changes nothing anywhere.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { E } from '../fp.ts'
import type { LinkLog } from '../toolbox/contract.ts'
import type { Subject } from './contract.ts'
import type { InspectorError } from './errors.ts'
import { openEventStream } from './event-stream.ts'
import { admit } from './gate.ts'
import { HEADERS } from './headers.ts'
import { createHub, type Hub } from './hub.ts'
import { inUrl, type ListenAddress } from './listen-address.ts'
import { createPageFiles, type PageFiles } from './page-files.ts'
import type { MachineDefinition } from './shared/definition.ts'
import { PATHS } from './shared/protocol.ts'
import { createStatelySocket, type StatelySocket } from './stately-socket.ts'

export interface InspectorLimits {
  /** A browser opens some; one more than these is cut at once. */
  readonly connections: number
  /** Those who look, each with a stream or a WebSocket of its own. */
  readonly viewers: number
  /** For the head of a request; there are no bodies. */
  readonly patienceMs: number
}

export const INSPECTOR_LIMITS: InspectorLimits = { connections: 64, viewers: 16, patienceMs: 5000 }

export interface InspectorOptions {
  readonly subject: Subject
  readonly machine: MachineDefinition
  readonly address: ListenAddress
  /** The folder with the page's script and style. */
  readonly pageFolder: string
  readonly log: Pick<LinkLog, 'error'>
  readonly limits?: InspectorLimits
}

export interface Inspector {
  /** With the token in it: for whoever may look. */
  readonly url: string
  /** Let go of the address and of whoever looks, at once. Idempotent. */
  close(): void
}

/** 128 bits from the kernel: nobody guesses it, and it lives as long as this server. */
const TOKEN_BYTES = 16
/** The request line may hold a link's key: three strings of a graph, each byte percent-encoded. */
const HEADER_BYTES = 64 * 1024
const REFUSED = 'text/plain; charset=utf-8'

export const openInspector = async (
  options: InspectorOptions,
): Promise<E.Either<InspectorError, Inspector>> => {
  const { address, pageFolder } = options
  if (![PATHS.script, PATHS.style].every(name => existsSync(join(pageFolder, name)))) {
    return E.left({ _tag: 'InspectorPageMissing', folder: pageFolder })
  }
  const token = randomBytes(TOKEN_BYTES).toString('base64url')
  const stately = createStatelySocket(options.subject)
  const server = serverOf(options, token, stately)
  const errno = await listen(server, address)
  if (errno !== undefined) {
    server.close()
    return E.left({ _tag: 'InspectorCannotListen', address: inUrl(address), errno })
  }
  // A TCP server's address is an object.
  const { port } = server.address() as AddressInfo
  return E.right({
    url: `http://${inUrl({ ...address, port })}/${token}/`,
    close: () => {
      stately.close()
      server.close()
      server.closeAllConnections()
    },
  })
}

const listen = (server: Server, { host, port }: ListenAddress): Promise<string | undefined> =>
  new Promise(resolve => {
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => resolve(undefined))
  })

interface Parts {
  readonly subject: Subject
  readonly hub: Hub
  readonly files: PageFiles
  readonly viewers: () => number
  readonly limits: InspectorLimits
}

const serverOf = (options: InspectorOptions, token: string, stately: StatelySocket): Server => {
  const { subject, machine, pageFolder, log, limits = INSPECTOR_LIMITS } = options
  const hub = createHub(subject, machine)
  const viewers = (): number => hub.viewers() + stately.receivers()
  const parts: Parts = { subject, hub, files: createPageFiles(pageFolder), viewers, limits }
  const server = createServer({
    maxHeaderSize: HEADER_BYTES,
    headersTimeout: limits.patienceMs,
    requestTimeout: limits.patienceMs,
    keepAliveTimeout: limits.patienceMs,
    // Else Node looks every half a minute for those who are over their time.
    connectionsCheckingInterval: limits.patienceMs / 5,
  })
  server.maxConnections = limits.connections

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const admission = admit(token, headOf(request))
    if (admission._tag === 'Refused') refuse(response, admission.status, admission.reason)
    else await answer(parts, admission.path, admission.query, response)
  }

  server.on('request', (request, response) => {
    // Nothing here takes a body.
    request.resume()
    serve(request, response).catch((error: unknown) => {
      log.error({ err: error }, 'internal error: a request of the inspector could not be answered')
      if (response.headersSent) response.destroy()
      else refuse(response, 500, 'An internal error, which is in the log.')
    })
  })
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    const admission = admit(token, headOf(request))
    if (admission._tag === 'Refused') refuseUpgrade(socket, admission.status)
    else if (admission.path !== PATHS.stately) refuseUpgrade(socket, 404)
    else if (viewers() >= limits.viewers) refuseUpgrade(socket, 503)
    else stately.attach(request, socket, head)
  })
  server.on('clientError', (_, socket) => socket.destroy())
  return server
}

const headOf = ({ method = '', url = '', headers }: IncomingMessage) => ({ method, url, headers })

const refuse = (response: ServerResponse, status: number, reason: string): void => {
  response.writeHead(status, { ...HEADERS, 'content-type': REFUSED, connection: 'close' })
  response.end(`${reason}\n`)
}

const refuseUpgrade = (socket: Duplex, status: number): void => {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}

const json = (response: ServerResponse, value: unknown): void => {
  response.writeHead(200, { ...HEADERS, 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}

const answer = async (
  parts: Parts,
  path: string,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> => {
  switch (path) {
    case PATHS.events:
      streamTo(parts, response)
      return
    case PATHS.details:
      return details(parts, query, response)
    case PATHS.timeline: {
      const timeline = parts.subject.timeline?.()
      if (timeline === undefined) refuse(response, 404, 'Only a recording has a timeline.')
      else json(response, timeline)
      return
    }
    default: {
      const file = await parts.files.file(path)
      if (file === undefined) {
        refuse(response, 404, 'There is no such file.')
        return
      }
      response.writeHead(200, { ...HEADERS, 'content-type': file.type, 'content-length': file.body.length })
      response.end(file.body)
    }
  }
}

const streamTo = ({ hub, viewers, limits }: Parts, response: ServerResponse): void => {
  if (viewers() >= limits.viewers) {
    refuse(response, 503, `${limits.viewers} look already: close one of the other pages.`)
    return
  }
  const stream = openEventStream(response, HEADERS)
  const seat = hub.join(stream)
  stream.onReady(seat.ready)
  response.once('close', seat.leave)
}

const details = async (
  { subject }: Parts,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> => {
  const at = query.get('at')
  const found = await subject.details(query.get('key') ?? '', at === null ? null : Number(at))
  // `null` where there is no such link, there and then: to ask for one that has just gone is no mistake.
  json(response, found)
}
