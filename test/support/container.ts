/**
 * Real containers for the tests: own mount, pid, uts and ipc namespaces, a root of their own, the host's tree out of
 * sight. Made with util-linux so that nothing under test takes part in it, or with LXC where a run asks for that
 * (`CONTAINERS`). Whoever starts one kills it.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { hasEnded, runToEnd, untilEnded } from './child.ts'
import { eventually } from './eventually.ts'
import { startLxcContainer } from './lxc.ts'
import { CONTAINERS } from './requirements.ts'

export { untilEnded }

import { underPid } from './reused-pid.ts'

const SUPPORT = resolve('test/support')

export interface ContainerOptions {
  /** `chroot`: the namespace's own root is still the host's tree, as where an initramfs is the root. */
  readonly style?: 'pivot' | 'chroot'
  /** A host directory that serves as root and outlives the container; absent: a tmpfs of its own. */
  readonly disk?: string
  /** Read-only but for /run and /tmp. */
  readonly sealed?: boolean
  /** An overlay (overlayfs) over a root that has `/opt/below`. */
  readonly overlay?: boolean
  /** One that shows a process to its owner only, or none at all. */
  readonly proc?: 'hidden' | 'none'
  /** A network namespace of its own; absent: the host's, as most containers of a device have. */
  readonly network?: 'own'
  /**
   * A user namespace of its own with this map of uids and of gids (user_namespaces(7)), as in `0 100000 65536`. Its init
   * is root there, or the first user of a map without root. What it mounts, it owns; a `disk` is given to that user.
   */
  readonly user?: string
  /** Its init carries out what `order` tells it; else it does nothing. */
  readonly takesOrders?: boolean
  /** Its init gets this pid, once it is free. */
  readonly pid?: number
  /** Host directories by the path they get in the container. */
  readonly shares?: Readonly<Record<string, string>>
}

/** Where a process of a test can run: a container, or the host itself. */
export interface Place {
  readonly name: string
  /** As a graph would name it: 0 is the host. */
  readonly pid: number
  /** A path of this place as the host spells it. Only for paths without symlinks: those would resolve on the host. */
  readonly path: (inside: string) => string
  readonly spawn: (command: readonly string[]) => ChildProcessWithoutNullStreams
  /** Where the programs of `test/support/peers` are. */
  readonly peers: string
}

export interface Container extends Place {
  /** Run to its end; what it printed. Throws with its complaints if it fails. */
  readonly exec: (...command: readonly string[]) => Promise<string>
  /** A line of shell for its init to carry out itself, if it `takesOrders`. */
  readonly order: (line: string) => void
  /** Kill its init, and with it all that runs inside; returns when nothing is left. */
  readonly kill: () => Promise<void>
}

const childOf = (pid: number): number | undefined => {
  if (!existsSync(`/proc/${pid}/task`)) return undefined
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const [first] = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ')
    if (first !== undefined && first !== '') return Number(first)
  }
  return undefined
}

const argument = (command: readonly string[]): [string, string[]] => {
  const [program, ...rest] = command
  if (program === undefined) throw new Error('an empty command')
  return [program, rest]
}

export const HOST: Place = {
  name: 'host',
  pid: 0,
  path: inside => inside,
  spawn: command => spawn(...argument(command)),
  peers: join(SUPPORT, 'peers'),
}

/** Who the init of a user namespace is: root, or the first user of a map without root. */
const initOf = (map: string): { readonly inside: number; readonly outside: number } => {
  const users = map.split('\n').map(line => {
    const [inside = 0, outside = 0] = line.trim().split(/\s+/).map(Number)
    return { inside, outside }
  })
  const init = users.find(({ inside }) => inside === 0) ?? users[0]
  if (init === undefined) throw new Error('a map without a line')
  return init
}

/** Only from outside may more than one id be mapped; until then the process is nobody, with all it needs to go on. */
const mapped = (map: string, command: readonly string[]): readonly string[] => [
  'sh',
  '-c',
  'echo unmapped; read -r mapped; exec "$@"',
  'sh',
  'setpriv',
  `--reuid=${initOf(map).inside}`,
  `--regid=${initOf(map).inside}`,
  '--clear-groups',
  ...command,
]

