/**
 * The directories that targets are planted in, held open, and those among them that we made.
 * Links share them: a directory made for the first link goes when the last one that uses it is gone, if it is empty.
 */
import { E } from '../fp.ts'
import type { BorrowedFd, OwnedFd } from '../kernel/fd.ts'
import {
  type FileStatus,
  makeDirectory,
  removeDirectory,
  resolveIn,
  sameFile,
  statusIn,
  statusOf,
} from '../kernel/files.ts'
import type { SyscallError } from '../model/errors.ts'
import type { AtMoment } from './moments.ts'

const DIRECTORY_MODE = 0o755

/** A directory we made: its name in its parent, to remove it by. */
interface Made {
  readonly key: string
  readonly path: string
  readonly parent: OwnedFd
  /** Held, so that its inode number cannot come to name a directory that is not ours. */
  readonly self: OwnedFd
  readonly name: string
  readonly status: FileStatus
  users: number
}

export interface HeldDirectory {
  readonly fd: BorrowedFd
  /** Those of its path that we made, from the outermost, in whichever link's name. */
  readonly made: readonly string[]
}

interface Held extends HeldDirectory {
  readonly key: string
  readonly owned: OwnedFd
  readonly chain: readonly Made[]
  users: number
}

export interface Directories {
  /** Find a directory inside a root and make what is missing of it, 0755. Release it as often as it was held. */
  hold(root: BorrowedFd, path: string, subject: string): E.Either<SyscallError, HeldDirectory>
  /** The paths that could not be removed although they are ours and nobody uses them: something else is in them. */
  release(directory: HeldDirectory): readonly string[]
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

const keyOf = ({ device, inode }: FileStatus): string => `${device}/${inode}`

/** `/a/b` -> `['/', '/a', '/a/b']`. */
const prefixes = (path: string): readonly string[] => {
  const found = ['/']
  for (let at = path.indexOf('/', 1); at > 0; at = path.indexOf('/', at + 1)) found.push(path.slice(0, at))
  if (path !== '/') found.push(path)
  return found
}

export const createDirectories = (at: AtMoment): Directories => {
  const held = new Map<string, Held>()
  const made = new Map<string, Made>()

  const releaseMade = (chain: readonly Made[]): readonly string[] => {
    const left: string[] = []
    for (const entry of [...chain].reverse()) {
      entry.users -= 1
      if (entry.users > 0) continue
      made.delete(entry.key)
      // Looked up through the container's mounts: a directory that it has mounted over shows as another one and stays,
      // because removing it from outside would detach that mount (mount_namespaces(7)).
      const now = statusIn(entry.parent.borrowed, entry.name, entry.path)
      if (E.isRight(now) && sameFile(now.right, entry.status)) {
        const removed = removeDirectory(entry.parent.borrowed, entry.name, entry.path)
        if (E.isLeft(removed) && removed.left.errno !== 'ENOTEMPTY')
          left.push(`${entry.path}: ${removed.left.errno}`)
      }
      entry.parent.close()
      entry.self.close()
    }
    return left
  }

  /** Note what was just made, so that it is removed with its last user. */
  const note = (
    parent: OwnedFd,
    path: string,
    opened: OwnedFd,
    subject: string,
  ): E.Either<SyscallError, Made> => {
    const status = statusOf(opened.borrowed, subject)
    if (E.isLeft(status)) return status
    const self = resolveIn(opened.borrowed, '.', 'directory', subject)
    if (E.isLeft(self)) return self
    const key = keyOf(status.right)
    const name = nameOf(path)
    const entry: Made = { key, path, parent, self: self.right, name, status: status.right, users: 1 }
    made.set(key, entry)
    return E.right(entry)
  }

  /** The only place that makes directories. On a Left none is left, and the parent is still the caller's. */
  const make = (parent: OwnedFd, path: string, subject: string): E.Either<SyscallError, [OwnedFd, Made]> => {
    const name = nameOf(path)
    const created = makeDirectory(parent.borrowed, name, DIRECTORY_MODE, subject)
    if (E.isLeft(created)) return created
    at('directory made')
    const undo = (error: SyscallError): E.Either<SyscallError, never> => {
      // By its name alone, as it could not be held: what the container may have put there stays unless it is empty.
      removeDirectory(parent.borrowed, name, subject)
      return E.left(error)
    }
    const opened = resolveIn(parent.borrowed, name, 'real-directory', subject)
    if (E.isLeft(opened)) return undo(opened.left)
    const entry = note(parent, path, opened.right, subject)
    if (E.isRight(entry)) return E.right([opened.right, entry.right])
    opened.right.close()
    return undo(entry.left)
  }

  /** Walk down, taking note of what is ours and making what is missing. The last directory, and ours on the way. */
  const walk = (
    root: BorrowedFd,
    path: string,
    subject: string,
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
      const created = make(parent, prefix, subject)
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
    hold: (root, path, subject) => {
      const walked = walk(root, path, subject)
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
        users: 1,
      }
      held.set(key, directory)
      return E.right(directory)
    },
    release: directory => {
      const entry = [...held.values()].find(candidate => candidate === directory)
      if (entry === undefined) return []
      entry.users -= 1
      if (entry.users > 0) return []
      held.delete(entry.key)
      entry.owned.close()
      return releaseMade(entry.chain)
    },
  }
}
