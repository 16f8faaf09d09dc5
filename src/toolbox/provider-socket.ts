/**
 * A provider's socket, found and connected to: at a path inside the provider's own root, whose symlinks never lead out of
 * it (openat2(2)), or under an abstract name in its network namespace. Either is looked up anew for every connection, and
 * so is as whom it is connected to, where that is not the daemon itself.
 */
import { E } from '../fp.ts'
import { closeSocket } from '../kernel/closing.ts'
import { actingAs, type Ids, ownIds, sendCredentialsByte } from '../kernel/credentials.ts'
import type { OwnedFd } from '../kernel/fd.ts'
import { resolveIn, statusOf } from '../kernel/files.ts'
import { inNetworkNamespaceOf } from '../kernel/namespace.ts'
import {
  bindAnywhere,
  connectTo,
  connectToAbstract,
  openSocket,
  receiveCredentials,
  refuseRights,
  type SocketType,
} from '../kernel/socket.ts'
import { isAbstract } from '../model/address.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import type { DialledAs } from '../relay/contract.ts'
import type { DialAs } from '../relay/ports.ts'
import type { Container, Containers } from './containers.ts'
import type { FoundKind, ProviderAddress } from './contract.ts'
import { type Dialler, diallerFor, type IdentityProblem } from './dial-identity.ts'
import type { AtMoment } from './moments.ts'
import type { RoleOfLink, RoleUsers } from './role-users.ts'

/** How to connect. */
export interface Connecting {
  readonly as: DialAs
  /** Whose role it is, where it is dialled as that. */
  readonly link: RoleOfLink
  readonly refusesRights: boolean
  /** A datagram socket gets a name, to be answered by. */
  readonly named: boolean
  /** `Dialing.credentialsByte` */
  readonly credentialsByte: boolean
}

export interface Connected {
  readonly socket: OwnedFd
  /** Absent: the daemon itself. */
  readonly as: DialledAs | undefined
}

export interface ProviderSockets {
  /** EPROTOTYPE: it is of another type; ESRCH: the provider is not running. The caller closes the connection. */
  connect(
    provider: ProviderAddress,
    type: SocketType,
    how: Connecting,
  ): E.Either<SyscallError | IdentityProblem, Connected>
  /** `unknown` where nobody listens. */
  kindOf(provider: ProviderAddress): FoundKind
}

export interface ProviderSocketsOptions {
  readonly containers: Containers
  readonly roles: RoleUsers
  readonly at: AtMoment
}

/** As whom (absent: ourselves), and how, a socket connects. */
interface SocketOptions {
  readonly refusesRights: boolean
  readonly named: boolean
  readonly ids: Ids | undefined
}

const PLAIN: SocketOptions = { refusesRights: false, named: false, ids: undefined }

type Answered<A> = E.Either<SyscallError | IdentityProblem, A>

/** A provider's socket as long as it is held. */
interface Door {
  readonly container: Container
  /** EPROTOTYPE: a socket of another type is there. The caller closes what it gets. */
  connect(type: SocketType, how?: SocketOptions): Answered<OwnedFd>
  kind(): FoundKind
  close(): void
}

const subjectOf = (provider: ProviderAddress): string =>
  `provider process ${provider.pid}, ${provider.socket}`

/** Who we cannot become is a problem of the identity, and none that waiting helps. */
const actingAsAsked = <A>(ids: Ids, subject: string, body: () => E.Either<SyscallError, A>): Answered<A> => {
  const acted = actingAs(ids, subject, body)
  if (E.isRight(acted)) return acted.right
  const { call, errno } = acted.left
  return E.left({ _tag: 'IdentityProblem', reason: `${call}: ${errno}` })
}

/** A socket with a name in the namespace that we are in, which is where an answer to it is looked up. */
const openNamed = (type: SocketType, subject: string): E.Either<SyscallError, OwnedFd> => {
  const socket = openSocket(type, subject)
  if (E.isLeft(socket)) return socket
  const bound = bindAnywhere(socket.right.borrowed, subject)
  if (E.isRight(bound)) return socket
  socket.right.close()
  return bound
}

