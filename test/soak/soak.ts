/**
 * A soak: clients of all kinds on links of all kinds, while everything around them is killed, moved and misled; and the
 * invariants that hold nevertheless. Ends at the first that does not, or when its time is over.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../support/eventually.ts'
import { type Random, randomOf } from '../support/random.ts'
import { castIn } from './cast.ts'
import { Clients } from './clients.ts'
import { nap, now } from './clock.ts'
import { SoakDaemon } from './daemon.ts'
import { CONSUMERS } from './disturbances/consumers.ts'
import { DRAIN, KILL } from './disturbances/daemon.ts'
import type { Disturbance } from './disturbances/disturbance.ts'
import { GRAPH } from './disturbances/graph.ts'
import { LISTENERS } from './disturbances/listeners.ts'
import { PROVIDERS } from './disturbances/providers.ts'
import { Groups } from './kernel-leftovers.ts'
import { Ledger, Violation } from './ledger.ts'
import { nothingIsPlanted } from './leftovers.ts'
import { Pantavisor } from './pantavisor.ts'
import { comeToRest, memorySamples, type QuietPoint } from './quiet.ts'
import { replayAll } from './recordings.ts'
import { Stage } from './stage.ts'
import { growth, slopePerMinute } from './statistics.ts'

export interface SoakOptions {
  readonly seed: number
  readonly seconds: number
  /** SIGKILL it now and then, and start it again. */
  readonly killDaemon: boolean
  /** Tell it to end now and then, and start it again. */
  readonly drainDaemon: boolean
  /** A folder that takes the daemon's logs, one a life, and one of what was done to it. */
  readonly logs: string
  readonly say: (line: string) => void
}

/** Many small ones at once rather than few large ones: two processors are enough for this. */
const DISTURBERS = 3
const CLIENTS_A_LINK = 2
/** From here on there is time for things that take half a minute. */
const PATIENT_FROM_S = 240

const SHORTEST_UNREST_MS = 5000
const LONGEST_UNREST_MS = 15_000
const RESTS = 6
const LOOK_EVERY_MS = 100
const ASK_PROVIDERS_EVERY_MS = 700
const SAY_EVERY_MS = 30_000

/**
 * What the median of the last quiet points may be above that of the first, in kilobytes: V8's heap has its tides. A leak
 * of a hundred bytes a connection is beyond this within minutes.
 */
const MOST_GROWTH_KB = 8192

/** A disturbance moves a few links, each through a few states; nobody may fill a disk with the rest. */
const LINES_A_DISTURBANCE = 100
const LINES_A_MINUTE = 300

export interface Summary {
  readonly ledger: Ledger
  readonly lives: number
  readonly points: readonly QuietPoint[]
  readonly descriptors: { readonly base: number; readonly peak: number; readonly end: number }
  /** Kilobytes a minute. */
  readonly memorySlope: number
  /** Kilobytes that the last quiet points are above the first; `undefined`: there were too few to tell. */
  readonly memoryGrowth: number | undefined
  readonly logLines: number
  /** Recordings that were replayed. */
  readonly recordings: number
}

/** A soak that failed: why, and what is needed to look into it. */
export class SoakFailed extends Error {
  override readonly name = 'SoakFailed'
  readonly lastActions: readonly string[]
  readonly lastWords: readonly string[]
  /** Kilobytes, at the quiet points there were. */
  readonly memory: readonly number[]

  constructor(why: unknown, ledger: Ledger, daemon: SoakDaemon, points: readonly QuietPoint[]) {
    const itself = why instanceof Error ? why.stack : String(why)
    super(why instanceof Violation ? why.message : `the soak itself failed: ${itself}`, { cause: why })
    this.lastActions = ledger.lastActions
    this.lastWords = daemon.log.lastLines
    this.memory = points.map(({ memory }) => memory)
  }
}

class Soak {
  readonly #options: SoakOptions
  readonly #scratch = mkdtempSync(join(tmpdir(), 'pvx-soak-'))
  readonly #startedAt = now()
  readonly #random: Random
  readonly #stage: Stage
  readonly #clients: Clients
  readonly #groups: Groups
  readonly #points: QuietPoint[] = []
  #actors: readonly Promise<void>[] = []
  #base: readonly string[] = []
  #peak = 0
  #recordings = 0
  #counted = { at: now(), lines: 0, disturbances: 0 }

