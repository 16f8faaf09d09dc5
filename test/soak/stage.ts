/**
 * All that a soak plays on: containers, links, the daemon, Pantavisor. Knows how to begin and end a disturbance, and
 * how to tell that a link works again after one.
 */
import type { Random } from '../support/random.ts'
import type { Cast } from './cast.ts'
import { nap, now } from './clock.ts'
import type { SoakDaemon } from './daemon.ts'
import type { Harm } from './excuses.ts'
import { Gate } from './gate.ts'
import { type Ledger, Violation } from './ledger.ts'
import { bodyOf, type Extra, type SoakLink } from './links.ts'
import type { Pantavisor } from './pantavisor.ts'
import type { Header } from './peer.ts'
import type { Site } from './site.ts'
import { probeFor } from './uses.ts'

/**
 * A link that can work does so this long after the last thing that was done to it. Far longer than an interval: it may
 * have to wait for the daemon's resync (30 s), and the machine may be loaded.
 */
const SETTLES_WITHIN_MS = 75_000

/**
 * So many good answers after a change the daemon has acted upon it: the first may have been on its way with the old
 * graph, the second brought the new one, and the third was asked for after that had been acted upon.
 */
const ANSWERS_UNTIL_DONE = 3

export interface StageParts extends Cast {
  readonly random: Random
  readonly ledger: Ledger
  readonly pantavisor: Pantavisor
  readonly daemon: SoakDaemon
  /** There is time enough to wait for things that take half a minute. */
  readonly isPatient: boolean
}

export class Stage {
  readonly parts: StageParts
  readonly disturbances = new Gate()
  readonly clients = new Gate()
  readonly extras = new Set<Extra>()
  /** Somebody makes Pantavisor, or the daemon itself, misbehave. */
  pantavisorIsBusy = false
  daemonIsBusy = false
  #over = false
  #nextId = 1

  constructor(parts: StageParts) {
    this.parts = parts
  }

  /** Actors stop at the next opportunity. */
  get over(): boolean {
    return this.#over
  }

  finish(): void {
    this.#over = true
  }

  get sites(): readonly Site[] {
    return [...this.parts.consumers, ...this.parts.providers]
  }

  note(text: string): void {
    this.parts.ledger.note(now(), text)
  }

  /** Pantavisor says how things are from now on. */
  publish(): void {
    this.parts.pantavisor.says(bodyOf(this.parts.links, this.extras))
  }

  linksOf(site: Site): readonly SoakLink[] {
    return this.parts.links.filter(({ consumer, service }) => consumer === site || service.site === site)
  }

  /** Do something to links: what they may do until they have settled again is excused. */
  async disturb(links: readonly SoakLink[], harm: Harm, act: () => Promise<void>): Promise<void> {
    for (const link of links) link.begin(harm)
    try {
      await act()
    } finally {
      for (const link of links) link.end()
    }
  }

  /** Until the daemon has acted upon what Pantavisor says now; false: the soak was over before. */
  async isRead(): Promise<boolean> {
    const { pantavisor } = this.parts
    const goal = pantavisor.goodAnswers + ANSWERS_UNTIL_DONE
    while (pantavisor.goodAnswers < goal) {
      if (this.#over) return false
      await nap(20)
    }
    return true
  }

  nextId(): number {
    this.#nextId += 1
    return this.#nextId
  }

  header(link: SoakLink, random: Random, how: Partial<Header>): Header {
    const id = this.nextId()
    return {
      id,
      // Both directions have seeds of their own, next to each other.
      seed: 2 * random.below(1_000_000),
      up: 100,
      down: 100,
      rights: false,
      packets: link.service.kind === 'seqpacket',
      how: 'turn',
      client_wait: 0,
      server_wait: 0,
      acknowledged: true,
      ...how,
    }
  }

  /** One short conversation; why it did not work, if so. */
  async probe(link: SoakLink): Promise<string | undefined> {
    const { consumer, target, service } = link
    if (!consumer.runs) return 'its consumer does not run'
    const { peer } = consumer
    const { type } = service
    try {
      const { outcome, why } =
        type === 'unix'
          ? await peer.talk(target, this.header(link, this.parts.random, {}))
          : await peer.use(type, target, probeFor(type, { consumer: consumer.name, number: service.number }))
      if (outcome === 'done') return undefined
      if (outcome === 'wrong') throw new Violation(`${link.key}: ${why}`)
      // A client of the right type cannot tell the daemon that it has planted the wrong one: one of the other can.
      if (type === 'unix' && why === 'EPROTOTYPE') await peer.leave(target, service.kind !== 'seqpacket', 1)
      return `${outcome}: ${why}`
    } catch (error) {
      if (error instanceof Violation || !consumer.wasDisturbedSince(link.since)) throw error
      return 'its consumer was restarted'
    }
  }

  /** Watches one link: after each disturbance it has to work again in time. */
  async keep(link: SoakLink): Promise<void> {
    const { daemon, pantavisor } = this.parts
    while (!this.#over) {
      await nap(40)
      if (link.isDisturbed || link.hasSettled) continue
      const { version } = link
      if (!(await this.isRead())) return
      let why: string | undefined = 'it is not mediating'
      while (!this.#over && link.version === version) {
        daemon.look()
        why = daemon.log.isIn(link.key, 'mediating') ? await this.probe(link) : why
        if (why === undefined) break
        const waited = now() - Math.max(link.since, pantavisor.wellSince)
        if (waited > SETTLES_WITHIN_MS) {
          const state = daemon.log.links.get(link.key) ?? 'not known to the daemon'
          throw new Violation(
            `${link.key} does not work, ${waited} ms after the last disturbance: ${why}; it is ${state}`,
          )
        }
        await nap(40)
      }
      if (link.version === version && why === undefined) link.excuses.settle(now())
    }
  }
}
