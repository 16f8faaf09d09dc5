/**
 * The file of a device node of ours: made under a private name, with its owner and mode before it takes its real one, so that
 * nobody ever sees that name with less. The only place that makes such files; it never opens one.
 */
import { E } from '../fp.ts'
import { makeNode } from '../kernel/devices.ts'
import type { BorrowedFd, OwnedFd } from '../kernel/fd.ts'
import {
  type DeviceNumber,
  type FileStatus,
  rename,
  resolveIn,
  sameDevice,
  sameFile,
  setMode,
  setOwner,
  statusIn,
  statusOf,
  unlink,
} from '../kernel/files.ts'
import { detachIn } from '../kernel/mounts.ts'
import type { Owner, ProcessHandle } from '../kernel/process.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import type { Container } from './containers.ts'
import type { AtMoment } from './moments.ts'
import { privateName } from './private-name.ts'
import type { Scribe } from './scribe.ts'

export interface NodeFileRequest {
  readonly container: Container
  readonly target: string
  readonly device: DeviceNumber
  /** In our own ids. */
  readonly owner: Owner
  readonly mode: number
  readonly subject: string
  readonly scribe: Scribe
  /** For what is made on the host in the consumer's name. */
  readonly hostScribe: Scribe
  readonly at: AtMoment
}

export interface NodeFile {
  /** Of what shows at the name. Held, so that its number is not another's. */
  readonly file: OwnedFd
  readonly status: FileStatus
  /** The file below a mounted one. */
  readonly below: FileStatus | undefined
  /** Strikes it out of the journal. */
  readonly gone: () => void
}

/** What was made is something else by now, and the container's: it stays. EEXIST, for whoever asks to look again. */
export const lookAgain = (subject: string): SyscallError => syscallError('mknodat', 'EEXIST', subject)

/** Open what is at a name, which must be a node of this device. */
const holdNode = (
  directory: BorrowedFd,
  name: string,
  device: DeviceNumber,
  subject: string,
): E.Either<SyscallError, { readonly file: OwnedFd; readonly status: FileStatus }> => {
  const file = resolveIn(directory, name, 'unfollowed', subject)
  if (E.isLeft(file)) return file
  const status = statusOf(file.right.borrowed, subject)
  if (E.isRight(status) && status.right.node !== undefined && sameDevice(status.right.node, device)) {
    return E.right({ file: file.right, status: status.right })
  }
  file.right.close()
  return E.isLeft(status) ? status : E.left(lookAgain(subject))
}

/** Whose it is, and who may open it; what it has already is not touched. */
export const own = (
  file: BorrowedFd,
  { owner, mode, subject }: Pick<NodeFileRequest, 'owner' | 'mode' | 'subject'>,
): E.Either<SyscallError, void> => {
  const owned = setOwner(file, owner.uid, owner.gid, subject)
  return E.isLeft(owned) ? owned : setMode(file, mode, subject)
}

/** A node with its owner and mode. On a Left it is removed. */
export const makeOwned = (
  directory: BorrowedFd,
  name: string,
  request: NodeFileRequest,
): E.Either<SyscallError, { readonly file: OwnedFd; readonly status: FileStatus }> => {
  const { device, subject, at } = request
  const made = makeNode(directory, name, device, subject)
  if (E.isLeft(made)) return made
  at('node made')
  const held = holdNode(directory, name, device, subject)
  if (E.isLeft(held)) {
    if (held.left.errno !== 'EEXIST') unlink(directory, name, subject)
    return held
  }
  const owned = own(held.right.file.borrowed, request)
  if (E.isRight(owned)) {
    at('node owned')
    return held
  }
  held.right.file.close()
  unlink(directory, name, subject)
  return owned
}

/**
 * Remove a node, and what is mounted to show it. That goes by itself unless our own mount namespace has it too (EBUSY, unlink(2)):
 * because it is the container's, or because mounts pass from that one to ours.
 */
export const removeNode = (
  directory: BorrowedFd,
  name: string,
  subject: string,
  container: ProcessHandle,
): E.Either<SyscallError, void> => {
  const removed = unlink(directory, name, subject)
  if (E.isRight(removed) || removed.left.errno !== 'EBUSY') return removed
  const detached = detachIn(container, directory, name, subject)
  return E.isLeft(detached) ? detached : unlink(directory, name, subject)
}

/** Do something with a private name that is in the journal meanwhile. `path`: where, in the scribe's container. */
export const withPrivateName = <A>(
  path: (name: string) => string,
  scribe: Scribe,
  body: (name: string) => A,
): A => {
  const name = privateName()
  const trace = scribe.announce({ kind: 'node', path: path(name), private: name })
  const result = body(name)
  scribe.gone(trace)
  return result
}

export const makePlain = (
  request: NodeFileRequest,
  directory: BorrowedFd,
  name: string,
): E.Either<SyscallError, NodeFile> => {
  const { target, subject, scribe, at } = request
  const temporary = privateName()
  const trace = scribe.announce({ kind: 'node', path: target, private: temporary })
  const gone = (): void => scribe.gone(trace)
  const made = makeOwned(directory, temporary, request)
  if (E.isLeft(made)) {
    gone()
    return made
  }
  const { file, status } = made.right
  scribe.made(trace, status)
  const named = rename(directory, temporary, name, 'keep', subject)
  if (E.isRight(named)) {
    at('named')
    return E.right({ file, status, below: undefined, gone })
  }
  file.close()
  const left = statusIn(directory, temporary, subject)
  if (E.isRight(left) && sameFile(left.right, status)) unlink(directory, temporary, subject)
  gone()
  return named
}
