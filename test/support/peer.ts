/**
 * A Python process at one end of a link (`peers/peer.py`), in a container or on the host, led by a test.
 * Every call rejects with the errno's name if the peer was refused something, and after its patience if nothing came.
 */
import { createInterface } from 'node:readline'
import * as t from 'io-ts'
import { E } from '../../src/fp.ts'
import { type Place, untilEnded } from './container.ts'
import { PYTHON } from './requirements.ts'

const PATIENCE_MS = 10_000

export type Kind = 'stream' | 'seqpacket' | 'dgram'

export class PeerRefused extends Error {
  readonly errno: string
  constructor(errno: string, message: string) {
    super(message)
    this.errno = errno
  }
}

const Descriptor = t.type({ dev: t.string, ino: t.string, content: t.union([t.string, t.null]) })
/** An open file as either side sees it. Two that are equal are the same file. */
export type Descriptor = t.TypeOf<typeof Descriptor>

const Nothing = t.type({})
const Descriptors = t.type({ descriptors: t.array(Descriptor) })
const Text = t.type({ text: t.string })
const Amount = t.type({ bytes: t.number })
const Poured = t.type({ bytes: t.number, sha256: t.string })
const Drained = t.type({ bytes: t.number, sha256: t.string, ended: t.string, text: t.string })
const Got = t.type({ bytes: t.number, sha256: t.string, text: t.string, end: t.boolean })
const Message = t.intersection([Got, t.type({ descriptors: t.array(Descriptor), cut: t.boolean })])
const ByteByByte = t.type({
  text: t.string,
  positions: t.array(t.type({ at: t.number, descriptors: t.array(Descriptor), cut: t.boolean })),
})
const Numbered = t.type({ complaints: t.array(t.string), descriptors: t.number })
const Connected = t.type({ connected: t.number, errors: t.record(t.string, t.number) })
const Echoed = t.type({ good: t.number, refused: t.number, waiting: t.number })
const Served = t.type({ open: t.number, total: t.number, ended: t.array(t.string) })
const Count = t.type({ count: t.number })

const Reply = t.union([
  t.type({ id: t.number, ok: t.unknown }),
  t.type({ id: t.number, errno: t.string, message: t.string }),
])
type Reply = t.TypeOf<typeof Reply>

export interface Serving {
  /** `introduce`: what it says first. */
  readonly label?: string
  /** `exchange`: bytes each way; `hang_up`: bytes after which it closes. */
  readonly size?: number
}

/** `http` is of `rest.py` only. */
export type Service = 'echo' | 'introduce' | 'sink' | 'exchange' | 'hang_up' | 'mute' | 'http'

export interface Peer {
  readonly place: Place
  listen(
    name: string,
    path: string,
    options?: { kind?: Kind; backlog?: number; replace?: boolean },
  ): Promise<unknown>
  serve(listener: string, service: Service, options?: Serving): Promise<unknown>
  servedBy(listener: string): Promise<t.TypeOf<typeof Served>>
  accept(listener: string, name: string): Promise<unknown>
  connect(name: string, path: string, options?: { kind?: Kind; sendBuffer?: number }): Promise<unknown>
  shutdown(name: string, how: 'read' | 'write' | 'both'): Promise<unknown>
  close(name: string): Promise<unknown>

  makeMemfds(prefix: string, count: number): Promise<readonly Descriptor[]>
  makePipe(reader: string, writer: string): Promise<unknown>
  /** `one` is a socket of this peer's, `other` a descriptor to send. */
  makeSocketpair(one: string, other: string): Promise<unknown>
  /**
   * A TCP socket whose last close waits so long for its other end, the socket `name.end`, to read or to close (SO_LINGER,
   * socket(7)).
   */
  makeLingering(name: string, seconds: number): Promise<unknown>
  closeFiles(names: readonly string[]): Promise<unknown>
  readFile(name: string, patienceMs?: number): Promise<string>
  writeFile(name: string, text: string): Promise<unknown>

