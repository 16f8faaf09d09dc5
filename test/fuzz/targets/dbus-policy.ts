/**
 * Policies of buses: any file is answered, rules mean what a second reading of the rules says, and knowing less never denies more.
 * Where there is a dbus-daemon, it is asked the same.
 */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { type ConfigItem, readConfigFile } from '../../../plugins/dbus/policy/config-file.ts'
import {
  type Headers,
  mayOwn,
  mayReceive,
  maySend,
  type Party,
  policyFor,
} from '../../../plugins/dbus/policy/evaluate.ts'
import type { OwnRule, PlacedRule, ReceiveRule, SendRule } from '../../../plugins/dbus/policy/rules.ts'
import { E } from '../../../src/fp.ts'
import { compareOne } from '../../plugins/dbus/policy/comparison.ts'
import { CONFIGURATIONS } from '../../plugins/dbus/policy/configurations.ts'
import { message, NAMES, type PartyMessage, policies } from '../../plugins/dbus/policy/policies.ts'
import { randomOf } from '../../support/random.ts'
import { isInstalled } from '../../support/requirements.ts'
import { KeptBytes, mutated } from '../json-text.ts'
import { check, targetOf } from '../target.ts'

const KNOWN_NAMES = {
  uidOf: (name: string) => (name === 'root' ? 0 : undefined),
  gidOf: (name: string) => (name === 'root' ? 0 : undefined),
}

const busconfig = (content: string): string => `<busconfig>${content}</busconfig>`

const policyText = fc.nat().map(seed => busconfig(policies(randomOf(seed))))

const text = fc
  .oneof(
    policyText,
    fc.constantFrom(...CONFIGURATIONS).map(configuration => configuration.text),
  )
  .map(whole => Buffer.from(whole))

const read = (bytes: Uint8Array): E.Either<string, readonly ConfigItem[]> =>
  readConfigFile(bytes, 'bus.conf', KNOWN_NAMES)

const LONGEST_REASON = 1000

/** A rule as it is written means the same wherever it stands. */
const isReadAgain = ({ rule }: PlacedRule): void => {
  const { origin, ...meaning } = rule
  const again = read(Buffer.from(busconfig(`<policy context="default">${origin.source}</policy>`)))
  assert.ok(E.isRight(again), `${origin.source} is not taken again`)
  const [item] = again.right
  assert.ok(item?.kind === 'rule')
  const { origin: _, ...secondMeaning } = item.placed.rule
  assert.deepEqual(secondMeaning, meaning)
}

const anyFileIsAnswered = (bytes: Uint8Array): void => {
  const items = read(bytes)
  if (E.isLeft(items)) {
    assert.ok(items.left !== '' && items.left.length <= LONGEST_REASON, `${items.left.length} characters`)
    return
  }
  const lines = Buffer.from(bytes).toString().split('\n').length
  for (const item of items.right) {
    if (item.kind !== 'rule') continue
    const { line } = item.placed.rule.origin
    assert.ok(line >= 1 && line <= lines, `line ${line} of ${lines}`)
    isReadAgain(item.placed)
  }
}

const USER = { uid: 1, groups: [1, 29] }

const headersOf = (sent: PartyMessage, destination: string | undefined): Headers => ({
  type: sent.type === 'call' ? 1 : 4,
  path: sent.path,
  interface: sent.interface ?? undefined,
  member: sent.member,
  errorName: undefined,
  replySerial: undefined,
  destination,
  sender: ':1.7',
  unixFds: sent.fds,
})

