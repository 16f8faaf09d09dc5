/**
 * Which of a machine's transitions led from one state to another: an event's, and what follows at once behind it.
 * Worked out from the definition, because a recording and the control API only know where a link was and came to. Pure.
 */
import { entered, type MachineDefinition, type TransitionDefinition, withAncestors } from './definition.ts'

export interface Step {
  /** `null`: the machine began. */
  readonly from: string | null
  readonly to: string
  /** As the daemon's log has it: `link.wanted`, `after retryDelay`, `inject: Right`, `teardown done`. */
  readonly event: string
}

/** More than one state passed through at once on the way: a machine that needs it cannot be followed by eye either. */
const MOST_AT_ONCE = 4

/** Of alternatives with the same way only the first: their guards are not known any more. Empty: no transition fits. */
export const routeOf = (machine: MachineDefinition, step: Step): readonly TransitionDefinition[] => {
  if (step.from === null) {
    const start = machine.states.find(({ parent, initial }) => parent === null && initial)
    return start === undefined ? [] : (atOnce(machine, entered(machine, start.id), step.to) ?? [])
  }
  const { from } = step
  const wanted = eventIn(step.event)
  const candidates = withAncestors(from).flatMap(state =>
    machine.transitions.filter(
      transition =>
        transition.from === state &&
        transition.to !== null &&
        transition.kind === wanted.kind &&
        transition.event === wanted.event,
    ),
  )
  let best: readonly TransitionDefinition[] | undefined
  for (const first of candidates) {
    if (first.to === null) continue
    const rest = atOnce(machine, entered(machine, first.to), step.to)
    if (rest !== undefined && (best === undefined || rest.length + 1 < best.length)) best = [first, ...rest]
  }
  return best ?? []
}

/** The shortest way by transitions that wait for nothing. */
const atOnce = (
  machine: MachineDefinition,
  from: string,
  to: string,
  most = MOST_AT_ONCE,
): readonly TransitionDefinition[] | undefined => {
  if (from === to) return []
  if (most === 0) return undefined
  let best: readonly TransitionDefinition[] | undefined
  const around = withAncestors(from)
  for (const transition of machine.transitions) {
    if (transition.kind !== 'always' || transition.to === null || !around.includes(transition.from)) continue
    const rest = atOnce(machine, entered(machine, transition.to), to, most - 1)
    if (rest !== undefined && (best === undefined || rest.length + 1 < best.length))
      best = [transition, ...rest]
  }
  return best
}

/** Effects end in events that the machine raises to itself; the daemon's log names the effects. */
const eventIn = (told: string): Pick<TransitionDefinition, 'kind' | 'event'> => {
  if (told.startsWith('after ')) return { kind: 'after', event: told.slice('after '.length) }
  if (told === 'teardown done') return { kind: 'event', event: 'teardown.done' }
  const [, effect, outcome] = /^(\w+): (Right|Left|threw)$/.exec(told) ?? []
  if (effect === undefined) return { kind: 'event', event: told }
  return { kind: 'event', event: `${effect}.${outcome === 'Right' ? 'done' : 'failed'}` }
}
