/**
 * Planting a listening socket under an abstract name in a container's network namespace (unix(7)).
 * There is no file: nobody can delete it, and it is gone with its listener, even if the daemon is killed. Nor has it a
 * mode: everything in that network namespace can connect.
 */
import { E } from '../fp.ts'
import type { OwnedFd } from '../kernel/fd.ts'
import { inNetworkNamespaceOf } from '../kernel/namespace.ts'
import { bindAbstract, openSocket, receiveCredentials, startListening } from '../kernel/socket.ts'
import type { InjectError, SyscallError } from '../model/errors.ts'
import type { Container } from './containers.ts'
import type { SocketKind } from './contract.ts'
import { type Plant, type PlantRequest, refused } from './plant.ts'

/** Sockets of different types do not share their names, so the type is part of the place. */
export const abstractPlace = ({ handle }: Container, kind: SocketKind, target: string): string =>
  `net ${handle.network?.id ?? 'host'}/${kind}${target}`

const openBound = ({ target, kind, backlog, subject }: PlantRequest): E.Either<SyscallError, OwnedFd> => {
  const socket = openSocket(kind, subject)
  if (E.isLeft(socket)) return socket
  const give = (error: SyscallError): E.Either<SyscallError, never> => {
    socket.right.close()
    return E.left(error)
  }
  // On the listener, so that what is sent before the accept carries credentials too.
  if (kind === 'seqpacket') receiveCredentials(socket.right.borrowed)
  const bound = bindAbstract(socket.right.borrowed, target.slice(1), subject)
  if (E.isLeft(bound)) return give(bound.left)
  const listening = startListening(socket.right.borrowed, backlog, subject)
  return E.isLeft(listening) ? give(listening.left) : socket
}

/** Plant a socket. The listener in the result is the caller's; on a Left nothing is left behind. */
export const plantAbstract = (request: PlantRequest): E.Either<InjectError, Plant> => {
  const { container, target, kind, subject } = request
  const place = abstractPlace(container, kind, target)
  const entered = inNetworkNamespaceOf(container.handle, subject, () => openBound(request))
  if (E.isLeft(entered)) return E.left(refused(target, entered.left))
  const socket = entered.right
  if (E.isLeft(socket)) {
    const taken = socket.left.errno === 'EADDRINUSE' && request.ours(place) === 'not-ours'
    // Another link of ours that has it may leave: waiting helps.
    return E.left(
      taken ? { _tag: 'TargetOccupied', target, by: 'live socket' } : refused(target, socket.left),
    )
  }
  return E.right({
    planted: { target, kind, device: '', inode: '', directoriesMade: [] },
    listener: socket.right,
    place,
    isStillOurs: () => true,
    unplant: () => [],
  })
}
