/**
 * An interface filter on a stage: messages as a client and a bus would send them, each shown as a session shows it, with
 * no more of its body than the filter asked for.
 */
import assert from 'node:assert/strict'
import {
  type Answer,
  BUS_NAME,
  BUS_PATH,
  FLAG,
  MESSAGE_TYPE,
  type MessageHead,
  MOST_BODY_BYTES,
  type OwnCall,
  type TrackingJudge,
  type Verdict,
} from '../../plugins/dbus/contract.ts'
import { createFilter, type FilterOptions } from '../../plugins/dbus/filter/filter.ts'
import { wantedNameOf } from '../../plugins/dbus/filter/wanted-name.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import type { Side } from '../../src/relay/contract.ts'

export const ME = ':1.7'
export const SERVICE = 'org.example.Service'
export const OWNER = ':1.20'
export const STRANGER = ':1.30'
export const PROPERTIES = 'org.freedesktop.DBus.Properties'
export const OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager'
export const INTROSPECTABLE = 'org.freedesktop.DBus.Introspectable'
export const PEER = 'org.freedesktop.DBus.Peer'

export interface Message {
  readonly head: MessageHead
  readonly body: Uint8Array
}

export type Fields = Partial<MessageHead>

const EMPTY = new Uint8Array(0)

export const headOf = (fields: Fields): MessageHead => ({
  littleEndian: true,
  type: MESSAGE_TYPE.call,
  flags: 0,
  serial: 1,
  bodyBytes: 0,
  path: undefined,
  interface: undefined,
  member: undefined,
  errorName: undefined,
  replySerial: undefined,
  destination: undefined,
  sender: undefined,
  signature: '',
  unixFds: 0,
  ...fields,
})

// Bodies.

export interface Arguments {
  readonly signature: string
  readonly bytes: (littleEndian: boolean) => Uint8Array
}

const NO_ARGUMENTS: Arguments = { signature: '', bytes: () => EMPTY }

const uint32Bytes = (value: number, littleEndian: boolean): Buffer => {
  const bytes = Buffer.alloc(4)
  if (littleEndian) bytes.writeUInt32LE(value)
  else bytes.writeUInt32BE(value)
  return bytes
}

const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])

/** Without what would pad it to its next neighbour. */
const joined = (parts: readonly Buffer[]): Buffer =>
  parts.reduce((body, part) => Buffer.concat([padded(body), part]), Buffer.alloc(0))

const stringBytes = (text: string, littleEndian: boolean): Buffer => {
  const bytes = Buffer.from(text, 'latin1')
  return Buffer.concat([uint32Bytes(bytes.length, littleEndian), bytes, Buffer.from([0])])
}

export const strings = (...texts: readonly string[]): Arguments => ({
  signature: 's'.repeat(texts.length),
  bytes: littleEndian => joined(texts.map(text => stringBytes(text, littleEndian))),
})

export const uint32 = (value: number): Arguments => ({
  signature: 'u',
  bytes: littleEndian => uint32Bytes(value, littleEndian),
})

export const stringAndFlags = (text: string, flags = 0): Arguments => ({
  signature: 'su',
  bytes: littleEndian => joined([stringBytes(text, littleEndian), uint32Bytes(flags, littleEndian)]),
})

export const stringArray = (texts: readonly string[]): Arguments => ({
  signature: 'as',
  bytes: littleEndian => {
    const elements = joined(texts.map(text => stringBytes(text, littleEndian)))
    return Buffer.concat([uint32Bytes(elements.length, littleEndian), elements])
  },
})

// Messages.

export const message = (fields: Fields, args: Arguments = NO_ARGUMENTS): Message => {
  const body = args.bytes(fields.littleEndian ?? true)
  return { head: headOf({ signature: args.signature, bodyBytes: body.length, ...fields }), body }
}

export const call = (fields: Fields, args?: Arguments): Message =>
  message({ type: MESSAGE_TYPE.call, path: '/x', member: 'Do', ...fields }, args)

export const busCall = (member: string, args?: Arguments, fields: Fields = {}): Message =>
  call({ destination: BUS_NAME, path: BUS_PATH, interface: BUS_NAME, member, ...fields }, args)

export const signal = (fields: Fields, args?: Arguments): Message =>
  message({ type: MESSAGE_TYPE.signal, path: '/x', member: 'Done', ...fields }, args)

