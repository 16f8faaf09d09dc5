/** What a client of a filtered `dbus` link may send, on a real bus that would let it send everything. */
import assert from 'node:assert/strict'
import { EXAMPLE } from '../support/bus.ts'
import {
  type Asking,
  argumentsOf,
  type BusClient,
  bulky,
  listOf,
  signalled,
  toBus,
} from '../support/bus-wire.ts'
import { type Cast, HIDDEN, listen, MISSING, onOneStage, PREFIX, signalsOf } from '../support/dbus-cast.ts'
import { BUS, reply } from '../support/dbus-wire.ts'

const DENIED = `${BUS}.Error.AccessDenied`
const PEER = `${BUS}.Peer`
const INTROSPECTABLE = `${BUS}.Introspectable`
const PROPERTIES = `${BUS}.Properties`
const OBJECT_MANAGER = `${BUS}.ObjectManager`
const NO_REPLY = 1

type To = 'service' | 'prefix' | 'hidden'

const NAMES: Readonly<Record<To, string>> = { service: EXAMPLE, prefix: PREFIX, hidden: HIDDEN }

/** A call to one of the cast, and the interface that arrives there; `null`: it is denied. */
type Call = readonly [
  to: To,
  how: Pick<Asking, 'interface' | 'args' | 'littleEndian'>,
  arrives: string | null,
]

const toService = (how: Call[1], arrives: string | null = how.interface ?? null): Call => [
  'service',
  how,
  arrives,
]
const toPrefix = (how: Call[1], arrives: string | null = how.interface ?? null): Call => [
  'prefix',
  how,
  arrives,
]

const CALLS: Readonly<Record<string, Call>> = {
  'of its interface passes': toService({ interface: EXAMPLE }),
  'of an interface below it passes': toService({ interface: `${EXAMPLE}.Sub.Deep` }),
  'of an interface that only begins alike is denied': toService({ interface: HIDDEN }, null),
  'of an interface above it is denied': toService({ interface: PREFIX }, null),
  'of Peer passes': toService({ interface: PEER }),
  'of Introspectable passes': toService({ interface: INTROSPECTABLE }),
  'of ObjectManager passes': toService({ interface: OBJECT_MANAGER }),
  'of another interface of the bus is denied': toService({ interface: `${BUS}.Debug.Stats` }, null),
  'of Properties of its interface passes': toService({ interface: PROPERTIES, args: [EXAMPLE, 'Colour'] }),
  'of Properties below its interface passes': toService({ interface: PROPERTIES, args: [`${EXAMPLE}.Sub`] }),
  'of Properties in the other byte order passes': toService({
    interface: PROPERTIES,
    args: [EXAMPLE],
    littleEndian: false,
  }),
  'of Properties of another interface is denied': toService(
    { interface: PROPERTIES, args: [HIDDEN, 'Secret'] },
    null,
  ),
  'of Properties of every interface is denied': toService({ interface: PROPERTIES, args: [''] }, null),
  'of Properties of a number is denied': toService({ interface: PROPERTIES, args: [7] }, null),
  'of Properties of nothing is denied': toService({ interface: PROPERTIES }, null),
  'without an interface passes as one of its interface': toService({}, EXAMPLE),
  'without an interface in the other byte order too': toService(
    { littleEndian: false, args: ['x', 7] },
    EXAMPLE,
  ),
  'of its interface to the name before its dots passes': toPrefix({ interface: EXAMPLE }),
  'of Peer to the name before its dots passes': toPrefix({ interface: PEER }),
  'of Introspectable to the name before its dots passes': toPrefix({ interface: INTROSPECTABLE }),
  'of its Properties to the name before its dots passes': toPrefix({
    interface: PROPERTIES,
    args: [EXAMPLE],
  }),
  'of other Properties to the name before its dots is denied': toPrefix(
    { interface: PROPERTIES, args: [PREFIX] },
    null,
  ),
  'of ObjectManager to the name before its dots is denied': toPrefix({ interface: OBJECT_MANAGER }, null),
  'of the interface of the name before its dots is denied': toPrefix({ interface: PREFIX }, null),
  'without an interface to the name before its dots is denied': toPrefix({}, null),
  'of its interface to a name that only begins alike is denied': ['hidden', { interface: EXAMPLE }, null],
  'of Peer to a name that only begins alike is denied': ['hidden', { interface: PEER }, null],
}

