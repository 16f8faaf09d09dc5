/** `dbus` links that end, and their peers: under load, with connections open, and with a provider that comes back as another process. */
import assert from 'node:assert/strict'
import { addUsers, EXAMPLE, EXAMPLE_PATH, startBus, startService } from '../support/bus.ts'
import { type BusClient, listOf, toBus } from '../support/bus-wire.ts'
import { askControl, at, linkUrl } from '../support/control.ts'
import { OPERATOR, onOneBus, type Site } from '../support/dbus-site.ts'
import { eventually } from '../support/eventually.ts'
import { exists, inodeOf, keyOf } from '../support/scenario.ts'

const ECHO = { destination: EXAMPLE, path: EXAMPLE_PATH, interface: EXAMPLE, member: 'Echo' }
const CLIENTS = 12
const CALLS = 60

const inNumbers = async ({ clients }: Site): Promise<readonly BusClient[]> => {
  const all: BusClient[] = []
  for (let number = 0; number < CLIENTS; number += 1) all.push(await clients.client())
  return all
}

/** Calls whose answers nobody reads. */
const load = async (clients: readonly BusClient[]): Promise<void> => {
  for (const client of clients) {
    for (let number = 0; number < CALLS; number += 1) await client.send({ ...ECHO, args: ['x'.repeat(2000)] })
  }
}

const served = async ({ clients }: Site, path?: string): Promise<void> => {
  const client = await clients.client(path)
  assert.deepEqual(await client.outcome({ ...ECHO, args: ['hello'] }), ['hello'])
  await client.close()
}

const openOn = async ({ world, entry }: Site): Promise<unknown> =>
  at((await askControl(world.daemon.control, linkUrl(keyOf(entry)))).json, 'counters', 'connectionsOpen')

/** Connections that the bus has, but for the one that asks. */
const onTheBus = async (party: BusClient): Promise<number> =>
  listOf(await party.ask(toBus('ListNames'))).filter(name => name.startsWith(':')).length

const FILTERS = [undefined, EXAMPLE] as const

for (const filter of FILTERS) {
  const which = filter === undefined ? 'without a filter' : 'with a filter'
  const options = filter === undefined ? {} : { interface: filter }

  onOneBus(
    `a dbus link ${which} that ends`,
    {
      'closes its clients under load, takes its socket away, and comes back': async site => {
        const { world, entry, app, parties } = site
        const key = keyOf(entry)
        const party = await parties.client()
        const before = await onTheBus(party)
        const clients = await inNumbers(site)
        await load(clients)
        const loading = load(clients).catch(() => undefined)
        world.ctrl.serve([])
        world.daemon.signal('SIGHUP')
        await world.daemon.reaches(key, 'released')
        await loading
        for (const client of clients) await client.toEnd()
        assert.ok(!exists(app.path(String(entry['target']))))
        await eventually('the bus has let go of them', async () => (await onTheBus(party)) <= before)
        const seen = world.daemon.statesOf(key).length
        world.ctrl.serve([entry])
        world.daemon.signal('SIGHUP')
        await world.daemon.reachesAgain(key, 'mediating', seen)
        await served(site)
        await party.close()
      },
    },
    options,
  )

  onOneBus(
    `the consumer of a dbus link ${which}`,
    {
      'is killed with connections open: the bus is rid of them, and so is the daemon': async site => {
        const party = await site.parties.client()
        const before = await onTheBus(party)
        await load(await inNumbers(site))
        await site.app.kill()
        await eventually('the bus has let go of them', async () => (await onTheBus(party)) <= before, 10_000)
        await party.close()
      },
    },
    options,
  )

  onOneBus(
    `the provider of a dbus link ${which}`,
    {
      'goes and comes back under another pid: its clients are closed, the socket stays, and serves the new bus':
        async site => {
          const { world, entry, app, svc } = site
          const key = keyOf(entry)
          const planted = inodeOf(app.path(String(entry['target'])))
          const client = await site.clients.client()
          await load([client])
          await svc.kill()
          await client.toEnd()
          await eventually('no connection is left', async () => (await openOn(site)) === 0)
          const next = await world.container('svc')
          await addUsers(next, [OPERATOR])
          await startBus(next)
          await startService(next)
          world.ctrl.serve([{ ...entry, provider_pid: next.pid }])
          await world.ctrl.askedAgain(2)
          await world.daemon.reaches(key, 'mediating')
          assert.equal(inodeOf(app.path(String(entry['target']))), planted)
          await served(site)
        },
    },
    options,
  )
}