export const returned = (replySerial: number, fields: Fields = {}, args?: Arguments): Message =>
  message(
    { type: MESSAGE_TYPE.return, serial: 99, replySerial, destination: ME, sender: BUS_NAME, ...fields },
    args,
  )

export const failed = (replySerial: number, fields: Fields = {}): Message =>
  message(
    {
      type: MESSAGE_TYPE.error,
      serial: 99,
      replySerial,
      errorName: 'org.freedesktop.DBus.Error.Failed',
      destination: ME,
      sender: BUS_NAME,
      ...fields,
    },
    strings('no'),
  )

export const ownerChanged = (name: string, from: string, to: string, fields: Fields = {}): Message =>
  signal(
    { sender: BUS_NAME, path: BUS_PATH, interface: BUS_NAME, member: 'NameOwnerChanged', ...fields },
    strings(name, from, to),
  )

export const silent = ({ head, body }: Message): Message => ({
  head: { ...head, flags: head.flags | FLAG.noReplyExpected },
  body,
})

// The stage.

/** Unique name by well-known name. */
export type Names = Readonly<Record<string, string>>

export interface StageOptions {
  /** As a link's `interface` has it. */
  readonly wanted?: string
  readonly mayOwn?: (name: string) => boolean
  readonly limits?: FilterOptions['limits']
}

export class FilterStage {
  readonly filter: TrackingJudge
  /** Calls of the filter's own, in their order. */
  readonly ownCalls: OwnCall[] = []

  constructor({ wanted = SERVICE, mayOwn = () => false, limits = DEFAULT_LIMITS }: StageOptions = {}) {
    const name = wantedNameOf(wanted)
    assert.ok(name._tag === 'Right' && name.right !== null, `${wanted} is no name to filter for`)
    this.filter = createFilter({ wanted: name.right, mayOwn, limits })
  }

  /** The first steps, with a bus that has these names. */
  start(names: Names = { [SERVICE]: OWNER }): this {
    this.begin()
    for (let next = this.ownCalls.shift(); next !== undefined; next = this.ownCalls.shift()) {
      assert.deepEqual(this.fromBus(replyTo(next, names)), { kind: 'swallow' })
    }
    assert.ok(this.filter.ready)
    return this
  }

  /** Hello and its reply. */
  begin(): this {
    assert.equal(this.send(busCall('Hello')).kind, 'pass')
    assert.equal(this.fromBus(returned(1, {}, strings(ME))).kind, 'pass')
    this.ownCalls.push(...this.filter.begin(ME))
    return this
  }

  /** The client's. */
  send(sent: Message): Verdict {
    return this.#show('consumer', sent)
  }

  fromBus(sent: Message): Verdict {
    const verdict = this.#show('provider', sent)
    this.ownCalls.push(...this.filter.nextCalls())
    return verdict
  }

  #show(from: Side, { head, body }: Message): Verdict {
    const wanted = this.filter.bodyWanted(from, head)
    if (wanted === Number.POSITIVE_INFINITY) assert.ok(body.length <= MOST_BODY_BYTES)
    return this.filter.judge(from, head, body.subarray(0, Math.min(wanted, body.length)))
  }
}

/** As a bus with these names replies. */
export const replyTo = ({ serial, member, argument = '' }: OwnCall, names: Names): Message => {
  switch (member) {
    case 'ListNames':
      return returned(serial, {}, stringArray([BUS_NAME, ...Object.keys(names), ...Object.values(names)]))
    case 'GetNameOwner': {
      const owner = names[argument]
      return owner === undefined ? failed(serial) : returned(serial, {}, strings(owner))
    }
    default:
      return returned(serial)
  }
}

/** A verdict in a word or two: `deny dest`, `answer NameHasNoOwner`, `complete org.example.Service`. */
export const said = (verdict: Verdict): string => {
  switch (verdict.kind) {
    case 'drop':
    case 'deny':
      return `${verdict.kind} ${verdict.reason}`
    case 'answer':
      return `answer ${answered(verdict.answer)}`
    case 'complete':
      return `complete ${verdict.interface}`
    default:
      return verdict.kind
  }
}

const answered = (answer: Answer): string => {
  if ('error' in answer) return answer.error.replace('org.freedesktop.DBus.Error.', '')
  return 'boolean' in answer ? `${answer.boolean}` : `${answer.uint32}`
}
