/** Memory of a daemon's own: with nothing to do, with many links and connections, and after it has moved much. */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, Figure, Measure, Sample } from '../contract.ts'
import { NOTHING_TO_CLOSE } from '../contract.ts'
import { type GraphDaemon, startUp } from '../graph-daemon.ts'
import { onTheHost } from '../graph-entries.ts'
import { opened } from '../probe.ts'
import { anonymousBytes } from '../processes.ts'
import { areThere, until } from '../until.ts'

const LINKS = 100
const CONNECTIONS = 500
const BULK = { connections: 16, writeBytes: 64 * 1024, descriptorEvery: 0 }
const PATIENCE_MS = 10_000
const SETTLE_MS = 300

const FIGURES: readonly Figure[] = [
  { key: 'bare', title: 'no link yet', unit: 'MB', better: 'less', bars: [] },
  {
    key: 'open',
    title: '100 links, 500 connections open',
    unit: 'MB',
    better: 'less',
    bars: [{ ratioTo: null, bound: 'at most', value: 32 }],
  },
  {
    key: 'moved',
    title: '100 links, after bulk over 16 connections',
    unit: 'MB',
    better: 'less',
    bars: [],
  },
]

const sample = async (daemon: GraphDaemon, bench: Bench): Promise<Sample> => {
  const { entries, targets } = onTheHost(bench.newPath(), bench.provider, LINKS)
  const running = await startUp(
    () => daemon.start([]),
    // Asked again: the first answer has been dealt with.
    ({ asked }) => asked() > 1,
  )
  const megabytes = async (): Promise<number> => {
    await sleep(SETTLE_MS)
    return anonymousBytes(running.pid) / 1e6
  }
  const sockets: Socket[] = []
  try {
    const bare = await megabytes()
    await running.serve(entries)
    await until('100 targets are there', areThere(targets), PATIENCE_MS)
    for (let i = 0; i < CONNECTIONS; i += 1) sockets.push(await opened(targets[i % LINKS] ?? ''))
    const open = await megabytes()
    for (const socket of sockets) socket.destroy()
    await bench.generator.bulk(targets[0] ?? '', BULK, bench.settings.window)
    return { bare, open, moved: await megabytes() }
  } finally {
    for (const socket of sockets) socket.destroy()
    await running.stop()
  }
}

export const memory: Measure = {
  name: 'memory',
  title: 'anonymous memory',
  needsContenders: false,
  rounds: settings => Math.min(settings.rounds, 3),
  open: async bench => ({
    trials: [
      {
        figures: FIGURES,
        lanes: bench.daemons.map(daemon => ({
          contender: daemon.name,
          role: daemon.role,
          sample: () => sample(daemon, bench),
        })),
      },
    ],
    close: NOTHING_TO_CLOSE,
  }),
}
