/** How long 1,000 links take to be there, and to be gone: all on the host, and in real containers. */
import { type Container, startContainer } from '../../support/container.ts'
import type { Bench, Lane, Measure, Trial } from '../contract.ts'
import type { GraphDaemon } from '../graph-daemon.ts'
import { type Graph, inContainers, onTheHost } from '../graph-entries.ts'
import { isConnectable } from '../probe.ts'
import { areGone, areThere, until } from '../until.ts'

const LINKS = 1000
const CONTAINERS = 10
const PATIENCE_MS = 30_000

const sample = async (daemon: GraphDaemon, { entries, targets }: Graph) => {
  const running = await daemon.start(entries)
  try {
    await until('it reads the graph', () => running.firstAnsweredAt() !== undefined, PATIENCE_MS)
    const answeredAt = running.firstAnsweredAt() ?? Number.NaN
    const there = (await until('1,000 targets are there', areThere(targets), PATIENCE_MS)) - answeredAt
    for (const target of targets) {
      if (!(await isConnectable(target))) throw new Error('a target is there, but cannot be connected to')
    }
    const emptyAt = await running.serve([])
    return { there, gone: (await until('1,000 targets are gone', areGone(targets), PATIENCE_MS)) - emptyAt }
  } finally {
    await running.stop()
  }
}

const trialOf = (where: string, words: string, { daemons }: Bench, graphFor: () => Graph): Trial => ({
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
  lanes: daemons.map(
    (daemon): Lane => ({
      contender: daemon.name,
      role: daemon.role,
      sample: async () => {
        const { there, gone } = await sample(daemon, graphFor())
        return { [`there-${where}`]: there, [`gone-${where}`]: gone }
      },
    }),
  ),
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
          inContainers(containers, bench.provider, LINKS / CONTAINERS),
        ),
        trialOf('host', 'on the host', bench, () => onTheHost(bench.newPath(), bench.provider, LINKS)),
      ],
      close,
    }
  },
}
