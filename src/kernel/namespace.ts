/**
 * Going into a container's mount or network namespace and coming home, and being who may create files there.
 *
 * Only the calling thread moves. Node's other threads stay behind, so nothing asynchronous may run in between: the body
 * is one synchronous function, and its type refuses a Promise. If coming home fails nothing after it is safe, because
 * every later path, or socket, would be a container's: the process ends.
 */
import { writeSync } from 'node:fs'
import { E } from '../fp.ts'
import type { SyscallError } from '../model/errors.ts'
import {
  CLONE_FS,
  CLONE_NEWNET,
  CLONE_NEWNS,
  PR_GET_SECUREBITS,
  PR_SET_SECUREBITS,
  SECBIT_NO_SETUID_FIXUP,
} from './constants.ts'
import { c } from './declarations.ts'
import { errnoName, lastError } from './errno.ts'
import type { BorrowedFd, OwnedFd } from './fd.ts'
import { openDirectory, openForReading } from './files.ts'
import type { Owner, ProcessHandle } from './process.ts'

interface Home {
  readonly mountNamespace: OwnedFd
  readonly root: OwnedFd
  readonly workingDirectory: OwnedFd
}

let home: Home | undefined

/** Opened once, on the first entry: what it names does not change, because we always come back. */
const openHome = (): E.Either<SyscallError, Home> => {
  if (home !== undefined) return E.right(home)
  const mountNamespace = openForReading('/proc/self/ns/mnt')
  if (E.isLeft(mountNamespace)) return mountNamespace
  const root = openDirectory('/')
  if (E.isLeft(root)) {
    mountNamespace.right.close()
    return root
  }
  const workingDirectory = openDirectory('.')
  if (E.isLeft(workingDirectory)) {
    mountNamespace.right.close()
    root.right.close()
    return workingDirectory
  }
  home = { mountNamespace: mountNamespace.right, root: root.right, workingDirectory: workingDirectory.right }
  return E.right(home)
}

const abort = (call: string): never => {
  // Past the logger, which may need a file: standard error is open whatever the namespace.
  writeSync(2, `pv-xconnect: cannot return to its own namespace (${call}: ${errnoName()}); aborting\n`)
  process.abort()
}

const comeHome = ({ mountNamespace, root, workingDirectory }: Home, entered: boolean): void => {
  if (entered) {
    // setns refuses while another thread shares our root and working directory, and one started meanwhile would.
    if (c.unshare(CLONE_FS) < 0) abort('unshare')
    if (c.setns(mountNamespace.borrowed, CLONE_NEWNS) < 0) abort('setns')
    // setns left us at the namespace's root, which is not ours where we were started in a chroot.
    if (c.fchdir(root.borrowed) < 0) abort('fchdir')
    if (c.chroot('.') < 0) abort('chroot')
  }
  if (c.fchdir(workingDirectory.borrowed) < 0) abort('fchdir')
}

/** What runs between going and coming home must be over when it returns. */
export type NotAPromise<A> = A extends PromiseLike<unknown> ? never : A

/** Whether we went in: not for the host, which is where we are, and not where it is refused. */
const enter = (process: ProcessHandle, subject: string): E.Either<SyscallError, boolean> => {
  if (process.mountNamespace === undefined) return E.right(false)
  if (c.setns(process.mountNamespace.borrowed, CLONE_NEWNS) < 0) {
    const error = lastError('setns', subject)
    return error.errno === 'EPERM' ? E.right(false) : E.left(error)
  }
  return E.right(true)
}

/**
 * Run `body` inside the process's mount namespace and root, with `directory` as its working directory: a relative name
 * then needs no path at all, and none through /proc, which shows another pid namespace's processes in there.
 * For the host, and where setns is refused (EPERM), it runs where we are: what it does through relative names and
 * descriptors comes out the same.
 */
export const inMountNamespaceOf = <A>(
  process: ProcessHandle,
  directory: BorrowedFd,
  subject: string,
  body: () => NotAPromise<A>,
): E.Either<SyscallError, NotAPromise<A>> => {
  const from = openHome()
  if (E.isLeft(from)) return from
  if (c.unshare(CLONE_FS) < 0) return E.left(lastError('unshare', subject))
  const entered = enter(process, subject)
  if (E.isLeft(entered)) return entered
  try {
    if (entered.right) {
      if (c.fchdir(process.root.borrowed) < 0) return E.left(lastError('fchdir', subject))
      if (c.chroot('.') < 0) return E.left(lastError('chroot', subject))
    }
    if (c.fchdir(directory) < 0) return E.left(lastError('fchdir', subject))
    return E.right(body())
  } finally {
    comeHome(from.right, entered.right)
  }
}

let homeNetwork: OwnedFd | undefined

const openHomeNetwork = (): E.Either<SyscallError, OwnedFd> => {
  if (homeNetwork !== undefined) return E.right(homeNetwork)
  const opened = openForReading('/proc/self/ns/net')
  if (E.isRight(opened)) homeNetwork = opened.right
  return opened
}

/**
 * Run `body` inside the process's network namespace: a socket made there belongs to it for good, and finds the abstract
 * names of that namespace only. Unlike a mount namespace it is the thread's own business, and shares nothing with other
 * threads. Where it cannot be entered nothing is run: an abstract name would land among the host's.
 */
export const inNetworkNamespaceOf = <A>(
  process: ProcessHandle,
  subject: string,
  body: () => NotAPromise<A>,
): E.Either<SyscallError, NotAPromise<A>> => {
  if (process.network === undefined) return E.right(body())
  const from = openHomeNetwork()
  if (E.isLeft(from)) return from
  if (c.setns(process.network.fd.borrowed, CLONE_NEWNET) < 0) return E.left(lastError('setns', subject))
  try {
    return E.right(body())
  } finally {
    if (c.setns(from.right.borrowed, CLONE_NEWNET) < 0) abort('setns')
  }
}

/** (uid_t) -1: never set (setfsuid(2)). */
const NO_ID = 0xffff_ffff

/**
 * Run `body` with files created as owned by `owner`. On a file system mounted inside a user namespace the host's root
 * cannot create anything (EOVERFLOW), its mapped root can; elsewhere the container sees its own root as the owner instead
 * of nobody. All three calls affect this thread only (setfsuid(2), prctl(2)).
 */
export const creatingAs = <A>(owner: Owner, body: () => NotAPromise<A>): NotAPromise<A> => {
  if (owner.uid === 0 && owner.gid === 0) return body()
  // Leaving uid 0 would cost the capabilities over files: what is not the owner's own folder could not be written to.
  const bits = c.prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)
  if (bits >= 0) c.prctl(PR_SET_SECUREBITS, bits | SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
  const group = c.setfsgid(owner.gid)
  const user = c.setfsuid(owner.uid)
  try {
    return body()
  } finally {
    c.setfsuid(user)
    c.setfsgid(group)
    if (bits >= 0) c.prctl(PR_SET_SECUREBITS, bits, 0, 0, 0)
    // Neither call fails aloud; asked for an id that is none, they tell the present one.
    if (c.setfsuid(NO_ID) !== user || c.setfsgid(NO_ID) !== group) abort('setfsuid')
  }
}
