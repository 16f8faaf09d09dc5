/** The clients of a link: all kinds of them, one after the other, each judged by what became of it. */
import type { Random } from '../support/random.ts'
import { nap, now } from './clock.ts'
import { Violation } from './ledger.ts'
import type { SoakLink } from './links.ts'
import type { Header, Outcome, Problem, UseType } from './peer.ts'
import type { Stage } from './stage.ts'
import { planFor } from './uses.ts'

/** What a provider may still complain about. */
interface Talk {
  readonly link: SoakLink
  readonly kind: string
  readonly from: number
  to: number | undefined
  established: number | null
}

const FORGOTTEN_AFTER_MS = 200_000

type Plan = (random: Random) => Partial<Header>

interface ClientKind {
  readonly name: string
  /** How often, compared with the others. */
  readonly weight: number
  readonly plan: Plan
}

const KIB = 1024
const MIB = 1024 * 1024

const KINDS: readonly ClientKind[] = [
  {
    name: 'short',
    weight: 8,
    plan: random => ({ how: 'both', up: random.below(2000), down: random.below(2000) }),
  },
  {
    name: 'bulk',
    weight: 1,
    plan: random => ({ how: 'both', up: random.between(1, 6 * MIB), down: random.between(1, 6 * MIB) }),
  },
  {
    name: 'half-close',
    weight: 3,
    plan: random => ({ how: 'turn', up: random.below(64 * KIB), down: random.below(MIB) }),
  },
  {
    name: 'vanishing consumer',
    weight: 2,
    plan: random => ({
      how: 'vanish',
      up: random.below(600 * KIB),
      down: random.below(MIB),
      acknowledged: random.chance(0.5),
      server_wait: random.chance(0.3) ? random.below(300) : 0,
    }),
  },
  {
    name: 'vanishing provider',
    weight: 2,
    plan: random => ({
      how: 'hangup',
      up: random.below(MIB),
      down: random.below(600 * KIB),
      client_wait: random.chance(0.3) ? random.below(300) : 0,
    }),
  },
  {
    name: 'stalled reader',
    weight: 2,
    plan: random => ({
      how: 'both',
      up: random.between(1, 3 * MIB),
      down: random.between(1, 3 * MIB),
      client_wait: random.below(1200),
      server_wait: random.below(1200),
    }),
  },
  {
    name: 'descriptors',
    weight: 4,
    plan: random => ({
      how: random.pick(['both', 'both', 'turn']),
      rights: true,
      up: random.below(100 * KIB),
      down: random.below(100 * KIB),
      client_wait: random.chance(0.2) ? random.below(400) : 0,
      server_wait: random.chance(0.2) ? random.below(400) : 0,
    }),
  },
  {
    name: 'descriptors to one who leaves',
    weight: 1,
    plan: random => ({
      how: random.pick(['vanish', 'hangup']),
      rights: true,
      up: random.below(100 * KIB),
      down: random.below(100 * KIB),
    }),
  },
]

const TOTAL_WEIGHT = KINDS.reduce((sum, { weight }) => sum + weight, 0)

const kindFor = (random: Random): ClientKind => {
  let left = random.below(TOTAL_WEIGHT)
  for (const kind of KINDS) {
    left -= kind.weight
    if (left < 0) return kind
  }
  throw new Error('weights that do not add up')
}

export class Clients {
  readonly #stage: Stage
  readonly #talks = new Map<number, Talk>()

  constructor(stage: Stage) {
    this.#stage = stage
  }

  /** One after the other, until the soak is over. */
  async actOn(link: SoakLink, random: Random): Promise<void> {
    const { clients } = this.#stage
    while (!this.#stage.over) {
      if (link.consumer.runs && link.inGraph) await clients.through(() => this.#one(link, random))
      await nap(random.between(5, 250))
    }
  }

  async #one(link: SoakLink, random: Random): Promise<void> {
    const { consumer, target } = link
    const from = now()
    try {
      const { type } = link.service
      if (type !== 'unix') await this.#use(link, type, random)
      else if (random.chance(0.03)) await this.#storm(link, random)
      else if (random.chance(0.08)) await this.#leave(link, random)
      else await this.#talk(link, random)
    } catch (error) {
      if (error instanceof Violation || !consumer.wasDisturbedSince(from)) throw error
      this.#stage.parts.ledger.conversation('of a consumer that ended', 'lost')
      this.#stage.note(`a client of ${link.name} at ${target} ended with its container`)
    }
  }

