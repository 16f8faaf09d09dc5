/** How a process's user namespace numbers users and groups. */
import { readFileSync } from 'node:fs'
import { E } from '../fp.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import { type IdMap, idMapOf, SAME_IDS } from '../model/id-map.ts'
import type { Pid } from '../model/identity.ts'
import { statusAt } from './files.ts'
import { hasExited, type ProcessHandle } from './process.ts'

export interface IdMaps {
  readonly uids: IdMap
  readonly gids: IdMap
}

const SAME: IdMaps = { uids: SAME_IDS, gids: SAME_IDS }

/** A map is written once and for all (user_namespaces(7)): by process, until it is found in another namespace. */
const known = new WeakMap<ProcessHandle, { readonly namespace: string; readonly maps: IdMaps }>()

const USER_NAMESPACE = 'ns/user'

const readMap = (path: string): E.Either<SyscallError, IdMap> => {
  try {
    return E.right(idMapOf(readFileSync(path, 'utf8')))
  } catch (error) {
    return E.left(syscallError('read', (error as NodeJS.ErrnoException).code ?? String(error), path))
  }
}

const readMaps = (pid: Pid): E.Either<SyscallError, IdMaps> => {
  const uids = readMap(`/proc/${pid}/uid_map`)
  if (E.isLeft(uids)) return uids
  const gids = readMap(`/proc/${pid}/gid_map`)
  return E.isLeft(gids) ? gids : E.right({ uids: uids.right, gids: gids.right })
}

/** `undefined` where kernel or /proc know no user namespaces: then all are in one. */
const namespaceOf = (process: string): string | undefined => {
  const status = statusAt(`/proc/${process}/${USER_NAMESPACE}`)
  return E.isLeft(status) ? undefined : status.right.inode
}

/**
 * The maps of a process. Seen from inside, a namespace's own map tells of the one around it: a process that shares ours has the
 * same ids. ESRCH: it is gone; ENODATA: it is being set up, and nobody is mapped yet.
 */
export const idMapsOf = (pid: Pid, handle: ProcessHandle): E.Either<SyscallError, IdMaps> => {
  const { pidfd } = handle
  if (pidfd === undefined) return E.right(SAME)
  const namespace = namespaceOf(`${pid}`)
  const before = known.get(handle)
  const isOurs = namespace === namespaceOf('self')
  const isKnown = before !== undefined && before.namespace === namespace
  const read = isOurs ? E.right(SAME) : isKnown ? E.right(before.maps) : readMaps(pid)
  // Only of one that still runs were these its own, and not those of a later owner of its number.
  if (hasExited(pidfd.borrowed)) return E.left(syscallError('pidfd_open', 'ESRCH', `process ${pid}`))
  if (E.isLeft(read)) return read
  if (read.right.uids.length === 0 || read.right.gids.length === 0)
    return E.left(syscallError('read', 'ENODATA', `/proc/${pid}/uid_map`))
  if (!isOurs && namespace !== undefined) known.set(handle, { namespace, maps: read.right })
  return read
}
