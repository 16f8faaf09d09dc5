/**
 * What a link knows, what it can be told, and what its effects are given and answer: the words of `link.machine.ts` for everybody
 * around it. Types alone. Context is plain JSON, so that a snapshot can be recorded, shown and replayed.
 */
import type { E } from '../src/fp.ts'
import type { Condition } from '../src/model/condition.ts'
import type { DesiredLink } from '../src/model/desired.ts'
import type { InjectError } from '../src/model/errors.ts'
import type { LinkKey } from '../src/model/link.ts'
import type { Mediation } from '../src/model/mediation.ts'

/** A live mediation as a snapshot may hold it. */
export type HeldMediation = Pick<Mediation, 'id' | 'planted'>

export interface LinkContext {
  readonly key: LinkKey
  readonly wanted: DesiredLink
  /** What is wanted by now, where that changed while an injection ran. */
  readonly next: DesiredLink | null
  /** Failures in a row; mediating for a minute forgives them. */
  readonly attempt: number
  readonly retryDelayMs: number
  readonly lastError: InjectError | null
  /** When the link came to its present one of the four states. */
  readonly since: number
  readonly mediation: HeldMediation | null
  readonly conditions: readonly Condition[]
}

interface LinkWanted {
  readonly type: 'link.wanted'
  readonly desired: DesiredLink
  readonly resync: boolean
  /** The plugin can follow a change of the provider in place. */
  readonly canChange: boolean
}

/** What a link can be told. */
export type LinkEvent =
  | LinkWanted
  | { readonly type: 'link.unwanted' }
  | { readonly type: 'target.lost' }
  | { readonly type: 'consumer.exited' }

export interface InjectInput {
  readonly desired: DesiredLink
  /** What a lost target left alive. */
  readonly kept: HeldMediation | null
}

export interface ChangeInput {
  readonly desired: DesiredLink
  readonly mediation: HeldMediation | null
}

export interface TeardownInput {
  readonly key: LinkKey
  readonly mediation: HeldMediation | null
}

export type EffectResult = E.Either<InjectError, HeldMediation>
