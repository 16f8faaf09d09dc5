/**
 * Planting a listening socket at a path in a container, so that nobody ever sees it there without a listener, and
 * removing it. Every path is resolved inside the container's pinned root; only what is stale, or ours, is replaced.
 */
import { randomBytes } from 'node:crypto'
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
import type { Directories, HeldDirectory } from './directories.ts'
import { type Plant, type PlantRequest, refused } from './plant.ts'

/** Somebody may take the name between our look and our rename; this often is bad luck, more is a fight. */
const ATTEMPTS = 3
/** Access is decided by the link, not by the file's mode. */
const SOCKET_MODE = 0o666

const parentOf = (target: string): string => target.slice(0, Math.max(1, target.lastIndexOf('/')))
const nameOf = (target: string): string => target.slice(target.lastIndexOf('/') + 1)

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
  const ours = request.ours(placeOf(found.right))
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
}

/** Bind, listen, and only then take the real name. EEXIST: somebody was faster. */
const bindAndRename = (
  request: PlantRequest,
  directory: BorrowedFd,
  how: 'keep' | 'replace',
): E.Either<SyscallError, Bound> => {
  const { subject, kind } = request
  const socket = openSocket(kind, subject)
  if (E.isLeft(socket)) return socket
  // On the listener, so that what is sent before the accept carries credentials too.
  if (kind === 'seqpacket') receiveCredentials(socket.right.borrowed)
  const temporary = `.pvx-${randomBytes(4).toString('hex')}`
  const listening = listenAs(socket.right, directory, temporary, request)
  if (E.isLeft(listening)) {
    socket.right.close()
    unlink(directory, temporary, subject)
    return listening
  }
  const renamed = rename(directory, temporary, nameOf(request.target), how, subject)
  if (E.isLeft(renamed)) {
    socket.right.close()
    unlink(directory, temporary, subject)
    return renamed
  }
  return E.right({ socket: socket.right, status: listening.right })
}

const bindIn = (request: PlantRequest, directory: HeldDirectory): E.Either<InjectError, Bound> => {
  const { target, subject } = request
  let last: SyscallError = syscallError('renameat2', 'EEXIST', subject)
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const how = look(request, directory.fd)
    if (E.isLeft(how)) return how
    const bound = bindAndRename(request, directory.fd, how.right)
    if (E.isRight(bound)) return bound
    if (bound.left.errno !== 'EEXIST') return E.left(refused(target, bound.left))
    last = bound.left
  }
  return E.left(refused(target, last))
}

/** The place of a socket's file. */
export const placeOf = ({ device, inode }: FileStatus): string => `${device}/${inode}`

class PathPlant implements Plant {
  readonly planted: Planted
  readonly listener: OwnedFd
  readonly place: string
  readonly #container: Container
  readonly #directories: Directories
  readonly #directory: HeldDirectory
  readonly #name: string
  readonly #status: FileStatus
  /** The status again, in the form that comparing it in every pass wants. */
  readonly #inode: bigint
  readonly #deviceMajor: number
  readonly #deviceMinor: number

  constructor(
    { container, target, kind }: PlantRequest,
    directories: Directories,
    directory: HeldDirectory,
    { socket, status }: Bound,
  ) {
    const { device, inode } = status
    this.planted = { target, kind, device, inode, directoriesMade: directory.made }
    this.listener = socket
    this.place = placeOf(status)
    this.#container = container
    this.#directories = directories
    this.#directory = directory
    this.#name = nameOf(target)
    this.#status = status
    this.#inode = BigInt(inode)
    const [major, minor] = device.split(':').map(Number)
    this.#deviceMajor = major ?? 0
    this.#deviceMinor = minor ?? 0
  }

  isStillOurs(deep: boolean): boolean {
    return this.#nameIsOurs() && (!deep || this.#pathIsOurs())
  }

  #nameIsOurs(): boolean {
    return isStill(this.#directory.fd, this.#name, this.#inode, this.#deviceMajor, this.#deviceMinor)
  }

  /** Whether the whole path still leads to ours: a mount over a parent hides it from the container, not from us. */
  #pathIsOurs(): boolean {
    const { target } = this.planted
    const found = resolveIn(this.#container.handle.root.borrowed, target, 'unfollowed', target)
    if (E.isLeft(found)) return false
    const status = statusOf(found.right.borrowed, target)
    found.right.close()
    return E.isRight(status) && sameFile(status.right, this.#status)
  }

  unplant(): readonly string[] {
    const left: string[] = []
    if (this.#nameIsOurs()) {
      const removed = unlink(this.#directory.fd, this.#name, this.planted.target)
      if (E.isLeft(removed)) left.push(`${this.planted.target}: ${removed.left.errno}`)
    }
    return [...left, ...this.#directories.release(this.#directory)]
  }
}

/** Plant a socket. The listener in the result is the caller's; on a Left nothing is left behind. */
export const plantPath = (request: PlantRequest, directories: Directories): E.Either<InjectError, Plant> => {
  const { container, target, subject } = request
  const { root, owner } = container.handle
  const directory = creatingAs(owner, () => directories.hold(root.borrowed, parentOf(target), subject))
  if (E.isLeft(directory)) return E.left(refused(target, directory.left))
  const bound = bindIn(request, directory.right)
  if (E.isRight(bound)) return E.right(new PathPlant(request, directories, directory.right, bound.right))
  directories.release(directory.right)
  return bound
}