/** What arrives at `party` of what the client has sent: the interfaces of calls. */
const arrived = async (client: BusClient, party: BusClient): Promise<readonly unknown[]> => {
  await client.settled()
  return (await party.settled()).filter(({ type }) => type === 1).map(({ named }) => named.interface)
}

const tried =
  ([to, how, arrives]: Call) =>
  async (cast: Cast): Promise<void> => {
    const { client } = cast
    const party = cast[to]
    for (const destination of [NAMES[to], party.name]) {
      const asked = { path: '/test', member: 'Ask', destination, ...how }
      for (const flags of [0, NO_REPLY]) {
        const serial = await client.send({ ...asked, flags })
        if (arrives === null && flags === 0) {
          assert.equal((await client.replyTo(serial)).named.errorName, DENIED)
        }
        assert.deepEqual(await arrived(client, party), arrives === null ? [] : [arrives], destination)
      }
    }
  }

const REACHES_NOBODY: Readonly<Record<string, (cast: Cast) => Asking>> = {
  'to a name that nobody has': () => ({ destination: MISSING, interface: EXAMPLE }),
  'to a unique name that nobody has': () => ({ destination: ':1.99999', interface: EXAMPLE }),
  'to a name below its own': () => ({ destination: `${EXAMPLE}.Sub`, interface: EXAMPLE }),
  'to itself': ({ client }) => ({ destination: client.name, interface: EXAMPLE }),
  'to nobody': () => ({ interface: EXAMPLE }),
  'to nobody without an interface': () => ({}),
}

/** A signal that the client sends, and who hears it. */
const SIGNALS: Readonly<
  Record<
    string,
    readonly [how: (cast: Cast) => { interface: string; destination?: string }, hears: To | null]
  >
> = {
  'of its interface to everybody passes': [() => ({ interface: EXAMPLE }), 'hidden'],
  'below its interface to everybody passes': [() => ({ interface: `${EXAMPLE}.Sub` }), 'hidden'],
  'of Properties to everybody passes': [() => ({ interface: PROPERTIES }), 'hidden'],
  'of ObjectManager to everybody passes': [() => ({ interface: OBJECT_MANAGER }), 'hidden'],
  'of another interface to everybody is dropped': [() => ({ interface: HIDDEN }), null],
  'of its interface to its service passes': [() => ({ interface: EXAMPLE, destination: EXAMPLE }), 'service'],
  'of its interface to the owner passes': [
    ({ service }) => ({ interface: EXAMPLE, destination: service.name }),
    'service',
  ],
  'of its interface to the name before its dots passes': [
    () => ({ interface: EXAMPLE, destination: PREFIX }),
    'prefix',
  ],
  'of another interface to its service is dropped': [
    () => ({ interface: HIDDEN, destination: EXAMPLE }),
    null,
  ],
  'of its interface to somebody else is dropped': [() => ({ interface: EXAMPLE, destination: HIDDEN }), null],
}

const signalTried =
  ([how, hears]: (typeof SIGNALS)[string]) =>
  async (cast: Cast): Promise<void> => {
    const listeners = [cast.service, cast.prefix, cast.hidden]
    for (const each of listeners) await listen(each)
    await cast.client.put(signalled({ member: 'Said', ...how(cast) }))
    await cast.client.settled()
    for (const to of ['service', 'prefix', 'hidden'] as const) {
      const heard = (await signalsOf(cast[to])).filter(each => each.endsWith('.Said'))
      const all = hears === 'hidden'
      assert.equal(heard.length, all || hears === to ? 1 : 0, to)
    }
  }

const aboutNames = [
  'GetNameOwner',
  'ListQueuedOwners',
  'GetConnectionUnixUser',
  'GetConnectionUnixProcessID',
  'GetConnectionCredentials',
] as const

