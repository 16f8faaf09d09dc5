/** What a link has counted, over everything that ever mediated it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createTotals } from '../../src/controller/totals.ts'
import { type CountedFigure, MOST_FIGURES } from '../../src/model/figures.ts'
import { keyOf } from '../../src/model/link.ts'
import { type Counters, type Mediation, NOTHING_COUNTED } from '../../src/model/mediation.ts'
import { aLink } from '../support/builders.ts'
import { idOf } from '../support/fakes.ts'

const mediation = (id: string, counters: Partial<Counters>): Mediation => ({
  id: idOf(id),
  planted: { target: '/t', kind: 'stream', device: '1', inode: '1', directoriesMade: [] },
  counters: () => ({ ...NOTHING_COUNTED, ...counters }),
})

const key = keyOf(aLink().build())

describe('totals', () => {
  it('are nothing before the first mediation', () => {
    assert.equal(createTotals().of(key, undefined), null)
  })

  it('go on where the mediation before ended', () => {
    const totals = createTotals()
    totals.ended(key, mediation('m1', { connectionsTotal: 3, connectionsOpen: 2, bytesUp: 10 }))
    totals.ended(key, mediation('m2', { connectionsTotal: 1, bytesUp: 1 }))
    assert.deepEqual(totals.of(key, mediation('m3', { connectionsTotal: 5, connectionsOpen: 1 })), {
      ...NOTHING_COUNTED,
      connectionsTotal: 9,
      connectionsOpen: 1,
      bytesUp: 11,
    })
  })

  it('stay, with nothing open, while the link is away', () => {
    const totals = createTotals()
    totals.ended(key, mediation('m1', { connectionsTotal: 3, connectionsOpen: 2 }))
    assert.deepEqual(totals.of(key, undefined), { ...NOTHING_COUNTED, connectionsTotal: 3 })
  })

  it('forget who ended longest ago when too many links come and go', () => {
    const totals = createTotals(2)
    const keys = ['a', 'b', 'c'].map(name => keyOf(aLink(name).build()))
    const [a, b, c] = keys
    assert.ok(a !== undefined && b !== undefined && c !== undefined)
    totals.ended(a, mediation('m1', { connectionsTotal: 1 }))
    totals.ended(b, mediation('m2', { connectionsTotal: 1 }))
    totals.ended(a, mediation('m3', { connectionsTotal: 1 }))
    totals.ended(c, mediation('m4', { connectionsTotal: 1 }))
    assert.deepEqual(
      keys.map(each => totals.of(each, undefined)?.connectionsTotal),
      [2, undefined, 1],
    )
  })
})

const figure = (value: number, more: Partial<CountedFigure> = {}): CountedFigure => ({
  of: 'protocol',
  name: 'requests',
  help: 'Requests.',
  labels: {},
  kind: 'total',
  value,
  ...more,
})

const response = { name: 'response', help: 'How long.', bucketsMs: [5, 50] }

describe('totals of figures', () => {
  /** What each of these mediations counted, the last of which is alive. */
  const totalOf = (...lives: readonly [...Partial<Counters>[], Partial<Counters>]): Counters => {
    const totals = createTotals()
    for (const [at, counted] of lives.slice(0, -1).entries()) totals.ended(key, mediation(`m${at}`, counted))
    const total = totals.of(key, mediation('alive', lives.at(-1) ?? {}))
    assert.ok(total !== null)
    return total
  }

  it('go on where the mediation before ended, each by its name and labels', () => {
    const labels = { status: '400', reason: 'odd' }
    const swapped = { reason: 'odd', status: '400' }
    const { figures } = totalOf(
      { figures: [figure(3), figure(1, { labels })] },
      { figures: [figure(1, { labels: swapped }), figure(5, { labels: { status: '404' } })] },
      { figures: [figure(2), figure(1, { of: 'link' })] },
    )
    assert.deepEqual(
      figures.map(({ of, labels: { status }, value }) => [of, status, value]),
      [
        ['protocol', undefined, 5],
        ['protocol', '400', 2],
        ['protocol', '404', 5],
        ['link', undefined, 1],
      ],
    )
  })

  it('keep nothing of a gauge that is over', () => {
    const open = figure(3, { name: 'tunnels', kind: 'gauge' })
    assert.deepEqual(totalOf({ figures: [open] }, {}).figures, [])
    assert.deepEqual(totalOf({ figures: [open] }, { figures: [open] }).figures, [open])
  })

  it('add up times bucket by bucket, and begin anew where the buckets are others', () => {
    const times = { ...response, counts: [1, 2, 3], sumMs: 10 }
    assert.deepEqual(totalOf({ histograms: [times] }, { histograms: [times] }).histograms, [
      { ...response, counts: [2, 4, 6], sumMs: 20 },
    ])
    const other = { ...times, bucketsMs: [5, 60] }
    assert.deepEqual(totalOf({ histograms: [times] }, { histograms: [other] }).histograms, [other])
  })

  it('are bounded over all mediations, but for the few of the daemon', () => {
    const many = (life: string): Partial<Counters> => ({
      figures: Array.from({ length: MOST_FIGURES }, (_, at) =>
        figure(1, { labels: { at: `${life}_${at}` } }),
      ),
    })
    const { figures } = totalOf(many('a'), many('b'), {
      figures: [figure(7, { labels: { at: 'a_0' } }), figure(1, { name: 'new' }), figure(1, { of: 'link' })],
    })
    assert.equal(figures.length, MOST_FIGURES + 1)
    assert.equal(figures[0]?.value, 8, 'those that are known go on')
    assert.equal(figures.at(-1)?.of, 'link')
  })
})
