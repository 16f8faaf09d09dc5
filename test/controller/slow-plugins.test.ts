/** Plugins that take their time, or never get done: their own links wait, and in the end nothing is left planted. */

import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Controller } from '../../src/controller/controller.ts'
import { createController } from '../../src/controller/controller.ts'
import type { Graph } from '../../src/model/graph.ts'
import { EMPTY_GRAPH } from '../../src/model/graph.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import { keyOf } from '../../src/model/link.ts'
import { createCatalogue } from '../../src/plugin/catalogue.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import { aGraph, aLink, type LinkBuilder } from '../support/builders.ts'
import {
  type FakeEnvironment,
  type FakeWorld,
  fakeEnvironment,
  fakeLog,
  fakePlugin,
  fakeSource,
  fakeWorld,
  type LogLine,
  pass,
  settled,
} from '../support/fakes.ts'

/** Something that ends when the test says so. */
interface Gate {
  readonly opened: Promise<void>
  readonly open: () => void
}

const gate = (): Gate => {
  let open = (): void => undefined
  const opened = new Promise<void>(resolve => {
    open = resolve
  })
  return { opened, open: () => open() }
}

interface Bench {
  readonly env: FakeEnvironment
  readonly world: FakeWorld
  readonly controller: Controller
  readonly lines: readonly LogLine[]
  shows(graph: Graph): Promise<void>
  stateOf(link: LinkBuilder): string | undefined
  /** Why the link is not ready, as its conditions tell. */
  reasonOf(link: LinkBuilder): string | undefined
  factsOf(message: string): readonly object[]
}

/** `load` gives the module of the plugin `slow`, a third party's; `unix` is built in and quick. */
const bench = (load: () => Promise<unknown>, isThere: () => boolean = () => true): Bench => {
  const env = fakeEnvironment()
  const source = fakeSource()
  const log = fakeLog()
  const world = fakeWorld(log)
  const controller = createController({
    env,
    source,
    host: world.host,
    plugins: createCatalogue(
      { unix: async () => ({ default: fakePlugin('unix') }) },
      {
        folder: {
          path: '/plugins',
          find: async type =>
            type === 'slow' && isThere()
              ? { _tag: 'Module', path: '/plugins/slow/index.mjs', version: '1', load }
              : { _tag: 'Absent' },
          complaints: async () => [],
          culprit: () => undefined,
        },
        clock: env.clock,
        log,
        loadMs: 5000,
      },
    ),
    limits: DEFAULT_LIMITS,
    log,
    intervalMs: 1000,
  })
  controller.start()
  return {
    env,
    world,
    controller,
    lines: log.lines,
    shows: async graph => {
      source.says(graph)
      await controller.kick('asked')
      await settled()
      await settled()
    },
    stateOf: link => controller.link(keyOf(link.build()))?.state,
    reasonOf: link => {
      const { conditions = [] } = controller.link(keyOf(link.build()))?.context ?? {}
      return conditions.find(({ status, message }) => status === 'False' && message !== '')?.message
    },
    factsOf: message => log.lines.filter(line => line.message === message).map(({ facts }) => facts),
  }
}

const withPlugin = (changes: (plain: Plugin) => Partial<Plugin>): Bench => {
  const plain = fakePlugin('slow')
  return bench(async () => ({ default: { ...plain, ...changes(plain) } }))
}

const quick = aLink('web').running(110)
const slow = aLink('app').ofType('slow')
const key = keyOf(slow.build())

