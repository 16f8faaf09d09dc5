/**
 * The file of a socket of ours in a container: made under a private name, open to all and listening before it takes its
 * real name, so that nobody ever sees that name without a listener. The only place that makes such files.
 */
import { E } from '../fp.ts'
import { closeListener } from '../kernel/closing.ts'
import type { BorrowedFd, OwnedFd } from '../kernel/fd.ts'
import { type FileStatus, rename, sameFile, setMode, statusIn, statusOf, unlink } from '../kernel/files.ts'
import { inMountNamespaceOf, inNetworkNamespaceOf } from '../kernel/namespace.ts'
import { bindHere, fileOf, openSocket, receiveCredentials } from '../kernel/socket.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import { asksForCredentials, listen, type PlantRequest } from './plant.ts'
import { privateName } from './private-name.ts'

/** Access is decided by the link, not by the file's mode. */
const SOCKET_MODE = 0o666

export interface SocketFile {
  /** It listens; whoever made the file closes it. */
  readonly socket: OwnedFd
  readonly status: FileStatus
  /** Strikes it out of the journal. */
  readonly gone: () => void
}

/**
 * Open the socket's own file to all, whatever stands at its name by now. By chmod(2) and not by the umask, of which a
 * default access list of the directory takes no notice (acl(5)): under its private name nobody has seen the file yet.
 */
const openToAll = (socket: BorrowedFd, subject: string): E.Either<SyscallError, FileStatus> => {
  const file = fileOf(socket, subject)
  if (E.isLeft(file)) return file
  const status = statusOf(file.right.borrowed, subject)
  const opened = setMode(file.right.borrowed, SOCKET_MODE, subject)
  file.right.close()
  return E.isLeft(opened) ? opened : status
}

const bindInside = (
  socket: BorrowedFd,
  { container, subject }: PlantRequest,
  directory: BorrowedFd,
  name: string,
): E.Either<SyscallError, void> => {
  const entered = inMountNamespaceOf(container.handle, directory, subject, () =>
    bindHere(socket, name, subject),
  )
  return E.isLeft(entered) ? entered : entered.right
}

/** Bind, open to all, listen. On a Left no file is left. */
const prepare = (
  socket: BorrowedFd,
  request: PlantRequest,
  directory: BorrowedFd,
  name: string,
): E.Either<SyscallError, FileStatus> => {
  const { subject, at } = request
  // On the listener, so that what is sent before the accept carries credentials too.
  if (asksForCredentials(request)) receiveCredentials(socket)
  const bound = bindInside(socket, request, directory, name)
  if (E.isLeft(bound)) return bound
  at('bound')
  const status = openToAll(socket, subject)
  if (E.isRight(status)) at('mode set')
  const listening = E.isRight(status) ? listen(socket, request) : status
  if (E.isRight(listening)) at('listening')
  else unlink(directory, name, subject)
  return E.isRight(listening) ? status : listening
}

/**
 * Take the place of what was looked at. It may be another file by now, and a plain rename would destroy that: so the two
 * names change places, and what came out is looked at. If it is not the one, it goes back. EEXIST: look again.
 */
const replace = (
  { subject, at }: PlantRequest,
  directory: BorrowedFd,
  from: string,
  to: string,
  expected: FileStatus,
): E.Either<SyscallError, void> => {
  const lookAgain = E.left(syscallError('renameat2', 'EEXIST', subject))
  const exchanged = rename(directory, from, to, 'exchange', subject)
  if (E.isLeft(exchanged)) {
    if (exchanged.left.errno === 'ENOENT') return lookAgain
    // A file system that cannot exchange: there is no better way.
    return exchanged.left.errno === 'EINVAL' ? rename(directory, from, to, 'replace', subject) : exchanged
  }
  at('names exchanged')
  const out = statusIn(directory, from, subject)
  if (E.isLeft(out) && out.left.errno === 'ENOENT') return exchanged
  let failure: E.Either<SyscallError, void> = E.isLeft(out) ? out : lookAgain
  if (E.isRight(out) && sameFile(out.right, expected)) {
    failure = unlink(directory, from, subject)
    if (E.isRight(failure) || failure.left.errno === 'ENOENT') return exchanged
  }
  const back = rename(directory, from, to, 'exchange', subject)
  // Ours has been deleted meanwhile: there is nothing to exchange with.
  if (E.isLeft(back)) rename(directory, from, to, 'keep', subject)
  return failure
}

/** Abstract names are looked up where a socket was made: one that answers its clients is made where they are. */
const openWhereAnswered = ({ kind, container, subject }: PlantRequest): E.Either<SyscallError, OwnedFd> => {
  if (kind !== 'dgram') return openSocket(kind, subject)
  const entered = inNetworkNamespaceOf(container.handle, subject, () => openSocket(kind, subject))
  return E.isLeft(entered) ? entered : entered.right
}

/**
 * Make a listening socket at `name` in a directory, in the place of `stale` if there is one. On a Left nothing is left
 * behind, and nothing was destroyed. EEXIST: what stands there is not what was looked at.
 */
export const makeSocketFile = (
  request: PlantRequest,
  directory: BorrowedFd,
  name: string,
  stale: FileStatus | undefined,
): E.Either<SyscallError, SocketFile> => {
  const { subject, at, scribe, target } = request
  const socket = openWhereAnswered(request)
  if (E.isLeft(socket)) return socket
  const temporary = privateName()
  const trace = scribe.announce({ kind: 'socket', path: target, private: temporary })
  const gone = (): void => scribe.gone(trace)
  const status = prepare(socket.right.borrowed, request, directory, temporary)
  if (E.isLeft(status)) {
    socket.right.close()
    gone()
    return status
  }
  scribe.made(trace, status.right)
  const named =
    stale === undefined
      ? rename(directory, temporary, name, 'keep', subject)
      : replace(request, directory, temporary, name, stale)
  if (E.isRight(named)) {
    at('named')
    return E.right({ socket: socket.right, status: status.right, gone })
  }
  closeListener(socket.right)
  const left = statusIn(directory, temporary, subject)
  if (E.isRight(left) && sameFile(left.right, status.right)) unlink(directory, temporary, subject)
  gone()
  return named
}