  /** One message: `text`, repeated until it is `size` long, with descriptors by name. */
  send(
    name: string,
    text: string,
    options?: { size?: number; descriptors?: readonly string[] },
  ): Promise<unknown>
  /** Out of band: the last byte of `text` is an urgent one. */
  sendUrgent(name: string, text: string): Promise<unknown>
  receiveMessage(
    name: string,
    options?: { size?: number; room?: number; keepAs?: string },
  ): Promise<t.TypeOf<typeof Message>>
  read(name: string, size?: number): Promise<t.TypeOf<typeof Got>>
  readExactly(name: string, size: number): Promise<t.TypeOf<typeof Got>>
  readToEnd(name: string): Promise<t.TypeOf<typeof Drained>>
  readByteByByte(name: string, size: number): Promise<t.TypeOf<typeof ByteByByte>>
  sendNumbered(name: string, count: number, every: number): Promise<unknown>
  receiveNumbered(name: string, count: number, every: number): Promise<t.TypeOf<typeof Numbered>>

  pour(name: string, size: number): Promise<t.TypeOf<typeof Poured>>
  take(name: string, size: number): Promise<t.TypeOf<typeof Drained>>
  /** Send until nothing was taken for `quietMs`: how many bytes that were. */
  fill(
    name: string,
    quietMs: number,
    options?: { chunk?: number; descriptor?: string; copies?: number },
  ): Promise<number>
  queued(name: string): Promise<number>

  connectMany(prefix: string, path: string, count: number): Promise<t.TypeOf<typeof Connected>>
  echoMany(prefix: string, count: number, waitMs: number): Promise<t.TypeOf<typeof Echoed>>
  /** How many of them the other side has ended. */
  closedMany(prefix: string): Promise<number>
  closeMany(prefix: string): Promise<unknown>
  /** Connect as soon as the connection before was ended, for so long: how many there were. */
  reconnect(path: string, forMs: number): Promise<number>
  openDescriptors(): Promise<number>

  /** Gone without a word, as in a crash. */
  kill(): Promise<void>
}

interface Waiting {
  readonly settle: (reply: Reply) => void
  readonly fail: (error: Error) => void
}

/** A program of `peers` and its answers. Whoever starts it kills it, or its container. */
export interface PeerProcess {
  readonly ask: <A>(
    codec: t.Type<A, unknown>,
    operation: string,
    options: object,
    patienceMs?: number,
  ) => Promise<A>
  /** Gone without a word, as in a crash. */
  readonly kill: () => Promise<void>
}

export const startPeerProcess = async (place: Place, program: string): Promise<PeerProcess> => {
  const child = place.spawn([PYTHON, '-S', '-B', `${place.peers}/${program}`])
  const waiting = new Map<number, Waiting>()
  let complaints = ''
  let ended = false
  let lastId = 0

  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString()
  })
  // A peer killed with its container leaves a pipe that nobody reads.
  child.stdin.on('error', () => undefined)
  child.on('exit', () => {
    ended = true
    for (const each of waiting.values())
      each.fail(new Error(`the peer in ${place.name} ended: ${complaints}`))
    waiting.clear()
  })
  createInterface({ input: child.stdout }).on('line', line => {
    const reply = Reply.decode(JSON.parse(line))
    if (E.isLeft(reply)) throw new Error(`the peer in ${place.name} said ${line}`)
    waiting.get(reply.right.id)?.settle(reply.right)
    waiting.delete(reply.right.id)
  })

  const request = (operation: string, options: object, patienceMs: number): Promise<Reply> =>
    new Promise((resolve, reject) => {
      if (ended) {
        reject(new Error(`the peer in ${place.name} is gone: ${complaints}`))
        return
      }
      lastId += 1
      const id = lastId
      const impatient = setTimeout(() => {
        waiting.delete(id)
        reject(new Error(`the peer in ${place.name} did not get done in ${patienceMs} ms: ${operation}`))
      }, patienceMs)
      const done =
        <A>(then: (value: A) => void) =>
        (value: A): void => {
          clearTimeout(impatient)
          then(value)
        }
      waiting.set(id, { settle: done(resolve), fail: done(reject) })
      child.stdin.write(`${JSON.stringify({ id, do: operation, with: options })}\n`)
    })

  const ask = async <A>(
    codec: t.Type<A, unknown>,
    operation: string,
    options: object,
    patienceMs = PATIENCE_MS,
  ): Promise<A> => {
    const reply = await request(operation, options, patienceMs)
    if ('errno' in reply) {
      throw new PeerRefused(reply.errno, `${operation} in ${place.name}: ${reply.errno} ${reply.message}`)
    }
    const answer = codec.decode(reply.ok)
    if (E.isLeft(answer)) throw new Error(`${operation} answered ${JSON.stringify(reply.ok)}`)
    return answer.right
  }

  // The first answer tells that Python is up.
  await ask(Nothing, 'ready', {})
  return {
    ask,
    // Not by a signal: in a container the child is nsenter, and Python would outlive it. It exits where its input ends.
    kill: async () => {
      child.stdin.destroy()
      await untilEnded(child)
    },
  }
}