describe('a plugin that loads slowly', () => {
  it('does not delay the links of others, and its own come up without another graph', async () => {
    const loaded = gate()
    const b = bench(async () => {
      await loaded.opened
      return { default: fakePlugin('slow') }
    })
    await b.shows(aGraph(slow, quick))
    assert.equal(b.stateOf(quick), 'mediating.steady')
    assert.equal(b.stateOf(slow), 'pending.blocked')
    assert.equal(b.reasonOf(slow), 'plugin slow is still loading')
    await pass(b.env, 6000)
    assert.equal(b.reasonOf(slow), 'plugin slow did not load within 5 s')
    const passes = b.controller.passes()
    loaded.open()
    await settled()
    await settled()
    assert.equal(b.stateOf(slow), 'mediating.steady')
    assert.equal(b.controller.passes(), passes + 1)
  })

  it('is found at the next resync, or on SIGHUP, if it was not there at first', async () => {
    for (const how of ['resync', 'sighup']) {
      let isThere = false
      const b = bench(
        async () => ({ default: fakePlugin('slow') }),
        () => isThere,
      )
      await b.shows(aGraph(slow))
      assert.equal(b.reasonOf(slow), 'no plugin for type "slow"')
      isThere = true
      await pass(b.env, 5000, 500)
      assert.equal(b.stateOf(slow), 'pending.blocked')
      if (how === 'sighup') await b.controller.kick('sighup')
      else await pass(b.env, 26_000, 500)
      await settled()
      await settled()
      assert.equal(b.stateOf(slow), 'mediating.steady', how)
    }
  })
})

