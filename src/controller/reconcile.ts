/**
 * One pass: read the graph, compute what should exist, tell the links, look at what became of it.
 * Level-triggered: everything it does depends on the last good graph and on the world as found, never on what
 * happened between two passes. An expected failure to read keeps the last graph in force.
 */
import type { LinkLoss, PlanMade } from '../../machines/daemon.machine.ts'
import type { Policy } from '../access/verdict.ts'
import { compute } from '../desired/compute.ts'
import { diff } from '../desired/diff.ts'
import { E } from '../fp.ts'
import type { GraphError, ReadError } from '../graph/errors.ts'
import { describeReadError } from '../graph/errors.ts'
import type { GraphSource } from '../graph/source.ts'
import type { Clock } from '../model/clock.ts'
import type { Condition } from '../model/condition.ts'
import { withCondition } from '../model/condition.ts'
import type { DesiredLink, DesiredState, Plan } from '../model/desired.ts'
import { isEmptyPlan, NOTHING_DESIRED, sameVerdict } from '../model/desired.ts'
import type { Graph } from '../model/graph.ts'
import type { Pid } from '../model/identity.ts'
import { HOST } from '../model/identity.ts'
import type { Limits } from '../model/limits.ts'
import type { Link, LinkKey } from '../model/link.ts'
import type { MediationId } from '../model/mediation.ts'
import type { PluginCatalogue } from '../plugin/catalogue.ts'
import type { LinkLog, ToolboxHost } from '../toolbox/contract.ts'
import { describeVerdict } from './links.ts'
import type { Noticing } from './notice.ts'
import type { PassOutcome, Reason } from './trigger.ts'

export interface ReconcileOptions {
  readonly source: GraphSource
  readonly plugins: PluginCatalogue
  readonly host: ToolboxHost
  readonly policy: () => Policy
  readonly log: LinkLog
  readonly clock: Clock
  readonly wallClock: () => number
  readonly limits: Pick<Limits, 'resyncMs' | 'deepLookMs'>
  readonly tell: (
    event: PlanMade | { readonly type: 'links.lost'; readonly losses: readonly LinkLoss[] },
  ) => void
  /** The links that mediate now, by what they hold. */
  readonly mediating: () => ReadonlyMap<MediationId, LinkKey>
  readonly onNotice: Noticing
}

export interface Reconciler {
  pass(reasons: ReadonlySet<Reason>, id: number): Promise<PassOutcome>
  /** `null`: none was read yet. */
  graph(): Graph | null
  desired(): DesiredState
  conditions(): readonly Condition[]
  /** When the graph could be read last, by the wall clock; `null`: never yet. */
  readAt(): number | null
  /** When everything wanted was repeated last, by the clock; `null`: never yet. */
  resyncedAt(): number | null
  /** The processes the last graph names. */
  followed(): ReadonlySet<Pid>
}

