/** How long 1,000 links take to be there, and to be gone: all on the host, and in real containers. */
import { join } from 'node:path'
import { type Container, startContainer } from '../../support/container.ts'
import type { Entry } from '../../support/pv-ctrl.ts'
import { hostEntry } from '../contenders.ts'
import type { Bench, Lane, Measure, Trial } from '../contract.ts'
import type { GraphDaemon } from '../graph-daemon.ts'
import { isConnectable, until, untilAllExist, untilNoneExists } from '../until.ts'

const LINKS = 1000
const CONTAINERS = 10
const PATIENCE_MS = 30_000

interface Planned {
  readonly entries: readonly Entry[]
  /** Where the host sees each target, in the same order. */
  readonly targets: readonly string[]
}

export const onTheHost = (folder: string, provider: string, count: number): Planned => {
  const targets = Array.from({ length: count }, (_, i) => `${folder}-${i}.sock`)
  return { entries: targets.map((target, i) => hostEntry(`link-${i}`, provider, target)), targets }
}

const inContainers = (containers: readonly Container[], provider: string): Planned => {
  const planned = containers.flatMap(container =>
    Array.from({ length: LINKS / CONTAINERS }, (_, i) => {
      const target = `/run/bench-${i}.sock`
      return {
        entry: {
          ...hostEntry(`link-${i}`, provider, target),
          consumer: container.name,
          consumer_pid: container.pid,
        },
        target: container.path(target),
      }
    }),
  )
  return { entries: planned.map(({ entry }) => entry), targets: planned.map(({ target }) => target) }
}

const sample = async (daemon: GraphDaemon, { entries, targets }: Planned) => {
  const running = await daemon.start(entries)
  try {
    await until('it reads the graph', () => running.firstAnsweredAt() !== undefined, PATIENCE_MS)
    const answeredAt = running.firstAnsweredAt() ?? Number.NaN
    const there = (await untilAllExist(targets, PATIENCE_MS)) - answeredAt
    for (const target of targets) {
      if (!(await isConnectable(target))) throw new Error('a target is there, but cannot be connected to')
    }
    const emptyAt = await running.serve([])
    return { there, gone: (await untilNoneExists(targets, PATIENCE_MS)) - emptyAt }
  } finally {
    await running.stop()
  }
}

const trialOf = (
  where: string,
  words: string,
  { daemons }: Bench,
  planFor: (daemon: GraphDaemon) => Planned,
): Trial => ({
  figures: [
    {
      key: `there-${where}`,
      title: `${words}: from the first graph to all there`,
      unit: 'ms',
      better: 'less',
      bars: [{ ratioTo: null, bound: 'at most', value: 1000 }],
    },
    {
      key: `gone-${where}`,
      title: `${words}: from an empty graph to none there`,
      unit: 'ms',
      better: 'less',
      bars: [],
    },
  ],
  lanes: daemons.map((daemon): Lane => {
    const plan = planFor(daemon)
    return {
      contender: daemon.name,
      role: daemon.role,
      sample: async () => {
        const { there, gone } = await sample(daemon, plan)
        return { [`there-${where}`]: there, [`gone-${where}`]: gone }
      },
    }
  }),
})

export const links: Measure = {
  name: 'links',
  title: '1,000 links',
  needsContenders: false,
  rounds: settings => Math.min(settings.rounds, 3),
  open: async bench => {
    const containers: Container[] = []
    const close = async (): Promise<void> => {
      await Promise.all(containers.map(container => container.kill()))
    }
    try {
      for (let i = 0; i < CONTAINERS; i += 1) {
        containers.push(await startContainer(`consumer-${i}`, bench.scratch))
      }
    } catch (error) {
      await close()
      throw error
    }
    return {
      trials: [
        trialOf('containers', '100 in each of 10 containers', bench, () =>
          inContainers(containers, bench.provider),
        ),
        trialOf('host', 'on the host', bench, daemon =>
          onTheHost(join(bench.scratch, `links-${daemon.role}`), bench.provider, LINKS),
        ),
      ],
      close,
    }
  },
}
