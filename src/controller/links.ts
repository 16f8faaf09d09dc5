/**
 * The links as others may see them: a read-only view of their actors, one line of log and one call per transition.
 * Listens through xstate's inspection, so that the machines know nothing of it.
 */
import type { AnyEventObject, InspectionEvent, Snapshot, SnapshotFrom } from 'xstate'
import type { LinkMachine } from '../../machines/link.machine.ts'
import type { LinkContext } from '../../machines/link-context.ts'
import type { DesiredLink, Verdict } from '../model/desired.ts'
import { describeError } from '../model/errors.ts'
import type { LinkKey } from '../model/link.ts'
import type { Counters } from '../model/mediation.ts'
import type { LinkLog } from '../toolbox/contract.ts'

export type LinkSnapshot = SnapshotFrom<LinkMachine>

export interface LinkView {
  readonly key: LinkKey
  /** What the link was last told to be. */
  readonly desired: DesiredLink
  /** State and substate, as in `injecting.wanted`. */
  readonly state: string
  readonly context: LinkContext
  /** Over all mediations of the link, so that they go on where the link comes back; `null` before the first. */
  readonly counters: Counters | null
}

export interface LinkTransition {
  readonly link: LinkKey
  /** `null`: the link was not known before. */
  readonly from: string | null
  readonly to: string
  /** As the machine's table calls it. */
  readonly event: string
  /** The event, or why it failed or is blocked, for people. */
  readonly reason: string
  /** The last pass that began. */
  readonly pass: number
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly context: LinkContext
}

export interface LinkWatchOptions {
  readonly log: LinkLog
  readonly wallClock: () => number
  readonly pass: () => number
}

export interface LinkWatch {
  readonly inspect: (event: InspectionEvent) => void
  /** Returns how to stop listening. */
  onTransition(listener: (transition: LinkTransition) => void): () => void
}

export const stateOf = ({ value }: LinkSnapshot): string =>
  typeof value === 'string' ? value : Object.entries(value).flat().join('.')

export const isLinkSnapshot = (snapshot: Snapshot<unknown>): snapshot is LinkSnapshot =>
  'machine' in snapshot &&
  typeof snapshot.machine === 'object' &&
  snapshot.machine !== null &&
  'id' in snapshot.machine &&
  snapshot.machine.id === 'link'

export const describeVerdict = (verdict: Verdict): string => {
  switch (verdict._tag) {
    case 'Admitted':
      return `admitted by ${verdict.rule}`
    case 'Denied':
      return `denied by ${verdict.rule}`
    case 'Conflict':
      return `${verdict.winner} has the target`
    case 'Unsupported':
      return verdict.reason
  }
}

interface Seen {
  readonly state: string
  readonly error: string | null
  /** Of the snapshot, to be compared by identity. */
  readonly value: LinkSnapshot['value']
  readonly lastError: LinkContext['lastError']
}

export const watchLinks = ({ log, wallClock, pass }: LinkWatchOptions): LinkWatch => {
  const seen = new Map<LinkKey, Seen>()
  const listeners = new Set<(transition: LinkTransition) => void>()

  const note = (snapshot: LinkSnapshot, event: AnyEventObject): void => {
    const { context, value } = snapshot
    const before = seen.get(context.key)
    // A resync tells every link what it knows already: most events move nothing.
    if (before?.value === value && before.lastError === context.lastError) return
    const state = stateOf(snapshot)
    const error = context.lastError === null ? null : describeError(context.lastError)
    const isNewError = error !== null && error !== before?.error
    if (state === 'released') seen.delete(context.key)
    else seen.set(context.key, { state, error, value, lastError: context.lastError })

    if (isNewError && context.lastError !== null) {
      log.warn(
        {
          link: context.key,
          error: context.lastError,
          reason: error,
          attempt: context.attempt,
          pass: pass(),
        },
        'an effect failed',
      )
    }
    if (before?.state === state) return
    const transition: LinkTransition = {
      link: context.key,
      from: before?.state ?? null,
      to: state,
      event: eventName(event),
      reason: reasonOf(context, state, eventName(event)),
      pass: pass(),
      at: wallClock(),
      context,
    }
    const { link, from, to, reason } = transition
    const facts = { link, from, to, reason, pass: transition.pass }
    // The rounds of a retry that fails as before say nothing new.
    if (error !== null && !isNewError && to !== 'released') log.debug(facts, 'link moved')
    else log.info(facts, 'link moved')
    for (const listener of listeners) listener(transition)
  }

  return {
    inspect: event => {
      if (event.type === '@xstate.snapshot' && isLinkSnapshot(event.snapshot)) {
        note(event.snapshot, event.event)
      }
    },
    onTransition: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

const reasonOf = (context: LinkContext, state: string, event: string): string => {
  if (state === 'pending.blocked' && context.wanted.verdict._tag !== 'Admitted') {
    return describeVerdict(context.wanted.verdict)
  }
  return context.lastError !== null && (event.endsWith(': Left') || event.endsWith(': threw'))
    ? describeError(context.lastError)
    : event
}

const eventName = (event: AnyEventObject): string => {
  if (event.type === 'xstate.init') return 'link.wanted'
  if (event.type.startsWith('xstate.after.')) return `after ${event.type.split('.')[2]}`
  const [, outcome, effect] = /^xstate\.(done|error)\.actor\.(.*)$/.exec(event.type) ?? []
  if (outcome === undefined) return event.type
  if (effect === 'teardown') return 'teardown done'
  return `${effect}: ${outcome === 'error' ? 'threw' : event['output']?._tag}`
}
