/**
 * Reaching a provider's socket inside its own root, whose symlinks never lead out of it (openat2(2)).
 * Who comes before the provider is there waits in line, with one timer for all.
 */
import { E } from '../fp.ts'
import type { OwnedFd } from '../kernel/fd.ts'
import { resolveIn, statusOf } from '../kernel/files.ts'
import { connectTo, openSocket, receiveCredentials, type SocketType } from '../kernel/socket.ts'
import type { Clock } from '../model/clock.ts'
import { type SyscallError, syscallError } from '../model/errors.ts'
import type { Limits } from '../model/limits.ts'
import type { DialError, DialIdentity } from '../relay/contract.ts'
import type { CancelDial, Dialer } from '../relay/ports.ts'
import type { Containers } from './containers.ts'
import type { FoundKind, LinkLog, ProviderAddress, SocketKind } from './contract.ts'
import { type QuietLog, quietLog } from './quiet-log.ts'

/** Errors that mean "not there yet": starting, restarting, or its backlog is full (connect(2), unix(7)). */
const NOT_YET: ReadonlySet<string> = new Set([
  'ENOENT',
  'ECONNREFUSED',
  'EAGAIN',
  'ESRCH',
  'ENOTSOCK',
  // Ours to wait for: the client is not to blame for a full descriptor table.
  'EMFILE',
  'ENFILE',
])

const subjectOf = (provider: ProviderAddress): string =>
  `provider process ${provider.pid}, ${provider.socket}`

/** Open the provider's socket inode; ESRCH where it is not running. */
const resolveProvider = (
  containers: Containers,
  provider: ProviderAddress,
): E.Either<SyscallError, OwnedFd> => {
  const subject = subjectOf(provider)
  if (provider.pid === null) return E.left(syscallError('pidfd_open', 'ESRCH', subject))
  const container = containers.acquire(provider.pid)
  if (E.isLeft(container)) return E.left({ ...container.left, errno: 'ESRCH' })
  const inode = resolveIn(container.right.handle.root.borrowed, provider.socket, 'any', subject)
  containers.release(container.right)
  if (E.isLeft(inode)) return inode
  const status = statusOf(inode.right.borrowed, subject)
  // A regular file answers ECONNREFUSED as well: it may become a socket, and waiting is all the same.
  if (E.isRight(status) && status.right.kind === 'socket') return inode
  inode.right.close()
  return E.isLeft(status) ? status : E.left(syscallError('connect', 'ENOTSOCK', subject))
}

const connectInode = (inode: OwnedFd, type: SocketType, subject: string): E.Either<SyscallError, OwnedFd> => {
  const socket = openSocket(type, subject)
  if (E.isLeft(socket)) return socket
  // Before connecting: what the provider writes at once carries credentials then too.
  if (type === 'seqpacket') receiveCredentials(socket.right.borrowed)
  const connected = connectTo(socket.right.borrowed, inode.borrowed, subject)
  if (E.isRight(connected)) return socket
  socket.right.close()
  return connected
}

const connectProvider = (
  containers: Containers,
  provider: ProviderAddress,
  type: SocketType,
): E.Either<SyscallError, OwnedFd> => {
  const inode = resolveProvider(containers, provider)
  if (E.isLeft(inode)) return inode
  const connected = connectInode(inode.right, type, subjectOf(provider))
  inode.right.close()
  return connected
}

/** What connecting as this type says: connected, EPROTOTYPE for another type, or anything else for "cannot tell". */
const answerTo = (inode: OwnedFd, type: SocketType, subject: string): string => {
  const connected = connectInode(inode, type, subject)
  if (E.isLeft(connected)) return connected.left.errno
  connected.right.close()
  return 'connected'
}

/**
 * The type of a provider's socket. connect(2) compares types before anything reaches the provider; only a SEQPACKET
 * provider sees one connection without a message.
 */
export const detectKind = (containers: Containers, provider: ProviderAddress): FoundKind => {
  const inode = resolveProvider(containers, provider)
  if (E.isLeft(inode)) return 'unknown'
  const subject = subjectOf(provider)
  const asDatagram = answerTo(inode.right, 'dgram', subject)
  const asPackets = asDatagram === 'EPROTOTYPE' ? answerTo(inode.right, 'seqpacket', subject) : ''
  inode.right.close()
  if (asDatagram === 'connected') return 'dgram'
  if (asPackets === 'connected') return 'seqpacket'
  return asPackets === 'EPROTOTYPE' ? 'stream' : 'unknown'
}

interface Waiter {
  readonly kind: SocketKind
  readonly done: (result: OwnedFd | DialError) => void
  readonly deadline: number
}

