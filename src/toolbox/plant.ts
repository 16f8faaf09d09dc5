/**
 * Planting a listening socket in a container, so that nobody ever sees its path without a listener, and removing it.
 * Every path is resolved inside the container's pinned root; only what is stale, or ours, is replaced.
 */
import { E } from '../fp.ts'
import type { BorrowedFd, OwnedFd } from '../kernel/fd.ts'
import {
  type FileStatus,
  isStill,
  rename,
  resolveIn,
  sameFile,
  setMode,
  statusIn,
  statusOf,
  unlink,
} from '../kernel/files.ts'
import { creatingAs, inMountNamespaceOf } from '../kernel/namespace.ts'
import { bindHere, connectTo, openSocket, receiveCredentials, startListening } from '../kernel/socket.ts'
import { type InjectError, type Occupant, type SyscallError, syscallError } from '../model/errors.ts'
import type { Planted } from '../model/mediation.ts'
import type { Container } from './containers.ts'
import type { SocketKind } from './contract.ts'
import { type Directories, type HeldDirectory, nameOf, parentOf } from './directories.ts'
import { privateName } from './private-name.ts'
import type { Scribe } from './scribe.ts'

/** Somebody may take the name between our look and our rename; this often is bad luck, more is a fight. */
const ATTEMPTS = 3
/** Access is decided by the link, not by the file's mode. */
const SOCKET_MODE = 0o666

export interface PlantRequest {
  readonly container: Container
  readonly target: string
  readonly kind: SocketKind
  readonly backlog: number
  /** For messages: `consumer app, /run/nm/api.sock`. */
  readonly subject: string
  readonly scribe: Scribe
  /** What to do about a socket that some link of ours listens on. */
  readonly ours: (found: FileStatus) => 'replace' | 'busy' | 'not-ours'
}

/** A planted socket: the listener to take over, and what is needed to look after the name and to remove it. */
export interface Plant {
  readonly planted: Planted
  readonly listener: OwnedFd
  readonly directory: HeldDirectory
  readonly name: string
  readonly status: FileStatus
  /** The status again, in the form that comparing it in every pass wants. */
  readonly inode: bigint
  readonly deviceMajor: number
  readonly deviceMinor: number
  /** Strikes it out of the journal. */
  readonly gone: () => void
}

const refused = (target: string, cause: SyscallError): InjectError => ({
  _tag: 'TargetRefused',
  target,
  cause,
})

const OCCUPANTS: Readonly<Record<Exclude<FileStatus['kind'], 'socket'>, Occupant>> = {
  symlink: 'symlink',
  directory: 'directory',
  device: 'device',
  fifo: 'fifo',
  file: 'file',
}

/** ECONNREFUSED to a datagram socket means that no socket at all is behind the name; of another type, EPROTOTYPE. */
const isStale = (directory: BorrowedFd, name: string, subject: string): E.Either<SyscallError, boolean> => {
  const inode = resolveIn(directory, name, 'unfollowed', subject)
  if (E.isLeft(inode)) return inode
  const probe = openSocket('dgram', subject)
  if (E.isLeft(probe)) {
    inode.right.close()
    return probe
  }
  const answer = connectTo(probe.right.borrowed, inode.right.borrowed, subject)
  probe.right.close()
  inode.right.close()
  return E.right(E.isLeft(answer) && answer.left.errno === 'ECONNREFUSED')
}

/** What the name is now, and so how the rename has to go. */
const look = (request: PlantRequest, directory: BorrowedFd): E.Either<InjectError, 'keep' | 'replace'> => {
  const { target, subject } = request
  const name = nameOf(target)
  const found = statusIn(directory, name, subject)
  if (E.isLeft(found))
    return found.left.errno === 'ENOENT' ? E.right('keep') : E.left(refused(target, found.left))
  const { kind } = found.right
  if (kind !== 'socket') return E.left({ _tag: 'TargetOccupied', target, by: OCCUPANTS[kind] })
  const ours = request.ours(found.right)
  if (ours === 'replace') return E.right('replace')
  // Another link of ours is about to leave: waiting helps.
  if (ours === 'busy') return E.left(refused(target, syscallError('bind', 'EADDRINUSE', subject)))
  const stale = isStale(directory, name, subject)
  if (E.isLeft(stale)) return E.left(refused(target, stale.left))
  return stale.right ? E.right('replace') : E.left({ _tag: 'TargetOccupied', target, by: 'live socket' })
}

/** Give the new socket's file its mode: a default access list of the directory takes no notice of the umask (acl(5)). */
const openToAll = (
  directory: BorrowedFd,
  name: string,
  subject: string,
): E.Either<SyscallError, FileStatus> => {
  const inode = resolveIn(directory, name, 'unfollowed', subject)
  if (E.isLeft(inode)) return inode
  const status = statusOf(inode.right.borrowed, subject)
  // The container may have put something else there meanwhile, which is neither to be changed nor to be taken for ours.
  const moded =
    E.isRight(status) && status.right.kind !== 'socket'
      ? E.left(syscallError('statx', 'ENOTSOCK', subject))
      : setMode(inode.right.borrowed, SOCKET_MODE, subject)
  inode.right.close()
  return E.isLeft(moded) ? moded : status
}

