/** What can be looked at: a daemon from within, and a recording. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Update, Watcher, Whole } from '../../src/inspector/contract.ts'
import { COUNTER_NAMES, type CounterRow } from '../../src/inspector/shared/protocol.ts'
import { linkMovedEvents, type StatelyEvent, statelyText } from '../../src/inspector/stately-events.ts'
import { keyOf } from '../../src/model/link.ts'
import { NOTHING_COUNTED } from '../../src/model/mediation.ts'
import { aLink } from '../support/builders.ts'
import { eventually } from '../support/eventually.ts'
import { recordedSubject, simulatedDaemon } from './support.ts'
import { manyLinks } from './worlds.ts'

interface Heard extends Watcher {
  readonly wholes: Whole[]
  readonly updates: Update[]
  readonly counted: CounterRow[]
}

const listener = (): Heard => {
  const heard: Heard = {
    wholes: [],
    updates: [],
    counted: [],
    onWhole: whole => heard.wholes.push(whole),
    onUpdate: update => heard.updates.push(update),
    onCounters: rows => heard.counted.push(...rows),
    onDown: reason => assert.fail(reason),
  }
  return heard
}

describe('the daemon as a subject', () => {
  test('tells every link as it is, and then what changes, a thousand of them in a few messages', async t => {
    const daemon = simulatedDaemon()
    const heard = listener()
    t.after(daemon.subject.watch(heard))
    assert.equal(heard.wholes.length, 1)
    assert.equal(heard.wholes[0]?.daemonState, 'syncing')
    const links = manyLinks(1000)
    await daemon.shows(links)
    const state = new Map<string, string>()
    await eventually('all are told to be up', () => {
      for (const { links } of heard.updates) for (const row of links) state.set(row.key, row.state)
      return state.size === 1000 && [...state.values()].every(each => each === 'mediating.steady')
    })
    assert.ok(heard.updates.length < 30, `${heard.updates.length}`)
    const moves = heard.updates.flatMap(({ log }) => log)
    assert.equal(moves.length, 2000)
    await daemon.shows(links.slice(1))
    await eventually('one is told to be gone', () =>
      heard.updates.some(({ gone }) => gone.includes(keyOf(links[0] ?? assert.fail()))),
    )
  })

  test('tells what is not a transition too: another reason, another process of the provider', async t => {
    const daemon = simulatedDaemon()
    const link = aLink().build()
    await daemon.shows([link])
    const heard = listener()
    t.after(daemon.subject.watch(heard))
    await daemon.shows([aLink().from('net', 201).build()])
    await eventually('the new process', () =>
      heard.updates.some(({ links }) => links.some(({ providerPid }) => providerPid === 201)),
    )
  })

  test('counts while it is watched, and only what has changed', async t => {
    let bytesUp = 5
    const daemon = simulatedDaemon()
    await daemon.shows(manyLinks(3))
    for (const { mediation } of daemon.world.planted.values())
      Object.assign(mediation, { counters: () => ({ ...NOTHING_COUNTED, bytesUp }) })
    const heard = listener()
    t.after(daemon.subject.watch(heard))
    const bytes = (): readonly unknown[] =>
      heard.counted.map(row => row[1 + COUNTER_NAMES.indexOf('bytesUp')])
    assert.deepEqual(bytes(), [5, 5, 5])
    bytesUp = 9
    await eventually('the counters of all three', () => bytes().length >= 6)
    assert.deepEqual(bytes(), [5, 5, 5, 9, 9, 9])
  })

  test('is left alone when nobody watches any more', async () => {
    const daemon = simulatedDaemon()
    const heard = listener()
    daemon.subject.watch(heard)()
    await daemon.shows(manyLinks(5))
    await new Promise(resolve => setTimeout(resolve, 80))
    assert.deepEqual(heard.updates, [])
  })

  test("knows a link's context, conditions and advice", async () => {
    const daemon = simulatedDaemon()
    const link = aLink().running(null).build()
    await daemon.shows([link])
    const found = await daemon.subject.details(keyOf(link), null)
    assert.ok(found !== null)
    assert.deepEqual(
      found.link.conditions.map(({ type }) => type),
      ['Admitted', 'Injected', 'Ready'],
    )
    assert.match(found.link.advice.join(), /about to start/)
    assert.equal(await daemon.subject.details('nobody', null), null)
  })

  test('can be written for a receiver whatever a mediation holds: itself, functions, big numbers', () => {
    const context: Record<string, unknown> = { pointer: 2n ** 60n, now: Date.now, twice: [1] }
    context['again'] = { context }
    context['once more'] = context['twice']
    const link = { key: 'a/b@/c', state: 'mediating.steady', context }
    const texts = linkMovedEvents(link, 'link.wanted', 0).map(statelyText)
    assert.deepEqual(JSON.parse(texts[1] ?? '').snapshot.context, {
      pointer: String(2n ** 60n),
      now: { type: 'now' },
      twice: [1],
      again: { context: '[Circular]' },
      'once more': [1],
    })
  })

  test('tells its actors in the shapes of @statelyai/inspect, from those there are on', async t => {
    const daemon = simulatedDaemon()
    const link = aLink().build()
    await daemon.shows([link])
    const heard: StatelyEvent[] = []
    t.after(
      daemon.subject.actors?.(events => {
        for (const event of events) heard.push(JSON.parse(statelyText(event)))
      }),
    )
    const [root, first] = heard
    assert.deepEqual(
      heard.map(({ type }) => type),
      ['@xstate.actor', '@xstate.actor'],
    )
    assert.ok(root?.type === '@xstate.actor' && first?.type === '@xstate.actor')
    assert.equal(root.parentId, undefined)
    assert.equal(first.parentId, root.sessionId)
    assert.equal(first.name, keyOf(link))
    assert.equal(JSON.parse(first.definition).id, 'link')
    assert.deepEqual(Object.keys(first).sort(), [
      '_version',
      'createdAt',
      'definition',
      'id',
      'name',
      'parentId',
      'rootId',
      'sessionId',
      'snapshot',
      'type',
    ])

    await daemon.shows([])
    const ofLink = heard.slice(2).filter(({ sessionId }) => sessionId === first.sessionId)
    const told = ofLink.find(({ type }) => type === '@xstate.event')
    assert.ok(told?.type === '@xstate.event')
    assert.deepEqual(told.event, { type: 'link.unwanted' })
    assert.equal(told.sourceId, root.sessionId)
    const snapshots = ofLink.flatMap(event => (event.type === '@xstate.snapshot' ? [event.snapshot] : []))
    assert.deepEqual(
      snapshots.map(snapshot => JSON.stringify((snapshot as { readonly value: unknown }).value)),
      ['{"tearing-down":"closing"}', '"released"'],
    )
    for (const event of heard)
      assert.deepEqual([event._version, event.rootId, event.id], ['0.7.2', root.sessionId, null])
  })
})

describe('a recording as a subject', () => {
  test('has every transition of the recording on its timeline, in its order', async () => {
    const { timeline } = await recordedSubject('fixtures/recordings/consumer-restart.rec')
    const { entries = [], links = [], startedAt = 0, endedAt = 0 } = timeline?.() ?? {}
    const moves = entries.filter(({ kind }) => kind === 'transition')
    assert.ok(moves.length > 4 && links.length > 0)
    assert.deepEqual(
      entries.map(({ n }) => n),
      entries.map((_, at) => at),
    )
    const times = entries.map(({ at }) => at)
    assert.deepEqual(
      times,
      [...times].sort((a, b) => a - b),
    )
    assert.ok(times.every(at => at >= startedAt && at <= endedAt))
    for (const { key } of links) {
      const own = moves.filter(({ link }) => link === key)
      assert.equal(own[0]?.from, null)
      for (const [at, { from }] of own.slice(1).entries())
        assert.equal(from, own[at]?.to === 'released' ? null : own[at]?.to)
    }
    assert.ok(entries.some(({ kind }) => kind === 'graph') && entries.some(({ kind }) => kind === 'effect'))
  })

  test('knows the context of a link as it was at each position', async () => {
    const subject = await recordedSubject('fixtures/recordings/backoff.rec')
    const { entries = [], links = [] } = subject.timeline?.() ?? {}
    const key = links[0]?.key ?? ''
    assert.equal(await subject.details(key, 0), null)
    for (const { n, link, kind, to } of entries) {
      if (kind !== 'transition' || link !== key) continue
      const found = await subject.details(key, n + 1)
      const state = [found?.link.state, found?.link.substate].filter(part => part !== null).join('.')
      assert.equal(state, to)
      assert.equal(found?.link.transitions.at(-1)?.to, to)
    }
    const last = await subject.details(key, null)
    assert.ok(last !== null)
    assert.equal(await subject.details('nobody', null), null)
  })

  test("can be told to Stately's inspector from its beginning to its end", async () => {
    const subject = await recordedSubject('fixtures/recordings/backoff.rec')
    const heard: StatelyEvent[] = []
    subject.actors?.(events => heard.push(...events))
    const { entries = [], links = [] } = subject.timeline?.() ?? {}
    const moves = entries.filter(({ kind }) => kind === 'transition').length
    const countOf = (type: StatelyEvent['type']): number => heard.filter(event => event.type === type).length
    assert.deepEqual(
      [countOf('@xstate.actor'), countOf('@xstate.event'), countOf('@xstate.snapshot')],
      [links.length, moves, moves],
    )
  })
})
