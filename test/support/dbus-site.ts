/** A `dbus` link to try clients on: a bus with a service in one container, a consumer in another, the daemon between them. */
import {
  addUsers,
  BUS_SOCKET,
  BUS_TARGET,
  type Bus,
  type BusOptions,
  type BusService,
  EXAMPLE,
  EXAMPLE_PATH,
  hasBus,
  startBus,
  startService,
} from './bus.ts'
import { type BusClient, consumerWire, providerWire, type Wire } from './bus-wire.ts'
import { type Ended, untilDone } from './child.ts'
import type { Container, ContainerOptions } from './container.ts'
import type { LogLine } from './daemon.ts'
import type { Entry } from './pv-ctrl.ts'
import { entryFor, inTurn, keyOf, type Rows, type ScenarioOptions, scenario, type World } from './scenario.ts'

/** The role of these links: a user of the provider. */
export const OPERATOR = {
  name: 'operator',
  uid: 4242,
  gid: 4343,
  groups: { meters: 4400, lamps: 4401 },
} as const

export interface SiteOptions extends ScenarioOptions {
  readonly bus?: BusOptions
  readonly role?: string
  /** Absent: the consumer sees the whole bus. */
  readonly interface?: string
  readonly svc?: ContainerOptions
  /** What else the provider is to have before there is a bus, or a link. */
  readonly prepare?: (svc: Container) => Promise<void>
}

export interface Site {
  readonly world: World
  readonly app: Container
  readonly svc: Container
  readonly bus: Bus
  readonly service: BusService
  /** Clients of the link, led message by message. */
  readonly clients: Wire
  /** The same on the bus itself, as root. */
  readonly parties: Wire
  /** The link, as the graph has it. */
  readonly entry: Entry
  /** The address of the link's socket, for a client in `app`. */
  readonly address: string
  /** Add a link of this role and interface beside the others; gives its address. `as`: what else the graph says of it. */
  readonly link: (name: string, role: string, filter?: string, as?: Entry) => Promise<string>
  /** Run a program in the consumer to its end; `DBUS_SYSTEM_BUS_ADDRESS` is the link's. */
  readonly run: (...command: readonly string[]) => Promise<Ended>
}

const addressOf = (target: string): string => `unix:path=${target}`

export const busEntry = (
  app: Container,
  svc: Container,
  { name, role, filter, target }: { name: string; role: string; filter?: string; target: string },
): Entry => ({
  ...entryFor({ type: 'dbus', name, consumer: app, provider: svc, role, socket: BUS_SOCKET, target }),
  interface: filter ?? 'dbus',
})

const siteIn = async (world: World, options: SiteOptions): Promise<Site> => {
  const [app, svc] = await Promise.all([world.container('app'), world.container('svc', options.svc)])
  await addUsers(svc, [OPERATOR])
  await options.prepare?.(svc)
  const bus = await startBus(svc, options.bus)
  const [service, clients, parties] = await Promise.all([
    startService(svc),
    consumerWire(app),
    providerWire(svc),
  ])
  const entries: Entry[] = []
  const link: Site['link'] = async (name, role, filter, as = {}) => {
    const target = name === 'bus' ? BUS_TARGET : `/run/pvx/${name}`
    const wanted = { name, role, target, ...(filter === undefined ? {} : { filter }) }
    const entry = { ...busEntry(app, svc, wanted), ...as }
    entries.push(entry)
    world.ctrl.serve(entries)
    world.daemon.signal('SIGHUP')
    await world.daemon.reaches(keyOf(entry), 'mediating')
    return addressOf(target)
  }
  const address = await link('bus', options.role ?? OPERATOR.name, options.interface)
  const run: Site['run'] = (...command) =>
    untilDone(app.spawn(['env', `DBUS_SYSTEM_BUS_ADDRESS=${address}`, ...command]))
  const [entry = {}] = entries
  return { world, app, svc, bus, service, clients, parties, entry, address, link, run }
}

/** Several tests that share a site; each leaves it as it found it. */
export const onOneBus = (name: string, rows: Rows<Site>, options: SiteOptions = {}): void => {
  scenario(
    name,
    async (world, context) => {
      const site = await siteIn(world, options)
      await inTurn(world, context, site, rows)
    },
    { timeoutMs: 120_000, needs: hasBus, ...options },
  )
}

/** A client on the link, and a party that is on the bus itself. */
export interface BusEnds {
  readonly client: BusClient
  readonly party: BusClient
}

export const withEnds = async (
  { clients, parties }: Site,
  use: (ends: BusEnds) => Promise<void>,
): Promise<void> => {
  const [client, party] = await Promise.all([clients.client(), parties.client()])
  await use({ client, party })
  await Promise.all([client.close(), party.close()])
}

/** What the daemon has logged of its sessions since then, by the word of the event. */
export const audits = ({ world }: Site, event: string, since = 0): readonly LogLine[] =>
  world.daemon
    .log()
    .slice(since)
    .filter(line => line['audit'] === event)

// How the usual clients are called.

const INTERFACE_MEMBER = (member: string): string => (member.includes('.') ? member : `${EXAMPLE}.${member}`)

/** `dbus-send`, waiting for the reply; `arguments` as it takes them, `string:hello`. */
export const dbusSend = (
  { run, address }: Site,
  member: string,
  args: readonly string[] = [],
  { destination = EXAMPLE, path = EXAMPLE_PATH, to = address } = {},
): Promise<Ended> =>
  run(
    'dbus-send',
    `--bus=${to}`,
    '--print-reply',
    `--dest=${destination}`,
    path,
    INTERFACE_MEMBER(member),
    ...args,
  )

export const gdbusCall = (
  { run, address }: Site,
  member: string,
  args: readonly string[] = [],
  { destination = EXAMPLE, path = EXAMPLE_PATH, to = address } = {},
): Promise<Ended> =>
  run(
    'gdbus',
    'call',
    '--address',
    to,
    '--dest',
    destination,
    '--object-path',
    path,
    '--method',
    INTERFACE_MEMBER(member),
    ...args,
  )

export const busctl = ({ run, address }: Site, ...args: readonly string[]): Promise<Ended> =>
  run('busctl', `--address=${address}`, ...args)

/** A few lines of python-dbus; `bus` is the link, `example` the service's object. */
export const pythonDbus = ({ run }: Site, lines: string): Promise<Ended> =>
  run(
    '/usr/bin/python3',
    '-c',
    `import dbus, os, sys
bus = dbus.SystemBus()
example = bus.get_object('${EXAMPLE}', '${EXAMPLE_PATH}', introspect=False)
${lines}`,
  )
