/**
 * Stories for the controller, on fakes: graphs good and bad, processes that end, targets that vanish, plugins that
 * fail or take their time. Whatever the story, the world must end as its last graph says, and nothing may be left.
 */
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import * as t from 'io-ts'
import type { Policy } from '../../src/access/verdict.ts'
import { ALLOW_ALL, verdictFor } from '../../src/access/verdict.ts'
import { createController } from '../../src/controller/controller.ts'
import { E } from '../../src/fp.ts'
import { decodeGraph } from '../../src/graph/codec.ts'
import type { ReadError } from '../../src/graph/errors.ts'
import { sourceOf } from '../../src/graph/source.ts'
import type { InjectError } from '../../src/model/errors.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import type { Link, LinkKey } from '../../src/model/link.ts'
import { keyOf } from '../../src/model/link.ts'
import { createCatalogue } from '../../src/plugin/catalogue.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import { pid } from '../support/builders.ts'
import {
  addressOf,
  fakeEnvironment,
  fakeLog,
  fakePlugin,
  fakeWorld,
  pass,
  placeOf,
  settled,
} from '../support/fakes.ts'
import { bodyBytes, entryTexts } from './graphs.ts'
import { arrayText, KeptBytes } from './json-text.ts'
import { KeptPolicy, policy } from './policies.ts'

const ERRORS: readonly InjectError[] = [
  {
    _tag: 'TargetRefused',
    target: '/x',
    cause: { _tag: 'SyscallError', call: 'bind', errno: 'EROFS', subject: 'x' },
  },
  { _tag: 'TargetOccupied', target: '/x', by: 'file' },
  { _tag: 'PeerNotRunning', peer: 'provider' },
  { _tag: 'PluginFailed', plugin: 'unix', message: 'so it goes' },
]

const Said = t.type({ entries: t.array(t.string), policy: KeptPolicy })

const Step = t.union([
  t.type({ says: Said }),
  t.type({ babbles: KeptBytes }),
  t.type({ isAway: t.literal(true) }),
  t.type({ exits: t.number }),
  t.type({ waitsMs: t.number }),
  /** `which`: a link of the last graph, counted round. */
  t.type({ which: t.number, event: t.keyof({ 'is deleted': null, 'takes long': null, 'is done': null }) }),
  t.type({ which: t.number, refusedWith: t.number, times: t.number }),
])
type Step = t.TypeOf<typeof Step>

export const KeptStory = t.type({ steps: t.array(Step), last: Said })
type Story = t.TypeOf<typeof KeptStory>

const said = fc.record({ entries: entryTexts(6), policy: fc.oneof(fc.constant(ALLOW_ALL), policy) })
const which = fc.nat(5)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: said.map(says => ({ says })) },
  { weight: 1, arbitrary: bodyBytes.map(babbles => ({ babbles })) },
  { weight: 1, arbitrary: fc.constant({ isAway: true as const }) },
  { weight: 2, arbitrary: fc.constantFrom(101, 102, 201, 202).map(exits => ({ exits })) },
  { weight: 3, arbitrary: fc.constantFrom(50, 300, 1000, 7000, 31_000).map(waitsMs => ({ waitsMs })) },
  {
    weight: 4,
    arbitrary: fc.record({ which, event: fc.constantFrom('is deleted', 'takes long', 'is done') }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      which,
      refusedWith: fc.nat(ERRORS.length - 1),
      times: fc.integer({ min: 1, max: 4 }),
    }),
  },
)

export const story: fc.Arbitrary<Story> = fc.record({ steps: fc.array(step, { maxLength: 12 }), last: said })

const { onLinkChanged: _, ...renewed } = fakePlugin('drm')

/** One follows its provider, one has to be renewed, one is choosy; nobody knows the other types. */
const PLUGINS: Readonly<Record<string, Plugin>> = {
  unix: fakePlugin('unix'),
  drm: renewed,
  rest: fakePlugin('rest', {
    admits: ({ role }) =>
      role === 'any' ? { _tag: 'Denied', rule: 'plugin rest' } : { _tag: 'Admitted', rule: 'plugin' },
  }),
}

const AWAY: E.Either<ReadError, Buffer> = E.left({
  _tag: 'Unreachable',
  socketPath: '/pv-ctrl',
  errno: 'ENOENT',
})

