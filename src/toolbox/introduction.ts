/**
 * Who a provider is told a connection comes from, for links that no session looks at: what a plugin asked for, with the ids that
 * it takes worked out in the containers of both sides.
 */
import { E } from '../fp.ts'
import { idMapsOf } from '../kernel/id-maps.ts'
import { numberInside } from '../kernel/process.ts'
import { NOBODY } from '../model/accounts.ts'
import { insideOf } from '../model/id-map.ts'
import { HOST, type Pid } from '../model/identity.ts'
import type { PeerCredentials } from '../relay/contract.ts'
import type { Introduction } from '../relay/ports.ts'
import type { Container, Containers } from './containers.ts'
import type { IntroductionRequest, LinkLog } from './contract.ts'
import { diallerFor } from './dial-identity.ts'
import type { RoleOfLink, RoleUsers } from './role-users.ts'

export interface IntroductionOptions {
  readonly link: RoleOfLink
  /** The consumer's container as it is now. */
  readonly consumer: () => Container
  /** The provider's process as it is now. */
  readonly provider: () => Pid | null
  readonly containers: Containers
  readonly roles: RoleUsers
  readonly log: LinkLog
}

/** As the consumer's own container numbers it. What cannot be told is 0, or nobody's: it is information, and no identity. */
const seenInside = ({ pid, uid, gid }: PeerCredentials, consumer: Container): PeerCredentials => {
  const maps = idMapsOf(consumer.pid, consumer.handle)
  return {
    pid: numberInside(pid) ?? 0,
    uid: (E.isRight(maps) ? insideOf(maps.right.uids, uid) : undefined) ?? NOBODY,
    gid: (E.isRight(maps) ? insideOf(maps.right.gids, gid) : undefined) ?? NOBODY,
  }
}

/** `undefined`: it is told nothing. */
export const introductionFor = (
  request: IntroductionRequest | undefined,
  { link, consumer, provider, containers, roles, log }: IntroductionOptions,
): Introduction | undefined => {
  if (request === undefined) return undefined
  const { greeting } = request
  const roleIds: Introduction['roleIds'] = () => {
    const pid = provider()
    const container = pid === null ? undefined : containers.acquire(pid)
    // It has just been reached, and is gone again: so is what would be told.
    if (container === undefined || E.isLeft(container)) return undefined
    const dialler = diallerFor('role', container.right, link, roles)
    containers.release(container.right)
    if (E.isRight(dialler)) return dialler.right.ids
    const reason = dialler.left._tag === 'IdentityProblem' ? dialler.left.reason : dialler.left.errno
    log.warn(
      { reason, role: link.role },
      'provider cannot be given the identity of the link: connection closed',
    )
    return undefined
  }
  return {
    dialAs: request.dialAs,
    credentials: request.credentials,
    greeting: greeting === undefined ? undefined : peer => greeting(seenInside(peer, consumer())),
    roleIds,
    get standIn() {
      const { pid } = consumer()
      return pid === HOST ? process.pid : pid
    },
  }
}
