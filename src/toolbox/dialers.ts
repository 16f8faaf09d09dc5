/** How the connections of a link reach its provider: what a request leaves open is as the daemon's limits have it. */
import type { Clock } from '../model/clock.ts'
import type { Limits } from '../model/limits.ts'
import type { LinkCounters } from '../relay/counters.ts'
import type { LinkLog, SocketRequest } from './contract.ts'
import { ProviderDialer } from './provider.ts'
import type { ProviderSockets } from './provider-socket.ts'
import type { RoleOfLink } from './role-users.ts'

export interface DialersOptions {
  readonly sockets: ProviderSockets
  readonly clock: Clock
  readonly limits: Limits
}

/** Whoever asks for one closes it. */
export type NewDialer = (
  link: RoleOfLink,
  request: Pick<SocketRequest, 'provider' | 'dialing' | 'descriptors'>,
  counters: LinkCounters,
  log: LinkLog,
  onKindMismatch: () => void,
) => ProviderDialer

export const createDialers =
  ({ sockets, clock, limits }: DialersOptions): NewDialer =>
  (link, request, counters, log, onKindMismatch) =>
    new ProviderDialer(request.provider, {
      sockets,
      clock,
      log,
      limits,
      dialing: request.dialing ?? {
        graceMs: limits.connectGraceMs,
        retryMaxMs: limits.connectRetryMaxMs,
        backlogMs: limits.connectGraceMs,
      },
      counters,
      link,
      refusesRights: request.descriptors === 'none',
      onKindMismatch,
    })
