/**
 * How Node's own HTTP server reads a stream of bytes, in its strict mode: which requests, with which fields and bodies,
 * and whether it refuses to go on. It shares no line with the `rest` link's parser, and needs no socket here.
 */
import { createServer, type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'

/** Name and value, as they were written. */
export type Field = readonly [name: string, value: string]

export interface ReadRequest {
  readonly method: string
  readonly target: string
  readonly version: string
  readonly fields: readonly Field[]
  /** All of it as far as it came, without its framing. */
  readonly body: Buffer
  readonly trailers: readonly Field[]
  readonly isComplete: boolean
}

export interface Reading {
  readonly requests: readonly ReadRequest[]
  /** Why it does not go on. An end within a message is a refusal too. */
  readonly refused: string | undefined
}

const pairs = (raw: readonly string[]): readonly Field[] =>
  Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index] ?? '', raw[2 * index + 1] ?? ''])

interface Incoming {
  readonly message: IncomingMessage
  readonly parts: Buffer[]
  isComplete: boolean
}

/** A connection that has no socket: its bytes come at once, and what is answered is of no interest. */
class Wire extends Duplex {
  readonly incoming: Incoming[] = []
  refused: string | undefined
  isOver = false

  override _read(): void {
    // All there is was pushed before.
  }

  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done()
  }

  // What the server asks of a socket, besides.
  setTimeout(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }
}

const STRICT = {
  insecureHTTPParser: false,
  requireHostHeader: false,
  maxHeaderSize: 1 << 20,
  keepAliveTimeout: 0,
}
const server = createServer(STRICT)
server.maxHeadersCount = 0

const wireOf = ({ socket }: { readonly socket: unknown }): Wire => {
  if (socket instanceof Wire) return socket
  throw new Error('a request of no connection of ours')
}

const begin = (message: IncomingMessage): void => {
  const wire = wireOf(message)
  if (wire.refused !== undefined) return
  const incoming: Incoming = { message, parts: [], isComplete: false }
  wire.incoming.push(incoming)
  message.on('data', (part: Buffer) => incoming.parts.push(part))
  message.on('end', () => {
    incoming.isComplete = message.complete
  })
}

const refuse = (wire: Wire, why: string): void => {
  wire.refused ??= why
  wire.isOver = true
}

// It answers these three by itself otherwise, and nobody would hear of them.
server.on('request', message => {
  const isAnonymous = message.httpVersion === '1.1' && message.headers.host === undefined
  if (isAnonymous) refuse(wireOf(message), 'no Host')
  else begin(message)
})
server.on('checkExpectation', message => refuse(wireOf(message), 'an expectation'))
server.on('connect', message => refuse(wireOf(message), 'CONNECT'))
server.on('checkContinue', begin)
server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
  refuse(wireOf({ socket }), error.code ?? error.message),
)

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

const readOnce = async (bytes: Uint8Array): Promise<Reading> => {
  const wire = new Wire({ autoDestroy: false })
  wire.on('end', () => {
    wire.isOver = true
  })
  server.emit('connection', wire)
  wire.push(bytes)
  wire.push(null)
  for (let turns = 0; !wire.isOver && turns < 100; turns += 1) await turn()
  wire.destroy()
  if (!wire.isOver) throw new Error('Node does not come to an end')
  // The end of a message that PRI follows is read, and never told: Node takes it for the beginning of HTTP/2.
  for (const incoming of wire.incoming) {
    incoming.isComplete ||= incoming.message.complete && incoming.message.readableLength === 0
  }
  // Where a request has offered an upgrade, Node keeps to itself what is wrong with its body.
  const isStuck = wire.incoming.some(({ isComplete }) => !isComplete)
  return {
    refused: wire.refused ?? (isStuck ? 'within a body' : undefined),
    requests: wire.incoming.map(({ message, parts, isComplete }) => ({
      method: message.method ?? '',
      target: message.url ?? '',
      version: message.httpVersion,
      fields: pairs(message.rawHeaders),
      body: Buffer.concat(parts),
      trailers: pairs(message.rawTrailers),
      isComplete,
    })),
  }
}

const wholeOf = ({ requests }: Reading): number => requests.filter(({ isComplete }) => isComplete).length

/** Upgrades are where Node stops to read: what follows may be another protocol. */
const mayUpgrade = ({ fields }: ReadRequest): boolean =>
  ['connection', 'upgrade'].every(wanted => fields.some(([name]) => name.toLowerCase() === wanted))

/** The length of the shortest beginning in which there are so many whole requests. */
const lengthOf = async (bytes: Uint8Array, whole: number): Promise<number> => {
  let [least, most] = [0, bytes.length]
  while (least < most) {
    const middle = (least + most) >> 1
    if (wholeOf(await readOnce(bytes.subarray(0, middle))) >= whole) most = middle
    else least = middle + 1
  }
  return most
}

/** What is in the bytes, up to where Node would read no further. Upgrades are taken as refused by the server. */
export const read = async (bytes: Uint8Array): Promise<Reading> => {
  const reading = await readOnce(bytes)
  const last = reading.requests.at(-1)
  if (reading.refused !== undefined || last === undefined || !mayUpgrade(last)) return reading
  const length = await lengthOf(bytes, wholeOf(reading))
  if (length === bytes.length) return reading
  const rest = await read(bytes.subarray(length))
  return { refused: rest.refused, requests: [...reading.requests, ...rest.requests] }
}

const HEAD_END = Buffer.from('\r\n\r\n')
const LF = 0x0a

/** Exactly one whole request and not a byte more, or `undefined`. */
export const readOne = async (bytes: Buffer): Promise<ReadRequest | undefined> => {
  const { refused, requests } = await readOnce(bytes)
  const [only] = requests
  if (refused !== undefined || requests.length !== 1 || only === undefined || !only.isComplete)
    return undefined
  // Only a rest of empty lines would go unnoticed, and a head alone has none.
  const isHead = bytes.indexOf(HEAD_END) === bytes.length - HEAD_END.length
  if (isHead || bytes.at(-1) !== LF) return only
  const shorter = await readOnce(bytes.subarray(0, -1))
  return wholeOf(shorter) === 0 ? only : undefined
}
