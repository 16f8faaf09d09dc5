/**
 * A daemon that reads a graph, as a process of its own: pv-xconnect, or a peer given on the command line. Each has a
 * Pantavisor of its own, so that any number can run at once. A peer cannot be told where Pantavisor's socket is, so it
 * runs in a mount namespace in which /run/pantavisor is ours; what the host has there is not touched.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmdirSync } from 'node:fs'
import { basename, join } from 'node:path'
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
const PANTAVISOR = '/run/pantavisor'

/** The kernel ends it should the benchmark be killed. */
const OUTLIVES_NOBODY = ['setpriv', '--pdeathsig', 'KILL', '--']
const IN_ITS_OWN_RUN = 'mount --bind "$1" "$2" && eval "exec $3"'

const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null

const lastLines = (file: string): string => readFileSync(file, 'utf8').trim().split('\n').slice(-5).join('\n')

/** `commandFor` is given a folder in which `pv/pv-ctrl` is the socket. */
const startIn = async (
  folder: string,
  commandFor: (folder: string) => readonly string[],
  graph: readonly Entry[],
): Promise<Running> => {
  mkdirSync(join(folder, 'pv'), { recursive: true })
  const ctrl = pvCtrlAt(join(folder, 'pv', 'pv-ctrl'))
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

  const log = join(folder, 'log')
  const sink = openSync(log, 'w')
  const [program = '', ...args] = [...OUTLIVES_NOBODY, ...commandFor(folder)]
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

export const OURS = 'pv-xconnect'

export const ours = (scratch: string): GraphDaemon => {
  let started = 0
  return {
    name: OURS,
    role: 'ours',
    start: (graph, intervalMs) => {
      started += 1
      return startIn(
        join(scratch, `ours-${started}`),
        folder => [
          process.execPath,
          DAEMON,
          'daemon',
          '--pv-ctrl',
          join(folder, 'pv', 'pv-ctrl'),
          ...(intervalMs === undefined ? [] : ['--interval', `${intervalMs}`]),
        ],
        graph,
      )
    },
  }
}

/** What to call it: the first word of its command that is a path, without its folders, else its first word. */
export const peerName = (command: string): string => {
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
      return startIn(
        join(scratch, `peer-${position}-${started}`),
        folder => ['unshare', '--mount', 'sh', '-c', IN_ITS_OWN_RUN, 'sh', folder, PANTAVISOR, command],
        graph,
      )
    },
  }
}

/** What a peer's socket is mounted over has to be there. Returns how to remove it again, if it was not. */
export const makePlaceForPeers = (): (() => void) => {
  if (existsSync(PANTAVISOR)) return () => undefined
  mkdirSync(PANTAVISOR)
  return () => rmdirSync(PANTAVISOR)
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
