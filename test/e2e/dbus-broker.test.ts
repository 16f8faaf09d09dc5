/** `dbus` links to a dbus-broker: what buses do differently, and what must be the same whichever it is. */
import assert from 'node:assert/strict'
import { EXAMPLE, EXAMPLE_PATH, hasBroker } from '../support/bus.ts'
import { signalled, toBus } from '../support/bus-wire.ts'
import {
  busctl,
  dbusSend,
  gdbusCall,
  OPERATOR,
  onOneBus,
  pythonDbus,
  type Site,
} from '../support/dbus-site.ts'
import { BUS, fields, message } from '../support/dbus-wire.ts'

const ECHO = { destination: EXAMPLE, path: EXAMPLE_PATH, interface: EXAMPLE, member: 'Echo', args: ['hello'] }
const DENIED = `${BUS}.Error.AccessDenied`

const ROWS: Readonly<Record<string, (site: Site) => Promise<void>>> = {
  'every usual client calls a method': async site => {
    assert.match((await dbusSend(site, 'Echo', ['string:hello'])).out, /string "hello"/)
    assert.equal((await gdbusCall(site, 'Echo', ['hello'])).out, "('hello',)\n")
    const called = await busctl(site, 'call', EXAMPLE, EXAMPLE_PATH, EXAMPLE, 'Echo', 's', 'hello')
    assert.equal(called.out, 's "hello"\n', called.complaints)
    assert.equal((await pythonDbus(site, "print(example.Echo('hello'))")).out, 'hello\n')
  },

  'the bus sees the user of the role': async ({ clients }) => {
    const client = await clients.client()
    assert.deepEqual(await client.outcome(toBus('GetConnectionUnixUser', client.name)), [OPERATOR.uid])
    await client.close()
  },

  'both byte orders pass, whole and byte by byte': async ({ clients }) => {
    const client = await clients.client()
    for (const littleEndian of [true, false]) {
      for (const piece of [0, 1])
        assert.deepEqual(await client.outcome({ ...ECHO, littleEndian }, { piece }), ['hello'])
    }
    await client.close()
  },

  'the user may not own what the policy lets nobody own': async ({ clients }) => {
    const client = await clients.client()
    assert.equal(await client.outcome(toBus('RequestName', 'org.pantavisor.Client', 4)), DENIED)
    await client.close()
  },
}

onOneBus(
  'a dbus link to a dbus-broker',
  {
    ...ROWS,

    'a uid without a line in the passwd file is let in': async ({ link, clients }) => {
      await link('nopasswd', '7777')
      const client = await clients.client('/run/pvx/nopasswd')
      assert.deepEqual(await client.outcome(toBus('GetConnectionUnixUser', client.name)), [7777])
      await client.close()
    },

    'a message of an unknown type is ignored': async ({ clients }) => {
      const client = await clients.client()
      await client.put(
        message({ type: 9, serial: 50, fields: fields({ path: '/a', member: 'X', destination: BUS }) }),
      )
      assert.deepEqual(await client.heard(), [])
      await client.close()
    },
  },
  { bus: { program: 'dbus-broker' }, needs: hasBroker },
)

onOneBus(
  'a filtered dbus link to a dbus-broker',
  {
    ...ROWS,

    'another interface is out of reach': async ({ clients }) => {
      const client = await clients.client()
      assert.equal(await client.outcome({ ...ECHO, interface: 'org.pantavisor.ExampleEvil' }), DENIED)
      assert.equal(await client.outcome({ ...ECHO, destination: 'org.pantavisor.ExampleEvil' }), DENIED)
      await client.close()
    },

    'owners are followed, whatever match rules the client removes': async ({ clients, parties, service }) => {
      const client = await clients.client()
      const rule = `type='signal',sender='${BUS}',path='/org/freedesktop/DBus',interface='${BUS}',member='NameOwnerChanged',arg0='${EXAMPLE}'`
      for (const text of [rule, `=${rule}`, rule.replace('arg0', 'arg'), rule.replaceAll(',', ',===')]) {
        assert.equal(await client.outcome(toBus('RemoveMatch', text)), `${BUS}.Error.MatchRuleNotFound`)
      }
      await client.ask(toBus('AddMatch', "type='signal'"))
      await service.order(`release ${EXAMPLE}`)
      const party = await parties.client()
      const said = signalled({ interface: EXAMPLE, member: 'Handover' })
      await party.send(toBus('RequestName', EXAMPLE, 4))
      await party.put(said)
      await client.next('the first signal of the new owner', ({ named }) => named.member === 'Handover')
      assert.equal(await client.outcome({ ...ECHO, destination: service.uniqueName }), DENIED)
      await party.ask(toBus('ReleaseName', EXAMPLE))
      await party.close()
      await service.order(`own ${EXAMPLE}`)
      await client.close()
    },
  },
  { bus: { program: 'dbus-broker' }, needs: hasBroker, interface: EXAMPLE },
)
