import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { ALLOW_ALL } from '../../src/access/verdict.ts'
import { compute } from '../../src/desired/compute.ts'
import { diff } from '../../src/desired/diff.ts'
import type { DesiredState } from '../../src/model/desired.ts'
import { isEmptyPlan, NOTHING_DESIRED } from '../../src/model/desired.ts'
import type { Graph } from '../../src/model/graph.ts'
import type { LinkKey } from '../../src/model/link.ts'
import { keyOf } from '../../src/model/link.ts'
import type { Catalogue } from '../../src/plugin/contract.ts'
import type { LinkBuilder } from '../support/builders.ts'
import { aGraph, aLink } from '../support/builders.ts'

const catalogue: Catalogue = {
  supports: type => type === 'unix' || type === 'drm',
  admits: link => (link.type === 'drm' && link.role === 'any' ? { _tag: 'Denied', rule: 'drm' } : undefined),
  canChange: () => false,
}

const desiredOf = (graph: Graph, previous: DesiredState = NOTHING_DESIRED): DesiredState =>
  compute(graph, ALLOW_ALL, catalogue, previous)

const verdictsOf = (...links: readonly LinkBuilder[]): Record<string, string> =>
  Object.fromEntries(
    Object.values(desiredOf(aGraph(...links)).links).map(({ link, verdict }) => [link.name, verdict._tag]),
  )

const a = aLink('app').named('a').at('/a')
const b = aLink('app').named('b').at('/b')

describe('desired state', () => {
  it('a link that may not be connected is in it, with its verdict', () => {
    assert.deepEqual(verdictsOf(a.ofType('gpio'), b.ofType('drm')), { a: 'Unsupported', b: 'Denied' })
  })

  it('of two links with one target the first has it, the other names the winner', () => {
    const { links } = desiredOf(aGraph(a, b.at('/a')))
    assert.deepEqual(links[keyOf(b.at('/a').build())]?.verdict, {
      _tag: 'Conflict',
      winner: keyOf(a.build()),
    })
    assert.deepEqual(verdictsOf(b.at('/a'), a), { a: 'Conflict', b: 'Admitted' })
  })

  it('a link that is refused anyway does not win', () => {
    assert.deepEqual(verdictsOf(a.ofType('gpio'), b.at('/a')), { a: 'Unsupported', b: 'Admitted' })
  })

  it('the same target in two consumers is no conflict', () => {
    const other = aLink('other').named('b').at('/a')
    assert.deepEqual(verdictsOf(a, other), { a: 'Admitted', b: 'Admitted' })
  })

  it('names that every object inherits are ordinary names', () => {
    const odd = aLink('__proto__').named('constructor').at('/toString')
    const state = desiredOf(aGraph(odd))
    assert.deepEqual(Object.keys(state.links), ['__proto__/constructor@/toString'])
    assert.ok(isEmptyPlan(diff(state, desiredOf(aGraph(odd), state), { resync: false })))
    assert.deepEqual(diff(state, NOTHING_DESIRED, { resync: false }).unwanted, [keyOf(odd.build())])
  })

  it('what did not change keeps its identity, down to the whole tree', () => {
    const before = desiredOf(aGraph(a, b))
    assert.equal(desiredOf(aGraph(a, b), before), before)
    const after = desiredOf(aGraph(a, b.running(7)), before)
    const keyOfA = keyOf(a.build())
    assert.equal(after.links[keyOfA], before.links[keyOfA])
    assert.notEqual(after.links[keyOf(b.build())], before.links[keyOf(b.build())])
  })
})

describe('diff', () => {
  const state = desiredOf(aGraph(a, b))

  it('tells new, changed and vanished links apart, each with its whole value', () => {
    const c = aLink('app').named('c').at('/c')
    const plan = diff(state, desiredOf(aGraph(a.running(7), c), state), { resync: false })
    assert.deepEqual(plan.wanted, [c.desired()])
    assert.deepEqual(plan.changed, [a.running(7).desired()])
    assert.deepEqual(plan.unwanted, [keyOf(b.build())])
  })

  it('a changed verdict is a change', () => {
    const plan = diff(state, desiredOf(aGraph(a, b.at('/b')), state), { resync: false })
    assert.ok(isEmptyPlan(plan))
    const denied = compute(aGraph(a, b), { default: 'deny', rules: [] }, catalogue, state)
    assert.equal(diff(state, denied, { resync: false }).changed.length, 2)
  })

  it('a resync repeats everything that is wanted', () => {
    assert.deepEqual(diff(state, state, { resync: true }).wanted, [a.desired(), b.desired()])
  })
})

describe('desired state: properties', () => {
  const aLinkOf = fc
    .record({
      consumer: fc.constantFrom('app', 'web'),
      name: fc.constantFrom('a', 'b', 'c'),
      target: fc.constantFrom('/x', '/y'),
      type: fc.constantFrom('unix', 'drm', 'gpio'),
      pid: fc.option(fc.integer({ min: 0, max: 3 })),
    })
    .map(({ consumer, name, target, type, pid }) =>
      aLink(consumer).named(name).at(target).ofType(type).running(pid),
    )
  const aGraphOf = fc
    .uniqueArray(aLinkOf, { selector: link => keyOf(link.build()), maxLength: 8 })
    .map(links => aGraph(...links))

  it('only the last graph counts, however the earlier ones came', () => {
    fc.assert(
      fc.property(fc.array(aGraphOf, { maxLength: 6 }), aGraphOf, (history, last) => {
        const direct = desiredOf(last)
        const after = [...history, last].reduce<DesiredState>(
          (state, graph) => desiredOf(graph, state),
          NOTHING_DESIRED,
        )
        assert.deepEqual(after, direct)
        assert.equal(desiredOf(last, after), after)
        assert.ok(isEmptyPlan(diff(after, direct, { resync: false })))
      }),
    )
  })

  it('carrying out each plan gives the desired state, even if one was repeated', () => {
    fc.assert(
      fc.property(fc.array(aGraphOf, { minLength: 1, maxLength: 6 }), fc.boolean(), (graphs, resync) => {
        const told = new Map<LinkKey, unknown>()
        let state = NOTHING_DESIRED
        for (const graph of [...graphs, ...graphs.slice(-1)]) {
          const next = desiredOf(graph, state)
          const plan = diff(state, next, { resync })
          for (const key of plan.unwanted) told.delete(key)
          for (const desired of [...plan.wanted, ...plan.changed]) told.set(desired.key, desired)
          state = next
        }
        assert.deepEqual(Object.fromEntries(told), state.links)
      }),
    )
  })

  it('1000 links, decoded again and unchanged, are the same state', () => {
    const graph = aGraph(...Array.from({ length: 1000 }, (_, n) => aLink(`app${n}`)))
    const state = desiredOf(graph)
    const decodedAgain: Graph = structuredClone(graph)
    assert.equal(desiredOf(decodedAgain, state), state)
  })
})
