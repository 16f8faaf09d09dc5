/**
 * The folder that plugins of third parties come from: finds the module of a type, and vouches for it.
 * Promises that a module it gives is root's alone, with everything beside it and above it. Imports nothing by itself.
 *
 * Names are looked at from `/` downwards. Once a directory is known to be root's and closed to others, nobody but root
 * can exchange what is in it, so the names that were looked at are still the same files when `import()` resolves them:
 * holding descriptors on the way would not make that any surer.
 */
import type { BigIntStats } from 'node:fs'
import { lstat, opendir, realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { pluginToBlame } from './blame.ts'
import { type FoundFile, ownershipProblem, type Place } from './ownership.ts'

export type Found =
  | { readonly _tag: 'Absent' }
  /** It is there, and must not be loaded. */
  | { readonly _tag: 'Refused'; readonly reason: string }
  | {
      readonly _tag: 'Module'
      readonly path: string
      /** Another one whenever the file is. */
      readonly version: string
      /** Gives what the module exports. May never settle. */
      readonly load: () => Promise<unknown>
    }

/** What an operator should know before any link asks. */
export interface Complaint {
  /** Absent: it concerns the folder as a whole. */
  readonly plugin?: string
  readonly reason: string
}

export interface PluginFolder {
  readonly path: string
  /** Rejects for nothing but a file system that fails. */
  find(type: string): Promise<Found>
  /** `builtIn`: the types that a folder here cannot serve. */
  complaints(builtIn: readonly string[]): Promise<readonly Complaint[]>
  /** Which of its plugins threw an error that nobody caught. */
  culprit(error: unknown): string | undefined
}

/** A type is text from the graph: only what is one plain component of a path is looked for. */
const PLAIN_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** The first that is there. Node takes the former for an ES module without asking any package.json. */
const ENTRIES = ['index.mjs', 'index.js']
/** A plugin is one module that needs no other; what is larger was put here by mistake. */
const MOST_FILES = 256

const ABSENT: Found = { _tag: 'Absent' }

const refused = (reason: string): Found => ({ _tag: 'Refused', reason })

const codeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined

/** `undefined` where nothing has that name. */
const statusOf = async (path: string): Promise<BigIntStats | undefined> => {
  try {
    return await lstat(path, { bigint: true })
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

const kindOf = (status: BigIntStats): FoundFile['kind'] => {
  if (status.isDirectory()) return 'directory'
  if (status.isFile()) return 'file'
  return status.isSymbolicLink() ? 'symlink' : 'other'
}

const problemOf = (path: string, status: BigIntStats, place: Place): string | undefined =>
  ownershipProblem(
    {
      path,
      kind: kindOf(status),
      uid: Number(status.uid),
      gid: Number(status.gid),
      mode: Number(status.mode & 0o7777n),
    },
    place,
  )

const problemAt = async (path: string, place: Place): Promise<string | undefined> => {
  const status = await statusOf(path)
  return status === undefined ? `${path} is gone` : problemOf(path, status, place)
}

/** From `/` down to the one that holds `path`. */
const directoriesAbove = (path: string): readonly string[] => {
  const parent = dirname(path)
  return parent === path ? [] : [...directoriesAbove(parent), parent]
}

/** The way to the folder as it was given, and as it is without its symlinks; then the folder itself. */
const problemOfFolder = async (given: string, real: string): Promise<string | undefined> => {
  for (const path of new Set([...directoriesAbove(given), given, ...directoriesAbove(real)])) {
    const problem = await problemAt(path, 'above')
    if (problem !== undefined) return problem
  }
  return problemAt(real, 'folder')
}

/** All of it, for a module may import what lies beside it. */
const problemOfPlugin = async (folder: string): Promise<string | undefined> => {
  const own = await problemAt(folder, 'folder')
  if (own !== undefined) return own
  const directories = [folder]
  let files = 0
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    for await (const { name } of await opendir(directory)) {
      files += 1
      if (files > MOST_FILES)
        return `${folder} holds more than ${MOST_FILES} files: a plugin is one module that needs no other`
      const path = join(directory, name)
      const status = await statusOf(path)
      if (status === undefined) continue
      const problem = problemOf(path, status, 'inside')
      if (problem !== undefined) return problem
      if (status.isDirectory()) directories.push(path)
    }
  }
  return undefined
}

const moduleAt = (path: string, status: BigIntStats): Found => {
  const version = `${status.ino}-${status.size}-${status.mtimeNs}`
  return {
    _tag: 'Module',
    path,
    version,
    // Node remembers for ever that a module failed, by its URL: one that was mended needs another.
    load: () => import(`${pathToFileURL(path).href}?${version}`),
  }
}

const moduleIn = async (folder: string): Promise<Found> => {
  for (const entry of ENTRIES) {
    const path = join(folder, entry)
    const status = await statusOf(path)
    if (status?.isFile() === true) return moduleAt(path, status)
  }
  return refused(`${folder} has no ${ENTRIES.join(' or ')}`)
}

/** `path`: absolute. It need not be there yet. */
export const openPluginFolder = (path: string): PluginFolder => {
  let lastReal = path

  /** The folder without symlinks, looked up anew each time: it may be a link that leads elsewhere today. */
  const resolved = async (): Promise<string | undefined> => {
    try {
      lastReal = await realpath(path)
      return lastReal
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
      throw error
    }
  }

  return {
    path,
    async find(type) {
      if (!PLAIN_NAME.test(type)) return ABSENT
      const real = await resolved()
      if (real === undefined) return ABSENT
      const folder = join(real, type)
      if ((await statusOf(folder)) === undefined) return ABSENT
      const problem = (await problemOfFolder(path, real)) ?? (await problemOfPlugin(folder))
      return problem === undefined ? moduleIn(folder) : refused(problem)
    },
    async complaints(builtIn) {
      const real = await resolved()
      if (real === undefined)
        return [{ reason: `${path} does not exist: there are no plugins but the built-in ones` }]
      const problem = await problemOfFolder(path, real)
      if (problem !== undefined) return [{ reason: problem }]
      const complaints: Complaint[] = []
      for (const type of builtIn) {
        const folder = join(real, type)
        if ((await statusOf(folder)) === undefined) continue
        const reason = `${folder} is not used: links of type ${type} have a built-in plugin, which always wins`
        complaints.push({ plugin: type, reason })
      }
      return complaints
    },
    culprit: error => pluginToBlame(error, lastReal),
  }
}
