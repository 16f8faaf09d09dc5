/**
 * Where the states and transitions of a machine are drawn. Pure: a definition and a measure of text in, boxes and paths out.
 * Each compound state is laid out by itself, across the direction of what is around it, so that all of its states can be
 * reached; dagre does the layers. Transitions between the same two states are one line with one label.
 */
import dagre from '@dagrejs/dagre'
import {
  entered,
  isWithin,
  type MachineDefinition,
  type StateDefinition,
  type TransitionDefinition,
  triggerOf,
  withAncestors,
} from '../shared/definition.ts'
import { attach, type Box, type Point, smoothPath } from './geometry.ts'
import type { Measure } from './measure.ts'

export interface StateBox extends Box {
  readonly state: StateDefinition
  readonly compound: boolean
  /** Below its name: effects, and what it does without leaving. */
  readonly lines: readonly BoxLine[]
}

export interface BoxLine {
  readonly text: string
  readonly kind: 'effect' | 'stays' | 'actions'
  /** The transition that it stands for. */
  readonly transition: string | null
}

export interface LabelLine {
  readonly text: string
  readonly kind: 'trigger' | 'guard' | 'actions'
}

export interface EdgeDrawing {
  /** `from→to` */
  readonly id: string
  readonly transitions: readonly TransitionDefinition[]
  readonly path: string
  readonly label: Box & { readonly lines: readonly LabelLine[] }
}

export interface MachineDrawing {
  readonly words: Words
  readonly width: number
  readonly height: number
  /** Outer ones first. */
  readonly states: readonly StateBox[]
  readonly edges: readonly EdgeDrawing[]
}

export const WORDS = ['events', 'guards', 'actions'] as const
export type Words = (typeof WORDS)[number]

export interface LayoutOptions {
  readonly direction: 'TB' | 'LR'
  /** How much is said: what is waited for, also on which condition, also what is done on the way. */
  readonly words: Words
  readonly measure: Measure
}

export const LINE = 15
export const NAME_LINE = 20
const PADDING = 12
const WIDEST_LINE = 30

interface Group {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly transitions: TransitionDefinition[]
}

interface Level {
  readonly width: number
  readonly height: number
  /** Of this level and those within, relative to it. */
  readonly boxes: readonly StateBox[]
  readonly routes: readonly Route[]
}

interface Route {
  readonly group: Group
  readonly points: readonly Point[]
  readonly label: EdgeDrawing['label']
}

export const layoutMachine = (machine: MachineDefinition, options: LayoutOptions): MachineDrawing => {
  const groups = groupsOf(machine)
  const { width, height, boxes, routes } = layoutLevel(machine, null, groups, options, options.direction)
  const byId = new Map(boxes.map(box => [box.state.id, box]))
  const edges = routes.flatMap(({ group, points, label }) => {
    const [from, to] = [byId.get(group.from), byId.get(group.to)]
    const [first, last] = [points[0], points.at(-1)]
    if (from === undefined || to === undefined || first === undefined || last === undefined) return []
    const path = smoothPath([attach(from, first), ...points, attach(to, last)])
    return [{ id: group.id, transitions: group.transitions, path, label }]
  })
  return { words: options.words, width, height, states: boxes, edges }
}

/** What stays where it is, and what enters the same state again, is told in the state's box. */
const staysIn = ({ from, to }: TransitionDefinition): boolean => to === null || to === from

const groupsOf = (machine: MachineDefinition): readonly Group[] => {
  const groups = new Map<string, Group>()
  for (const transition of machine.transitions) {
    if (transition.to === null || staysIn(transition)) continue
    // A state around another is left from within: from where it begins.
    const from = isWithin(transition.to, transition.from)
      ? entered(machine, transition.from)
      : transition.from
    const id = `${from}→${transition.to}`
    const group = groups.get(id) ?? { id, from, to: transition.to, transitions: [] }
    group.transitions.push(transition)
    groups.set(id, group)
  }
  return [...groups.values()]
}

/** The state of this level that a state is, or is within. */
const memberOf = (state: string, level: string | null): string | undefined =>
  withAncestors(state).find(outer => {
    const parent = withAncestors(outer)[1] ?? null
    return parent === level
  })

const across = (direction: 'TB' | 'LR'): 'TB' | 'LR' => (direction === 'TB' ? 'LR' : 'TB')