export const startPeer = async (place: Place): Promise<Peer> =>
  peerOf(place, await startPeerProcess(place, 'peer.py'))

/** A program that has all operations of `peer.py`, and maybe others. */
export const peerOf = (place: Place, { ask, kill }: PeerProcess): Peer => ({
  place,
  listen: (name, path, options) => ask(Nothing, 'listen', { name, path, ...options }),
  serve: (listener, service, options) => ask(Nothing, 'serve', { listener, service, ...options }),
  servedBy: listener => ask(Served, 'served_by', { listener }),
  accept: (listener, name) => ask(Nothing, 'accept', { listener, name }),
  connect: (name, path, options) =>
    ask(Nothing, 'connect', { name, path, kind: options?.kind, send_buffer: options?.sendBuffer }),
  shutdown: (name, how) => ask(Nothing, 'shutdown', { name, how }),
  close: name => ask(Nothing, 'close', { name }),

  makeMemfds: async (prefix, count) => (await ask(Descriptors, 'make_memfds', { prefix, count })).descriptors,
  makePipe: (reader, writer) => ask(Nothing, 'make_pipe', { reader, writer }),
  makeSocketpair: (one, other) => ask(Nothing, 'make_socketpair', { one, other }),
  makeLingering: (name, seconds) => ask(Nothing, 'make_lingering', { name, seconds }),
  closeFiles: names => ask(Nothing, 'close_files', { names }),
  readFile: async (name, patienceMs) => (await ask(Text, 'read_file', { name }, patienceMs)).text,
  writeFile: (name, text) => ask(Nothing, 'write_file', { name, text }),

  send: (name, text, options) => ask(Nothing, 'send', { name, text, ...options }),
  sendUrgent: (name, text) => ask(Nothing, 'send_urgent', { name, text }),
  receiveMessage: (name, options) =>
    ask(Message, 'receive_message', {
      name,
      size: options?.size,
      room: options?.room,
      keep_as: options?.keepAs,
    }),
  read: (name, size) => ask(Got, 'read', { name, size }),
  readExactly: (name, size) => ask(Got, 'read_exactly', { name, size }),
  readToEnd: name => ask(Drained, 'read_to_end', { name }),
  readByteByByte: (name, size) => ask(ByteByByte, 'read_byte_by_byte', { name, size }),
  sendNumbered: (name, count, every) => ask(Nothing, 'send_numbered', { name, count, every }, 30_000),
  receiveNumbered: (name, count, every) => ask(Numbered, 'receive_numbered', { name, count, every }, 30_000),

  pour: (name, size) => ask(Poured, 'pour', { name, size }, 60_000),
  take: (name, size) => ask(Drained, 'take', { name, size }, 60_000),
  fill: async (name, quietMs, options) =>
    (await ask(Amount, 'fill', { name, quiet_ms: quietMs, ...options }, 30_000)).bytes,
  queued: async name => (await ask(Amount, 'queued', { name })).bytes,

  connectMany: (prefix, path, count) => ask(Connected, 'connect_many', { prefix, path, count }, 30_000),
  echoMany: (prefix, count, waitMs) =>
    ask(Echoed, 'echo_many', { prefix, count, patience_ms: waitMs }, waitMs + PATIENCE_MS),
  closedMany: async prefix => (await ask(Count, 'closed_many', { prefix })).count,
  reconnect: async (path, forMs) =>
    (await ask(Count, 'reconnect', { path, for_ms: forMs }, forMs + PATIENCE_MS)).count,
  closeMany: prefix => ask(Nothing, 'close_many', { prefix }),
  openDescriptors: async () => (await ask(Count, 'open_descriptors', {})).count,

  kill,
})
