/**
 * The daemon: parent of every link's actor, so that an inspector sees one tree.
 * It hands plans on to the links and waits for the last of them when it drains; it decides nothing about a link.
 *
 *   state      on                guard            next       on the way
 *   starting   daemon.started                     syncing
 *   syncing    plan.made                          serving    tellLinks
 *   serving    plan.made                          (stays)    tellLinks
 *   serving    links.lost                         (stays)    tellLosses
 *   (these)    drain.requested                    draining   every link: link.unwanted
 *   draining   (at once)         no link is left  stopped (final)
 *   draining   drain.requested                    stopped (final)
 *   (all)      a link released                    (stays)    forgetLink
 *   (all)      a link crashed                     (stays)    forgetLink: the next resync starts it anew
 */
import type { DoneActorEvent, ErrorActorEvent } from 'xstate'
import { enqueueActions, setup } from 'xstate'
import type { DesiredLink, Plan } from '../src/model/desired.ts'
import type { LinkKey } from '../src/model/link.ts'
import type { LinkMachine } from './link.machine.ts'
import type { LinkEvent } from './link-context.ts'

export interface DaemonContext {
  /** How many links have an actor, those being torn down included. */
  readonly links: number
}

/** What a look at the world found about one link. */
export interface LinkLoss {
  readonly key: LinkKey
  readonly loss: 'target-lost' | 'consumer-exited'
}

export interface PlanMade {
  readonly type: 'plan.made'
  readonly plan: Plan
  /** The plan holds everything that is wanted: a link it does not name is not. */
  readonly resync: boolean
  /** Link types whose plugin follows a change of the provider in place. */
  readonly changeable: readonly string[]
}

export type DaemonEvent =
  | { readonly type: 'daemon.started' }
  | PlanMade
  | { readonly type: 'links.lost'; readonly losses: readonly LinkLoss[] }
  | { readonly type: 'drain.requested' }

const DONE = 'xstate.done.actor.'
const CRASHED = 'xstate.error.actor.'

const UNWANTED = { type: 'link.unwanted' } as const satisfies LinkEvent

const LOSS_EVENTS = {
  'target-lost': { type: 'target.lost' },
  'consumer-exited': { type: 'consumer.exited' },
} as const satisfies Record<LinkLoss['loss'], LinkEvent>

/** Children are numbered, as objects keyed by small integers are the ones that are quick to copy, and xstate copies
 * the children each time one of them goes. Links are found by their key, under which the actor system knows them. */
const freeSlots = (present: object, count: number): readonly string[] => {
  const slots: string[] = []
  for (let slot = 0; slots.length < count; slot += 1) {
    if (!(slot in present)) slots.push(String(slot))
  }
  return slots
}

/** `link`: the link machine with its effects provided. */
export const daemonMachine = (link: LinkMachine) =>
  setup({
    types: {} as {
      context: DaemonContext
      events: DaemonEvent | DoneActorEvent | ErrorActorEvent
    },
    actors: { link },
    guards: {
      noLinkLeft: ({ context }) => context.links === 0,
    },
    actions: {
      /** Unwanted ones first, so that a target is given up before its next owner asks for it. */
      tellLinks: enqueueActions(({ enqueue, event, self, system }) => {
        if (event.type !== 'plan.made') return
        const { plan, resync, changeable } = event
        const wanted = new Map(plan.changed.concat(plan.wanted).map(desired => [desired.key, desired]))
        const present = self.getSnapshot().children
        for (const child of Object.values(present)) {
          if (child !== undefined && resync && !wanted.has(child.getSnapshot().context.key)) {
            enqueue.sendTo(child, UNWANTED)
          }
        }
        for (const key of plan.unwanted) {
          const link = system.get(key)
          if (link !== undefined) enqueue.sendTo(link, UNWANTED)
        }
        const absent: DesiredLink[] = []
        for (const [key, desired] of wanted) {
          const link = system.get(key)
          const canChange = changeable.includes(desired.link.type)
          const told: LinkEvent = { type: 'link.wanted', desired, resync, canChange }
          if (link === undefined) absent.push(desired)
          else enqueue.sendTo(link, told)
        }
        if (absent.length === 0) return
        // One assignment for all: each spawnChild action would copy the children again.
        enqueue.assign(({ context, spawn }) => {
          const slots = freeSlots(present, absent.length)
          absent.forEach((desired, n) => {
            spawn('link', { id: slots[n] ?? desired.key, systemId: desired.key, input: { desired } })
          })
          return { links: context.links + absent.length }
        })
      }),
      tellLosses: enqueueActions(({ enqueue, event, system }) => {
        if (event.type !== 'links.lost') return
        for (const { key, loss } of event.losses) {
          const link = system.get(key)
          if (link !== undefined) enqueue.sendTo(link, LOSS_EVENTS[loss])
        }
      }),
      tellAllUnwanted: enqueueActions(({ enqueue, self }) => {
        for (const child of Object.values(self.getSnapshot().children)) {
          if (child !== undefined) enqueue.sendTo(child, UNWANTED)
        }
      }),
      /** A finished child stays among the children until it is stopped. */
      forgetLink: enqueueActions(({ enqueue }, { id }: { id: string }) => {
        enqueue.stopChild(id)
        enqueue.assign(({ context }) => ({ links: context.links - 1 }))
      }),
    },
  }).createMachine({
    id: 'daemon',
    context: { links: 0 },
    on: {
      'xstate.done.actor.*': {
        actions: { type: 'forgetLink', params: ({ event }) => ({ id: event.type.slice(DONE.length) }) },
      },
      'xstate.error.actor.*': {
        actions: { type: 'forgetLink', params: ({ event }) => ({ id: event.type.slice(CRASHED.length) }) },
      },
      'drain.requested': { target: '.draining' },
    },
    initial: 'starting',
    states: {
      starting: { on: { 'daemon.started': { target: 'syncing' } } },
      syncing: { on: { 'plan.made': { target: 'serving', actions: 'tellLinks' } } },
      serving: { on: { 'plan.made': { actions: 'tellLinks' }, 'links.lost': { actions: 'tellLosses' } } },
      draining: {
        entry: 'tellAllUnwanted',
        always: { guard: 'noLinkLeft', target: 'stopped' },
        on: { 'drain.requested': { target: 'stopped' } },
      },
      stopped: { type: 'final' },
    },
  })

export type DaemonMachine = ReturnType<typeof daemonMachine>
