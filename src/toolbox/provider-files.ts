/**
 * A provider's files: looked up inside its root, whose symlinks never lead out of it (openat2(2)), and read without waiting
 * for anything that its container might do. Nothing is kept: what is asked twice is looked up twice.
 */
import { E } from '../fp.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import { namesIn, readWhole, stampOf } from '../kernel/file-contents.ts'
import { resolveIn } from '../kernel/files.ts'
import type { SyscallError } from '../model/errors.ts'
import type { Container } from './containers.ts'
import type { FileProblem, ProviderFiles } from './contract.ts'

/** A path that leads nowhere. */
const NOWHERE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR'])

const problemOf = ({ errno, call }: SyscallError): FileProblem => {
  if (call === 'openat2') return NOWHERE.has(errno) ? 'absent' : 'unreadable'
  return errno === 'EINVAL' || errno === 'ENOTDIR' ? 'not a file' : 'unreadable'
}

export const providerFiles = (container: Container): ProviderFiles =>
  filesUnder(container.handle.root.borrowed, `provider process ${container.pid}`)

/** Files below any directory, which stays the caller's. `subject` is whose it is, for errors. */
export const filesUnder = (root: BorrowedFd, subject: string): ProviderFiles => {
  const at = <A>(
    path: string,
    body: (found: BorrowedFd) => E.Either<SyscallError, A>,
  ): E.Either<SyscallError, A> => {
    const found = resolveIn(root, path, 'any', `${subject}, ${path}`)
    if (E.isLeft(found)) return found
    const answer = body(found.right.borrowed)
    found.right.close()
    return answer
  }

  return {
    read: (path, mostBytes) => {
      const bytes = at(path, found => readWhole(found, mostBytes, subject))
      if (E.isLeft(bytes)) return E.left(problemOf(bytes.left))
      return bytes.right === 'too long' ? E.left(bytes.right) : E.right(bytes.right)
    },
    list: (path, mostNames) => {
      const names = at(path, found => namesIn(found, mostNames, subject))
      if (E.isLeft(names)) return E.left(problemOf(names.left))
      return names.right === 'too many' ? E.left(names.right) : E.right(names.right)
    },
    stamp: path => {
      const stamp = at(path, found => E.right(stampOf(found)))
      if (E.isLeft(stamp)) return NOWHERE.has(stamp.left.errno) ? '' : stamp.left.errno
      return stamp.right ?? ''
    },
  }
}
