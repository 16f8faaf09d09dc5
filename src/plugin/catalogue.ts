/**
 * The plugins: each imported when the first link of its type appears, checked, and kept.
 * Promises that one which fails to load, lies about itself, throws or never gets done blocks only links of its own
 * type, with a reason that names it. Refuses to know where plugins live: the composition root gives one loader a type.
 */
import type { Verdict } from '../model/desired.ts'
import { messageOf } from '../model/errors.ts'
import type { Link } from '../model/link.ts'
import type { Catalogue, Plugin } from './contract.ts'
import { pluginOf } from './manifest.ts'
import { createThirdParties, type ThirdPartyOptions } from './third-party.ts'

/** Gives a module whose `default` (or `plugin`) export is the plugin; usually a literal `import()`. */
export type PluginLoader = () => Promise<unknown>

export interface PluginCatalogue extends Catalogue {
  /**
   * Load what is not loaded yet. Never rejects: a failure becomes the verdict of the type's links. Only built-in plugins
   * are waited for; those of third parties come later, which is a change. `again`: look also for what was not to be had.
   */
  load(types: Iterable<string>, again?: boolean): Promise<void>
  /** `undefined`: not loaded, unknown or failed. */
  plugin(type: string): Plugin | undefined
  /** Why a type has no plugin, in words. */
  failure(type: string): string | undefined
  /** Another number whenever it might answer otherwise than before. */
  revision(): number
  /** Called when the revision has become another outside of `load`. At most one listener. */
  onChange(listener: () => void): void
}

/** `thirdParty` absent: there are no plugins but the built-in ones. */
export const createCatalogue = (
  loaders: Readonly<Record<string, PluginLoader>>,
  thirdParty?: ThirdPartyOptions,
): PluginCatalogue => {
  // A type is text from the graph: it must not find what every object inherits.
  const known = new Map(Object.entries(loaders))
  const loaded = new Map<string, Plugin>()
  const failures = new Map<string, string>()
  const loading = new Map<string, Promise<void>>()
  let revision = 0
  let tell = (): void => undefined
  let inspected = false

  const others =
    thirdParty === undefined
      ? undefined
      : createThirdParties(thirdParty, () => {
          revision += 1
          tell()
        })

  const loadOne = async (type: string, loader: PluginLoader): Promise<void> => {
    try {
      loaded.set(type, pluginOf(await loader(), type))
    } catch (error) {
      failures.set(type, `plugin ${type} failed to load: ${messageOf(error)}`)
    }
    revision += 1
  }

  const wantOthers = (types: ReadonlySet<string>, again: boolean): void => {
    if (others === undefined) return
    if (again || !inspected) others.inspect([...known.keys()])
    inspected = true
    others.want(new Set([...types].filter(type => !known.has(type))), again)
  }

  const pluginFor = (type: string): Plugin | undefined => loaded.get(type) ?? others?.plugin(type)
  const failureOf = (type: string): string | undefined => failures.get(type) ?? others?.reason(type)

  return {
    async load(types, again = false) {
      const wanted = new Set(types)
      for (const type of wanted) {
        const loader = known.get(type)
        if (loader !== undefined && !loading.has(type)) loading.set(type, loadOne(type, loader))
      }
      wantOthers(wanted, again)
      await Promise.all(loading.values())
    },
    plugin: pluginFor,
    failure: failureOf,
    revision: () => revision,
    onChange: listener => {
      tell = listener
    },
    supports: type => (known.has(type) && !failures.has(type)) || others?.plugin(type) !== undefined,
    canChange: type => canChange(pluginFor(type)),
    admits: link => {
      const failure = failureOf(link.type)
      if (failure !== undefined) return { _tag: 'Unsupported', reason: failure }
      const plugin = pluginFor(link.type)
      return plugin === undefined ? undefined : opinionOf(plugin, link)
    },
  }
}

/** Every member of a plugin is a third party's code, should it be a getter. */
const canChange = (plugin: Plugin | undefined): boolean => {
  try {
    return plugin?.onLinkChanged !== undefined
  } catch {
    return false
  }
}

const opinionOf = (plugin: Plugin, link: Link): Verdict | undefined => {
  try {
    const verdict = plugin.admits?.(link)
    return verdict === undefined ? undefined : understood(verdict, link.type)
  } catch (error) {
    // Nobody said that it may be connected, so it is not.
    return { _tag: 'Unsupported', reason: `plugin ${link.type} failed: ${messageOf(error)}` }
  }
}

/** A value of our own: what a third party gave may be anything, and may change later. */
const understood = (verdict: Verdict, type: string): Verdict => {
  const { _tag } = verdict
  if (_tag === 'Admitted' || _tag === 'Denied') return { _tag, rule: String(verdict.rule) }
  if (_tag === 'Unsupported') return { _tag, reason: String(verdict.reason) }
  return _tag === 'Conflict'
    ? { _tag, winner: verdict.winner }
    : { _tag: 'Unsupported', reason: `plugin ${type} gave no verdict` }
}
