/**
 * Connecting as somebody else: the ids that the kernel attests to the peer (SO_PEERCRED, SO_PEERGROUPS) are the effective ones
 * of the thread that calls connect(2).
 *
 * Only the calling thread changes, by system calls of its own: libc's functions of these names change every thread of the
 * process (nptl(7)). Real and saved ids stay what they are, so that no process of that user can signal us, and the way back
 * is always open. If it is not gone, every later call would be somebody else's: the process ends.
 */
import { writeSync } from 'node:fs'
import { E } from '../fp.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import { MSG_DONTWAIT, MSG_NOSIGNAL, SCM_CREDENTIALS, SOL_SOCKET, SYS } from './constants.ts'
import { c, NULL } from './declarations.ts'
import { errnoName, lastError } from './errno.ts'
import type { BorrowedFd } from './fd.ts'
import { NativeBlock, setWord } from './memory.ts'
import type { NotAPromise } from './namespace.ts'
import { alignControl, CMSGHDR, IOVEC, MSGHDR, UCRED } from './structs.ts'

/** Ids as our own user namespace numbers them. */
export interface Ids {
  readonly uid: number
  readonly gid: number
  readonly supplementary: readonly number[]
}

/** (uid_t) -1: leave it as it is (setresuid(2)). */
const SAME = 0xffff_ffff
/** The kernel takes no more groups (NGROUPS_MAX, setgroups(2)). */
const MOST_GROUPS = 65_536

const readGroups = (): readonly number[] => {
  const count = c.getgroups(SYS.getgroups, 0, NULL)
  if (count <= 0) return []
  const list = new NativeBlock(count * 4)
  const got = c.getgroups(SYS.getgroups, count, list.address)
  const groups = Array.from({ length: Math.max(0, got) }, (_, i) => list.data.getUint32(i * 4, true))
  list.free()
  return groups
}

/** Nobody else changes them, and every change here is undone: read once. */
const own: Ids = { uid: c.geteuid(), gid: c.getegid(), supplementary: readGroups() }

/** Who we are: what a peer sees whom we connect to as ourselves. */
export const ownIds = (): { readonly uid: number; readonly gid: number } => ({ uid: own.uid, gid: own.gid })

const abort = (what: string): never => {
  writeSync(2, `pv-xconnect: cannot become itself again (${what}); aborting\n`)
  process.abort()
}

let groupList = new NativeBlock(64 * 4)

const setGroups = (groups: readonly number[]): number => {
  if (groups.length * 4 > groupList.size) {
    groupList.free()
    groupList = new NativeBlock(groups.length * 4)
  }
  for (let i = 0; i < groups.length; i += 1) groupList.data.setUint32(i * 4, groups[i] ?? SAME, true)
  return c.setgroups(SYS.setgroups, groups.length, groupList.address)
}

const setUser = (uid: number): number => c.setresuid(SYS.setresuid, SAME, uid, SAME)
const setGroup = (gid: number): number => c.setresgid(SYS.setresgid, SAME, gid, SAME)

const restoreGroups = (): void => {
  if (setGroups(own.supplementary) < 0) abort(`setgroups: ${errnoName()}`)
}

const restoreGroup = (): void => {
  if (setGroup(own.gid) < 0) abort(`setresgid: ${errnoName()}`)
}

const restoreUser = (): void => {
  if (setUser(own.uid) < 0) abort(`setresuid: ${errnoName()}`)
}

/** In reverse: to set groups takes the capability that comes back with the user. */
const restore = (): void => {
  restoreUser()
  restoreGroup()
  restoreGroups()
  if (c.geteuid() !== own.uid || c.getegid() !== own.gid) abort('the effective ids are not those it had')
}

const isOurs = ({ uid, gid }: Ids): boolean => uid === own.uid && gid === own.gid

const isWholly = (a: readonly number[], b: readonly number[]): boolean => a.every(group => b.includes(group))

/** We are that already, or less: a group that we lack and may not take is none that the peer would see in error. */
const needsNoSwitch = (who: Ids): boolean =>
  isOurs(who) &&
  isWholly(who.supplementary, own.supplementary) &&
  isWholly(own.supplementary, who.supplementary)

const maySettleForOurs = (who: Ids): boolean =>
  isOurs(who) && isWholly(own.supplementary, [...who.supplementary, who.gid])

/** The switch, undone as far as it came where it fails. */
const become = (who: Ids, subject: string): E.Either<SyscallError, void> => {
  if (setGroups(who.supplementary) < 0) return E.left(lastError('setgroups', subject))
  if (setGroup(who.gid) < 0) {
    const error = lastError('setresgid', subject)
    restoreGroups()
    return E.left(error)
  }
  if (setUser(who.uid) < 0) {
    const error = lastError('setresuid', subject)
    restoreGroup()
    restoreGroups()
    return E.left(error)
  }
  return E.right(undefined)
}

/**
 * Run `body` as this user, in these groups. It cannot reach what is named by a path, for lack of the right to search: what
 * it needs is open before. EPERM: without CAP_SETUID and CAP_SETGID nobody can be made but ourselves; EINVAL: too many groups.
 */
export const actingAs = <A>(
  who: Ids,
  subject: string,
  body: () => NotAPromise<A>,
): E.Either<SyscallError, NotAPromise<A>> => {
  if (needsNoSwitch(who)) return E.right(body())
  if (who.supplementary.length > MOST_GROUPS) return E.left(syscallError('setgroups', 'EINVAL', subject))
  // Leaving uid 0 for another takes all capabilities along (capabilities(7)): one that is not root by nature, but may
  // set its ids, would not find back.
  if (who.uid === 0 && own.uid !== 0) return E.left(syscallError('setresuid', 'EPERM', subject))
  const became = become(who, subject)
  if (E.isLeft(became)) {
    return became.left.errno === 'EPERM' && maySettleForOurs(who) ? E.right(body()) : became
  }
  try {
    return E.right(body())
  } finally {
    restore()
  }
}

const CMSG_DATA = alignControl(CMSGHDR.size)
const byte = new NativeBlock(1)
const part = new NativeBlock(IOVEC.size)
const control = new NativeBlock(alignControl(CMSG_DATA + UCRED.size))
const header = new NativeBlock(MSGHDR.size)

setWord(part.data, IOVEC.base, byte.address)
setWord(part.data, IOVEC.length, 1)
setWord(header.data, MSGHDR.parts, part.address)
setWord(header.data, MSGHDR.partCount, 1)
setWord(header.data, MSGHDR.control, control.address)
setWord(header.data, MSGHDR.controlLength, control.size)
setWord(control.data, CMSGHDR.length, CMSG_DATA + UCRED.size)
control.data.setInt32(CMSGHDR.level, SOL_SOCKET, true)
control.data.setInt32(CMSGHDR.type, SCM_CREDENTIALS, true)

/** Write one NUL with these credentials and our own process id (SCM_CREDENTIALS, unix(7)), before anything else is written. */
export const sendCredentialsByte = (
  socket: BorrowedFd,
  { uid, gid }: { readonly uid: number; readonly gid: number },
  subject: string,
): E.Either<SyscallError, void> => {
  control.data.setInt32(CMSG_DATA + UCRED.pid, process.pid, true)
  control.data.setUint32(CMSG_DATA + UCRED.uid, uid, true)
  control.data.setUint32(CMSG_DATA + UCRED.gid, gid, true)
  const sent = c.sendmsg(socket, header.address, MSG_NOSIGNAL | MSG_DONTWAIT)
  return sent < 0 ? E.left(lastError('sendmsg', subject)) : E.right(undefined)
}
