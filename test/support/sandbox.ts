/** A process in a mount namespace of its own, with a tmpfs that nobody else sees: the least that a container is. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { before } from 'node:test'
import { openForReading } from '../../src/kernel/files.ts'
import { inMountNamespaceOf, inNetworkNamespaceOf } from '../../src/kernel/namespace.ts'
import { closeProcess, openHost } from '../../src/kernel/process.ts'
import { pid } from './builders.ts'
import { must } from './descriptors.ts'
import { eventually } from './eventually.ts'
import { isRoot } from './privileges.ts'

/** Registers a hook: what the first entry of a namespace opens and keeps, the way home, is no leak of the suite. */
export const opensTheWayHome = (): void => {
  before(() => {
    if (!isRoot) return
    const host = must(openHost())
    must(inMountNamespaceOf(host, host.root.borrowed, 'the way home', () => 0))
    // Entering our own from our own needs the way home as well.
    const own = { ...host, network: { fd: must(openForReading('/proc/self/ns/net')), id: 'own' } }
    must(inNetworkNamespaceOf(own, 'the way home', () => 0))
    closeProcess(own)
  })
}

export interface Sandbox {
  readonly pid: ReturnType<typeof pid>
  /** Returns when it is gone. */
  kill(): Promise<void>
}

const stop = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return
  // Later than `exit`: its pipes are closed then too.
  const gone = once(child, 'close')
  child.kill('SIGKILL')
  await gone
}

const ready = async (command: string, args: readonly string[]): Promise<Sandbox> => {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  await eventually(`${command} is ready`, () => said.includes('ready\n'))
  return { pid: pid(child.pid ?? -1), kill: () => stop(child) }
}

/** A plain child of ours, in our namespaces. It ends with its standard input, so never after the test. */
export const startProcess = (): Promise<Sandbox> => ready('sh', ['-c', 'echo ready; exec cat >/dev/null'])

/** One in a mount namespace of its own, where what is mounted on a shared mount comes to the host as well, and goes with it. */
export const startMountSharer = (): Promise<Sandbox> =>
  ready('unshare', ['--mount', '--propagation', 'unchanged', 'sh', '-c', 'echo ready; exec cat >/dev/null'])

export interface SandboxOptions {
  /** A network namespace of its own; absent: the host's. */
  readonly network?: 'own'
  /** The network namespace of another one. */
  readonly joining?: Sandbox
}

/** `setup` is shell, run in the new namespace before it is ready; a tmpfs is on /tmp by then. */
export const startSandbox = (setup = ':', options: SandboxOptions = {}): Promise<Sandbox> =>
  ready('nsenter', [
    ...(options.joining === undefined ? [] : [`--net=/proc/${options.joining.pid}/ns/net`]),
    'unshare',
    '--mount',
    ...(options.network === 'own' ? ['--net'] : []),
    'sh',
    '-ec',
    `mount -t tmpfs -o mode=1777 own /tmp; ${setup}; echo ready; exec cat >/dev/null`,
  ])
