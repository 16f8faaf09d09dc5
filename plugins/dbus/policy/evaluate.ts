/**
 * What a policy says about a role: the rules that concern it, and which of them decides. Pure.
 * As dbus-daemon has it (dbus-daemon(1), "<policy>"): nothing is allowed to begin with, each rule that matches overrides those
 * before it, so the last one decides. Whether a rule matches is not always known here. What is not known counts as it is best
 * for the role, because the bus itself judges too: to deny something that the bus allows would be an invention of ours.
 */

import type { RoleUser } from '../../../src/toolbox/contract.ts'
import { MESSAGE_TYPE, type MessageHead } from '../contract.ts'
import {
  type Audience,
  type ConnectRule,
  isWithin,
  type OwnRule,
  type PlacedRule,
  type ReceiveRule,
  type Rule,
  type SendRule,
} from './rules.ts'

/** The rules that concern one role, in the order in which they count. */
export interface RolePolicy {
  readonly connect: readonly ConnectRule[]
  readonly own: readonly OwnRule[]
  readonly send: readonly SendRule[]
  readonly receive: readonly ReceiveRule[]
}

export type PolicyUser = Pick<RoleUser, 'uid' | 'groups'>

const ORDER: readonly Audience['kind'][] = ['default', 'group', 'user', 'console', 'mandatory']

const concerns = (audience: Audience, user: PolicyUser): boolean => {
  switch (audience.kind) {
    case 'default':
    case 'mandatory':
      return true
    case 'group':
      return user.groups.includes(audience.gid)
    case 'user':
      return user.uid === audience.uid
    case 'console':
      // Whoever comes through a link is at no console.
      return !audience.present
    case 'nobody':
      return false
  }
}

const isFor =
  <K extends Rule['kind']>(kind: K) =>
  (rule: Rule): rule is Extract<Rule, { readonly kind: K }> =>
    rule.kind === kind

export const policyFor = (placed: readonly PlacedRule[], user: PolicyUser): RolePolicy => {
  const rules = ORDER.flatMap(kind =>
    placed.filter(({ audience }) => audience.kind === kind && concerns(audience, user)),
  )
  const forAll = rules.filter(({ audience }) => audience.kind === 'default' || audience.kind === 'mandatory')
  const own = rules.map(({ rule }) => rule)
  return {
    connect: forAll.map(({ rule }) => rule).filter(isFor('connect')),
    own: own.filter(isFor('own')),
    send: own.filter(isFor('send')),
    receive: own.filter(isFor('receive')),
  }
}

/** Who is at the other end of a message. */
export type Party =
  | { readonly kind: 'bus' }
  /** A connection whose names are known. */
  | { readonly kind: 'connection'; readonly names: ReadonlySet<string> }
  /** A broadcast goes to connections that nobody can name beforehand. */
  | { readonly kind: 'anyone' }

export type Headers = Pick<
  MessageHead,
  'type' | 'path' | 'interface' | 'member' | 'errorName' | 'destination' | 'sender' | 'unixFds'
> & {
  /**
   * What the message answers: an expected call, none, or one that only the bus knows about. `undefined`: it is no answer, because
   * it has no reply serial; the type does not matter.
   */
  readonly answers: 'expected' | 'unexpected' | 'unknown' | undefined
}

/** Whether a rule matches, where that is known. */
type Match = 'yes' | 'no' | 'perhaps'

const both = (a: Match, b: () => Match): Match => {
  if (a === 'no') return 'no'
  const second = b()
  return second === 'yes' ? a : second
}

/** A field that is not there differs from nothing. */
const differs = (condition: string | undefined, field: string | undefined): boolean =>
  condition !== undefined && field !== undefined && condition !== field

const fieldsMatch = (rule: SendRule | ReceiveRule, message: Headers): boolean => {
  if (rule.type !== undefined && rule.type !== message.type) return false
  if (differs(rule.path, message.path) || differs(rule.member, message.member)) return false
  if (differs(rule.errorName, message.errorName) || differs(rule.interface, message.interface)) return false
  // A message without an interface may reach any: what denies one of them is meant, what allows one is not.
  if (rule.interface !== undefined && message.interface === undefined && rule.effect === 'allow') return false
  return message.unixFds >= rule.minFds && message.unixFds <= rule.maxFds
}

const replyMatches = (rule: SendRule | ReceiveRule, { answers }: Headers): Match => {
  if (answers === undefined) return 'yes'
  const onlyExpected = rule.effect === 'allow' && rule.requestedReply && !rule.eavesdrop
  const onlyUnexpected = rule.effect === 'deny' && !rule.requestedReply
  if (!onlyExpected && !onlyUnexpected) return 'yes'
  if (answers === 'unknown') return 'perhaps'
  return (answers === 'expected') === onlyExpected ? 'yes' : 'no'
}

