/**
 * The control plane in one object: trigger -> pass -> daemon actor -> link actors -> effects.
 * Time, chance, graphs and toolboxes are handed in, so that a replay drives this very code with recorded ones.
 * Owns the daemon's actor and the timers; the toolbox host stays the caller's, to be closed after `drain`.
 */
import type { Actor, AnyActorRef, InspectionEvent } from 'xstate'
import { createActor } from 'xstate'
import type { DaemonMachine } from '../../machines/daemon.machine.ts'
import { daemonMachine } from '../../machines/daemon.machine.ts'
import { linkMachine } from '../../machines/link.machine.ts'
import type { Policy } from '../access/verdict.ts'
import { ALLOW_ALL } from '../access/verdict.ts'
import type { GraphSource } from '../graph/source.ts'
import type { Environment } from '../model/clock.ts'
import type { Condition } from '../model/condition.ts'
import type { DesiredState } from '../model/desired.ts'
import type { Graph } from '../model/graph.ts'
import type { Pid } from '../model/identity.ts'
import type { Limits } from '../model/limits.ts'
import type { LinkKey } from '../model/link.ts'
import type { MediationId } from '../model/mediation.ts'
import type { PluginCatalogue } from '../plugin/catalogue.ts'
import type { Attention, LinkLog, ToolboxHost } from '../toolbox/contract.ts'
import type { LinkSnapshot, LinkTransition, LinkView } from './links.ts'
import { isLinkSnapshot, stateOf, watchLinks } from './links.ts'
import type { Noticing } from './notice.ts'
import type { Effects } from './provide.ts'
import { createEffects } from './provide.ts'
import { createReconciler } from './reconcile.ts'
import type { PassEnd, Reason } from './trigger.ts'
import { createTrigger } from './trigger.ts'

export interface ControllerOptions {
  readonly env: Environment
  readonly source: GraphSource
  readonly host: ToolboxHost
  readonly plugins: PluginCatalogue
  readonly limits: Pick<
    Limits,
    | 'drainMs'
    | 'retryMs'
    | 'retryMaxMs'
    | 'deviceRetryMs'
    | 'resyncMs'
    | 'deepLookMs'
    | 'looksApartMs'
    | 'pluginAnswerMs'
  >
  readonly log: LinkLog
  /** `null`: a pass runs only when asked for, as in a replay. */
  readonly intervalMs: number | null
  /** Asked in every pass. Absent: what Pantavisor assigned is allowed. */
  readonly policy?: () => Policy
  /** Sees every actor of the tree, for an inspector. */
  readonly inspect?: (event: InspectionEvent) => void
  /** Told what reaches the controller and what it decides, for a recorder and for live events. */
  readonly onNotice?: Noticing
  /** What carries out the links' effects. Absent: the plugins, with toolboxes of the host. */
  readonly effects?: Effects
}

export type DaemonState = 'starting' | 'syncing' | 'serving' | 'draining' | 'stopped'

export interface Controller {
  start(): void
  /** Resolves when a pass that began after the call has ended. */
  kick(reason: Reason): Promise<PassEnd>
  /**
   * Tear everything down; resolves when nothing is left, or when the time for it is over. A second call stops at once.
   * `signal` is what asked for it, to be told on.
   */
  drain(signal?: string): Promise<void>
  state(): DaemonState
  links(): readonly LinkView[]
  link(key: LinkKey): LinkView | undefined
  /** The last good graph; `null` before the first. */
  graph(): Graph | null
  desired(): DesiredState
  conditions(): readonly Condition[]
  /** When the graph could be read last, in milliseconds since the epoch; `null`: never yet. */
  graphReadAt(): number | null
  /** When everything wanted was repeated last, by the controller's clock; `null`: never yet. */
  resyncedAt(): number | null
  /** How many passes have begun. */
  passes(): number
  /** The daemon's own actor, and those of all links: for an inspector that begins in the middle of things. */
  actors(): readonly AnyActorRef[]
  /** Returns how to stop listening. */
  onTransition(listener: (transition: LinkTransition) => void): () => void
}

/** What teardown itself may take beyond the time that sessions are given. */
const DRAIN_SLACK_MS = 2000

