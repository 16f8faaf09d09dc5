/**
 * The conversation of an observer with the bus: who owns which name, now and from now on. Pure.
 *
 *   AUTH EXTERNAL … ─▶ OK, BEGIN ─▶ Hello ─▶ AddMatch, ListNames ─▶ GetNameOwner for each well-known name ─▶ synced
 *
 * The bus answers and signals in the order in which things happen on it, so what comes last is true, whichever it is.
 * What it says is the provider's text: it is bounded, and a message that is none ends the connection.
 */
import type { ByteView, Commands, Session, SessionInput } from '../../../src/relay/contract.ts'
import { BUS_NAME, MESSAGE_TYPE, MOST_BODY_BYTES, type OwnCall } from '../contract.ts'
import { MessageReader } from '../message-reader.ts'
import { ownCall } from '../message-writer.ts'
import { CLIENT_SAYS, SaslClient } from '../sasl-client.ts'
import { LINE_END_BYTES, lineEndIn } from '../sasl-lines.ts'
import { stringsOf } from './bodies.ts'
import type { NameOwners } from './name-owners.ts'

const CHANGED = 'NameOwnerChanged'
const RULE = `type='signal',sender='${BUS_NAME}',path='/org/freedesktop/DBus',interface='${BUS_NAME}',member='${CHANGED}'`

/** Calls that are on their way at once. */
const MOST_CALLS = 64
const MOST_LINE_BYTES = 4096
const MOST_FIELD_BYTES = 64 * 1024
const MOST_MESSAGE_BYTES = MOST_BODY_BYTES + MOST_FIELD_BYTES

/** Then clients go on without it; it goes on too, and may still get there. */
const SYNC_MS = 2000

const NOTHING = new Uint8Array(0)

export interface ObserverEvents {
  /** Names are known, or take too long. Told once. */
  settled(): void
}

export class ObserverSession implements Session {
  readonly #names: NameOwners
  readonly #events: ObserverEvents
  readonly #sasl = new SaslClient()
  readonly #reader = new MessageReader(MOST_FIELD_BYTES)
  #phase: 'line' | 'messages' | 'over' = 'line'
  /** What came and was not whole. */
  #held: Uint8Array = NOTHING
  /** Of a message that is too long to be of any use. */
  #skipped = 0
  #serial = 0
  /** What is done with the reply to each call. */
  readonly #awaited = new Map<number, (strings: readonly string[] | undefined, out: Commands) => void>()
  #asking: string[] = []
  #settled = false

  constructor(names: NameOwners, events: ObserverEvents) {
    this.#names = names
    this.#events = events
  }

  on(input: SessionInput, out: Commands): void {
    switch (input.kind) {
      case 'opened':
        out.setTimer('sync', SYNC_MS)
        out.dial('role')
        return
      case 'dialled':
        if (input.failed !== undefined || input.as === undefined) this.#end(out)
        else out.send('provider', [CLIENT_SAYS.auth(input.as.uid)], 0)
        return
      case 'bytes':
        if (input.from === 'provider') this.#hold(input.view)
        out.drop(input.from, input.view.length, input.fds.count)
        this.#read(out)
        return
      case 'timer':
        this.#settle()
        return
      case 'ended':
      case 'broken':
      case 'withdrawn':
        this.#end(out)
        return
      case 'drained':
      case 'woken':
      case 'linger-over':
        return
    }
  }

