/** What a replay does with its recording: results in their places, faults, divergences, time. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { E } from '../../src/fp.ts'
import { linkKeyOf } from '../../src/model/link.ts'
import { createCatalogue } from '../../src/plugin/catalogue.ts'
import type { Line, Recording } from '../../src/record/format.ts'
import { FORMAT } from '../../src/record/format.ts'
import { faultIn } from '../../src/replay/faults.ts'
import { openReplay } from '../../src/replay/replay.ts'
import { aLink } from '../support/builders.ts'
import { fakePlugin } from '../support/fakes.ts'
import { bodyOf, live, NO_PLUGINS, recordingIn, replayOf } from './support.ts'

const app = aLink('app')
const APP = linkKeyOf('app/api@/run/pv/api.sock')

const graphOf = (...links: readonly ReturnType<typeof aLink>[]): string => {
  const body = bodyOf(...links.map(link => link.build()))
  return E.isRight(body) ? body.right : assert.fail()
}

const recordingOf = (...lines: readonly Line[]): Recording => ({
  header: {
    format: FORMAT,
    version: 1,
    startedAt: '2030-01-01T00:00:00.000Z',
    daemon: { version: '1', pid: 1 },
    policy: null,
    plugins: ['unix'],
    seed: 1,
  },
  lines: lines.map((line, index) => ({ number: index + 2, line })),
  torn: false,
  unknown: 0,
})

const read = (t: number, ...links: readonly ReturnType<typeof aLink>[]): Line => ({
  t,
  kind: 'graph',
  body: graphOf(...links),
})

const occupied = (t: number, link = APP): Line => ({
  t,
  kind: 'effect',
  link,
  call: 'onLinkAdded',
  result: { _tag: 'Left', left: { _tag: 'TargetOccupied', target: '/run/pv/api.sock', by: 'file' } },
})

const fault = (text: string) => {
  const given = faultIn(text)
  return E.isRight(given) ? given.right : assert.fail(given.left)
}

const states = (moves: readonly { readonly to: string }[]): readonly string[] => moves.map(({ to }) => to)

describe('a replay', () => {
  it('of a graph alone asks the plugins of this version, and everything succeeds', async () => {
    const own = createCatalogue({ unix: async () => ({ default: fakePlugin('unix') }) })
    await own.load(['unix'])
    const graph = { ...recordingOf(read(0, app, aLink('web').ofType('odd'))), header: NO_HEADER }
    const { states: at, divergences } = await replayOf(graph, {}, own)
    assert.deepEqual(at, { [APP]: 'mediating.steady', 'web/api@/run/pv/api.sock': 'pending.blocked' })
    assert.deepEqual(divergences, [])
  })

  it('gives a call the recorded result of its link and count, at its time', async () => {
    const { moves } = await replayOf(
      recordingOf(
        read(0, app),
        occupied(40),
        read(1000, app.withRole('other')),
        occupied(1500),
        read(2000, app),
      ),
    )
    assert.deepEqual(
      moves.map(({ t, to }) => [t, to]),
      [
        [0, 'injecting.wanted'],
        [40, 'pending.blocked'],
        [1000, 'injecting.wanted'],
        [1500, 'pending.blocked'],
        [2000, 'injecting.wanted'],
        [2000, 'mediating.steady'],
      ],
    )
  })

  it('gives a call that comes later than its result did that result at once', async () => {
    const early = recordingOf(occupied(0), read(100, app))
    assert.deepEqual(states((await replayOf(early)).moves), ['injecting.wanted', 'pending.blocked'])
  })

  it('lets what was lost be lost in the pass that found it', async () => {
    const { moves } = await replayOf(
      recordingOf(
        read(0, app),
        { t: 1000, kind: 'same-graph' },
        { t: 1000, kind: 'target-lost', link: APP, loss: 'target-lost' },
        { t: 2000, kind: 'same-graph' },
      ),
    )
    assert.deepEqual(
      moves.map(({ t, event }) => [t, event]),
      [
        [0, 'link.wanted'],
        [0, 'inject: Right'],
        [1000, 'target.lost'],
        [1000, 'inject: Right'],
      ],
    )
  })

  it('repeats everything wanted when the daemon did, not when it likes to', async () => {
    const passes = Array.from({ length: 70 }, (_, n): Line => ({ t: (n + 1) * 1000, kind: 'same-graph' }))
    const { moves } = await replayOf(recordingOf(read(0, app), occupied(10), ...passes))
    assert.deepEqual(
      moves.filter(({ to }) => to === 'injecting.wanted').map(({ t }) => t),
      [0, 30_000],
    )
  })

  it('takes down everything on the recorded signal', async () => {
    const { moves } = await replayOf(recordingOf(read(0, app), { t: 5, kind: 'signal', signal: 'SIGINT' }))
    assert.deepEqual(states(moves).slice(-2), ['tearing-down.closing', 'released'])
  })

  it('follows a wall clock that was set, in what it shows', async () => {
    const wall = Date.parse('2031-06-01T00:00:00.000Z')
    const replay = openReplay(recordingOf({ t: 100, kind: 'clock', wall }, read(200, app)), NO_PLUGINS)
    while ((await replay.next()) !== undefined);
    assert.equal(replay.controller.link(APP)?.context.since, wall + 100)
  })

  it('says when its next step is, and makes none beyond its last line', async () => {
    const replay = openReplay(recordingOf(read(3, app), { t: 9, kind: 'same-graph' }), NO_PLUGINS)
    const times: (number | undefined)[] = []
    do times.push(replay.nextAt())
    while ((await replay.next()) !== undefined)
    assert.deepEqual([times, replay.now(), replay.endsAt], [[3, 9, undefined], 9, 9])
  })

  it('shows an inspector every actor', async () => {
    const seen = new Set<string>()
    await replayOf(recordingOf(read(0, app)), {
      inspect: event => {
        seen.add(event.type)
      },
    })
    assert.ok(seen.has('@xstate.actor') && seen.has('@xstate.snapshot'))
  })
})

const NO_HEADER: Recording['header'] = {
  format: FORMAT,
  version: 1,
  startedAt: '1970-01-01T00:00:00.000Z',
  daemon: null,
}

describe('a fault', () => {
  it('fails every call that it fits', async () => {
    const { states: at } = await replayOf(recordingOf(read(0, app, aLink('web').running(110))), {
      faults: [fault('link=app/api,error=KindUnsupported')],
    })
    assert.deepEqual(at, { [APP]: 'pending.blocked', 'web/api@/run/pv/api.sock': 'mediating.steady' })
  })

  it('fails so many calls of each link, and then the recording goes on', async () => {
    const wait: Line = { t: 10_000, kind: 'same-graph' }
    const { moves } = await replayOf(recordingOf(read(0, app), wait), {
      faults: [fault('effect=inject,error=PeerGone,times=2')],
    })
    assert.deepEqual(states(moves), [
      'injecting.wanted',
      'pending.waiting',
      'injecting.wanted',
      'pending.waiting',
      'injecting.wanted',
      'mediating.steady',
    ])
  })

  it('may hit a change or a teardown', async () => {
    const graphs = recordingOf(read(0, app), read(1000, app.from('net', 201)), read(2000))
    const own = createCatalogue({ unix: async () => ({ default: fakePlugin('unix') }) })
    await own.load(['unix'])
    const faults = [fault('effect=onLinkChanged,error=PeerGone'), fault('effect=teardown,error=PluginFailed')]
    const { moves } = await replayOf(graphs, { faults }, own)
    assert.ok(moves.some(({ event }) => event === 'change: Left'))
    assert.equal(moves.at(-1)?.to, 'released')
  })

  it('that nothing was meant by is told', async () => {
    const unused = fault('link=nobody,error=PeerGone')
    const replay = openReplay(recordingOf(read(0, app)), NO_PLUGINS, { faults: [unused] })
    while ((await replay.next()) !== undefined);
    assert.deepEqual(replay.unusedFaults(), [unused])
  })

  it('is a link, an effect, an error and how often; a key may have signs in it', () => {
    assert.deepEqual(fault('link=a,b/c=d@/x,effect=change,error=PeerGone,times=3'), {
      link: 'a,b/c=d@/x',
      call: 'onLinkChanged',
      error: 'PeerGone',
      times: 3,
    })
  })

  for (const text of [
    '',
    'error=Nope',
    'link=a',
    'error=PeerGone,times=0',
    'effect=dance,error=PeerGone',
    'link=,error=PeerGone',
    'what=1',
    'error=PeerGone,error=PeerGone',
    'error=constructor',
    'effect=constructor,error=PeerGone',
  ]) {
    it(`${JSON.stringify(text)} is none`, () => assert.ok(E.isLeft(faultIn(text))))
  }
})

describe('a recording that the replay does not follow', () => {
  const moved = (t: number, from: string | null, to: string, event: string): Line => ({
    t,
    kind: 'transition',
    link: APP,
    from,
    to,
    event,
  })
  const first = moved(0, null, 'injecting.wanted', 'link.wanted')
  const planted = moved(0, 'injecting.wanted', 'mediating.steady', 'inject: Right')
  const ended: Line = { t: 9000, kind: 'ended' }

  it('diverges where a transition is another one, with what both agreed on before', async () => {
    const other = moved(0, 'injecting.wanted', 'pending.blocked', 'inject: Left')
    const { divergences } = await replayOf(recordingOf(read(0, app), first, other, ended))
    assert.equal(divergences.length, 1)
    const [only] = divergences
    assert.deepEqual(
      [only?.link, only?.number, only?.recorded?.to, only?.replayed?.to, states(only?.before ?? [])],
      [APP, 4, 'pending.blocked', 'mediating.steady', ['injecting.wanted']],
    )
  })

  it('diverges where it has more, or less', async () => {
    const more = await replayOf(
      recordingOf(read(0, app), first, planted, moved(5000, 'mediating.steady', 'released', 'x'), ended),
    )
    assert.deepEqual([more.divergences[0]?.recorded?.to, more.divergences[0]?.replayed], ['released', null])
    const less = await replayOf(recordingOf(read(0, app), first, ended))
    assert.deepEqual(
      [less.divergences[0]?.recorded, less.divergences[0]?.replayed?.to],
      [null, 'mediating.steady'],
    )
  })

  it('diverges in what was recorded after the last thing that happened, too', async () => {
    const replay = openReplay(
      recordingOf(read(0, app), first, moved(0, 'injecting.wanted', 'pending.blocked', 'inject: Left')),
      NO_PLUGINS,
    )
    // As `replay` does: there is no step to wait for.
    while (replay.nextAt() !== undefined) await replay.next()
    assert.deepEqual(
      replay.divergences().map(({ number, recorded }) => [number, recorded?.to]),
      [[4, 'pending.blocked']],
    )
  })

  it('does not diverge in what a killed daemon had no time to write', async () => {
    assert.deepEqual((await replayOf(recordingOf(read(0, app), first))).divergences, [])
    const { divergences } = await replayOf(
      recordingOf(read(0, app), first, { t: 60_000, kind: 'same-graph' }),
    )
    assert.equal(divergences.length, 1)
  })

  it('is in order of time: the first divergence comes first', async () => {
    const web = { ...first, link: linkKeyOf('web/api@/run/pv/api.sock') }
    const { divergences } = await replayOf(
      recordingOf(
        read(0, app),
        { ...moved(0, null, 'pending.blocked', 'link.wanted') },
        { ...web, t: 3 },
        { t: 9000, kind: 'ended' },
      ),
    )
    assert.deepEqual(
      divergences.map(({ link }) => link),
      [APP, web.link],
    )
  })

  it('is one whose seed was changed: a retry comes at another moment', async () => {
    const l = live({ seed: 3 })
    l.body = bodyOf(app.build())
    l.world.failNext(
      APP,
      ...Array.from({ length: 4 }, () => ({ _tag: 'PeerNotRunning' as const, peer: 'consumer' as const })),
    )
    await l.advance(10_000)
    l.tape.end()
    const recording = recordingIn(l.recorded())
    const same = await replayOf(recording)
    assert.deepEqual(same.moves, l.moves)
    const other = await replayOf({ ...recording, header: { ...recording.header, seed: 4 } })
    assert.notDeepEqual(other.moves, l.moves)
  })
})

it('a signal of a name that is not known ends nothing', async () => {
  const { states } = await replayOf(recordingOf(read(0, app), { t: 5, kind: 'signal', signal: 'SIGUSR2' }))
  assert.equal(states[APP], 'mediating.steady')
})

describe('an hour of a hundred links', () => {
  it('is 3600 passes, and moves what moved', async () => {
    const links = Array.from({ length: 100 }, (_, n) => aLink(`app${n}`).running(1000 + n))
    const passes = Array.from({ length: 3599 }, (_, n): Line => ({ t: (n + 1) * 1000, kind: 'same-graph' }))
    const replay = openReplay(recordingOf(read(0, ...links), ...passes), NO_PLUGINS)
    let moves = 0
    for (let step = await replay.next(); step !== undefined; step = await replay.next()) {
      moves += step.transitions.length
    }
    assert.deepEqual([replay.controller.passes(), moves, replay.now()], [3600, 200, 3_599_000])
  })
})
