/**
 * The directories that targets are planted in, held open, and those among them that we made.
 * Links share them: a directory made for the first link goes when the last one that uses it is gone, if it is empty.
 */
import { E } from '../fp.ts'
import type { BorrowedFd, OwnedFd } from '../kernel/fd.ts'
import {
  changeTimeOf,
  makeDirectory,
  removeDirectory,
  rename,
  resolveIn,
  statusIn,
  statusOf,
} from '../kernel/files.ts'
import type { Clock } from '../model/clock.ts'
import type { SyscallError } from '../model/errors.ts'
import { createContents } from './contents.ts'
import { type FileIdentity, sameIdentity } from './journal-format.ts'
import type { AtMoment } from './moments.ts'
import { privateName } from './private-name.ts'
import type { Scribe } from './scribe.ts'

const DIRECTORY_MODE = 0o755

/** A directory we made, in this run or an earlier one: its name in its parent, to remove it by. */
interface Made {
  readonly key: string
  readonly path: string
  readonly parent: OwnedFd
  /** Held, so that its inode number cannot come to name a directory that is not ours. */
  readonly self: OwnedFd
  readonly name: string
  readonly identity: FileIdentity
  /** Strikes it out of the journal. */
  readonly gone: () => void
  users: number
}

/** A directory that is new, opened twice: to work in, and to hold. */
interface Created {
  readonly found: OwnedFd
  readonly self: OwnedFd
  readonly identity: FileIdentity
}

/** A directory that an earlier run made, counted as used until it is disowned. */
export type AdoptedDirectory = Made

export interface HeldDirectory {
  /** Which directory, reached through which mount. */
  readonly key: string
  readonly fd: BorrowedFd
  /** Those of its path that we made, from the outermost, in whichever link's name. */
  readonly made: readonly string[]
  /**
   * To be asked before names in it are looked at. The same number as before: none of them has changed since that was
   * given. Looked up once a round.
   */
  contents(): number
}

interface Held extends HeldDirectory {
  readonly owned: OwnedFd
  readonly chain: readonly Made[]
  users: number
}

export interface Directories {
  /** Begin a round: from here on until the next, one look at a directory serves all that have something in it. */
  lookAnew(): void
  /** Find a directory inside a root and make what is missing of it, 0755. Release it as often as it was held. */
  hold(root: BorrowedFd, path: string, subject: string, scribe: Scribe): E.Either<SyscallError, HeldDirectory>
  /** The paths that could not be removed although they are ours and nobody uses them: something else is in them. */
  release(directory: HeldDirectory): readonly string[]
  /** Take over what an earlier run made at a path; `undefined` if something else is there. Disown it once. */
  adopt(
    root: BorrowedFd,
    path: string,
    identity: FileIdentity,
    gone: () => void,
  ): AdoptedDirectory | undefined
  disown(directory: AdoptedDirectory): void
}

const keyOf = ({ device, inode }: FileIdentity): string => `${device}/${inode}`

export const parentOf = (path: string): string => path.slice(0, Math.max(1, path.lastIndexOf('/')))
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** `/a/b` -> `['/', '/a', '/a/b']`. */
const prefixes = (path: string): readonly string[] => {
  const found = ['/']
  for (let at = path.indexOf('/', 1); at > 0; at = path.indexOf('/', at + 1)) found.push(path.slice(0, at))
  if (path !== '/') found.push(path)
  return found
}

