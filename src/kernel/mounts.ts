/**
 * Mounting a single file on another one, in whichever mount namespace the thread is in (open_tree(2), move_mount(2); since
 * Linux 5.2). Everything goes by descriptor, or by a name in a directory that is one: no path is looked at twice.
 */
import { E } from '../fp.ts'
import type { SyscallError } from '../model/errors.ts'
import {
  AT_EMPTY_PATH,
  MNT_DETACH,
  MOVE_MOUNT_F_EMPTY_PATH,
  MOVE_MOUNT_T_EMPTY_PATH,
  O_CLOEXEC,
  OPEN_TREE_CLONE,
  SYS,
  UMOUNT_NOFOLLOW,
} from './constants.ts'
import { c } from './declarations.ts'
import { lastError } from './errno.ts'
import { type BorrowedFd, OwnedFd } from './fd.ts'
import { inMountNamespaceOf } from './namespace.ts'
import type { ProcessHandle } from './process.ts'

/**
 * A mount that shows this file alone and is attached nowhere yet; it goes with its descriptor if it never is. EINVAL: the file
 * is in another mount namespace than the thread.
 */
export const mountOf = (file: BorrowedFd, subject: string): E.Either<SyscallError, OwnedFd> => {
  const tree = c.openTree(SYS.open_tree, file, '', OPEN_TREE_CLONE | AT_EMPTY_PATH | O_CLOEXEC)
  return tree < 0 ? E.left(lastError('open_tree', subject)) : E.right(new OwnedFd(tree))
}

/**
 * Attach such a mount on top of a file. EINVAL: that is in another mount namespace than the thread. ENOENT: what the mount
 * shows has no name any more, so it has to keep one until then.
 */
export const attachOn = (
  mount: BorrowedFd,
  file: BorrowedFd,
  subject: string,
): E.Either<SyscallError, void> =>
  c.moveMount(SYS.move_mount, mount, '', file, '', MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
    ? E.left(lastError('move_mount', subject))
    : E.right(undefined)

/**
 * Take away what is mounted on a name of a directory of this process's, in its mount namespace; from there it goes from those
 * that share its mounts too (mount_namespaces(7)). A symlink is not followed. EINVAL: nothing is mounted there.
 */
export const detachIn = (
  process: ProcessHandle,
  directory: BorrowedFd,
  name: string,
  subject: string,
): E.Either<SyscallError, void> => {
  const entered = inMountNamespaceOf<E.Either<SyscallError, void>>(process, directory, subject, () =>
    c.umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0
      ? E.left(lastError('umount2', subject))
      : E.right(undefined),
  )
  return E.isLeft(entered) ? entered : entered.right
}