/** Listen under a private name; the caller closes the socket. */
const listenAs = (
  socket: OwnedFd,
  directory: BorrowedFd,
  name: string,
  request: PlantRequest,
): E.Either<SyscallError, FileStatus> => {
  const { subject, backlog, container } = request
  const bound = inMountNamespaceOf(container.handle, directory, subject, () =>
    creatingAs(container.handle.owner, () => bindHere(socket.borrowed, name, subject)),
  )
  if (E.isLeft(bound)) return bound
  if (E.isLeft(bound.right)) return bound.right
  const listening = startListening(socket.borrowed, backlog, subject)
  return E.isLeft(listening) ? listening : openToAll(directory, name, subject)
}

interface Bound {
  readonly socket: OwnedFd
  readonly status: FileStatus
  readonly gone: () => void
}

/** Bind, listen, and only then take the real name. EEXIST: somebody was faster. */
const bindAndRename = (
  request: PlantRequest,
  directory: BorrowedFd,
  how: 'keep' | 'replace',
): E.Either<SyscallError, Bound> => {
  const { subject, kind, scribe, target, container } = request
  const socket = openSocket(kind, subject)
  if (E.isLeft(socket)) return socket
  // On the listener, so that what is sent before the accept carries credentials too.
  if (kind === 'seqpacket') receiveCredentials(socket.right.borrowed)
  const temporary = privateName()
  const trace = scribe.announce({ kind: 'socket', path: target, private: temporary })
  const gone = (): void => scribe.gone(trace)
  const give = (error: SyscallError): E.Either<SyscallError, never> => {
    socket.right.close()
    unlink(directory, temporary, subject)
    gone()
    return E.left(error)
  }
  const listening = listenAs(socket.right, directory, temporary, request)
  if (E.isLeft(listening)) return give(listening.left)
  scribe.made(trace, listening.right)
  // A rename creates a name too, and is refused like one (EOVERFLOW).
  const renamed = creatingAs(container.handle.owner, () =>
    rename(directory, temporary, nameOf(target), how, subject),
  )
  if (E.isLeft(renamed)) return give(renamed.left)
  return E.right({ socket: socket.right, status: listening.right, gone })
}

const plantIn = (request: PlantRequest, directory: HeldDirectory): E.Either<InjectError, Plant> => {
  const { target, subject } = request
  let last: SyscallError = syscallError('renameat2', 'EEXIST', subject)
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const how = look(request, directory.fd)
    if (E.isLeft(how)) return how
    const bound = bindAndRename(request, directory.fd, how.right)
    if (E.isRight(bound)) return E.right(plantOf(request, directory, bound.right))
    if (bound.left.errno !== 'EEXIST') return E.left(refused(target, bound.left))
    last = bound.left
  }
  return E.left(refused(target, last))
}

const plantOf = (
  request: PlantRequest,
  directory: HeldDirectory,
  { socket: listener, status, gone }: Bound,
): Plant => {
  const [major, minor] = status.device.split(':').map(Number)
  return {
    planted: {
      target: request.target,
      kind: request.kind,
      device: status.device,
      inode: status.inode,
      directoriesMade: directory.made,
    },
    listener,
    directory,
    name: nameOf(request.target),
    status,
    inode: BigInt(status.inode),
    deviceMajor: major ?? 0,
    deviceMinor: minor ?? 0,
    gone,
  }
}

/** Plant a socket. The listener in the result is the caller's; on a Left nothing is left behind. */
export const plantSocket = (
  request: PlantRequest,
  directories: Directories,
): E.Either<InjectError, Plant> => {
  const { container, target, subject, scribe } = request
  const { root, owner } = container.handle
  const directory = creatingAs(owner, () =>
    directories.hold(root.borrowed, parentOf(target), subject, scribe),
  )
  if (E.isLeft(directory)) return E.left(refused(target, directory.left))
  const plant = plantIn(request, directory.right)
  if (E.isLeft(plant)) directories.release(directory.right)
  return plant
}

/** Whether the name in the held directory is still ours. */
export const nameIsOurs = (plant: Plant): boolean =>
  isStill(plant.directory.fd, plant.name, plant.inode, plant.deviceMajor, plant.deviceMinor)

/** Whether the whole path still leads to ours: a mount over a parent hides it from the container, not from us. */
export const pathIsOurs = (plant: Plant, container: Container): boolean => {
  const { target } = plant.planted
  const found = resolveIn(container.handle.root.borrowed, target, 'unfollowed', target)
  if (E.isLeft(found)) return false
  const status = statusOf(found.right.borrowed, target)
  found.right.close()
  return E.isRight(status) && sameFile(status.right, plant.status)
}

/** Remove the name if it is still ours, and the directories that were made for it. What stays is said. */
export const unplant = (plant: Plant, directories: Directories): readonly string[] => {
  const left: string[] = []
  if (nameIsOurs(plant)) {
    const removed = unlink(plant.directory.fd, plant.name, plant.planted.target)
    if (E.isLeft(removed)) left.push(`${plant.planted.target}: ${removed.left.errno}`)
  }
  // What could not be removed is not tried again by a later run either: it would meet the same obstacle.
  plant.gone()
  return [...left, ...directories.release(plant.directory)]
}
