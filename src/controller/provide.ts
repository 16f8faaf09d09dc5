/**
 * The link machine's effects, made of plugin handlers and toolboxes. Owns the live mediations; machines hold their ids.
 * Promises that the effects of one link run one after the other, that a target has one owner at a time even while
 * one link takes it over from another, and that a handler which throws, or never answers, is an ordinary failure of
 * its link and leaves nothing planted.
 */
import { fromPromise } from 'xstate'
import type { LinkMachine } from '../../machines/link.machine.ts'
import type { ChangeInput, EffectResult, InjectInput, TeardownInput } from '../../machines/link-context.ts'
import { E } from '../fp.ts'
import type { Clock } from '../model/clock.ts'
import type { InjectError } from '../model/errors.ts'
import { describeError, messageOf } from '../model/errors.ts'
import { keyOf, type Link, type LinkKey } from '../model/link.ts'
import type { Counters, Mediation, TeardownReport } from '../model/mediation.ts'
import { CLEAN_TEARDOWN } from '../model/mediation.ts'
import type { Either } from '../model/task.ts'
import type { PluginCatalogue } from '../plugin/catalogue.ts'
import type { Plugin } from '../plugin/contract.ts'
import type { LinkLog, Toolbox, ToolboxHost } from '../toolbox/contract.ts'
import { type Answer, createHandlerCalls } from './handler-calls.ts'
import { createLease, joined, type Lease } from './lease.ts'
import { exclusive, oneByOne } from './queue.ts'
import { createTotals } from './totals.ts'

/** One finished effect, for the recorder. */
export type EffectRecord =
  | {
      readonly link: LinkKey
      readonly call: 'onLinkAdded' | 'onLinkChanged'
      readonly result: EffectResult
    }
  | { readonly link: LinkKey; readonly call: 'onLinkRemoved'; readonly result: TeardownReport }

export interface EffectsOptions {
  readonly plugins: PluginCatalogue
  readonly host: ToolboxHost
  readonly log: LinkLog
  readonly clock: Clock
  /** How long a handler may take. */
  readonly answerMs: number
  /** What open connections are given when the daemon ends: a plugin that waits for them is not slow. */
  readonly drainMs: number
  readonly onEffect?: ((effect: EffectRecord) => void) | undefined
}

export interface Effects {
  provideTo(machine: LinkMachine): LinkMachine
  /** What the link has counted since the daemon started; `null` before its first mediation. */
  countersOf(key: LinkKey): Counters | null
}

interface Live {
  /** As the plugin was last told, so that it undoes what it did. */
  readonly link: Link
  readonly mediation: Mediation
  /** The toolbox's own word for it. */
  readonly planted: Mediation
}