/** Whether the party has that name; of the bus counts what the message itself says. */
const isNamed = (party: Party, said: string | undefined, fits: (name: string) => boolean): Match => {
  if (party.kind === 'anyone') return 'perhaps'
  if (party.kind === 'bus') return said !== undefined && fits(said) ? 'yes' : 'no'
  for (const name of party.names) if (fits(name)) return 'yes'
  return 'no'
}

const isBroadcast = ({ type, destination }: Headers): boolean =>
  type === MESSAGE_TYPE.signal && destination === undefined

const sendMatches = (rule: SendRule, message: Headers, receiver: Party): Match => {
  if (!fieldsMatch(rule, message)) return 'no'
  if (rule.broadcast !== undefined && rule.broadcast !== isBroadcast(message)) return 'no'
  const { destination, destinationPrefix } = rule
  return both(replyMatches(rule, message), () => {
    if (destination !== undefined) return isNamed(receiver, message.destination, name => name === destination)
    if (destinationPrefix === undefined) return 'yes'
    return isNamed(receiver, message.destination, name => isWithin(name, destinationPrefix))
  })
}

const receiveMatches = (rule: ReceiveRule, message: Headers, sender: Party): Match => {
  if (!fieldsMatch(rule, message)) return 'no'
  // It is about messages for others, and none of those comes here.
  if (rule.effect === 'deny' && rule.eavesdrop) return 'no'
  return both(replyMatches(rule, message), () =>
    rule.sender === undefined ? 'yes' : isNamed(sender, message.sender, name => name === rule.sender),
  )
}

const ownMatches = (rule: OwnRule, name: string): boolean => {
  if (rule.name === undefined) return true
  return rule.prefix ? isWithin(name, rule.name) : name === rule.name
}

const connectMatches = ({ who }: ConnectRule, { uid, groups }: PolicyUser): boolean => {
  switch (who.kind) {
    case 'anybody':
      return true
    case 'user':
      return who.uid === uid
    case 'group':
      return groups.includes(who.gid)
    case 'nobody':
      return false
  }
}

/** What decides, and all that had a say before it. */
export interface Decision<R> {
  readonly allowed: boolean
  /** `undefined`: no rule matched. */
  readonly by: R | undefined
}

/** From the last rule back to the first: the first of them that has a say decides. */
const decide = <R extends Rule>(
  rules: readonly R[],
  otherwise: boolean,
  match: (rule: R) => Match,
): Decision<R> => {
  for (let at = rules.length - 1; at >= 0; at -= 1) {
    const rule = rules[at]
    if (rule === undefined) continue
    const found = match(rule)
    if (found === 'yes' || (found === 'perhaps' && rule.effect === 'allow')) {
      return { allowed: rule.effect === 'allow', by: rule }
    }
  }
  return { allowed: otherwise, by: undefined }
}

export const maySend = ({ send }: RolePolicy, message: Headers, receiver: Party): Decision<SendRule> =>
  decide(send, false, rule => sendMatches(rule, message, receiver))

export const mayReceive = ({ receive }: RolePolicy, message: Headers, sender: Party): Decision<ReceiveRule> =>
  decide(receive, false, rule => receiveMatches(rule, message, sender))

export const mayOwn = ({ own }: RolePolicy, name: string): Decision<OwnRule> =>
  decide(own, false, rule => (ownMatches(rule, name) ? 'yes' : 'no'))

/** Without a rule the bus admits its own user only; that is its decision. */
export const mayConnect = ({ connect }: RolePolicy, user: PolicyUser): Decision<ConnectRule> =>
  decide(connect, true, rule => (connectMatches(rule, user) ? 'yes' : 'no'))

/** All rules that match, or may, in the order in which they count: the last one that is not skipped decides. */
export const chainOf = {
  send: (policy: RolePolicy, message: Headers, receiver: Party): readonly SendRule[] =>
    policy.send.filter(rule => sendMatches(rule, message, receiver) !== 'no'),
  receive: (policy: RolePolicy, message: Headers, sender: Party): readonly ReceiveRule[] =>
    policy.receive.filter(rule => receiveMatches(rule, message, sender) !== 'no'),
  own: (policy: RolePolicy, name: string): readonly OwnRule[] =>
    policy.own.filter(rule => ownMatches(rule, name)),
  connect: (policy: RolePolicy, user: PolicyUser): readonly ConnectRule[] =>
    policy.connect.filter(rule => connectMatches(rule, user)),
}