const layoutLevel = (
  machine: MachineDefinition,
  level: string | null,
  groups: readonly Group[],
  options: LayoutOptions,
  direction: 'TB' | 'LR',
): Level => {
  const graph = new dagre.graphlib.Graph({ multigraph: true })
  const isTop = level === null
  graph.setGraph({
    rankdir: direction,
    nodesep: isTop ? 40 : 24,
    edgesep: 18,
    ranksep: isTop ? (direction === 'LR' ? 18 : 30) : 18,
    marginx: isTop ? 16 : 0,
    marginy: isTop ? 16 : 0,
  })
  const members = machine.states.filter(({ parent }) => parent === level)
  const inner = new Map<string, Level>()
  for (const state of members) {
    const children = machine.states.some(({ parent }) => parent === state.id)
    const lines = linesOf(machine, state, options)
    const own = ownSize(state, lines, options.measure)
    if (children) {
      const within = layoutLevel(machine, state.id, groups, options, across(direction))
      inner.set(state.id, within)
      graph.setNode(state.id, {
        width: Math.max(own.width, within.width) + 2 * PADDING,
        height: own.height + within.height + PADDING,
      })
    } else graph.setNode(state.id, own)
  }
  const here: { readonly group: Group; readonly from: string; readonly to: string }[] = []
  for (const group of groups) {
    const [from, to] = [memberOf(group.from, level), memberOf(group.to, level)]
    if (from === undefined || to === undefined || from === to) continue
    const label = labelOf(group, options)
    graph.setEdge(from, to, { width: label.width, height: label.height, labelpos: 'c' }, group.id)
    here.push({ group, from, to })
  }
  dagre.layout(graph)

  const boxes: StateBox[] = []
  const routes: Route[] = []
  for (const state of members) {
    const node = graph.node(state.id)
    const corner = { x: node.x - node.width / 2, y: node.y - node.height / 2 }
    const lines = linesOf(machine, state, options)
    const within = inner.get(state.id)
    boxes.push({
      ...corner,
      width: node.width,
      height: node.height,
      state,
      compound: within !== undefined,
      lines,
    })
    if (within === undefined) continue
    const x = corner.x + (node.width - within.width) / 2
    const y = corner.y + ownSize(state, lines, options.measure).height
    boxes.push(...within.boxes.map(box => ({ ...box, x: box.x + x, y: box.y + y })))
    routes.push(...within.routes.map(route => moved(route, x, y)))
  }
  for (const { group, from, to } of here) {
    const edge = graph.edge({ v: from, w: to, name: group.id })
    const label = labelOf(group, options)
    const points: readonly Point[] = edge.points ?? []
    routes.push({
      group,
      // The ends are where the boxes of this level begin: a state within one is reached from there on.
      points: [
        ...(from === group.from ? [] : points.slice(0, 1)),
        ...points.slice(1, -1),
        ...(to === group.to ? [] : points.slice(-1)),
      ],
      label: {
        ...label,
        x: (edge.x ?? 0) - label.width / 2,
        y: (edge.y ?? 0) - label.height / 2,
      },
    })
  }
  const { width = 0, height = 0 } = graph.graph()
  return { width, height, boxes, routes }
}

const moved = ({ group, points, label }: Route, x: number, y: number): Route => ({
  group,
  points: points.map(point => ({ x: point.x + x, y: point.y + y })),
  label: { ...label, x: label.x + x, y: label.y + y },
})

const linesOf = (
  machine: MachineDefinition,
  state: StateDefinition,
  { words }: LayoutOptions,
): readonly BoxLine[] => {
  const actions = words === 'actions'
  const stays = machine.transitions.filter(
    // The end of an effect is told by the event that it raises.
    transition => transition.from === state.id && staysIn(transition) && !isEndOfEffect(transition),
  )
  if (words === 'events') return state.invokes.map(text => ({ text, kind: 'effect', transition: null }))
  return [
    ...state.invokes.map(effect => ({ text: effect, kind: 'effect' as const, transition: null })),
    ...(actions && state.entry.length > 0
      ? wrapped(`entry / ${state.entry.join(', ')}`, WIDEST_LINE).map(text => ({
          text,
          kind: 'actions' as const,
          transition: null,
        }))
      : []),
    ...stays.flatMap(transition => [
      ...wrapped(stayInWords(transition), WIDEST_LINE).map(text => ({
        text,
        kind: 'stays' as const,
        transition: transition.id,
      })),
      ...(actions && transition.actions.length > 0
        ? wrapped(`/ ${transition.actions.join(', ')}`, WIDEST_LINE).map(text => ({
            text,
            kind: 'actions' as const,
            transition: transition.id,
          }))
        : []),
    ]),
  ]
}

const isEndOfEffect = ({ kind }: TransitionDefinition): boolean => kind === 'done' || kind === 'error'

const stayInWords = (transition: TransitionDefinition): string =>
  `${transition.to === null ? '' : '↻ '}${triggerOf(transition)}${transition.guard === null ? '' : ` [${transition.guard}]`}`

const ownSize = (state: StateDefinition, lines: readonly BoxLine[], measure: Measure) => {
  const widest = Math.max(
    measure(state.name, 'name') + 26,
    ...lines.map(({ text, kind }) => measure(text, 'small') + (kind === 'effect' ? 22 : 0)),
  )
  return {
    width: Math.max(84, widest + 2 * PADDING),
    height: NAME_LINE + lines.length * LINE + (lines.length > 0 ? 6 : 0) + PADDING,
  }
}

const labelOf = ({ transitions }: Group, { measure, words }: LayoutOptions) => {
  const said = words === 'events' ? oncePerTrigger(transitions) : transitions
  const actions = words === 'actions'
  const lines: LabelLine[] = said.flatMap(transition => [
    { text: triggerOf(transition), kind: 'trigger' as const },
    ...(transition.guard === null || words === 'events'
      ? []
      : wrapped(`[${transition.guard}]`, WIDEST_LINE).map(text => ({ text, kind: 'guard' as const }))),
    ...(actions && transition.actions.length > 0
      ? wrapped(`/ ${transition.actions.join(', ')}`, WIDEST_LINE).map(text => ({
          text,
          kind: 'actions' as const,
        }))
      : []),
  ])
  const widest = Math.max(...lines.map(({ text }) => measure(text, 'small')))
  return { x: 0, y: 0, width: widest + 12, height: lines.length * LINE + 8, lines }
}

const oncePerTrigger = (transitions: readonly TransitionDefinition[]): readonly TransitionDefinition[] =>
  transitions.filter(
    (transition, at) => transitions.findIndex(other => triggerOf(other) === triggerOf(transition)) === at,
  )

const wrapped = (text: string, most: number): readonly string[] => {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + word.length < most) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