/** `unshare`, with the pid that its only child has on the host. `kill` ends that child, and its parent with it. */
const unshared = async (
  namespaces: readonly string[],
  command: readonly string[],
  { user, pid: chosenPid }: Pick<ContainerOptions, 'user' | 'pid'> = {},
): Promise<Pick<Container, 'pid' | 'order' | 'kill'>> => {
  const flags = [...namespaces, '--uts', '--ipc', ...(user === undefined ? [] : ['--user', '--keep-caps'])]
  const inNamespaces = [...flags, '--', ...(user === undefined ? command : mapped(user, command))]
  const child =
    chosenPid === undefined
      ? spawn('unshare', ['--pid', '--fork', '--kill-child', ...inNamespaces])
      : spawn(...argument(underPid(chosenPid, ['unshare', ...inNamespaces], '--init')))
  const { pid: outer } = child
  if (outer === undefined) throw new Error('unshare did not start')
  const complaints: string[] = []
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk.toString()))
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  const says = async (word: string): Promise<number> => {
    await eventually(`the container says it is ${word}`, () => {
      if (hasEnded(child)) throw new Error(`it ended: ${complaints.join('')}`)
      return said.includes(`${word}\n`)
    })
    const init = childOf(outer)
    if (init === undefined) throw new Error('it has no init')
    return init
  }
  if (user !== undefined) {
    const init = await says('unmapped')
    for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${init}/${map}`, user)
    child.stdin.write('\n')
  }
  const pid = await says('ready')
  return {
    pid,
    order: line => {
      child.stdin.write(`${line}\n`)
    },
    kill: async () => {
      // A test may have killed it already, and its number may be another's by now.
      if (!hasEnded(child) && childOf(outer) === pid) process.kill(pid, 'SIGKILL')
      await untilEnded(child)
    },
  }
}

const modeOf = ({ disk, sealed, overlay }: ContainerOptions): string => {
  if (disk !== undefined) return 'disk'
  if (overlay === true) return 'overlay'
  return sealed === true ? 'sealed' : 'memory'
}

/** Where the files are that a container starts from, for one whose root is nobody outside. */
const readableByAll = (scratch: string): string => {
  const copy = join(scratch, 'support')
  chmodSync(scratch, 0o755)
  for (const each of ['container.sh', 'peers'])
    cpSync(join(SUPPORT, each), join(copy, each), { recursive: true })
  return copy
}

const asInitOf = (user: string | undefined): readonly string[] =>
  user === undefined ? [] : ['-U', '-S', `${initOf(user).inside}`, '-G', `${initOf(user).inside}`]

/** `scratch` is a folder of the test's own in which the container may make its mount point. */
export const startContainer = async (
  name: string,
  scratch: string,
  options: ContainerOptions = {},
): Promise<Container> => {
  if (CONTAINERS === 'lxc') return startLxcContainer(name, scratch, options)
  const root = options.disk ?? join(scratch, `${name}.root`)
  mkdirSync(root, { recursive: true })
  const shares = Object.entries(options.shares ?? {}).map(([inside, host]) => `${host}=${inside}`)
  const { user } = options
  if (user !== undefined && options.disk !== undefined)
    chownSync(root, initOf(user).outside, initOf(user).outside)
  const support = user === undefined ? SUPPORT : readableByAll(scratch)
  const ownNetwork = options.network === 'own'
  const { pid, order, kill } = await unshared(
    ['--mount', ...(ownNetwork ? ['--net'] : [])],
    [
      'sh',
      join(support, 'container.sh'),
      root,
      options.style ?? 'pivot',
      modeOf(options),
      options.proc ?? 'open',
      options.takesOrders === true ? 'orders' : 'idle',
      join(support, 'peers'),
      ...shares,
    ],
    options,
  )
  const namespaces = ['-m', '-p', '-u', '-i', ...(ownNetwork ? ['-n'] : []), ...asInitOf(user)]
  const enter = (command: readonly string[]): ChildProcessWithoutNullStreams =>
    spawn('nsenter', ['-t', `${pid}`, ...namespaces, '-r', '-w', '--', ...command])
  return {
    name,
    pid,
    path: inside => `/proc/${pid}/root${inside}`,
    spawn: enter,
    peers: '/peers',
    exec: (...command) => runToEnd(enter(command), command),
    order,
    kill,
  }
}

/** A container that shares the host's mount namespace: its paths are the host's, its processes are its own. */
export const startContainerOnHostRoot = async (name: string): Promise<Container> => {
  const { pid, order, kill } = await unshared([], ['sh', '-c', 'echo ready; exec cat >/dev/null'])
  const enter = (command: readonly string[]): ChildProcessWithoutNullStreams =>
    spawn('nsenter', ['-t', `${pid}`, '-p', '-u', '-i', '--', ...command])
  return {
    ...HOST,
    name,
    pid,
    spawn: enter,
    exec: (...command) => runToEnd(enter(command), command),
    order,
    kill,
  }
}
