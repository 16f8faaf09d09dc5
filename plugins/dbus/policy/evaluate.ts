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

/** Rules that concern one role, in the order in which they count; the order of its groups among each other is left open. */
export interface Ranked<R> {
  readonly forAll: readonly R[]
  /** Of each group of the role's that has any. */
  readonly ofGroups: readonly (readonly R[])[]
  /** Of the user, then those without a console, then the mandatory ones. */
  readonly last: readonly R[]
}

export interface RolePolicy {
  readonly connect: Ranked<ConnectRule>
  readonly own: Ranked<OwnRule>
  readonly send: Ranked<SendRule>
  readonly receive: Ranked<ReceiveRule>
}

export type PolicyUser = Pick<RoleUser, 'uid' | 'groups'>

/** A provider may put a user into tens of thousands of groups, and write as many rules: nothing here looks through a list for each rule. */
interface Member {
  readonly uid: number
  readonly groups: ReadonlySet<number>
}

const memberOf = ({ uid, groups }: PolicyUser): Member => ({ uid, groups: new Set(groups) })

const concerns = (audience: Audience, user: Member): boolean => {
  switch (audience.kind) {
    case 'default':
    case 'mandatory':
      return true
    case 'group':
      return user.groups.has(audience.gid)
    case 'user':
      return user.uid === audience.uid
    case 'console':
      // Whoever comes through a link is at no console.
      return !audience.present
    case 'nobody':
      return false
  }
}

const isOf =
  <K extends Rule['kind']>(kind: K) =>
  (rule: Rule): rule is Extract<Rule, { readonly kind: K }> =>
    rule.kind === kind

/** In the order in which the groups come up first. */
const byGroup = (placed: readonly PlacedRule[]): readonly (readonly PlacedRule[])[] => {
  const groups = new Map<number, PlacedRule[]>()
  for (const each of placed) {
    if (each.audience.kind !== 'group') continue
    const { gid } = each.audience
    const known = groups.get(gid)
    if (known === undefined) groups.set(gid, [each])
    else known.push(each)
  }
  return [...groups.values()]
}

const ranked = <K extends Rule['kind']>(
  kind: K,
  placedFor: (audience: Audience['kind']) => readonly PlacedRule[],
): Ranked<Extract<Rule, { readonly kind: K }>> => {
  const rulesOf = (placed: readonly PlacedRule[]) => placed.map(({ rule }) => rule).filter(isOf(kind))
  const plain = (audience: Audience['kind']) => rulesOf(placedFor(audience))
  return {
    forAll: plain('default'),
    ofGroups: byGroup(placedFor('group'))
      .map(rulesOf)
      .filter(rules => rules.length > 0),
    last: [...plain('user'), ...plain('console'), ...plain('mandatory')],
  }
}

export const policyFor = (placed: readonly PlacedRule[], user: PolicyUser): RolePolicy => {
  const member = memberOf(user)
  const own = placed.filter(({ audience }) => concerns(audience, member))
  const placedFor = (kind: Audience['kind']): readonly PlacedRule[] =>
    own.filter(({ audience }) => audience.kind === kind)
  // Whether somebody may connect is looked up before anything of theirs is.
  const forAll = (kind: Audience['kind']): readonly PlacedRule[] =>
    kind === 'default' || kind === 'mandatory' ? placedFor(kind) : []
  return {
    connect: ranked('connect', forAll),
    own: ranked('own', placedFor),
    send: ranked('send', placedFor),
    receive: ranked('receive', placedFor),
  }
}

/** Who is at the other end of a message. */
export type Party =
  | { readonly kind: 'bus' }
  /** A connection that has these names; `complete`: and no others. Who gets a broadcast has any name, perhaps. */
  | { readonly kind: 'connection'; readonly names: ReadonlySet<string>; readonly complete: boolean }

export type Headers = Pick<
  MessageHead,
  | 'type'
  | 'path'
  | 'interface'
  | 'member'
  | 'errorName'
  | 'destination'
  | 'sender'
  | 'unixFds'
  | 'replySerial'