export const createReconciler = (options: ReconcileOptions): Reconciler => {
  const { source, plugins, host, log, clock, limits, onNotice } = options
  let graph: Graph | null = null
  let desired = NOTHING_DESIRED
  let followed: { readonly of: DesiredState; readonly pids: ReadonlySet<Pid> } | null = null
  let applied: { readonly graph: Graph; readonly policy: Policy; readonly plugins: number } | null = null
  let conditions: readonly Condition[] = []
  let readAt: number | null = null
  let rejectedBefore = ''
  let resyncedAt = Number.NEGATIVE_INFINITY
  let lookedDeepAt = Number.NEGATIVE_INFINITY

  const noteAvailability = (error: ReadError | GraphError | null, pass: number): void => {
    const before = conditions.find(isAvailability)
    const message = error === null ? '' : describeReadError(error)
    conditions = withCondition(
      conditions,
      {
        type: 'GraphAvailable',
        status: error === null ? 'True' : 'False',
        reason: error === null ? 'Read' : error._tag,
        message,
      },
      options.wallClock(),
    )
    const now = conditions.find(isAvailability)
    if (now !== undefined && now.reason !== before?.reason) onNotice({ _tag: 'Availability', condition: now })
    // Another kind of failure is news too: a Pantavisor that was not there yet may turn out to talk nonsense.
    if (error !== null && before?.reason !== error._tag) {
      log.warn({ pass, error, reason: message }, 'the graph cannot be read, the last one stays in force')
    } else if (error === null && before?.status !== 'True') log.info({ pass }, 'the graph can be read')
  }

  const noteRejected = ({ rejected }: Graph, pass: number): void => {
    const now = JSON.stringify(rejected)
    if (now === rejectedBefore) return
    rejectedBefore = now
    for (const { index, reason } of rejected) {
      log.warn({ pass, entry: index, reason }, 'an entry of the graph was rejected')
    }
  }

  /** The audit line of each decision, before anything is done about it. */
  const noteVerdicts = (previous: DesiredState, plan: Plan, pass: number): void => {
    for (const { key, link, verdict } of [...plan.wanted, ...plan.changed]) {
      const before = previous.links[key]
      if (before !== undefined && sameVerdict(before.verdict, verdict)) continue
      const { type, role, provider } = link
      log.info(
        { pass, link: key, type, role, provider, verdict: verdict._tag, reason: describeVerdict(verdict) },
        verdict._tag === 'Admitted' ? 'link admitted' : 'link not admitted',
      )
      onNotice({ _tag: 'Decided', desired: { key, link, verdict } })
    }
  }

  /** `fresh`: the graph was just read. One that could not be read again does not say that what it names is still meant. */
  const follow = (fresh: boolean): void => {
    if (followed?.of !== desired) followed = { of: desired, pids: pidsOf(Object.values(desired.links)) }
    if (fresh) host.follow(followed.pids)
  }

  const apply = async (
    current: Graph,
    fresh: boolean,
    reasons: ReadonlySet<Reason>,
    pass: number,
  ): Promise<void> => {
    const first = resyncedAt === Number.NEGATIVE_INFINITY
    const resync = clock.now() - resyncedAt >= limits.resyncMs
    const lookAgain = resync || reasons.has('sighup')
    if (lookAgain || applied?.graph !== current) {
      await plugins.load(new Set(current.links.map(({ type }) => type)), lookAgain)
    }
    const policy = options.policy()
    const revision = plugins.revision()
    // The same question has the same answer; asking it for a thousand links every second would only warm the device.
    if (!resync && applied?.graph === current && applied.policy === policy && applied.plugins === revision) {
      return
    }
    if (resync) resyncedAt = clock.now()
    const previous = desired
    desired = compute(current, policy, plugins, previous)
    applied = { graph: current, policy, plugins: revision }
    const plan = diff(previous, desired, { resync })
    noteVerdicts(previous, plan, pass)
    follow(fresh)
    host.sweep(() => admittedLinks(desired))
    // The very first plan is told even if it is empty: the daemon serves from then on.
    if (first || resync || !isEmptyPlan(plan)) {
      options.tell({ type: 'plan.made', plan, resync, changeable: changeableTypes(plan) })
    }
  }

  const changeableTypes = ({ wanted, changed }: Plan): readonly string[] =>
    [...new Set([...wanted, ...changed].map(({ link }) => link.type))].filter(plugins.canChange)

  const observe = (reasons: ReadonlySet<Reason>): void => {
    const mediating = options.mediating()
    const deep = reasons.has('target-changed') || clock.now() - lookedDeepAt >= limits.deepLookMs
    if (deep) lookedDeepAt = clock.now()
    const losses: LinkLoss[] = []
    for (const [id, loss] of host.observe(mediating.keys(), deep)) {
      const key = mediating.get(id)
      if (key !== undefined) losses.push({ key, loss })
    }
    if (losses.length === 0) return
    onNotice({ _tag: 'Lost', losses })
    options.tell({ type: 'links.lost', losses })
  }

  return {
    async pass(reasons, id) {
      const reading = await source.read()()
      noteAvailability(E.isLeft(reading) ? reading.left : null, id)
      if (E.isRight(reading)) readAt = options.wallClock()
      if (E.isRight(reading) && reading.right._tag === 'Graph') {
        graph = reading.right.graph
        onNotice({ _tag: 'GraphTaken', graph })
        noteRejected(graph, id)
      }
      // An old graph is applied again too: the policy may have changed, and a resync may be due.
      if (graph !== null) await apply(graph, E.isRight(reading), reasons, id)
      follow(E.isRight(reading))
      observe(reasons)
      return E.isLeft(reading) ? 'read-failed' : 'done'
    },
    graph: () => graph,
    desired: () => desired,
    conditions: () => conditions,
    readAt: () => readAt,
    resyncedAt: () => (resyncedAt === Number.NEGATIVE_INFINITY ? null : resyncedAt),
    followed: () => followed?.pids ?? NOBODY,
  }
}

const admittedLinks = ({ links }: DesiredState): readonly Link[] =>
  Object.values(links).flatMap(({ link, verdict }) => (verdict._tag === 'Admitted' ? [link] : []))

const isAvailability = ({ type }: Condition): boolean => type === 'GraphAvailable'

const NOBODY: ReadonlySet<Pid> = new Set()

const pidsOf = (links: readonly DesiredLink[]): ReadonlySet<Pid> => {
  const pids = new Set<Pid>()
  for (const { link } of links) {
    if (link.consumer_pid !== null && link.consumer_pid !== HOST) pids.add(link.consumer_pid)
    if (link.provider_pid !== null && link.provider_pid !== HOST) pids.add(link.provider_pid)
  }
  return pids
}
