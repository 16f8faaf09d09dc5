/**
 * What goes beside the bytes of a message (cmsg(3), unix(7)): descriptors, and who wrote it. One thread, so one set of
 * buffers. Descriptors that arrive are raw numbers; whoever called the read owns them from then on.
 */
import { SCM_CREDENTIALS, SCM_MAX_FD, SCM_RIGHTS, SOL_SOCKET } from './constants.ts'
import { type Address, getWord, NativeBlock, setWord } from './memory.ts'
import { alignControl, CMSGHDR, UCRED } from './structs.ts'

/** Who wrote a message, attested by the kernel for a socket that asked for it (SO_PASSCRED), in our own namespaces. */
export interface Writer {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

const DATA = alignControl(CMSGHDR.size)

/** Room for descriptors, and the credentials that SO_PASSCRED adds. */
export const CONTROL_BYTES = 2048
/** Room for credentials and nothing else (CMSG_SPACE, cmsg(3)). */
export const CREDENTIALS_BYTES = DATA + alignControl(UCRED.size)

const incoming = new NativeBlock(CONTROL_BYTES)
const outgoing = new NativeBlock(CONTROL_BYTES)

export const incomingControl: Address = incoming.address
export const outgoingControl: Address = outgoing.address

/** What the last read brought along. */
export const received = {
  /** Valid up to `fdCount`; the caller owns them. */
  fds: new Int32Array(SCM_MAX_FD),
  fdCount: 0,
  /** Descriptors or credentials did not fit, or were not asked for. */
  controlTruncated: false,
  /** An SCM_CREDENTIALS header was there: with SO_PASSCRED every message has one, the end of a stream has none. */
  credentialed: false,
  /** Where it was, the rest of the header; asked for by `writerOf`. */
  credentialsAt: 0,
}

/** Take what the kernel has put into `incomingControl`. */
export const takeControl = (length: number): void => {
  received.fdCount = 0
  received.credentialed = false
  const { data } = incoming
  let at = 0
  while (at + DATA <= length) {
    const size = getWord(data, at + CMSGHDR.length)
    if (size < DATA) break
    if (data.getInt32(at + CMSGHDR.level, true) === SOL_SOCKET) {
      if (data.getInt32(at + CMSGHDR.type, true) === SCM_RIGHTS) {
        for (let fd = at + DATA; fd + 4 <= at + size; fd += 4) {
          received.fds[received.fdCount++] = data.getInt32(fd, true)
        }
      } else {
        received.credentialed = true
        received.credentialsAt = at + DATA
      }
    }
    at += alignControl(size)
  }
}

/** Who wrote the message of the last read; of one without credentials, nobody (`undefined`). */
export const receivedWriter = (): Writer | undefined => {
  if (!received.credentialed) return undefined
  const { data } = incoming
  const at = received.credentialsAt
  return {
    pid: data.getInt32(at + UCRED.pid, true),
    uid: data.getUint32(at + UCRED.uid, true),
    gid: data.getUint32(at + UCRED.gid, true),
  }
}

const putHeader = (at: number, type: number, size: number): number => {
  const { data } = outgoing
  setWord(data, at + CMSGHDR.length, DATA + size)
  data.setInt32(at + CMSGHDR.level, SOL_SOCKET, true)
  data.setInt32(at + CMSGHDR.type, type, true)
  return at + DATA
}

const putWriter = (at: number, { pid, uid, gid }: Writer): number => {
  const { data } = outgoing
  const to = putHeader(at, SCM_CREDENTIALS, UCRED.size)
  data.setInt32(to + UCRED.pid, pid, true)
  data.setUint32(to + UCRED.uid, uid, true)
  data.setUint32(to + UCRED.gid, gid, true)
  return at + CREDENTIALS_BYTES
}

/** Fill `outgoingControl`; how long it is. */
export const putControl = (fds: readonly number[], writer: Writer | undefined): number => {
  const at = writer === undefined ? 0 : putWriter(0, writer)
  if (fds.length === 0) return at
  const to = putHeader(at, SCM_RIGHTS, fds.length * 4)
  for (let i = 0; i < fds.length; i += 1) outgoing.data.setInt32(to + i * 4, fds[i] ?? -1, true)
  return at + alignControl(DATA + fds.length * 4)
}
