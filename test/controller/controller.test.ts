import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { Policy } from '../../src/access/verdict.ts'
import { ALLOW_ALL } from '../../src/access/verdict.ts'
import type { Controller } from '../../src/controller/controller.ts'
import { createController } from '../../src/controller/controller.ts'
import type { LinkTransition } from '../../src/controller/links.ts'
import type { EffectRecord } from '../../src/controller/provide.ts'
import type { Graph } from '../../src/model/graph.ts'
import { EMPTY_GRAPH } from '../../src/model/graph.ts'
import { DEFAULT_LIMITS, type Limits } from '../../src/model/limits.ts'
import type { Link } from '../../src/model/link.ts'
import { keyOf } from '../../src/model/link.ts'
import { createCatalogue } from '../../src/plugin/catalogue.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import type { LinkBuilder } from '../support/builders.ts'
import { aGraph, aLink, pid } from '../support/builders.ts'
import type { FakeEnvironment, FakeSource, FakeWorld, LogLine } from '../support/fakes.ts'
import {
  addressOf,
  fakeEnvironment,
  fakeLog,
  fakePlugin,
  fakeSource,
  fakeWorld,
  pass,
  placeOf,
  settled,
} from '../support/fakes.ts'

interface Bench {
  readonly env: FakeEnvironment
  readonly source: FakeSource
  readonly world: FakeWorld
  readonly controller: Controller
  readonly transitions: LinkTransition[]
  readonly effects: EffectRecord[]
  /** How the world was looked at, pass by pass. */
  readonly looks: readonly ('deep' | 'by name')[]
  readonly lines: LogLine[]
  policy: Policy
  /** The graph from now on, and a pass over it. */
  shows(graph: Graph): Promise<void>
  stateOf(link: LinkBuilder): string | undefined
  messages(message: string): readonly LogLine[]
}

const bench = (plugins: Readonly<Record<string, Plugin>> = {}, limits: Partial<Limits> = {}): Bench => {
  const env = fakeEnvironment()
  const source = fakeSource()
  const log = fakeLog()
  const world = fakeWorld(log)
  const effects: EffectRecord[] = []
  const transitions: LinkTransition[] = []
  const looks: ('deep' | 'by name')[] = []
  const all: Record<string, Plugin> = { unix: fakePlugin('unix'), rest: fakePlugin('rest'), ...plugins }
  const loaders = Object.fromEntries(
    Object.entries(all).map(([type, plugin]) => [type, async () => ({ default: plugin })]),
  )
  const b: Bench = {
    env,
    source,
    world,
    transitions,
    effects,
    looks,
    lines: log.lines,
    policy: ALLOW_ALL,
    controller: createController({
      env,
      source,
      host: {
        ...world.host,
        observe: (ids, deep) => {
          looks.push(deep ? 'deep' : 'by name')
          return world.host.observe(ids, deep)
        },
      },
      plugins: createCatalogue(loaders),
      limits: { ...DEFAULT_LIMITS, ...limits },
      log,
      intervalMs: 1000,
      policy: () => b.policy,
      onNotice: notice => {
        if (notice._tag === 'EffectEnded') effects.push(notice.effect)
      },
    }),
    shows: async graph => {
      source.says(graph)
      await b.controller.kick('asked')
      await settled()
    },
    stateOf: link => b.controller.link(keyOf(link.build()))?.state,
    messages: message => log.lines.filter(line => line.message === message),
  }
  b.controller.onTransition(transition => transitions.push(transition))
  b.controller.start()
  return b
}

const serving = async (...links: readonly LinkBuilder[]): Promise<Bench> => {
  const b = bench()
  await b.shows(aGraph(...links))
  return b
}

const app = aLink('app')
const web = aLink('web').running(110)

