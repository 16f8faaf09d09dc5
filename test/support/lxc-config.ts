/**
 * What LXC is told of a test's container, and the folders it finds: as Pantavisor configures its own, an overlay as root,
 * a tmpfs on /run, /proc/sys read-only, cgroups of their own. Starts nothing.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import type { ContainerOptions } from './container.ts'

const SUPPORT = resolve('test/support')
const PEERS = join(SUPPORT, 'peers')

/** A container that a test asks for and LXC cannot make: no failure, but nothing to test either. */
export class BeyondLxc extends Error {}

export interface LxcOptions extends ContainerOptions {
  /** Its first process ends when LXC asks it to, as an init system does; absent: a `cat`, which is never told. */
  readonly halts?: boolean
  /** Shell, run in the container's namespaces after its mounts were made and while it still has the host's root. */
  readonly mountHook?: string
}

/** Where a container's files are, and what its cgroups are called. */
export interface LxcPlace {
  readonly name: string
  readonly lxcpath: string
  readonly cgroup: string
  /** A folder of the test's own. */
  readonly scratch: string
}

const isFolder = (name: string): boolean => lstatSync(`/${name}`).isDirectory()

const PROGRAMS = ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'usr'].filter(name =>
  existsSync(`/${name}`),
)
const FOLDERS = ['dev', 'etc', 'opt', 'proc', 'run', 'sys', 'tmp']
const FILES = ['passwd', 'group', 'ld.so.cache'].filter(name => existsSync(`/etc/${name}`))

/** What every root begins with: folders to mount on, and the host's own symlinks between its program folders. */
const furnish = (root: string): void => {
  for (const name of [...FOLDERS, ...PROGRAMS.filter(isFolder)]) {
    mkdirSync(join(root, name), { recursive: true })
  }
  chmodSync(join(root, 'tmp'), 0o1777)
  for (const name of PROGRAMS.filter(each => !isFolder(each))) {
    const link = join(root, name)
    if (lstatSync(link, { throwIfNoEntry: false }) === undefined) symlinkSync(readlinkSync(`/${name}`), link)
  }
  for (const name of FILES) copyFileSync(`/etc/${name}`, join(root, 'etc', name))
  cpSync(PEERS, join(root, 'peers'), { recursive: true })
}

const giveTo = (owner: number, path: string): void => {
  lchownSync(path, owner, owner)
  if (lstatSync(path).isDirectory()) for (const name of readdirSync(path)) giveTo(owner, join(path, name))
}

/** The host's id of the root of a map of users. */
export const rootOf = (map: string): number => {
  for (const line of map.split('\n')) {
    const [inside, outside] = line.trim().split(/\s+/).map(Number)
    if (inside === 0 && outside !== undefined) return outside
  }
  throw new BeyondLxc('LXC sets up a container as its root, and this map of users has none')
}

const tmpfs = (folder: string, mode: string): string =>
  `lxc.mount.entry = tmpfs ${folder} tmpfs rw,nodev,relatime,create=dir,mode=${mode} 0 0`

const bind = (host: string, inside: string, how: 'ro' | 'rw'): string =>
  `lxc.mount.entry = ${host} ${inside.slice(1)} none bind,${how},create=dir 0 0`

