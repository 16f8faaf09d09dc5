/**
 * As whom a provider is dialled: ids as it numbers them, for whoever asks it, and as we do, for the kernel. Worked out anew with
 * each try. Who cannot be told to the provider is not made somebody else: the dial fails.
 */
import { E } from '../fp.ts'
import type { Ids } from '../kernel/credentials.ts'
import { type IdMaps, idMapsOf } from '../kernel/id-maps.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import { insideOf, outsideOf } from '../model/id-map.ts'
import type { DialledAs, PeerCredentials } from '../relay/contract.ts'
import type { DialAs } from '../relay/ports.ts'
import type { Container } from './containers.ts'
import type { RoleOfLink, RoleUsers } from './role-users.ts'

export interface Dialler {
  /** For the kernel. */
  readonly ids: Ids
  /** What the provider sees. */
  readonly seen: DialledAs
}

/** Nobody could be made of the identity that was asked for. */
export interface IdentityProblem {
  readonly _tag: 'IdentityProblem'
  readonly reason: string
}

const problem = (reason: string): E.Either<IdentityProblem, never> =>
  E.left({ _tag: 'IdentityProblem', reason })

/** Groups that do not exist outside are left out: that takes rights away, and gives none. */
const outsideOfAll = (maps: IdMaps, groups: readonly number[]): readonly number[] =>
  groups.flatMap(group => outsideOf(maps.gids, group) ?? [])

const asRole = (
  maps: IdMaps,
  { uid, gid, supplementary }: { uid: number; gid: number; supplementary: readonly number[] },
): E.Either<IdentityProblem, Dialler> => {
  const user = outsideOf(maps.uids, uid)
  const group = outsideOf(maps.gids, gid)
  if (user === undefined) return problem(`uid ${uid} does not exist in the provider's user namespace`)
  if (group === undefined) return problem(`gid ${gid} does not exist in the provider's user namespace`)
  const ids = { uid: user, gid: group, supplementary: outsideOfAll(maps, supplementary) }
  return E.right({ ids, seen: { uid, gid } })
}

const asPeer = (maps: IdMaps, { uid, gid }: PeerCredentials): E.Either<IdentityProblem, Dialler> => {
  const user = insideOf(maps.uids, uid)
  const group = insideOf(maps.gids, gid)
  if (user === undefined || group === undefined)
    return problem(`the consumer's ${uid}:${gid} does not exist in the provider's user namespace`)
  return E.right({ ids: { uid, gid, supplementary: [] }, seen: { uid: user, gid: group } })
}

/** ESRCH, ENODATA: the provider is going, or coming. */
export const diallerFor = (
  as: Exclude<DialAs, 'daemon'>,
  provider: Container,
  link: RoleOfLink,
  roles: RoleUsers,
): E.Either<SyscallError | IdentityProblem, Dialler> => {
  const maps = idMapsOf(provider.pid, provider.handle)
  if (E.isLeft(maps)) return maps
  const dialler = as === 'role' ? asRole(maps.right, roles.of(provider, link)) : asPeer(maps.right, as)
  // What was read is of this process only if it runs still.
  return E.isRight(dialler) && provider.ended
    ? E.left(syscallError('pidfd_open', 'ESRCH', `process ${provider.pid}`))
    : dialler
}