export interface ProviderDialerOptions {
  readonly containers: Containers
  readonly clock: Clock
  readonly log: LinkLog
  readonly limits: Pick<Limits, 'connectGraceMs' | 'connectRetryMs' | 'connectRetryMaxMs' | 'logEveryMs'>
  readonly onKindMismatch: () => void
}

export class ProviderDialer implements Dialer {
  readonly #options: ProviderDialerOptions
  #provider: ProviderAddress
  #waiters: Waiter[] = []
  #retryMs: number
  #timer: unknown
  #serving = false
  /** A provider that is away concerns every client that comes: one line says it. */
  readonly #log: QuietLog

  constructor(provider: ProviderAddress, options: ProviderDialerOptions) {
    this.#provider = provider
    this.#options = options
    this.#retryMs = options.limits.connectRetryMs
    this.#log = quietLog(options.log, {
      clock: options.clock,
      burstLines: 1,
      everyMs: options.limits.logEveryMs,
      ofClients: true,
    })
  }

  get provider(): ProviderAddress {
    return this.#provider
  }

  /** New address: whoever waits tries it at once. */
  retarget(provider: ProviderAddress): void {
    this.#provider = provider
    this.#retryMs = this.#options.limits.connectRetryMs
    this.#serve()
  }

  dial(identity: DialIdentity, kind: SocketKind, done: (result: OwnedFd | DialError) => void): CancelDial {
    if (identity !== 'daemon') {
      // Dialling as ourselves instead would give the provider an identity that nobody assigned.
      this.#log.error({ uid: identity.uid }, 'dialling as another user is not supported by this version')
      done('refused')
      return () => undefined
    }
    const waiter: Waiter = {
      kind,
      done,
      deadline: this.#options.clock.now() + this.#options.limits.connectGraceMs,
    }
    this.#waiters.push(waiter)
    // In line behind those who came before; without a line it tries now.
    if (this.#timer === undefined && !this.#serving) this.#serve()
    return () => {
      this.#waiters = this.#waiters.filter(other => other !== waiter)
    }
  }

  /** Serve the line until somebody has to wait, which then holds for all behind. */
  #serve(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#serving = true
    this.#serveLine()
    this.#serving = false
  }

  /** Tell a waiter; what goes wrong with one connection must not hold up the line behind it. */
  #answer(waiter: Waiter, result: OwnedFd | DialError): void {
    try {
      waiter.done(result)
    } catch (error) {
      this.#log.error({ err: error }, 'a connection could not go on after its dial')
    }
  }

  #serveLine(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      const connected = connectProvider(this.#options.containers, this.#provider, waiter.kind)
      if (E.isLeft(connected) && NOT_YET.has(connected.left.errno)) {
        if (this.#expire(connected.left)) continue
        this.#wait()
        return
      }
      this.#waiters.shift()
      if (E.isRight(connected)) {
        this.#retryMs = this.#options.limits.connectRetryMs
        this.#answer(waiter, connected.right)
      } else {
        this.#fail(waiter, connected.left)
      }
    }
  }

  /** Drop those whose time is up. True: there were some. */
  #expire(error: SyscallError): boolean {
    const now = this.#options.clock.now()
    const expired = this.#waiters.filter(waiter => waiter.deadline <= now)
    if (expired.length === 0) return false
    this.#waiters = this.#waiters.filter(waiter => waiter.deadline > now)
    this.#warn('provider did not come within the connect grace: connection closed', error)
    for (const waiter of expired) this.#answer(waiter, 'timeout')
    return true
  }

  #wait(): void {
    const now = this.#options.clock.now()
    const nextDeadline = Math.min(...this.#waiters.map(waiter => waiter.deadline))
    const retryMs = Math.min(this.#retryMs, this.#options.limits.connectRetryMaxMs)
    const delay = Math.max(0, Math.min(retryMs, nextDeadline - now))
    this.#retryMs = retryMs * 2
    this.#timer = this.#options.clock.setTimeout(() => this.#serve(), delay)
  }

  #fail(waiter: Waiter, error: SyscallError): void {
    if (error.errno === 'EPROTOTYPE') {
      this.#warn('provider has a socket of another type: connection closed', error)
      this.#answer(waiter, 'kind-mismatch')
      this.#options.onKindMismatch()
      return
    }
    this.#warn('provider refused: connection closed', error)
    this.#answer(waiter, 'refused')
  }

  #warn(message: string, error: SyscallError): void {
    this.#log.warn({ call: error.call, errno: error.errno, subject: error.subject }, message)
  }

  /** Nobody waits any more; those who did are not answered. */
  close(): void {
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waiters = []
    this.#log.flush()
  }
}
