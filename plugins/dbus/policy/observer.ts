/**
 * Keeps one observer of a bus for all connections of a uid: dialled with the first, through the toolbox of any of them, dialled
 * again when it is lost, gone with the last. What it knows is in `names`.
 */
import type { SessionHandle } from '../../../src/relay/contract.ts'
import type { OwnConnection, ProviderAddress, Toolbox } from '../../../src/toolbox/contract.ts'
import { NameOwners } from './name-owners.ts'
import { ObserverSession } from './observer-session.ts'

/** Who shares it. */
export interface ObserverUser {
  readonly box: Toolbox
  /** Woken when names are settled. */
  readonly handle: SessionHandle
}

/** After a first failure; doubled with each further one. */
const RETRY_MS = 250
const RETRY_MAX_MS = 10_000

/** A client waits for its bus in the same moment, so this need not wait long by itself. */
const DIALING = { graceMs: 1000, retryMaxMs: 500, backlogMs: 1000, credentialsByte: true } as const

export class Observer {
  readonly names = new NameOwners()
  readonly #provider: ProviderAddress
  readonly #users = new Set<ObserverUser>()
  #connection: OwnConnection | undefined
  /** The wait for the next try, and in whose toolbox it is. */
  #waiting: { readonly box: Toolbox; readonly stop: () => void } | undefined
  #retryMs = RETRY_MS
  #settled = false

  constructor(provider: ProviderAddress) {
    this.#provider = provider
  }

  /** All is known, or there is no use in waiting for it. */
  get settled(): boolean {
    return this.#settled
  }

  get isIdle(): boolean {
    return this.#users.size === 0
  }

  /** The returned function gives it up again. */
  join(user: ObserverUser): () => void {
    this.#users.add(user)
    if (this.#connection === undefined && this.#waiting === undefined) this.#dial()
    return () => this.#leave(user)
  }

  #leave(user: ObserverUser): void {
    this.#users.delete(user)
    if (this.isIdle) {
      this.close()
      return
    }
    // A wait ends with the link that it was begun for.
    if (this.#waiting?.box === user.box) this.#wait()
  }

  #dial(): void {
    const [user] = this.#users
    if (user === undefined) return
    let isOver = false
    const connection = user.box.connect({
      provider: this.#provider,
      descriptors: 'none',
      session: () => new ObserverSession(this.names, { settled: () => this.#settle() }),
      dialing: DIALING,
      onClosed: () => {
        isOver = true
        this.#lost()
      },
    })
    // What is over is given back all the same: the toolbox keeps what it lent until then.
    if (isOver) connection.close()
    else this.#connection = connection
  }

  #settle(): void {
    if (this.#settled) return
    this.#settled = true
    for (const { handle } of this.#users) handle.wake()
  }

  #lost(): void {
    this.#connection?.close()
    this.#connection = undefined
    if (this.names.synced) this.#retryMs = RETRY_MS
    this.names.forget()
    this.#settle()
    if (!this.isIdle) this.#wait()
  }

  #wait(): void {
    this.#waiting?.stop()
    const [user] = this.#users
    if (user === undefined) return
    const stop = user.box.repeat(this.#retryMs, () => {
      stop()
      this.#waiting = undefined
      this.#dial()
    })
    this.#waiting = { box: user.box, stop }
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_MAX_MS)
  }

  close(): void {
    this.#waiting?.stop()
    this.#waiting = undefined
    this.#users.clear()
    const connection = this.#connection
    this.#connection = undefined
    connection?.close()
  }
}
