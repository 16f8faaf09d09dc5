/**
 * Planting a listening socket at a path in a container, and removing it. Every path is resolved inside the container's
 * pinned root; only what is stale, or ours, is replaced.
 */
import { E } from '../fp.ts'
import type { BorrowedFd, OwnedFd } from '../kernel/fd.ts'
import { type FileStatus, resolveIn, statusOf, unlink } from '../kernel/files.ts'
import { creatingAs } from '../kernel/namespace.ts'
import { ownerFor } from '../kernel/process.ts'
import { connectTo, openSocket } from '../kernel/socket.ts'
import { type InjectError, type Occupant, type SyscallError, syscallError } from '../model/errors.ts'
import type { Planted } from '../model/mediation.ts'
import { type Directories, type HeldDirectory, nameOf, parentOf } from './directories.ts'
import { HeldName } from './held-name.ts'
import { discard, type Plant, type PlantRequest, plantPersistently, refused } from './plant.ts'
import { makeSocketFile, type SocketFile } from './socket-file.ts'

const OCCUPANTS: Readonly<Record<Exclude<FileStatus['kind'], 'socket'>, Occupant>> = {
  symlink: 'symlink',
  directory: 'directory',
  device: 'device',
  fifo: 'fifo',
  file: 'file',
}

/** ECONNREFUSED to a datagram socket means that no socket at all is behind the file; of another type, EPROTOTYPE. */
const isStale = (file: BorrowedFd, subject: string): E.Either<SyscallError, boolean> => {
  const probe = openSocket('dgram', subject)
  if (E.isLeft(probe)) return probe
  const answer = connectTo(probe.right.borrowed, file, subject)
  probe.right.close()
  return E.right(E.isLeft(answer) && answer.left.errno === 'ECONNREFUSED')
}

/** Whether this file may be replaced; its status if so. */
const replaceable = (request: PlantRequest, file: BorrowedFd): E.Either<InjectError, FileStatus> => {
  const { target, subject } = request
  const status = statusOf(file, subject)
  if (E.isLeft(status)) return E.left(refused(target, status.left))
  const { kind } = status.right
  if (kind !== 'socket') return E.left({ _tag: 'TargetOccupied', target, by: OCCUPANTS[kind] })
  const ours = request.ours(placeOf(status.right))
  if (ours === 'replace') return status
  // Another link of ours is about to leave: waiting helps.
  if (ours === 'busy') return E.left(refused(target, syscallError('bind', 'EADDRINUSE', subject)))
  const stale = isStale(file, subject)
  if (E.isLeft(stale)) return E.left(refused(target, stale.left))
  return stale.right ? status : E.left({ _tag: 'TargetOccupied', target, by: 'live socket' })
}

/**
 * What stands at the target and may be replaced; `undefined` where nothing does. It is looked at through one descriptor: by
 * name, it could be a stale socket for the first look and a file, which refuses connections too, for the second.
 */
const look = (
  request: PlantRequest,
  directory: BorrowedFd,
): E.Either<InjectError, FileStatus | undefined> => {
  const { target, subject } = request
  const file = resolveIn(directory, nameOf(target), 'unfollowed', subject)
  if (E.isLeft(file)) {
    return file.left.errno === 'ENOENT' ? E.right(undefined) : E.left(refused(target, file.left))
  }
  const status = replaceable(request, file.right.borrowed)
  file.right.close()
  return status
}

/** The place of a socket's file. */
const placeOf = ({ device, inode }: FileStatus): string => `${device}/${inode}`

class PathPlant implements Plant {
  readonly planted: Planted
  readonly listener: OwnedFd
  readonly place: string
  readonly #directories: Directories
  readonly #directory: HeldDirectory
  readonly #held: HeldName
  readonly #gone: () => void

  constructor(
    { container, target, kind }: PlantRequest,
    directories: Directories,
    directory: HeldDirectory,
    { socket, status, gone }: SocketFile,
  ) {
    const { device, inode } = status
    this.planted = { target, kind, device, inode, directoriesMade: directory.made }
    this.listener = socket
    this.place = placeOf(status)
    this.#directories = directories
    this.#directory = directory
    this.#held = new HeldName(container, directory, target, status)
    this.#gone = gone
  }

  isStillOurs(deep: boolean): boolean {
    return this.#held.isStillOurs(deep)
  }

  unplant(): readonly string[] {
    const left: string[] = []
    if (this.#held.nameIsOurs()) {
      const removed = unlink(this.#directory.fd, this.#held.name, this.planted.target)
      if (E.isLeft(removed)) left.push(`${this.planted.target}: ${removed.left.errno}`)
    }
    // What could not be removed is not tried again by a later run either: it would meet the same obstacle.
    this.#gone()
    return [...left, ...this.#directories.release(this.#directory)]
  }
}

/** One attempt, from the root down to the name. */
const plantOnce = (request: PlantRequest, directories: Directories): E.Either<InjectError, Plant> => {
  const { container, target, subject, at, scribe } = request
  const directory = directories.hold(container.handle.root.borrowed, parentOf(target), subject, scribe)
  if (E.isLeft(directory)) return E.left(refused(target, directory.left))
  const give = (error: InjectError): E.Either<InjectError, never> => {
    directories.release(directory.right)
    return E.left(error)
  }
  at('parents held')
  const stale = look(request, directory.right.fd)
  if (E.isLeft(stale)) return give(stale.left)
  at('target looked at')
  const file = makeSocketFile(request, directory.right.fd, nameOf(target), stale.right)
  if (E.isLeft(file)) return give(refused(target, file.left))
  return E.right(new PathPlant(request, directories, directory.right, file.right))
}

/**
 * Plant a socket. The listener in the result is the caller's; on a Left nothing is left behind.
 * A container that changes the way to the target meanwhile is given up after a few attempts. One that goes on hiding what was
 * planted gets it all the same, for the sake of the connections it may take over; the next look at the path finds it.
 */
export const plantPath = (request: PlantRequest, directories: Directories): E.Either<InjectError, Plant> => {
  const { container, target } = request
  const owner = ownerFor(container.pid, container.handle)
  if (E.isLeft(owner)) return E.left(refused(target, owner.left))
  return creatingAs<E.Either<InjectError, Plant>>(owner.right, () =>
    plantPersistently(
      () => plantOnce(request, directories),
      plant => plant.isStillOurs(true),
      discard,
    ),
  )
}
