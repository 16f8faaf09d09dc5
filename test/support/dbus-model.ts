/**
 * A bus in a few lines, for one client: who owns what, which match rules the client's connection has, and what a call to the
 * bus does. Reads match rules as the real buses do, each in its own careless way, and tells of owners by those rules alone.
 */
import { BUS_NAME, BUS_PATH, FLAG, type OwnCall } from '../../plugins/dbus/contract.ts'
import {
  busCall,
  failed,
  ME,
  type Message,
  ownerChanged,
  returned,
  stringArray,
  strings,
  uint32,
} from './dbus-filter.ts'

/** Which bus it reads match rules like. */
export type Manner = 'dbus-daemon' | 'dbus-broker'

type Rule = ReadonlyMap<string, string>

/** `undefined`: no rule. */
const valueAt = (text: string, start: number): { value: string; end: number } | undefined => {
  let [value, quoted, at] = ['', false, start]
  for (; at < text.length; at += 1) {
    const character = text[at] ?? ''
    if (character === "'") quoted = !quoted
    else if (character === ',' && !quoted) return { value, end: at + 1 }
    else if (character === '\\' && !quoted && text[at + 1] === "'") {
      value += "'"
      at += 1
    } else value += character
  }
  return quoted ? undefined : { value, end: at }
}

const keyName = (key: string, manner: Manner): string => {
  const [, digits, rest = ''] = /^arg([-+0-9a-fx]*)(path|namespace)?$/.exec(key) ?? []
  if (digits === undefined || (manner === 'dbus-daemon' && digits === '')) return key
  return `arg${Number(digits)}${rest}`
}

/** As `bus/signals.c` of dbus-daemon and `bus/match.c` of dbus-broker go through the text. */
export const parsedRule = (text: string, manner: Manner): Rule | undefined => {
  const rule = new Map<string, string>()
  const before = manner === 'dbus-broker' ? /[ \t\n\r=]*/y : /[ \t\n\r]*/y
  const key = /([^ \t\n\r=]+)[ \t\n\r]*=/y
  let at = 0
  for (;;) {
    before.lastIndex = at
    at += before.exec(text)?.[0].length ?? 0
    if (at === text.length) return rule
    key.lastIndex = at
    const [all, name] = key.exec(text) ?? []
    if (all === undefined || name === undefined) return undefined
    const value = valueAt(text, at + all.length)
    const canonical = keyName(name, manner)
    if (value === undefined || rule.has(canonical)) return undefined
    at = value.end
    if (canonical !== 'eavesdrop' || value.value === 'true') rule.set(canonical, value.value)
    if (canonical === 'eavesdrop' && manner === 'dbus-broker') return undefined
  }
}

const areEqual = (one: Rule, other: Rule): boolean =>
  one.size === other.size && [...one].every(([key, value]) => other.get(key) === value)

const tellsOf = (rule: Rule, name: string): boolean =>
  [...rule].every(([key, value]) => {
    switch (key) {
      case 'type':
        return value === 'signal'
      case 'sender':
      case 'interface':
        return value === BUS_NAME
      case 'path':
        return value === BUS_PATH
      case 'member':
        return value === 'NameOwnerChanged'
      case 'arg0':
        return value === name
      case 'arg0namespace':
        return name === value || name.startsWith(`${value}.`)
      default:
        return false
    }
  })

const textIn = ({ head, body }: Message): string => {
  if (!head.signature.startsWith('s')) return ''
  const bytes = Buffer.from(body)
  const length = head.littleEndian ? bytes.readUInt32LE() : bytes.readUInt32BE()
  return bytes.toString('latin1', 4, 4 + length)
}

export class ModelBus {
  /** Well-known name -> unique name. */
  readonly owners = new Map<string, string>()
  readonly connections: Set<string>
  readonly #manner: Manner
  readonly #rules: Rule[] = []
  /** On their way to the client. */
  readonly #queue: Message[] = []

  constructor(manner: Manner, connections: readonly string[]) {
    this.#manner = manner
    this.connections = new Set([ME, ...connections])
  }

  /** What the client's connection is to be given now. */
  take(): readonly Message[] {
    return this.#queue.splice(0)
  }

  namesOf(unique: string): readonly string[] {
    return [...this.owners].filter(([, owner]) => owner === unique).map(([name]) => name)
  }

  /** `''`: nobody has it any more. */
  give(name: string, owner: string): void {
    const former = this.owners.get(name) ?? ''
    if (former === owner || (owner !== '' && !this.connections.has(owner))) return
    if (owner === '') this.owners.delete(name)
    else this.owners.set(name, owner)
    this.#tell(name, former, owner)
  }

  leave(unique: string): void {
    if (unique === ME || !this.connections.has(unique)) return
    for (const name of this.namesOf(unique)) this.give(name, '')
    this.connections.delete(unique)
    this.#tell(unique, unique, '')
  }

  receiveOwn({ serial, member, argument }: OwnCall): void {
    this.receive(busCall(member, argument === undefined ? undefined : strings(argument), { serial }))
  }

  /** A call to the bus that passed. It sends lists even where nobody wants a reply, as one of the buses does. */
  receive(sent: Message): void {
    const { flags, member } = sent.head
    const reply = this.#replyTo(sent)
    const wantsReply = (flags & FLAG.noReplyExpected) === 0
    if (wantsReply || member?.startsWith('List') === true) this.#queue.push(reply)
  }

  #replyTo(sent: Message): Message {
    const { serial, member } = sent.head
    const text = textIn(sent)
    switch (member) {
      case 'AddMatch':
        return this.#addRule(text) ? returned(serial) : failed(serial)
      case 'RemoveMatch':
        return this.#removeRule(text) ? returned(serial) : failed(serial)
      case 'RequestName': {
        const isFree = !this.owners.has(text)
        if (isFree) this.give(text, ME)
        return returned(serial, {}, uint32(isFree ? 1 : 3))
      }
      case 'ReleaseName': {
        const isMine = this.owners.get(text) === ME
        if (isMine) this.give(text, '')
        return returned(serial, {}, uint32(isMine ? 1 : 3))
      }
      case 'GetNameOwner': {
        const owner = this.connections.has(text) ? text : this.owners.get(text)
        return owner === undefined ? failed(serial) : returned(serial, {}, strings(owner))
      }
      case 'ListNames':
      case 'ListActivatableNames':
        return returned(serial, {}, stringArray([BUS_NAME, ...this.owners.keys(), ...this.connections]))
      default:
        return returned(serial)
    }
  }

  #addRule(text: string): boolean {
    const rule = parsedRule(text, this.#manner)
    if (rule !== undefined) this.#rules.push(rule)
    return rule !== undefined
  }

  #removeRule(text: string): boolean {
    const rule = parsedRule(text, this.#manner)
    const index = rule === undefined ? -1 : this.#rules.findIndex(other => areEqual(other, rule))
    if (index >= 0) this.#rules.splice(index, 1)
    return index >= 0
  }

  #tell(name: string, from: string, to: string): void {
    if (this.#rules.some(rule => tellsOf(rule, name))) this.#queue.push(ownerChanged(name, from, to))
  }
}
