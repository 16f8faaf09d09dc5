/**
 * What all links to one provider's bus have in common: its policy, and for each uid one observer of who owns which name, which
 * exists while connections of that uid do. An observer sees the bus as the role does, with nothing of the daemon's own rights.
 */
import type { ProtocolLimits } from '../../../src/model/limits.ts'
import type { SessionHandle } from '../../../src/relay/contract.ts'
import type { ProviderAddress, Toolbox } from '../../../src/toolbox/contract.ts'
import type { Party } from './evaluate.ts'
import { NameOwners } from './name-owners.ts'
import { Observer } from './observer.ts'
import { ProviderPolicy } from './provider-policy.ts'

/** One connection's share of an observer. */
export interface ObservedNames {
  /** See `ConnectionPolicy.settled`. */
  readonly settled: boolean
  partyOf(name: string): Party
  /** Idempotent. */
  release(): void
}

/** What is known without an observer. */
const NOTHING_KNOWN = new NameOwners()

/** Where no rule asks for names nobody observes them; that may change with every reading. */
class Share implements ObservedNames {
  readonly #bus: ProviderBus
  readonly #take: () => ObserverShare
  #share: ObserverShare | undefined
  #released = false

  constructor(bus: ProviderBus, take: () => ObserverShare) {
    this.#bus = bus
    this.#take = take
    bus.policy.listeners.add(this.#onReading)
    this.#onReading()
  }

  readonly #onReading = (): void => {
    if (this.#bus.policy.isRuled) this.#share ??= this.#take()
    else this.#giveUp()
  }

  #giveUp(): void {
    this.#share?.leave()
    this.#share = undefined
  }

  get settled(): boolean {
    return this.#share?.observer.settled ?? true
  }

  partyOf(name: string): Party {
    return (this.#share?.observer.names ?? NOTHING_KNOWN).partyOf(name)
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#bus.policy.listeners.delete(this.#onReading)
    this.#giveUp()
  }
}

interface ObserverShare {
  readonly observer: Observer
  leave(): void
}

export class ProviderBus {
  readonly policy: ProviderPolicy
  readonly #provider: ProviderAddress
  readonly #observers = new Map<number, Observer>()

  constructor(provider: ProviderAddress, limits: ProtocolLimits) {
    this.#provider = provider
    this.policy = new ProviderPolicy(provider.socket, limits)
  }

  /** For one connection of that uid, which is woken when names are settled. The observer may be dialled through its toolbox. */
  observe(box: Toolbox, uid: number, handle: SessionHandle): ObservedNames {
    return new Share(this, () => {
      const observer = this.#observers.get(uid) ?? new Observer(this.#provider)
      this.#observers.set(uid, observer)
      const leave = observer.join({ box, handle })
      return {
        observer,
        leave: () => {
          leave()
          if (observer.isIdle && this.#observers.get(uid) === observer) this.#observers.delete(uid)
        },
      }
    })
  }

  /** Whoever shares it has left. */
  close(): void {
    for (const observer of this.#observers.values()) observer.close()
    this.#observers.clear()
  }
}