const openFor = (
  container: Container,
  type: SocketType,
  { named }: SocketOptions,
  subject: string,
): E.Either<SyscallError, OwnedFd> => {
  if (!named) return openSocket(type, subject)
  const entered = inNetworkNamespaceOf(container.handle, subject, () => openNamed(type, subject))
  return E.isLeft(entered) ? entered : entered.right
}

/** A new socket, connected by `connect`; it is closed where that fails. */
const connected = (
  open: () => E.Either<SyscallError, OwnedFd>,
  type: SocketType,
  { refusesRights, ids }: SocketOptions,
  subject: string,
  connect: (socket: OwnedFd) => E.Either<SyscallError, void>,
): Answered<OwnedFd> => {
  const socket = open()
  if (E.isLeft(socket)) return socket
  // Both before connecting: the provider may write at once.
  if (type === 'seqpacket') receiveCredentials(socket.right.borrowed)
  if (refusesRights) refuseRights(socket.right.borrowed)
  const answer =
    ids === undefined ? connect(socket.right) : actingAsAsked(ids, subject, () => connect(socket.right))
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
  if (answer.left._tag === 'IdentityProblem') return 'nobody'
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
  // Open before anybody else's ids are taken, who could not search the way to it.
  const connect: Door['connect'] = (type, how = PLAIN) =>
    connected(
      () => openFor(container, type, how, subject),
      type,
      how,
      subject,
      socket => connectTo(socket.borrowed, inode.right.borrowed, subject),
    )
  return E.right({ container, connect, kind: () => kindOfFile(connect), close: () => inode.right.close() })
}

/** An abstract name: connecting is the only way to look at it. */
const doorAtName = (container: Container, name: string, subject: string): Door => {
  const connect: Door['connect'] = (type, how = PLAIN) => {
    const entered = inNetworkNamespaceOf(container.handle, subject, () =>
      connected(
        () => (how.named ? openNamed(type, subject) : openSocket(type, subject)),
        type,
        how,
        subject,
        socket => connectToAbstract(socket.borrowed, name, subject),
      ),
    )
    return E.isLeft(entered) ? entered : entered.right
  }
  return {
    container,
    connect: (type, how) => {
      const answer = connect(type, how)
      if (E.isRight(answer) || answer.left._tag === 'IdentityProblem') return answer
      if (answer.left.errno !== 'ECONNREFUSED') return answer
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

/** The first byte, before anybody else can write one. */
const greeted = (socket: OwnedFd, dialler: Dialler | undefined, subject: string): Answered<OwnedFd> => {
  const sent = sendCredentialsByte(socket.borrowed, dialler?.ids ?? ownIds(), subject)
  if (E.isRight(sent)) return E.right(socket)
  closeSocket(socket)
  return sent
}

const connectThrough = (
  door: Door,
  type: SocketType,
  { as, link, refusesRights, named, credentialsByte }: Connecting,
  roles: RoleUsers,
  subject: string,
): Answered<Connected> => {
  const dialler = as === 'daemon' ? E.right(undefined) : diallerFor(as, door.container, link, roles)
  if (E.isLeft(dialler)) return dialler
  const socket = door.connect(type, { refusesRights, named, ids: dialler.right?.ids })
  if (E.isLeft(socket)) return socket
  const ready = credentialsByte ? greeted(socket.right, dialler.right, subject) : socket
  return E.isLeft(ready) ? ready : E.right({ socket: ready.right, as: dialler.right?.seen })
}

export const createProviderSockets = (options: ProviderSocketsOptions): ProviderSockets => ({
  connect: (provider, type, how) => {
    const door = openDoor(options, provider)
    if (E.isLeft(door)) return door
    const connection = connectThrough(door.right, type, how, options.roles, subjectOf(provider))
    door.right.close()
    return connection
  },
  kindOf: provider => {
    const door = openDoor(options, provider)
    if (E.isLeft(door)) return 'unknown'
    const kind = door.right.kind()
    door.right.close()
    return kind
  },
})
