/**
 * Policies and messages made from a seed, out of so few words that rules and messages meet.
 * What is left out is what dbus-daemon treats in a way of its own: a rule that has nothing but modifiers makes it drop all rules
 * of that kind before it. That only ever denies more, and is tested by itself.
 */
import type { Random } from '../../../support/random.ts'

/** Users that every Debian has, so that the bus knows them. */
export interface PartyUser {
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
}

export const USERS: readonly PartyUser[] = [
  { uid: 0, gid: 0, groups: [0] },
  { uid: 1, gid: 1, groups: [1, 29] },
  { uid: 2, gid: 2, groups: [2, 29, 44] },
]

/** What the third of them has, nobody else asks for. */
export const NAMES: readonly (readonly string[])[] = [
  ['com.a.A', 'com.a.A.Below'],
  ['com.a.Another', 'com.b.B'],
  ['com.b.B.Below.Deep', 'com.c.C'],
]

const EVERY_NAME = NAMES.flat()
const PREFIXES = ['com.a', 'com.a.A', 'com.b.B', 'com.b.B.Below', 'com', 'com.a.An'] as const
const INTERFACES = ['com.a.I', 'com.a.J', 'com.b.I'] as const
const MEMBERS = ['M', 'N'] as const
const PATHS = ['/test/p', '/test/q'] as const
const TYPES = ['method_call', 'signal', 'error', 'method_return', '*'] as const

export const BUS = 'org.freedesktop.DBus'

type Attributes = [string, string][]

const conditions = (random: Random, way: 'send' | 'receive'): Attributes => {
  const found: Attributes = []
  const maybe = (probability: number, name: string, value: () => string): void => {
    if (random.chance(probability)) found.push([`${way}_${name}`, value()])
  }
  maybe(0.3, 'type', () => random.pick(TYPES))
  maybe(0.25, 'path', () => random.pick([...PATHS, '*']))
  maybe(0.35, 'interface', () => random.pick([...INTERFACES, '*']))
  const isPlaced = found.some(([name]) => name.endsWith('_interface') || name.endsWith('_path'))
  if (isPlaced) maybe(0.3, 'member', () => random.pick([...MEMBERS, '*']))
  else maybe(0.05, 'error', () => 'com.a.Error')
  const name = () => random.pick([BUS, '*', 'com.nobody.Here', ...EVERY_NAME])
  if (way === 'receive') maybe(0.4, 'sender', name)
  else if (random.chance(0.2)) found.push(['send_destination_prefix', random.pick(PREFIXES)])
  else maybe(0.5, 'destination', name)
  maybe(0.1, 'requested_reply', () => random.pick(['true', 'false']))
  return found
}

const isSpecific = ([name, value]: readonly [string, string]): boolean =>
  value !== '*' && !name.endsWith('requested_reply')

const modifiers = (random: Random, way: 'send' | 'receive', given: Attributes): Attributes => {
  const found: Attributes = []
  if (random.chance(0.1)) found.push(['min_fds', String(random.between(1, 2))])
  if (random.chance(0.1)) found.push(['max_fds', String(random.between(0, 2))])
  if (random.chance(0.1)) found.push(['eavesdrop', random.pick(['true', 'false'])])
  const hasDestination = given.some(([name, value]) => name === 'send_destination' && value !== '*')
  if (way === 'send' && random.chance(0.15)) {
    found.push(['send_broadcast', hasDestination ? 'false' : random.pick(['true', 'false'])])
  }
  return found
}

const messageRule = (random: Random): Attributes => {
  const way = random.pick<'send' | 'receive'>(['send', 'send', 'receive'])
  const given = conditions(random, way)
  if (!given.some(isSpecific)) return [[way === 'send' ? 'send_destination' : 'receive_sender', '*']]
  return [...given, ...modifiers(random, way, given)]
}

const ownRule = (random: Random): Attributes =>
  random.chance(0.4) ? [['own_prefix', random.pick(PREFIXES)]] : [['own', random.pick(['*', ...EVERY_NAME])]]

const rule = (random: Random): string => {
  const attributes = random.chance(0.2) ? ownRule(random) : messageRule(random)
  const text = attributes.map(([name, value]) => ` ${name}="${value}"`).join('')
  return `<${random.pick(['allow', 'deny'])}${text}/>`
}

/** One group only, because buses differ about the order of several. */
const AUDIENCES = [
  'context="default"',
  'context="default"',
  'user="root"',
  'user="daemon"',
  'user="2"',
  'group="29"',
  'user="no-such-user"',
  'at_console="true"',
  'at_console="false"',
  'context="mandatory"',
] as const

const policy = (random: Random): string => {
  const rules = Array.from({ length: random.between(1, 5) }, () => `    ${rule(random)}`)
  return `  <policy ${random.pick(AUDIENCES)}>\n${rules.join('\n')}\n  </policy>`
}

/** What the clients of the test cannot do without; it is a policy like any other. */
export const SCAFFOLD = `  <policy context="mandatory">
    <allow send_destination="${BUS}" send_interface="${BUS}.Peer" max_fds="0"/>
    <allow send_destination="${BUS}" send_interface="${BUS}" send_member="AddMatch"/>
    <allow send_destination="${BUS}" send_interface="${BUS}" send_member="RequestName"/>
    <allow receive_sender="${BUS}" receive_type="method_return"/>
    <allow receive_sender="${BUS}" receive_type="error"/>
  </policy>`

/** What everything is allowed by, to begin with, in two of three. */
export const OPEN = `  <policy context="default">
    <allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>`

/** The rules of a configuration: everything but the addresses. */
export const policies = (random: Random): string =>
  [
    '  <policy context="default"><allow user="*"/></policy>',
    ...(random.chance(0.66) ? [OPEN] : []),
    ...Array.from({ length: random.between(1, 5) }, () => policy(random)),
    SCAFFOLD,
  ].join('\n')

export interface PartyMessage {
  readonly type: 'call' | 'signal'
  readonly from: number
  readonly to: number | 'bus'
  readonly broadcast: boolean
  /** How the receiver is addressed; `null`: it is a broadcast, or for the bus. */
  readonly by: string | null
  readonly path: string
  readonly interface: string | null
  readonly member: string
  readonly fds: number
}

export const message = (random: Random): PartyMessage => {
  const type = random.pick<PartyMessage['type']>(['call', 'signal'])
  const from = random.below(USERS.length)
  const to =
    type === 'call' && random.chance(0.15)
      ? 'bus'
      : (from + random.between(1, USERS.length - 1)) % USERS.length
  const broadcast = type === 'signal' && random.chance(0.5)
  const [first = '', second = ''] = to === 'bus' ? [] : (NAMES[to] ?? [])
  return {
    type,
    from,
    to,
    broadcast,
    by: to === 'bus' || broadcast ? null : random.pick(['unique', first, second]),
    path: random.pick(PATHS),
    interface: type === 'call' && random.chance(0.2) ? null : random.pick(INTERFACES),
    member: random.pick(MEMBERS),
    fds: random.pick([0, 0, 0, 1, 2]),
  }
}
