/**
 * Real message buses for the tests: `dbus-daemon` (and `dbus-broker` where it can run) in a container, with users, a policy and
 * services of a test's own. Whatever is started here ends with its container.
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { hasEnded, untilEnded } from './child.ts'
import type { Container } from './container.ts'
import { eventually } from './eventually.ts'
import { CannotRunHere, hasTool, isInstalled, mayGoOn, PYTHON } from './requirements.ts'

/** Where Debian's configuration of the system bus has it. */
export const BUS_SOCKET = '/run/dbus/system_bus_socket'
/** Where consumers of the tests find it. */
export const BUS_TARGET = '/run/pvx/bus'
export const EXAMPLE = 'org.pantavisor.Example'
export const EXAMPLE_PATH = '/org/pantavisor/Example'

/** Whether tests with dbus-broker can run, as far as that can be told before its launcher is tried. */
export const hasBroker = (t: TestContext): boolean =>
  hasBus(t) && hasTool(t, 'dbus-broker-launch', 'dbus-broker')

const CLIENTS = ['dbus-daemon', 'dbus-send', 'gdbus', 'busctl']

/** Whether tests with a bus and its usual clients can run. */
export const hasBus = (t: TestContext): boolean => {
  const missing = CLIENTS.filter(tool => !isInstalled(tool))
  if (!existsSync('/usr/lib/python3/dist-packages/dbus')) missing.push('python3-dbus')
  if (!existsSync('/usr/lib/python3/dist-packages/gi')) missing.push('python3-gi')
  const packages = 'dbus libglib2.0-bin systemd python3-dbus python3-gi'
  return mayGoOn(
    t,
    missing.length === 0 ? undefined : `needs ${missing.join(', ')} (Debian: apt-get install ${packages})`,
  )
}

export interface User {
  readonly name: string
  readonly uid: number
  readonly gid?: number
  /** Further groups, by name and number. */
  readonly groups?: Readonly<Record<string, number>>
}

/** Enter users into a container's passwd and group files. */
export const addUsers = async (container: Container, users: readonly User[]): Promise<void> => {
  const lines = users.map(({ name, uid, gid = uid, groups = {} }) => ({
    passwd: `${name}:x:${uid}:${gid}::/:/bin/false\n`,
    group: [
      `${name}:x:${gid}:\n`,
      ...Object.entries(groups).map(([group, number]) => `${group}:x:${number}:${name}\n`),
    ].join(''),
  }))
  const append = 'printf %s "$0" >>/etc/passwd; printf %s "$1" >>/etc/group'
  const files = [lines.map(({ passwd }) => passwd).join(''), lines.map(({ group }) => group).join('')]
  await container.exec('sh', '-c', append, ...files)
}

/** A file of the container, with the folders that it needs. Written from within: in a user namespace nobody else may. */
export const writeIn = async (container: Container, path: string, text: string): Promise<void> => {
  await container.exec('sh', '-c', 'mkdir -p "$0" && printf %s "$2" >"$1"', dirname(path), path, text)
}

export const busConfig = (rules: string): string =>
  `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
${rules}
</busconfig>
`

/** All that the services of these tests need beside the distribution's own policy. */
const EXAMPLE_POLICY = busConfig(`
  <policy user="root">
    <allow own_prefix="org.pantavisor"/>
  </policy>
  <policy context="default">
    <allow send_destination="org.pantavisor.Example"/>
    <allow send_destination="org.pantavisor.Other"/>
  </policy>`)

/** One that lets everybody do everything. */
export const permissiveAt = (socket: string): string =>
  busConfig(`
  <type>system</type>
  <listen>unix:path=${socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>`)

export interface BusOptions {
  /** `dbus-broker` reads the distribution's configuration, with `policy` in `system.d`. */
  readonly program?: 'dbus-daemon' | 'dbus-broker'
  /** `stock`: the distribution's configuration, with `policy` in `system.d`. Else a file of this content. */
  readonly config?: 'stock' | { readonly text: string }
  readonly policy?: string
  readonly users?: readonly User[]
}

export interface Bus {
  readonly container: Container
  readonly socket: string
  /** SIGKILL; returns when it is gone. */
  kill(): Promise<void>
}

const PATIENCE_MS = 20_000
const CONFIG = '/etc/pvx-test-bus.conf'

