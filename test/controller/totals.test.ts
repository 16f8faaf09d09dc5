/** What a link has counted, over everything that ever mediated it. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createTotals } from '../../src/controller/totals.ts'
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
