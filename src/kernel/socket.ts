/**
 * Making, naming and connecting AF_UNIX sockets (unix(7)), and asking them about their peer.
 * Files are addressed by descriptor (`/proc/self/fd/N`), so neither the length of a path nor a symlink in it matters.
 */
import { E } from '../fp.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import {
  AF_UNIX,
  SHUT_RD,
  SHUT_WR,
  SIOCUNIXFILE,
  SO_OOBINLINE,
  SO_PASSCRED,
  SO_PASSRIGHTS,
  SO_PEERCRED,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from './constants.ts'
import { c, NULL } from './declarations.ts'
import { ioFailure, lastError } from './errno.ts'
import { type BorrowedFd, OwnedFd } from './fd.ts'
import { pathOf } from './files.ts'
import { NativeBlock } from './memory.ts'
import { SOCKADDR_UN } from './structs.ts'

export type SocketType = 'stream' | 'seqpacket' | 'dgram'

const TYPES: Readonly<Record<SocketType, number>> = {
  stream: SOCK_STREAM,
  seqpacket: SOCK_SEQPACKET,
  dgram: SOCK_DGRAM,
}

const address = new NativeBlock(SOCKADDR_UN.size)
const option = new NativeBlock(64)
const optionLength = new NativeBlock(8)
const encoder = new TextEncoder()

/** A path ends with a NUL; an abstract name begins with one and is as long as the address says (unix(7)). */
type Form = 'path' | 'abstract'

/** Fill in the address; its length, or `undefined` for one that does not fit. Either form takes one NUL. */
const setAddress = (form: Form, text: string): number | undefined => {
  const bytes = encoder.encode(text)
  if (bytes.length >= SOCKADDR_UN.size - SOCKADDR_UN.path) return undefined
  address.bytes.fill(0)
  address.data.setUint16(SOCKADDR_UN.family, AF_UNIX, true)
  address.bytes.set(bytes, SOCKADDR_UN.path + (form === 'abstract' ? 1 : 0))
  return SOCKADDR_UN.path + bytes.length + 1
}

const withAddress = (
  call: 'bind' | 'connect',
  socket: BorrowedFd,
  form: Form,
  text: string,
  subject: string,
): E.Either<SyscallError, void> => {
  const length = setAddress(form, text)
  if (length === undefined) return E.left(syscallError(call, 'ENAMETOOLONG', subject))
  return c[call](socket, address.address, length) < 0 ? E.left(lastError(call, subject)) : E.right(undefined)
}

