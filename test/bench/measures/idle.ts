/** What a daemon costs that has nothing to do but look whether there is something to do. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Measure, NOTHING_TO_CLOSE } from '../contract.ts'
import { startUp } from '../graph-daemon.ts'
import { onTheHost } from '../graph-entries.ts'
import { cpuMs } from '../processes.ts'
import { areThere } from '../until.ts'

const LINKS = 100
const KEY = 'idle'

const times = (quick: boolean) => (quick ? { settleMs: 500, forMs: 2000 } : { settleMs: 3000, forMs: 15_000 })

export const idle: Measure = {
  name: 'idle',
  title: '100 links without traffic, graph read at the default interval',
  needsContenders: false,
  rounds: () => 1,
  open: async ({ daemons, newPath, provider, settings }) => ({
    trials: [
      {
        figures: [
          {
            key: KEY,
            title: 'time on a core',
            unit: '%',
            better: 'less',
            bars: [{ ratioTo: null, bound: 'at most', value: 0.3 }],
          },
        ],
        lanes: daemons.map(daemon => ({
          contender: daemon.name,
          role: daemon.role,
          sample: async () => {
            const { entries, targets } = onTheHost(newPath(), provider, LINKS)
            const running = await startUp(() => daemon.start(entries), areThere(targets))
            try {
              const { settleMs, forMs } = times(settings.quick)
              await sleep(settleMs)
              const began = { at: performance.now(), cpu: cpuMs(running.pid) }
              await sleep(forMs)
              return { [KEY]: (100 * (cpuMs(running.pid) - began.cpu)) / (performance.now() - began.at) }
            } finally {
              await running.stop()
            }
          },
        })),
      },
    ],
    close: NOTHING_TO_CLOSE,
  }),
}
