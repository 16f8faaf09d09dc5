/**
 * The daemon that this process is, as a subject: asked and listened to while somebody looks, and only then.
 * Changes are gathered for a moment, so that a thousand links which come up together are told in a few messages.
 */
import type { AnyActorRef } from 'xstate'
import type { History } from '../control/history.ts'
import { conditionJson, linkDetailsJson } from '../control/views.ts'
import type { Controller } from '../controller/controller.ts'
import { isLinkSnapshot, type LinkView } from '../controller/links.ts'
import type { Clock } from '../model/clock.ts'
import type { Condition } from '../model/condition.ts'
import type { LinkKey } from '../model/link.ts'
import { linkKeyOf } from '../model/link.ts'
import type { Happening, Subject, Watcher } from './contract.ts'
import { countsOf, rowOf, sameCounts } from './rows.ts'
import type { About, Around, CounterRow } from './shared/protocol.ts'
import { actorEvent, type StatelyEvent, statelyEventOf } from './stately-events.ts'
import type { Tap } from './tap.ts'

export interface DaemonSubjectOptions {
  readonly about: About
  readonly controller: Pick<Controller, 'links' | 'link' | 'state' | 'actors'>
  readonly tap: Tap
  readonly history: History
  readonly conditions: () => readonly Condition[]
  readonly advice: (view: LinkView) => readonly string[]
  /** What happened lately, from the oldest. */
  readonly past: () => readonly Happening[]
  /** What happens from now on. Returns how to stop. */
  readonly listen: (listener: (happening: Happening) => void) => () => void
  readonly clock: Clock
  readonly wallClock: () => number
}

/** Shorter than anybody notices, and longer than a pass over a thousand links. */
const GATHERED_MS = 50
/** Counters are compared, and what concerns all links, this often. */
const COUNTED_MS = 1000

export const createDaemonSubject = (options: DaemonSubjectOptions): Subject => {
  const { about, controller, tap, history, clock, wallClock } = options

  const around = (): Around => ({
    daemonState: controller.state(),
    conditions: options.conditions().map(conditionJson),
  })

  const watch = (watcher: Watcher): (() => void) => {
    const moved = new Set<LinkKey>()
    let happened: Happening[] = []
    let pending: unknown
    let counting: unknown
    let counted = new Map<string, CounterRow>()
    let told = around()

    const flush = (): void => {
      pending = undefined
      const views = [...moved].map(key => [key, controller.link(key)] as const)
      moved.clear()
      const log = happened
      happened = []
      watcher.onUpdate({
        links: views.flatMap(([, view]) => (view === undefined || isReleased(view) ? [] : [rowOf(view)])),
        gone: views.flatMap(([key, view]) => (view === undefined || isReleased(view) ? [key] : [])),
        log,
        ...newAround(),
      })
    }

    const newAround = (): { readonly around?: Around } => {
      const now = around()
      if (JSON.stringify(now) === JSON.stringify(told)) return {}
      told = now
      return { around: now }
    }

    const soon = (): void => {
      pending ??= clock.setTimeout(flush, GATHERED_MS)
    }

    const count = (): void => {
      const rows = controller.links().map(view => countsOf(view.key, view.counters))
      const changed = rows.filter(row => !sameCounts(counted.get(row[0]), row))
      counted = new Map(rows.map(row => [row[0], row]))
      if (changed.length > 0) watcher.onCounters(changed)
      const { around: fresh } = newAround()
      if (fresh !== undefined) watcher.onUpdate({ links: [], gone: [], log: [], around: fresh })
      counting = clock.setTimeout(count, COUNTED_MS)
    }

    const stops = [
      tap.listen(event => {
        if (event.type !== '@xstate.snapshot' || !isLinkSnapshot(event.snapshot)) return
        moved.add(event.snapshot.context.key)
        soon()
      }),
      options.listen(happening => {
        happened.push(happening)
        soon()
      }),
    ]
    const views = controller.links()
    watcher.onWhole({ links: views.map(rowOf), log: options.past(), ...told })
    count()
    return () => {
      for (const stop of stops) stop()
      clock.clearTimeout(pending)
      clock.clearTimeout(counting)
    }
  }

  return {
    about,
    watch,
    details: async key => {
      const known = linkKeyOf(key)
      const view = controller.link(known)
      if (view === undefined) return null
      return {
        link: linkDetailsJson(view, history.of(known), options.advice(view), wallClock()),
        context: view.context,
      }
    },
    actors: tell => {
      const actors = controller.actors()
      const [root] = actors
      tell(knownActors(actors, root?.sessionId ?? '', wallClock))
      return tap.listen(event => {
        const converted: StatelyEvent | undefined = statelyEventOf(event, wallClock())
        if (converted !== undefined) tell([converted])
      })
    },
  }
}

function* knownActors(
  actors: readonly AnyActorRef[],
  rootId: string,
  wallClock: () => number,
): Generator<StatelyEvent> {
  for (const actor of actors) yield actorEvent(actor, rootId, wallClock())
}

const isReleased = ({ state }: LinkView): boolean => state === 'released'
