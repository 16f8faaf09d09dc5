/** What the tape writes down, and what it does not. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { E } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import { linkKeyOf } from '../../src/model/link.ts'
import { openReplay } from '../../src/replay/replay.ts'
import {
  bodyOf,
  type Live,
  live,
  NO_PLUGINS,
  recordingIn,
  STARTED_AT,
  UNREACHABLE,
} from '../replay/support.ts'
import { aLink, pid } from '../support/builders.ts'
import { settled } from '../support/fakes.ts'

const app = aLink('app')
const APP = linkKeyOf('app/api@/run/pv/api.sock')

const kinds = (l: Live): readonly string[] => recordingIn(l.recorded()).lines.map(({ line }) => line.kind)

const linesOf = (l: Live, kind: string): readonly unknown[] =>
  recordingIn(l.recorded()).lines.flatMap(({ line }) => (line.kind === kind ? [line] : []))

describe('the tape', () => {
  it('has a header with all that the control plane goes by', async () => {
    const { header } = recordingIn(live({ seed: 99, limits: { retryMs: 777 } }).recorded())
    assert.deepEqual(
      [
        header.startedAt,
        header.daemon,
        header.seed,
        header.policy,
        header.plugins,
        header.config?.intervalMs,
      ],
      [new Date(STARTED_AT).toISOString(), { version: '1.2.3', pid: 1 }, 99, null, ['unix', 'rest'], 1000],
    )
    assert.equal(header.config?.limits?.['retryMs'], 777)
  })

  it('has each read once: as received, the same again, or why there is none', async () => {
    const l = live()
    await l.advance(500)
    l.body = bodyOf()
    await l.advance(1000)
    l.body = E.right('\xff')
    await l.advance(1000)
    await l.advance(1000)
    l.body = E.left(UNREACHABLE)
    await l.advance(1000)
    const reads = kinds(l).filter(kind => kind.includes('graph') || kind === 'read-failed')
    assert.deepEqual([...new Set(reads)], ['read-failed', 'graph', 'same-graph'])
    assert.deepEqual(
      linesOf(l, 'graph').map(line => ('base64' in Object(line) ? 'base64' : 'body')),
      ['body', 'base64'],
    )
  })

  it('has nothing but what decides: no counters, no bytes of connections', async () => {
    const l = live()
    l.body = bodyOf(app.build())
    await l.advance(2000)
    l.world.exit(pid(100))
    await l.advance(2000)
    assert.doesNotMatch(l.recorded(), /bytesUp|connectionsOpen|counters/)
    assert.deepEqual(
      new Set(kinds(l)),
      new Set(['read-failed', 'graph', 'same-graph', 'plugins', 'transition', 'effect', 'process-exited']),
    )
  })

  it('says what the plugins of the graph can do, when they were loaded', async () => {
    const l = live()
    l.body = bodyOf(app.build(), aLink('web').ofType('odd').build())
    await l.advance(2000)
    const [first, ...others] = linesOf(l, 'plugins')
    assert.deepEqual(others, [])
    assert.deepEqual(Reflect.get(Object(first), 'types'), [
      { type: 'unix', supported: true, canChange: true, problem: null },
      { type: 'odd', supported: false, canChange: false, problem: null },
    ])
  })

  it("has a plugin's opinion of a link when it is another one", async () => {
    const l = live()
    l.body = bodyOf(aLink('web').ofType('rest').withRole('guest').build())
    await l.advance(2000)
    l.body = bodyOf(aLink('web').ofType('rest').build())
    await l.advance(40_000)
    assert.deepEqual(
      linesOf(l, 'opinion').map(line => Reflect.get(Object(line), 'verdict')),
      [{ _tag: 'Denied', rule: 'no guests' }, null],
    )
  })

  it('notes that the wall clock was set, and only then', async () => {
    const l = live()
    l.body = bodyOf(app.build())
    await l.advance(3000)
    assert.deepEqual(linesOf(l, 'clock'), [])
    l.wallOffMs = 5_000_000
    await l.advance(3000)
    assert.equal(linesOf(l, 'clock').length, 1)
  })

  it('writes words for an error of a third party that is no JSON', async () => {
    const l = live()
    const odd = { _tag: 'PluginFailed', plugin: 'unix', message: 'around' } satisfies InjectError
    l.world.failNext(APP, Object.assign(odd, { self: odd }))
    l.body = bodyOf(app.build())
    await l.advance(1000)
    const [effect] = linesOf(l, 'effect')
    assert.match(JSON.stringify(effect), /plugin unix failed: around/)
  })

  it('costs a listener nothing after it has stopped', async () => {
    const l = live()
    let heard = 0
    const stop = l.tape.listen(() => {
      heard += 1
    })
    stop()
    const before = heard
    await l.advance(5000)
    assert.equal(heard, before)
  })
})

describe('who listens later', () => {
  const joined = (l: Live): { text: string } => {
    const heard = { text: '' }
    l.tape.listen(line => {
      heard.text += line
    })
    return heard
  }

  it('gets a beginning that brings a replay to where the daemon is', async () => {
    const l = live()
    l.body = bodyOf(app.build(), aLink('web').running(110).build(), aLink('odd').ofType('odd').build())
    l.world.failNext(linkKeyOf('web/api@/run/pv/api.sock'), {
      _tag: 'TargetOccupied',
      target: '/run/pv/api.sock',
      by: 'file',
    })
    await l.advance(5000)
    const replay = openReplay(recordingIn(joined(l).text), NO_PLUGINS)
    while ((await replay.next()) !== undefined);
    const statesOf = (links: typeof replay.controller): unknown =>
      Object.fromEntries(links.links().map(({ key, state }) => [key, state]))
    assert.deepEqual(statesOf(replay.controller), statesOf(l.controller))
  })

  it('before the first graph gets a header only', async () => {
    const l = live()
    await l.advance(100)
    assert.deepEqual(recordingIn(joined(l).text).lines, [])
  })

  it('has resyncs at the same moments as the daemon', async () => {
    const l = live()
    l.body = bodyOf(app.build())
    l.world.failNext(
      APP,
      ...Array.from({ length: 2 }, () => ({ _tag: 'PluginFailed' as const, plugin: 'unix', message: 'x' })),
    )
    await l.advance(25_000)
    const heard = joined(l)
    await l.advance(10_000)
    const replay = openReplay(recordingIn(heard.text), NO_PLUGINS)
    const tried: number[] = []
    for (let step = await replay.next(); step !== undefined; step = await replay.next()) {
      for (const { to } of step.transitions) if (to === 'injecting.wanted') tried.push(step.t)
    }
    assert.deepEqual(
      tried,
      l.moves.filter(({ to }) => to === 'injecting.wanted').map(({ t }) => t),
    )
  })

  it('is not held to how often a link had failed before', async () => {
    const l = live()
    l.body = bodyOf(app.build())
    l.world.failNext(APP, { _tag: 'PeerNotRunning', peer: 'provider' })
    await l.advance(3000)
    assert.equal(l.controller.links()[0]?.state, 'mediating.steady')
    const heard = joined(l)
    l.world.exit(pid(100))
    await l.advance(3000)
    assert.ok(
      l.moves.some(({ from, to }) => from === 'tearing-down.renewing' && to === 'pending.waiting'),
      'it waits, as it has failed before',
    )
    const replay = openReplay(recordingIn(heard.text), NO_PLUGINS)
    while ((await replay.next()) !== undefined);
    assert.deepEqual(replay.divergences(), [])
  })

  it('does not get what a graph was before that is no longer in force, but what is', async () => {
    const l = live()
    l.body = bodyOf(app.build())
    await l.advance(1500)
    l.body = E.right('nonsense')
    await l.advance(2000)
    const heard = joined(l)
    l.body = bodyOf(app.build(), aLink('web').running(110).build())
    await l.advance(2000)
    await settled()
    const replay = openReplay(recordingIn(heard.text), NO_PLUGINS)
    while ((await replay.next()) !== undefined);
    assert.deepEqual(
      replay.controller.links().map(({ state }) => state),
      ['mediating.steady', 'mediating.steady'],
    )
    assert.deepEqual(replay.divergences(), [])
  })
})
