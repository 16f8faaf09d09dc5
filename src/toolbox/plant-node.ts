/**
 * Planting a device node at a path in a container, and removing it. What stands there and is a node of the same device already
 * is used as it is, and never removed; anything else is left alone.
 */

import { E } from '../fp.ts'
import { nodesOpenIn } from '../kernel/devices.ts'
import type { BorrowedFd, OwnedFd } from '../kernel/fd.ts'
import {
  type DeviceNumber,
  type FileStatus,
  resolveIn,
  sameDevice,
  sameFile,
  statusIn,
  statusOf,
} from '../kernel/files.ts'
import { creatingAs } from '../kernel/namespace.ts'
import { type Owner, ownerFor } from '../kernel/process.ts'
import { type InjectError, type SyscallError, syscallError } from '../model/errors.ts'
import type { Planted } from '../model/mediation.ts'
import type { Container } from './containers.ts'
import { type Directories, type HeldDirectory, nameOf, parentOf } from './directories.ts'
import { HeldName } from './held-name.ts'
import { type MadeFile, sameIdentity } from './journal-format.ts'
import { makeMounted } from './mounted-node.ts'
import {
  makePlain,
  type NodeFile,
  type NodeFileRequest,
  own,
  removeNode,
  withPrivateName,
} from './node-file.ts'
import { plantPersistently, refused } from './plant.ts'

/** What an earlier run made at the target. */
export interface Remains {
  readonly made: MadeFile
  /** Strikes it out of the journal. */
  readonly gone: () => void
}

export interface NodePlantRequest extends NodeFileRequest {
  readonly remains: Remains | undefined
}

export interface NodePlant {
  readonly planted: Planted
  readonly container: Container
  readonly device: DeviceNumber
  /** It is what an earlier run made. */
  readonly tookOver: boolean
  /** As `Plant.isStillOurs`, also of a node that was found. */
  isStillThere(deep: boolean): boolean
  /** Give it another owner and mode; one that was found keeps its own. */
  own(owner: Owner, mode: number): E.Either<InjectError, void>
  unplant(): readonly string[]
}

/** A node at the target, and how it came there. */
interface AtTarget {
  readonly kind: 'node' | 'mounted node' | 'found node'
  readonly file: OwnedFd
  readonly status: FileStatus
  /** What the name shows when a mounted node is taken away. */
  readonly below: { readonly device: string; readonly inode: string } | undefined
  readonly tookOver: boolean
  /** Strikes it out of the journal; nothing for what was found. */
  readonly gone: () => void
}

class NodeAtPath implements NodePlant {
  readonly planted: Planted
  readonly container: Container
  readonly device: DeviceNumber
  readonly tookOver: boolean
  readonly #node: AtTarget
  readonly #directories: Directories
  readonly #directory: HeldDirectory
  readonly #held: HeldName

  constructor(
    { container, target, device }: NodePlantRequest,
    directories: Directories,
    directory: HeldDirectory,
    node: AtTarget,
  ) {
    const { device: fileSystem, inode } = node.status
    this.planted = {
      target,
      kind: node.kind,
      represents: `${device.major}:${device.minor}`,
      device: fileSystem,
      inode,
      directoriesMade: directory.made,
    }
    this.container = container
    this.device = device
    this.tookOver = node.tookOver
    this.#node = node
    this.#directories = directories
    this.#directory = directory
    this.#held = new HeldName(container, directory, target, node.status)
  }

  isStillThere(deep: boolean): boolean {
    return this.#held.isStillOurs(deep)
  }

