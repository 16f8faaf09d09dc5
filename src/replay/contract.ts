/**
 * A replay as those see it who drive and show it: the command line, the inspector's timeline, tests.
 * Promises that the same recording gives the same steps, byte for byte. Going back is replaying anew up to there, which
 * takes no time worth mentioning.
 */
import type { InspectionEvent } from 'xstate'
import type { Controller } from '../controller/controller.ts'
import type { LinkTransition } from '../controller/links.ts'
import type { InjectError } from '../model/errors.ts'
import type { LinkKey } from '../model/link.ts'
import type { Header, Line } from '../record/format.ts'

/** What made the control plane move: a line of the recording, or a timer of a link that came due between two lines. */
export type Cause =
  | { readonly _tag: 'Line'; readonly line: Line; readonly number: number }
  | { readonly _tag: 'Timer' }

export interface Step {
  /** Counted from 0. */
  readonly index: number
  /** Milliseconds since the recording began. */
  readonly t: number
  readonly cause: Cause
  /** What the links made of it, in order. */
  readonly transitions: readonly LinkTransition[]
}

/** A result of our own instead of the recorded one, for every call that it fits. */
export interface Fault {
  /** Absent: of every link. */
  readonly link?: string
  readonly call: 'onLinkAdded' | 'onLinkChanged' | 'onLinkRemoved'
  /** A tag of docs/errors.md, as in `TargetOccupied`. */
  readonly error: InjectError['_tag']
  /** How many calls of a link fail; absent: all of them. */
  readonly times?: number
}

export interface ReplayOptions {
  readonly faults?: readonly Fault[]
  /** Sees every actor of the tree, for an inspector. */
  readonly inspect?: (event: InspectionEvent) => void
}

/** Of one link: what was recorded, and what the replay did; `null`: nothing. */
export interface Divergence {
  readonly link: LinkKey
  /** Of the recording, from 1; `null`: the replay did more than was recorded. */
  readonly number: number | null
  readonly recorded: Moved | null
  readonly replayed: Moved | null
  /** On which both agreed, the last of them last. */
  readonly before: readonly Moved[]
}

export interface Moved {
  readonly t: number
  readonly from: string | null
  readonly to: string
  readonly event: string
  readonly reason: string
}

export interface Replay {
  readonly header: Header
  /** To ask for links, states, contexts, desired state, as they are now in the replay. */
  readonly controller: Controller
  /** Milliseconds since the recording began. */
  now(): number
  /** The time of the last line. */
  readonly endsAt: number
  /** When the next step is; `undefined`: the recording is over. */
  nextAt(): number | undefined
  /** The next line or timer; `undefined`: the recording is over. */
  next(): Promise<Step | undefined>
  /** Faults that no call was meant by so far. */
  unusedFaults(): readonly Fault[]
  /** Where it went another way than the recording, if so: the first of each link, by their order in time. */
  divergences(): readonly Divergence[]
}