const open = () => {
  const env = fakeEnvironment()
  const log = fakeLog()
  const world = fakeWorld(log)
  let answer: E.Either<ReadError, Buffer> = E.right(Buffer.from('[]'))
  let rules: Policy = ALLOW_ALL
  let links: readonly Link[] = []
  let moves = 0
  const controller = createController({
    env,
    source: sourceOf(async () => answer, DEFAULT_LIMITS),
    host: world.host,
    plugins: createCatalogue(
      Object.fromEntries(
        Object.entries(PLUGINS).map(([type, plugin]) => [type, async () => ({ default: plugin })]),
      ),
    ),
    limits: DEFAULT_LIMITS,
    log,
    intervalMs: 1000,
    policy: () => rules,
  })
  controller.onTransition(() => {
    moves += 1
  })
  const answers = async (body: E.Either<ReadError, Uint8Array>): Promise<void> => {
    answer = E.isRight(body) ? E.right(Buffer.from(body.right)) : body
    const graph = E.isRight(answer) ? decodeGraph(answer.right, DEFAULT_LIMITS) : undefined
    if (graph !== undefined && E.isRight(graph)) links = graph.right.links
    await controller.kick('asked')
    await settled()
  }
  controller.start()
  return {
    env,
    log,
    world,
    controller,
    moves: () => moves,
    links: () => links,
    rules: () => rules,
    answers,
    says: ({ entries, policy: next }: Story['last']): Promise<void> => {
      rules = next
      return answers(E.right(Buffer.from(arrayText(entries))))
    },
  }
}

type Stage = ReturnType<typeof open>

const play = async (stage: Stage, steps: readonly Step[]): Promise<void> => {
  const { env, world } = stage
  const held = new Map<LinkKey, () => void>()
  const release = (key: LinkKey): void => {
    held.get(key)?.()
    held.delete(key)
  }
  for (const one of steps) {
    if ('says' in one) await stage.says(one.says)
    else if ('babbles' in one) await stage.answers(E.right(one.babbles))
    else if ('isAway' in one) await stage.answers(AWAY)
    else if ('exits' in one) world.exit(pid(one.exits))
    else if ('waitsMs' in one) await pass(env, one.waitsMs, 500)
    else {
      const link = stage.links()[one.which % Math.max(1, stage.links().length)]
      if (link === undefined) continue
      const key = keyOf(link)
      if ('refusedWith' in one) {
        const error = ERRORS[one.refusedWith % ERRORS.length]
        if (error !== undefined) world.failNext(key, ...Array<InjectError>(one.times).fill(error))
      } else if (one.event === 'is deleted') world.deleteTarget(link)
      else if (one.event === 'is done') release(key)
      else if (!held.has(key)) held.set(key, world.holdInjection(key))
    }
  }
  for (const key of [...held.keys()]) release(key)
  await settled()
}

/** By place, the link that should be planted there: the first that may be connected, if its consumer runs. */
const expectedOf = (links: readonly Link[], rules: Policy): ReadonlyMap<string, Link> => {
  const owners = new Map<string, Link>()
  for (const link of links) {
    const plugin = PLUGINS[link.type]
    if (plugin === undefined || !Object.hasOwn(PLUGINS, link.type) || owners.has(placeOf(link))) continue
    if (verdictFor(link, rules, plugin.admits?.(link))._tag === 'Admitted') owners.set(placeOf(link), link)
  }
  return new Map([...owners].filter(([, link]) => link.consumer_pid !== null))
}

const isAsExpected = ({ world, links, rules, controller }: Stage): void => {
  const expected = expectedOf(links(), rules())
  assert.deepEqual([...world.planted.keys()].sort(), [...expected.keys()].sort())
  for (const [place, link] of expected) {
    const planted = world.planted.get(place)
    assert.deepEqual(planted?.link && keyOf(planted.link), keyOf(link))
    assert.equal(planted?.link.consumer_pid, link.consumer_pid)
    assert.deepEqual(planted?.provider, addressOf(link))
  }
  assert.equal(controller.links().length, links().length)
}

/** Longer than a resync and all backoff: what can heal has healed by then. */
const LONG_MS = 45_000

export const theWorldFollows = async ({ steps, last }: Story): Promise<void> => {
  const stage = open()
  const { env, world, controller, log } = stage
  await play(stage, steps)
  for (const key of [...world.planted.values()].map(({ link }) => keyOf(link))) world.failNext(key)
  for (const link of stage.links()) world.failNext(keyOf(link))
  world.dead.clear()
  await stage.says(last)
  for (const link of stage.links()) world.failNext(keyOf(link))
  await pass(env, LONG_MS, 1000)
  isAsExpected(stage)

  const before = stage.moves()
  await pass(env, 10_000, 1000)
  assert.equal(stage.moves(), before, 'something still moves in an unchanged world')

  await stage.answers(E.right(Buffer.from('[]')))
  await pass(env, 1000, 500)
  assert.equal(world.planted.size, 0, 'something is left after an empty graph')
  assert.equal(world.injections, world.withdrawals)
  assert.deepEqual(controller.links(), [])
  assert.deepEqual(
    log.lines.filter(({ level }) => level === 'error'),
    [],
  )
  await controller.drain()
}