/** A new socket: non-blocking, closed on exec. It belongs to the network namespace it is made in for good. */
export const openSocket = (type: SocketType, subject: string): E.Either<SyscallError, OwnedFd> => {
  const fd = c.socket(AF_UNIX, TYPES[type] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  return fd < 0 ? E.left(lastError('socket', subject)) : E.right(new OwnedFd(fd))
}

/** Give a socket a name in the working directory (`inMountNamespaceOf` sets it); its mode is what the umask leaves of 0777. */
export const bindHere = (socket: BorrowedFd, name: string, subject: string) =>
  withAddress('bind', socket, 'path', name, subject)

/**
 * The very file that a socket was bound to, whatever its name leads to by now (SIOCUNIXFILE, `linux/un.h`); for use, not
 * for reading (O_PATH). Needs CAP_NET_ADMIN.
 */
export const fileOf = (socket: BorrowedFd, subject: string): E.Either<SyscallError, OwnedFd> => {
  const fd = c.ioctl(socket, SIOCUNIXFILE, NULL)
  return fd < 0 ? E.left(lastError('ioctl', subject)) : E.right(new OwnedFd(fd))
}

/** Give a socket an abstract name, without its `@`, in the socket's network namespace. It is gone when the socket is. */
export const bindAbstract = (socket: BorrowedFd, name: string, subject: string) =>
  withAddress('bind', socket, 'abstract', name, subject)

/** Let the kernel choose an abstract name in the socket's network namespace (autobind, unix(7)): an address to answer to. */
export const bindAnywhere = (socket: BorrowedFd, subject: string): E.Either<SyscallError, void> => {
  address.data.setUint16(SOCKADDR_UN.family, AF_UNIX, true)
  return c.bind(socket, address.address, SOCKADDR_UN.path) < 0
    ? E.left(lastError('bind', subject))
    : E.right(undefined)
}

/** How the other end of a datagram can be answered: under its abstract name as it is, at its path wherever that leads, or not. */
export type SenderAddress =
  | { readonly form: 'none' | 'abstract' }
  | { readonly form: 'path'; readonly path: string }

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Read an address as the kernel gives it. A path that is no text cannot be asked for again, and counts as none. */
export const senderAddress = (bytes: Uint8Array): SenderAddress => {
  if (bytes.length <= SOCKADDR_UN.path) return { form: 'none' }
  if (bytes[SOCKADDR_UN.path] === 0) return { form: 'abstract' }
  const end = bytes.indexOf(0, SOCKADDR_UN.path)
  try {
    return { form: 'path', path: decoder.decode(bytes.subarray(SOCKADDR_UN.path, end < 0 ? undefined : end)) }
  } catch (error) {
    if (error instanceof TypeError) return { form: 'none' }
    throw error
  }
}

/** The address of the socket that this descriptor (O_PATH) is, for a datagram. */
export const addressOf = (inode: BorrowedFd): Uint8Array => {
  const length = setAddress('path', pathOf(inode)) ?? 0
  return address.bytes.slice(0, length)
}

/** Connect to the socket that this descriptor (O_PATH) is. AF_UNIX connects at once or says EAGAIN: the backlog is full. */
export const connectTo = (socket: BorrowedFd, inode: BorrowedFd, subject: string) =>
  withAddress('connect', socket, 'path', pathOf(inode), subject)

/**
 * Connect to an abstract name, without its `@`, in the socket's network namespace. Sockets of different types have names
 * apart: where only one of another type has it, this is ECONNREFUSED, never EPROTOTYPE.
 */
export const connectToAbstract = (socket: BorrowedFd, name: string, subject: string) =>
  withAddress('connect', socket, 'abstract', name, subject)

/** Connect to a path of the host. For trusted, short paths only. */
export const connectToPath = (socket: BorrowedFd, path: string) =>
  withAddress('connect', socket, 'path', path, path)

export const startListening = (
  socket: BorrowedFd,
  backlog: number,
  subject: string,
): E.Either<SyscallError, void> =>
  c.listen(socket, backlog) < 0 ? E.left(lastError('listen', subject)) : E.right(undefined)

/** The next connection's descriptor, non-blocking and closed on exec, or an `Io` failure. The caller owns it. */
export const accept = (listener: BorrowedFd): number => {
  const fd = c.accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
  return fd < 0 ? ioFailure() : fd
}

/** No more bytes will be written: the peer reads what is queued, then end of file. */
export const endWriting = (socket: BorrowedFd): void => {
  c.shutdown(socket, SHUT_WR)
}

/** No more bytes will be read: the peer's writes fail with EPIPE. */
export const endReading = (socket: BorrowedFd): void => {
  c.shutdown(socket, SHUT_RD)
}

const setOption = (socket: BorrowedFd, name: number, value: number): boolean => {
  option.data.setInt32(0, value, true)
  return c.setsockopt(socket, SOL_SOCKET, name, option.address, 4) === 0
}

/** Every message then carries its writer's credentials; on SEQPACKET this tells an empty message from the end. */
export const receiveCredentials = (socket: BorrowedFd): boolean => setOption(socket, SO_PASSCRED, 1)

/**
 * Urgent bytes (MSG_OOB) come in line with the others. Out of line, one alone would be reported as readable for ever
 * while no read finds it.
 */
export const takeUrgentInline = (socket: BorrowedFd): boolean => setOption(socket, SO_OOBINLINE, 1)

/**
 * Whoever sends a descriptor to this socket, or to one accepted from it, gets EPERM (SO_PASSRIGHTS, `linux/socket.h`). False:
 * the kernel is older than that.
 */
export const refuseRights = (socket: BorrowedFd): boolean => setOption(socket, SO_PASSRIGHTS, 0)

/** Room for a packet of this size; the kernel doubles it for its own bookkeeping (socket(7)). */
export const growSendBuffer = (socket: BorrowedFd, bytes: number): boolean =>
  setOption(socket, SO_SNDBUFFORCE, bytes)

export interface Credentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/** Who connected, as the kernel attests it (SO_PEERCRED, unix(7)), in our own namespaces. */
export const peerCredentials = (socket: BorrowedFd): E.Either<SyscallError, Credentials> => {
  optionLength.data.setUint32(0, 12, true)
  if (c.getsockopt(socket, SOL_SOCKET, SO_PEERCRED, option.address, optionLength.address) < 0) {
    return E.left(lastError('getsockopt', 'SO_PEERCRED'))
  }
  const { data } = option
  return E.right({ pid: data.getInt32(0, true), uid: data.getUint32(4, true), gid: data.getUint32(8, true) })
}

/** Two connected sockets, non-blocking. */
export const openSocketPair = (type: SocketType): E.Either<SyscallError, readonly [OwnedFd, OwnedFd]> => {
  if (c.socketpair(AF_UNIX, TYPES[type] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, option.address) < 0) {
    return E.left(lastError('socketpair', type))
  }
  return E.right([new OwnedFd(option.data.getInt32(0, true)), new OwnedFd(option.data.getInt32(4, true))])
}
