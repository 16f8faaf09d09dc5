/**
 * The files of a bus's configuration -> one policy, with all that has to be looked at to know that it has not changed.
 * Reads through `ProviderFiles` alone, so every path is resolved in the provider's root. Bounded in every direction:
 * whoever wrote these files may be hostile.
 */
import { E } from '../../../src/fp.ts'
import type { ProtocolLimits } from '../../../src/model/limits.ts'
import type { FileProblem, ProviderFiles } from '../../../src/toolbox/contract.ts'
import { listensOn } from './addresses.ts'
import { type ConfigItem, readConfigFile } from './config-file.ts'
import type { Names, PlacedRule } from './rules.ts'

/** Where the configuration of a system bus is (dbus-daemon(1)): the first that is there counts. */
export const MAIN_FILES: readonly string[] = ['/usr/share/dbus-1/system.conf', '/etc/dbus-1/system.conf']

/** A file that is included by one, that is included by one, and so on. */
export const MOST_INCLUDED_DEPTH = 16

/** Bytes of all files together, in files of the greatest length: reading them takes the daemon's one thread. */
const MOST_WHOLE_FILES = 2

export interface Gathered {
  /**
   * `loaded`: the rules are known. `inactive`: there is no such bus here. `malformed`: there is one, and what it was told
   * cannot be known.
   */
  readonly outcome:
    | { readonly kind: 'loaded'; readonly main: string; readonly rules: readonly PlacedRule[] }
    | { readonly kind: 'inactive'; readonly reason: string }
    | { readonly kind: 'malformed'; readonly reason: string }
  /** Files that count for nothing, and why. */
  readonly warnings: readonly string[]
  /** What each path was when it was read; also of paths where nothing is. */
  readonly stamps: ReadonlyMap<string, string>
}

export type GatherLimits = Pick<ProtocolLimits, 'dbusPolicyFileBytes' | 'dbusPolicyFiles' | 'dbusPolicyRules'>

const PROBLEMS: Readonly<Record<FileProblem, string>> = {
  absent: 'it is not there',
  'not a file': 'it is no file of its kind',
  'too long': 'it is too long',
  'too many': 'there are too many files in it',
  unreadable: 'it cannot be read',
}

/** Why a file counts for nothing. `whole`: neither does any other, because a bound of all of them together was reached. */
interface Refusal {
  readonly reason: string
  readonly whole: boolean
  readonly absent?: boolean
}

const refusal = (reason: string): E.Either<Refusal, never> => E.left({ reason, whole: false })
const overBound = (reason: string): E.Either<Refusal, never> => E.left({ reason, whole: true })

interface Contents {
  readonly rules: PlacedRule[]
  readonly listens: string[]
}

/** Names as the folder sorts them, in one form: a file that is included twice by two spellings is not the same to the daemon either. */
const joined = (folder: string, path: string): string =>
  path.startsWith('/') ? path : `${folder === '/' ? '' : folder}/${path}`

const folderOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')))

class Gathering {
  readonly #files: ProviderFiles
  readonly #names: Names
  readonly #limits: GatherLimits
  readonly stamps = new Map<string, string>()
  readonly warnings: string[] = []
  #fileCount = 0
  #bytes = 0
  #ruleCount = 0

  constructor(files: ProviderFiles, names: Names, limits: GatherLimits) {
    this.#files = files
    this.#names = names
    this.#limits = limits
  }

  /** Before it is read: what changes in between is then seen at the next look. */
  #stamp(path: string): void {
    if (!this.stamps.has(path)) this.stamps.set(path, this.#files.stamp(path))
  }

  isThere(path: string): boolean {
    this.#stamp(path)
    return this.stamps.get(path) !== ''
  }

