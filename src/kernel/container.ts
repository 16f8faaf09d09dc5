/**
 * Making a container: namespaces of its own, a root of its own. What the demo needs and the daemon never does.
 * Affects the calling thread and the children it starts afterwards; the process is of no other use then.
 */
import { E } from '../fp.ts'
import type { SyscallError } from '../model/errors.ts'
import {
  CLONE_NEWIPC,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  MNT_DETACH,
  MS_BIND,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  SYS,
} from './constants.ts'
import { c } from './declarations.ts'
import { lastError } from './errno.ts'
import { OwnedFd } from './fd.ts'

const done = (result: number, call: string, subject: string): E.Either<SyscallError, void> =>
  result < 0 ? E.left(lastError(call, subject)) : E.right(undefined)

/** Mount, host name and ipc namespaces for this thread; a pid namespace for the next child, which is its pid 1. */
export const unshareContainer = (): E.Either<SyscallError, void> =>
  done(c.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID), 'unshare', 'container namespaces')

/** From here on no mount of ours is seen outside, and none from outside here (mount_namespaces(7)). */
export const makeMountsPrivate = (): E.Either<SyscallError, void> =>
  done(c.mount(null, '/', null, MS_REC | MS_PRIVATE, null), 'mount', 'private /')

export const mountFresh = (type: 'tmpfs' | 'proc', target: string): E.Either<SyscallError, void> =>
  done(c.mount(type, target, type, 0, null), 'mount', `${type} on ${target}`)

/** Show a directory, a file or a device a second time, read-only. The flag needs a second call: the first one ignores it (mount(2)). */
export const bindReadOnly = (source: string, target: string): E.Either<SyscallError, void> => {
  const bound = done(c.mount(source, target, null, MS_BIND | MS_REC, null), 'mount', `${source} on ${target}`)
  if (E.isLeft(bound)) return bound
  return done(
    c.mount(null, target, null, MS_BIND | MS_REMOUNT | MS_RDONLY, null),
    'mount',
    `read-only ${target}`,
  )
}

/** Make `root` the root; the old one appears at `old` inside it and is detached at once. */
export const enterRoot = (root: string, old: string): E.Either<SyscallError, void> => {
  const pivoted = done(c.pivotRoot(SYS.pivot_root, root, `${root}${old}`), 'pivot_root', root)
  return E.isLeft(pivoted) ? pivoted : done(c.umount2(old, MNT_DETACH), 'umount2', old)
}

export const setHostName = (name: string): E.Either<SyscallError, void> =>
  done(c.sethostname(name, Buffer.byteLength(name)), 'sethostname', name)

/** A file that exists in memory only (memfd_create(2)). */
export const openMemoryFile = (name: string): E.Either<SyscallError, OwnedFd> => {
  const fd = c.memfdCreate(SYS.memfd_create, name, 0)
  return fd < 0 ? E.left(lastError('memfd_create', name)) : E.right(new OwnedFd(fd))
}
