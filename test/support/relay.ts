/**
 * A connection's two outer ends in the hands of a test: it speaks as the consumer and as the provider, over real
 * sockets and the real reactor, and the relay works in between. Waits are for conditions, one turn of the loop at a time.
 */
import { E } from '../../src/fp.ts'
import { Io } from '../../src/kernel/errno.ts'
import type { BorrowedFd, OwnedFd } from '../../src/kernel/fd.ts'
import {
  addCopy,
  addInput,
  beginParts,
  growInput,
  inputBytes,
  nextPacketBytes,
  received,
  receivePlain,
  receiveWithRights,
  sendPartsTo,
  shrinkInput,
  stageInput,
} from '../../src/kernel/message.ts'
import { endWriting, openSocketPair, receiveCredentials } from '../../src/kernel/socket.ts'
import { PipePool } from '../../src/kernel/splice.ts'
import type { Clock } from '../../src/model/clock.ts'
import { DEFAULT_LIMITS, type Limits } from '../../src/model/limits.ts'
import type { Reactor } from '../../src/reactor/contract.ts'
import { createReactor } from '../../src/reactor/reactor.ts'
import { Connection } from '../../src/relay/connection.ts'
import type { DialError, SessionFactory } from '../../src/relay/contract.ts'
import { createCounters } from '../../src/relay/counters.ts'
import { HeldDescriptors, sharesOf } from '../../src/relay/descriptor-reserve.ts'
import type { Flow } from '../../src/relay/flow.ts'
import { PacketFlow, StreamFlow } from '../../src/relay/plain-flow.ts'
import type { Descriptors, DialAs, DialDone, Dialer, LinkTraffic } from '../../src/relay/ports.ts'
import { SessionFlow } from '../../src/relay/session-flow.ts'
import type { SocketKind } from '../../src/toolbox/contract.ts'
import { must } from './descriptors.ts'
import { fakeLog } from './fakes.ts'

const PATIENCE_MS = 5000