  /** A file and all that it includes; `chain` has the files that led to it. */
  file(path: string, chain: readonly string[]): E.Either<Refusal, Contents> {
    if (chain.includes(path)) return refusal(`${path} includes itself`)
    if (chain.length > MOST_INCLUDED_DEPTH) {
      return refusal(`${path}: files include each other more than ${MOST_INCLUDED_DEPTH} deep`)
    }
    this.#fileCount += 1
    if (this.#fileCount > this.#limits.dbusPolicyFiles) {
      return overBound(`there are more than ${this.#limits.dbusPolicyFiles} files`)
    }
    this.#stamp(path)
    const bytes = this.#files.read(path, this.#limits.dbusPolicyFileBytes)
    if (E.isLeft(bytes)) {
      return E.left({
        reason: `${path}: ${PROBLEMS[bytes.left]}`,
        whole: false,
        absent: bytes.left === 'absent',
      })
    }
    this.#bytes += bytes.right.length
    const mostBytes = MOST_WHOLE_FILES * this.#limits.dbusPolicyFileBytes
    if (this.#bytes > mostBytes) return overBound(`all files together have more than ${mostBytes} bytes`)
    const items = readConfigFile(bytes.right, path, this.#names)
    if (E.isLeft(items)) return refusal(`${path}: ${items.left}`)
    return this.#contents(path, items.right, [...chain, path])
  }

  #contents(
    path: string,
    items: readonly ConfigItem[],
    chain: readonly string[],
  ): E.Either<Refusal, Contents> {
    const contents: Contents = { rules: [], listens: [] }
    for (const item of items) {
      const flaw = this.#take(item, path, chain, contents)
      if (flaw !== undefined) return E.left(flaw)
    }
    return E.right(contents)
  }

  /** Adds what an item stands for; or why its file counts for nothing. */
  #take(item: ConfigItem, path: string, chain: readonly string[], into: Contents): Refusal | undefined {
    switch (item.kind) {
      case 'rule':
        this.#ruleCount += 1
        into.rules.push(item.placed)
        if (this.#ruleCount <= this.#limits.dbusPolicyRules) return undefined
        return { reason: `there are more than ${this.#limits.dbusPolicyRules} rules`, whole: true }
      case 'listen':
        into.listens.push(item.address)
        return undefined
      case 'include': {
        const included = this.file(joined(folderOf(path), item.path), chain)
        if (E.isRight(included)) addTo(into, included.right)
        else if (!(item.ignoreMissing && included.left.absent)) return included.left
        return undefined
      }
      case 'includedir':
        return this.#folder(joined(folderOf(path), item.path), chain, into)
    }
  }

  /** A file with a flaw is left out here, whatever it allows or denies: the daemon does the same. */
  #folder(path: string, chain: readonly string[], into: Contents): Refusal | undefined {
    this.#stamp(path)
    const names = this.#files.list(path, this.#limits.dbusPolicyFiles)
    if (E.isLeft(names)) {
      if (names.left === 'absent') return undefined
      return { reason: `${path}: ${PROBLEMS[names.left]}`, whole: names.left === 'too many' }
    }
    for (const name of names.right) {
      if (!name.endsWith('.conf')) continue
      const included = this.file(joined(path, name), chain)
      if (E.isRight(included)) addTo(into, included.right)
      else if (included.left.whole) return included.left
      else if (!included.left.absent) this.warnings.push(included.left.reason)
    }
    return undefined
  }
}

const addTo = (into: Contents, more: Contents): void => {
  for (const rule of more.rules) into.rules.push(rule)
  for (const listen of more.listens) into.listens.push(listen)
}

const NO_MAIN_FILE = `there is no ${MAIN_FILES.join(' and no ')}`

/** What the configuration of the bus on that socket says now. `socket` as the link names it. */
export const gather = (
  files: ProviderFiles,
  names: Names,
  socket: string,
  limits: GatherLimits,
): Gathered => {
  const gathering = new Gathering(files, names, limits)
  const main = MAIN_FILES.find(path => gathering.isThere(path))
  const outcome: Gathered['outcome'] =
    main === undefined
      ? { kind: 'inactive', reason: NO_MAIN_FILE }
      : outcomeOf(main, gathering.file(main, []), socket)
  return { outcome, warnings: gathering.warnings, stamps: gathering.stamps }
}

const outcomeOf = (
  main: string,
  contents: E.Either<Refusal, Contents>,
  socket: string,
): Gathered['outcome'] => {
  if (E.isLeft(contents)) return { kind: 'malformed', reason: contents.left.reason }
  const { rules, listens } = contents.right
  return listens.some(listen => listensOn(listen, socket))
    ? { kind: 'loaded', main, rules }
    : { kind: 'inactive', reason: `the bus of ${main} does not listen on ${socket}` }
}

/** Nothing has changed since: a new reading would say the same. */
export const isUnchanged = (files: ProviderFiles, { stamps }: Pick<Gathered, 'stamps'>): boolean => {
  for (const [path, stamp] of stamps) if (files.stamp(path) !== stamp) return false
  return true
}
