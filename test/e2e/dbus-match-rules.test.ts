/**
 * How a real dbus-daemon reads match rules, against what the filter and the tests' own model think of them. What must hold: no text by
 * which the bus takes back a rule of ours is one that the filter lets pass, and rules that mean the same to us do so to the bus.
 */
import assert from 'node:assert/strict'
import { MatchRules, meaningOf } from '../../plugins/dbus/filter/match-rules.ts'
import { Scope } from '../../plugins/dbus/filter/scope.ts'
import { EXAMPLE } from '../support/bus.ts'
import { type BusClient, toBus } from '../support/bus-wire.ts'
import { parsedRule } from '../support/dbus-model.ts'
import { onOneBus } from '../support/dbus-site.ts'
import { BUS } from '../support/dbus-wire.ts'
import { type Random, randomOf } from '../support/random.ts'

const PAIRS = 400
const MOST_MUTATIONS = 3

const OURS = `type='signal',sender='${BUS}',path='/org/freedesktop/DBus',interface='${BUS}',member='NameOwnerChanged',arg0='${EXAMPLE}'`

/** Of a text, somewhere: a character more, or some fewer. */
const inserted = (text: string, random: Random, what: string): string => {
  const at = random.between(0, text.length)
  return text.slice(0, at) + what + text.slice(at)
}

type Mutation = (rule: string, random: Random) => string

const MUTATIONS: readonly [Mutation, ...Mutation[]] = [
  rule => rule.replaceAll("'", ''),
  rule => rule.split(',').toReversed().join(','),
  rule => rule.replaceAll(',', ', '),
  rule => rule.replaceAll('=', ' = '),
  rule => rule.replaceAll('=', '\t='),
  rule => `${rule},`,
  rule => `,${rule}`,
  rule => ` ${rule}\n`,
  rule => rule.replace('arg0', 'arg00'),
  rule => rule.replace('arg0', 'arg'),
  rule => rule.replace('arg0', 'arg0x0'),
  rule => rule.replace('arg0', 'arg+0'),
  rule => rule.replace('arg0', 'arg1'),
  rule => rule.replace('arg0', 'arg0namespace'),
  rule => rule.replace('arg0=', 'arg0path='),
  rule => rule.replace('member', 'Member'),
  rule => rule.replace("type='signal',", ''),
  rule => rule.replace("type='signal'", "type='error'"),
  rule => `${rule},eavesdrop='false'`,
  rule => `${rule},type='signal'`,
  rule => `${rule},destination=':1.1'`,
  (rule, random) =>
    rule
      .split(',')
      .filter(() => random.chance(0.8))
      .join(','),
  (rule, random) => inserted(rule, random, "''"),
  (rule, random) => inserted(rule, random, "'"),
  (rule, random) => inserted(rule, random, ' '),
  (rule, random) => inserted(rule, random, '='),
  (rule, random) => inserted(rule, random, ','),
  (rule, random) => inserted(rule, random, '\\'),
  (rule, random) => inserted(rule, random, "\\'"),
  (rule, random) => inserted(rule, random, 'x'),
]

const mutated = (random: Random): string => {
  let rule = OURS
  for (let count = random.between(0, MOST_MUTATIONS); count > 0; count -= 1)
    rule = random.pick(MUTATIONS)(rule, random)
  return rule
}

/** Whether each of these calls worked, all of them sent at once. */
const outcomes = async (
  client: BusClient,
  calls: readonly (readonly [member: string, rule: string])[],
): Promise<readonly boolean[]> => {
  const serials: number[] = []
  for (const [member, rule] of calls) serials.push(await client.send(toBus(member, rule)))
  const worked: boolean[] = []
  for (const serial of serials) worked.push((await client.replyTo(serial)).type === 2)
  return worked
}

/** Whether it is taken, and whether the other text takes it back. */
interface Reading {
  readonly added: string
  readonly removed: string
  readonly isTaken: boolean
  readonly isTakenBack: boolean
}

const readings = async (
  client: BusClient,
  pairs: readonly (readonly [string, string])[],
): Promise<Reading[]> => {
  const calls = pairs.flatMap(
    ([added, removed]) =>
      [
        ['AddMatch', added],
        ['RemoveMatch', removed],
        ['RemoveMatch', added],
      ] as const,
  )
  const worked = await outcomes(client, calls)
  return pairs.map(([added, removed], index) => ({
    added,
    removed,
    isTaken: worked[3 * index] === true,
    isTakenBack: worked[3 * index + 1] === true,
  }))
}

const said = (rule: string): string | undefined => {
  const parsed = parsedRule(rule, 'dbus-daemon')
  return parsed && JSON.stringify([...parsed].sort(([one], [other]) => (one < other ? -1 : 1)))
}

onOneBus('match rules, as dbus-daemon reads them', {
  'no text takes a rule of ours back that the filter would let pass': async ({ parties }) => {
    const ours = new MatchRules(new Scope({ name: EXAMPLE, below: false }))
    const random = randomOf(1)
    const client = await parties.client()
    const pairs = Array.from({ length: PAIRS }, () => [OURS, mutated(random)] as const)
    const found = await readings(client, pairs)
    const passed = found.filter(({ removed, isTakenBack }) => isTakenBack && !ours.resemblesOurs(removed))
    assert.deepEqual(passed, [])
    const takenBack = found.filter(({ isTakenBack }) => isTakenBack).length
    assert.ok(takenBack > PAIRS / 10 && takenBack < PAIRS, `${takenBack} took it back`)
    await client.close()
  },

  'rules that mean the same to the filter do so to the bus': async ({ parties }) => {
    const random = randomOf(2)
    const client = await parties.client()
    const rules = Array.from({ length: PAIRS }, () => mutated(random))
    const pairs = rules.flatMap((one, index) =>
      rules
        .slice(index + 1)
        .filter(other => other !== one && meaningOf(other) === meaningOf(one))
        .slice(0, 2)
        .map(other => [one, other] as const),
    )
    const found = await readings(client, pairs)
    assert.ok(found.length > 20, `only ${found.length} pairs mean the same`)
    assert.deepEqual(
      found.filter(({ isTaken, isTakenBack }) => isTaken && !isTakenBack),
      [],
    )
    await client.close()
  },

  "the tests' own model reads them like it": async ({ parties }) => {
    const random = randomOf(3)
    const client = await parties.client()
    const found = await readings(
      client,
      Array.from({ length: PAIRS }, () => [mutated(random), mutated(random)] as const),
    )
    // What has a value that no message could have is refused by the bus; the model only reads.
    const differ = found.filter(({ added, removed, isTaken, isTakenBack }) => {
      const [one, other] = [said(added), said(removed)]
      if (one === undefined) return isTaken
      return isTaken && isTakenBack !== (one === other)
    })
    assert.deepEqual(differ, [])
    await client.close()
  },
})