> & {
  /** Of one that answers a call, whatever its type: whether somebody waits for it. Absent: only the bus knows. */
  readonly expected?: boolean
}

/** Whether a rule matches, where that is known. */
type Match = 'yes' | 'no' | 'perhaps'

const both = (a: Match, b: Match): Match => {
  if (a === 'no' || b === 'no') return 'no'
  return a === 'yes' ? b : a
}

const certainly = (matches: boolean): Match => (matches ? 'yes' : 'no')

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

const replyMatches = (rule: SendRule | ReceiveRule, { replySerial, expected }: Headers): Match => {
  if (replySerial === undefined) return 'yes'
  const onlyExpected = rule.effect === 'allow' && rule.requestedReply && !rule.eavesdrop
  const onlyUnexpected = rule.effect === 'deny' && !rule.requestedReply
  if (!onlyExpected && !onlyUnexpected) return 'yes'
  if (expected === undefined) return 'perhaps'
  return expected === onlyExpected ? 'yes' : 'no'
}

/** Whether the party has that name; of the bus counts what the message itself says. */
const isNamed = (party: Party, said: string | undefined, name: string): Match => {
  if (party.kind === 'bus') return certainly(said === name)
  if (party.names.has(name)) return 'yes'
  return party.complete ? 'no' : 'perhaps'
}

/** Each of these names, and what stands before their dots. */
const prefixesOf = (names: ReadonlySet<string>): ReadonlySet<string> => {
  const prefixes = new Set(names)
  for (const name of names)
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1))
      prefixes.add(name.slice(0, dot))
  return prefixes
}

/**
 * Whom one message goes to. A provider may have thousands of names, and a rule for each prefix of theirs: what all of them are below
 * is worked out once, for the first rule that asks.
 */
class Receiver {
  readonly party: Party
  #prefixes: ReadonlySet<string> | undefined

  constructor(party: Party) {
    this.party = party
  }

  /** How much was looked at for that. */
  get looked(): number {
    return this.#prefixes?.size ?? 0
  }

  /** Whether it has that name, or one below it. */
  isNamedWithin(said: string | undefined, prefix: string): Match {
    const { party } = this
    if (party.kind === 'bus') return certainly(said !== undefined && isWithin(said, prefix))
    this.#prefixes ??= prefixesOf(party.names)
    if (this.#prefixes.has(prefix)) return 'yes'
    return party.complete ? 'no' : 'perhaps'
  }
}

const isSentTo = (rule: SendRule, receiver: Receiver, said: string | undefined): Match => {
  if (rule.destination !== undefined) return isNamed(receiver.party, said, rule.destination)
  return rule.destinationPrefix === undefined ? 'yes' : receiver.isNamedWithin(said, rule.destinationPrefix)
}

const isBroadcast = ({ type, destination }: Headers): boolean =>
  type === MESSAGE_TYPE.signal && destination === undefined

/** Most rules are about others than the receiver, and are done with first. */
const sendMatches = (rule: SendRule, message: Headers, receiver: Receiver): Match => {
  const toIt = isSentTo(rule, receiver, message.destination)
  if (toIt === 'no' || !fieldsMatch(rule, message)) return 'no'
  if (rule.broadcast !== undefined && rule.broadcast !== isBroadcast(message)) return 'no'
  return both(toIt, replyMatches(rule, message))
}

const receiveMatches = (rule: ReceiveRule, message: Headers, sender: Party): Match => {
  const fromIt = rule.sender === undefined ? 'yes' : isNamed(sender, message.sender, rule.sender)
  if (fromIt === 'no' || !fieldsMatch(rule, message)) return 'no'
  // It is about messages for others, and none of those comes here.
  if (rule.effect === 'deny' && rule.eavesdrop) return 'no'
  return both(fromIt, replyMatches(rule, message))
}

const ownMatches = (rule: OwnRule, name: string): Match => {
  if (rule.name === undefined) return 'yes'
  return certainly(rule.prefix ? isWithin(name, rule.name) : name === rule.name)
}

const connectMatches = ({ who }: ConnectRule, { uid, groups }: Member): Match => {
  switch (who.kind) {
    case 'anybody':
      return 'yes'
    case 'user':
      return certainly(who.uid === uid)
    case 'group':
      return certainly(groups.has(who.gid))
    case 'nobody':
      return 'no'
  }
}

/** What decides. */
export interface Decision<R> {
  readonly allowed: boolean
  /** `undefined`: no rule matched. */
  readonly by: R | undefined
  /** How many rules were looked at to find it: what it cost. */
  readonly looked: number
}

/** For the last rule that has a say. */
class Search<R extends Rule> {
  readonly #match: (rule: R) => Match
  /** How many rules it has looked at. */
  looked = 0

