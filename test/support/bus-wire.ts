/**
 * Clients of a bus that a test leads message by message (`peers/bus_wire.py`), on a link or on the bus itself. Messages are made and
 * read by `dbus-wire.ts`, so that nothing of what is tested takes part. Whatever is wrong with one is the test's own wish.
 */
import * as t from 'io-ts'
import { BUS_SOCKET, BUS_TARGET } from './bus.ts'
import type { Container } from './container.ts'
import {
  BUS,
  type Called,
  call,
  type Decoded,
  decode,
  type FieldName,
  fields,
  message,
  Writer,
} from './dbus-wire.ts'
import { type Peer, type PeerProcess, peerOf, startPeerProcess } from './peer.ts'

const PATIENCE_MS = 10_000

/** As sd-bus says it: all in one write. */
const HANDSHAKE = '\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n'
export const WITHOUT_DESCRIPTORS = '\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n'
/** What both buses say to the first, but for their guid. */
const ANSWERS = /^DATA\r\nOK [0-9a-f]{32}\r\n(?:AGREE_UNIX_FD\r\n)?/

const Nothing = t.type({})
const Came = t.type({ data: t.string, descriptors: t.array(t.string), end: t.union([t.string, t.null]) })

/** Arguments: a text is `s`, a number `u`, a list of texts `as`; bytes are `ay`. */
export type Argument = string | number | readonly string[] | Uint8Array

const signatureOf = (args: readonly Argument[]): string =>
  args
    .map(each => {
      if (typeof each === 'string') return 's'
      if (typeof each === 'number') return 'u'
      return each instanceof Uint8Array ? 'ay' : 'as'
    })
    .join('')

export const bodyOf = (littleEndian: boolean, args: readonly Argument[]): Buffer => {
  const writer = new Writer(littleEndian)
  for (const each of args) {
    if (typeof each === 'string') writer.pad(4).string(each)
    else if (typeof each === 'number') writer.uint32(each)
    else if (each instanceof Uint8Array) writer.uint32(each.length).raw(each)
    else {
      const list = new Writer(littleEndian)
      for (const text of each) list.pad(4).string(text)
      writer.uint32(list.length).raw(list.bytes())
    }
  }
  return writer.bytes()
}

/** The strings and numbers that a body begins with. */
export const argumentsOf = ({ named, body, littleEndian }: Decoded): readonly (string | number)[] => {
  const found: (string | number)[] = []
  let at = 0
  const uint32 = (): number => {
    at += -at & 3
    const value = littleEndian ? body.readUInt32LE(at) : body.readUInt32BE(at)
    at += 4
    return value
  }
  const text = (): string => {
    const length = uint32()
    at += length + 1
    return body.toString('latin1', at - length - 1, at - 1)
  }
  for (const type of String(named.signature ?? '')) {
    if (type === 's' || type === 'o') found.push(text())
    else if (type === 'u' || type === 'b') found.push(uint32())
    else break
  }
  return found
}

/** The texts of a body that is a list of them. */
export const listOf = ({ body, littleEndian }: Decoded): readonly string[] => {
  const uint32 = (at: number): number => (littleEndian ? body.readUInt32LE(at) : body.readUInt32BE(at))
  const found: string[] = []
  for (let at = 4; at < body.length; ) {
    at += -at & 3
    const length = uint32(at)
    found.push(body.toString('latin1', at + 4, at + 4 + length))
    at += 4 + length + 1
  }
  return found
}

export interface Asking extends Omit<Called, 'body' | 'signature'> {
  readonly args?: readonly Argument[]
}

const madeOf = ({ args = [], ...how }: Asking): Buffer =>
  args.length === 0
    ? call(how)
    : call({ ...how, signature: signatureOf(args), body: bodyOf(how.littleEndian ?? true, args) })

export interface Signalled {
  readonly littleEndian?: boolean
  readonly path?: string
  readonly interface: string
  readonly member: string
  readonly destination?: string
  readonly args?: readonly Argument[]
  readonly serial?: number
}