describe('controller: from graph to world', () => {
  it('the links of a graph are planted, and the daemon serves', async () => {
    const b = await serving(app, web)
    assert.deepEqual([...b.world.planted.keys()], ['app:/run/pv/api.sock', 'web:/run/pv/api.sock'])
    assert.equal(b.controller.state(), 'serving')
    assert.deepEqual(
      b.controller.links().map(({ state }) => state),
      ['mediating.steady', 'mediating.steady'],
    )
    assert.deepEqual([...b.world.followed].sort(), [100, 110, 200])
  })

  it('a second pass over the same world says nothing to any link', async () => {
    const b = await serving(app, web)
    const before = b.transitions.length
    await b.shows(aGraph(app, web))
    await pass(b.env, 10_000)
    assert.equal(b.transitions.length, before)
    assert.equal(b.effects.length, 2)
  })

  it('an empty array tears everything down', async () => {
    const b = await serving(app, web)
    await b.shows(EMPTY_GRAPH)
    assert.equal(b.world.planted.size, 0)
    assert.deepEqual(b.controller.links(), [])
  })

  it('a failed read keeps the last graph, and is logged once per change', async () => {
    const b = await serving(app)
    b.source.fails()
    await pass(b.env, 10_000)
    assert.equal(b.world.planted.size, 1)
    assert.equal(b.controller.conditions().find(({ type }) => type === 'GraphAvailable')?.status, 'False')
    assert.equal(b.messages('the graph cannot be read, the last one stays in force').length, 1)
    b.source.says(aGraph(app))
    await pass(b.env, 5000)
    assert.equal(b.messages('the graph can be read').length, 2)
  })

  it('another kind of failure is logged too, and the same kind again is not', async () => {
    const b = await serving(app)
    b.source.fails({ _tag: 'Unreachable', socketPath: '/pv', errno: 'ENOENT' })
    await b.controller.kick('asked')
    b.source.fails({ _tag: 'Unreachable', socketPath: '/pv', errno: 'ECONNREFUSED' })
    await b.controller.kick('asked')
    b.source.fails({ _tag: 'NotJson', reason: 'garbage' })
    await b.controller.kick('asked')
    assert.deepEqual(
      b
        .messages('the graph cannot be read, the last one stays in force')
        .map(({ facts }) => 'error' in facts && facts.error),
      [
        { _tag: 'Unreachable', socketPath: '/pv', errno: 'ENOENT' },
        { _tag: 'NotJson', reason: 'garbage' },
      ],
    )
  })

  it('before the first graph nothing is planned', async () => {
    const b = bench()
    await pass(b.env, 5000)
    assert.equal(b.controller.state(), 'syncing')
    assert.equal(b.controller.graph(), null)
  })

  it('rejected entries are logged once per change', async () => {
    const b = await serving(app)
    const graph = (reason: string): Graph => ({ ...aGraph(app), rejected: [{ index: 1, reason }] })
    await b.shows(graph('bad'))
    await b.shows(graph('bad'))
    await b.shows(graph('worse'))
    assert.equal(b.messages('an entry of the graph was rejected').length, 2)
  })

  it('what a policy denies is not planted, and is when the policy changes', async () => {
    const b = bench()
    b.policy = { default: 'allow', rules: [{ effect: 'deny', consumer: 'app' }] }
    await b.shows(aGraph(app, web))
    assert.equal(b.stateOf(app), 'pending.blocked')
    assert.equal(b.stateOf(web), 'mediating.steady')
    assert.equal(b.messages('link not admitted').length, 1)
    b.policy = ALLOW_ALL
    await b.controller.kick('sighup')
    await settled()
    assert.equal(b.stateOf(app), 'mediating.steady')
  })

  it('a link of a type without a plugin is shown with the reason', async () => {
    const b = await serving(app.ofType('gpio'))
    const view = b.controller.links()[0]
    assert.deepEqual(view?.desired.verdict, { _tag: 'Unsupported', reason: 'no plugin for type "gpio"' })
  })
})