  constructor(options: SoakOptions) {
    this.#options = options
    this.#random = randomOf(options.seed)
    const pantavisor = new Pantavisor(join(this.#scratch, 'pv-ctrl'))
    this.#stage = new Stage({
      ...castIn(this.#scratch),
      random: this.#random.fork('stage'),
      ledger: new Ledger(this.#startedAt, join(options.logs, 'actions.log')),
      pantavisor,
      daemon: new SoakDaemon(options.logs, pantavisor.path),
      isPatient: options.seconds >= PATIENT_FROM_S,
    })
    this.#clients = new Clients(this.#stage)
    const { consumers } = this.#stage.parts
    this.#groups = new Groups(consumers.filter(({ name }) => name === 'app' || name === 'guest'))
  }

  async run(): Promise<Summary> {
    const { daemon, ledger, pantavisor } = this.#stage.parts
    try {
      await this.#setUp()
      this.#actors = this.#play()
      await Promise.all(this.#actors)
      await pantavisor.stop()
      await daemon.drain()
      daemon.look()
      nothingIsPlanted(this.#stage)
      this.#groups.look()
      this.#recordings = await replayAll(daemon.recordings)
      return this.#summary()
    } catch (why) {
      daemon.readOn()
      throw new SoakFailed(why, ledger, daemon, this.#points)
    } finally {
      await this.#strike()
    }
  }

  async #setUp(): Promise<void> {
    const { pantavisor, daemon, links } = this.#stage.parts
    await pantavisor.start()
    await Promise.all(this.#stage.sites.map(site => site.start()))
    await daemon.start()
    // With its first graph, an empty one, it has all that it holds when it has nothing to do.
    await eventually('the daemon reads the graph', () => pantavisor.goodAnswers > 1)
    this.#base = await daemon.fewestDescriptors()
    await this.#stage.disturb(links, 'cuts', async () => this.#stage.publish())
  }

  #play(): readonly Promise<void>[] {
    const { links } = this.#stage.parts
    return [
      this.#watch(),
      this.#askProviders(),
      this.#rest(),
      ...links.map(link => this.#stage.keep(link)),
      ...links.flatMap(link =>
        Array.from({ length: CLIENTS_A_LINK }, (_, index) =>
          this.#clients.actOn(link, this.#random.fork(`${link.consumer.name} ${link.name} ${index}`)),
        ),
      ),
      ...Array.from({ length: DISTURBERS }, (_, index) =>
        this.#disturb(this.#random.fork(`disturber ${index}`)),
      ),
    ]
  }

  async #disturb(random: Random): Promise<void> {
    const { killDaemon, drainDaemon } = this.#options
    const kinds: readonly Disturbance[] = [
      ...PROVIDERS,
      ...CONSUMERS,
      ...GRAPH,
      ...LISTENERS,
      ...(killDaemon ? [KILL] : []),
      ...(drainDaemon ? [DRAIN] : []),
    ]
    const total = kinds.reduce((sum, { weight }) => sum + weight, 0)
    while (!this.#stage.over) {
      await nap(random.between(50, 700))
      let left = random.below(total)
      const kind = kinds.find(({ weight }) => {
        left -= weight
        return left < 0
      })
      await this.#stage.disturbances.through(async () => {
        if (kind !== undefined && (await kind.run(this.#stage, random))) {
          this.#stage.parts.ledger.disturbance(kind.name)
        }
      })
    }
  }

  async #watch(): Promise<void> {
    const { daemon } = this.#stage.parts
    let saidAt = now()
    while (!this.#stage.over) {
      await nap(LOOK_EVERY_MS)
      daemon.look()
      if (daemon.runs) this.#peak = Math.max(this.#peak, daemon.descriptors.length)
      if (now() - saidAt < SAY_EVERY_MS) continue
      saidAt = now()
      this.#options.say(this.#progress())
    }
  }

  #progress(): string {
    const { ledger, daemon } = this.#stage.parts
    const { conversations, disturbances } = ledger.totals
    const point = this.#points.at(-1)
    return [
      `${Math.round((now() - this.#startedAt) / 1000)} s`.padStart(8),
      `${conversations} conversations, ${disturbances} disturbances`,
      `${(ledger.bytes / 1e6).toFixed(0)} MB, ${ledger.descriptors} descriptors`,
      `the daemon: ${point === undefined ? '?' : point.memory} kB, ${daemon.loudLines} lines`,
    ].join('; ')
  }

  /** What the providers complain about, as long as they live. */
  async #askProviders(): Promise<void> {
    while (!this.#stage.over) {
      await nap(ASK_PROVIDERS_EVERY_MS)
      for (const site of this.#stage.parts.providers) {
        const from = now()
        if (!site.runs || site.busy) continue
        try {
          this.#clients.judgeProblems(await site.peer.problems(), site.name)
          this.#clients.judgeFaults(await site.peer.faults(), site.name)
        } catch (error) {
          if (error instanceof Violation || !site.wasDisturbedSince(from)) throw error
        }
      }
    }
  }

  /** Quiet points, the last of them when the time is over. */
  async #rest(): Promise<void> {
    const end = this.#startedAt + this.#options.seconds * 1000
    const every = (this.#options.seconds * 1000) / RESTS
    const unrest = Math.min(LONGEST_UNREST_MS, Math.max(SHORTEST_UNREST_MS, every))
    while (!this.#stage.over) {
      const until = Math.min(end, now() + unrest)
      while (now() < until && !this.#stage.over) await nap(LOOK_EVERY_MS)
      const point = await comeToRest(this.#stage, {
        base: this.#base,
        scratch: this.#scratch,
        groups: this.#groups,
      })
      if (point === undefined) return
      this.#points.push(point)
      this.#judgeLog()
      this.#judgeMemory()
      if (now() >= end) this.#stage.finish()
    }
  }

  #judgeLog(): void {
    const { daemon, ledger } = this.#stage.parts
    const before = this.#counted
    this.#counted = { at: now(), lines: daemon.loudLines, disturbances: ledger.totals.disturbances }
    const { at, lines, disturbances } = this.#counted
    const most =
      LINES_A_DISTURBANCE * (disturbances - before.disturbances + 1) +
      (LINES_A_MINUTE * (at - before.at)) / 60_000
    if (lines - before.lines > most) {
      throw new Violation(
        `the daemon logged ${lines - before.lines} lines where ${Math.round(most)} would be many`,
      )
    }
  }

