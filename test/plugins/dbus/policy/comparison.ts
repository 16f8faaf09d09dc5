/** The same policy and the same messages, asked of us and of a real bus: whatever differs is a finding. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { readConfigFile } from '../../../../plugins/dbus/policy/config-file.ts'
import {
  type Headers,
  mayConnect,
  mayOwn,
  mayReceive,
  maySend,
  type Party,
  policyFor,
  type RolePolicy,
} from '../../../../plugins/dbus/policy/evaluate.ts'
import { E } from '../../../../src/fp.ts'
import { idsByName } from '../../../../src/model/accounts.ts'
import type { Random } from '../../../support/random.ts'
import { BUS, message, NAMES, type PartyMessage, policies, USERS } from './policies.ts'
import { configOf, type Outcome, outcomeOf } from './real-bus.ts'

const MESSAGES = 24

export const policiesOf = (text: string): readonly RolePolicy[] => {
  const users = idsByName(readFileSync('/etc/passwd', 'utf8'))
  const groups = idsByName(readFileSync('/etc/group', 'utf8'))
  const names = {
    uidOf: (name: string) => users.get(name),
    gidOf: (name: string) => groups.get(name),
  }
  const items = readConfigFile(Buffer.from(configOf('/somewhere', text)), 'bus.conf', names)
  assert.ok(E.isRight(items), E.isLeft(items) ? items.left : '')
  const placed = items.right.flatMap(item => (item.kind === 'rule' ? [item.placed] : []))
  return USERS.map(user => policyFor(placed, user))
}

const uniqueOf = (party: number): string => `:1.${party}`

const headersOf = (sent: PartyMessage): Headers => {
  const named = sent.by === 'unique' ? uniqueOf(Number(sent.to)) : sent.by
  const destination = sent.to === 'bus' ? BUS : sent.broadcast ? null : named
  return {
    type: sent.type === 'call' ? 1 : 4,
    path: sent.path,
    interface: sent.interface ?? undefined,
    member: sent.member,
    errorName: undefined,
    replySerial: undefined,
    destination: destination ?? undefined,
    sender: uniqueOf(sent.from),
    unixFds: sent.fds,
  }
}

const SOMEBODY: Party = { kind: 'connection', names: new Set(), complete: false }

/**
 * What we say to a message, knowing who owns what. A link that only hears its own side knows less: who is told of a broadcast, and
 * what a call's receiver may have, is left to the bus.
 */
export const saysYes = (
  roles: readonly RolePolicy[],
  owned: Outcome['owned'],
  sent: PartyMessage,
  knows: 'all' | 'its own side' = 'all',
): boolean => {
  const partyOf = (party: number): Party => ({
    kind: 'connection',
    names: new Set([uniqueOf(party), ...(owned[party] ?? [])]),
    complete: true,
  })
  const sender = roles[sent.from]
  assert.ok(sender)
  const headers = headersOf(sent)
  if (sent.to === 'bus') return maySend(sender, headers, { kind: 'bus' }).allowed
  const receiver = roles[sent.to]
  assert.ok(receiver)
  const isLink = knows === 'its own side'
  return (
    maySend(sender, headers, isLink && sent.broadcast ? SOMEBODY : partyOf(sent.to)).allowed &&
    ((isLink && sent.type === 'call') || mayReceive(receiver, headers, partyOf(sent.from)).allowed)
  )
}

/** Runs one policy made from chance; rejects with all that differs. How many verdicts were compared. */
export const compareOne = async (random: Random): Promise<number> => {
  const text = policies(random)
  const messages = Array.from({ length: MESSAGES }, () => message(random))
  const roles = policiesOf(text)
  const real = await outcomeOf(text, messages)
  const differences: string[] = []
  for (const [party, role] of roles.entries()) {
    const user = USERS[party]
    assert.ok(user)
    assert.equal(mayConnect(role, user).allowed, real.connected[party], `connecting as ${user.uid}`)
    for (const name of NAMES[party] ?? []) {
      const ours = mayOwn(role, name).allowed
      const theirs = real.owned[party]?.includes(name)
      if (ours !== theirs) differences.push(`${party} owns ${name}: we say ${ours}, the bus ${theirs}`)
    }
  }
  let compared = 0
  for (const [index, sent] of messages.entries()) {
    const theirs = real.delivered[index]
    if (theirs === null || theirs === undefined) continue
    compared += 1
    const ours = saysYes(roles, real.owned, sent)
    if (ours !== theirs) differences.push(`${JSON.stringify(sent)}: we say ${ours}, the bus ${theirs}`)
  }
  assert.deepEqual(differences, [], `they differ on\n${text}\nowned: ${JSON.stringify(real.owned)}`)
  return compared
}