describe('controller: providers and consumers', () => {
  it('a provider that comes late is taken up without planting again', async () => {
    const b = await serving(app.from('net', null))
    assert.equal(b.world.planted.get('app:/run/pv/api.sock')?.provider.pid, null)
    await b.shows(aGraph(app.from('net', 200)))
    await b.shows(aGraph(app.from('net', 201)))
    assert.equal(b.world.planted.get('app:/run/pv/api.sock')?.provider.pid, 201)
    assert.equal(b.world.injections, 1)
    assert.equal(b.world.withdrawals, 0)
  })

  it('a provider that is gone leaves the link mediating', async () => {
    const b = await serving(app)
    b.world.exit(pid(200))
    await settled()
    await b.shows(aGraph(app.from('net', null)))
    assert.equal(b.stateOf(app), 'mediating.steady')
    assert.equal(b.world.injections, 1)
  })

  it('a plugin that cannot change in place has its link removed and added', async () => {
    const { onLinkChanged: _, ...still } = fakePlugin('unix')
    const b = bench({ unix: still })
    await b.shows(aGraph(app))
    await b.shows(aGraph(app.from('net', 201)))
    assert.equal(b.world.injections, 2)
    assert.equal(b.world.withdrawals, 1)
  })

  it('a consumer that exits has its links torn down at once, and a pass runs', async () => {
    const b = await serving(app, web)
    const passes = b.controller.passes()
    b.world.exit(pid(100))
    assert.equal(b.stateOf(app), 'tearing-down.renewing')
    await settled()
    assert.deepEqual([...b.world.planted.keys()], ['web:/run/pv/api.sock'])
    assert.equal(b.controller.passes(), passes + 1)
    assert.equal(b.stateOf(app), 'pending.waiting')
  })

  it('while Pantavisor still lists a dead process no storm of passes begins', async () => {
    const b = await serving(app)
    b.world.exit(pid(100))
    await settled()
    const passes = b.controller.passes()
    await pass(b.env, 5000)
    assert.ok(b.controller.passes() - passes <= 5)
  })

  it('an exit that nobody reported is found by the next pass', async () => {
    const b = await serving(app)
    b.world.dead.add(pid(100))
    await pass(b.env, 1000)
    assert.equal(b.world.planted.size, 0)
  })

  it('a consumer that restarted is injected at once, whatever failed before', async () => {
    const b = await serving(app)
    b.world.exit(pid(100))
    await pass(b.env, 3000)
    await b.shows(aGraph(app.running(101)))
    assert.equal(b.stateOf(app), 'mediating.steady')
    assert.equal(b.world.planted.get('app:/run/pv/api.sock')?.link.consumer_pid, 101)
  })

  it('a deleted socket is planted again within an interval, its connections kept', async () => {
    const b = await serving(app)
    b.world.deleteTarget(app.build())
    await pass(b.env, 1000)
    assert.equal(b.stateOf(app), 'mediating.steady')
    assert.deepEqual([b.world.injections, b.world.replants, b.world.withdrawals], [1, 1, 0])
  })

  it('a target that changed is looked at without waiting for the interval', async () => {
    const b = await serving(app)
    b.world.deleteTarget(app.build())
    const planted = b.world.planted.get('app:/run/pv/api.sock')
    assert.ok(planted !== undefined)
    b.world.attention({ _tag: 'TargetChanged', id: planted.mediation.id })
    await settled()
    assert.equal(b.world.replants, 1)
  })

  it('an unknown provider and the host are not followed', async () => {
    const b = await serving(app.running(0).from('net', null))
    assert.deepEqual([...b.world.followed], [])
    assert.equal(b.world.planted.size, 1)
  })
})

describe('controller: limits', () => {
  it('a link that failed is tried again when it was asked to, at last at the longest time', async () => {
    const b = bench({}, { retryMs: 100, retryMaxMs: 300 })
    const gone = { _tag: 'PeerGone', peer: 'consumer', pid: pid(100) } as const
    b.world.failNext(keyOf(app.build()), gone, gone, gone, gone, gone)
    await b.shows(aGraph(app))
    const tried: number[] = []
    for (let ms = 0; ms <= 1300; ms += 10) {
      if (b.effects.length > tried.length) tried.push(ms)
      await pass(b.env, 10, 10)
    }
    assert.deepEqual(tried, [0, 100, 300, 600, 900, 1200])
    assert.equal(b.stateOf(app), 'mediating.steady')
  })

  it('everything is told anew when it was asked to be', async () => {
    const b = bench({}, { resyncMs: 5000 })
    b.world.failNext(keyOf(app.build()), { _tag: 'TargetOccupied', target: '/run/pv/api.sock', by: 'file' })
    await b.shows(aGraph(app))
    await pass(b.env, 4500, 500)
    assert.equal(b.stateOf(app), 'pending.blocked')
    await pass(b.env, 1000, 500)
    assert.equal(b.stateOf(app), 'mediating.steady')
  })

  it('the whole path is looked at when it was asked to be, the name in every pass', async () => {
    const b = bench({}, { deepLookMs: 3000 })
    await b.shows(aGraph(app))
    const before = b.looks.length
    await pass(b.env, 6500, 100)
    assert.deepEqual(b.looks.slice(before), ['by name', 'by name', 'deep', 'by name', 'by name', 'deep'])
  })

  it('what containers cause makes passes no closer than they may be', async () => {
    const b = bench({}, { looksApartMs: 400 })
    await b.shows(aGraph(app))
    await pass(b.env, 500)
    const before = b.controller.passes()
    for (let n = 0; n < 200; n += 1) {
      b.world.attention({ _tag: 'MountsChanged', pid: pid(100) })
      await pass(b.env, 10, 10)
    }
    const caused = b.controller.passes() - before
    // One each 400 ms and the first; the two of the interval aside.
    assert.ok(caused >= 5 && caused <= 6 + 2, `${caused} passes`)
  })
})

