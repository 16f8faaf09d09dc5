import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Subject, Watcher, Whole } from '../../src/inspector/contract.ts'
import { createHub, type Viewer } from '../../src/inspector/hub.ts'
import { rowOf } from '../../src/inspector/rows.ts'
import type { Changes, Snapshot } from '../../src/inspector/shared/protocol.ts'
import { LINK_MACHINE, viewOf } from './support.ts'
import { manyLinks } from './worlds.ts'

const [A, B] = manyLinks(2).map(link => rowOf(viewOf(link)))
assert.ok(A !== undefined && B !== undefined)

const WHOLE: Whole = { links: [A], log: [], daemonState: 'serving', conditions: [] }

const happening = (at: number) => ({
  kind: 'graph',
  at,
  link: null,
  from: null,
  to: '',
  event: `event ${at}`,
  reason: '',
  pass: null,
})

interface FakeSubject extends Subject {
  watchers: Watcher[]
  readonly watcher: () => Watcher
}

const fakeSubject = (): FakeSubject => {
  const subject: FakeSubject = {
    about: { mode: 'live', subject: 'test', version: '0' },
    watchers: [],
    watcher: () => subject.watchers[0] ?? assert.fail('nobody watches'),
    watch: watcher => {
      subject.watchers.push(watcher)
      watcher.onWhole(WHOLE)
      return () => {
        subject.watchers = subject.watchers.filter(other => other !== watcher)
      }
    },
    details: async () => null,
  }
  return subject
}

interface FakeViewer extends Viewer {
  readonly heard: { readonly name: string; readonly message: unknown }[]
  behind: boolean
}

const fakeViewer = (): FakeViewer => {
  const viewer: FakeViewer = {
    heard: [],
    behind: false,
    send: (name, message) => {
      viewer.heard.push({ name, message })
    },
    isBehind: () => viewer.behind,
  }
  return viewer
}

const names = ({ heard }: FakeViewer): readonly string[] => heard.map(({ name }) => name)
const lastSnapshot = ({ heard }: FakeViewer): Snapshot =>
  heard.findLast(({ name }) => name === 'snapshot')?.message as Snapshot

describe('the hub', () => {
  test('has its subject watched only while somebody looks', () => {
    const subject = fakeSubject()
    const hub = createHub(subject, LINK_MACHINE)
    assert.equal(subject.watchers.length, 0)
    const [first, second] = [hub.join(fakeViewer()), hub.join(fakeViewer())]
    assert.equal(subject.watchers.length, 1)
    first.leave()
    assert.equal(subject.watchers.length, 1)
    second.leave()
    assert.equal(subject.watchers.length, 0)
    hub.join(fakeViewer())
    assert.equal(subject.watchers.length, 1)
  })

  test('tells a newcomer everything as it is by then, and the others what changed', () => {
    const subject = fakeSubject()
    const hub = createHub(subject, LINK_MACHINE)
    const early = fakeViewer()
    hub.join(early)
    subject
      .watcher()
      .onUpdate({ links: [{ ...A, state: 'pending.blocked' }, B], gone: [], log: [happening(7)] })
    subject.watcher().onCounters([[B.key, 1, 2]])
    const late = fakeViewer()
    hub.join(late)
    assert.deepEqual(names(early), ['snapshot', 'changes', 'counters'])
    assert.deepEqual(names(late), ['snapshot'])
    const { links, log, counters } = lastSnapshot(late)
    assert.deepEqual(links, [{ ...A, state: 'pending.blocked' }, B])
    assert.deepEqual(
      log.map(({ event }) => event),
      ['event 7'],
    )
    assert.deepEqual(counters, [[B.key, 1, 2]])
  })

  test('forgets a link that is gone, and its counters', () => {
    const subject = fakeSubject()
    const hub = createHub(subject, LINK_MACHINE)
    hub.join(fakeViewer())
    subject.watcher().onCounters([[A.key, 1]])
    subject.watcher().onUpdate({ links: [], gone: [A.key], log: [] })
    const late = fakeViewer()
    hub.join(late)
    assert.deepEqual(lastSnapshot(late).links, [])
    assert.deepEqual(lastSnapshot(late).counters, [])
  })

  test('tells one that is behind nothing until it is ready, and then everything anew', () => {
    const subject = fakeSubject()
    const hub = createHub(subject, LINK_MACHINE)
    const [slow, quick] = [fakeViewer(), fakeViewer()]
    const seat = hub.join(slow)
    hub.join(quick)
    slow.behind = true
    for (let at = 0; at < 5; at += 1)
      subject.watcher().onUpdate({ links: [{ ...A, since: at }], gone: [], log: [] })
    assert.deepEqual(names(slow), ['snapshot', 'changes'])
    assert.equal(names(quick).length, 6)
    slow.behind = false
    seat.ready()
    assert.deepEqual(names(slow), ['snapshot', 'changes', 'snapshot'])
    assert.equal(lastSnapshot(slow).links[0]?.since, 4)
    seat.ready()
    assert.equal(names(slow).length, 3)
  })

  test('keeps so many entries of the log, the last ones, each with a number of its own', () => {
    const subject = fakeSubject()
    const hub = createHub(subject, LINK_MACHINE, 10)
    const early = fakeViewer()
    hub.join(early)
    for (let at = 1; at <= 25; at += 1)
      subject.watcher().onUpdate({ links: [], gone: [], log: [happening(at)] })
    const late = fakeViewer()
    hub.join(late)
    const { log } = lastSnapshot(late)
    assert.deepEqual(
      log.map(({ n, at }) => [n, at]),
      Array.from({ length: 10 }, (_, index) => [16 + index, 16 + index]),
    )
    const told = early.heard.slice(1).map(({ message }) => (message as Changes).log[0]?.n)
    assert.deepEqual(
      told,
      Array.from({ length: 25 }, (_, index) => index + 1),
    )
  })

  test('says that the subject is away, to newcomers too, and that it is back', () => {
    const subject = fakeSubject()
    const hub = createHub(subject, LINK_MACHINE)
    const [early, late] = [fakeViewer(), fakeViewer()]
    hub.join(early)
    subject.watcher().onDown('it ended')
    hub.join(late)
    assert.deepEqual(names(late), ['down'])
    subject.watcher().onWhole({ ...WHOLE, links: [B] })
    assert.deepEqual(names(late), ['down', 'snapshot'])
    assert.deepEqual(lastSnapshot(early).links, [B])
  })

  test('does not tell twice what it knows of the past, when a subject comes back', () => {
    const subject = fakeSubject()
    const hub = createHub(subject, LINK_MACHINE)
    const viewer = fakeViewer()
    hub.join(viewer)
    subject.watcher().onUpdate({ links: [], gone: [], log: [happening(1), happening(2)] })
    subject.watcher().onWhole({ ...WHOLE, log: [happening(1), happening(2), happening(3)] })
    assert.deepEqual(
      lastSnapshot(viewer).log.map(({ event }) => event),
      ['event 1', 'event 2', 'event 3'],
    )
  })
})