  #end(out: Commands): void {
    this.#phase = 'over'
    this.#settle()
    out.close('now')
  }

  #settle(): void {
    if (this.#settled) return
    this.#settled = true
    this.#events.settled()
  }

  /** It is copied: there is little of it, and what is shown is good for this call only. */
  #hold(view: ByteView): void {
    const passed = Math.min(this.#skipped, view.length)
    this.#skipped -= passed
    const held = new Uint8Array(this.#held.length + view.length - passed)
    held.set(this.#held)
    held.set(view.subarray(passed), this.#held.length)
    this.#held = held
  }

  #read(out: Commands): void {
    let at = 0
    for (;;) {
      const taken = this.#phase === 'line' ? this.#readLine(at, out) : this.#readMessage(at, out)
      if (taken === 0 || this.#phase === 'over') break
      at += taken
    }
    this.#held = this.#phase === 'over' ? NOTHING : this.#held.slice(at)
  }

  /** How many bytes it has; 0: it is not whole. */
  #readLine(at: number, out: Commands): number {
    const end = lineEndIn(this.#held, at)
    if (end < 0) {
      if (this.#held.length - at > MOST_LINE_BYTES) this.#end(out)
      return 0
    }
    if (this.#sasl.read(this.#held, at, end) !== 'ok') {
      this.#end(out)
      return 0
    }
    this.#phase = 'messages'
    out.send('provider', [CLIENT_SAYS.begin], 0)
    this.#call(out, { member: 'Hello' }, () => this.#ask(out))
    return end + LINE_END_BYTES - at
  }

  #readMessage(at: number, out: Commands): number {
    const found = this.#reader.read(this.#held, at)
    if (found === 'more') return 0
    if (found !== 'whole') {
      this.#end(out)
      return 0
    }
    const { totalBytes, headerBytes } = this.#reader
    const there = this.#held.length - at
    if (totalBytes > MOST_MESSAGE_BYTES) {
      this.#skipped = Math.max(0, totalBytes - there)
      this.#take(NOTHING, out)
      return Math.min(there, totalBytes)
    }
    if (there < totalBytes) return 0
    this.#take(this.#held.subarray(at + headerBytes, at + totalBytes), out)
    return totalBytes
  }

  #take(body: ByteView, out: Commands): void {
    const { type, sender, member, replySerial, signature, littleEndian } = this.#reader
    if (sender !== BUS_NAME) return
    if (type === MESSAGE_TYPE.signal) {
      const [name, , owner] = member === CHANGED ? (stringsOf(signature, body, littleEndian) ?? []) : []
      if (name !== undefined && owner !== undefined) this.#set(name, owner, out)
      return
    }
    const done = replySerial === undefined ? undefined : this.#awaited.get(replySerial)
    if (replySerial === undefined || done === undefined) return
    this.#awaited.delete(replySerial)
    done(type === MESSAGE_TYPE.return ? stringsOf(signature, body, littleEndian) : undefined, out)
  }

  #set(name: string, owner: string, out: Commands): void {
    this.#names.set(name, owner)
    if (this.#names.isFull) this.#end(out)
  }

  #call(
    out: Commands,
    call: Omit<OwnCall, 'serial'>,
    done: (strings: readonly string[] | undefined, out: Commands) => void,
  ): void {
    this.#serial += 1
    this.#awaited.set(this.#serial, done)
    out.send('provider', [ownCall({ ...call, serial: this.#serial })], 0)
  }

  /** The rule first: what happens after it is told, what happened before is in the list. */
  #ask(out: Commands): void {
    this.#call(out, { member: 'AddMatch', argument: RULE }, (strings, now) => {
      if (strings === undefined) this.#end(now)
    })
    this.#call(out, { member: 'ListNames' }, (names, now) => {
      if (names === undefined) this.#end(now)
      else this.#takeNames(names, now)
    })
  }

  #takeNames(names: readonly string[], out: Commands): void {
    for (const name of names) {
      if (this.#phase === 'over') return
      if (name.startsWith(':')) this.#set(name, name, out)
      else if (name !== BUS_NAME) this.#asking.push(name)
    }
    this.#askOwners(out)
  }

  #askOwners(out: Commands): void {
    while (this.#awaited.size < MOST_CALLS) {
      const name = this.#asking.pop()
      if (name === undefined) break
      this.#call(out, { member: 'GetNameOwner', argument: name }, (owner, now) => {
        // An error says that it has none any more.
        this.#set(name, owner?.[0] ?? '', now)
        this.#askOwners(now)
      })
    }
    if (this.#phase === 'over' || this.#awaited.size > 0) return
    out.clearTimer('sync')
    this.#names.sync()
    this.#settle()
  }
}