describe('controller: failures', () => {
  it('a failed injection is retried with backoff, and logged once per change of error', async () => {
    const b = bench()
    const key = keyOf(app.build())
    const gone = { _tag: 'PeerGone', peer: 'consumer', pid: pid(100) } as const
    b.world.failNext(key, gone, gone, gone, { _tag: 'PeerNotRunning', peer: 'consumer' })
    await b.shows(aGraph(app))
    await pass(b.env, 700)
    assert.equal(b.stateOf(app), 'pending.waiting')
    await pass(b.env, 4000)
    assert.equal(b.stateOf(app), 'mediating.steady')
    assert.equal(b.messages('an effect failed').length, 2)
  })

  it('an error that waiting cannot help is tried again with the resync', async () => {
    const b = bench()
    const key = keyOf(app.build())
    b.world.failNext(key, { _tag: 'TargetOccupied', target: '/run/pv/api.sock', by: 'file' })
    await b.shows(aGraph(app))
    await pass(b.env, 29_000, 500)
    assert.equal(b.stateOf(app), 'pending.blocked')
    await pass(b.env, 2000, 500)
    assert.equal(b.stateOf(app), 'mediating.steady')
  })

  const faults: readonly (readonly [string, Partial<Plugin>, RegExp])[] = [
    [
      'throws',
      {
        onLinkAdded: () => {
          throw new Error('oops')
        },
      },
      /plugin rest failed: oops/,
    ],
    ['rejects', { onLinkAdded: () => () => Promise.reject(new Error('oops')) }, /plugin rest failed: oops/],
    [
      'answers nonsense',
      { onLinkAdded: () => async () => JSON.parse('{"_tag":"Right"}') },
      /it gave no mediation/,
    ],
    [
      'answers an unknown error',
      { onLinkAdded: () => async () => JSON.parse('{"_tag":"Left","left":{"_tag":"Odd"}}') },
      /it gave no error we know/,
    ],
    ['answers nothing', { onLinkAdded: () => async () => JSON.parse('null') }, /neither Left nor Right/],
  ]
  for (const [name, changes, message] of faults) {
    it(`a plugin that ${name} blocks its own link only`, async () => {
      const b = bench({ rest: fakePlugin('rest', changes) })
      await b.shows(aGraph(app.ofType('rest'), web))
      assert.equal(b.stateOf(web), 'mediating.steady')
      assert.equal(b.stateOf(app.ofType('rest')), 'pending.blocked')
      assert.match(b.transitions.find(({ to }) => to === 'pending.blocked')?.reason ?? '', message)
    })
  }

  it('a teardown that throws is reported, and the link is released', async () => {
    const onLinkRemoved: Plugin['onLinkRemoved'] = () => () => Promise.reject(new Error('oops'))
    const b = bench({ unix: fakePlugin('unix', { onLinkRemoved }) })
    await b.shows(aGraph(app))
    await b.shows(EMPTY_GRAPH)
    assert.deepEqual(b.controller.links(), [])
    assert.deepEqual(b.messages('something was left behind')[0]?.facts, {
      link: keyOf(app.build()),
      leftBehind: ['/run/pv/api.sock: plugin unix failed: oops'],
    })
  })

  it('a bug in a pass ends that pass only', async () => {
    const b = await serving(app)
    b.policy = JSON.parse('null')
    await pass(b.env, 1000)
    assert.equal(b.messages('a pass failed').length > 0, true)
    b.policy = ALLOW_ALL
    await b.shows(EMPTY_GRAPH)
    assert.equal(b.world.planted.size, 0)
  })
})

