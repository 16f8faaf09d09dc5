/** What it costs to record: 1,000 links set up by a daemon that does, against one that does not. */
import { join } from 'node:path'
import { type Bench, type Lane, type Measure, NOTHING_TO_CLOSE, type Role } from '../contract.ts'
import { type GraphDaemon, ours } from '../graph-daemon.ts'
import { onTheHost } from '../graph-entries.ts'
import { cpuMs } from '../processes.ts'
import { areThere, until } from '../until.ts'

const LINKS = 1000
const PATIENCE_MS = 30_000

const laneOf = (daemon: GraphDaemon, role: Role, { newPath, provider }: Bench): Lane => ({
  contender: daemon.name,
  role,
  sample: async () => {
    const { entries, targets } = onTheHost(newPath(), provider, LINKS)
    const running = await daemon.start([])
    try {
      await until('it reads the graph', () => running.firstAnsweredAt() !== undefined, PATIENCE_MS)
      const before = cpuMs(running.pid)
      const saidAt = await running.serve(entries)
      const there = (await until('1,000 targets are there', areThere(targets), PATIENCE_MS)) - saidAt
      return { there, core: cpuMs(running.pid) - before }
    } finally {
      await running.stop()
    }
  },
})

export const recording: Measure = {
  name: 'recording',
  title: 'what a recording costs',
  needsContenders: false,
  // The third part of a tenth is looked for, and one start differs from the next by more.
  rounds: settings => 3 * settings.rounds,
  open: async bench => ({
    trials: [
      {
        figures: [
          {
            key: 'there',
            title: '1,000 links on the host: from their graph to all there',
            unit: 'ms',
            better: 'less',
            bars: [{ ratioTo: 'reference', bound: 'at most', value: 1.03 }],
          },
          {
            key: 'core',
            title: 'until then',
            unit: 'ms of a core',
            better: 'less',
            bars: [],
          },
        ],
        lanes: [
          laneOf(ours(bench.scratch, 'not recording'), 'reference', bench),
          laneOf(
            ours(bench.scratch, 'recording', run => ['--record', join(run, 'daemon.rec')]),
            'ours',
            bench,
          ),
        ],
      },
    ],
    close: NOTHING_TO_CLOSE,
  }),
}
