/**
 * The ways of a D-Bus call to its service that are held against each other: direct, through a filtered dbus link and through an
 * unfiltered one of the same daemon, and through xdg-dbus-proxy with a filter that lets the same calls pass. The bus and the
 * service are the measure's own, and run for as long as it does.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { permissiveAt } from '../support/bus.ts'
import { untilEnded } from '../support/child.ts'
import { isInstalled } from '../support/requirements.ts'
import { type Contender, direct, standing, withLink } from './contenders.ts'
import type { Bench } from './contract.ts'
import { spam } from './dbus-load.ts'
import type { GraphDaemon } from './graph-daemon.ts'
import { hostEntry } from './graph-entries.ts'
import { isConnectable } from './probe.ts'
import { until } from './until.ts'
import { bringUp, type Up, type Way, type Ways } from './ways.ts'

const PROXY = 'xdg-dbus-proxy'
const TOOLS = ['dbus-daemon', 'dbus-test-tool']
const PATIENCE_MS = 10_000

/** The name that calls go to, and the interface that they are of (dbus-test-tool(1)). */
const NAME = 'com.example'

export type DbusContender = Up<Way>

export interface DbusField extends Pick<Ways<Way>, 'contenders' | 'absent'> {
  readonly close: () => Promise<void>
}

const addressOf = (socket: string): string => `unix:path=${socket}`

/** The kernel ends it should the benchmark be killed. */
const started = (command: readonly string[], address?: string): ChildProcess =>
  spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
    stdio: 'ignore',
    env: { ...process.env, ...(address === undefined ? {} : { DBUS_SESSION_BUS_ADDRESS: address }) },
  })

const ended = async (child: ChildProcess): Promise<void> => {
  child.kill()
  await untilEnded(child)
}

/** A bus at a socket, with a service that answers every call with an empty reply. */
const openBus = async ({
  scratch,
  newPath,
}: Bench): Promise<{ socket: string; stop: () => Promise<void> }> => {
  const missing = TOOLS.filter(tool => !isInstalled(tool))
  if (missing.length > 0)
    throw new Error(`needs ${missing.join(', ')} (Debian: apt-get install dbus dbus-tests)`)
  const socket = newPath()
  const file = join(scratch, 'bus.conf')
  writeFileSync(file, permissiveAt(socket))
  const bus = started(['dbus-daemon', `--config-file=${file}`, '--nofork', '--nopidfile'])
  await until('the bus listens', () => isConnectable(socket), PATIENCE_MS)
  const service = started(['dbus-test-tool', 'echo', `--name=${NAME}`], addressOf(socket))
  await until('the service answers', () => answers(socket), PATIENCE_MS)
  return {
    socket,
    stop: async () => {
      await ended(service)
      await ended(bus)
    },
  }
}

/** Whether a call to the service is answered through this socket. */
const answers = (socket: string): Promise<boolean> =>
  spam(addressOf(socket), { calls: 1, queued: 1, payloadBytes: 0 }).then(
    () => true,
    () => false,
  )

const linkWays = ({ newPath }: Bench, socket: string, daemon: GraphDaemon): readonly Way[] => {
  const through = (filter: string) => (): Promise<Contender> => {
    const target = newPath()
    const entry = { ...hostEntry('bus', socket, target), type: 'dbus', role: '0', interface: filter }
    return withLink(daemon, entry, target, answers)
  }
  const filtered: Way = { name: `${daemon.name} filtered`, role: daemon.role, start: through(NAME) }
  if (daemon.role === 'peer') return [filtered]
  return [filtered, { name: `${daemon.name} unfiltered`, role: 'relay', start: through('dbus') }]
}

const proxyWay = ({ newPath }: Bench, socket: string): Way => ({
  name: PROXY,
  role: 'peer',
  start: async () => {
    if (!isInstalled(PROXY)) throw new Error(`it is not installed (Debian: apt-get install ${PROXY})`)
    const target = newPath()
    const rules = ['--filter', `--call=${NAME}=${NAME}.*`, `--broadcast=${NAME}=${NAME}.*`]
    return standing(PROXY, 'peer', target, [PROXY, addressOf(socket), target, ...rules], answers)
  },
})

export const openDbusField = async (bench: Bench): Promise<DbusField> => {
  const bus = await openBus(bench)
  const { contenders, absent, stop } = await bringUp<Way>([
    { name: 'direct', role: 'reference', start: async () => direct(bus.socket) },
    ...bench.daemons.flatMap(daemon => linkWays(bench, bus.socket, daemon)),
    proxyWay(bench, bus.socket),
  ])
  return {
    contenders,
    absent,
    close: async () => {
      await stop()
      await bus.stop()
    },
  }
}