export const createDirectories = (clock: Clock, at: AtMoment): Directories => {
  const held = new Map<string, Held>()
  const made = new Map<string, Made>()
  let round = 0

  /** `contents` of a directory that stays open for as long as it is asked. */
  const contentsOf = (fd: BorrowedFd): (() => number) => {
    const contents = createContents()
    let version = 0
    let lookedIn = -1
    return () => {
      if (lookedIn === round) return version
      lookedIn = round
      version = contents.seen(changeTimeOf(fd), clock.now())
      return version
    }
  }

  const releaseMade = (chain: readonly Made[]): readonly string[] => {
    const left: string[] = []
    for (const entry of [...chain].reverse()) {
      entry.users -= 1
      if (entry.users > 0) continue
      made.delete(entry.key)
      // Looked up through the container's mounts: a directory that it has mounted over shows as another one and stays,
      // because removing it from outside would detach that mount (mount_namespaces(7)).
      const now = statusIn(entry.parent.borrowed, entry.name, entry.path)
      if (E.isRight(now) && sameIdentity(now.right, entry.identity)) {
        const removed = removeDirectory(entry.parent.borrowed, entry.name, entry.path)
        if (E.isLeft(removed) && removed.left.errno !== 'ENOTEMPTY')
          left.push(`${entry.path}: ${removed.left.errno}`)
      }
      entry.gone()
      entry.parent.close()
      entry.self.close()
    }
    return left
  }

  /** A new directory; on a Left nothing of it is left. */
  const create = (parent: OwnedFd, name: string, subject: string): E.Either<SyscallError, Created> => {
    const opened: OwnedFd[] = []
    const give = (error: SyscallError): E.Either<SyscallError, never> => {
      for (const fd of opened) fd.close()
      removeDirectory(parent.borrowed, name, subject)
      return E.left(error)
    }
    const created = makeDirectory(parent.borrowed, name, DIRECTORY_MODE, subject)
    if (E.isLeft(created)) return created
    at('directory made')
    const found = resolveIn(parent.borrowed, name, 'real-directory', subject)
    if (E.isLeft(found)) return give(found.left)
    opened.push(found.right)
    const identity = statusOf(found.right.borrowed, subject)
    if (E.isLeft(identity)) return give(identity.left)
    const self = resolveIn(found.right.borrowed, '.', 'directory', subject)
    if (E.isLeft(self)) return give(self.left)
    return E.right({ found: found.right, self: self.right, identity: identity.right })
  }

  const discard = (parent: OwnedFd, name: string, created: Created, subject: string): void => {
    created.found.close()
    created.self.close()
    removeDirectory(parent.borrowed, name, subject)
  }

  /** Under a private name first: it gets the real one when the journal knows it. */
  const createAndRename = (
    parent: OwnedFd,
    path: string,
    subject: string,
    scribe: Scribe,
  ): E.Either<SyscallError, Created & { readonly gone: () => void }> => {
    const [temporary, name] = [privateName(), nameOf(path)]
    const trace = scribe.announce({ kind: 'directory', path, private: temporary })
    const gone = (): void => scribe.gone(trace)
    const give = (error: SyscallError): E.Either<SyscallError, never> => {
      gone()
      return E.left(error)
    }
    const created = create(parent, temporary, subject)
    if (E.isLeft(created)) return give(created.left)
    scribe.made(trace, created.right.identity)
    const renamed = rename(parent.borrowed, temporary, name, 'keep', subject)
    if (E.isRight(renamed)) {
      at('directory named')
      return E.right({ ...created.right, gone })
    }
    discard(parent, temporary, created.right, subject)
    if (renamed.left.errno !== 'EXDEV') return give(renamed.left)
    // An overlay whose upper layer has no extended attributes renames no directory. One that is made in its place is
    // lost to the next run if we are killed before the journal has it.
    const direct = create(parent, name, subject)
    if (E.isLeft(direct)) return give(direct.left)
    scribe.made(trace, direct.right.identity)
    return E.right({ ...direct.right, gone })
  }

  const make = (
    parent: OwnedFd,
    path: string,
    subject: string,
    scribe: Scribe,
  ): E.Either<SyscallError, [OwnedFd, Made]> => {
    const created = createAndRename(parent, path, subject, scribe)
    if (E.isLeft(created)) return created
    const { found, self, identity, gone } = created.right
    const key = keyOf(identity)
    const entry: Made = { key, path, parent, self, name: nameOf(path), identity, gone, users: 1 }
    made.set(key, entry)
    return E.right([found, entry])
  }

  /** Walk down, taking note of what is ours and making what is missing. The last directory, and ours on the way. */
  const walk = (
    root: BorrowedFd,
    path: string,
    subject: string,
    scribe: Scribe,
  ): E.Either<SyscallError, { readonly last: OwnedFd; readonly chain: readonly Made[] }> => {
    const chain: Made[] = []
    let last: OwnedFd | undefined
    const give = (error: SyscallError): E.Either<SyscallError, never> => {
      last?.close()
      releaseMade(chain)
      return E.left(error)
    }
    for (const prefix of prefixes(path)) {
      const found = resolveIn(root, prefix, 'directory', subject)
      if (E.isRight(found)) {
        last?.close()
        last = found.right
        const status = statusOf(last.borrowed, subject)
        if (E.isLeft(status)) return give(status.left)
        const ours = made.get(keyOf(status.right))
        if (ours !== undefined) {
          ours.users += 1
          chain.push(ours)
        }
        continue
      }
      if (found.left.errno !== 'ENOENT' || last === undefined) return give(found.left)
      const parent: OwnedFd = last
      const created = make(parent, prefix, subject, scribe)
      if (E.isLeft(created)) return give(created.left)
      // The parent stays open: the made directory is removed through it.
      last = created.right[0]
      chain.push(created.right[1])
    }
    return last === undefined
      ? give({ _tag: 'SyscallError', call: 'openat2', errno: 'ENOENT', subject })
      : E.right({ last, chain })
  }

  return {
    lookAnew: () => {
      round += 1
    },
    hold: (root, path, subject, scribe) => {
      const walked = walk(root, path, subject, scribe)
      if (E.isLeft(walked)) return walked
      const { last, chain } = walked.right
      const status = statusOf(last.borrowed, subject)
      if (E.isLeft(status)) {
        last.close()
        releaseMade(chain)
        return status
      }
      // By mount as well: the same directory may be writable in one container and not in another.
      const key = `${keyOf(status.right)} ${status.right.mount}`
      const shared = held.get(key)
      if (shared !== undefined) {
        shared.users += 1
        last.close()
        releaseMade(chain)
        return E.right(shared)
      }
      const directory: Held = {
        key,
        fd: last.borrowed,
        owned: last,
        chain,
        made: chain.map(entry => entry.path),
        contents: contentsOf(last.borrowed),
        users: 1,
      }
      held.set(key, directory)
      return E.right(directory)
    },
    release: directory => {
      const entry = held.get(directory.key)
      if (entry === undefined || entry !== directory) return []
      entry.users -= 1
      if (entry.users > 0) return []
      held.delete(entry.key)
      entry.owned.close()
      return releaseMade(entry.chain)
    },
    adopt: (root, path, identity, gone) => {
      const key = keyOf(identity)
      const known = made.get(key)
      if (known !== undefined) {
        // Two of the journal's lines for one directory: the other one goes on.
        gone()
        known.users += 1
        return known
      }
      const parent = resolveIn(root, parentOf(path), 'directory', path)
      if (E.isLeft(parent)) return undefined
      const name = nameOf(path)
      const self = resolveIn(parent.right.borrowed, name, 'real-directory', path)
      const found = E.isLeft(self) ? self : statusOf(self.right.borrowed, path)
      if (E.isRight(self) && E.isRight(found) && sameIdentity(found.right, identity)) {
        const entry: Made = {
          key,
          path,
          parent: parent.right,
          self: self.right,
          name,
          identity,
          gone,
          users: 1,
        }
        made.set(key, entry)
        return entry
      }
      if (E.isRight(self)) self.right.close()
      parent.right.close()
      return undefined
    },
    disown: directory => {
      releaseMade([directory])
    },
  }
}