  constructor(match: (rule: R) => Match) {
    this.#match = match
  }

  among(rules: readonly R[]): R | undefined {
    for (let at = rules.length - 1; at >= 0; at -= 1) {
      const rule = rules[at]
      if (rule === undefined) continue
      this.looked += 1
      const found = this.#match(rule)
      if (found === 'yes' || (found === 'perhaps' && rule.effect === 'allow')) return rule
    }
    return undefined
  }

  /** Buses differ in which group they ask last (dbus-daemon(1): "in undefined order"), so any of them may allow. */
  amongGroups(groups: readonly (readonly R[])[]): R | undefined {
    let found: R | undefined
    for (const rules of groups) {
      const rule = this.among(rules)
      if (rule?.effect === 'allow') return rule
      found ??= rule
    }
    return found
  }
}

const decide = <R extends Rule>(
  { last, ofGroups, forAll }: Ranked<R>,
  otherwise: boolean,
  match: (rule: R) => Match,
): Decision<R> => {
  const search = new Search(match)
  const by = search.among(last) ?? search.amongGroups(ofGroups) ?? search.among(forAll)
  return { allowed: by === undefined ? otherwise : by.effect === 'allow', by, looked: search.looked }
}

export const maySend = ({ send }: RolePolicy, message: Headers, party: Party): Decision<SendRule> => {
  const receiver = new Receiver(party)
  const decision = decide(send, false, rule => sendMatches(rule, message, receiver))
  return { ...decision, looked: decision.looked + receiver.looked }
}

export const mayReceive = ({ receive }: RolePolicy, message: Headers, sender: Party): Decision<ReceiveRule> =>
  decide(receive, false, rule => receiveMatches(rule, message, sender))

export const mayOwn = ({ own }: RolePolicy, name: string): Decision<OwnRule> =>
  decide(own, false, rule => ownMatches(rule, name))

/** Without a rule the bus admits its own user only; that is its decision. */
export const mayConnect = ({ connect }: RolePolicy, user: PolicyUser): Decision<ConnectRule> => {
  const member = memberOf(user)
  return decide(connect, true, rule => connectMatches(rule, member))
}

/** Rules that match, or may, in the order in which they count. */
const chain = <R>({ forAll, ofGroups: groups, last }: Ranked<R>, match: (rule: R) => Match): readonly R[] =>
  [...forAll, ...groups.flat(), ...last].filter(rule => match(rule) !== 'no')

/** All that has a say, for people. What is decided is for the functions above. */
export const chainOf = {
  send: ({ send }: RolePolicy, message: Headers, party: Party): readonly SendRule[] => {
    const receiver = new Receiver(party)
    return chain(send, rule => sendMatches(rule, message, receiver))
  },
  receive: ({ receive }: RolePolicy, message: Headers, sender: Party): readonly ReceiveRule[] =>
    chain(receive, rule => receiveMatches(rule, message, sender)),
  own: ({ own }: RolePolicy, name: string): readonly OwnRule[] => chain(own, rule => ownMatches(rule, name)),
  connect: ({ connect }: RolePolicy, user: PolicyUser): readonly ConnectRule[] => {
    const member = memberOf(user)
    return chain(connect, rule => connectMatches(rule, member))
  },
}
