/**
 * Of which type a planted socket is: as the link fixes it, or as the provider's socket is. While the provider cannot be
 * asked that is an assumption, and looked at again.
 */
import { E } from '../fp.ts'
import type { InjectError } from '../model/errors.ts'
import type { SocketKind, SocketRequest } from './contract.ts'
import type { ProviderSockets } from './provider-socket.ts'

export interface PlantedKind {
  readonly kind: SocketKind
  /** The provider could not be asked; it is what its clients most likely want. */
  readonly assumed: boolean
}

/** What only a connection has: a session's state, an identity of its own, or first bytes. */
const needsConnections = ({ session, introduction }: SocketRequest): boolean =>
  session !== undefined ||
  (introduction !== undefined && (introduction.greeting !== undefined || introduction.dialAs !== 'daemon'))

/** `before`: of which type it was so far. */
export const plantedKindFor = (
  sockets: ProviderSockets,
  request: SocketRequest,
  before: SocketKind | undefined,
): E.Either<InjectError, PlantedKind> => {
  if (request.kind !== 'detected') return E.right({ kind: request.kind, assumed: false })
  const found = sockets.kindOf(request.provider)
  if (found === 'dgram' && needsConnections(request))
    return E.left({ _tag: 'KindUnsupported', socket: request.provider.socket, kind: found })
  if (found !== 'unknown') return E.right({ kind: found, assumed: false })
  return E.right({ kind: before ?? 'stream', assumed: true })
}

interface Planted {
  readonly request: SocketRequest
  readonly traffic: { readonly kind: SocketKind }
  kindAssumed: boolean
  readonly kindMismatch: boolean
}

/** It has to be planted anew, as another type. An assumption that has come true is none any more. */
export const kindIsStale = (sockets: ProviderSockets, planted: Planted): boolean => {
  if (planted.kindMismatch) return true
  if (!planted.kindAssumed) return false
  // A client of the right type never reaches a socket of the wrong one, so only asking again can tell.
  const found = sockets.kindOf(planted.request.provider)
  if (found === 'unknown') return false
  planted.kindAssumed = found !== planted.traffic.kind
  return planted.kindAssumed
}
