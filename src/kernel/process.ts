/**
 * A process, held so that its number cannot come to mean another one: a pidfd, and the root directory and namespaces it
 * had while the pidfd was alive.
 */
import { readFileSync } from 'node:fs'
import { E } from '../fp.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import type { Pid } from '../model/identity.ts'
import { POLLIN, SYS } from './constants.ts'
import { c } from './declarations.ts'
import { lastError } from './errno.ts'
import { type BorrowedFd, OwnedFd } from './fd.ts'
import { type FileStatus, openDirectory, openForReading, sameFile, statusAt, statusOf } from './files.ts'
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

/** Who owns a file, in our own ids. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** A network namespace that is not ours: where abstract names of sockets live. */
export interface NetworkNamespace {
  readonly fd: OwnedFd
  /** The inode number by which `/proc/PID/ns/net` tells namespaces apart (namespaces(7)). */
  readonly id: string
}

export interface ProcessHandle {
  /** Absent for the host, which does not exit. */
  readonly pidfd: OwnedFd | undefined
  /** Its root directory, as a place to resolve paths in. */
  readonly root: OwnedFd
  /** Absent for the host, which is where we are. */
  readonly mountNamespace: OwnedFd | undefined
  /** Clock ticks from boot to its start: with its number, what tells it from every other process. `0` for the host. */
  readonly started: string
  /** Absent where it is our own, as for the host and for a container that shares the host's network. */
  readonly network: NetworkNamespace | undefined
}

/**
 * Our id for the root of a map's user namespace; each line is `inside outside count` (user_namespaces(7)). A map without
 * root has its first user instead: only ids of the map can own files that were made inside. An empty one, of a process
 * that is just being set up, maps nobody, and what is made belongs to the host's root.
 */
export const rootOfMap = (map: string): number => {
  const lines = map.split('\n').flatMap(line => {
    const [inside, outside] = line.trim().split(/\s+/).map(Number)
    return outside === undefined ? [] : [{ inside, outside }]
  })
  return (lines.find(({ inside }) => inside === 0) ?? lines[0])?.outside ?? 0
}

/**
 * Who shall own what is made in the container of a process: its root. Read anew each time: a map is written when its
 * process runs already.
 */
export const ownerFor = (pid: Pid, { pidfd }: ProcessHandle): E.Either<SyscallError, Owner> => {
  if (pidfd === undefined) return E.right({ uid: 0, gid: 0 })
  const gone = (): SyscallError => syscallError('pidfd_open', 'ESRCH', `process ${pid}`)
  try {
    const read = (map: string): number => rootOfMap(readFileSync(`/proc/${pid}/${map}`, 'utf8'))
    const owner = { uid: read('uid_map'), gid: read('gid_map') }
    return hasExited(pidfd.borrowed) ? E.left(gone()) : E.right(owner)
  } catch (error) {
    if (hasExited(pidfd.borrowed)) return E.left(gone())
    const errno = (error as NodeJS.ErrnoException).code ?? String(error)
    return E.left(syscallError('read', errno, `/proc/${pid}/uid_map`))
  }
}

/** Field 22 of /proc/pid/stat (proc(5)); the second one, the program's name, may hold anything, parentheses too. */
export const startOf = (pid: Pid): E.Either<SyscallError, string> => {
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
  handle.network?.fd.close()
}

export const openHost = (): E.Either<SyscallError, ProcessHandle> => {
  const root = openDirectory('/')
  if (E.isLeft(root)) return root
  return E.right({
    pidfd: undefined,
    root: root.right,
    mountNamespace: undefined,
    started: '0',
    network: undefined,
  })
}

/** The network namespace of a process, unless it is ours. A kernel built without them has none to tell (ENOENT). */
const networkOf = (pid: Pid): E.Either<SyscallError, NetworkNamespace | undefined> => {
  const own = networkAt('/proc/self/ns/net')
  if (E.isLeft(own)) return own.left.errno === 'ENOENT' ? E.right(undefined) : own
  own.right.fd.close()
  const theirs = networkAt(`/proc/${pid}/ns/net`)
  if (E.isLeft(theirs) || theirs.right.id !== own.right.id) return theirs
  theirs.right.fd.close()
  return E.right(undefined)
}

