/**
 * Quiet points: nothing is done to anybody, no client is there. Then everything that is wanted works, the daemon has
 * nothing to do, and after an empty graph nothing is left of anything.
 */
import { grown } from '../support/daemon-descriptors.ts'
import { eventually } from '../support/eventually.ts'
import { nap, now } from './clock.ts'
import type { SoakDaemon } from './daemon.ts'
import { type Groups, nothingIsMounted, stillCounted } from './kernel-leftovers.ts'
import { Violation } from './ledger.ts'
import { nothingIsPlanted, tidyUp } from './leftovers.ts'
import type { Stage } from './stage.ts'
import type { Sample } from './statistics.ts'

/** Five reads of the graph a second take a few percent; a loop that spins takes all there is. */
const MOST_IDLE_LOAD = 0.25
const LOAD_WINDOW_MS = 500
/** The collector of garbage may have work left from before. */
const IDLE_WITHIN_MS = 15_000
const RELEASED_WITHIN_MS = 30_000
const CLOSED_WITHIN_MS = 15_000
/** Who is half closed is heard for as long as `--linger` says. */
const COUNTED_WITHIN_MS = 75_000

export interface QuietPoint {
  readonly at: number
  /** Of which life of the daemon. */
  readonly life: number
  /** Kilobytes that are its own, with an empty graph. */
  readonly memory: number
  readonly descriptors: number
  /** The part of a processor it used, links up and nobody there. */
  readonly load: number
}

export const memorySamples = (points: readonly QuietPoint[]): readonly Sample[] => {
  const life = points.at(-1)?.life
  return points.filter(point => point.life === life).map(({ at, memory }) => ({ at, value: memory }))
}

/** A wait that was in vain is a violation. */
const holds = async <A>(waiting: Promise<A>): Promise<A> => {
  try {
    return await waiting
  } catch (error) {
    if (error instanceof Violation || !(error instanceof Error)) throw error
    const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
    throw new Violation(error.message + cause)
  }
}

const everythingHasSettled = async (stage: Stage): Promise<void> => {
  // Whoever keeps the link throws if it takes too long.
  while (!stage.over && stage.parts.links.some(link => !link.hasSettled)) await nap(20)
}

const everythingWorks = async (stage: Stage): Promise<void> => {
  for (const link of stage.parts.links) {
    const why = await stage.probe(link)
    if (why !== undefined) throw new Violation(`${link.key} does not work at a quiet point: ${why}`)
  }
}

const everythingIsReleased = (daemon: SoakDaemon): Promise<boolean> =>
  holds(
    eventually(
      'every link is released after an empty graph',
      () => {
        daemon.look()
        if (daemon.log.links.size === 0) return true
        throw new Error([...daemon.log.links].map(([link, state]) => `${link} is ${state}`).join(', '))
      },
      RELEASED_WITHIN_MS,
    ),
  )

const nobodyIsCounted = (daemon: SoakDaemon): Promise<boolean> =>
  holds(
    eventually(
      'no link counts a connection where no client is',
      async () => {
        const counted = await stillCounted(daemon)
        if (counted.length === 0) return true
        throw new Error(counted.join('; '))
      },
      COUNTED_WITHIN_MS,
    ),
  )

const descriptorsAreBack = (daemon: SoakDaemon, base: readonly string[]): Promise<boolean> =>
  holds(
    eventually(
      'the daemon holds as many descriptors as at its start',
      () => {
        const more = grown(base, daemon.descriptors)
        if (more.length === 0) return true
        throw new Error(more.join('; '))
      },
      CLOSED_WITHIN_MS,
    ),
  )

export interface Resting {
  /** The descriptors of a daemon that has nothing to do yet. */
  readonly base: readonly string[]
  /** Where the containers have their roots. */
  readonly scratch: string
  readonly groups: Groups
}

/** Come to rest, look, and go on. */
export const comeToRest = async (
  stage: Stage,
  { base, scratch, groups }: Resting,
): Promise<QuietPoint | undefined> => {
  const { daemon, pantavisor, links } = stage.parts
  await stage.disturbances.close()
  await everythingHasSettled(stage)
  await stage.clients.close()
  if (stage.over) return undefined
  stage.note('at rest')
  await everythingWorks(stage)
  await nobodyIsCounted(daemon)
  const load = await holds(daemon.isIdle(MOST_IDLE_LOAD, LOAD_WINDOW_MS, IDLE_WITHIN_MS))

  let point: QuietPoint | undefined
  await stage.disturb(links, 'cuts', async () => {
    pantavisor.says('[]')
    stage.note('the graph is empty')
    await stage.isRead()
    await everythingIsReleased(daemon)
    nothingIsPlanted(stage)
    nothingIsMounted(stage, scratch, daemon.pid)
    groups.look()
    tidyUp(stage)
    await descriptorsAreBack(daemon, base)
    await holds(daemon.isIdle(MOST_IDLE_LOAD, LOAD_WINDOW_MS, IDLE_WITHIN_MS))
    point = {
      at: now(),
      life: daemon.lives,
      memory: daemon.anonymousMemory,
      descriptors: daemon.descriptors.length,
      load,
    }
    stage.publish()
    stage.note('the graph is as it was')
  })
  stage.disturbances.open()
  stage.clients.open()
  return point
}
