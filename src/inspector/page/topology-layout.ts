/**
 * Where containers are drawn, and the lines between them. Pure: who is connected with whom in, boxes and paths out.
 * Consumers stand to the left of their providers. A few are laid out by dagre, which avoids crossings; it needs seconds for
 * hundreds of connections (measured: 2.5 s for a thousand), so many stand in columns by their part: who only uses, who does
 * both, who only offers.
 */
import dagre from '@dagrejs/dagre'
import type { ContainerNode, LinkEdge, Resource, Topology } from '../shared/topology.ts'
import { around, type Box, linkPath, type Point, smoothPath } from './geometry.ts'
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
  /** As large as its name may be written, to be read from afar. */
  readonly nameSize: number
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

export const HEADER = 30
export const ROW = 19
const SECTION = 5
const NARROWEST = 124
const WIDEST = 260
const NAME_SIZE = 12.5
const LARGEST_NAME = 20
const MOST_FOR_DAGRE = 90

/** `nameOf`: what a link is called on its consumer's card. `shape`: width over height of where it will be shown. */
export const layoutTopology = (
  topology: Topology,
  nameOf: (key: string) => { readonly name: string; readonly type: string },
  measure: Measure,
  shape: number,
): TopologyDrawing => {
  const cards = topology.containers.map(container => cardOf(container, nameOf, measure))
  const pairs = new Set(topology.edges.filter(({ consumer, provider }) => consumer !== provider).map(pairOf))
  const { placed, bends } =
    pairs.size <= MOST_FOR_DAGRE
      ? inLayers(cards, topology)
      : { placed: inColumns(cards, topology, shape), bends: NO_BENDS }
  const ordered = uncrossed(placed, topology)
  const byName = new Map(ordered.map(card => [card.name, card]))
  const lines = topology.edges.flatMap(edge => {
    const from = portOf(byName.get(edge.consumer), edge.key, 'uses')
    const to = portOf(byName.get(edge.provider), edge.resource, 'offers')
    if (from === undefined || to === undefined) return []
    const between = bends.get(pairOf(edge)) ?? []
    return [{ edge, path: pathOf(from, between, to), ...boxOf([from, ...between, to]) }]
  })
  return { bounds: around(ordered), cards: ordered, lines }
}

type Bends = ReadonlyMap<string, readonly Point[]>
const NO_BENDS: Bends = new Map()

interface Layers {
  readonly placed: readonly Card[]
  /** Where lines pass between the cards of the layers in between. */
  readonly bends: Bends
}

const LEAD = 26

const pathOf = (from: Point, between: readonly Point[], to: Point): string =>
  between.length === 0
    ? linkPath(from, to)
    : smoothPath([from, { x: from.x + LEAD, y: from.y }, ...between, { x: to.x - LEAD, y: to.y }, to])

/** The links on a card in the order of where they lead, from the top: their lines do not cross right at the card. */
const uncrossed = (cards: readonly Card[], { edges }: Topology): readonly Card[] => {
  const tops = new Map(cards.map(({ name, y }) => [name, y]))
  const leadsTo = new Map(edges.map(({ key, provider }) => [key, tops.get(provider) ?? 0]))
  return cards.map(card => {
    const places = card.rows.filter(({ side }) => side === 'uses').map(({ y }) => y)
    const uses = card.rows
      .filter(({ side }) => side === 'uses')
      .sort((a, b) => (leadsTo.get(a.id) ?? 0) - (leadsTo.get(b.id) ?? 0))
      .map((row, at) => ({ ...row, y: places[at] ?? row.y }))
    return { ...card, rows: [...card.rows.filter(({ side }) => side === 'offers'), ...uses] }
  })
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
  const width = Math.min(WIDEST, Math.max(NARROWEST, widest))
  const nameSize = Math.min(LARGEST_NAME, (NAME_SIZE * (width - 18)) / Math.max(1, measure(name, 'name')))
  return { name, nameSize, rows, x: 0, y: 0, width, height: y + 6 }
}

const sortedByName = (resources: readonly Resource[]): readonly Resource[] =>
  [...resources].sort((a, b) => a.name.localeCompare(b.name))

const portOf = (card: Card | undefined, id: string, side: CardRow['side']): Point | undefined => {
  const row = card?.rows.find(row => row.id === id && row.side === side)
  if (card === undefined || row === undefined) return undefined
  return { x: side === 'uses' ? card.x + card.width : card.x, y: card.y + row.y }
}

const BEYOND = 90

/** Of a line's points, a little wider: it bends beyond its ends. */
const boxOf = (points: readonly Point[]): Box => {
  const { x, y, width, height } = around(points.map(point => ({ ...point, width: 0, height: 0 })))
  return { x: x - BEYOND, y: y - 2, width: width + 2 * BEYOND, height: height + 4 }
}

const inLayers = (cards: readonly Card[], { edges }: Topology): Layers => {
  const graph = new dagre.graphlib.Graph()
  graph.setGraph({ rankdir: 'LR', nodesep: 18, ranksep: 110, edgesep: 12 })
  for (const { name, width, height } of cards) graph.setNode(name, { width, height })
  for (const { consumer, provider } of edges) if (consumer !== provider) graph.setEdge(consumer, provider, {})
  dagre.layout(graph)
  const placed = cards.map(card => {
    const { x, y } = graph.node(card.name)
    return { ...card, x: x - card.width / 2, y: y - card.height / 2 }
  })
  const bends = new Map<string, readonly Point[]>()
  for (const edge of edges) {
    if (edge.consumer === edge.provider) continue
    const points: readonly Point[] = graph.edge(edge.consumer, edge.provider)?.points ?? []
    // Between layers that follow one another there is nothing to avoid.
    if (points.length > 3) bends.set(pairOf(edge), points.slice(1, -1))
  }
  return { placed, bends }
}

const GAP = 20
const AISLE = 200
const TRIES = 24

/** Columns as tall as they must be for the whole to have the wanted shape. */
const inColumns = (cards: readonly Card[], { edges }: Topology, shape: number): readonly Card[] => {
  const [using, offering] = [
    new Set(edges.map(({ consumer }) => consumer)),
    new Set(edges.map(({ provider }) => provider)),
  ]
  const ordered = [...cards].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  const blocks = [
    ordered.filter(({ name }) => !offering.has(name)),
    ordered.filter(({ name }) => offering.has(name) && using.has(name)),
    ordered.filter(({ name }) => offering.has(name) && !using.has(name)),
  ].filter(block => block.length > 0)
  const least = Math.max(...cards.map(({ height }) => height))
  let best: readonly Card[] = []
  let bestMiss = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const placed = stacked(blocks, least * 1.25 ** attempt)
    const { width, height } = around(placed)
    const miss = Math.abs(Math.log(width / height / shape))
    if (miss < bestMiss) {
      best = placed
      bestMiss = miss
    }
  }
  return centred(best)
}

const stacked = (blocks: readonly (readonly Card[])[], tallest: number): readonly Card[] => {
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
  return placed
}

/** Short columns stand in the middle. */
const centred = (cards: readonly Card[]): readonly Card[] => {
  const bottoms = new Map<number, number>()
  for (const { x, y, height } of cards) bottoms.set(x, Math.max(bottoms.get(x) ?? 0, y + height))
  const tallest = Math.max(...bottoms.values())
  return cards.map(card => ({ ...card, y: card.y + (tallest - (bottoms.get(card.x) ?? 0)) / 2 }))
}
