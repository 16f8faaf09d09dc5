/** What a client of a filtered `dbus` link hears, on a real bus, as names change hands; and that it cannot make the link blind. */
import assert from 'node:assert/strict'
import { EXAMPLE } from '../support/bus.ts'
import { bodyOf, signalled, toBus } from '../support/bus-wire.ts'
import {
  type Cast,
  HIDDEN,
  listen,
  MISSING,
  onOneStage,
  own,
  PREFIX,
  release,
  signalsOf,
} from '../support/dbus-cast.ts'
import { BUS, call } from '../support/dbus-wire.ts'

const DENIED = `${BUS}.Error.AccessDenied`
const PROPERTIES = `${BUS}.Properties`
const OBJECT_MANAGER = `${BUS}.ObjectManager`

type From = 'service' | 'prefix' | 'hidden'
/** Who says it, of which interface, about what, and whether the client hears it. */
type Broadcast = readonly [from: From, of: string, about: string | number, heard: boolean]

const BROADCASTS: Readonly<Record<string, Broadcast>> = {
  'of its interface from its service is heard': ['service', EXAMPLE, 'x', true],
  'below its interface from its service is heard': ['service', `${EXAMPLE}.Sub`, 'x', true],
  'of an interface that only begins alike is not': ['service', HIDDEN, 'x', false],
  'of changed properties of its interface is heard': ['service', PROPERTIES, EXAMPLE, true],
  'of changed properties below it is heard': ['service', PROPERTIES, `${EXAMPLE}.Sub`, true],
  'of changed properties of another interface is not': ['service', PROPERTIES, HIDDEN, false],
  'of changed properties of a number is not': ['service', PROPERTIES, 7, false],
  'of ObjectManager from its service is heard': ['service', OBJECT_MANAGER, 'x', true],
  'of its interface from the name before its dots is heard': ['prefix', EXAMPLE, 'x', true],
  'of properties of its interface from there too': ['prefix', PROPERTIES, EXAMPLE, true],
  'of other properties from there is not': ['prefix', PROPERTIES, PREFIX, false],
  'of ObjectManager from there is not': ['prefix', OBJECT_MANAGER, 'x', false],
  'of another interface from there is not': ['prefix', PREFIX, 'x', false],
  'of its interface from somebody else is not': ['hidden', EXAMPLE, 'x', false],
  'of properties of its interface from somebody else is not': ['hidden', PROPERTIES, EXAMPLE, false],
}

const broadcast =
  ([from, of, about, heard]: Broadcast) =>
  async (cast: Cast): Promise<void> => {
    await listen(cast.client)
    for (const littleEndian of [true, false]) {
      await cast[from].put(signalled({ interface: of, member: 'Said', args: [about], littleEndian }))
    }
    await cast[from].settled()
    const said = (await signalsOf(cast.client)).filter(each => each.includes('.Said '))
    assert.deepEqual(said, heard ? [`${of}.Said ${about}`, `${of}.Said ${about}`] : [])
  }

const OWNER_CHANGED = `${BUS}.NameOwnerChanged`

/** The rule by which the daemon follows a name, in words of our own: to the bus it is the same. */
const tracking = (name: string): readonly string[] => {
  const parts = [
    "type='signal'",
    `sender='${BUS}'`,
    "path='/org/freedesktop/DBus'",
    `interface='${BUS}'`,
    "member='NameOwnerChanged'",
    `arg0='${name}'`,
  ]
  const rule = parts.join(',')
  return [
    rule,
    parts.toReversed().join(','),
    rule.replaceAll("'", ''),
    rule.replaceAll(',', ', '),
    ` ${rule},`,
    rule.replace(name, name.replace('.', "'.'")),
    rule.replace('NameOwnerChanged', "Name''Owner''Changed"),
    rule.replace('arg0', 'arg00'),
  ]
}

const hears = async ({ client }: Cast, what: string): Promise<void> => {
  await client.next(what, ({ named, body }) => named.member === 'Handover' && body.includes(what))
}

const greeting = (text: string): Buffer =>
  signalled({ interface: EXAMPLE, member: 'Handover', args: [text], serial: 9001 })