export const createEffects = (options: EffectsOptions): Effects => {
  const { plugins, host, log, answerMs, drainMs, onEffect } = options
  const live = new Map<LinkKey, Live>()
  const totals = createTotals()
  /** One for each life of a link: from its injection to the end of its teardown. */
  const leases = new Map<LinkKey, Lease>()
  const inTurn = oneByOne<LinkKey>()
  const targets = exclusive<LinkKey>()
  const calls = createHandlerCalls(options.clock, inTurn)

  const leaseOf = (key: LinkKey): Lease => {
    const lease = leases.get(key) ?? createLease(host)
    leases.set(key, lease)
    return lease
  }

  const pluginFor = ({ type }: Link): Plugin => {
    const plugin = plugins.plugin(type)
    if (plugin === undefined) throw new Error(plugins.failure(type) ?? 'it is not loaded')
    return plugin
  }

  const forget = (key: LinkKey): void => {
    const held = live.get(key)
    if (held !== undefined) totals.ended(key, held.planted)
    live.delete(key)
  }

  /** Let go of all that a link holds, its target last: who takes that must find it free. */
  const release = async (key: LinkKey, link: Link): Promise<TeardownReport> => {
    const report = await leases.get(key)?.end()
    leases.delete(key)
    forget(key)
    targets.free(placeOf(link), key)
    return report ?? CLEAN_TEARDOWN
  }

  const undo = async ({ link, mediation }: Omit<Live, 'planted'>, lease: Lease): Promise<TeardownReport> => {
    const answer = await calls.ask(link, {
      handler: 'onLinkRemoved',
      limitMs: answerMs + drainMs,
      call: () => pluginFor(link).onLinkRemoved(link, mediation, lease.toolboxFor(link))(),
      afterwards: () => Promise.resolve(),
    })
    const report = E.isRight(answer) ? reportIn(answer.right) : answer
    if (E.isRight(report)) return report.right
    const why = `plugin ${link.type} failed: ${messageOf(report.left)}`
    return { connectionsClosed: 0, leftBehind: [`${link.target}: ${why}`] }
  }

  /** A plugin that answers when nobody waits any more believes in a mediation still: it is told that this is over. */
  const undoLate = async (
    link: Link,
    before: Live | undefined,
    lease: Lease,
    late: Mediated,
  ): Promise<void> => {
    const key = keyOf(link)
    const owed = E.isRight(late) ? { link, mediation: late.right } : before
    log.warn({ link: key, plugin: link.type, undone: owed !== undefined }, 'a plugin answered too late')
    if (owed !== undefined) await undo(owed, lease)
    if (before !== undefined && live.get(key) === before) await release(key, before.link)
  }

  /** Ask for a mediation. What machines hold of it are the toolbox's words, whatever the plugin makes of them. */
  const mediate = async (
    handler: 'onLinkAdded' | 'onLinkChanged',
    link: Link,
    before: Live | undefined,
    call: (plugin: Plugin, box: Toolbox) => Promise<Mediated>,
  ): Promise<EffectResult> => {
    const key = keyOf(link)
    const lease = leaseOf(key)
    const answer = await calls.ask(link, {
      handler,
      limitMs: answerMs,
      call: () => call(pluginFor(link), lease.toolboxFor(link)),
      afterwards: late => undoLate(link, before, lease, understood(link, late)),
    })
    const result = understood(link, answer)
    if (E.isLeft(result)) return result
    const planted = lease.planted(result.right.id)
    if (planted === undefined) return failed(link, 'it gave a mediation that its toolbox does not know')
    if (live.get(key)?.planted.id !== planted.id) forget(key)
    live.set(key, { link, mediation: result.right, planted })
    return E.right({ id: planted.id, planted: planted.planted })
  }

  const inject = ({ desired: { key, link }, kept }: InjectInput): Promise<EffectResult> =>
    inTurn(key, async () => {
      await targets.take(placeOf(link), key)
      const before = kept === null ? undefined : live.get(key)
      const result = await mediate('onLinkAdded', link, before, (plugin, box) =>
        plugin.onLinkAdded(link, box, before?.mediation)(),
      )
      if (!live.has(key)) await release(key, link)
      onEffect?.({ link: key, call: 'onLinkAdded', result })
      return result
    })

  const change = ({ desired: { key, link } }: ChangeInput): Promise<EffectResult> =>
    inTurn(key, async () => {
      const before = live.get(key)
      const result = await mediate('onLinkChanged', link, before, async (plugin, box) =>
        before === undefined || plugin.onLinkChanged === undefined
          ? failed(link, 'there is nothing to change')
          : plugin.onLinkChanged(link, before.mediation, box)(),
      )
      onEffect?.({ link: key, call: 'onLinkChanged', result })
      return result
    })

  const teardown = ({ key }: TeardownInput): Promise<TeardownReport> =>
    inTurn(key, async () => {
      const found = live.get(key)
      const report =
        found === undefined
          ? CLEAN_TEARDOWN
          : joined(await undo(found, leaseOf(key)), await release(key, found.link))
      if (report.leftBehind.length > 0) {
        log.warn({ link: key, leftBehind: report.leftBehind }, 'something was left behind')
      }
      onEffect?.({ link: key, call: 'onLinkRemoved', result: report })
      return report
    })

  return {
    provideTo: machine =>
      machine.provide({
        actors: {
          inject: fromPromise<EffectResult, InjectInput>(({ input }) => inject(input)),
          change: fromPromise<EffectResult, ChangeInput>(({ input }) => change(input)),
          teardown: fromPromise<TeardownReport, TeardownInput>(({ input }) => teardown(input)),
        },
      }),
    countersOf: key => totals.of(key, live.get(key)?.planted),
  }
}

const placeOf = (link: Link): string => `${link.consumer}\0${link.target}`

const failed = (link: Link, cause: unknown): E.Either<InjectError, never> =>
  E.left({ _tag: 'PluginFailed', plugin: link.type, message: messageOf(cause) })

type Mediated = Either<InjectError, Mediation>

/** A third party's answer may be anything: what is neither a mediation nor an error of ours is the plugin's failure. */
const understood = (link: Link, answer: Answer<Mediated>): E.Either<InjectError, Mediation> => {
  if (E.isLeft(answer)) return failed(link, answer.left)
  const result = answer.right
  try {
    if (result?._tag === 'Right') {
      return typeof result.right?.id === 'string' ? result : failed(link, 'it gave no mediation')
    }
    if (result?._tag === 'Left') {
      return typeof describeError(result.left) === 'string'
        ? result
        : failed(link, 'it gave no error we know')
    }
    return failed(link, 'it gave neither Left nor Right')
  } catch (error) {
    return failed(link, error)
  }
}

const reportIn = (answer: TeardownReport): E.Either<string, TeardownReport> => {
  const isReport =
    typeof answer?.connectionsClosed === 'number' &&
    Array.isArray(answer.leftBehind) &&
    answer.leftBehind.every(item => typeof item === 'string')
  return isReport ? E.right(answer) : E.left('it gave no report')
}
