/**
 * A device node for places where one that is made cannot be opened (`nodev`, file systems of a user namespace): made on the
 * host, and mounted in the container on an empty file, in its own mount namespace. It is ours alone: what the container does to
 * it, as changing its mode, does not reach the provider's.
 */
import { E } from '../fp.ts'
import type { BorrowedFd, OwnedFd } from '../kernel/fd.ts'
import {
  type FileStatus,
  makeFile,
  openDirectory,
  rename,
  resolveIn,
  sameFile,
  statusIn,
  statusOf,
  unlink,
} from '../kernel/files.ts'
import { attachOn, detachIn, mountOf } from '../kernel/mounts.ts'
import { inMountNamespaceOf } from '../kernel/namespace.ts'
import { sharesMounts } from '../kernel/process.ts'
import type { SyscallError } from '../model/errors.ts'
import {
  lookAgain,
  makeOwned,
  type NodeFile,
  type NodeFileRequest,
  removeNode,
  withPrivateName,
} from './node-file.ts'
import { privateName } from './private-name.ts'

/**
 * Where the node is made: it needs a name until it is mounted (move_mount(2) gives ENOENT else), on a file system whose nodes can
 * be opened, as those of this one can on any host.
 */
const SCRATCH = '/dev'

/** An empty file to mount on, held: by name it shows no more once something is mounted there. */
const makeBelow = (
  directory: BorrowedFd,
  name: string,
  subject: string,
): E.Either<SyscallError, { readonly file: OwnedFd; readonly status: FileStatus }> => {
  const made = makeFile(directory, name, subject)
  if (E.isLeft(made)) return made
  const give = (error: SyscallError): E.Either<SyscallError, never> => {
    if (error.errno !== 'EEXIST') unlink(directory, name, subject)
    return E.left(error)
  }
  const file = resolveIn(directory, name, 'unfollowed', subject)
  if (E.isLeft(file)) return give(file.left)
  const status = statusOf(file.right.borrowed, subject)
  if (E.isRight(status) && status.right.kind === 'file')
    return E.right({ file: file.right, status: status.right })
  file.right.close()
  return give(E.isLeft(status) ? status.left : lookAgain(subject))
}

const mountIn = (
  { container, subject }: NodeFileRequest,
  directory: BorrowedFd,
  node: BorrowedFd,
  below: BorrowedFd,
): E.Either<SyscallError, void> => {
  // A copy can only be had where the node is, and attached only where it shall show.
  const mount = mountOf(node, subject)
  if (E.isLeft(mount)) return mount
  const entered = inMountNamespaceOf(container.handle, directory, subject, () =>
    attachOn(mount.right.borrowed, below, subject),
  )
  mount.right.close()
  return E.isLeft(entered) ? entered : entered.right
}

/**
 * Mount the node and give the file its name: in this order, so that nobody sees the name without the node. What is mounted on in
 * our own mount namespace cannot be renamed (EBUSY, rename(2)): where that is the container's too, or its mounts pass to ours, the
 * name comes first.
 */
const showAt = (
  request: NodeFileRequest,
  directory: BorrowedFd,
  [temporary, name]: readonly [string, string],
  node: BorrowedFd,
  below: BorrowedFd,
): E.Either<SyscallError, void> => {
  const { container, subject, at } = request
  const mount = (): E.Either<SyscallError, void> => mountIn(request, directory, node, below)
  const give = (): E.Either<SyscallError, void> => rename(directory, temporary, name, 'keep', subject)
  const inOrder = (first: typeof mount, second: typeof mount): E.Either<SyscallError, void> => {
    const begun = first()
    if (E.isLeft(begun)) return begun
    at('mounted')
    const done = second()
    if (E.isRight(done)) at('named')
    return done
  }
  if (sharesMounts(container.handle)) return inOrder(give, mount)
  const shown = inOrder(mount, give)
  if (E.isRight(shown) || shown.left.errno !== 'EBUSY') return shown
  const detached = detachIn(container.handle, directory, temporary, subject)
  return E.isLeft(detached) ? detached : inOrder(give, mount)
}

/** Remove whichever of the two names has what we made. */
const takeBack = (
  { container, subject }: NodeFileRequest,
  directory: BorrowedFd,
  names: readonly string[],
  ours: readonly FileStatus[],
): void => {
  for (const name of names) {
    const found = statusIn(directory, name, subject)
    if (E.isRight(found) && ours.some(each => sameFile(each, found.right)))
      removeNode(directory, name, subject, container.handle)
  }
}

const mountNode = (
  request: NodeFileRequest,
  directory: BorrowedFd,
  name: string,
  node: { readonly file: OwnedFd; readonly status: FileStatus },
): E.Either<SyscallError, NodeFile> => {
  const { target, subject, scribe } = request
  const temporary = privateName()
  const trace = scribe.announce({ kind: 'node', path: target, private: temporary })
  const gone = (): void => scribe.gone(trace)
  const below = makeBelow(directory, temporary, subject)
  if (E.isLeft(below)) {
    gone()
    return below
  }
  const { file, status } = below.right
  scribe.made(trace, { ...node.status, below: status })
  const shown = showAt(request, directory, [temporary, name], node.file.borrowed, file.borrowed)
  file.close()
  if (E.isRight(shown)) return E.right({ file: node.file, status: node.status, below: status, gone })
  takeBack(request, directory, [temporary, name], [node.status, status])
  gone()
  return shown
}

/**
 * As `makePlain`. Once it is mounted, the node has no name on the host any more, so it goes with its mount; unlinking the file that
 * it is mounted on takes that away, from whichever mount namespace (mount_namespaces(7)).
 */
export const makeMounted = (
  request: NodeFileRequest,
  directory: BorrowedFd,
  name: string,
): E.Either<SyscallError, NodeFile> => {
  const scratch = openDirectory(SCRATCH)
  if (E.isLeft(scratch)) return scratch
  const result = withPrivateName<E.Either<SyscallError, NodeFile>>(
    own => `${SCRATCH}/${own}`,
    request.hostScribe,
    own => {
      const node = makeOwned(scratch.right.borrowed, own, request)
      if (E.isLeft(node)) return node
      const mounted = mountNode(request, directory, name, node.right)
      if (E.isLeft(mounted)) node.right.file.close()
      unlink(scratch.right.borrowed, own, request.subject)
      return mounted
    },
  )
  scratch.right.close()
  return result
}
