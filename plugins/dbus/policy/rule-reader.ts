/**
 * An `<allow>` or `<deny>` element -> a rule, or why it is none. Pure.
 * The conditions are those of dbus-daemon 1.14, which refuses the whole file for each of them. Values are not checked further:
 * a rule for a name that no bus name can be is a rule that nothing matches.
 */
import { E } from '../../../src/fp.ts'
import { shown } from '../../../src/model/shown.ts'
import { MESSAGE_TYPE } from '../contract.ts'
import type { ConnectRule, Effect, Names, Origin, Rule } from './rules.ts'
import type { Element } from './xml.ts'

const SEND = [
  'send_interface',
  'send_member',
  'send_error',
  'send_destination',
  'send_destination_prefix',
  'send_path',
  'send_type',
  'send_requested_reply',
  'send_broadcast',
] as const

const RECEIVE = [
  'receive_interface',
  'receive_member',
  'receive_error',
  'receive_sender',
  'receive_path',
  'receive_type',
  'receive_requested_reply',
] as const

const ALONE = ['own', 'own_prefix', 'user', 'group'] as const
const MODIFIERS = ['eavesdrop', 'min_fds', 'max_fds'] as const

type Attribute =
  | (typeof SEND)[number]
  | (typeof RECEIVE)[number]
  | (typeof ALONE)[number]
  | (typeof MODIFIERS)[number]
  | 'log'

const KNOWN: ReadonlySet<string> = new Set<Attribute>([...SEND, ...RECEIVE, ...ALONE, ...MODIFIERS, 'log'])

const TYPES: ReadonlyMap<string, number> = new Map([
  ['method_call', MESSAGE_TYPE.call],
  ['method_return', MESSAGE_TYPE.return],
  ['error', MESSAGE_TYPE.error],
  ['signal', MESSAGE_TYPE.signal],
])

/** DBUS_MAXIMUM_MESSAGE_UNIX_FDS: the longest message, had it nothing but descriptors. */
const MOST_FDS = 2 ** 27 / 4

/** How dbus-daemon reads whole numbers: as strtol(3) with base 0, whatever follows. */
const INTEGER = /^[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)/

const integerOf = (text: string): number | undefined => {
  const [, sign = '', digits] = INTEGER.exec(text) ?? []
  if (digits === undefined) return undefined
  const isOctal = /^0[0-7]/.test(digits)
  const value = isOctal ? Number.parseInt(digits, 8) : Number(digits)
  return sign === '-' ? -value : value
}

/** A flaw, for whoever wrote the file. */
type Flaw = string

/** The attributes of one element, taken by name; the first flaw that is found in a value is kept. */
class Values {
  readonly #attributes: ReadonlyMap<string, string>
  flaw: Flaw | undefined

  constructor(attributes: ReadonlyMap<string, string>) {
    this.#attributes = attributes
  }

  has(name: Attribute): boolean {
    return this.#attributes.has(name)
  }

  count(names: readonly Attribute[]): number {
    return names.filter(name => this.has(name)).length
  }

  get(name: Attribute): string | undefined {
    return this.#attributes.get(name)
  }

  /** A condition: `*` is none. */
  pattern(name: Attribute): string | undefined {
    const value = this.get(name)
    return value === '*' ? undefined : value
  }

  type(name: Attribute): number | undefined {
    const value = this.pattern(name)
    if (value === undefined) return undefined
    const type = TYPES.get(value)
    if (type === undefined) this.#complain(name, value, [...TYPES.keys(), '*'].join(', '))
    return type
  }

  truth(name: Attribute): boolean | undefined {
    const value = this.get(name)
    if (value === undefined) return undefined
    if (value !== 'true' && value !== 'false') this.#complain(name, value, 'true or false')
    return value === 'true'
  }

  fds(name: 'min_fds' | 'max_fds', otherwise: number): number {
    const value = this.get(name)
    if (value === undefined) return otherwise
    const count = integerOf(value)
    if (count !== undefined && count >= 0 && count <= MOST_FDS) return count
    this.#complain(name, value, `a number from 0 to ${MOST_FDS}`)
    return otherwise
  }

  #complain(name: Attribute, value: string, expected: string): void {
    this.flaw ??= `${name} is ${shown(value)}, and takes ${expected}`
  }
}

