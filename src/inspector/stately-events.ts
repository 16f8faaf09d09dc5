/**
 * What happens, in the shapes of Stately's inspector: those of the package @statelyai/inspect, which its
 * `createWebSocketReceiver` takes as one JSON text a message. Pure but for the time, which comes with each call.
 * Made from xstate's inspection events where there are any, else from what the daemon tells of a link.
 */
import type { AnyActorRef, InspectionEvent } from 'xstate'

/** The version of the package whose shapes these are; receivers take what has one. */
const STATELY_VERSION = '0.7.2'

interface Common {
  readonly rootId: string | undefined
  readonly sessionId: string
  /** Milliseconds since the epoch, in digits. */
  readonly createdAt: string
  /** The package itself sends `null`. */
  readonly id: null
  readonly _version: string
}

export interface StatelyActorEvent extends Common {
  readonly type: '@xstate.actor'
  readonly name: string
  readonly parentId: string | undefined
  /** The machine's configuration as JSON text. */
  readonly definition: string
  readonly snapshot: unknown
}

export interface StatelyEventEvent extends Common {
  readonly type: '@xstate.event'
  readonly event: { readonly type: string }
  readonly sourceId: string | undefined
}

export interface StatelySnapshotEvent extends Common {
  readonly type: '@xstate.snapshot'
  readonly event: { readonly type: string }
  readonly snapshot: unknown
}

export type StatelyEvent = StatelyActorEvent | StatelyEventEvent | StatelySnapshotEvent

/** Functions are named, as the package does. */
const named = (_: string, value: unknown): unknown =>
  typeof value === 'function' ? { type: value.name } : value

/**
 * One event as a receiver takes it. Written as the package would: it must not fail, whatever a plugin keeps in its mediation,
 * for the machine that tells of it is the daemon's own.
 */
export const statelyText = (event: StatelyEvent): string => {
  /** The objects around the value at hand, from the outermost. */
  const around: unknown[] = []
  return JSON.stringify(event, function (this: unknown, key: string, value: unknown) {
    while (around.length > 0 && around.at(-1) !== this) around.pop()
    if (typeof value === 'bigint') return String(value)
    const plain = named(key, value)
    if (typeof plain !== 'object' || plain === null) return plain
    if (around.includes(plain)) return '[Circular]'
    around.push(plain)
    return plain
  })
}

/** The definition of an actor: its machine's configuration, or just its name. */
export const definitionText = (logic: unknown, name: string): string =>
  typeof logic === 'object' && logic !== null && 'config' in logic && typeof logic.config === 'object'
    ? JSON.stringify(logic.config, named)
    : JSON.stringify({ id: name })

const commonOf = (sessionId: string, rootId: string | undefined, now: number): Common => ({
  rootId,
  sessionId,
  createdAt: String(now),
  id: null,
  _version: STATELY_VERSION,
})

export const actorEvent = (actor: AnyActorRef, rootId: string, now: number): StatelyActorEvent => {
  const name = nameOf(actor)
  return {
    type: '@xstate.actor',
    name,
    parentId: actor._parent?.sessionId,
    definition: definitionText('logic' in actor ? actor.logic : undefined, name),
    // One that is being made has none yet.
    snapshot: actor.getSnapshot() ?? { status: 'active' },
    ...commonOf(actor.sessionId, rootId, now),
  }
}

/** `undefined`: Stately's inspector has no word for it. */
export const statelyEventOf = (event: InspectionEvent, now: number): StatelyEvent | undefined => {
  switch (event.type) {
    case '@xstate.actor':
      return isActor(event.actorRef) ? actorEvent(event.actorRef, event.rootId, now) : undefined
    case '@xstate.event':
      return {
        type: '@xstate.event',
        event: event.event,
        sourceId: event.sourceRef?.sessionId,
        ...commonOf(event.actorRef.sessionId, event.rootId, now),
      }
    case '@xstate.snapshot':
      return {
        type: '@xstate.snapshot',
        event: event.event,
        snapshot: event.snapshot,
        ...commonOf(event.actorRef.sessionId, event.rootId, now),
      }
    default:
      return undefined
  }
}

/** A link is known to the actor system by its key; its actor's own name is only a number. */
const nameOf = (actor: AnyActorRef): string =>
  'systemId' in actor && typeof actor.systemId === 'string' ? actor.systemId : actor.id

const isActor = (actor: object): actor is AnyActorRef => 'getSnapshot' in actor && 'id' in actor

/** Links without their actors: each is one, below a daemon that says nothing. */
const ROOT_SESSION = 'daemon'

export interface KnownLink {
  readonly key: string
  readonly state: string
  readonly context: unknown
}

/** As xstate writes a state: `{pending: 'blocked'}`. */
const stateValue = (state: string): unknown => {
  const [outer = state, inner] = state.split('.')
  return inner === undefined ? outer : { [outer]: inner }
}

const snapshotOf = ({ state, context }: KnownLink): unknown => ({
  status: state === 'released' ? 'done' : 'active',
  value: stateValue(state),
  context,
})

export const linkActorEvent = (link: KnownLink, definition: string, now: number): StatelyActorEvent => ({
  type: '@xstate.actor',
  name: link.key,
  parentId: ROOT_SESSION,
  definition,
  snapshot: snapshotOf(link),
  ...commonOf(link.key, ROOT_SESSION, now),
})

export const linkMovedEvents = (link: KnownLink, event: string, now: number): readonly StatelyEvent[] => [
  {
    type: '@xstate.event',
    event: { type: event },
    sourceId: ROOT_SESSION,
    ...commonOf(link.key, ROOT_SESSION, now),
  },
  {
    type: '@xstate.snapshot',
    event: { type: event },
    snapshot: snapshotOf(link),
    ...commonOf(link.key, ROOT_SESSION, now),
  },
]