export const signalled = (how: Signalled): Buffer => {
  const { littleEndian = true, args = [] } = how
  const named: Partial<Record<FieldName, string | number>> = {
    path: how.path ?? '/org/example/Object',
    interface: how.interface,
    member: how.member,
  }
  if (how.destination !== undefined) named.destination = how.destination
  if (args.length > 0) named.signature = signatureOf(args)
  return message({
    littleEndian,
    type: 4,
    serial: how.serial ?? 77,
    fields: fields(named),
    body: bodyOf(littleEndian, args),
  })
}

/** The beginning of a call of one long text, up to where so many bytes of its body are to follow. */
export const bulky = (
  { destination = '', path = '/', interface: of = '', member = '' }: Asking,
  size: number,
  serial: number,
): Buffer =>
  message({
    serial,
    fields: fields({ path, interface: of, member, destination, signature: 'ay' }),
    bodyLength: size,
  })

/** A call to the bus itself. */
export const toBus = (member: string, ...args: readonly Argument[]): Asking => ({
  destination: BUS,
  path: '/org/freedesktop/DBus',
  interface: BUS,
  member,
  args,
})

export interface PutOptions {
  /** By the names that the peer has for them. */
  readonly descriptors?: readonly string[]
  readonly zeros?: number
  /** So many bytes at a time. */
  readonly piece?: number
}

/** `undefined`: not all of a message is there. */
const firstMessage = (bytes: Buffer): { message: Decoded; length: number } | undefined => {
  const decoded = decode(bytes)
  if (decoded === 'bad') throw new Error(`no message: ${bytes.subarray(0, 64).toString('latin1')}`)
  if (decoded === 'more' || decoded.body.length < decoded.bodyBytes) return undefined
  return { message: decoded, length: decoded.headerBytes + decoded.bodyBytes }
}

export class BusClient {
  readonly #process: PeerProcess
  readonly #id: string
  #unread = Buffer.alloc(0)
  readonly #inbox: Decoded[] = []
  #serial = 1
  /** How it ended; `undefined`: it is open, as far as anything was read. */
  #end: string | undefined
  /** What the descriptors held that have come, in their order. */
  readonly descriptors: string[] = []
  /** Its unique name, once it has one. */
  name = ''

  constructor(process: PeerProcess, id: string) {
    this.#process = process
    this.#id = id
  }

  nextSerial(): number {
    this.#serial += 1
    return this.#serial
  }

  put(bytes: string | Uint8Array, options: PutOptions = {}): Promise<unknown> {
    const data = Buffer.from(bytes).toString('base64')
    return this.#process.ask(Nothing, 'put', { name: this.#id, data, ...options })
  }

