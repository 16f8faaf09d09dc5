/**
 * The links of a soak, and the graph that names them: what Pantavisor would say about the world as it is at the moment,
 * with the oddities that somebody asked for.
 */
import type { Entry } from '../support/pv-ctrl.ts'
import { now } from './clock.ts'
import { Excuses, type Harm } from './excuses.ts'
import type { Service, Site } from './site.ts'
import { WORDS } from './uses.ts'

const other = (words: readonly [string, ...string[]], word: string): string =>
  words.find(each => each !== word) ?? words[0]

export class SoakLink {
  readonly name: string
  readonly consumer: Site
  /** Where it may be planted. */
  readonly targets: readonly [string, ...string[]]
  readonly excuses = new Excuses()
  service: Service
  target: string
  role: string
  /** A label for people, or an option string. */
  interface: string
  inGraph = true
  /** The graph says that its provider does not run. */
  providerHidden = false
  /** Somebody is doing something to it that nothing else may be done along with. */
  busy = false
  /** How many are doing something to it. */
  #disturbers = 0
  /** Counts what was done to it. */
  #version = 0
  /** When the last of it was over. */
  #since = now()

  constructor(name: string, consumer: Site, service: Service, targets: readonly [string, ...string[]]) {
    this.name = name
    this.consumer = consumer
    this.service = service
    this.targets = targets
    this.target = targets[0]
    const { roles, interfaces } = WORDS[service.type]
    this.role = roles[0]
    this.interface = interfaces[0]
  }

  /** As the daemon calls it. */
  get key(): string {
    return `${this.consumer.name}/${this.name}@${this.target}`
  }

  get version(): number {
    return this.#version
  }

  get since(): number {
    return this.#since
  }

  get isDisturbed(): boolean {
    return this.#disturbers > 0
  }

  get hasSettled(): boolean {
    return !this.isDisturbed && this.excuses.settled
  }

  begin(harm: Harm): void {
    this.#disturbers += 1
    this.#version += 1
    this.excuses.begin(harm, now())
  }

  end(): void {
    this.#disturbers -= 1
    this.#version += 1
    this.#since = now()
  }

  /** Words for role and interface that it does not have at the moment. */
  otherRole(): string {
    return other(WORDS[this.service.type].roles, this.role)
  }

  otherInterface(): string {
    return other(WORDS[this.service.type].interfaces, this.interface)
  }

  get entry(): Entry {
    const { service, consumer } = this
    return {
      type: service.type,
      name: this.name,
      consumer: consumer.name,
      consumer_pid: consumer.pid,
      provider: service.site.name,
      provider_pid: this.providerHidden ? -1 : service.site.pid,
      role: this.role,
      interface: this.interface,
      socket: service.path,
      target: this.target,
    }
  }
}

/** Something else in the graph: before the links it would take over their targets, behind them it must not matter. */
export interface Extra {
  readonly where: 'before' | 'behind'
  /** `undefined`: not at the moment. */
  readonly value: () => unknown
}

export const bodyOf = (links: readonly SoakLink[], extras: ReadonlySet<Extra>): string => {
  const those = (where: Extra['where']): readonly unknown[] =>
    [...extras].filter(extra => extra.where === where).map(extra => extra.value())
  const entries = links.filter(({ inGraph }) => inGraph).map(({ entry }) => entry)
  return JSON.stringify(
    [...those('before'), ...entries, ...those('behind')].filter(each => each !== undefined),
  )
}
