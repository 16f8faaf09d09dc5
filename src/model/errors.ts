/**
 * Every expected failure between the graph and the kernel, as tagged values.
 * Each tag has a line in `docs/errors.md`; a test compares the two. The error knows whether waiting can help,
 * callers never keep a list of their own.
 */
import type { Pid } from './identity.ts'

/** A system call that failed. `subject` says for whom and on what: "consumer app, /run/nm/api.sock". */
export interface SyscallError {
  readonly _tag: 'SyscallError'
  readonly call: string
  /** The symbolic name, `EACCES`; `errno 123` for one we have no name for. */
  readonly errno: string
  readonly subject: string
}

/** What stands at a target that is not ours to replace. */
export type Occupant = 'live socket' | 'socket' | 'file' | 'directory' | 'symlink' | 'device' | 'fifo'

/** Why a link could not be set up, or changed. */
export type InjectError =
  | { readonly _tag: 'PeerNotRunning'; readonly peer: 'consumer' | 'provider' }
  | {
      readonly _tag: 'PeerGone'
      readonly peer: 'consumer' | 'provider'
      readonly pid: Pid
    }
  | {
      readonly _tag: 'TargetOccupied'
      readonly target: string
      readonly by: Occupant
      /** Where it is a device: which, as `character 1:3`. */
      readonly device?: string
    }
  | {
      readonly _tag: 'TargetRefused'
      readonly target: string
      readonly cause: SyscallError
    }
  | {
      readonly _tag: 'AddressInvalid'
      readonly field: string
      readonly value: string
      readonly reason: string
    }
  | {
      readonly _tag: 'OptionRefused'
      readonly option: string
      readonly reason: string
    }
  | {
      readonly _tag: 'KindUnsupported'
      readonly socket: string
      readonly kind: string
    }
  | {
      readonly _tag: 'DeviceAbsent'
      readonly path: string
      /** What is missing. */
      readonly reason: string
    }
  | {
      readonly _tag: 'DeviceRefused'
      readonly path: string
      readonly reason: string
    }
  | {
      readonly _tag: 'PluginFailed'
      readonly plugin: string
      readonly message: string
    }

/** Whether waiting can help: if not, the link blocks until its spec changes or a resync comes. */
export const isRetryable = (error: InjectError): boolean => {
  switch (error._tag) {
    case 'PeerNotRunning':
    case 'PeerGone':
    case 'TargetRefused':
    case 'DeviceAbsent':
      return true
    case 'TargetOccupied':
    case 'AddressInvalid':
    case 'OptionRefused':
    case 'KindUnsupported':
    case 'DeviceRefused':
    case 'PluginFailed':
      return false
  }
}

/** Whether its end is announced by nobody, so that only looking often finds out: devices are plugged in at any time. */
export const endsUnannounced = (error: InjectError): boolean => error._tag === 'DeviceAbsent'

export const syscallError = (call: string, errno: string, subject: string): SyscallError => ({
  _tag: 'SyscallError',
  call,
  errno,
  subject,
})

const describeOccupant = (error: Extract<InjectError, { readonly _tag: 'TargetOccupied' }>): string => {
  if (error.by === 'live socket') return `${error.target} is in use by the container`
  const which = error.device === undefined ? '' : ` (${error.device})`
  return `${error.target} exists and is a ${error.by}${which}`
}

const describeSyscall = (error: SyscallError): string => `${error.call}: ${error.errno} (${error.subject})`

/** What happened, in words for a person. */
export const describeError = (error: InjectError | SyscallError): string => {
  switch (error._tag) {
    case 'SyscallError':
      return describeSyscall(error)
    case 'PeerNotRunning':
      return `the ${error.peer} is not running`
    case 'PeerGone':
      return `the ${error.peer}'s process ${error.pid} is gone`
    case 'TargetOccupied':
      return describeOccupant(error)
    case 'TargetRefused':
      return `${error.target} cannot be planted: ${describeSyscall(error.cause)}`
    case 'AddressInvalid':
      return `${error.field} ${JSON.stringify(error.value)} is not usable: ${error.reason}`
    case 'OptionRefused':
      return `option ${JSON.stringify(error.option)}: ${error.reason}`
    case 'KindUnsupported':
      return `${error.socket} is a ${error.kind} socket, which has no connections, and the link needs them`
    case 'DeviceAbsent':
      return `there is no device at ${error.path}: ${error.reason}`
    case 'DeviceRefused':
      return `${error.path} is not given: ${error.reason}`
    case 'PluginFailed':
      return `plugin ${error.plugin} failed: ${error.message}`
  }
}

/** What anything that was thrown says. Plugins may throw what they like: not even this may throw then. */
export const messageOf = (thrown: unknown): string => {
  try {
    return thrown instanceof Error ? `${thrown.message}` : String(thrown)
  } catch {
    return 'it threw something that has no words'
  }
}