const ASKS_IN_VAIN: Readonly<Record<string, Asking>> = {
  UpdateActivationEnvironment: toBus('UpdateActivationEnvironment'),
  ReloadConfig: toBus('ReloadConfig'),
  'ReloadConfig without an interface': { destination: BUS, path: '/any', member: 'ReloadConfig' },
  'a second Hello': toBus('Hello'),
  BecomeMonitor: { ...toBus('BecomeMonitor', [], 0), interface: `${BUS}.Monitoring` },
  'BecomeMonitor without an interface': {
    destination: BUS,
    path: '/any',
    member: 'BecomeMonitor',
    args: [[], 0],
  },
  statistics: { ...toBus('GetStats'), interface: `${BUS}.Debug.Stats` },
  'a property of the bus to be set': { ...toBus('Set', BUS, 'Features', 'x'), interface: PROPERTIES },
  'an eavesdropping rule': toBus('AddMatch', "eavesdrop='true'"),
  'one that says it does not': toBus('AddMatch', "type='signal',eavesdrop = 'false'"),
  'a name beside its own': toBus('RequestName', HIDDEN, 4),
  'a name below its own': toBus('RequestName', `${EXAMPLE}.Sub`, 4),
  'a number for a name': toBus('GetNameOwner', 7),
}

const MAY_ASK: Readonly<Record<string, Asking>> = {
  GetId: toBus('GetId'),
  Ping: { ...toBus('Ping'), interface: PEER },
  GetMachineId: { ...toBus('GetMachineId'), interface: PEER },
  Introspect: { ...toBus('Introspect'), interface: INTROSPECTABLE },
  'its properties': { ...toBus('GetAll', BUS), interface: PROPERTIES },
  'about its service': toBus('GetNameOwner', EXAMPLE),
  'about the bus': toBus('GetNameOwner', BUS),
  'for a match rule': toBus('AddMatch', "type='signal',sender='org.example.Whoever'"),
  'to start its service': toBus('StartServiceByName', EXAMPLE, 0),
}