/** One turn of Node's loop: the reactor has looked at its descriptors once. */
export const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** Turn the loop until `holds`; throws after the deadline, saying what was waited for. */
export const until = async (what: string, holds: () => boolean, deadlineMs = PATIENCE_MS): Promise<void> => {
  const deadline = Date.now() + deadlineMs
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`)
    await turn()
  }
}

/** Enough turns for the relay to do all that it can do without help. */
export const quiet = async (turns = 50): Promise<void> => {
  for (let i = 0; i < turns; i += 1) await turn()
}

export interface Message {
  readonly bytes: Buffer
  /** Whoever asked for the message closes them. */
  readonly fds: readonly number[]
}

/** A test's own end of a socket. */
export class Wire {
  readonly #fd: OwnedFd

  constructor(fd: OwnedFd) {
    this.#fd = fd
  }

  get fd(): BorrowedFd {
    return this.#fd.borrowed
  }

  /** One sendmsg: how many bytes were taken, or an `Io` failure. At most 256 KiB. */
  send(bytes: Uint8Array | string, fds: readonly number[] = []): number {
    beginParts()
    if (!addCopy(typeof bytes === 'string' ? Buffer.from(bytes) : bytes))
      throw new Error('too long for one send')
    return sendPartsTo(this.fd, fds)
  }

  /** One packet of any size, as far as the socket's send buffer allows. */
  sendLarge(bytes: Uint8Array): number {
    stageInput(bytes)
    beginParts()
    addInput(0, bytes.length)
    const n = sendPartsTo(this.fd, [])
    shrinkInput()
    return n
  }

  /** All of it, however often the socket says to wait. */
  async sendAll(bytes: Uint8Array | string, fds: readonly number[] = []): Promise<void> {
    let rest = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
    let left = fds
    let deadline = Date.now() + PATIENCE_MS
    while (rest.length > 0) {
      const n = this.send(rest.subarray(0, 128 * 1024), left)
      if (n > 0) {
        rest = rest.subarray(n)
        left = []
        deadline = Date.now() + PATIENCE_MS
      } else if ((n === Io.again || n === Io.busy) && Date.now() < deadline) await turn()
      else throw new Error(`send failed: ${n}`)
    }
  }

  /** Send until nothing is taken over many turns of the loop; how many bytes that were. */
  async fill(piece: Uint8Array): Promise<number> {
    let sent = 0
    for (let idle = 0; idle < 50; ) {
      const n = this.send(piece)
      if (n > 0) {
        sent += n
        idle = 0
      } else {
        idle += 1
        await turn()
      }
    }
    return sent
  }

  /** One recvmsg of at most `room` bytes; empty bytes are the end of a stream; else an `Io` failure. */
  receive(room = 64 * 1024): Message | number {
    const n = receiveWithRights(this.fd, 0, room)
    if (n < 0) return n
    return {
      bytes: Buffer.from(inputBytes().subarray(0, n)),
      fds: [...received.fds.subarray(0, received.fdCount)],
    }
  }

  /** The next message, or at the end of the stream an empty one. */
  async next(room = 64 * 1024): Promise<Message> {
    for (let deadline = Date.now() + PATIENCE_MS; ; ) {
      const message = this.receive(room)
      if (typeof message !== 'number') return message
      if (message !== Io.again) throw new Error(`receive failed: ${message}`)
      if (Date.now() > deadline) throw new Error('nothing came')
      await turn()
    }
  }

  /** The next packet whole, of whatever size; `undefined` at the end. */
  async nextPacket(): Promise<Message | undefined> {
    await until('a packet comes', () => nextPacketBytes(this.fd) !== Io.again)
    growInput(nextPacketBytes(this.fd) + 1)
    const n = receiveWithRights(this.fd, 0, inputBytes().length)
    if (n < 0) throw new Error(`receive failed: ${n}`)
    const message = {
      bytes: Buffer.from(inputBytes().subarray(0, n)),
      fds: [...received.fds.subarray(0, received.fdCount)],
    }
    const ended = n === 0 && !received.credentialed
    shrinkInput()
    return ended ? undefined : message
  }

  /** This many bytes; descriptors would be lost. */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = []
    let deadline = Date.now() + PATIENCE_MS
    for (let left = length; left > 0; ) {
      const n = receivePlain(this.fd, 0, Math.min(left, 256 * 1024))
      if (n === 0) throw new Error(`the stream ended ${left} bytes early`)
      if (n > 0) {
        parts.push(Buffer.from(inputBytes().subarray(0, n)))
        left -= n
        deadline = Date.now() + PATIENCE_MS
      } else if (n === Io.again && Date.now() < deadline) await turn()
      else throw new Error(`receive failed: ${n}`)
    }
    return Buffer.concat(parts)
  }

  /** Everything up to the end. */
  async toEnd(): Promise<Buffer> {
    const parts: Buffer[] = []
    for (;;) {
      const { bytes, fds } = await this.next()
      if (fds.length > 0) throw new Error('descriptors came unexpected')
      if (bytes.length === 0) return Buffer.concat(parts)
      parts.push(bytes)
    }
  }

  /** Nothing can be read, and it has not ended. */
  get silent(): boolean {
    return receivePlain(this.fd, 0, 1) === Io.again
  }

  endWriting(): void {
    endWriting(this.fd)
  }

  close(): void {
    this.#fd.close()
  }
}

interface Call {
  readonly as: DialAs
  readonly kind: SocketKind
  readonly done: DialDone
}

/** A provider that answers when it is told to, or at once. */
class FakeDialer implements Dialer {
  /** The provider's ends of what has been dialled, in order. */
  readonly wires: Wire[] = []
  readonly waiting: Call[] = []
  readonly identities: DialAs[] = []
  cancelled = 0
  #patient: boolean

  constructor(patient: boolean) {
    this.#patient = patient
  }

  dial(as: DialAs, kind: SocketKind, done: DialDone) {
    const call: Call = { as, kind, done }
    this.identities.push(as)
    this.waiting.push(call)
    if (!this.#patient) this.answer()
    return () => {
      this.cancelled += 1
      this.waiting.splice(this.waiting.indexOf(call), 1)
    }
  }

  /** The provider accepts whoever waits longest. */
  answer(): Wire {
    const call = this.waiting.shift()
    if (call === undefined) throw new Error('nobody dials')
    const [ours, theirs] = pairOf(call.kind)
    this.wires.push(theirs)
    call.done(ours)
    return theirs
  }

  fail(error: DialError): void {
    const call = this.waiting.shift()
    if (call === undefined) throw new Error('nobody dials')
    call.done(error)
  }
}

/** The relay's end, and the test's. */
export const pairOf = (kind: SocketKind): readonly [OwnedFd, Wire] => {
  const [ours, theirs] = must(openSocketPair(kind))
  if (kind === 'seqpacket') for (const end of [ours, theirs]) receiveCredentials(end.borrowed)
  return [ours, new Wire(theirs)]
}

export interface RelayOptions {
  readonly kind?: SocketKind
  readonly descriptors?: Descriptors
  readonly session?: SessionFactory
  readonly lingerMs?: number
  readonly maxConnections?: number
  readonly closesBeyond?: number
  readonly totalConnections?: number
  readonly limits?: Partial<Limits>
  /** The provider answers only when the test says so. */
  readonly patient?: boolean
  readonly clock?: Clock
}

export interface Opened {
  readonly connection: Connection
  readonly consumer: Wire
  /** Throws where the provider has not been reached yet. */
  readonly provider: Wire
}

export interface TestRelay {
  readonly reactor: Reactor
  readonly traffic: LinkTraffic
  readonly dialer: FakeDialer
  readonly log: ReturnType<typeof fakeLog>
  /** What handlers and timers threw. */
  readonly faults: unknown[]
  readonly open: Set<Connection>
  connect(): Opened
  /** Closes everything: the connections, the test's ends, the reactor. */
  close(): void
}

export const startRelay = (options: RelayOptions = {}): TestRelay => {
  const faults: unknown[] = []
  const created = createReactor(
    error => faults.push(error),
    ...(options.clock === undefined ? [] : [options.clock]),
  )
  if (E.isLeft(created)) throw new Error(JSON.stringify(created.left))
  const reactor = created.right
  const dialer = new FakeDialer(options.patient === true)
  const log = fakeLog()
  const open = new Set<Connection>()
  const wires: Wire[] = []
  const kind = options.kind ?? 'stream'
  const pipes = new PipePool(4)
  const held = HeldDescriptors.ofAll(sharesOf({ ...DEFAULT_LIMITS, ...options.limits }))
  const traffic: LinkTraffic = {
    plane: {
      reactor,
      pipes,
      held,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      connections: { limit: options.totalConnections ?? 8192, open: 0, waiting: new Set() },
    },
    kind,
    descriptors: options.descriptors ?? 'exact',
    session: options.session,
    introduction: undefined,
    dialer,
    counters: createCounters(log),
    held: held.ofLink(),
    log,
    lingerMs: options.lingerMs ?? 60_000,
    maxConnections: options.maxConnections ?? 1024,
    closesBeyond: options.closesBeyond,
  }
  const flowFor = (connection: Connection): Flow => {
    if (options.session !== undefined) return new SessionFlow(connection, options.session)
    return kind === 'stream' ? new StreamFlow(connection) : new PacketFlow(connection)
  }
  return {
    reactor,
    traffic,
    dialer,
    log,
    faults,
    open,
    connect: () => {
      const [ours, consumer] = pairOf(kind)
      wires.push(consumer)
      const at = dialer.wires.length
      const connection = new Connection(traffic, ours, flowFor, ended => open.delete(ended))
      open.add(connection)
      connection.start()
      return {
        connection,
        consumer,
        get provider() {
          const wire = dialer.wires[at]
          if (wire === undefined) throw new Error('the provider has not been reached')
          return wire
        },
      }
    },
    close: () => {
      for (const connection of [...open]) connection.close()
      for (const wire of [...wires, ...dialer.wires]) wire.close()
      pipes.close()
      reactor.close()
    },
  }
}

/** Run a test with a relay, and close it whatever happens. A fault nobody asked for fails the test. */
export const withRelay = async (
  options: RelayOptions,
  test: (relay: TestRelay) => Promise<void>,
): Promise<void> => {
  const relay = startRelay(options)
  try {
    await test(relay)
    const [fault] = relay.faults
    if (fault !== undefined) throw fault
  } finally {
    relay.close()
  }
}

/** Bytes that show where they came from: every position differs from its neighbours, with a long period. */
export const pattern = (length: number, seed = 0): Buffer => {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i += 1) bytes[i] = (i * 31 + (i >> 8) * 7 + (i >> 16) * 13 + seed) & 0xff
  return bytes
}
