/** The ways from a client to the provider that are held against each other. All are up at once, and idle but for one. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { untilEnded } from '../support/container.ts'
import type { Entry } from '../support/pv-ctrl.ts'
import type { Role } from './contract.ts'
import { type GraphDaemon, startUp } from './graph-daemon.ts'
import { hostEntry } from './graph-entries.ts'
import { leadsToTheProvider } from './probe.ts'
import { until } from './until.ts'

export interface Contender {
  readonly name: string
  readonly role: Role
  /** Where a client connects. */
  readonly target: string
  /** The process in between; `undefined`: there is none, or one for each connection. */
  readonly pid: number | undefined
  readonly stop: () => Promise<void>
}

const DIRECT = 'direct'
export const SOCAT = 'socat'
export const LIBEVENT = 'libevent proxy'

const PATIENCE_MS = 10_000
/** As much as the kernel queues on a socket; its default of 8 KiB would be unfair. */
const SOCAT_BUFFER_BYTES = 256 * 1024

export const direct = (provider: string): Contender => ({
  name: DIRECT,
  role: 'reference',
  target: provider,
  pid: undefined,
  stop: () => Promise.resolve(),
})

/** The daemon with one link of its own: the entry is the graph, and the target where the host sees its socket. */
export const withLink = async (
  daemon: GraphDaemon,
  entry: Entry,
  target: string,
  isUp: (target: string) => Promise<boolean>,
): Promise<Contender> => {
  const { pid, stop } = await startUp(
    () => daemon.start([entry]),
    () => isUp(target),
  )
  return { name: daemon.name, role: daemon.role, target, pid, stop }
}

export const linked = (
  daemon: GraphDaemon,
  scratch: string,
  provider: string,
  position: number,
): Promise<Contender> => {
  const target = join(scratch, `target-${position}.sock`)
  return withLink(daemon, hostEntry('bench', provider, target), target, leadsToTheProvider)
}

/** A proxy that reads no graph: one program for one target. */
export const standing = async (
  name: string,
  role: Role,
  target: string,
  command: readonly string[],
  isUp: (target: string) => Promise<boolean> = leadsToTheProvider,
): Promise<Contender> => {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], { stdio: 'ignore' })
  const stop = async (): Promise<void> => {
    child.kill()
    await untilEnded(child)
  }
  try {
    await until('it comes up', () => isUp(target), PATIENCE_MS)
  } catch (error) {
    await stop()
    throw error
  }
  return { name, role, target, pid: child.pid, stop }
}

export const socat = async (scratch: string, provider: string): Promise<Contender> => {
  const target = join(scratch, 'socat.sock')
  const listener = await standing(SOCAT, 'tool', target, [
    ...['socat', '-b', `${SOCAT_BUFFER_BYTES}`, '-t', '10'],
    `UNIX-LISTEN:${target},fork,backlog=4096`,
    `UNIX-CONNECT:${provider}`,
  ])
  return { ...listener, pid: undefined }
}

/** `program` is libevent-proxy.c, compiled. */
export const libevent = (program: string, scratch: string, provider: string): Promise<Contender> => {
  const target = join(scratch, 'libevent.sock')
  return standing(LIBEVENT, 'peer', target, [program, target, provider])
}
