/** `dbus` links when things go wrong: buses that come late or go, clients in numbers, and clients that behave badly. */
import assert from 'node:assert/strict'
import { addUsers, hasBus, runBus, startBus, startClients, startService } from '../support/bus.ts'
import { untilDone } from '../support/child.ts'
import { askControl, at, linkUrl } from '../support/control.ts'
import type { Daemon } from '../support/daemon.ts'
import { busEntry, dbusSend, OPERATOR, onOneBus, type Site } from '../support/dbus-site.ts'
import { eventually } from '../support/eventually.ts'
import { keyOf, scenario } from '../support/scenario.ts'

/** How many connections a link has open. */
const openOn = async (daemon: Daemon, key: string): Promise<unknown> =>
  at((await askControl(daemon.control, linkUrl(key))).json, 'counters', 'connectionsOpen')

const reached = async (site: Site): Promise<void> => {
  const { code, out, complaints } = await dbusSend(site, 'Echo', ['string:hello'])
  assert.equal(code, 0, complaints)
  assert.match(out, /string "hello"/)
}

for (const filter of [undefined, 'org.pantavisor.Example']) {
  const which = filter === undefined ? 'without a filter' : 'with a filter'
  onOneBus(
    `a dbus link ${which} under load and abuse`,
    {
      '200 clients at once are all served': async ({ app }) => {
        const clients = startClients(app)
        assert.equal(await clients.order('many 200'), '200')
        await clients.kill()
      },

      // The bus itself answers no more than 128 at once (max_replies_per_connection, dbus-daemon(1)).
      '120 calls without waiting are answered in their order': async ({ app }) => {
        const clients = startClients(app)
        assert.equal(await clients.order('fast 120'), '120')
        await clients.kill()
      },

      '120 silent clients keep nobody from the bus': async site => {
        const clients = startClients(site.app)
        assert.equal(await clients.order('silent 120'), '120')
        await reached(site)
        await clients.kill()
      },

      '120 that stop in the handshake keep nobody from the bus': async site => {
        const clients = startClients(site.app)
        assert.equal(await clients.order('half 120'), '120')
        await reached(site)
        await clients.kill()
      },

      'clients that end in the middle of a message harm nobody': async site => {
        const clients = startClients(site.app)
        assert.equal(await clients.order('cut 40'), '40')
        await reached(site)
        await clients.kill()
      },

      'clients that never read harm nobody, and cost a bounded memory': async site => {
        const clients = startClients(site.app)
        const before = site.world.daemon.anonymousMemory()
        assert.equal(await clients.order('deaf 8'), '8')
        await reached(site)
        const grown = site.world.daemon.anonymousMemory() - before
        assert.ok(grown < 32 * 1024 * 1024, `${grown} bytes more`)
        await clients.kill()
      },

      'a client that is killed leaves nothing': async site => {
        const key = keyOf(site.entry)
        const clients = startClients(site.app)
        for (const name of ['a', 'b', 'c']) assert.equal(await clients.order(`hold ${name}`), 'ok')
        assert.equal(await openOn(site.world.daemon, key), 3)
        await site.app.exec('kill', '-KILL', await clients.order('pid'))
        await eventually('it is gone', async () => (await openOn(site.world.daemon, key)) === 0)
        await reached(site)
      },
    },
    filter === undefined ? {} : { interface: filter },
  )
}

scenario(
  'a client that comes before the bus waits for it, and one of a bus that goes is closed; the next one is served again',
  async world => {
    const [app, svc] = await Promise.all([world.container('app'), world.container('svc')])
    await addUsers(svc, [OPERATOR])
    const entry = busEntry(app, svc, { name: 'bus', role: OPERATOR.name, target: '/run/pvx/bus' })
    world.ctrl.serve([entry])
    world.daemon.signal('SIGHUP')
    await world.daemon.reaches(keyOf(entry), 'mediating')

    const early = untilDone(
      app.spawn([
        ...['dbus-send', '--bus=unix:path=/run/pvx/bus', '--print-reply', '--dest=org.freedesktop.DBus'],
        ...['/org/freedesktop/DBus', 'org.freedesktop.DBus.GetId'],
      ]),
    )
    await eventually('it is connected', async () => (await openOn(world.daemon, keyOf(entry))) === 1)
    const bus = await startBus(svc)
    const { code, complaints } = await early
    assert.equal(code, 0, complaints)

    const clients = startClients(app)
    assert.equal(await clients.order('hold a'), 'ok')
    assert.equal(await clients.order('held a'), 'open')
    await bus.kill()
    await eventually('it is closed', async () => (await clients.order('held a')) === 'closed')
    await runBus(svc)
    await startService(svc)
    assert.equal(await clients.order('many 3'), '3')
    await clients.kill()
  },
  { needs: hasBus },
)