onOneStage('what a client of a filtered dbus link hears', {
  ...Object.fromEntries(
    Object.entries(BROADCASTS).map(([name, row]) => [`a signal to everybody ${name}`, broadcast(row)]),
  ),

  'a signal to it alone is heard from anybody, who is known from then on': async ({ client, hidden }) => {
    assert.equal(await client.outcome(toBus('GetNameOwner', hidden.name)), `${BUS}.Error.NameHasNoOwner`)
    await hidden.put(signalled({ interface: 'org.example.Any', member: 'Poke', destination: client.name }))
    await hidden.settled()
    assert.deepEqual(await signalsOf(client), ['org.example.Any.Poke'])
    assert.deepEqual(await client.outcome(toBus('GetNameOwner', hidden.name)), [hidden.name])
    // To be known is not to be reached.
    assert.equal(await client.outcome({ destination: hidden.name, interface: EXAMPLE }), DENIED)
  },

  'without a match rule it hears nothing of what is said to everybody': async ({ client, service }) => {
    await service.put(signalled({ interface: EXAMPLE, member: 'Said' }))
    await service.settled()
    assert.deepEqual(await signalsOf(client), [])
  },

  'of owners it is told where it knows the name, asked for or not': async cast => {
    const { client, service, prefix, hidden } = cast
    await listen(client)
    await release(hidden, HIDDEN)
    await own(hidden, MISSING)
    await release(hidden, MISSING)
    await own(hidden, HIDDEN)
    assert.deepEqual(await signalsOf(client), [])
    await release(service, EXAMPLE)
    await own(service, EXAMPLE)
    await release(prefix, PREFIX)
    await own(prefix, PREFIX)
    const changed = (name: string): string => `${OWNER_CHANGED} ${name}`
    const told = await signalsOf(client)
    assert.deepEqual(new Set(told), new Set([changed(EXAMPLE), changed(PREFIX)]))
  },

  'a new owner is its service at once, even when it speaks in the same write': async cast => {
    const { client, service, hidden } = cast
    await listen(client)
    let [from, to] = [service, hidden]
    for (let round = 0; round < 20; round += 1) {
      await release(from, EXAMPLE)
      const asked = call({
        serial: to.nextSerial(),
        ...{ destination: BUS, path: '/', interface: BUS, member: 'RequestName', signature: 'su' },
        body: bodyOf(true, [EXAMPLE, 4]),
      })
      await to.put(Buffer.concat([asked, greeting(`round ${round}`)]))
      await hears(cast, `round ${round}`)
      ;[from, to] = [to, from]
    }
  },

  'a former owner is its service no more': async cast => {
    const { client, service } = cast
    await listen(client)
    const asked = { destination: service.name, path: '/', interface: EXAMPLE, member: 'Ask', flags: 1 }
    await client.send(asked)
    await client.settled()
    assert.deepEqual(await service.heard(), [`${EXAMPLE}.Ask`])
    await release(service, EXAMPLE)
    await client.settled()
    await client.send(asked)
    assert.equal(await client.outcome({ ...asked, flags: 0 }), DENIED)
    await service.put(greeting('too late'))
    await service.settled()
    assert.deepEqual(await signalsOf(client), [])
    assert.deepEqual(await service.heard(), [])
    // One that it has known it may ask about.
    assert.deepEqual(await client.outcome(toBus('NameHasOwner', service.name)), [1])
  },

  'whatever match rules it removes, owners are followed': async cast => {
    const { client, service, hidden } = cast
    for (const name of [EXAMPLE, PREFIX]) {
      for (const rule of tracking(name)) {
        assert.equal(await client.outcome(toBus('RemoveMatch', rule)), `${BUS}.Error.MatchRuleNotFound`, rule)
        await client.send({ ...toBus('RemoveMatch', rule), flags: 1 })
      }
    }
    await client.settled()
    await release(service, EXAMPLE)
    await own(hidden, EXAMPLE)
    const asked = { path: '/', interface: EXAMPLE, member: 'Ask' }
    assert.equal(await client.outcome({ ...asked, destination: service.name }), DENIED)
    await client.send({ ...asked, destination: hidden.name, flags: 1 })
    await client.settled()
    assert.ok((await hidden.heard()).includes(`${EXAMPLE}.Ask`))
  },

  'a rule like those that follow owners may be added, and removed as often': async ({ client }) => {
    const [rule = ''] = tracking(EXAMPLE)
    for (const member of ['AddMatch', 'AddMatch', 'RemoveMatch', 'RemoveMatch']) {
      assert.deepEqual(await client.outcome(toBus(member, rule)), [], member)
    }
    assert.equal(await client.outcome(toBus('RemoveMatch', rule)), `${BUS}.Error.MatchRuleNotFound`)
  },

  'nothing comes before the reply to its Hello': async ({ site, service }) => {
    for (let round = 0; round < 10; round += 1) {
      const client = await site.clients.begun()
      await Promise.all([client.hello(), service.put(greeting('early'))])
      const [first] = await client.settled()
      assert.equal(first?.named.member, 'NameAcquired')
      await client.close()
    }
  },
})