describe('controller: two links, one target', () => {
  const first = app.named('first')
  const second = app.named('second').from('other', 300)

  it('the second takes over when the first goes, without meeting its socket', async () => {
    const b = await serving(first, second)
    assert.equal(b.stateOf(second), 'pending.blocked')
    await b.shows(aGraph(second))
    assert.equal(b.stateOf(second), 'mediating.steady')
    assert.equal(b.world.planted.get('app:/run/pv/api.sock')?.link.name, 'second')
    assert.equal(b.messages('an effect failed').length, 0)
  })

  it('they change places when the graph does, even while the first is being injected', async () => {
    const b = bench()
    const release = b.world.holdInjection(keyOf(first.build()))
    await b.shows(aGraph(first, second))
    await b.shows(aGraph(second, first))
    assert.equal(b.stateOf(second), 'injecting.wanted')
    release()
    await settled()
    assert.equal(b.stateOf(second), 'mediating.steady')
    assert.equal(b.stateOf(first), 'pending.blocked')
    assert.equal(b.messages('an effect failed').length, 0)
  })
})

describe('controller: one after the other', () => {
  it('a change that still runs is over before the teardown begins', async () => {
    const order: string[] = []
    let open = (): void => undefined
    const gate = new Promise<void>(resolve => {
      open = resolve
    })
    const plain = fakePlugin('unix')
    const b = bench({
      unix: fakePlugin('unix', {
        onLinkChanged: (_, mediation) => async () => {
          await gate
          order.push('changed')
          return { _tag: 'Right', right: mediation }
        },
        onLinkRemoved: (link, mediation, box) => async () => {
          order.push('removed')
          return plain.onLinkRemoved(link, mediation, box)()
        },
      }),
    })
    await b.shows(aGraph(app))
    await b.shows(aGraph(app.from('net', 201)))
    assert.equal(b.stateOf(app), 'mediating.changing')
    await b.shows(EMPTY_GRAPH)
    assert.equal(b.stateOf(app), 'tearing-down.closing')
    open()
    await settled()
    assert.deepEqual(order, ['changed', 'removed'])
    assert.equal(b.world.planted.size, 0)
  })

  it('triggers during a pass cause exactly one more', async () => {
    const b = await serving(app)
    const open = b.source.hold()
    const reads = b.source.reads
    void b.controller.kick('asked')
    for (let n = 0; n < 5; n += 1) void b.controller.kick('sighup')
    open()
    await settled()
    assert.equal(b.source.reads, reads + 2)
  })
})

describe('controller: draining', () => {
  it('everything planted is removed, and nothing is planted afterwards', async () => {
    const b = await serving(app, web)
    await b.controller.drain()
    assert.equal(b.world.planted.size, 0)
    assert.equal(b.controller.state(), 'stopped')
    await pass(b.env, 5000)
    assert.equal(b.world.planted.size, 0)
  })

  it('an injection that still runs is waited for and undone', async () => {
    const b = bench()
    const release = b.world.holdInjection(keyOf(app.build()))
    await b.shows(aGraph(app))
    const drained = b.controller.drain()
    assert.equal(b.stateOf(app), 'injecting.abandoned')
    release()
    await drained
    assert.equal(b.world.planted.size, 0)
    assert.deepEqual([b.world.injections, b.world.withdrawals], [1, 1])
  })

  it('what does not end is given up after a bound, and named', async () => {
    const b = bench()
    b.world.holdInjection(keyOf(app.build()))
    await b.shows(aGraph(app))
    const drained = b.controller.drain()
    await pass(b.env, 3000)
    await drained
    assert.deepEqual(b.messages('draining took too long')[0]?.facts, {
      left: [{ link: keyOf(app.build()), state: 'injecting.abandoned' }],
    })
  })

  it('a second call stops at once', async () => {
    const b = bench()
    b.world.holdInjection(keyOf(app.build()))
    await b.shows(aGraph(app))
    const drained = b.controller.drain()
    await b.controller.drain()
    await drained
    assert.equal(b.controller.state(), 'stopped')
  })

  it('a pass that was reading meanwhile plants nothing', async () => {
    const b = await serving(app)
    const open = b.source.hold()
    void b.controller.kick('asked')
    b.source.says(aGraph(web))
    await b.controller.drain()
    open()
    await settled()
    assert.equal(b.world.planted.size, 0)
  })

  it('a controller that never started is drained', async () => {
    const world = fakeWorld()
    const controller = createController({
      env: fakeEnvironment(),
      source: fakeSource(),
      host: world.host,
      plugins: createCatalogue({}),
      limits: DEFAULT_LIMITS,
      log: fakeLog(),
      intervalMs: 1000,
    })
    await controller.drain()
  })
})