/** dbus-daemon(1) once more, the plainest way: from the first rule to the last, for somebody all of whose names are known. */
const passes = (
  rules: readonly (SendRule | ReceiveRule)[],
  headers: Headers,
  names: ReadonlySet<string>,
): boolean => {
  let allowed = false
  for (const rule of rules) {
    const fields: readonly (readonly [unknown, unknown])[] = [
      [rule.type, headers.type],
      [rule.path, headers.path],
      [rule.member, headers.member],
      [rule.errorName, headers.errorName],
    ]
    if (fields.some(([asked, is]) => asked !== undefined && is !== undefined && asked !== is)) continue
    if (rule.interface !== undefined) {
      if (headers.interface === undefined ? rule.effect === 'allow' : headers.interface !== rule.interface)
        continue
    }
    if (headers.unixFds < rule.minFds || headers.unixFds > rule.maxFds) continue
    if (rule.kind === 'receive') {
      if (rule.eavesdrop && rule.effect === 'deny') continue
      if (rule.sender !== undefined && !names.has(rule.sender)) continue
    } else {
      const isBroadcast = headers.type === 4 && headers.destination === undefined
      const prefix = rule.destinationPrefix
      if (rule.broadcast !== undefined && rule.broadcast !== isBroadcast) continue
      if (rule.destination !== undefined && !names.has(rule.destination)) continue
      if (prefix !== undefined && ![...names].some(name => name === prefix || name.startsWith(`${prefix}.`)))
        continue
    }
    allowed = rule.effect === 'allow'
  }
  return allowed
}

const owns = (rules: readonly OwnRule[], name: string): boolean => {
  let allowed = false
  for (const rule of rules) {
    const isMeant =
      rule.name === undefined || rule.name === name || (rule.prefix && name.startsWith(`${rule.name}.`))
    if (isMeant) allowed = rule.effect === 'allow'
  }
  return allowed
}

const inOrder = (placed: readonly PlacedRule[]): readonly PlacedRule[] =>
  ['default', 'group', 'user', 'console', 'mandatory'].flatMap(kind =>
    placed.filter(({ audience }) => {
      if (audience.kind !== kind) return false
      if (audience.kind === 'user') return audience.uid === USER.uid
      if (audience.kind === 'group') return USER.groups.includes(audience.gid)
      return audience.kind !== 'console' || !audience.present
    }),
  )

const rulesMeanWhatTheySay = (seed: number): void => {
  const random = randomOf(seed)
  const items = read(Buffer.from(busconfig(policies(random))))
  assert.ok(E.isRight(items), E.isLeft(items) ? items.left : '')
  const placed = items.right.flatMap(item => (item.kind === 'rule' ? [item.placed] : []))
  const policy = policyFor(placed, USER)
  const ordered = inOrder(placed).map(({ rule }) => rule)
  const sending = ordered.filter(rule => rule.kind === 'send')
  const receiving = ordered.filter(rule => rule.kind === 'receive')
  const owning = ordered.filter(rule => rule.kind === 'own')
  for (let times = 0; times < 20; times += 1) {
    const owned = new Set([':1.7', ...(random.pick([[], ...NAMES]) ?? [])])
    const [, name] = [...owned]
    const sent = message(random)
    const headers = headersOf(sent, sent.broadcast ? undefined : (name ?? ':1.7'))
    const whole: Party = { kind: 'connection', names: owned, complete: true }
    const partly: Party = { kind: 'connection', names: new Set([':1.7']), complete: false }
    const may = {
      send: maySend(policy, headers, whole).allowed,
      receive: mayReceive(policy, headers, whole).allowed,
    }
    assert.equal(may.send, passes(sending, headers, owned), 'sending')
    assert.equal(may.receive, passes(receiving, headers, owned), 'receiving')
    assert.ok(!may.send || maySend(policy, headers, partly).allowed, 'who knows less denies what may be sent')
    assert.ok(
      !may.receive || mayReceive(policy, headers, partly).allowed,
      'who knows less denies what may be received',
    )
    if (name !== undefined) assert.equal(mayOwn(policy, name).allowed, owns(owning, name), `owning ${name}`)
  }
}

/** Its clients are different users. */
const hasBus = isInstalled('dbus-daemon') && isInstalled('python3') && process.geteuid?.() === 0

const comparesWithTheBus = async (seed: number): Promise<void> => {
  await compareOne(randomOf(seed))
}

export const target = targetOf(
  'dbus-policy',
  "policies of providers' buses, and what they say about messages",
  [
    check({
      name: 'file',
      inputs: fc.oneof(text, mutated(text)),
      kept: KeptBytes,
      tries: 500,
      holds: anyFileIsAnswered,
    }),
    check({ name: 'rules', inputs: fc.nat(), kept: t.number, tries: 300, holds: rulesMeanWhatTheySay }),
    ...(hasBus
      ? [check({ name: 'bus', inputs: fc.nat(), kept: t.number, tries: 10, holds: comparesWithTheBus })]
      : []),
  ],
)
