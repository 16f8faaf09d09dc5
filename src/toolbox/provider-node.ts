/**
 * A provider's device node: found inside its own root, whose symlinks never lead out of it (openat2(2)), and looked at through
 * one descriptor. Nothing is opened; what the kernel calls a device is read from sysfs.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { E } from '../fp.ts'
import type { OwnedFd } from '../kernel/fd.ts'
import { type FileStatus, resolveIn, sameDevice, statusOf } from '../kernel/files.ts'
import { idMapsOf } from '../kernel/id-maps.ts'
import type { InjectError, SyscallError } from '../model/errors.ts'
import { insideOf } from '../model/id-map.ts'
import { type Container, type Containers, peerError } from './containers.ts'
import type { DeviceNode, ProviderAddress } from './contract.ts'
import type { AtMoment } from './moments.ts'

export interface ProviderNode {
  readonly device: DeviceNode
  /** For reading and writing; a node is not executed. */
  readonly mode: number
  /** As the provider's user namespace numbers them; the host's numbers where it has none for them. */
  readonly uid: number
  readonly gid: number
}

/** A node that is given on is the same one as long as this holds. */
export const sameNode = (a: ProviderNode, b: ProviderNode): boolean =>
  sameDevice(a.device, b.device) && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid

export interface ProviderNodes {
  /** The provider is the caller's to hold: it has to be asked for its end. */
  lookAt(container: Container, path: string): E.Either<InjectError, ProviderNode>
  /** As `lookAt`, and who has it; released by the caller. */
  find(provider: ProviderAddress): E.Either<InjectError, FoundNode>
}

export interface FoundNode {
  readonly container: Container
  readonly node: ProviderNode
}

export interface ProviderNodesOptions {
  readonly containers: Containers
  readonly at: AtMoment
  /** Where sysfs is mounted. */
  readonly sysfs: string
}

const PERMISSIONS = 0o666

const absent = (path: string, reason: string): InjectError => ({ _tag: 'DeviceAbsent', path, reason })

const notFound = (path: string, { call, errno }: SyscallError): InjectError =>
  absent(path, errno === 'ENOENT' || errno === 'ENOTDIR' ? 'nothing is there' : `${call}: ${errno}`)

export const createProviderNodes = ({ containers, at, sysfs }: ProviderNodesOptions): ProviderNodes => {
  /** Devices that a driver had at some time: without one they are gone, though a node may have stayed. */
  const driven = new Set<string>()

  /** `DEVNAME` of the device's uevent (sysfs(5)); `null`: no driver has it. */
  const kernelNameOf = (number: string): string | null => {
    try {
      const uevent = readFileSync(join(sysfs, 'dev/char', number, 'uevent'), 'utf8')
      return /^DEVNAME=(.+)$/m.exec(uevent)?.[1] ?? null
    } catch {
      // No driver, or no sysfs: what the kernel calls it is not known.
      return null
    }
  }

  const nodeFrom = (
    container: Container,
    path: string,
    { kind, node, mode, uid, gid }: FileStatus,
  ): E.Either<InjectError, ProviderNode> => {
    if (node === undefined) {
      return E.left({ _tag: 'DeviceRefused', path, reason: `it is a ${kind}, not a device` })
    }
    const number = `${node.major}:${node.minor}`
    const kernelName = node.type === 'character' ? kernelNameOf(number) : null
    if (kernelName !== null) driven.add(number)
    else if (driven.has(number)) return E.left(absent(path, `the driver of ${number} is gone`))
    const maps = idMapsOf(container.pid, container.handle)
    if (E.isLeft(maps)) return E.left(peerError('provider', container.pid, maps.left))
    return E.right({
      device: { ...node, kernelName },
      mode: mode & PERMISSIONS,
      uid: insideOf(maps.right.uids, uid) ?? uid,
      gid: insideOf(maps.right.gids, gid) ?? gid,
    })
  }

  const lookAt: ProviderNodes['lookAt'] = (container, path) => {
    const subject = `provider process ${container.pid}, ${path}`
    const file: E.Either<SyscallError, OwnedFd> = resolveIn(
      container.handle.root.borrowed,
      path,
      'any',
      subject,
    )
    if (E.isLeft(file)) return E.left(notFound(path, file.left))
    const status = statusOf(file.right.borrowed, subject)
    file.right.close()
    return E.isLeft(status) ? E.left(notFound(path, status.left)) : nodeFrom(container, path, status.right)
  }

  return {
    lookAt,
    find: ({ pid, socket }) => {
      if (pid === null) return E.left({ _tag: 'PeerNotRunning', peer: 'provider' })
      const container = containers.acquire(pid)
      if (E.isLeft(container)) return E.left(peerError('provider', pid, container.left))
      at('provider held')
      const node = lookAt(container.right, socket)
      at('provider found')
      if (E.isRight(node)) return E.right({ container: container.right, node: node.right })
      containers.release(container.right)
      return node
    },
  }
}