onOneStage('what a client of a filtered dbus link sends', {
  ...Object.fromEntries(Object.entries(CALLS).map(([name, row]) => [`a call ${name}`, tried(row)])),
  ...Object.fromEntries(Object.entries(SIGNALS).map(([name, row]) => [`a signal ${name}`, signalTried(row)])),

  ...Object.fromEntries(
    Object.entries(REACHES_NOBODY).map(([name, how]) => [
      `a call ${name} is denied`,
      async (cast: Cast) => {
        const asked = { path: '/test', member: 'Ask', ...how(cast) }
        assert.equal(await cast.client.outcome(asked), DENIED)
        await cast.client.send({ ...asked, flags: NO_REPLY })
        assert.deepEqual(await cast.client.heard(), [])
      },
    ]),
  ),

  'a call to nobody of Peer is answered by the bus': async ({ client }) => {
    assert.deepEqual(await client.outcome({ path: '/', interface: PEER, member: 'Ping' }), [])
  },

  'names that are hidden and names that nobody has are answered alike': async ({ client, hidden }) => {
    const alike = async (asked: (name: string) => Asking, names: readonly string[]): Promise<void> => {
      const texts: unknown[] = []
      for (const name of names) {
        const answer = await client.ask(asked(name))
        const { type, flags, named } = answer
        const values = argumentsOf(answer).map(each => String(each).replaceAll(name, 'NAME'))
        texts.push({ type, flags, error: named.errorName, sender: named.sender, values })
      }
      assert.deepEqual(texts[1], texts[0])
    }
    const pairs = [
      [HIDDEN, MISSING],
      [hidden.name, ':1.9876'],
    ]
    for (const names of pairs) {
      await alike(name => ({ destination: name, path: '/', interface: EXAMPLE, member: 'Ask' }), names)
      for (const member of [...aboutNames, 'NameHasOwner', 'ReleaseName'])
        await alike(name => toBus(member, name), names)
      await alike(name => toBus('StartServiceByName', name, 0), names)
    }
  },

  'of names that it knows it is told': async ({ client, service, prefix }) => {
    assert.deepEqual(await client.outcome(toBus('GetNameOwner', EXAMPLE)), [service.name])
    assert.deepEqual(await client.outcome(toBus('GetNameOwner', PREFIX)), [prefix.name])
    for (const name of [EXAMPLE, PREFIX, service.name, prefix.name, client.name, BUS]) {
      assert.deepEqual(await client.outcome(toBus('NameHasOwner', name)), [1], name)
    }
    for (const member of aboutNames.slice(1, 4)) {
      assert.equal(typeof (await client.outcome(toBus(member, service.name))), 'object', member)
    }
  },

  'of the names of the bus those that it knows are listed, in both byte orders': async cast => {
    const { client, service, prefix } = cast
    for (const littleEndian of [true, false]) {
      const names = listOf(await client.ask({ ...toBus('ListNames'), littleEndian }))
      const visible = [BUS, EXAMPLE, PREFIX, client.name, service.name, prefix.name]
      assert.deepEqual([...names].sort(), visible.sort())
      const activatable = listOf(await client.ask({ ...toBus('ListActivatableNames'), littleEndian }))
      assert.deepEqual(activatable, [BUS])
    }
  },

  ...Object.fromEntries(
    Object.entries(ASKS_IN_VAIN).map(([name, asked]) => [
      `the bus is not asked for ${name}`,
      async ({ client }: Cast) => {
        assert.equal(await client.outcome(asked), DENIED)
        await client.send({ ...asked, flags: NO_REPLY })
        assert.deepEqual(await client.heard(), [])
      },
    ]),
  ),

  ...Object.fromEntries(
    Object.entries(MAY_ASK).map(([name, asked]) => [
      `the bus may be asked ${name}`,
      async ({ client }: Cast) => {
        // A container without a machine id is one that the bus says so of.
        assert.ok(![DENIED, `${BUS}.Error.UnknownMethod`].includes(String(await client.outcome(asked))))
      },
    ]),
  ),

  'its own name may be had and given back': async ({ client, service }) => {
    await service.ask(toBus('ReleaseName', EXAMPLE))
    assert.deepEqual(await client.outcome(toBus('ReleaseName', EXAMPLE)), [2])
    assert.deepEqual(await client.outcome(toBus('RequestName', EXAMPLE, 4)), [1])
    assert.deepEqual(await service.outcome(toBus('GetNameOwner', EXAMPLE)), [client.name])
    assert.deepEqual(await client.outcome(toBus('ReleaseName', EXAMPLE)), [1])
    assert.deepEqual(await client.outcome(toBus('ReleaseName', EXAMPLE)), [2])
  },

  'a call that it was given is answered once, and nobody else is': async ({ client, hidden }) => {
    const serial = await hidden.send({
      destination: client.name,
      path: '/',
      interface: 'org.example.Agent',
      member: 'Ask',
    })
    const { serial: asked } = await client.next('the call', ({ named }) => named.member === 'Ask')
    for (const [to, destination] of [
      [asked, hidden.name],
      [asked, hidden.name],
      [asked + 1, hidden.name],
    ] as const) {
      await client.put(reply({ to, destination, serial: client.nextSerial() }))
    }
    assert.equal((await hidden.replyTo(serial)).type, 2)
    await client.settled()
    assert.deepEqual(await hidden.heard(), [])
  },

  'the descriptors of a denied call are closed': async ({ client, service, site }) => {
    const { peer } = site.clients
    const before = site.world.daemon.descriptors().length
    for (const flags of [0, NO_REPLY]) {
      await peer.makePipe('end', 'sent')
      await client.send(
        { destination: service.name, path: '/', interface: HIDDEN, member: 'Take', unixFds: 2, flags },
        { descriptors: ['sent', 'sent'] },
      )
      await client.settled()
      await peer.closeFiles(['sent'])
      assert.equal(await peer.readFile('end'), '')
      await peer.closeFiles(['end'])
    }
    assert.equal(site.world.daemon.descriptors().length, before)
  },

  'a denied call of 16 MiB is taken and thrown away': async ({ client, site }) => {
    const before = site.world.daemon.anonymousMemory()
    const asked = { destination: HIDDEN, path: '/', interface: EXAMPLE, member: 'Take' }
    const size = 16 * 1024 * 1024
    await client.put(bulky(asked, size, 500), { zeros: size })
    assert.equal((await client.replyTo(500)).named.errorName, DENIED)
    assert.deepEqual(await client.heard(), [])
    const grown = site.world.daemon.anonymousMemory() - before
    assert.ok(grown < size / 2, `${grown} bytes more`)
  },
})