/** LXC mounts the root and moves into it. */
const rooted = ({ lxcpath }: LxcPlace, options: LxcOptions): readonly string[] => {
  const { disk, sealed, mountHook, user, network, overlay, proc } = options
  if (proc !== undefined) throw new BeyondLxc('LXC mounts /proc in its own way')
  const lower = disk ?? join(lxcpath, 'lower')
  const upper = join(lxcpath, 'upper')
  furnish(lower)
  mkdirSync(upper)
  if (overlay === true) mkdirSync(join(lower, 'opt/below'))
  if (user !== undefined) giveTo(rootOf(user), lower)
  return [
    'lxc.hook.version = 1',
    ...(mountHook === undefined ? [] : [`lxc.hook.mount = sh -c '${mountHook}'`]),
    ...(disk === undefined
      ? [
          // Mounted by the container itself, and so gone with it.
          `lxc.hook.pre-mount = mount -t tmpfs upper ${upper}`,
          `lxc.rootfs.path = overlay:${lower}:${upper}/delta`,
        ]
      : [`lxc.rootfs.path = dir:${lower}`]),
    ...(sealed === true ? ['lxc.rootfs.options = ro', tmpfs('tmp', '1777')] : []),
    'lxc.pty.max = 16',
    // Only the owner of a network may mount /sys.
    `lxc.mount.auto = proc cgroup${user === undefined || network === 'own' ? ' sys:rw' : ''}`,
    tmpfs('run', '755'),
    ...PROGRAMS.filter(isFolder).map(name => bind(`/${name}`, `/${name}`, 'ro')),
    ...Object.entries(options.shares ?? {}).map(([inside, host]) => bind(host, inside, 'rw')),
  ]
}

const own = ({ name, cgroup }: LxcPlace, { network, user }: LxcOptions): readonly string[] => [
  `lxc.uts.name = ${name}`,
  'lxc.apparmor.profile = unconfined',
  'lxc.net.0.type = empty',
  ...(network === 'own' ? [] : [`lxc.namespace.keep = net${user === undefined ? ' user' : ''}`]),
  'lxc.tty.max = 0',
  // Its first process says to the test that it is ready, and hears from it when to end.
  'lxc.console.path = none',
  // All in one folder: LXC's own choice would be shared with containers of the same name, and not all of it removed.
  `lxc.cgroup.dir.monitor = ${cgroup}/monitor`,
  `lxc.cgroup.dir.container = ${cgroup}/payload`,
  `lxc.cgroup.dir.monitor.pivot = ${cgroup}`,
  ...(user?.split('\n').flatMap(line => [`lxc.idmap = u ${line}`, `lxc.idmap = g ${line}`]) ?? []),
]

/**
 * Without a root of its own a container is left in the host's tree, and its first process goes into a chroot from
 * there: what LXC does by itself where an initramfs is the root, which cannot be pivoted away.
 */
const ROOTLESS = ['lxc.autodev = 0', 'lxc.mount.auto = proc:rw']

const SETTLED = ['sh', '-c', 'echo ready; exec cat >/dev/null']
const OBEYING = ['sh', '-c', 'echo ready; while read -r order; do eval "$order"; done']
const HALTING = ['sh', '-c', 'trap "exit 0" PWR; echo ready; while read -r _; do :; done']

const chrooted = ({ name, scratch }: LxcPlace, options: LxcOptions): readonly string[] => {
  const root = options.disk ?? join(scratch, `${name}.root`)
  const mode = options.disk !== undefined ? 'disk' : options.sealed === true ? 'sealed' : 'memory'
  const shares = Object.entries(options.shares ?? {}).map(([inside, host]) => `${host}=${inside}`)
  mkdirSync(root, { recursive: true })
  const script = ['sh', join(SUPPORT, 'container.sh'), root, 'chroot', mode]
  return [
    ...script,
    options.proc ?? 'open',
    options.takesOrders === true ? 'orders' : 'idle',
    PEERS,
    ...shares,
  ]
}

/** Write its config, and make what that names; its first process, which says "ready" and ends with its standard input. */
export const configure = (place: LxcPlace, options: LxcOptions): readonly string[] => {
  const isChroot = options.style === 'chroot'
  const lines = [...own(place, options), ...(isChroot ? ROOTLESS : rooted(place, options))]
  mkdirSync(join(place.lxcpath, place.name))
  writeFileSync(join(place.lxcpath, place.name, 'config'), `${lines.join('\n')}\n`)
  if (isChroot) return chrooted(place, options)
  if (options.takesOrders === true) return OBEYING
  return options.halts === true ? HALTING : SETTLED
}
