/**
 * Where containers are drawn, and the lines between them. Pure: who is connected with whom in, boxes and paths out.
 * Consumers stand to the left of their providers. A few are laid out by dagre, which avoids crossings; it needs seconds for
 * hundreds of connections (measured: 2.5 s for a thousand), so many stand in columns by their part: who only uses, who does
 * both, who only offers.
 */
import dagre from '@dagrejs/dagre'
import type { ContainerNode, LinkEdge, Resource, Topology } from '../shared/topology.ts'
import { around, type Box, linkPath, type Point } from './geometry.ts'
import type { Measure } from './measure.ts'

export interface CardRow {
  /** A link's key at its consumer, a resource at its provider. */
  readonly id: string
  readonly side: 'uses' | 'offers'
  readonly text: string
  readonly type: string
  /** Its middle, relative to the card. */
  readonly y: number
}

export interface Card extends Box {
  readonly name: string
  readonly rows: readonly CardRow[]
}

export interface Line extends Box {
  readonly edge: LinkEdge
  readonly path: string
}

export interface TopologyDrawing {
  readonly bounds: Box
  readonly cards: readonly Card[]
  readonly lines: readonly Line[]
}

export const HEADER = 34
export const ROW = 22
const SECTION = 6
const NARROWEST = 132
const WIDEST = 260
const MOST_FOR_DAGRE = 90

/** `nameOf`: what a link is called on its consumer's card. */
export const layoutTopology = (
  topology: Topology,
  nameOf: (key: string) => { readonly name: string; readonly type: string },
  measure: Measure,
): TopologyDrawing => {
  const cards = topology.containers.map(container => cardOf(container, nameOf, measure))
  const pairs = new Set(
    topology.edges.filter(({ consumer, provider }) => consumer !== provider).map(pairOf),
  )
  const placed = pairs.size <= MOST_FOR_DAGRE ? inLayers(cards, topology) : inColumns(cards, topology)
  const byName = new Map(placed.map(card => [card.name, card]))
  const lines = topology.edges.flatMap(edge => {
    const from = portOf(byName.get(edge.consumer), edge.key, 'uses')
    const to = portOf(byName.get(edge.provider), edge.resource, 'offers')
    return from === undefined || to === undefined ? [] : [{ edge, path: linkPath(from, to), ...boxOf(from, to) }]
  })
  return { bounds: around(placed), cards: placed, lines }
}

const pairOf = ({ consumer, provider }: LinkEdge): string => `${consumer}\0${provider}`

const cardOf = (
  { name, uses, offers }: ContainerNode,
  nameOf: (key: string) => { readonly name: string; readonly type: string },
  measure: Measure,
): Card => {
  const rows: CardRow[] = []
  let y = HEADER
  const add = (id: string, side: CardRow['side'], text: string, type: string): void => {
    rows.push({ id, side, text, type, y: y + ROW / 2 })
    y += ROW
  }
  for (const { id, name: resource, type } of sortedByName(offers)) add(id, 'offers', resource, type)
  if (offers.length > 0 && uses.length > 0) y += SECTION
  for (const key of uses) {
    const link = nameOf(key)
    add(key, 'uses', link.name, link.type)
  }
  const widest = Math.max(
    measure(name, 'name') + 48,
    ...rows.map(({ text, type }) => measure(text, 'small') + measure(type, 'code') + 58),
  )
  return { name, rows, x: 0, y: 0, width: Math.min(WIDEST, Math.max(NARROWEST, widest)), height: y + 8 }
}

const sortedByName = (resources: readonly Resource[]): readonly Resource[] =>
  [...resources].sort((a, b) => a.name.localeCompare(b.name))

const portOf = (card: Card | undefined, id: string, side: CardRow['side']): Point | undefined => {
  const row = card?.rows.find(row => row.id === id && row.side === side)
  if (card === undefined || row === undefined) return undefined
  return { x: side === 'uses' ? card.x + card.width : card.x, y: card.y + row.y }
}

/** Of the line's ends, a little wider: it bends beyond them. */
const boxOf = (a: Point, b: Point): Box => ({
  x: Math.min(a.x, b.x) - 90,
  y: Math.min(a.y, b.y) - 2,
  width: Math.abs(a.x - b.x) + 180,
  height: Math.abs(a.y - b.y) + 4,
})

const inLayers = (cards: readonly Card[], { edges }: Topology): readonly Card[] => {
  const graph = new dagre.graphlib.Graph()
  graph.setGraph({ rankdir: 'LR', nodesep: 26, ranksep: 130, edgesep: 12 })
  for (const { name, width, height } of cards) graph.setNode(name, { width, height })
  for (const { consumer, provider } of edges) if (consumer !== provider) graph.setEdge(consumer, provider, {})
  dagre.layout(graph)
  return cards.map(card => {
    const { x, y } = graph.node(card.name)
    return { ...card, x: x - card.width / 2, y: y - card.height / 2 }
  })
}

const GAP = 24
const AISLE = 220
/** Width over height that a drawing of many should have. */
const SHAPE = 1.6

const inColumns = (cards: readonly Card[], { edges }: Topology): readonly Card[] => {
  const [using, offering] = [
    new Set(edges.map(({ consumer }) => consumer)),
    new Set(edges.map(({ provider }) => provider)),
  ]
  const blocks = [
    cards.filter(({ name }) => !offering.has(name)),
    cards.filter(({ name }) => offering.has(name) && using.has(name)),
    cards.filter(({ name }) => offering.has(name) && !using.has(name)),
  ].filter(block => block.length > 0)
  const area = cards.reduce((sum, { width, height }) => sum + (width + GAP) * (height + GAP), 0)
  const tallest = Math.max(Math.sqrt(area / SHAPE), ...cards.map(({ height }) => height))
  const placed: Card[] = []
  let x = 0
  for (const block of blocks) {
    let y = 0
    let widest = 0
    for (const card of block) {
      if (y > 0 && y + card.height > tallest) {
        x += widest + GAP
        y = 0
        widest = 0
      }
      placed.push({ ...card, x, y })
      y += card.height + GAP
      widest = Math.max(widest, card.width)
    }
    x += widest + AISLE
  }
  return centred(placed)
}

/** Short columns stand in the middle. */
const centred = (cards: readonly Card[]): readonly Card[] => {
  const bottoms = new Map<number, number>()
  for (const { x, y, height } of cards) bottoms.set(x, Math.max(bottoms.get(x) ?? 0, y + height))
  const tallest = Math.max(...bottoms.values())
  return cards.map(card => ({ ...card, y: card.y + (tallest - (bottoms.get(card.x) ?? 0)) / 2 }))
}