/** What the attributes say together, before any value is looked at. */
const combinationFlaw = (values: Values): Flaw | undefined => {
  const sends = values.count(SEND) > 0
  const receives = values.count(RECEIVE) > 0
  const alone = values.count(ALONE)
  const ofMessages = sends || receives || values.count(MODIFIERS) > 0
  if (!sends && !receives && !values.has('eavesdrop') && alone === 0) {
    return 'it needs an attribute that says what it is about: send_…, receive_…, own, own_prefix, user or group'
  }
  for (const way of ['send', 'receive'] as const) {
    const pathless = !values.has(`${way}_interface`) && !values.has(`${way}_path`)
    if (values.has(`${way}_member`) && pathless) {
      return `${way}_member needs ${way}_interface or ${way}_path beside it`
    }
  }
  if (alone + (ofMessages ? 1 : 0) > 1) {
    return 'own, own_prefix, user, group and what is about messages exclude each other'
  }
  if (sends && receives) return 'send_… and receive_… exclude each other'
  for (const way of ['send', 'receive'] as const) {
    const named = values.has(`${way}_interface`) || values.has(`${way}_member`)
    if (values.has(`${way}_error`) && named) return `${way}_error excludes ${way}_interface and ${way}_member`
  }
  if (values.has('send_destination') && values.has('send_destination_prefix')) {
    return 'send_destination excludes send_destination_prefix'
  }
  if (values.get('send_broadcast') === 'true' && values.pattern('send_destination') !== undefined) {
    return 'send_broadcast="true" excludes send_destination: a broadcast has none'
  }
  return undefined
}

/** The user or group that an attribute names. Digits are an id, whether the accounts know it or not. */
export const idOf = (text: string, lookUp: (name: string) => number | undefined): number | undefined =>
  /^\d{1,10}$/.test(text) ? Number(text) : lookUp(text)

const whoOf = (values: Values, names: Names): ConnectRule['who'] => {
  const user = values.get('user')
  const text = user ?? values.get('group') ?? ''
  if (text === '*') return { kind: 'anybody' }
  const uid = user === undefined ? undefined : idOf(user, names.uidOf)
  if (uid !== undefined) return { kind: 'user', uid }
  const gid = user === undefined ? idOf(text, names.gidOf) : undefined
  return gid === undefined ? { kind: 'nobody' } : { kind: 'group', gid }
}

const messageConditions = (values: Values, way: 'send' | 'receive', effect: Effect) => ({
  type: values.type(`${way}_type`),
  path: values.pattern(`${way}_path`),
  interface: values.pattern(`${way}_interface`),
  member: values.pattern(`${way}_member`),
  errorName: values.pattern(`${way}_error`),
  // An allow is meant for replies that somebody waits for, a deny for those that nobody does.
  requestedReply: values.truth(`${way}_requested_reply`) ?? effect === 'allow',
  eavesdrop: values.truth('eavesdrop') ?? false,
  minFds: values.fds('min_fds', 0),
  maxFds: values.fds('max_fds', MOST_FDS),
})

const ruleFrom = (values: Values, effect: Effect, origin: Origin, names: Names): Rule => {
  if (values.count(SEND) > 0) {
    return {
      kind: 'send',
      effect,
      origin,
      ...messageConditions(values, 'send', effect),
      destination: values.pattern('send_destination'),
      destinationPrefix: values.get('send_destination_prefix'),
      broadcast: values.truth('send_broadcast'),
    }
  }
  if (values.has('own')) {
    return { kind: 'own', effect, origin, name: values.pattern('own'), prefix: false }
  }
  if (values.has('own_prefix')) {
    return { kind: 'own', effect, origin, name: values.get('own_prefix'), prefix: true }
  }
  if (values.has('user') || values.has('group')) {
    return { kind: 'connect', effect, origin, who: whoOf(values, names) }
  }
  const sender = values.pattern('receive_sender')
  return { kind: 'receive', effect, origin, ...messageConditions(values, 'receive', effect), sender }
}

/** The rule, or its flaw. */
export const readRule = (
  element: Element,
  effect: Effect,
  origin: Origin,
  names: Names,
): E.Either<Flaw, Rule> => {
  const unknown = [...element.attributes.keys()].find(name => !KNOWN.has(name))
  if (unknown !== undefined) return E.left(`it has no attribute ${shown(unknown)}`)
  const values = new Values(element.attributes)
  const flaw = combinationFlaw(values)
  if (flaw !== undefined) return E.left(flaw)
  const rule = ruleFrom(values, effect, origin, names)
  return values.flaw === undefined ? E.right(rule) : E.left(values.flaw)
}
