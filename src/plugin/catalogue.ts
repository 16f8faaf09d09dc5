/**
 * The plugins: each imported when the first link of its type appears, checked, and kept.
 * Promises that one which fails to load, lies about itself or throws blocks only links of its own type, with a
 * reason that names it. Refuses to know where plugins live: the composition root gives one loader a type.
 */
import type { Verdict } from '../model/desired.ts'
import type { Link } from '../model/link.ts'
import type { Catalogue, Plugin } from './contract.ts'

/** Gives a module whose `default` (or `plugin`) export is the plugin; usually a literal `import()`. */
export type PluginLoader = () => Promise<unknown>

export interface PluginCatalogue extends Catalogue {
  /** Load what is not loaded yet. Never rejects: a failure becomes the verdict of the type's links. */
  load(types: Iterable<string>): Promise<void>
  /** `undefined`: not loaded, unknown or failed. */
  plugin(type: string): Plugin | undefined
  /** Why a type has no plugin, in words. */
  failure(type: string): string | undefined
}

export const createCatalogue = (loaders: Readonly<Record<string, PluginLoader>>): PluginCatalogue => {
  // A type is text from the graph: it must not find what every object inherits.
  const known = new Map(Object.entries(loaders))
  const loaded = new Map<string, Plugin>()
  const failures = new Map<string, string>()
  const loading = new Map<string, Promise<void>>()

  const loadOne = async (type: string, loader: PluginLoader): Promise<void> => {
    try {
      loaded.set(type, pluginOf(await loader(), type))
    } catch (error) {
      failures.set(type, `plugin ${type} failed to load: ${messageOf(error)}`)
    }
  }

  return {
    async load(types) {
      for (const type of types) {
        const loader = known.get(type)
        if (loader !== undefined && !loading.has(type)) loading.set(type, loadOne(type, loader))
      }
      await Promise.all(loading.values())
    },
    plugin: type => loaded.get(type),
    failure: type => failures.get(type),
    supports: type => known.has(type) && !failures.has(type),
    canChange: type => loaded.get(type)?.onLinkChanged !== undefined,
    admits: link => {
      const failure = failures.get(link.type)
      if (failure !== undefined) return { _tag: 'Unsupported', reason: failure }
      const plugin = loaded.get(link.type)
      return plugin === undefined ? undefined : opinionOf(plugin, link)
    },
  }
}

const VERDICTS: ReadonlySet<unknown> = new Set(['Admitted', 'Denied', 'Conflict', 'Unsupported'])

const opinionOf = (plugin: Plugin, link: Link): Verdict | undefined => {
  try {
    const verdict = plugin.admits?.(link)
    if (verdict === undefined || VERDICTS.has(verdict?._tag)) return verdict
    return { _tag: 'Unsupported', reason: `plugin ${plugin.type} gave no verdict` }
  } catch (error) {
    // Nobody said that it may be connected, so it is not.
    return { _tag: 'Unsupported', reason: `plugin ${plugin.type} failed: ${messageOf(error)}` }
  }
}

const pluginOf = (module: unknown, type: string): Plugin => {
  const found = exported(module, 'default') ?? exported(module, 'plugin')
  if (typeof found !== 'object' || found === null) throw new Error('it exports no plugin')
  const problem = manifestProblem(found, type)
  if (problem !== null) throw new Error(problem)
  if (!isPlugin(found)) throw new Error('it is no plugin')
  return found
}

const exported = (module: unknown, name: string): unknown =>
  typeof module === 'object' && module !== null ? Reflect.get(module, name) : undefined

const REQUIRED = ['onLinkAdded', 'onLinkRemoved'] as const
const OPTIONAL = ['admits', 'onLinkChanged'] as const

const manifestProblem = (plugin: object, type: string): string | null => {
  if (typeof Reflect.get(plugin, 'name') !== 'string') return 'its name is no string'
  const itsType: unknown = Reflect.get(plugin, 'type')
  if (itsType !== type) return `it says it is for type ${JSON.stringify(itsType)}`
  for (const name of REQUIRED) {
    if (typeof Reflect.get(plugin, name) !== 'function') return `${name} is missing`
  }
  for (const name of OPTIONAL) {
    const value: unknown = Reflect.get(plugin, name)
    if (value !== undefined && typeof value !== 'function') return `${name} is no function`
  }
  return null
}

const isPlugin = (value: object): value is Plugin => REQUIRED.every(name => name in value)

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
