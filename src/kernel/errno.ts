/**
 * errno becomes a name here, once, read right after the failing call: anything that runs in between may change it.
 * Two forms leave this file: a tagged `SyscallError` for the control plane, and for the data plane a small negative
 * number that says what to do.
 */
import koffi from 'koffi'
import { type SyscallError, syscallError } from '../model/errors.ts'

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(koffi.os.errno).map(([name, value]): [number, string] => [value, name]),
)

/** errno as a name; `errno 123` where the system's number has none. */
export const errnoName = (): string => {
  const value = koffi.errno()
  // One number, two names: the kernel's documentation says EAGAIN.
  if (value === EAGAIN) return 'EAGAIN'
  return NAMES.get(value) ?? `errno ${value}`
}

/** The error of the call that has just failed. */
export const lastError = (call: string, subject: string): SyscallError =>
  syscallError(call, errnoName(), subject)

const number = (name: string, linux: number): number => koffi.os.errno[name] ?? linux

const ESRCH = number('ESRCH', 3)
const EINTR = number('EINTR', 4)
const EAGAIN = number('EAGAIN', 11)
const ENOMEM = number('ENOMEM', 12)
const EFAULT = number('EFAULT', 14)
const ENFILE = number('ENFILE', 23)
const EMFILE = number('EMFILE', 24)
const EPIPE = number('EPIPE', 32)
const EMSGSIZE = number('EMSGSIZE', 90)
const ECONNRESET = number('ECONNRESET', 104)
const ENOTCONN = number('ENOTCONN', 107)
const ECONNREFUSED = number('ECONNREFUSED', 111)
const ENOENT = number('ENOENT', 2)
const ENOBUFS = number('ENOBUFS', 105)
const ETOOMANYREFS = number('ETOOMANYREFS', 109)

/** What a failed read or write means to the data plane. All negative, so that a count and a failure share one number. */
export const Io = {
  /** Nothing now: wait for readiness. */
  again: -1,
  /** The peer is gone, or will not read any more. */
  gone: -2,
  /** The descriptor table is full, here or system-wide. */
  noDescriptors: -3,
  /** A packet larger than the socket's send buffer. */
  tooLarge: -4,
  /** The copy met the address that stops it on purpose; nothing was consumed. */
  fault: -5,
  /** The kernel holds too much for us already; trying again later helps, readiness does not tell when. */
  busy: -6,
  /** No such process: of a message, that its writer is gone. */
  noProcess: -8,
  /** Nobody is behind the socket that a datagram goes to, or it is no socket's any more. */
  unreachable: -9,
  /** Anything else; `errnoName()` of the moment has been kept in `lastFailure()`. */
  failed: -7,
} as const

let failure = ''

/** The errno behind the last `Io.failed`, for a log line. */
export const lastFailure = (): string => failure

/** errno of the call that has just failed, as one of `Io`. EINTR counts as `again`: level-triggered readiness repeats. */
export const ioFailure = (): number => {
  const value = koffi.errno()
  switch (value) {
    case EAGAIN:
    case EINTR:
      return Io.again
    case EPIPE:
    case ECONNRESET:
      return Io.gone
    case EMFILE:
    case ENFILE:
      return Io.noDescriptors
    case EMSGSIZE:
      return Io.tooLarge
    case EFAULT:
      return Io.fault
    case ESRCH:
      return Io.noProcess
    case ECONNREFUSED:
    case ENOTCONN:
    case ENOENT:
      return Io.unreachable
    case ETOOMANYREFS:
    case ENOBUFS:
    case ENOMEM:
      return Io.busy
    default:
      failure = NAMES.get(value) ?? `errno ${value}`
      return Io.failed
  }
}