  /** Whatever comes next is read; whether something came. */
  async #more(patienceMs = PATIENCE_MS): Promise<boolean> {
    if (this.#end !== undefined) throw new Error(`it was closed: ${this.#end}`)
    const ask = { name: this.#id, patience_ms: patienceMs }
    const { data, descriptors, end } = await this.#process.ask(Came, 'come', ask, 2 * PATIENCE_MS)
    this.#unread = Buffer.concat([this.#unread, Buffer.from(data, 'base64')])
    this.descriptors.push(...descriptors)
    if (end !== null) this.#end = end
    return data !== '' || end !== null
  }

  /** What has come before the messages, up to so many lines. */
  async lines(count: number): Promise<readonly string[]> {
    const said = (): string[] => this.#unread.toString('latin1').split('\r\n')
    while (said().length <= count && (await this.#more()));
    const lines = said().slice(0, count)
    this.#unread = this.#unread.subarray(lines.join('\r\n').length + 2)
    return lines
  }

  /** All that comes until it is closed from the other side, as text. */
  async toEnd(): Promise<string> {
    while (this.#end === undefined) if (!(await this.#more())) throw new Error('it is not closed')
    return this.#unread.toString('latin1')
  }

  async begin(handshake = HANDSHAKE): Promise<this> {
    await this.put(handshake)
    await this.hasBegun(handshake.includes('NEGOTIATE') ? 3 : 2)
    return this
  }

  /** Its answers are read, all of them. */
  async hasBegun(count = 3): Promise<void> {
    const said = `${(await this.lines(count)).join('\r\n')}\r\n`
    if (!ANSWERS.test(said)) throw new Error(`the bus answers ${said}`)
  }

  async hello(): Promise<this> {
    await this.put(madeOf({ ...toBus('Hello'), serial: 1 }))
    this.name = String(argumentsOf(await this.replyTo(1))[0])
    return this
  }

  /** The next one that this is true of; those before it stay, to be taken later. */
  async next(what: string, isIt: (message: Decoded) => boolean): Promise<Decoded> {
    for (let looked = 0; ; ) {
      for (; looked < this.#inbox.length; looked += 1) {
        const each = this.#inbox[looked]
        if (each !== undefined && isIt(each)) {
          this.#inbox.splice(looked, 1)
          return each
        }
      }
      if (!this.#take() && !(await this.#more())) throw new Error(`${what} does not come`)
    }
  }

  /** What is whole goes to the inbox; whether something did. */
  #take(): boolean {
    const first = firstMessage(this.#unread)
    if (first === undefined) return false
    // A copy: alignment is counted from a message's beginning, and what is kept should not keep the rest.
    this.#unread = Buffer.from(this.#unread.subarray(first.length))
    this.#inbox.push(first.message)
    return true
  }

  replyTo(serial: number): Promise<Decoded> {
    return this.next(`a reply to ${serial}`, ({ named }) => named.replySerial === serial)
  }

  /** Its serial. */
  async send(how: Asking, options: PutOptions = {}): Promise<number> {
    const serial = how.serial ?? this.nextSerial()
    await this.put(madeOf({ ...how, serial }), options)
    return serial
  }

  async ask(how: Asking, options: PutOptions = {}): Promise<Decoded> {
    return this.replyTo(await this.send(how, options))
  }

  /** The arguments of a return, or the name of an error. */
  async outcome(how: Asking, options: PutOptions = {}): Promise<readonly (string | number)[] | string> {
    const reply = await this.ask(how, options)
    return reply.type === 3 ? String(reply.named.errorName) : argumentsOf(reply)
  }

  /**
   * What has come until now and was not taken, without what the bus says of names of its own accord to the client. All that the
   * bus was given before, by anybody, is among it.
   */
  async settled(): Promise<readonly Decoded[]> {
    await this.ask(toBus('GetId'))
    return this.#inbox.splice(0)
  }

  /** Each as `interface.member`, or `reply to serial`. */
  async heard(): Promise<readonly string[]> {
    return (await this.settled()).map(({ named }) =>
      named.member === undefined
        ? `reply to ${named.replySerial}`
        : `${named.interface ?? ''}.${named.member}`,
    )
  }

  close(): Promise<unknown> {
    return this.#process.ask(Nothing, 'close', { name: this.#id })
  }
}

/** As many clients as a test wants, in one container. It ends with its container. */
export interface Wire {
  readonly peer: Peer
  /** Connected, and nothing said. */
  connect(path?: string): Promise<BusClient>
  /** Past BEGIN. */
  begun(path?: string, handshake?: string): Promise<BusClient>
  /** It has its unique name, and what the bus says of it is taken. */
  client(path?: string): Promise<BusClient>
  /** Gone without a word. */
  kill(): Promise<void>
}

const wireIn = async (place: Container, usual: string): Promise<Wire> => {
  const process = await startPeerProcess(place, 'bus_wire.py')
  const peer = peerOf(place, process)
  let count = 0
  const connect = async (path = usual): Promise<BusClient> => {
    count += 1
    const id = `bus${count}`
    await peer.connect(id, path)
    return new BusClient(process, id)
  }
  const begun: Wire['begun'] = async (path, handshake) => (await connect(path)).begin(handshake)
  return {
    peer,
    connect,
    begun,
    client: async path => {
      const client = await (await begun(path)).hello()
      await client.next('its name', ({ named }) => named.member === 'NameAcquired')
      return client
    },
    kill: process.kill,
  }
}

/** In a consumer, on its link. */
export const consumerWire = (app: Container): Promise<Wire> => wireIn(app, BUS_TARGET)

/** In the provider, on the bus itself, as root. */
export const providerWire = (svc: Container): Promise<Wire> => wireIn(svc, BUS_SOCKET)
