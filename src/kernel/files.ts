/**
 * Looking at and changing a directory tree through descriptors: paths are resolved inside a root that cannot be left
 * (openat2(2)), and what was found is used through its descriptor, so it cannot be exchanged in between.
 */
import { E } from '../fp.ts'
import type { SyscallError } from '../model/errors.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_STATX_DONT_SYNC,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_WRONLY,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFSOCK,
  STATX_BASIC_STATS,
  STATX_BTIME,
  STATX_CTIME,
  STATX_MNT_ID,
  SYS,
} from './constants.ts'
import { c } from './declarations.ts'
import { lastError } from './errno.ts'
import { type BorrowedFd, OwnedFd } from './fd.ts'
import { NativeBlock, setWord } from './memory.ts'
import { OPEN_HOW, STATX } from './structs.ts'

export type FileKind = 'socket' | 'symlink' | 'directory' | 'device' | 'fifo' | 'file'

export interface FileStatus {
  readonly kind: FileKind
  /** `major:minor` of the device the file is on. */
  readonly device: string
  /** Decimal: an inode number may need all 64 bits. */
  readonly inode: string
  /** When it was made, in seconds since the epoch; `0.0` where the file system does not know. Tells a reused inode number. */
  readonly born: string
  /** Id of the mount it was reached through; 0 before Linux 5.8. */
  readonly mount: number
  readonly uid: number
  readonly gid: number
  /** Permission bits, those for set-ids too. */
  readonly mode: number
  /** Which device it is a node of; `undefined` for what is none. */
  readonly node: DeviceNumber | undefined
}

/** The device that a node stands for (mknod(2)). */
export interface DeviceNumber {
  readonly type: 'character' | 'block'
  readonly major: number
  readonly minor: number
}

export const sameDevice = (a: DeviceNumber, b: DeviceNumber): boolean =>
  a.type === b.type && a.major === b.major && a.minor === b.minor

/** The same file, as far as a file system can tell; a number may be reused once the file is gone. */
export const sameFile = (
  a: { readonly device: string; readonly inode: string },
  b: { readonly device: string; readonly inode: string },
): boolean => a.inode === b.inode && a.device === b.device

const how = new NativeBlock(OPEN_HOW.size)
const status = new NativeBlock(STATX.size)

const kindOf = (mode: number): FileKind => {
  switch (mode & S_IFMT) {
    case S_IFSOCK:
      return 'socket'
    case S_IFLNK:
      return 'symlink'
    case S_IFDIR:
      return 'directory'
    case S_IFCHR:
    case S_IFBLK:
      return 'device'
    case S_IFIFO:
      return 'fifo'
    default:
      return 'file'
  }
}

const WHOLE_STATUS = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID

const nodeOf = (data: DataView, mode: number): DeviceNumber | undefined => {
  const format = mode & S_IFMT
  if (format !== S_IFCHR && format !== S_IFBLK) return undefined
  return {
    type: format === S_IFCHR ? 'character' : 'block',
    major: data.getUint32(STATX.rdevMajor, true),
    minor: data.getUint32(STATX.rdevMinor, true),
  }
}

const readStatus = (): FileStatus => {
  const { data } = status
  const mode = data.getUint16(STATX.mode, true)
  return {
    kind: kindOf(mode),
    device: `${data.getUint32(STATX.devMajor, true)}:${data.getUint32(STATX.devMinor, true)}`,
    inode: String(data.getBigUint64(STATX.inode, true)),
    born: `${data.getBigInt64(STATX.bornSeconds, true)}.${data.getUint32(STATX.bornNanoseconds, true)}`,
    mount: Number(data.getBigUint64(STATX.mountId, true)),
    uid: data.getUint32(STATX.uid, true),
    gid: data.getUint32(STATX.gid, true),
    mode: mode & 0o7777,
    node: nodeOf(data, mode),
  }
}

/** The status of the open file itself. */
export const statusOf = (fd: BorrowedFd, subject: string): E.Either<SyscallError, FileStatus> =>
  c.statx(SYS.statx, fd, '', AT_EMPTY_PATH | AT_STATX_DONT_SYNC, WHOLE_STATUS, status.address) < 0
    ? E.left(lastError('statx', subject))
    : E.right(readStatus())

/** The status of a file of the host or of /proc. For trusted paths only: every symlink is followed. */
export const statusAt = (path: string): E.Either<SyscallError, FileStatus> =>
  c.statx(SYS.statx, AT_FDCWD, path, AT_STATX_DONT_SYNC, WHOLE_STATUS, status.address) < 0
    ? E.left(lastError('statx', path))
    : E.right(readStatus())

/** The status of a name in a directory; a symlink is not followed. */
export const statusIn = (
  dir: BorrowedFd,
  name: string,
  subject: string,
): E.Either<SyscallError, FileStatus> =>
  c.statx(SYS.statx, dir, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, WHOLE_STATUS, status.address) < 0
    ? E.left(lastError('statx', subject))
    : E.right(readStatus())

/**
 * When a file, or what a directory has in it, changed last (`stx_ctime`, statx(2)), by its file system's clock; `undefined`
 * if that cannot be told.
 */
export const changeTimeOf = (
  fd: BorrowedFd,
): { readonly seconds: bigint; readonly nanoseconds: number } | undefined => {
  const { address, data } = status
  if (c.statx(SYS.statx, fd, '', AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_CTIME, address) < 0)
    return undefined
  if ((data.getUint32(STATX.mask, true) & STATX_CTIME) === 0) return undefined
  return {
    seconds: data.getBigInt64(STATX.changedSeconds, true),
    nanoseconds: data.getUint32(STATX.changedNanoseconds, true),
  }
}