describe('controller: transitions', () => {
  it('each is told once, with its event as the table calls it, and logged with the pass', async () => {
    const b = await serving(app)
    await b.shows(EMPTY_GRAPH)
    assert.deepEqual(
      b.transitions.map(({ from, to, event }) => [from, to, event]),
      [
        [null, 'injecting.wanted', 'link.wanted'],
        ['injecting.wanted', 'mediating.steady', 'inject: Right'],
        ['mediating.steady', 'tearing-down.closing', 'link.unwanted'],
        ['tearing-down.closing', 'released', 'teardown done'],
      ],
    )
    const moved = b.messages('link moved')
    assert.equal(moved.length, 4)
    assert.deepEqual(Object.keys(moved[0]?.facts ?? {}), ['link', 'from', 'to', 'reason', 'pass'])
  })
})

describe('controller: level-triggered, end to end', () => {
  const aLinkOf = fc
    .record({
      consumer: fc.constantFrom('app', 'web'),
      name: fc.constantFrom('a', 'b'),
      target: fc.constantFrom('/x', '/y'),
      type: fc.constantFrom('unix', 'unix', 'rest', 'gpio'),
      consumerPid: fc.constantFrom(null, 0, 101, 102),
      providerPid: fc.constantFrom(null, 201, 202),
    })
    .map(({ consumer, name, target, type, consumerPid, providerPid }) =>
      aLink(consumer).named(name).at(target).ofType(type).running(consumerPid).from('net', providerPid),
    )
  const aGraphOf = fc
    .uniqueArray(aLinkOf, { selector: link => keyOf(link.build()), maxLength: 5 })
    .map(links => aGraph(...links))

  const step = fc.oneof(
    { weight: 5, arbitrary: aGraphOf.map(graph => ({ graph })) },
    { weight: 1, arbitrary: fc.constant({ failed: true }) },
    { weight: 1, arbitrary: fc.constantFrom('/x', '/y').map(deleted => ({ deleted })) },
    { weight: 1, arbitrary: fc.constantFrom(101, 102).map(exited => ({ exited })) },
    { weight: 1, arbitrary: fc.constantFrom(100, 1000, 7000).map(ms => ({ ms })) },
  )

  /** What should be planted: the first link of each target that may be connected and whose consumer runs. */
  const expectedOf = (graph: Graph): Map<string, Link> => {
    const owners = new Map<string, Link>()
    for (const link of graph.links) {
      if (link.type !== 'gpio' && !owners.has(placeOf(link))) owners.set(placeOf(link), link)
    }
    return new Map([...owners].filter(([, link]) => link.consumer_pid !== null))
  }

  it('whatever came before, the world ends as the last graph says, and nothing leaks', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), aGraphOf, async (steps, last) => {
        const b = bench()
        for (const one of steps) {
          if ('graph' in one) b.source.says(one.graph)
          else if ('failed' in one) b.source.fails()
          else if ('deleted' in one) b.world.deleteTarget(aLink('app').at(one.deleted).build())
          else if ('exited' in one) b.world.exit(pid(one.exited))
          else await pass(b.env, one.ms, 500)
          if ('graph' in one) await b.controller.kick('asked')
        }
        b.world.dead.clear()
        b.source.says(last)
        await pass(b.env, 40_000, 1000)

        const expected = expectedOf(last)
        assert.deepEqual([...b.world.planted.keys()].sort(), [...expected.keys()].sort())
        for (const [place, link] of expected) {
          const planted = b.world.planted.get(place)
          assert.equal(planted && keyOf(planted.link), keyOf(link))
          assert.equal(planted?.link.consumer_pid, link.consumer_pid)
          assert.deepEqual(planted?.provider, addressOf(link))
        }
        assert.equal(b.controller.links().length, last.links.length)

        const quiet = b.transitions.length
        await pass(b.env, 10_000, 1000)
        assert.equal(b.transitions.length, quiet)

        await b.shows(EMPTY_GRAPH)
        assert.equal(b.world.planted.size, 0)
        assert.equal(b.world.injections, b.world.withdrawals)
        await b.controller.drain()
      }),
      { numRuns: 150 },
    )
  })
})
