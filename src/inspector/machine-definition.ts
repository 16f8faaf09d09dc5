/**
 * An xstate machine, as it is, as the plain data that the page draws. Reads the machine and keeps nothing of it.
 * Promises that every state and every transition is there, with the names that the source gave its guards, delays,
 * actions and effects; what has no name is called by what xstate calls it.
 */
import type { AnyStateMachine, AnyStateNode, AnyTransitionDefinition } from 'xstate'
import type {
  MachineDefinition,
  StateDefinition,
  TransitionDefinition,
  TransitionKind,
} from './shared/definition.ts'

export const definitionOf = (machine: AnyStateMachine): MachineDefinition => {
  const states: StateDefinition[] = []
  const transitions: TransitionDefinition[] = []
  const visit = (node: AnyStateNode): void => {
    if (node.parent !== undefined) states.push(stateOf(node))
    transitions.push(...transitionsOf(node))
    for (const child of childrenOf(node)) visit(child)
  }
  visit(machine.root)
  return { id: machine.id, states, transitions }
}

const childrenOf = (node: AnyStateNode): readonly AnyStateNode[] => Object.values(node.states)

const nameOf = (node: AnyStateNode): string => node.path.join('.')

const stateOf = (node: AnyStateNode): StateDefinition => {
  const parent = node.parent
  const isTop = parent === undefined || parent.parent === undefined
  const initial = parent?.initial?.target ?? []
  return {
    id: nameOf(node),
    name: node.key,
    parent: isTop ? null : nameOf(parent),
    initial: initial.some((target: AnyStateNode) => target === node),
    final: node.type === 'final',
    entry: namesOf(node.entry),
    exit: namesOf(node.exit),
    invokes: node.invoke.map(({ id }: { readonly id: string }) => id),
  }
}

const transitionsOf = (node: AnyStateNode): readonly TransitionDefinition[] => {
  const listed: AnyTransitionDefinition[] = [...(node.always ?? []), ...[...node.transitions.values()].flat()]
  return listed.map((transition, at) => {
    const [target] = transition.target ?? []
    return {
      id: `${nameOf(node)}#${at}`,
      from: nameOf(node),
      to: target === undefined ? null : nameOf(target),
      ...triggerIn(transition.eventType),
      guard: transition.guard === undefined ? null : guardInWords(transition.guard),
      actions: namesOf(transition.actions),
    }
  })
}

const PREFIXES: readonly (readonly [string, TransitionKind])[] = [
  ['xstate.done.actor.', 'done'],
  ['xstate.error.actor.', 'error'],
]

const triggerIn = (eventType: string): { readonly kind: TransitionKind; readonly event: string } => {
  if (eventType === '') return { kind: 'always', event: '' }
  // xstate.after.DELAY.STATE
  const [, delay] = /^xstate\.after\.([^.]+)\./.exec(eventType) ?? []
  if (delay !== undefined) return { kind: 'after', event: delay }
  for (const [prefix, kind] of PREFIXES) {
    if (eventType.startsWith(prefix)) return { kind, event: eventType.slice(prefix.length) }
  }
  return { kind: 'event', event: eventType }
}

/** `after` adds actions of xstate's own, which raise and cancel the delayed event: they are not the machine's words. */
const BUILT_IN = ['xstate.raise', 'xstate.cancel', 'xstate.assign']

const namesOf = (actions: readonly unknown[]): readonly string[] =>
  actions.map(typeNameOf).filter(name => !BUILT_IN.includes(name))

const typeNameOf = (named: unknown): string => {
  if (typeof named === 'string') return named
  if (typeof named === 'function') return 'type' in named ? String(named.type) : named.name
  return typeof named === 'object' && named !== null && 'type' in named ? String(named.type) : 'unnamed'
}

/** `and`, `or` and `not` are functions that keep what they join. */
const guardInWords = (guard: unknown, joined = false): string => {
  if (typeof guard !== 'function' || !('guards' in guard) || !Array.isArray(guard.guards))
    return typeNameOf(guard)
  const parts = guard.guards.map((part: unknown) => guardInWords(part, true))
  if (guard.name === 'not') return `not ${parts.join(' ')}`
  const words = parts.join(` ${guard.name} `)
  return joined ? `(${words})` : words
}