const networkAt = (path: string): E.Either<SyscallError, NetworkNamespace> => {
  const fd = openForReading(path)
  if (E.isLeft(fd)) return fd
  const status = statusOf(fd.right.borrowed, path)
  if (E.isRight(status)) return E.right({ fd: fd.right, id: status.right.inode })
  fd.right.close()
  return status
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
    // Whatever a dying process answers (EACCES is among it), gone is what it is.
    const gone = hasExited(pidfd.right.borrowed)
    for (const fd of opened) fd.close()
    return E.left(gone ? syscallError('pidfd_open', 'ESRCH', `process ${pid}`) : error)
  }
  const root = openDirectory(`/proc/${pid}/root`)
  if (E.isLeft(root)) return give(root.left)
  opened.push(root.right)
  const mountNamespace = openForReading(`/proc/${pid}/ns/mnt`)
  if (E.isLeft(mountNamespace)) return give(mountNamespace.left)
  opened.push(mountNamespace.right)
  const started = startOf(pid)
  if (E.isLeft(started)) return give(started.left)
  const network = networkOf(pid)
  if (E.isLeft(network)) return give(network.left)
  if (network.right !== undefined) opened.push(network.right.fd)
  if (hasExited(pidfd.right.borrowed)) return give(syscallError('pidfd_open', 'ESRCH', `process ${pid}`))
  return E.right({
    pidfd: pidfd.right,
    root: root.right,
    mountNamespace: mountNamespace.right,
    started: started.right,
    network: network.right,
  })
}

/** Its numbers, from our pid namespace to its own (`NSpid`, proc_pid_status(5)); none of one that has ended. */
const numbersOf = (pid: number): readonly string[] => {
  try {
    const line = /^NSpid:.*$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[0]
    return line?.split('\t').slice(1) ?? []
  } catch (error) {
    // It has ended meanwhile; anything else is a bug.
    if (error instanceof Error && 'code' in error) return []
    throw error
  }
}

/** Whether a process is the first one of a pid namespace of its own, as a container's is. */
export const isFirstOfItsOwn = (pid: Pid): boolean => {
  const numbers = numbersOf(pid)
  return numbers.length > 1 && numbers.at(-1) === '1'
}

/** What a process is called in its own pid namespace; `undefined`: it has ended. */
export const numberInside = (pid: number): number | undefined => {
  const number = numbersOf(pid).at(-1)
  return number === undefined ? undefined : Number(number)
}

type Found = E.Either<SyscallError, FileStatus>

/** The same file, reached through the same mount. What neither can be looked at is the same, too. */
const isSame = (a: Found, b: Found): boolean =>
  E.isLeft(a) || E.isLeft(b)
    ? E.isLeft(a) && E.isLeft(b)
    : sameFile(a.right, b.right) && a.right.mount === b.right.mount

/** Whether a process has our own root directory and mount namespace. */
export const seesTheHost = ({ root, mountNamespace }: ProcessHandle): boolean =>
  mountNamespace === undefined ||
  (isSame(statusOf(root.borrowed, 'process'), statusAt('/')) &&
    isSame(statusOf(mountNamespace.borrowed, 'process'), statusAt('/proc/self/ns/mnt')))

/** Whether a process has our own mount namespace, in whatever root. */
export const sharesMounts = ({ mountNamespace }: ProcessHandle): boolean =>
  mountNamespace === undefined ||
  isSame(statusOf(mountNamespace.borrowed, 'process'), statusAt('/proc/self/ns/mnt'))

/**
 * Whether a process went elsewhere since it was held: into another root (chroot(2), pivot_root(2)), or into other mounts or
 * another network (unshare(2), setns(2)). Of one that has ended nothing is said.
 */
export const hasMoved = (pid: Pid, { pidfd, root, mountNamespace, network }: ProcessHandle): boolean => {
  if (pidfd === undefined || mountNamespace === undefined) return false
  const held = [
    statusOf(root.borrowed, 'process'),
    statusOf(mountNamespace.borrowed, 'process'),
    network === undefined ? statusAt('/proc/self/ns/net') : statusOf(network.fd.borrowed, 'process'),
  ]
  const now = ['root', 'ns/mnt', 'ns/net'].map(link => statusAt(`/proc/${pid}/${link}`))
  const stayed = held.every((status, index) => isSame(status, now[index] ?? status))
  return !stayed && !hasExited(pidfd.borrowed)
}
