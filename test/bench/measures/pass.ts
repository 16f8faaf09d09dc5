/**
 * What a pass over links that need nothing costs: time on a core, all threads included, while the graph is read as often
 * as it may be. A daemon without passes does nothing, so nothing is taken off: what threads of Node's do is for the passes.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, Measure } from '../contract.ts'
import { NOTHING_TO_CLOSE } from '../contract.ts'
import { type GraphDaemon, startUp } from '../graph-daemon.ts'
import { onTheHost } from '../graph-entries.ts'
import { cpuMs } from '../processes.ts'
import { areThere } from '../until.ts'

const LINKS = 1000
const INTERVAL_MS = 50

/** How long passes run before they are counted, and how long they are: looks at whole paths, every 5 s, are in it. */
const times = (quick: boolean) => (quick ? { settleMs: 200, forMs: 500 } : { settleMs: 1000, forMs: 6000 })

/** Milliseconds on a core a pass. */
const costOfAPass = async (daemon: GraphDaemon, bench: Bench, count: number): Promise<number> => {
  const { settleMs, forMs } = times(bench.settings.quick)
  const { entries, targets } = onTheHost(bench.newPath(), bench.provider, count)
  const there = areThere(targets)
  const running = await startUp(
    () => daemon.start(entries, INTERVAL_MS),
    ({ asked }) => there() && asked() > 1,
  )
  try {
    await sleep(settleMs)
    const before = { cpu: cpuMs(running.pid), asked: running.asked() }
    await sleep(forMs)
    const passes = running.asked() - before.asked
    if (passes === 0) throw new Error('it made no pass')
    return (cpuMs(running.pid) - before.cpu) / passes
  } finally {
    await running.stop()
  }
}

export const pass: Measure = {
  name: 'pass',
  title: 'one pass in which nothing has changed',
  needsContenders: false,
  rounds: settings => Math.min(settings.rounds, 2),
  open: async bench => ({
    trials: [
      {
        figures: [
          {
            key: 'links-1000',
            title: 'over 1,000 links, reading the graph included',
            unit: 'ms of a core',
            better: 'less',
            bars: [{ ratioTo: null, bound: 'at most', value: 2 }],
          },
          {
            key: 'links-0',
            title: 'over an empty graph, reading it included',
            unit: 'ms of a core',
            better: 'less',
            bars: [],
          },
        ],
        // A peer cannot be told its interval, so there would be too few passes to tell.
        lanes: bench.daemons
          .filter(({ role }) => role === 'ours')
          .map(daemon => ({
            contender: daemon.name,
            role: daemon.role,
            sample: async () => ({
              'links-1000': await costOfAPass(daemon, bench, LINKS),
              'links-0': await costOfAPass(daemon, bench, 0),
            }),
          })),
      },
    ],
    close: NOTHING_TO_CLOSE,
  }),
}