describe('a handler that does not answer', () => {
  it('blocks its link after its time, and nothing stays planted', async () => {
    const b = withPlugin(plain => ({
      onLinkAdded: (link, box, kept) => async () => {
        await plain.onLinkAdded(link, box, kept)()
        return new Promise(() => undefined)
      },
    }))
    await b.shows(aGraph(slow, quick))
    await pass(b.env, 29_000, 500)
    assert.equal(b.stateOf(slow), 'injecting.wanted')
    assert.equal(b.world.planted.size, 2)
    await pass(b.env, 1500, 500)
    assert.equal(b.stateOf(slow), 'pending.blocked')
    assert.equal(b.reasonOf(slow), 'plugin slow failed: it did not answer onLinkAdded within 30 s')
    assert.deepEqual([...b.world.planted.keys()], ['web:/run/pv/api.sock'])
  })

  it('is not called for its link again before it has answered', async () => {
    let calls = 0
    const b = withPlugin(() => ({
      onLinkAdded: () => () => {
        calls += 1
        return new Promise(() => undefined)
      },
    }))
    await b.shows(aGraph(slow))
    await pass(b.env, 95_000, 500)
    assert.equal(calls, 1)
    assert.equal(b.reasonOf(slow), 'plugin slow failed: it has not answered onLinkAdded yet')
  })

  it('whose answer comes too late is told to undo it, and the link comes up with the resync', async () => {
    const answers = gate()
    const removed: string[] = []
    let first = true
    const b = withPlugin(plain => ({
      onLinkAdded: (link, box, kept) => async () => {
        const mediation = await plain.onLinkAdded(link, box, kept)()
        if (first) await answers.opened
        first = false
        return mediation
      },
      onLinkRemoved: (link, mediation, box) => {
        removed.push(mediation.id)
        return plain.onLinkRemoved(link, mediation, box)
      },
    }))
    await b.shows(aGraph(slow))
    await pass(b.env, 31_000, 500)
    assert.equal(b.stateOf(slow), 'pending.blocked')
    answers.open()
    await settled()
    assert.deepEqual(removed, ['m1'])
    assert.deepEqual(b.factsOf('a plugin answered too late'), [{ link: key, plugin: 'slow', undone: true }])
    await pass(b.env, 31_000, 500)
    assert.equal(b.stateOf(slow), 'mediating.steady')
    assert.equal(b.world.planted.size, 1)
    assert.deepEqual(removed, ['m1'])
  })

  it('plants nothing with the toolbox of a link that it was too slow for', async () => {
    const answers = gate()
    const results: string[] = []
    const b = withPlugin(plain => ({
      onLinkAdded: (link, box, kept) => async () => {
        await answers.opened
        const result = await plain.onLinkAdded(link, box, kept)()
        results.push(result._tag)
        return result
      },
    }))
    await b.shows(aGraph(slow))
    await pass(b.env, 31_000, 500)
    answers.open()
    await settled()
    assert.deepEqual(results, ['Left'])
    assert.equal(b.world.injections, 0)
    await pass(b.env, 31_000, 500)
    assert.equal(b.stateOf(slow), 'mediating.steady')
  })

  it('plants nothing with a toolbox that it kept beyond the end of its link', async () => {
    let plantAgain: () => Promise<unknown> = async () => undefined
    const b = withPlugin(plain => ({
      onLinkAdded: (link, box, kept) => {
        plantAgain = plain.onLinkAdded(link, box)
        return plain.onLinkAdded(link, box, kept)
      },
    }))
    await b.shows(aGraph(slow))
    await b.shows(EMPTY_GRAPH)
    await plantAgain()
    assert.equal(b.world.planted.size, 0)
  })

  it('to a change costs its link what was planted, once, and the plugin is told when it wakes up', async () => {
    const answers = gate()
    let removals = 0
    const b = withPlugin(plain => ({
      onLinkChanged: (link, mediation, box) => async () => {
        await answers.opened
        return plain.onLinkChanged?.(link, mediation, box)() ?? { _tag: 'Right', right: mediation }
      },
      onLinkRemoved: (link, mediation, box) => {
        removals += 1
        return plain.onLinkRemoved(link, mediation, box)
      },
    }))
    await b.shows(aGraph(slow))
    await b.shows(aGraph(slow.from('net', 201)))
    assert.equal(b.stateOf(slow), 'mediating.changing')
    await pass(b.env, 31_000, 500)
    assert.equal(b.world.planted.size, 0)
    assert.equal(removals, 0)
    assert.deepEqual(b.factsOf('something was left behind'), [
      {
        link: key,
        leftBehind: ['/run/pv/api.sock: plugin slow failed: it has not answered onLinkChanged yet'],
      },
    ])
    answers.open()
    await settled()
    assert.equal(removals, 1)
    await pass(b.env, 31_000, 500)
    assert.equal(b.stateOf(slow), 'mediating.steady')
    assert.equal(b.world.planted.get('app:/run/pv/api.sock')?.provider.pid, 201)
  })

  it('to a change but a moment too late is told once that it is over', async () => {
    let removals = 0
    const b: Bench = withPlugin(plain => ({
      // The same moment as the bound of the call itself, which is looked at first.
      onLinkChanged: (_, mediation) => () =>
        new Promise(resolve => {
          b.env.clock.setTimeout(() => resolve({ _tag: 'Right', right: mediation }), 30_000)
        }),
      onLinkRemoved: (link, mediation, box) => {
        removals += 1
        return plain.onLinkRemoved(link, mediation, box)
      },
    }))
    await b.shows(aGraph(slow))
    await b.shows(aGraph(slow.from('net', 201)))
    await pass(b.env, 30_000, 500)
    assert.equal(removals, 1)
    assert.equal(b.factsOf('a plugin answered too late').length, 1)
    await pass(b.env, 1000)
    assert.equal(b.stateOf(slow), 'mediating.steady')
    assert.equal(b.world.planted.get('app:/run/pv/api.sock')?.provider.pid, 201)
  })

  it('to a removal is given up: the socket goes all the same, and what may be left is said', async () => {
    const b = withPlugin(() => ({ onLinkRemoved: () => () => new Promise(() => undefined) }))
    await b.shows(aGraph(slow))
    await b.shows(EMPTY_GRAPH)
    assert.equal(b.stateOf(slow), 'tearing-down.closing')
    await pass(b.env, 32_000, 500)
    assert.equal(b.stateOf(slow), undefined)
    assert.equal(b.world.planted.size, 0)
    assert.deepEqual(b.factsOf('something was left behind'), [
      {
        link: key,
        leftBehind: ['/run/pv/api.sock: plugin slow failed: it did not answer onLinkRemoved within 31 s'],
      },
    ])
  })

  it('does not concern the same link once it has another type', async () => {
    const b = withPlugin(() => ({ onLinkAdded: () => () => new Promise(() => undefined) }))
    await b.shows(aGraph(slow))
    await pass(b.env, 31_000, 500)
    assert.equal(b.stateOf(slow), 'pending.blocked')
    await b.shows(aGraph(slow.ofType('unix')))
    assert.equal(b.stateOf(slow), 'mediating.steady')
  })

  it('does not keep the next link from its target', async () => {
    const b = withPlugin(plain => ({
      onLinkAdded: (link, box, kept) => async () => {
        await plain.onLinkAdded(link, box, kept)()
        return new Promise(() => undefined)
      },
    }))
    await b.shows(aGraph(slow))
    const next = aLink('app').named('next')
    await b.shows(aGraph(next))
    assert.equal(b.stateOf(next), 'injecting.wanted')
    await pass(b.env, 31_000, 500)
    assert.equal(b.stateOf(next), 'mediating.steady')
  })
})

