/**
 * What the control plane tells of itself while it works, as plain values: what reached it from outside, and what it decided.
 * A recorder and live events are made of it. Whoever listens is told before anything is done about it, and cannot
 * change it; the transitions that follow are told by `Controller.onTransition`.
 */
import type { LinkLoss } from '../../machines/daemon.machine.ts'
import type { Condition } from '../model/condition.ts'
import type { DesiredLink } from '../model/desired.ts'
import type { Graph } from '../model/graph.ts'
import type { Pid } from '../model/identity.ts'
import type { EffectRecord } from './provide.ts'
import type { Reason } from './trigger.ts'

/** It comes from outside: it has a moment of its own. */
export type Arrival =
  | { readonly _tag: 'EffectEnded'; readonly effect: EffectRecord }
  /** One that matters: a link's consumer, or the first time that it is told of this process. */
  | { readonly _tag: 'ProcessExited'; readonly pid: Pid }
  /** The toolbox found something to look at; what came of it, the pass will tell. */
  | { readonly _tag: 'LookAsked' }
  /** Somebody asked for a pass. */
  | { readonly _tag: 'PassAsked'; readonly reason: Reason }
  | { readonly _tag: 'DrainAsked'; readonly signal: string }

/** It follows from the pass that runs, at its moment. */
export type Finding =
  | { readonly _tag: 'Lost'; readonly losses: readonly LinkLoss[] }
  /** Of a link that is new, or of which it was decided otherwise before. */
  | { readonly _tag: 'Decided'; readonly desired: DesiredLink }
  /** Another graph than before is in force. */
  | { readonly _tag: 'GraphTaken'; readonly graph: Graph }
  /** Whether the graph can be read, where that has changed. */
  | { readonly _tag: 'Availability'; readonly condition: Condition }

export type Notice = Arrival | Finding

/** Must not throw. */
export type Noticing = (notice: Notice) => void
