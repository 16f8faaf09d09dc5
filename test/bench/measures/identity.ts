/**
 * What it costs to tell a provider who comes: connections through links of one daemon that differ in their options alone, and how
 * long the daemon needs a core for each. One without options is what the others are held against.
 */
import { type Bench, type Lane, type Measure, NOTHING_TO_CLOSE, type Opened } from '../contract.ts'
import { type GraphDaemon, type Running, startUp } from '../graph-daemon.ts'
import { hostEntry } from '../graph-entries.ts'
import { cpuMs } from '../processes.ts'
import { areThere } from '../until.ts'

const PLAIN = 'no option'
const MODES = ['greeting', 'peercred', 'role-peercred', 'creds', 'role-creds'] as const

/** A user that every system has, so that a role is looked up and found. */
const ROLE = 'root'

interface Link {
  readonly mode: string
  readonly target: string
}

const laneOf = (bench: Bench, running: Running, { mode, target }: Link): Lane => ({
  contender: mode,
  role: mode === PLAIN ? 'reference' : 'ours',
  sample: async () => {
    const { window } = bench.settings
    const before = cpuMs(running.pid)
    const connections = await bench.generator.connect(target, window)
    const made = (connections * (window.forMs + window.warmMs)) / 1000
    return { connections, core: ((cpuMs(running.pid) - before) * 1000) / made }
  },
})

const openOn = async (daemon: GraphDaemon, bench: Bench): Promise<Opened> => {
  const links = [PLAIN, ...MODES].map(mode => ({ mode, target: bench.newPath() }))
  const entries = links.map(({ mode, target }) => ({
    ...hostEntry(mode, bench.provider, target),
    role: ROLE,
    interface: mode === PLAIN ? 'unix+stream' : `unix+stream+${mode}`,
  }))
  const running = await startUp(() => daemon.start(entries), areThere(links.map(({ target }) => target)))
  return {
    trials: [
      {
        figures: [
          { key: 'connections', title: 'connections', unit: 'a second', better: 'more', bars: [] },
          {
            key: 'core',
            title: 'time on a core a connection, about',
            unit: 'us',
            better: 'less',
            bars: [],
          },
        ],
        lanes: links.map(link => laneOf(bench, running, link)),
      },
    ],
    close: () => running.stop(),
  }
}

export const identity: Measure = {
  name: 'identity',
  title: 'connections whose provider is told who comes',
  needsContenders: false,
  rounds: settings => settings.rounds,
  open: bench => {
    const ours = bench.daemons.find(({ role }) => role === 'ours')
    return ours === undefined ? Promise.resolve({ trials: [], close: NOTHING_TO_CLOSE }) : openOn(ours, bench)
  },
}
