/**
 * Planting a listening socket under an abstract name in a container's network namespace (unix(7)).
 * There is no file: nobody can delete it, and it is gone with its listener, even if the daemon is killed. Nor has it a
 * mode: everything in that network namespace can connect.
 */
import { E } from '../fp.ts'
import type { OwnedFd } from '../kernel/fd.ts'
import { inNetworkNamespaceOf } from '../kernel/namespace.ts'
import { bindAbstract, openSocket, receiveCredentials } from '../kernel/socket.ts'
import type { InjectError, SyscallError } from '../model/errors.ts'
import { keyOf, type Link, type LinkKey } from '../model/link.ts'
import type { Container } from './containers.ts'
import type { LinkLog, SocketKind } from './contract.ts'
import { asksForCredentials, listen, type Plant, type PlantRequest, refused } from './plant.ts'

/** Sockets of different types do not share their names, so the type is part of the place. */
export const abstractPlace = ({ handle }: Container, kind: SocketKind, target: string): string =>
  `net ${handle.network?.id ?? 'host'}/${kind}${target}`

/** A socket with the name, made where names are looked up. */
const openBound = ({ target, kind, subject }: PlantRequest): E.Either<SyscallError, OwnedFd> => {
  const socket = openSocket(kind, subject)
  if (E.isLeft(socket)) return socket
  const bound = bindAbstract(socket.right.borrowed, target.slice(1), subject)
  if (E.isRight(bound)) return socket
  socket.right.close()
  return bound
}

const openListening = (request: PlantRequest): E.Either<SyscallError, OwnedFd> => {
  const { container, subject, at } = request
  const entered = inNetworkNamespaceOf(container.handle, subject, () => openBound(request))
  if (E.isLeft(entered)) return entered
  const socket = entered.right
  if (E.isLeft(socket)) return socket
  at('bound')
  // On the listener, so that what is sent before the accept carries credentials too.
  if (asksForCredentials(request)) receiveCredentials(socket.right.borrowed)
  const listening = listen(socket.right.borrowed, request)
  if (E.isRight(listening)) {
    at('listening')
    return socket
  }
  socket.right.close()
  return listening
}

/** A path is seen by its container alone; an abstract name, by all that share the network namespace. Said once a link. */
export const createOpenToHostWarning = (): ((link: Link, container: Container, log: LinkLog) => void) => {
  const said = new Set<LinkKey>()
  return (link, { handle }, log) => {
    if (handle.network !== undefined || said.has(keyOf(link))) return
    said.add(keyOf(link))
    log.warn({ target: link.target }, 'the whole host can connect: an abstract name in its network namespace')
  }
}

/** Plant a socket. The listener in the result is the caller's; on a Left nothing is left behind. */
export const plantAbstract = (request: PlantRequest): E.Either<InjectError, Plant> => {
  const { container, target, kind } = request
  const place = abstractPlace(container, kind, target)
  const socket = openListening(request)
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
