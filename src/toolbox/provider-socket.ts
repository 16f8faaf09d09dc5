/**
 * A provider's socket, found and connected to: at a path inside the provider's own root, whose symlinks never lead out of
 * it (openat2(2)), or under an abstract name in its network namespace. Either is looked up anew for every connection.
 */
import { E } from '../fp.ts'
import { closeSocket } from '../kernel/closing.ts'
import type { OwnedFd } from '../kernel/fd.ts'
import { resolveIn, statusOf } from '../kernel/files.ts'
import { inNetworkNamespaceOf } from '../kernel/namespace.ts'
import {
  connectTo,
  connectToAbstract,
  openSocket,
  receiveCredentials,
  refuseRights,
  type SocketType,
} from '../kernel/socket.ts'
import { isAbstract } from '../model/address.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import type { Container, Containers } from './containers.ts'
import type { FoundKind, ProviderAddress } from './contract.ts'
import type { AtMoment } from './moments.ts'

export interface ProviderSockets {
  /** EPROTOTYPE: it is of another type; ESRCH: the provider is not running. The caller closes the connection. */
  connect(
    provider: ProviderAddress,
    type: SocketType,
    refusesRights: boolean,
  ): E.Either<SyscallError, OwnedFd>
  /** `unknown` where nobody listens. */
  kindOf(provider: ProviderAddress): FoundKind
}

export interface ProviderSocketsOptions {
  readonly containers: Containers
  readonly at: AtMoment
}

/** A provider's socket as long as it is held. */
interface Door {
  /** EPROTOTYPE: a socket of another type is there. The caller closes what it gets. */
  connect(type: SocketType, refusesRights?: boolean): E.Either<SyscallError, OwnedFd>
  kind(): FoundKind
  close(): void
}

const subjectOf = (provider: ProviderAddress): string =>
  `provider process ${provider.pid}, ${provider.socket}`

/** A new socket, connected by `connect`; it is closed where that fails. */
const connected = (
  type: SocketType,
  refusesRights: boolean,
  subject: string,
  connect: (socket: OwnedFd) => E.Either<SyscallError, void>,
): E.Either<SyscallError, OwnedFd> => {
  const socket = openSocket(type, subject)
  if (E.isLeft(socket)) return socket
  // Both before connecting: the provider may write at once.
  if (type === 'seqpacket') receiveCredentials(socket.right.borrowed)
  if (refusesRights) refuseRights(socket.right.borrowed)
  const answer = connect(socket.right)
  if (E.isRight(answer)) return socket
  socket.right.close()
  return answer
}

type Answer = 'here' | 'another type' | 'nobody'

/** What connecting as this type says of the socket. EAGAIN: it is there, its backlog is full. */
const answerTo = (type: SocketType, connect: Door['connect']): Answer => {
  const answer = connect(type)
  if (E.isRight(answer)) {
    // It may have been accepted and written to already.
    closeSocket(answer.right)
    return 'here'
  }
  if (answer.left.errno === 'EAGAIN') return 'here'
  return answer.left.errno === 'EPROTOTYPE' ? 'another type' : 'nobody'
}

/**
 * connect(2) to a file compares types before anything reaches the provider; only a SEQPACKET provider sees one connection
 * without a message.
 */
const kindOfFile = (connect: Door['connect']): FoundKind => {
  const asDatagram = answerTo('dgram', connect)
  if (asDatagram !== 'another type') return asDatagram === 'here' ? 'dgram' : 'unknown'
  const asPackets = answerTo('seqpacket', connect)
  if (asPackets !== 'another type') return asPackets === 'here' ? 'seqpacket' : 'unknown'
  return 'stream'
}

/**
 * Sockets of different types do not share their abstract names, so each type is asked for; a provider whose type is found
 * sees one connection without a byte. Those that can be carried come first: all three may be there.
 */
const kindOfName = (connect: Door['connect']): FoundKind => {
  for (const type of ['stream', 'seqpacket', 'dgram'] as const) {
    if (answerTo(type, connect) === 'here') return type
  }
  return 'unknown'
}

/** The file of a socket, looked up once. */
const doorAtPath = (container: Container, path: string, subject: string): E.Either<SyscallError, Door> => {
  const inode = resolveIn(container.handle.root.borrowed, path, 'any', subject)
  if (E.isLeft(inode)) return inode
  const status = statusOf(inode.right.borrowed, subject)
  if (E.isLeft(status) || status.right.kind !== 'socket') {
    inode.right.close()
    // A regular file answers ECONNREFUSED as well: it may become a socket, and waiting is all the same.
    return E.isLeft(status) ? status : E.left(syscallError('connect', 'ENOTSOCK', subject))
  }
  const connect: Door['connect'] = (type, refusesRights = false) =>
    connected(type, refusesRights, subject, socket =>
      connectTo(socket.borrowed, inode.right.borrowed, subject),
    )
  return E.right({ connect, kind: () => kindOfFile(connect), close: () => inode.right.close() })
}

/** An abstract name: connecting is the only way to look at it. */
const doorAtName = (container: Container, name: string, subject: string): Door => {
  const connect: Door['connect'] = (type, refusesRights = false) => {
    const entered = inNetworkNamespaceOf(container.handle, subject, () =>
      connected(type, refusesRights, subject, socket => connectToAbstract(socket.borrowed, name, subject)),
    )
    return E.isLeft(entered) ? entered : entered.right
  }
  return {
    connect: (type, refusesRights) => {
      const answer = connect(type, refusesRights)
      if (E.isRight(answer) || answer.left.errno !== 'ECONNREFUSED') return answer
      const kind = kindOfName(connect)
      return kind === 'unknown' || kind === type ? answer : E.left({ ...answer.left, errno: 'EPROTOTYPE' })
    },
    kind: () => kindOfName(connect),
    close: () => undefined,
  }
}

/** ESRCH where the provider is not running. */
const openDoor = (
  { containers, at }: ProviderSocketsOptions,
  provider: ProviderAddress,
): E.Either<SyscallError, Door> => {
  const { pid, socket } = provider
  const subject = subjectOf(provider)
  if (pid === null) return E.left(syscallError('pidfd_open', 'ESRCH', subject))
  const acquired = containers.acquire(pid)
  if (E.isLeft(acquired)) return E.left({ ...acquired.left, errno: 'ESRCH' })
  const container = acquired.right
  at('provider held')
  const door = isAbstract(socket)
    ? E.right(doorAtName(container, socket.slice(1), subject))
    : doorAtPath(container, socket, subject)
  if (E.isLeft(door)) {
    containers.release(container)
    return door
  }
  at('provider found')
  const close = (): void => {
    door.right.close()
    containers.release(container)
  }
  return E.right({ ...door.right, close })
}

export const createProviderSockets = (options: ProviderSocketsOptions): ProviderSockets => ({
  connect: (provider, type, refusesRights) => {
    const door = openDoor(options, provider)
    if (E.isLeft(door)) return door
    const socket = door.right.connect(type, refusesRights)
    door.right.close()
    return socket
  },
  kindOf: provider => {
    const door = openDoor(options, provider)
    if (E.isLeft(door)) return 'unknown'
    const kind = door.right.kind()
    door.right.close()
    return kind
  },
})
