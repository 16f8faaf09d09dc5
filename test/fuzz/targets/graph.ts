/**
 * From the bytes of a graph to what is planted: the codec, the desired state, the plan and the controller, on fakes.
 * What should come out is worked out a second time here, the plainest way, and compared.
 */
import assert from 'node:assert/strict'
import { isAbsolute, normalize } from 'node:path/posix'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import type { Policy } from '../../../src/access/verdict.ts'
import { verdictFor } from '../../../src/access/verdict.ts'
import { compute } from '../../../src/desired/compute.ts'
import { diff } from '../../../src/desired/diff.ts'
import { E } from '../../../src/fp.ts'
import type { GraphLimits } from '../../../src/graph/codec.ts'
import { decodeGraph } from '../../../src/graph/codec.ts'
import type { DesiredState, Verdict } from '../../../src/model/desired.ts'
import { isEmptyPlan, NOTHING_DESIRED } from '../../../src/model/desired.ts'
import type { Graph, RejectedEntry } from '../../../src/model/graph.ts'
import { isPid, isUid } from '../../../src/model/identity.ts'
import { DEFAULT_LIMITS } from '../../../src/model/limits.ts'
import type { Link, LinkKey } from '../../../src/model/link.ts'
import { keyOf, sameLink } from '../../../src/model/link.ts'
import type { Catalogue } from '../../../src/plugin/contract.ts'
import { bodyBytes, entryTexts } from '../graphs.ts'
import { arrayText, KeptBytes } from '../json-text.ts'
import { KeptPolicy, policy } from '../policies.ts'
import { check, targetOf } from '../target.ts'
import { KeptStory, story, theWorldFollows } from '../worlds.ts'

const decoded = (text: string): Graph => {
  const graph = decodeGraph(text, DEFAULT_LIMITS)
  if (E.isLeft(graph)) throw new Error(`a JSON array is no graph: ${JSON.stringify(graph.left)}`)
  return graph.right
}

// ------------------------------------------------------------------ any bytes at all

const isWellFormed = (text: string): boolean => text === Buffer.from(text).toString()

/** Everything that whoever is handed a link relies on. */
const isSound = (link: Link, longest: number): boolean => {
  const { type, name, consumer, provider, socket, target, role, uid } = link
  const texts = [type, name, consumer, socket, role, link.interface, ...(provider === null ? [] : [provider])]
  const isAddress = (address: string): boolean =>
    type === 'unix' && address.startsWith('@')
      ? address.length > 1 && Buffer.byteLength(address) <= 108
      : isAbsolute(address) && normalize(address) === address && !/\/$/.test(address)
  return (
    texts.every(text => text !== '' && Buffer.byteLength(text) <= longest) &&
    [...texts, target].every(text => isWellFormed(text) && !text.includes('\0')) &&
    [socket, target].every(address => isAddress(address) && Buffer.byteLength(address) <= 4095) &&
    [link.consumer_pid, link.provider_pid].every(pid => pid === null || isPid(pid)) &&
    (uid === null || isUid(uid))
  )
}

const Body = t.type({
  bytes: KeptBytes,
  graphBodyBytes: t.number,
  graphLinks: t.number,
  graphStringBytes: t.number,
})

const tight = <A>(loose: A, arbitrary: fc.Arbitrary<A>): fc.Arbitrary<A> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(loose) }, { weight: 1, arbitrary })

const anyBody = fc.record({
  bytes: bodyBytes,
  graphBodyBytes: tight(DEFAULT_LIMITS.graphBodyBytes, fc.nat(2000)),
  graphLinks: tight(DEFAULT_LIMITS.graphLinks, fc.integer({ min: 1, max: 5 })),
  graphStringBytes: tight(DEFAULT_LIMITS.graphStringBytes, fc.integer({ min: 64, max: 300 })),
})

const aBodyIsAGraphOrIsNot = ({ bytes, ...limits }: { readonly bytes: Uint8Array } & GraphLimits): void => {
  const result = decodeGraph(bytes, limits)
  assert.equal(E.isLeft(result) && result.left._tag === 'BodyTooLarge', bytes.length > limits.graphBodyBytes)
  if (E.isLeft(result)) return
  const { links, rejected } = result.right
  const entries: unknown = JSON.parse(new TextDecoder().decode(bytes))
  assert.ok(Array.isArray(entries))
  assert.ok(entries.length <= limits.graphLinks, 'more entries than the limit allows')
  assert.equal(links.length + rejected.length, entries.length)
  assert.equal(new Set(links.map(keyOf)).size, links.length, 'two links have one key')
  const positions = rejected.map(({ index }) => index)
  assert.deepEqual(
    positions,
    [...new Set(positions)].sort((a, b) => a - b),
  )
  assert.ok(positions.every(index => index >= 0 && index < entries.length))
  for (const link of links)
    assert.ok(isSound(link, limits.graphStringBytes), `unsound: ${JSON.stringify(link)}`)
  for (const { reason } of rejected)
    assert.ok(reason.length < 1000, `a reason of ${reason.length} characters`)
}

// ------------------------------------------------------------------ entry by entry

