/**
 * Dialling a provider for the connections of a link. Who comes before the provider is there waits in line, with one
 * timer for all.
 */
import { E } from '../fp.ts'
import type { OwnedFd } from '../kernel/fd.ts'
import type { Clock } from '../model/clock.ts'
import type { SyscallError } from '../model/errors.ts'
import type { Limits } from '../model/limits.ts'
import type { DialError, DialledAs, Figure } from '../relay/contract.ts'
import type { LinkCounters } from '../relay/counters.ts'
import type { CancelDial, DialAs, DialDone, Dialer } from '../relay/ports.ts'
import type { Dialing, LinkLog, ProviderAddress, SocketKind } from './contract.ts'
import type { IdentityProblem } from './dial-identity.ts'
import type { Connected, ProviderSockets } from './provider-socket.ts'
import { type QuietLog, quietLog } from './quiet-log.ts'
import type { RoleOfLink } from './role-users.ts'

/** Errors that mean "not there yet": starting, restarting, or its backlog is full (connect(2), unix(7)). */
const NOT_YET: ReadonlySet<string> = new Set([
  'ENOENT',
  'ECONNREFUSED',
  'EAGAIN',
  'ESRCH',
  'ENOTSOCK',
  // Its user namespace has no ids yet.
  'ENODATA',
  // Ours to wait for: the client is not to blame for a full descriptor table.
  'EMFILE',
  'ENFILE',
])

const retriesFor = (errno: string): Figure => ({
  name: 'dial_retries',
  help: 'Tries to reach the provider that failed, and will be repeated.',
  kind: 'total',
  labels: { errno },
})

/** One for each reason to wait. */
const DIAL_RETRIES: ReadonlyMap<string, Figure> = new Map(
  [...NOT_YET].map(errno => [errno, retriesFor(errno)]),
)

interface Waiter {
  readonly as: DialAs
  readonly kind: SocketKind
  readonly named: boolean
  readonly done: DialDone
  /** When it gives up on a provider that is not there, and on one whose backlog is full. */
  readonly deadline: number
  readonly backlogDeadline: number
}

/** A full backlog empties as fast as its server accepts: no need to wait long for a place in it. */
const BACKLOG_RETRY_MS = 10

const isNotYet = (error: SyscallError | IdentityProblem): error is SyscallError =>
  error._tag === 'SyscallError' && NOT_YET.has(error.errno)

const asWords = (as: DialAs): string => (typeof as === 'string' ? as : 'peer')

/** It is there, and has more clients than it takes at once. */
const isBusy = (error: SyscallError): boolean => error.errno === 'EAGAIN'

const deadlineOf = (waiter: Waiter, error: SyscallError): number =>
  isBusy(error) ? waiter.backlogDeadline : waiter.deadline

export interface ProviderDialerOptions {
  readonly sockets: ProviderSockets
  readonly clock: Clock
  readonly log: LinkLog
  readonly limits: Pick<Limits, 'connectRetryMs' | 'logEveryMs'>
  readonly dialing: Dialing
  readonly counters: LinkCounters
  /** Whose role it is. */
  readonly link: RoleOfLink
  /** What the provider says carries no descriptors. */
  readonly refusesRights: boolean
  readonly onKindMismatch: () => void
}

export class ProviderDialer implements Dialer {
  readonly #options: ProviderDialerOptions
  #provider: ProviderAddress
  #waiters: Waiter[] = []
  #retryMs: number
  #timer: unknown
  #serving = false
  #saidRoot = false
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

  dial(as: DialAs, kind: SocketKind, done: DialDone, named = false): CancelDial {
    const { clock, dialing } = this.#options
    const now = clock.now()
    const waiter: Waiter = {
      as,
      kind,
      named,
      done,
      deadline: now + dialing.graceMs,
      backlogDeadline: now + dialing.backlogMs,
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
  #answer(waiter: Waiter, result: OwnedFd | DialError, as?: DialledAs): void {
    try {
      waiter.done(result, as)
    } catch (error) {
      this.#log.error({ err: error }, 'a connection could not go on after its dial')
    }
  }

  #serveLine(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      const connected = this.#connectFor(waiter)
      if (E.isLeft(connected) && isNotYet(connected.left)) {
        if (this.#expire(connected.left)) continue
        this.#countRetry(connected.left)
        this.#wait(connected.left)
        return
      }
      this.#waiters.shift()
      if (E.isRight(connected)) {
        this.#retryMs = this.#options.limits.connectRetryMs
        if (waiter.as === 'role' && connected.right.as?.uid === 0) this.#sayRoot()
        this.#answer(waiter, connected.right.socket, connected.right.as)
      } else {
        this.#fail(waiter, connected.left)
      }
    }
  }

  /** It is what was assigned, and seldom what was meant. */
  #sayRoot(): void {
    if (this.#saidRoot) return
    this.#saidRoot = true
    const { link, log } = this.#options
    log.warn({ role: link.role, uid: 0 }, 'the role of the link is root in its provider')
  }

  #connectFor({ as, kind, named }: Waiter): E.Either<SyscallError | IdentityProblem, Connected> {
    const { sockets, link, refusesRights, dialing } = this.#options
    const credentialsByte = dialing.credentialsByte === true
    return sockets.connect(this.#provider, kind, { as, link, refusesRights, named, credentialsByte })
  }

  #countRetry({ errno }: SyscallError): void {
    const figure = DIAL_RETRIES.get(errno)
    if (figure !== undefined) this.#options.counters.counted.countOwn(figure)
  }

  /** Drop those whose time is up. True: there were some. */
  #expire(error: SyscallError): boolean {
    const now = this.#options.clock.now()
    const expired = this.#waiters.filter(waiter => deadlineOf(waiter, error) <= now)
    if (expired.length === 0) return false
    this.#waiters = this.#waiters.filter(waiter => deadlineOf(waiter, error) > now)
    this.#warn('provider did not come within the connect grace: connection closed', error)
    for (const waiter of expired) this.#answer(waiter, 'timeout')
    return true
  }

  #wait(error: SyscallError): void {
    const { clock, dialing } = this.#options
    const now = clock.now()
    const nextDeadline = Math.min(...this.#waiters.map(waiter => deadlineOf(waiter, error)))
    const delay = Math.max(0, Math.min(this.#nextRetryMs(error, dialing), nextDeadline - now))
    this.#timer = clock.setTimeout(() => this.#serve(), delay)
  }

  #nextRetryMs(error: SyscallError, dialing: Dialing): number {
    if (isBusy(error)) return BACKLOG_RETRY_MS
    const retryMs = Math.min(this.#retryMs, dialing.retryMaxMs)
    this.#retryMs = retryMs * 2
    return retryMs
  }

  #fail(waiter: Waiter, error: SyscallError | IdentityProblem): void {
    if (error._tag === 'IdentityProblem') {
      const facts = { reason: error.reason, role: this.#options.link.role, as: asWords(waiter.as) }
      this.#log.warn(facts, 'provider cannot be given the identity of the link: connection closed')
      this.#answer(waiter, 'identity')
      return
    }
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