describe('a handler that misbehaves', () => {
  it('with an error leaves nothing planted, whatever it had planted before', async () => {
    const b = withPlugin(plain => ({
      onLinkAdded: (link, box) => async () => {
        await plain.onLinkAdded(link, box)()
        throw new Error('oops')
      },
    }))
    await b.shows(aGraph(slow))
    assert.equal(b.reasonOf(slow), 'plugin slow failed: oops')
    assert.equal(b.world.planted.size, 0)
  })

  it('with a mediation of its own invention fails, and is not planted again and again', async () => {
    const b = withPlugin(plain => ({
      onLinkAdded: (link, box) => async () => {
        const result = await plain.onLinkAdded(link, box)()
        return JSON.parse(JSON.stringify(result).replace('"m1"', '"mine"'))
      },
    }))
    await b.shows(aGraph(slow))
    assert.equal(b.reasonOf(slow), 'plugin slow failed: it gave a mediation that its toolbox does not know')
    await pass(b.env, 5000)
    assert.equal(b.world.injections, 1)
    assert.equal(b.world.planted.size, 0)
  })

  for (const answer of ['null', '{}', '{"connectionsClosed":0,"leftBehind":"all"}', '"fine"']) {
    it(`that reports ${answer} of a removal has its socket removed by the core`, async () => {
      const b = withPlugin(() => ({ onLinkRemoved: () => async () => JSON.parse(answer) }))
      await b.shows(aGraph(slow))
      await b.shows(EMPTY_GRAPH)
      assert.equal(b.stateOf(slow), undefined)
      assert.equal(b.world.planted.size, 0)
      assert.deepEqual(b.factsOf('something was left behind'), [
        { link: key, leftBehind: ['/run/pv/api.sock: plugin slow failed: it gave no report'] },
      ])
    })
  }

  it('with something that has no words is a failure all the same', async () => {
    const b = withPlugin(() => ({ onLinkAdded: () => () => Promise.reject(Object.create(null)) }))
    await b.shows(aGraph(slow, quick))
    assert.equal(b.reasonOf(slow), 'plugin slow failed: it threw something that has no words')
    assert.equal(b.stateOf(quick), 'mediating.steady')
  })

  it("shows the toolbox's counters, not its own", async () => {
    const counters = (): never => {
      throw new Error('oops')
    }
    const b = withPlugin(plain => ({
      onLinkAdded: (link, box) => async () => {
        const result = await plain.onLinkAdded(link, box)()
        return result._tag === 'Right' ? { ...result, right: { ...result.right, counters } } : result
      },
    }))
    await b.shows(aGraph(slow))
    assert.equal(b.controller.link(key)?.counters?.connectionsOpen, 0)
  })
})
