/** Where things are drawn: nothing lies on anything, and nothing is left out. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Box, overlaps, smoothPath } from '../../src/inspector/page/geometry.ts'
import { layoutMachine, WORDS } from '../../src/inspector/page/machine-layout.ts'
import { layoutTopology, type TopologyDrawing } from '../../src/inspector/page/topology-layout.ts'
import { rowOf } from '../../src/inspector/rows.ts'
import { isWithin } from '../../src/inspector/shared/definition.ts'
import { topologyOf } from '../../src/inspector/shared/topology.ts'
import type { Link } from '../../src/model/link.ts'
import { LINK_MACHINE, viewOf } from './support.ts'
import { householdLinks, manyLinks } from './worlds.ts'

const measure = (text: string): number => text.length * 6.4

const contains = (outer: Box, inner: Box): boolean =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width + 0.01 &&
  inner.y + inner.height <= outer.y + outer.height + 0.01

describe('the drawing of a machine', () => {
  for (const direction of ['TB', 'LR'] as const) {
    for (const words of WORDS) {
      const drawing = layoutMachine(LINK_MACHINE, { direction, words, measure })

      test(`${direction}, ${words}: states lie in those around them and on no other`, () => {
        for (const a of drawing.states) {
          for (const b of drawing.states) {
            if (a === b) continue
            const related = isWithin(a.state.id, b.state.id) || isWithin(b.state.id, a.state.id)
            assert.equal(overlaps(a, b), related, `${a.state.id} and ${b.state.id}`)
            if (isWithin(a.state.id, b.state.id)) assert.ok(contains(b, a), `${a.state.id} in ${b.state.id}`)
          }
        }
      })

      test(`${direction}, ${words}: every transition that leads elsewhere is drawn, once`, () => {
        const drawn = drawing.edges.flatMap(({ transitions }) => transitions.map(({ id }) => id))
        const leading = LINK_MACHINE.transitions.filter(({ from, to }) => to !== null && to !== from)
        assert.deepEqual([...drawn].sort(), leading.map(({ id }) => id).sort())
        for (const { path, label } of drawing.edges) {
          assert.match(path, /^M[\d.-]+,[\d.-]+[LQ]/)
          assert.ok(label.lines.length > 0)
        }
      })

      test(`${direction}, ${words}: labels lie within the drawing and on no other label`, () => {
        const labels = drawing.edges.map(({ label }) => label)
        const whole = { x: 0, y: 0, width: drawing.width, height: drawing.height }
        for (const [at, label] of labels.entries()) {
          assert.ok(contains(whole, label))
          for (const other of labels.slice(at + 1))
            assert.ok(!overlaps(label, other), JSON.stringify([label, other]))
        }
      })
    }
  }

  test('says more with more words', () => {
    const lines = WORDS.map(words =>
      layoutMachine(LINK_MACHINE, { direction: 'TB', words, measure }).edges.flatMap(
        ({ label }) => label.lines,
      ),
    )
    assert.deepEqual(
      lines.map(all => [...new Set(all.map(({ kind }) => kind))].sort()),
      [['trigger'], ['guard', 'trigger'], ['actions', 'guard', 'trigger']],
    )
  })
})

describe('the drawing of the topology', () => {
  const drawn = (links: readonly Link[], shape = 1.2): TopologyDrawing =>
    layoutTopology(
      topologyOf(links.map(link => rowOf(viewOf(link)))),
      key => ({ name: key.slice(0, 12), type: 'unix' }),
      measure,
      shape,
    )

  const worlds: Readonly<Record<string, readonly Link[]>> = {
    'a device': householdLinks(),
    'a hundred links': manyLinks(100),
    'a thousand links': manyLinks(1000),
  }
  for (const [name, links] of Object.entries(worlds)) {
    test(`${name}: no container lies on another, and each link has its line`, () => {
      const { cards, lines, bounds } = drawn(links)
      for (const [at, card] of cards.entries()) {
        assert.ok(contains(bounds, card))
        for (const other of cards.slice(at + 1))
          assert.ok(!overlaps(card, other), `${card.name}, ${other.name}`)
      }
      assert.equal(lines.length, links.length)
      assert.equal(
        new Set(cards.flatMap(({ rows }) => rows.filter(({ side }) => side === 'uses').map(({ id }) => id)))
          .size,
        links.length,
      )
    })

    test(`${name}: is the same each time`, () => {
      assert.deepEqual(drawn(links), drawn(links))
    })
  }

  test('many take about the shape of where they are shown', () => {
    for (const shape of [0.8, 1.5, 3]) {
      const { width, height } = drawn(manyLinks(1000), shape).bounds
      assert.ok(Math.abs(Math.log(width / height / shape)) < 0.5, `${width} by ${height} for ${shape}`)
    }
  })

  test('nothing, and a container that uses what it offers itself, can be drawn', () => {
    assert.deepEqual(drawn([]).cards, [])
    const [link] = manyLinks(1)
    assert.ok(link !== undefined)
    assert.equal(drawn([{ ...link, provider: link.consumer }]).lines.length, 1)
  })
})

describe('a line', () => {
  test('goes from its first point to its last', () => {
    const points = [1, 2, 3, 4].map(x => ({ x, y: x * x }))
    const path = smoothPath(points)
    assert.ok(path.startsWith('M1,1') && path.endsWith('4,16'), path)
    assert.equal(smoothPath(points.slice(0, 2)), 'M1,1L2,4')
    assert.equal(smoothPath(points.slice(0, 1)), '')
  })
})
