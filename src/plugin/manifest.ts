/** From what a module exports to a plugin, or why it is none. Trusts nothing about what a module exports. */
import type { Plugin } from './contract.ts'

/** The plugin among a module's exports. Throws with the reason, in words, if there is none for this type. */
export const pluginOf = (module: unknown, type: string): Plugin => {
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
