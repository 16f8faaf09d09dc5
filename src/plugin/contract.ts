/**
 * What a plugin is: a manifest and effect handlers for one link type.
 * An Either is any `{_tag: 'Left', left} | {_tag: 'Right', right}`, so a third party needs no fp-ts.
 */
import type { Verdict } from '../model/desired.ts'
import type { InjectError } from '../model/errors.ts'
import type { Link } from '../model/link.ts'
import type { Mediation, TeardownReport } from '../model/mediation.ts'
import type { Task, TaskEither } from '../model/task.ts'
import type { Toolbox } from '../toolbox/contract.ts'

export interface Plugin<M extends Mediation = Mediation> {
  readonly name: string
  /** The link type it serves; equal to its folder's name. */
  readonly type: string
  /** May this link have this role? Pure; asked by the core beside the policy, so that access is decided in one place. */
  readonly admits?: (link: Link) => Verdict
  /** Plant the resource and start mediating. `kept` is what a lost target left alive. */
  readonly onLinkAdded: (link: Link, box: Toolbox, kept?: M) => TaskEither<InjectError, M>
  /** Only the provider changed. Absent: the link is removed and added. */
  readonly onLinkChanged?: (link: Link, mediation: M, box: Toolbox) => TaskEither<InjectError, M>
  /** Undo it. Always returns; what could not be undone is in the report. */
  readonly onLinkRemoved: (link: Link, mediation: M, box: Toolbox) => Task<TeardownReport>
}

/** What the core knows of the plugins without loading them. */
export interface Catalogue {
  /** Types that a plugin exists for, as far as is known now. */
  readonly supports: (type: string) => boolean
  /** The plugin's own opinion, where it is loaded and has one. */
  readonly admits: (link: Link) => Verdict | undefined
  /** Whether a provider-only change can be made in place. */
  readonly canChange: (type: string) => boolean
}