/** Start a bus and wait until it listens. */
export const startBus = async (container: Container, options: BusOptions = {}): Promise<Bus> => {
  await addUsers(container, options.users ?? [])
  const { config = 'stock' } = options
  if (config === 'stock')
    await writeIn(container, '/etc/dbus-1/system.d/test.conf', options.policy ?? EXAMPLE_POLICY)
  else await writeIn(container, CONFIG, config.text)
  await container.exec('mkdir', '-p', dirname(BUS_SOCKET))
  if (options.program === 'dbus-broker') return runBroker(container)
  return runBus(container, config === 'stock' ? '--system' : `--config-file=${CONFIG}`)
}

/** Start one again whose files are there. */
export const runBus = async (container: Container, how = '--system'): Promise<Bus> => {
  const child = container.spawn(['dbus-daemon', how, '--nofork', '--nopidfile', '--nosyslog', '--print-pid'])
  // As the container numbers it: nsenter stands between us and the bus.
  const pid = await heard(child, /^\d+$/)
  return {
    container,
    socket: BUS_SOCKET,
    kill: async () => {
      if (!hasEnded(child)) await container.exec('kill', '-KILL', pid)
      await untilEnded(child)
    },
  }
}

/** With `peers/broker.py` in the place of systemd. Where the launcher wants more than that, its tests are skipped. */
const runBroker = async (container: Container): Promise<Bus> => {
  const child = container.spawn([PYTHON, `${container.peers}/broker.py`, BUS_SOCKET])
  try {
    await heard(child, /^ready$/)
  } catch (failure) {
    child.stdin.end()
    await untilEnded(child)
    throw new CannotRunHere(`dbus-broker-launch does not run here: ${failure}`)
  }
  return {
    container,
    socket: BUS_SOCKET,
    kill: async () => {
      child.stdin.end()
      await untilEnded(child)
    },
  }
}

/** Until a line of its output matches; throws with its complaints if it ends before. */
const heard = async (child: ChildProcessWithoutNullStreams, pattern: RegExp): Promise<string> => {
  const complaints: string[] = []
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk.toString()))
  let line: string | undefined
  const lines = createInterface({ input: child.stdout })
  lines.on('line', each => {
    if (pattern.test(each)) line ??= each
  })
  await eventually('it has started', () => {
    if (hasEnded(child)) throw new Error(`it ended: ${complaints.join('')}`)
    return line !== undefined
  })
  return line ?? ''
}

/** A program of `peers` that takes orders by the line, and answers each with one. */
export interface Obedient {
  /** Give an order, and wait for its answer. */
  order(line: string): Promise<string>
  /** It ends with its input. */
  kill(): Promise<void>
}

interface Started extends Obedient {
  /** The next line that it says. */
  next(what: string): Promise<string>
}

const startObedient = (container: Container, command: readonly string[]): Started => {
  const child = container.spawn(command)
  const complaints: string[] = []
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk.toString()))
  const said: string[] = []
  let taken = 0
  createInterface({ input: child.stdout }).on('line', line => said.push(line))
  const next = async (what: string): Promise<string> => {
    await eventually(
      what,
      () => {
        if (said.length > taken) return true
        if (hasEnded(child)) throw new Error(`it ended: ${complaints.join('')}`)
        return false
      },
      PATIENCE_MS,
    )
    taken += 1
    return said[taken - 1] ?? ''
  }
  return {
    next,
    order: line => {
      child.stdin.write(`${line}\n`)
      return next(`an answer to ${line}`)
    },
    kill: async () => {
      if (!hasEnded(child)) child.stdin.end()
      await untilEnded(child)
    },
  }
}

/** A service of `peers/bus_service.py`. */
export interface BusService extends Obedient {
  readonly uniqueName: string
}

export const startService = async (
  container: Container,
  names: readonly string[] = [EXAMPLE],
  address = `unix:path=${BUS_SOCKET}`,
): Promise<BusService> => {
  const service = startObedient(container, [PYTHON, `${container.peers}/bus_service.py`, address, ...names])
  const [, uniqueName = ''] = (await service.next('the service is ready')).split(' ')
  return { ...service, uniqueName }
}

/** Clients of `peers/bus_clients.py`. */
export const startClients = (container: Container, socket = BUS_TARGET): Obedient =>
  startObedient(container, [PYTHON, `${container.peers}/bus_clients.py`, socket])
