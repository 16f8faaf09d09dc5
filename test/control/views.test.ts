import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LinkDetailsJson, LinkJson } from '../../src/control/shapes.ts'
import { graphJson, linkDetailsJson, linkJson, linksJson, reasonFor } from '../../src/control/views.ts'
import { E } from '../../src/fp.ts'
import { NOTHING_COUNTED } from '../../src/model/mediation.ts'
import { aGraph, aLink, pid } from '../support/builders.ts'
import { aView, NOW, SINCE } from './support.ts'

describe('a link as JSON', () => {
  it('has every field, and times as ISO 8601', () => {
    const view = aView({ counters: { connectionsTotal: 2 } })
    assert.deepEqual(linkJson(view, NOW), {
      key: 'app/api@/run/pv/api.sock',
      consumer: 'app',
      consumer_pid: 100,
      provider: 'net',
      provider_pid: 200,
      name: 'api',
      type: 'unix',
      role: 'any',
      interface: 'unix',
      target: '/run/pv/api.sock',
      socket: '/run/net/api.sock',
      uid: null,
      state: 'mediating',
      substate: 'steady',
      since: '2030-01-01T00:00:00.000Z',
      reason: null,
      verdict: { decision: 'Admitted', rule: 'default' },
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'Mediating',
          message: '',
          lastTransitionTime: '2030-01-01T00:00:00.000Z',
        },
      ],
      attempt: 0,
      retryDelayMs: 0,
      nextRetry: null,
      lastError: null,
      planted: {
        target: '/run/pv/api.sock',
        kind: 'stream',
        device: '0:1',
        inode: '7',
        directoriesMade: ['/run/pv'],
      },
      counters: { ...NOTHING_COUNTED, connectionsTotal: 2 },
    })
  })

  it('is what the verbs can read back, with exactly those fields', () => {
    const link = linkJson(aView({ counters: {} }), NOW)
    const read = LinkJson.decode(JSON.parse(JSON.stringify(link)))
    assert.ok(E.isRight(read))
    assert.deepEqual(read.right, link)
    const details = linkDetailsJson(aView(), [], ['do it'], NOW)
    assert.ok(E.isRight(LinkDetailsJson.decode(JSON.parse(JSON.stringify(details)))))
  })

  it('has what its protocol counted, and the verbs can read that', () => {
    const figures = [
      { of: 'protocol', name: 'errors', help: 'E.', labels: { status: '400' }, kind: 'total', value: 3 },
    ] as const
    const histograms = [{ name: 'response', help: 'R.', bucketsMs: [5], counts: [1, 2], sumMs: 30.5 }]
    const link = linkJson(aView({ counters: { figures, histograms } }), NOW)
    assert.deepEqual(link.counters, { ...NOTHING_COUNTED, figures, histograms })
    const read = LinkJson.decode(JSON.parse(JSON.stringify(link)))
    assert.ok(E.isRight(read))
    assert.deepEqual(read.right, link)
  })

  it('that failed has the error as a value and in words, and when it is tried again', () => {
    const view = aView({
      state: 'pending.waiting',
      error: { _tag: 'PeerGone', peer: 'consumer', pid: pid(100) },
      attempt: 3,
      retryDelayMs: 1000,
      since: NOW - 400,
    })
    const link = linkJson(view, NOW)
    assert.deepEqual(link.lastError, {
      error: { _tag: 'PeerGone', peer: 'consumer', pid: 100 },
      text: "the consumer's process 100 is gone",
    })
    assert.equal(link.nextRetry, '2030-01-01T00:01:00.600Z')
    assert.deepEqual([link.attempt, link.retryDelayMs, link.planted], [3, 1000, null])
    assert.equal(linkJson(view, NOW + 1000).nextRetry, null)
  })

  it('shows who decided what, whatever the verdict', () => {
    const verdictOf = (verdict: Parameters<typeof aView>[0]) => linkJson(aView(verdict), NOW).verdict
    assert.deepEqual(verdictOf({ verdict: { _tag: 'Denied', rule: 'rule 1: deny' } }), {
      decision: 'Denied',
      rule: 'rule 1: deny',
    })
    assert.deepEqual(verdictOf({ verdict: { _tag: 'Conflict', winner: aView().key } }), {
      decision: 'Conflict',
      winner: aView().key,
    })
    assert.deepEqual(verdictOf({ verdict: { _tag: 'Unsupported', reason: 'no plugin' } }), {
      decision: 'Unsupported',
      reason: 'no plugin',
    })
  })
})

describe('the reason of a link', () => {
  const blocked = { state: 'pending.blocked' } as const
  const occupied = { _tag: 'TargetOccupied', target: '/t', by: 'file' } as const
  const rows = [
    ['works', {}, null],
    ['has no provider', { link: aLink().from('net', null) }, 'the provider is not running'],
    ['is denied', { ...blocked, verdict: { _tag: 'Denied', rule: 'default' } }, 'denied by default'],
    ['failed', { ...blocked, error: occupied }, '/t exists and is a file'],
    [
      'failed and lost its consumer',
      { state: 'pending.waiting', error: occupied, link: aLink().running(null) },
      'the consumer is not running',
    ],
    ['is new', { state: 'pending.waiting' }, 'it is about to be set up'],
    ['is planted', { state: 'injecting.wanted' }, 'it is being set up'],
    ['is renewed', { state: 'tearing-down.renewing' }, 'it is being set up anew'],
    ['goes', { state: 'tearing-down.closing' }, 'it is being removed'],
  ] as const
  for (const [what, options, reason] of rows) {
    it(`that ${what} is ${reason ?? 'none'}`, () => {
      assert.equal(reasonFor(aView(options)), reason)
    })
  }
})

describe('the lists', () => {
  it('of links is sorted by key, whatever order they came in', () => {
    const { links } = linksJson([aView({ link: aLink('web') }), aView({ link: aLink('app') })], NOW)
    assert.deepEqual(
      links.map(({ consumer }) => consumer),
      ['app', 'web'],
    )
  })

  it('of the graph has the rejected entries, the conditions, and when it was read', () => {
    const graph = { ...aGraph(aLink()), rejected: [{ index: 1, reason: 'target: missing', called: 'app/x' }] }
    const conditions = aView().context.conditions
    const json = graphJson({ daemonState: 'serving', graph, readAt: SINCE, conditions })
    assert.equal(json.readAt, '2030-01-01T00:00:00.000Z')
    assert.deepEqual(json.rejected, graph.rejected)
    assert.deepEqual(
      json.links.map(({ key }) => key),
      ['app/api@/run/pv/api.sock'],
    )
    assert.equal(json.conditions.length, 1)
  })

  it('of a graph that was never read is empty, and says so', () => {
    const json = graphJson({ daemonState: 'syncing', graph: null, readAt: null, conditions: [] })
    assert.deepEqual(json, { daemonState: 'syncing', readAt: null, conditions: [], links: [], rejected: [] })
  })
})
