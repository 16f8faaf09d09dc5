/**
 * Real LXC containers for the tests, each with an lxcpath to itself and `lxc.sh` around it, which leaves nothing of it
 * behind. Whoever starts one kills it.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { hasEnded, runToEnd, untilEnded } from './child.ts'
import type { Container } from './container.ts'
import { eventually } from './eventually.ts'
import { configure, type LxcOptions, rootOf } from './lxc-config.ts'

const RUN = resolve('test/support/lxc.sh')

export interface LxcContainer extends Container {
  readonly lxcpath: string
  /** Ask its first process to end (`halts`), as Pantavisor does first; returns when nothing is left. */
  readonly stop: () => Promise<void>
}

/** `scratch` is a folder of the test's own in which the container may make its mount point. */
export const startLxcContainer = async (
  name: string,
  scratch: string,
  options: LxcOptions = {},
): Promise<LxcContainer> => {
  const { user } = options
  // Refused before anything is made for it.
  if (user !== undefined) rootOf(user)
  // Not in `scratch`: of the path that LXC makes again for its locks, only the last part can be removed safely.
  const lxcpath = mkdtempSync(join(tmpdir(), `pvx-lxc-${name}-`))
  // It is the container's root that makes the mounts.
  if (user !== undefined) for (const path of [lxcpath, scratch]) chmodSync(path, 0o711)
  const cgroup = basename(lxcpath)
  const init = configure({ name, lxcpath, cgroup, scratch }, options)

  const child = spawn('sh', [RUN, lxcpath, name, cgroup, ...init])
  let complaints = ''
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString()
  })
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  await eventually(`the LXC container ${name} says it is ready`, () => {
    if (hasEnded(child)) throw new Error(`it ended: ${complaints}`)
    return said.includes('ready\n')
  })

  const lxc = (tool: string, ...flags: readonly string[]): Promise<string> => {
    const command = ['-P', lxcpath, '-n', name, ...flags]
    return runToEnd(spawn(tool, command), [tool, ...command])
  }
  const pid = Number(await lxc('lxc-info', '-pH'))
  const namespaces = ['-m', '-p', '-u', '-i', '-n', '-C', ...(user === undefined ? [] : ['-U'])]
  const enter = (command: readonly string[]): ChildProcessWithoutNullStreams =>
    spawn('nsenter', ['-t', `${pid}`, ...namespaces, '-r', '-w', '--', ...command])
  const end = async (...how: readonly string[]): Promise<void> => {
    if (!hasEnded(child)) await lxc('lxc-stop', ...how)
    await untilEnded(child)
  }
  return {
    name,
    pid,
    lxcpath,
    path: inside => `/proc/${pid}/root${inside}`,
    spawn: enter,
    peers: '/peers',
    exec: (...command) => runToEnd(enter(command), command),
    order: line => {
      child.stdin.write(`${line}\n`)
    },
    stop: () => end('--nokill', '--timeout', '10'),
    kill: () => end('--kill'),
  }
}
