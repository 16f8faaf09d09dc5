/**
 * A daemon that reads a graph, as a process of its own: pv-xconnect, or a peer given on the command line. Each has a
 * Pantavisor of its own, so that any number can run at once. A peer cannot be told where Pantavisor's socket is, so it
 * runs in a mount namespace with a /run of its own; what the host has there is not touched.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { untilEnded } from '../support/container.ts'
import { type Entry, pvCtrlAt } from '../support/pv-ctrl.ts'
import { DAEMON } from '../support/requirements.ts'
import type { Role } from './contract.ts'
import { until } from './until.ts'

export interface GraphDaemon {
  readonly name: string
  readonly role: Extract<Role, 'ours' | 'peer'>
  /** Resolves as soon as the process exists. `intervalMs` is for ours only: a peer has its own. */
  readonly start: (graph: readonly Entry[], intervalMs?: number) => Promise<Running>
}

export interface Running {
  readonly pid: number
  /** When it was spawned, and when the first graph it asked for was handed to it, as of `performance.now()`. */
  readonly spawnedAt: number
  readonly firstAnsweredAt: () => number | undefined
  /** Say this from now on. Resolves when it was said, with the time. */
  readonly serve: (graph: readonly Entry[]) => Promise<number>
  readonly asked: () => number
  readonly hasEnded: () => boolean
  /** Rejects, with the end of its log, if it had ended before. */
  readonly stop: () => Promise<void>
}

/** For a daemon to come up, and to go. */
const PATIENCE_MS = 10_000
/** Where Pantavisor's socket is in the folder that is, or could be, a daemon's /run. */
const PV_CTRL = 'pantavisor/pv/pv-ctrl'

/** The kernel ends it should the benchmark be killed. */
const OUTLIVES_NOBODY = ['setpriv', '--pdeathsig', 'KILL', '--']
const WITH_ITS_OWN_RUN = 'mount --bind "$1" /run && eval "exec $2"'

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const lastLines = (file: string): string => readFileSync(file, 'utf8').trim().split('\n').slice(-5).join('\n')

/** `run` is the folder that it has for itself. */
const startIn = async (
  run: string,
  command: readonly string[],
  graph: readonly Entry[],
): Promise<Running> => {
  const socket = join(run, PV_CTRL)
  mkdirSync(dirname(socket), { recursive: true })
  const ctrl = pvCtrlAt(socket)
  let firstAnsweredAt: number | undefined
  let said: ((at: number) => void)[] = []
  let body = ''
  ctrl.answer(response => {
    const heard = said
    said = []
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    response.end(body, () => {
      const now = performance.now()
      firstAnsweredAt ??= now
      for (const tell of heard) tell(now)
    })
  })
  const serve = (next: readonly Entry[]): Promise<number> => {
    body = JSON.stringify(next)
    return new Promise(resolve => said.push(resolve))
  }
  void serve(graph)
  await ctrl.listen()

  const log = join(run, 'log')
  const sink = openSync(log, 'w')
  const [program = '', ...args] = [...OUTLIVES_NOBODY, ...command]
  const spawnedAt = performance.now()
  const child = spawn(program, args, { stdio: ['ignore', sink, sink] })
  closeSync(sink)
  const { pid } = child
  if (pid === undefined) throw new Error(`${program} cannot be run`)
  return {
    pid,
    spawnedAt,
    firstAnsweredAt: () => firstAnsweredAt,
    serve,
    asked: () => ctrl.asked(),
    hasEnded: () => hasEnded(child),
    stop: async () => {
      const early = hasEnded(child)
      child.kill('SIGTERM')
      const deadline = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
      await untilEnded(child)
      clearTimeout(deadline)
      await ctrl.stop()
      if (early)
        throw new Error(`it ended by itself (${child.exitCode ?? child.signalCode}): ${lastLines(log)}`)
    },
  }
}

/** As it is shipped, but that no setting or leftover of this machine's decides what it does. */
const ourCommand = (
  run: string,
  intervalMs: number | undefined,
  args: readonly string[],
): readonly string[] => [
  ...[process.execPath, DAEMON, 'daemon'],
  ...['--pv-ctrl', join(run, PV_CTRL)],
  ...['--control', join(run, 'control.sock')],
  ...['--policy', join(run, 'policy.json')],
  ...['--journal', join(run, 'journal')],
  ...['--plugin-dir', join(run, 'plugins')],
  ...(intervalMs === undefined ? [] : ['--interval', `${intervalMs}`]),
  ...args,
]

/** `args` are further options, for the folder that it has for itself. */
export const ours = (
  scratch: string,
  name = 'pv-xconnect',
  args: (run: string) => readonly string[] = () => [],
): GraphDaemon => {
  let started = 0
  return {
    name,
    role: 'ours',
    start: (graph, intervalMs) => {
      started += 1
      const run = join(scratch, `${name.replaceAll(/\W+/g, '-')}-${started}`)
      return startIn(run, ourCommand(run, intervalMs, args(run)), graph)
    },
  }
}

/** What to call it: the first word of its command that is a path, without its folders, else its first word. */
const peerName = (command: string): string => {
  const words = command.trim().split(/\s+/)
  return basename(words.find(word => word.includes('/')) ?? words[0] ?? command)
}

export const peer = (scratch: string, command: string, position: number): GraphDaemon => {
  let started = 0
  return {
    name: `peer ${position + 1}: ${peerName(command)}`,
    role: 'peer',
    start: graph => {
      started += 1
      const run = join(scratch, `peer-${position}-${started}`)
      return startIn(run, ['unshare', '--mount', 'sh', '-c', WITH_ITS_OWN_RUN, 'sh', run, command], graph)
    },
  }
}

/** Start it, and give it back once it is up. If it does not come up it is stopped, and the error says how it ended. */
export const startUp = async (
  start: () => Promise<Running>,
  isUp: (running: Running) => boolean | Promise<boolean>,
): Promise<Running> => {
  const running = await start()
  try {
    await until('it comes up', () => running.hasEnded() || isUp(running), PATIENCE_MS)
    if (!running.hasEnded()) return running
  } catch (error) {
    await running.stop()
    throw error
  }
  await running.stop()
  throw new Error('it ended')
}