/** What each entry is by itself, and of entries with one key the first. */
const entryByEntry = (texts: readonly string[]): Graph => {
  const links: Link[] = []
  const rejected: RejectedEntry[] = []
  const firsts = new Map<LinkKey, number>()
  for (const [index, text] of texts.entries()) {
    const alone = decoded(`[${text}]`)
    const [link] = alone.links
    if (link === undefined) {
      rejected.push({ reason: 'nothing came of it', ...alone.rejected[0], index })
      continue
    }
    const first = firsts.get(keyOf(link))
    if (first === undefined) {
      firsts.set(keyOf(link), index)
      links.push(link)
    } else rejected.push({ index, reason: `repeats entry ${first} (${keyOf(link)})` })
  }
  return { links, rejected }
}

const noEntryHidesAnother = (texts: readonly string[]): void => {
  const graph = decoded(arrayText(texts))
  assert.deepEqual(graph, entryByEntry(texts))
  assert.deepEqual(decoded(` [\n${texts.join('\n,\t')} ]\r\n`), graph, 'white space makes a difference')
  assert.deepEqual(decoded(JSON.stringify(graph.links)), { links: graph.links, rejected: [] })
}

// ------------------------------------------------------------------ from graphs to plans

/** Two types have plugins; one of them is choosy, another one is broken. */
const CATALOGUE: Catalogue = {
  supports: type => type === 'unix' || type === 'drm',
  admits: ({ type, role }) => {
    if (type === 'wayland') return { _tag: 'Unsupported', reason: 'plugin wayland failed to load' }
    return type === 'drm' && role === 'any' ? { _tag: 'Denied', rule: 'plugin drm' } : undefined
  },
  canChange: type => type === 'unix',
}

const Readings = t.array(t.type({ entries: t.array(t.string), policy: KeptPolicy }))

const reading = fc.record({ entries: entryTexts(8), policy })
const readings = fc.array(reading, { minLength: 1, maxLength: 5 })

const verdictAlone = (link: Link, rules: Policy): Verdict['_tag'] => {
  const opinion = CATALOGUE.admits(link)
  return CATALOGUE.supports(link.type) ? verdictFor(link, rules, opinion)._tag : 'Unsupported'
}

/** The first link that may be connected has the place; those after it that may be, too, are in conflict with it. */
const theFirstAdmittedWins = ({ links }: Graph, rules: Policy, state: DesiredState): void => {
  assert.deepEqual(Object.keys(state.links).sort(), links.map(keyOf).sort())
  const winners: Link[] = []
  for (const link of links) {
    const {
      key,
      link: desired,
      verdict,
    } = state.links[keyOf(link)] ?? assert.fail(`${keyOf(link)} is missing`)
    assert.equal(key, keyOf(link))
    assert.ok(sameLink(desired, link))
    const alone = verdictAlone(link, rules)
    const winner = winners.find(each => each.consumer === link.consumer && each.target === link.target)
    if (alone === 'Admitted' && winner !== undefined) {
      assert.deepEqual(verdict, { _tag: 'Conflict', winner: keyOf(winner) })
    } else assert.equal(verdict._tag, alone)
    if (alone === 'Admitted' && winner === undefined) winners.push(link)
  }
}

const onlyTheLastReadingCounts = (history: t.TypeOf<typeof Readings>): void => {
  const told = new Map<LinkKey, unknown>()
  let state = NOTHING_DESIRED
  for (const { entries, policy: rules } of history) {
    const graph = decoded(arrayText(entries))
    const next = compute(graph, rules, CATALOGUE, state)
    theFirstAdmittedWins(graph, rules, next)
    assert.deepEqual(next, compute(graph, rules, CATALOGUE, NOTHING_DESIRED), 'it depends on what was before')

    const plan = diff(state, next, { resync: false })
    for (const desired of [...plan.wanted, ...plan.changed]) told.set(desired.key, desired)
    for (const key of plan.unwanted) assert.ok(told.delete(key), `${key} was never wanted`)
    assert.deepEqual(Object.fromEntries(told), { ...next.links }, 'the plan does not lead there')

    const again = compute(decoded(arrayText(entries)), rules, CATALOGUE, next)
    assert.equal(again, next, 'what is the same lost its identity')
    assert.ok(isEmptyPlan(diff(next, again, { resync: false })), 'there is something to do a second time')
    const repeated = diff(next, again, { resync: true })
    assert.deepEqual(repeated, { wanted: Object.values(next.links), changed: [], unwanted: [] })
    state = next
  }
}

export const target = targetOf('graph', 'the graph, from its bytes to what the controller plants', [
  check({ name: 'body', inputs: anyBody, kept: Body, tries: 400, holds: aBodyIsAGraphOrIsNot }),
  check({
    name: 'entries',
    inputs: entryTexts(12),
    kept: t.array(t.string),
    tries: 200,
    holds: noEntryHidesAnother,
  }),
  check({ name: 'desired', inputs: readings, kept: Readings, tries: 100, holds: onlyTheLastReadingCounts }),
  check({ name: 'world', inputs: story, kept: KeptStory, tries: 20, holds: theWorldFollows }),
])
