/**
 * A state machine as plain data: what a page needs to draw it, and to say which of its transitions were taken.
 * Made from the machine itself (`machine-definition.ts`), so that a drawing cannot differ from what runs. Pure.
 */

export interface StateDefinition {
  /** The path of its names: `pending.waiting`. */
  readonly id: string
  readonly name: string
  /** `null`: it stands at the top. */
  readonly parent: string | null
  /** Where a machine, or the state around it, begins. */
  readonly initial: boolean
  readonly final: boolean
  readonly entry: readonly string[]
  readonly exit: readonly string[]
  /** Effects that run as long as it is active. */
  readonly invokes: readonly string[]
}

export type TransitionKind = 'event' | 'after' | 'always' | 'done' | 'error'

export interface TransitionDefinition {
  /** Unique in its machine, and the same for the same machine. */
  readonly id: string
  readonly from: string
  /** `null`: it stays where it is. */
  readonly to: string | null
  readonly kind: TransitionKind
  /** What it waits for: an event's name, a delay's, an effect's; empty for `always`. */
  readonly event: string
  /** In words: `admitted and consumerRuns`. `null`: it has none. */
  readonly guard: string | null
  readonly actions: readonly string[]
}

export interface MachineDefinition {
  readonly id: string
  readonly states: readonly StateDefinition[]
  /** Of one state, in the order in which they are tried. */
  readonly transitions: readonly TransitionDefinition[]
}

/** What the transition waits for, as people read it. */
export const triggerOf = ({ kind, event }: Pick<TransitionDefinition, 'kind' | 'event'>): string => {
  switch (kind) {
    case 'event':
      return event
    case 'after':
      return `after ${event}`
    case 'always':
      return 'at once'
    case 'done':
      return `${event}: done`
    case 'error':
      return `${event}: threw`
  }
}

/** The state and those around it, from the inside. */
export const withAncestors = (state: string): readonly string[] => {
  const parts = state.split('.')
  return parts.map((_, at) => parts.slice(0, parts.length - at).join('.'))
}

export const isWithin = (state: string, outer: string): boolean =>
  state === outer || state.startsWith(`${outer}.`)

/** Where one is who enters a state: what begins in it, down to the innermost. */
export const entered = (machine: MachineDefinition, state: string): string => {
  const first = machine.states.find(({ parent, initial }) => parent === state && initial)
  return first === undefined ? state : entered(machine, first.id)
}