  async #talk(link: SoakLink, random: Random): Promise<void> {
    const { name, plan } = kindFor(random)
    const header = this.#stage.header(link, random, plan(random))
    const talk: Talk = { link, kind: name, from: now(), to: undefined, established: null }
    this.#talks.set(header.id, talk)
    const outcome = await link.consumer.peer.talk(link.target, header)
    talk.to = now()
    talk.established = outcome.established ?? null
    this.#judge(talk, outcome, JSON.stringify(header))
    this.#forget()
  }

  /** One conversation of a link that is not `unix`. */
  async #use(link: SoakLink, type: UseType, random: Random): Promise<void> {
    const { consumer, service, target } = link
    const from = now()
    const plan = planFor(type, random, { consumer: consumer.name, number: service.number })
    const outcome = await consumer.peer.use(type, target, plan)
    const established = outcome.established ?? null
    this.#judge({ link, kind: type, from, to: now(), established }, outcome, JSON.stringify(plan))
  }

  async #storm(link: SoakLink, random: Random): Promise<void> {
    const headers = Array.from({ length: random.between(10, 60) }, () =>
      this.#stage.header(link, random, { acknowledged: false }),
    )
    const talk: Talk = { link, kind: 'storm', from: now(), to: undefined, established: null }
    for (const { id } of headers) this.#talks.set(id, talk)
    const outcomes = await link.consumer.peer.storm(link.target, headers)
    talk.to = now()
    for (const outcome of outcomes) this.#judge(talk, outcome, `one of ${headers.length}`)
  }

  async #leave(link: SoakLink, random: Random): Promise<void> {
    const from = now()
    const { peer } = link.consumer
    const why = await peer.leave(link.target, link.service.kind === 'seqpacket', random.between(1, 20))
    this.#stage.parts.ledger.conversation('connect and leave', why === '' ? 'done' : 'refused')
    if (why !== '' && !link.excuses.mayRefuse(from, now())) {
      throw new Violation(`${link.key}: a connection was refused: ${why}`)
    }
  }

  #judge(talk: Talk, { outcome, why = '', bytes = 0, descriptors = 0 }: Outcome, what: string): void {
    const { ledger } = this.#stage.parts
    const { link, kind, from, to = now(), established } = talk
    ledger.conversation(kind, outcome)
    ledger.bytes += bytes
    ledger.descriptors += descriptors
    const refused = outcome === 'refused' && link.excuses.mayRefuse(from, to)
    const cut = outcome === 'cut' && link.excuses.mayCut(from, to, established)
    if (outcome === 'done' || refused || cut) return
    const age = `begun ${now() - from} ms ago, ${established === null ? 'never' : `${now() - established} ms ago`} established`
    throw new Violation(`${link.key}: ${kind} was ${outcome}: ${why} (${age}; ${what})`)
  }

  /** What the providers saw. They may have been cut where their client had left, so only they could tell. */
  judgeProblems(problems: readonly Problem[], from: string): void {
    for (const { id, at, outcome, why } of problems) {
      const talk = this.#talks.get(id)
      if (outcome === 'cut') {
        // Those nobody remembers were probes, which are made while a link is disturbed.
        if (talk === undefined) continue
        if (talk.link.excuses.mayCut(talk.from, at, talk.established)) continue
      }
      const whose = talk === undefined ? 'a conversation' : `${talk.link.key}: ${talk.kind}`
      throw new Violation(`${whose}, as ${from} saw it, was ${outcome}: ${why}`)
    }
  }

  /** What the providers of other links than `unix` saw: they were sent what nobody had sent. */
  judgeFaults([fault]: readonly string[], from: string): void {
    if (fault !== undefined) throw new Violation(`a provider in ${from} was told what nobody said: ${fault}`)
  }

  #forget(): void {
    const oldest = now() - FORGOTTEN_AFTER_MS
    for (const [id, { from }] of this.#talks) {
      if (from > oldest) return
      this.#talks.delete(id)
    }
  }
}