export const createController = (options: ControllerOptions): Controller => {
  const { env, host, log, plugins, limits, onNotice = () => undefined } = options
  let passes = 0
  let started = false

  const watch = watchLinks({ log, wallClock: env.wallClock, pass: () => passes })
  const effects =
    options.effects ??
    createEffects({
      plugins,
      host,
      log,
      clock: env.clock,
      answerMs: limits.pluginAnswerMs,
      drainMs: limits.drainMs,
      onEffect: effect => onNotice({ _tag: 'EffectEnded', effect }),
    })
  const link = effects.provideTo(linkMachine({ now: env.wallClock, random: env.random, limits }))
  /** Counts the steps of all actors: while it stands, so do the links. */
  let steps = 0
  const daemon: Actor<DaemonMachine> = createActor(daemonMachine(link), {
    clock: env.clock,
    inspect: event => {
      if (event.type === '@xstate.snapshot') steps += 1
      watch.inspect(event)
      options.inspect?.(event)
    },
  })

  const snapshots = (): LinkSnapshot[] =>
    Object.values(daemon.getSnapshot().children).flatMap(child => {
      const snapshot = child?.getSnapshot()
      return snapshot !== undefined && isLinkSnapshot(snapshot) ? [snapshot] : []
    })

  let mediatingNow: { readonly asOf: number; readonly keys: ReadonlyMap<MediationId, LinkKey> } | undefined

  /** Asked in every pass, so collected anew only when a link has moved: there may be a thousand that did not. */
  const mediating = (): ReadonlyMap<MediationId, LinkKey> => {
    if (mediatingNow?.asOf === steps) return mediatingNow.keys
    const keys = new Map<MediationId, LinkKey>()
    for (const { value, context } of snapshots()) {
      if (context.mediation !== null && typeof value === 'object' && 'mediating' in value) {
        keys.set(context.mediation.id, context.key)
      }
    }
    mediatingNow = { asOf: steps, keys }
    return keys
  }

  const reconciler = createReconciler({
    source: options.source,
    plugins,
    host,
    policy: options.policy ?? (() => ALLOW_ALL),
    log,
    clock: env.clock,
    wallClock: env.wallClock,
    limits,
    tell: event => daemon.send(event),
    mediating,
    onNotice,
  })

  const trigger = createTrigger({
    clock: env.clock,
    random: env.random,
    intervalMs: options.intervalMs,
    pass: async reasons => {
      passes += 1
      const pass = passes
      try {
        return await reconciler.pass(reasons, pass)
      } catch (error) {
        // A bug: it ends this pass and nothing else. The next one starts from the world as it is.
        log.error({ pass, err: error }, 'a pass failed')
        return 'failed'
      }
    },
  })

  /** Exits that were acted upon: while Pantavisor still lists a dead process, its host reports it again and again. */
  const exited = new Set<Pid>()

  let lookedAt = Number.NEGATIVE_INFINITY
  let look: unknown

  /** Containers can change what they see as fast as they like; we look again at most so often. */
  const lookSoon = (): void => {
    if (look !== undefined) return
    const wait = lookedAt + limits.looksApartMs - env.clock.now()
    const ask = (): void => {
      look = undefined
      lookedAt = env.clock.now()
      void trigger.ask('target-changed')
    }
    if (wait <= 0) ask()
    else look = env.clock.setTimeout(ask, wait)
  }

  const onAttention = (why: Attention): void => {
    if (why._tag !== 'ProcessExited') {
      onNotice({ _tag: 'LookAsked' })
      lookSoon()
      return
    }
    const losses = snapshots()
      .filter(({ context }) => context.wanted.link.consumer_pid === why.pid)
      .map(({ context }) => ({ key: context.key, loss: 'consumer-exited' as const }))
    for (const pid of exited) if (!reconciler.followed().has(pid)) exited.delete(pid)
    const isNew = !exited.has(why.pid)
    if (losses.length > 0 || isNew) onNotice({ _tag: 'ProcessExited', pid: why.pid })
    if (losses.length > 0) daemon.send({ type: 'links.lost', losses })
    if (!isNew) return
    exited.add(why.pid)
    void trigger.ask('process-exit')
  }

  const viewOf = (snapshot: LinkSnapshot): LinkView => ({
    key: snapshot.context.key,
    desired: snapshot.context.wanted,
    state: stateOf(snapshot),
    context: snapshot.context,
    counters: effects.countersOf(snapshot.context.key),
  })

  const drained = (): Promise<void> =>
    new Promise(resolve => {
      if (!started || daemon.getSnapshot().status !== 'active') {
        resolve()
        return
      }
      const bound = env.clock.setTimeout(() => {
        const left = snapshots().map(snapshot => ({
          link: snapshot.context.key,
          state: stateOf(snapshot),
        }))
        log.warn({ left }, 'draining took too long')
        daemon.stop()
        resolve()
      }, limits.drainMs + DRAIN_SLACK_MS)
      daemon.subscribe({
        complete: () => {
          env.clock.clearTimeout(bound)
          resolve()
        },
      })
    })

  return {
    start() {
      if (started) return
      started = true
      host.onAttention(onAttention)
      plugins.onChange(() => void trigger.ask('plugins-changed'))
      daemon.start()
      daemon.send({ type: 'daemon.started' })
      trigger.start()
    },
    kick: reason => {
      onNotice({ _tag: 'PassAsked', reason })
      return trigger.ask(reason)
    },
    async drain(signal = 'SIGTERM') {
      onNotice({ _tag: 'DrainAsked', signal })
      void trigger.stop()
      // Draining begins now, whatever a running pass still waits for: a plan it makes is ignored.
      const done = drained()
      daemon.send({ type: 'drain.requested' })
      await done
    },
    state: () => daemon.getSnapshot().value,
    links: () => snapshots().map(viewOf),
    link: key => {
      const snapshot = daemon.system.get(key)?.getSnapshot()
      return snapshot !== undefined && isLinkSnapshot(snapshot) ? viewOf(snapshot) : undefined
    },
    graph: () => reconciler.graph(),
    desired: () => reconciler.desired(),
    conditions: () => reconciler.conditions(),
    graphReadAt: () => reconciler.readAt(),
    resyncedAt: () => reconciler.resyncedAt(),
    passes: () => passes,
    actors: () => [
      daemon,
      ...Object.values(daemon.getSnapshot().children).flatMap(child => (child === undefined ? [] : [child])),
    ],
    onTransition: listener => watch.onTransition(listener),
  }
}