  own(owner: Owner, mode: number): E.Either<InjectError, void> {
    const { target } = this.planted
    if (this.#node.kind === 'found node') return E.right(undefined)
    const owned = own(this.#node.file.borrowed, { owner, mode, subject: target })
    return E.isLeft(owned) ? E.left(refused(target, owned.left)) : owned
  }

  unplant(): readonly string[] {
    const left = this.#node.kind === 'found node' ? [] : this.#remove()
    this.#node.gone()
    this.#node.file.close()
    return [...left, ...this.#directories.release(this.#directory)]
  }

  #remove(): readonly string[] {
    const { target } = this.planted
    const { below } = this.#node
    const ours =
      this.#held.nameIsOurs() ||
      (below !== undefined && isBelow(this.#directory.fd, this.#held.name, below, target))
    if (!ours) return []
    const removed = removeNode(this.#directory.fd, this.#held.name, target, this.container.handle)
    return E.isLeft(removed) ? [`${target}: ${removed.left.errno}`] : []
  }
}

/** The container has taken the mount away, and our empty file shows. */
const isBelow = (
  directory: BorrowedFd,
  name: string,
  below: { readonly device: string; readonly inode: string },
  subject: string,
): boolean => {
  const found = statusIn(directory, name, subject)
  return E.isRight(found) && sameFile(found.right, below)
}

const occupied = (target: string, { kind, node }: FileStatus): InjectError => ({
  _tag: 'TargetOccupied',
  target,
  by: kind,
  ...(node === undefined ? {} : { device: `${node.type} ${node.major}:${node.minor}` }),
})

type Look = E.Either<InjectError, AtTarget | undefined>

/** What an earlier run made: it is taken over where it is still right, for the owner and mode of today; else it makes room. */
const takeOver = (
  request: NodePlantRequest,
  directory: BorrowedFd,
  { made, gone }: Remains,
  file: OwnedFd,
  status: FileStatus,
): Look => {
  const { target, device, subject } = request
  const { below } = made
  if (status.node !== undefined && sameDevice(status.node, device)) {
    const owned = own(file.borrowed, request)
    if (E.isLeft(owned)) {
      file.close()
      return E.left(refused(target, owned.left))
    }
    const kind = below === undefined ? 'node' : 'mounted node'
    return E.right({ kind, file, status, below, tookOver: true, gone })
  }
  file.close()
  const removed = removeNode(directory, nameOf(target), subject, request.container.handle)
  if (E.isLeft(removed)) return E.left(refused(target, removed.left))
  gone()
  return E.right(undefined)
}

/** What stands at the target and is right; `undefined` where nothing does. Looked at through one descriptor. */
const look = (request: NodePlantRequest, directory: BorrowedFd): Look => {
  const { target, subject, device, remains } = request
  const file = resolveIn(directory, nameOf(target), 'unfollowed', subject)
  if (E.isLeft(file)) {
    return file.left.errno === 'ENOENT' ? E.right(undefined) : E.left(refused(target, file.left))
  }
  const status = statusOf(file.right.borrowed, subject)
  if (E.isLeft(status)) {
    file.right.close()
    return E.left(refused(target, status.left))
  }
  const wasOurs =
    remains !== undefined &&
    [remains.made, remains.made.below].some(each => each !== undefined && sameIdentity(each, status.right))
  if (wasOurs) return takeOver(request, directory, remains, file.right, status.right)
  if (status.right.node !== undefined && sameDevice(status.right.node, device)) {
    return E.right({
      kind: 'found node',
      file: file.right,
      status: status.right,
      below: undefined,
      tookOver: false,
      gone: () => undefined,
    })
  }
  file.right.close()
  return E.left(occupied(target, status.right))
}

/** Nothing may be at the name (EEXIST: look again). On a Left nothing is left behind, and nothing was destroyed. */
const makeFileFor = (request: NodeFileRequest, directory: BorrowedFd): E.Either<SyscallError, NodeFile> => {
  const { target, subject, scribe } = request
  const opens = withPrivateName(
    () => target,
    scribe,
    probe => nodesOpenIn(directory, probe, subject),
  )
  if (E.isLeft(opens)) return opens
  return (opens.right ? makePlain : makeMounted)(request, directory, nameOf(target))
}

const make = (request: NodePlantRequest, directory: BorrowedFd): E.Either<InjectError, AtTarget> => {
  const made = makeFileFor(request, directory)
  if (E.isLeft(made)) return E.left(refused(request.target, made.left))
  const kind = made.right.below === undefined ? 'node' : 'mounted node'
  return E.right({ ...made.right, kind, tookOver: false })
}

/** One attempt, from the root down to the name. */
const plantOnce = (request: NodePlantRequest, directories: Directories): E.Either<InjectError, NodePlant> => {
  const { container, target, subject, scribe, at } = request
  const directory = directories.hold(container.handle.root.borrowed, parentOf(target), subject, scribe)
  if (E.isLeft(directory)) return E.left(refused(target, directory.left))
  at('parents held')
  const there = look(request, directory.right.fd)
  if (E.isRight(there)) at('target looked at')
  const node = E.isRight(there) && there.right === undefined ? make(request, directory.right.fd) : there
  if (E.isRight(node) && node.right !== undefined) {
    return E.right(new NodeAtPath(request, directories, directory.right, node.right))
  }
  directories.release(directory.right)
  return E.isLeft(node) ? node : E.left(refused(target, syscallError('mknodat', 'ENOENT', subject)))
}

/**
 * Plant a node, or find it planted. On a Left nothing is left behind. A container that changes the way to the target meanwhile is
 * given up after a few attempts.
 */
export const plantNode = (
  request: NodePlantRequest,
  directories: Directories,
): E.Either<InjectError, NodePlant> => {
  const { container, target } = request
  const owner = ownerFor(container.pid, container.handle)
  if (E.isLeft(owner)) return E.left(refused(target, owner.left))
  const planted = creatingAs<E.Either<InjectError, NodePlant>>(owner.right, () =>
    plantPersistently(
      () => plantOnce(request, directories),
      plant => plant.isStillThere(true),
      plant => plant.unplant(),
    ),
  )
  if (!container.ended) return planted
  if (E.isRight(planted)) planted.right.unplant()
  return E.left({ _tag: 'PeerGone', peer: 'consumer', pid: container.pid })
}
