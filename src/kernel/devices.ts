/**
 * Making device nodes, and finding out whether the nodes in a directory can be opened at all.
 * Nothing here opens a device but the null device: opening another one may have effects (a DRM card: its opener may become
 * its master).
 */
import { E } from '../fp.ts'
import type { SyscallError } from '../model/errors.ts'
import { AT_FDCWD, O_CLOEXEC, O_NOCTTY, O_NONBLOCK, O_RDONLY, S_IFCHR, SYS } from './constants.ts'
import { c } from './declarations.ts'
import { lastError } from './errno.ts'
import { type BorrowedFd, OwnedFd } from './fd.ts'
import { type DeviceNumber, pathOf, resolveIn, sameDevice, statusOf, unlink } from './files.ts'

/** In every container's list of allowed devices, and opening it does nothing (null(4)). */
const NULL_DEVICE: DeviceNumber = { type: 'character', major: 1, minor: 3 }

/** A dev_t as system calls take it: twelve bits of major among twenty of minor (`new_encode_dev`, `linux/kdev_t.h`). */
const encoded = ({ major, minor }: DeviceNumber): number =>
  ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0

/**
 * A node of a character device that nobody may open yet but root: owner and mode are set when it was looked at, so the umask
 * has no say. By system call: glibc before 2.33 has no such function to be found by name.
 */
export const makeNode = (
  dir: BorrowedFd,
  name: string,
  device: DeviceNumber,
  subject: string,
): E.Either<SyscallError, void> =>
  c.mknodat(SYS.mknodat, dir, name, S_IFCHR, encoded(device)) < 0
    ? E.left(lastError('mknodat', subject))
    : E.right(undefined)

const opensNull = (dir: BorrowedFd, name: string, subject: string): E.Either<SyscallError, boolean> => {
  const file = resolveIn(dir, name, 'unfollowed', subject)
  if (E.isLeft(file)) return file
  const status = statusOf(file.right.borrowed, subject)
  // The container may have put something else there: that is not opened.
  if (E.isLeft(status) || status.right.node === undefined || !sameDevice(status.right.node, NULL_DEVICE)) {
    file.right.close()
    return E.isLeft(status) ? status : E.right(false)
  }
  const flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
  const fd = c.openat(AT_FDCWD, pathOf(file.right.borrowed), flags, 0)
  const answer: E.Either<SyscallError, boolean> =
    fd < 0 ? E.left(lastError('openat', subject)) : E.right(true)
  if (fd >= 0) new OwnedFd(fd).close()
  file.right.close()
  return answer
}

const isForbidden = ({ errno }: SyscallError): boolean => errno === 'EACCES' || errno === 'EPERM'

/**
 * Whether nodes that are made in a directory can be opened there: not where its mount says `nodev`, and not on a file system
 * that was mounted inside a user namespace (mount(2), user_namespaces(7)); making them works in both. Tried with a node of
 * the null device, which is made under `name` and removed again. False too where no node can be made for lack of a right.
 */
export const nodesOpenIn = (
  dir: BorrowedFd,
  name: string,
  subject: string,
): E.Either<SyscallError, boolean> => {
  const made = makeNode(dir, name, NULL_DEVICE, subject)
  if (E.isLeft(made)) return isForbidden(made.left) ? E.right(false) : made
  const opened = opensNull(dir, name, subject)
  unlink(dir, name, subject)
  return E.isLeft(opened) && isForbidden(opened.left) ? E.right(false) : opened
}
