/**
 * The link machine's effects, made of plugin handlers and toolboxes. Owns the live mediations; machines hold their ids.
 * Promises that the effects of one link run one after the other, that a target has one owner at a time even while
 * one link takes it over from another, and that a handler which throws is an ordinary failure of its link.
 */
import { fromPromise } from 'xstate'
import type {
  ChangeInput,
  EffectResult,
  HeldMediation,
  InjectInput,
  LinkMachine,
  TeardownInput,
} from '../../machines/link.machine.ts'
import { E } from '../fp.ts'
import type { InjectError } from '../model/errors.ts'
import { describeError } from '../model/errors.ts'
import type { Link, LinkKey } from '../model/link.ts'
import type { Counters, Mediation, TeardownReport } from '../model/mediation.ts'
import { CLEAN_TEARDOWN } from '../model/mediation.ts'
import type { PluginCatalogue } from '../plugin/catalogue.ts'
import type { Plugin } from '../plugin/contract.ts'
import type { LinkLog, ToolboxHost } from '../toolbox/contract.ts'
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
}

export const createEffects = ({ plugins, host, log, onEffect }: EffectsOptions): Effects => {
  const live = new Map<LinkKey, Live>()
  const totals = createTotals()
  const inTurn = oneByOne<LinkKey>()
  const targets = exclusive<LinkKey>()

  const handling = async (
    link: Link,
    handler: (plugin: Plugin) => Promise<E.Either<InjectError, Mediation>>,
  ): Promise<E.Either<InjectError, Mediation>> => {
    const plugin = plugins.plugin(link.type)
    if (plugin === undefined) return failed(link, plugins.failure(link.type) ?? 'it is not loaded')
    try {
      return understood(link, await handler(plugin))
    } catch (error) {
      return failed(link, error)
    }
  }

  const hold = (key: LinkKey, link: Link, mediation: Mediation): void => {
    const before = live.get(key)?.mediation
    if (before !== undefined && before.id !== mediation.id) totals.ended(key, before)
    live.set(key, { link, mediation })
  }

  const inject = ({ desired: { key, link }, kept }: InjectInput): Promise<EffectResult> =>
    inTurn(key, async () => {
      await targets.take(placeOf(link), key)
      const before = kept === null ? undefined : live.get(key)?.mediation
      const result = await handling(link, plugin => plugin.onLinkAdded(link, host.toolboxFor(link), before)())
      if (E.isRight(result)) hold(key, link, result.right)
      if (!live.has(key)) targets.free(placeOf(link), key)
      const held = E.map(heldOf)(result)
      onEffect?.({ link: key, call: 'onLinkAdded', result: held })
      return held
    })

  const change = ({ desired: { key, link } }: ChangeInput): Promise<EffectResult> =>
    inTurn(key, async () => {
      const mediation = live.get(key)?.mediation
      const result = await handling(link, plugin =>
        mediation === undefined || plugin.onLinkChanged === undefined
          ? Promise.resolve(failed(link, 'there is nothing to change'))
          : plugin.onLinkChanged(link, mediation, host.toolboxFor(link))(),
      )
      if (E.isRight(result)) hold(key, link, result.right)
      const held = E.map(heldOf)(result)
      onEffect?.({ link: key, call: 'onLinkChanged', result: held })
      return held
    })

  const undo = async ({ link, mediation }: Live): Promise<TeardownReport> => {
    try {
      const plugin = plugins.plugin(link.type)
      if (plugin === undefined) throw new Error('it is not loaded')
      return await plugin.onLinkRemoved(link, mediation, host.toolboxFor(link))()
    } catch (error) {
      return {
        connectionsClosed: 0,
        leftBehind: [`${mediation.planted.target}: plugin ${link.type} failed: ${messageOf(error)}`],
      }
    }
  }

  const teardown = ({ key }: TeardownInput): Promise<TeardownReport> =>
    inTurn(key, async () => {
      const found = live.get(key)
      const report = found === undefined ? CLEAN_TEARDOWN : await undo(found)
      live.delete(key)
      if (found !== undefined) {
        totals.ended(key, found.mediation)
        targets.free(placeOf(found.link), key)
      }
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
    countersOf: key => totals.of(key, live.get(key)?.mediation),
  }
}

const placeOf = (link: Link): string => `${link.consumer}\0${link.target}`

const heldOf = ({ id, planted }: Mediation): HeldMediation => ({ id, planted })

const failed = (link: Link, cause: unknown): E.Either<InjectError, never> =>
  E.left({ _tag: 'PluginFailed', plugin: link.type, message: messageOf(cause) })

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** A third party's answer may be anything: what is neither a mediation nor an error of ours is the plugin's failure. */
const understood = (
  link: Link,
  result: E.Either<InjectError, Mediation>,
): E.Either<InjectError, Mediation> => {
  if (result?._tag === 'Right') {
    return typeof result.right?.id === 'string' && typeof result.right.planted?.target === 'string'
      ? result
      : failed(link, 'it gave no mediation')
  }
  if (result?._tag === 'Left') {
    return typeof describeError(result.left) === 'string' ? result : failed(link, 'it gave no error we know')
  }
  return failed(link, 'it gave neither Left nor Right')
}
