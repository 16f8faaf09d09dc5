/** The targets there are: the files of `targets/`, each with an export `target` of the file's own name. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Target } from './target.ts'

/** Of the compiled tests, so that what is listed can be run. */
export const TARGETS = fileURLToPath(new URL('./targets/', import.meta.url))

export const targetNames = (folder = TARGETS): readonly string[] =>
  readdirSync(folder)
    .filter(name => name.endsWith('.js'))
    .map(name => name.slice(0, -'.js'.length))
    .sort()

const isTarget = (u: unknown): u is Target =>
  typeof u === 'object' && u !== null && 'name' in u && 'about' in u && 'run' in u && 'replay' in u

/** Rejects for a name that is none. */
export const loadTarget = async (name: string, folder = TARGETS): Promise<Target> => {
  if (!targetNames(folder).includes(name)) throw new Error(`there is no target ${name}`)
  const module: unknown = await import(pathToFileURL(join(folder, `${name}.js`)).href)
  const target: unknown =
    typeof module === 'object' && module !== null ? Reflect.get(module, 'target') : undefined
  if (!isTarget(target)) throw new Error(`targets/${name}.ts exports no target`)
  if (target.name !== name) throw new Error(`targets/${name}.ts calls itself ${target.name}`)
  return target
}