  #judgeMemory(): void {
    const grown = growth(memorySamples(this.#points))
    if (grown === undefined || grown <= MOST_GROWTH_KB) return
    const samples = memorySamples(this.#points).map(({ value }) => value)
    throw new Violation(
      `the daemon has grown by ${grown} kB; at its quiet points it had ${samples.join(', ')} kB`,
    )
  }

  #summary(): Summary {
    const { ledger, daemon } = this.#stage.parts
    const samples = memorySamples(this.#points)
    return {
      ledger,
      lives: daemon.lives,
      points: this.#points,
      descriptors: {
        base: this.#base.length,
        peak: this.#peak,
        end: this.#points.at(-1)?.descriptors ?? this.#base.length,
      },
      memorySlope: slopePerMinute(samples),
      memoryGrowth: growth(samples),
      logLines: daemon.loudLines,
      recordings: this.#recordings,
    }
  }

  async #strike(): Promise<void> {
    const { pantavisor, daemon } = this.#stage.parts
    this.#stage.finish()
    // A container that is being started can only be killed once it is there.
    await this.#stage.disturbances.close()
    if (daemon.runs) await daemon.kill()
    await Promise.all(this.#stage.sites.map(site => site.kill()))
    await Promise.allSettled(this.#actors)
    await pantavisor.stop()
    this.#groups.remove()
    rmSync(this.#scratch, { recursive: true, force: true })
  }
}

/** Rejects with `SoakFailed`. Whatever happens, nothing that it started is left running. */
export const soak = (options: SoakOptions): Promise<Summary> => new Soak(options).run()
