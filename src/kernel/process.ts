/**
 * A process, held so that its number cannot come to mean another one: a pidfd, and the root directory and mount
 * namespace it had while the pidfd was alive.
 */
import { readFileSync } from 'node:fs'
import { E } from '../fp.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import type { Pid } from '../model/identity.ts'
import { POLLIN, SYS } from './constants.ts'
import { c } from './declarations.ts'
import { lastError } from './errno.ts'
import { type BorrowedFd, OwnedFd } from './fd.ts'
import { openDirectory, openForReading, sameFile, statusOf } from './files.ts'
import { NativeBlock } from './memory.ts'
import { POLLFD } from './structs.ts'

export const openPidfd = (pid: Pid): E.Either<SyscallError, OwnedFd> => {
  const fd = c.pidfdOpen(SYS.pidfd_open, pid, 0)
  return fd < 0 ? E.left(lastError('pidfd_open', `process ${pid}`)) : E.right(new OwnedFd(fd))
}

const pollOne = new NativeBlock(POLLFD.size)

/** A pidfd is readable once the process has ended (pidfd_open(2)). */
export const hasExited = (pidfd: BorrowedFd): boolean => {
  pollOne.data.setInt32(POLLFD.fd, pidfd, true)
  pollOne.data.setInt16(POLLFD.events, POLLIN, true)
  return c.poll(pollOne.address, 1, 0) > 0
}

/** Host ids of the root user of a process's user namespace. */
export interface RootOwner {
  readonly uid: number
  readonly gid: number
}

export interface ProcessHandle {
  /** Absent for the host, which does not exit. */
  readonly pidfd: OwnedFd | undefined
  /** Its root directory, as a place to resolve paths in. */
  readonly root: OwnedFd
  /** Absent for the host, which is where we are. */
  readonly mountNamespace: OwnedFd | undefined
  readonly owner: RootOwner
  /** Clock ticks from boot to its start: with its number, what tells it from every other process. `0` for the host. */
  readonly started: string
}

/** First line whose inside range holds id 0: `inside outside count` (user_namespaces(7)). */
const mappedRoot = (map: string): number => {
  for (const line of map.split('\n')) {
    const [inside, outside] = line.trim().split(/\s+/).map(Number)
    if (inside === 0 && outside !== undefined) return outside
  }
  return 0
}

const rootOwnerOf = (pid: Pid): E.Either<SyscallError, RootOwner> => {
  try {
    const read = (map: string): number => mappedRoot(readFileSync(`/proc/${pid}/${map}`, 'utf8'))
    return E.right({ uid: read('uid_map'), gid: read('gid_map') })
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? String(error)
    return E.left(syscallError('read', errno, `/proc/${pid}/uid_map`))
  }
}

/** Field 22 of /proc/pid/stat (proc(5)); the second one, the program's name, may hold anything, parentheses too. */
const startOf = (pid: Pid): E.Either<SyscallError, string> => {
  const path = `/proc/${pid}/stat`
  try {
    const stat = readFileSync(path, 'utf8')
    return E.right(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '')
  } catch (error) {
    return E.left(syscallError('read', (error as NodeJS.ErrnoException).code ?? String(error), path))
  }
}

/** Close everything a handle holds. */
export const closeProcess = (handle: ProcessHandle): void => {
  handle.pidfd?.close()
  handle.root.close()
  handle.mountNamespace?.close()
}

export const openHost = (): E.Either<SyscallError, ProcessHandle> => {
  const root = openDirectory('/')
  if (E.isLeft(root)) return root
  return E.right({
    pidfd: undefined,
    root: root.right,
    mountNamespace: undefined,
    owner: { uid: 0, gid: 0 },
    started: '0',
  })
}

/**
 * Hold a process. The pidfd is looked at after the others were opened: alive then, they all belong to this process and
 * not to a later owner of its number. A process that is gone gives ESRCH.
 */
export const openProcess = (pid: Pid): E.Either<SyscallError, ProcessHandle> => {
  const pidfd = openPidfd(pid)
  if (E.isLeft(pidfd)) return pidfd
  const opened: OwnedFd[] = [pidfd.right]
  const give = (error: SyscallError): E.Either<SyscallError, never> => {
    for (const fd of opened) fd.close()
    return E.left(error)
  }
  const root = openDirectory(`/proc/${pid}/root`)
  if (E.isLeft(root)) return give(root.left)
  opened.push(root.right)
  const mountNamespace = openForReading(`/proc/${pid}/ns/mnt`)
  if (E.isLeft(mountNamespace)) return give(mountNamespace.left)
  opened.push(mountNamespace.right)
  const owner = rootOwnerOf(pid)
  if (E.isLeft(owner)) return give(owner.left)
  const started = startOf(pid)
  if (E.isLeft(started)) return give(started.left)
  if (hasExited(pidfd.right.borrowed)) return give(syscallError('pidfd_open', 'ESRCH', `process ${pid}`))
  return E.right({
    pidfd: pidfd.right,
    root: root.right,
    mountNamespace: mountNamespace.right,
    owner: owner.right,
    started: started.right,
  })
}

/** Whether a held process's root directory and mount namespace are the ones at these paths; `undefined`: no telling. */
const isAt = (handle: ProcessHandle, rootPath: string, namespacePath: string): boolean | undefined => {
  if (handle.mountNamespace === undefined) return undefined
  const root = openDirectory(rootPath)
  const namespace = openForReading(namespacePath)
  const known = E.isRight(root) && E.isRight(namespace)
  const same = known && isSame(handle.root, root.right) && isSame(handle.mountNamespace, namespace.right)
  if (E.isRight(root)) root.right.close()
  if (E.isRight(namespace)) namespace.right.close()
  return known ? same : undefined
}

const isSame = (a: OwnedFd, b: OwnedFd): boolean => {
  const [first, second] = [statusOf(a.borrowed, 'held'), statusOf(b.borrowed, 'now')]
  return E.isRight(first) && E.isRight(second) && sameFile(first.right, second.right)
}

/** Whether a process has our own root directory and mount namespace. */
export const seesTheHost = (handle: ProcessHandle): boolean =>
  handle.mountNamespace === undefined || isAt(handle, '/', '/proc/self/ns/mnt') === true

/**
 * Whether a process has changed its root directory or mount namespace since it was held. A container that is still
 * being set up has the host's root until it pivots.
 */
export const hasMoved = (pid: Pid, handle: ProcessHandle): boolean =>
  isAt(handle, `/proc/${pid}/root`, `/proc/${pid}/ns/mnt`) === false &&
  handle.pidfd !== undefined &&
  !hasExited(handle.pidfd.borrowed)
