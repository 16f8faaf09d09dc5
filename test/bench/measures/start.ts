/** From the spawn of the process to a target that can be connected to, against a Node that has nothing to do. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type Bench, type Lane, type Measure, NOTHING_TO_CLOSE } from '../contract.ts'
import type { GraphDaemon } from '../graph-daemon.ts'
import { hostEntry } from '../graph-entries.ts'
import { isConnectable } from '../probe.ts'
import { exists, until } from '../until.ts'

const KEY = 'start'
const PATIENCE_MS = 10_000

/** Started as the daemons are, so that the same is on both sides of the ratio. */
const bareNode: Lane = {
  contender: 'node -e 0',
  role: 'reference',
  sample: async () => {
    const began = performance.now()
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, '-e', '0'], {
      stdio: 'ignore',
    })
    const [code]: readonly unknown[] = await once(child, 'exit')
    if (code !== 0) throw new Error(`node ended with ${code}`)
    return { [KEY]: performance.now() - began }
  },
}

const laneOf = (daemon: GraphDaemon, { newPath, provider }: Bench): Lane => {
  return {
    contender: daemon.name,
    role: daemon.role,
    sample: async () => {
      const target = newPath()
      const running = await daemon.start([hostEntry('start', provider, target)])
      try {
        const isUp = async (): Promise<boolean> => exists(target) && (await isConnectable(target))
        return { [KEY]: (await until('its target is there', isUp, PATIENCE_MS)) - running.spawnedAt }
      } finally {
        await running.stop()
      }
    },
  }
}

export const start: Measure = {
  name: 'start',
  title: 'from the start of the process to its first link',
  needsContenders: false,
  // One takes a tenth of a second, and differs from the next by as much.
  rounds: settings => 2 * settings.rounds,
  open: async bench => ({
    trials: [
      {
        figures: [
          {
            key: KEY,
            title: 'its target can be connected to',
            unit: 'ms',
            better: 'less',
            bars: [{ ratioTo: 'reference', bound: 'at most', value: 3 }],
          },
        ],
        lanes: [bareNode, ...bench.daemons.map(daemon => laneOf(daemon, bench))],
      },
    ],
    close: NOTHING_TO_CLOSE,
  }),
}