/**
 * Whether a name in a directory is still this file. Allocates nothing: the controller asks this of every planted node
 * in many passes.
 */
export const isStill = (
  dir: BorrowedFd,
  name: string,
  inode: bigint,
  deviceMajor: number,
  deviceMinor: number,
): boolean =>
  c.statx(
    SYS.statx,
    dir,
    name,
    AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
    STATX_BASIC_STATS,
    status.address,
  ) >= 0 &&
  status.data.getBigUint64(STATX.inode, true) === inode &&
  status.data.getUint32(STATX.devMajor, true) === deviceMajor &&
  status.data.getUint32(STATX.devMinor, true) === deviceMinor

const open = (path: string, flags: number): E.Either<SyscallError, OwnedFd> => {
  const fd = c.openat(AT_FDCWD, path, flags | O_CLOEXEC, 0)
  return fd < 0 ? E.left(lastError('openat', path)) : E.right(new OwnedFd(fd))
}

/** A directory of the host, as a root to resolve in. For trusted paths only: every symlink is followed. */
export const openDirectory = (path: string): E.Either<SyscallError, OwnedFd> =>
  open(path, O_PATH | O_DIRECTORY)

/** A file of the host or of /proc for reading. For trusted paths only. */
export const openForReading = (path: string): E.Either<SyscallError, OwnedFd> => open(path, O_RDONLY)

/**
 * Look a path up inside a root, as a process chrooted there would: absolute symlinks and `..` stay inside, and the
 * magic links of /proc are refused (RESOLVE_IN_ROOT, openat2(2)). The result is for use, not for reading (O_PATH).
 * `unfollowed` and `real-directory` do not follow a symlink in the last place.
 */
export const resolveIn = (
  root: BorrowedFd,
  path: string,
  want: 'any' | 'directory' | 'real-directory' | 'unfollowed',
  subject: string,
): E.Either<SyscallError, OwnedFd> => {
  const flags =
    O_PATH |
    O_CLOEXEC |
    (want === 'directory' || want === 'real-directory' ? O_DIRECTORY : 0) |
    (want === 'unfollowed' || want === 'real-directory' ? O_NOFOLLOW : 0)
  setWord(how.data, OPEN_HOW.flags, flags)
  setWord(how.data, OPEN_HOW.resolve, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
  const fd = c.openat2(SYS.openat2, root, path, how.address, OPEN_HOW.size)
  return fd < 0 ? E.left(lastError('openat2', subject)) : E.right(new OwnedFd(fd))
}

/** openat2(2) came with Linux 5.6; without it no container's path can be resolved safely. */
export const canResolveSafely = (): boolean => {
  const root = openDirectory('/')
  if (E.isLeft(root)) return false
  const found = resolveIn(root.right.borrowed, '.', 'directory', '/')
  root.right.close()
  if (E.isLeft(found)) return false
  found.right.close()
  return true
}

const done = (result: number, call: string, subject: string): E.Either<SyscallError, void> =>
  result < 0 ? E.left(lastError(call, subject)) : E.right(undefined)

/**
 * The mode is taken literally, by way of the umask: to set it afterwards would need a second look at the name, and that may
 * be another directory by then. Put back before anything else runs: other threads share it (umask(2)).
 */
export const makeDirectory = (dir: BorrowedFd, name: string, mode: number, subject: string) => {
  const before = c.umask(0)
  const result = c.mkdirat(dir, name, mode)
  const made = done(result, 'mkdirat', subject)
  c.umask(before)
  return made
}

/** An empty file that nobody may open but root: a place to mount something on. EEXIST where the name is taken. */
export const makeFile = (dir: BorrowedFd, name: string, subject: string): E.Either<SyscallError, void> => {
  const fd = c.openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0)
  if (fd < 0) return E.left(lastError('openat', subject))
  new OwnedFd(fd).close()
  return E.right(undefined)
}

export const removeDirectory = (dir: BorrowedFd, name: string, subject: string) =>
  done(c.unlinkat(dir, name, AT_REMOVEDIR), 'rmdir', subject)

export const unlink = (dir: BorrowedFd, name: string, subject: string) =>
  done(c.unlinkat(dir, name, 0), 'unlinkat', subject)

/** The path by which the kernel finds an open file again, whatever its length and wherever it moved (proc(5)). */
export const pathOf = (fd: BorrowedFd): string => `/proc/self/fd/${fd}`

/** As `setMode`; what the file had of set-id bits may go (chown(2)). */
export const setOwner = (fd: BorrowedFd, uid: number, gid: number, subject: string) =>
  done(c.fchownat(fd, '', uid, gid, AT_EMPTY_PATH), 'fchownat', subject)

/** Through the descriptor of a file that was looked at before: by name it could have become a symlink meanwhile. */
export const setMode = (fd: BorrowedFd, mode: number, subject: string) =>
  done(c.fchmodat(AT_FDCWD, pathOf(fd), mode, 0), 'fchmodat', subject)

const RENAME_FLAGS = { keep: RENAME_NOREPLACE, exchange: RENAME_EXCHANGE, replace: 0 } as const

/**
 * Within one directory. `keep`: EEXIST where the new name is taken, nothing is replaced. `exchange`: both names must be
 * there and change places at once; EINVAL where the file system cannot.
 */
export const rename = (
  dir: BorrowedFd,
  from: string,
  to: string,
  target: keyof typeof RENAME_FLAGS,
  subject: string,
) => done(c.renameat2(SYS.renameat2, dir, from, dir, to, RENAME_FLAGS[target]), 'renameat2', subject)
