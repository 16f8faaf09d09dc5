/** What reaches a filtered client: replies, calls, signals, and changes of owners; and how the filter learns of them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  busCall,
  call,
  type Fields,
  FilterStage,
  failed,
  INTROSPECTABLE,
  ME,
  type Message,
  message,
  OBJECT_MANAGER,
  OWNER,
  ownerChanged,
  PROPERTIES,
  replyTo,
  returned,
  SERVICE,
  STRANGER,
  said,
  signal,
  stringArray,
  strings,
  uint32,
} from '../../support/dbus-filter.ts'

const BUS = 'org.freedesktop.DBus'
const PREFIX = 'org.example'
const PREFIX_OWNER = ':1.21'
const HIDDEN = 'org.example.Other'
const NEW_OWNER = ':1.22'
const NAMES = { [SERVICE]: OWNER, [PREFIX]: PREFIX_OWNER, [HIDDEN]: STRANGER }

const started = (wanted = SERVICE): FilterStage => new FilterStage({ wanted }).start(NAMES)

const service = (serial: number, destination = SERVICE): Message =>
  call({ serial, destination, interface: SERVICE })
const broadcast = (sender: string, fields: Fields = {}): Message =>
  signal({ sender, interface: SERVICE, ...fields })
const asks = (stage: FilterStage, name: string, serial = 50): string =>
  said(stage.send(busCall('NameHasOwner', strings(name), { serial })))

describe('replies to a filtered client', () => {
  test('pass once', () => {
    const stage = started()
    stage.send(service(5))
    assert.equal(said(stage.fromBus(returned(5, { sender: OWNER }))), 'pass')
    assert.equal(said(stage.fromBus(returned(5, { sender: OWNER }))), 'drop reply')
    assert.equal(said(stage.fromBus(failed(5))), 'drop reply')
  })

  test('may be an error, of the service or of the bus', () => {
    const stage = started()
    for (const [serial, sender] of [
      [5, OWNER],
      [6, BUS],
    ] as const) {
      stage.send(service(serial))
      assert.equal(said(stage.fromBus(failed(serial, { sender }))), 'pass')
      assert.equal(said(stage.fromBus(returned(serial, { sender }))), 'drop reply')
    }
  })

  test('that nobody asked for are dropped', () => {
    const stage = started()
    stage.send({ ...service(5), head: { ...service(5).head, flags: 1 } })
    stage.send(call({ serial: 6, destination: HIDDEN, interface: SERVICE }))
    for (const serial of [5, 6, 7]) {
      assert.equal(said(stage.fromBus(returned(serial, { sender: OWNER }))), 'drop reply')
    }
  })

  test('to a call of Peer to nobody pass, whoever signs them', () => {
    const stage = started()
    for (const [serial, sender] of [
      [5, undefined],
      [6, BUS],
    ] as const) {
      stage.send(call({ serial, interface: 'org.freedesktop.DBus.Peer', member: 'Ping' }))
      assert.equal(said(stage.fromBus(returned(serial, { sender }))), 'pass')
    }
  })

  test('to a service that has lost its name meanwhile still pass', () => {
    const stage = started()
    stage.send(service(5, OWNER))
    stage.fromBus(ownerChanged(SERVICE, OWNER, NEW_OWNER))
    assert.equal(said(stage.fromBus(returned(5, { sender: OWNER }))), 'pass')
  })

  test("in the name of the bus are the bus's alone", () => {
    const stage = started()
    stage.send(busCall('GetId', undefined, { serial: 5 }))
    assert.equal(said(stage.fromBus(returned(5, { sender: OWNER }, strings('x')))), 'drop reply')
    assert.equal(said(stage.fromBus(returned(5, { sender: undefined }, strings('x')))), 'drop reply')
    assert.equal(said(stage.fromBus(returned(5, {}, strings('x')))), 'pass')
  })
})

describe('calls to a filtered client', () => {
  test('pass from anybody, and whoever calls is visible from then on', () => {
    const stage = started()
    assert.equal(asks(stage, STRANGER), 'answer false')
    assert.equal(said(stage.fromBus(call({ sender: STRANGER, destination: ME, interface: 'a.b' }))), 'pass')
    assert.equal(asks(stage, STRANGER), 'pass')
    assert.equal(asks(stage, HIDDEN, 51), 'answer false')
  })

  test('do not make the caller a service', () => {
    const stage = started()
    stage.fromBus(call({ sender: STRANGER, destination: ME }))
    assert.equal(said(stage.send(service(5, STRANGER))), 'deny dest')
    assert.equal(said(stage.send(signal({ destination: STRANGER, interface: SERVICE }))), 'drop signal-out')
    assert.equal(said(stage.fromBus(broadcast(STRANGER))), 'drop signal-in')
  })

  test('of more callers than the limit the oldest is forgotten', () => {
    const stage = new FilterStage({ limits: { dbusCalls: 100, dbusSeen: 3 } }).start(NAMES)
    const callers = [':1.41', ':1.42', ':1.43', ':1.44']
    for (const sender of callers) stage.fromBus(call({ sender, destination: ME }))
    const known = callers.map((name, index) => asks(stage, name, 50 + index))
    assert.deepEqual(known, ['answer false', 'pass', 'pass', 'pass'])
  })

  test('a caller that is gone is forgotten', () => {
    const stage = started()
    stage.fromBus(call({ sender: STRANGER, destination: ME }))
    assert.equal(said(stage.fromBus(ownerChanged(STRANGER, STRANGER, ''))), 'pass')
    assert.equal(asks(stage, STRANGER), 'answer false')
    assert.equal(said(stage.fromBus(ownerChanged(STRANGER, STRANGER, ''))), 'drop signal-in')
  })
})

describe('signals to a filtered client', () => {
  const property = (sender: string, first: string, fields: Fields = {}): Message =>
    signal({ sender, interface: PROPERTIES, member: 'PropertiesChanged', ...fields }, strings(first))

  const rows: readonly (readonly [string, Message, string])[] = [
    ['of the service', broadcast(OWNER), 'pass'],
    ['of a part of the service', broadcast(OWNER, { interface: `${SERVICE}.Part` }), 'pass'],
    [
      'of the service, by an interface that begins alike',
      broadcast(OWNER, { interface: `${SERVICE}Evil` }),
      'drop signal-in',
    ],
    ['of the service, of another interface', broadcast(OWNER, { interface: HIDDEN }), 'drop signal-in'],
    ['of the service, of Introspectable', broadcast(OWNER, { interface: INTROSPECTABLE }), 'drop signal-in'],
    ['of the objects of the service', broadcast(OWNER, { interface: OBJECT_MANAGER }), 'pass'],
    ['of a property of the service', property(OWNER, SERVICE), 'pass'],
    ['of a property of the service, big-endian', property(OWNER, SERVICE, { littleEndian: false }), 'pass'],
    ['of a property of a part', property(OWNER, `${SERVICE}.Part`), 'pass'],
    ['of a property of another interface', property(OWNER, HIDDEN), 'drop signal-in'],
    ['of a property of an interface that begins alike', property(OWNER, `${SERVICE}Evil`), 'drop signal-in'],
    [
      'of a property without its interface',
      signal({ sender: OWNER, interface: PROPERTIES }, uint32(1)),
      'drop signal-in',
    ],
    ['of whoever the service may be an interface of', broadcast(PREFIX_OWNER), 'pass'],
    ['of its property', property(PREFIX_OWNER, SERVICE), 'pass'],
    ['of its other property', property(PREFIX_OWNER, PREFIX), 'drop signal-in'],
    ['of its own interface', broadcast(PREFIX_OWNER, { interface: PREFIX }), 'drop signal-in'],
    ['of its objects', broadcast(PREFIX_OWNER, { interface: OBJECT_MANAGER }), 'drop signal-in'],
    ['of a stranger', broadcast(STRANGER), 'drop signal-in'],
    ["of a stranger's property", property(STRANGER, SERVICE), 'drop signal-in'],
    ["of a stranger's objects", broadcast(STRANGER, { interface: OBJECT_MANAGER }), 'drop signal-in'],
    ['of nobody', broadcast(':1.999'), 'drop signal-in'],
    ['without a sender', signal({ interface: SERVICE }), 'drop signal-in'],
    [
      'of the bus',
      broadcast(BUS, { interface: BUS, member: 'ActivatableServicesChanged' }),
      'drop signal-in',
    ],
  ]
  for (const [what, sent, verdict] of rows) {
    test(`${what}, to everybody: ${verdict}`, () => {
      assert.equal(said(started().fromBus(sent)), verdict)
    })

    test(`${what}, to the client itself: pass`, () => {
      assert.equal(said(started().fromBus({ ...sent, head: { ...sent.head, destination: ME } })), 'pass')
    })
  }

  test('whoever sends one to the client itself is visible from then on', () => {
    const stage = started()
    stage.fromBus(broadcast(STRANGER, { destination: ME }))
    assert.equal(asks(stage, STRANGER), 'pass')
    assert.equal(said(stage.send(service(5, STRANGER))), 'deny dest')
  })

  for (const member of ['NameAcquired', 'NameLost']) {
    test(`${member} passes`, () => {
      const sent = signal({ sender: BUS, interface: BUS, member, destination: ME }, strings(ME))
      assert.equal(said(started().fromBus(sent)), 'pass')
    })
  }

  test('a type that nobody knows is dropped', () => {
    assert.equal(
      said(started().fromBus(message({ type: 7, sender: OWNER, destination: ME }))),
      'drop signal-in',
    )
  })
})

describe('changes of owners', () => {
  test('are told of visible names', () => {
    assert.equal(said(started().fromBus(ownerChanged(SERVICE, OWNER, ''))), 'pass')
    assert.equal(said(started().fromBus(ownerChanged(PREFIX, PREFIX_OWNER, NEW_OWNER))), 'pass')
    assert.equal(said(started().fromBus(ownerChanged(OWNER, OWNER, ''))), 'pass')
    assert.equal(said(started().fromBus(ownerChanged(ME, ME, ''))), 'pass')
  })

  test('are not told of hidden names', () => {
    for (const sent of [
      ownerChanged(HIDDEN, STRANGER, ''),
      ownerChanged(':1.99', '', ':1.99'),
      ownerChanged(STRANGER, STRANGER, ''),
      ownerChanged(`${SERVICE}Evil`, '', STRANGER),
    ]) {
      assert.equal(said(started().fromBus(sent)), 'drop signal-in')
      assert.equal(
        said(started().fromBus({ ...sent, head: { ...sent.head, destination: ME } })),
        'drop signal-in',
      )
    }
  })

  for (const littleEndian of [true, false]) {
    test(`take effect before what comes next, ${littleEndian ? 'little' : 'big'}-endian`, () => {
      const stage = started()
      assert.equal(said(stage.fromBus(broadcast(NEW_OWNER))), 'drop signal-in')
      assert.equal(said(stage.fromBus(ownerChanged(SERVICE, OWNER, NEW_OWNER, { littleEndian }))), 'pass')
      assert.equal(said(stage.fromBus(broadcast(NEW_OWNER))), 'pass')
      assert.equal(said(stage.send(service(5, NEW_OWNER))), 'pass')
    })
  }

  test('end what the former owner was, but not that it is known', () => {
    const stage = started()
    stage.fromBus(ownerChanged(SERVICE, OWNER, NEW_OWNER))
    assert.equal(said(stage.fromBus(broadcast(OWNER))), 'drop signal-in')
    assert.equal(said(stage.send(service(5, OWNER))), 'deny dest')
    assert.equal(asks(stage, OWNER), 'pass')
    stage.fromBus(ownerChanged(OWNER, OWNER, ''))
    assert.equal(asks(stage, OWNER, 51), 'answer false')
  })

  test('a service that comes back is one again', () => {
    const stage = started()
    stage.fromBus(ownerChanged(SERVICE, OWNER, ''))
    assert.equal(said(stage.send(service(5, OWNER))), 'deny dest')
    stage.fromBus(ownerChanged(SERVICE, '', OWNER))
    assert.equal(said(stage.send(service(6, OWNER))), 'pass')
  })

  test('one of two names that are lost leaves the other', () => {
    const stage = new FilterStage().start({ [SERVICE]: OWNER, [PREFIX]: OWNER })
    stage.fromBus(ownerChanged(SERVICE, OWNER, ''))
    const objects = (serial: number): Message =>
      call({ serial, destination: OWNER, interface: OBJECT_MANAGER })
    assert.equal(said(stage.send(objects(5))), 'deny interface')
    assert.equal(said(stage.send(service(6, OWNER))), 'pass')
    stage.fromBus(ownerChanged(PREFIX, OWNER, ''))
    assert.equal(said(stage.send(service(7, OWNER))), 'deny dest')
  })

  test('are believed of the bus alone', () => {
    for (const fields of [
      { sender: STRANGER },
      { sender: undefined },
      { interface: 'org.freedesktop.DBus.Other' },
      { member: 'NameOwnerChange' },
    ]) {
      for (const destination of [undefined, ME]) {
        const stage = started()
        stage.fromBus(ownerChanged(SERVICE, OWNER, STRANGER, { ...fields, destination }))
        assert.equal(said(stage.send(service(5, STRANGER))), 'deny dest')
      }
    }
  })

  test('that cannot be read end the connection', () => {
    const { head } = ownerChanged(SERVICE, OWNER, '')
    const { body } = message({}, strings(SERVICE, OWNER))
    assert.equal(started().fromBus({ head, body }).kind, 'violation')
    assert.equal(
      started().fromBus({ head: { ...head, signature: 'ssu' }, body: ownerChanged(SERVICE, OWNER, '').body })
        .kind,
      'violation',
    )
    assert.equal(started().fromBus({ head, body: new Uint8Array(0) }).kind, 'violation')
  })

  test('with names as long as they may be are read whole', () => {
    const long = `org.example.Service.${'x'.repeat(235)}`
    const unique = `:1.${'1'.repeat(252)}`
    const stage = started(`${SERVICE}.*`)
    assert.equal(said(stage.fromBus(ownerChanged(long, unique.replace('1', '2'), unique))), 'pass')
    assert.equal(said(stage.send(service(5, unique))), 'pass')
  })
})

describe('the first steps of a filtered connection', () => {
  test("rules come before questions, and serials are the filter's own", () => {
    const stage = new FilterStage().begin()
    assert.deepEqual(
      stage.ownCalls.map(({ serial, member }) => [serial, member]),
      [
        [0xffff_0001, 'AddMatch'],
        [0xffff_0002, 'AddMatch'],
        [0xffff_0003, 'GetNameOwner'],
        [0xffff_0004, 'GetNameOwner'],
      ],
    )
    assert.deepEqual(
      stage.ownCalls.slice(2).map(({ argument }) => argument),
      [SERVICE, PREFIX],
    )
  })

  test('it is ready when all replies are in, whatever their order', () => {
    const stage = new FilterStage().begin()
    assert.equal(stage.filter.ready, false)
    for (const own of stage.ownCalls.splice(0).reverse()) {
      assert.equal(stage.filter.ready, false)
      assert.equal(said(stage.fromBus(replyTo(own, NAMES))), 'swallow')
    }
    assert.equal(stage.filter.ready, true)
  })

  test('a name that nobody has is no error', () => {
    const stage = new FilterStage().start({})
    assert.equal(said(stage.send(service(5, OWNER))), 'deny dest')
    stage.fromBus(ownerChanged(SERVICE, '', OWNER))
    assert.equal(said(stage.send(service(6, OWNER))), 'pass')
  })

  test('with names below, those that are there are asked for one by one', () => {
    const stage = new FilterStage({ wanted: `${SERVICE}.*` }).begin()
    const names = { ...NAMES, [`${SERVICE}.Part`]: ':1.40', [`${SERVICE}Evil`]: ':1.41' }
    assert.deepEqual(
      stage.ownCalls.map(({ member }) => member),
      ['AddMatch', 'AddMatch', 'ListNames', 'GetNameOwner'],
    )
    assert.ok(stage.ownCalls[0]?.argument?.endsWith(`,arg0namespace='${SERVICE}'`))
    for (const own of stage.ownCalls.splice(0)) stage.fromBus(replyTo(own, names))
    assert.deepEqual(
      stage.ownCalls.map(({ argument }) => argument),
      [SERVICE, `${SERVICE}.Part`],
    )
    assert.equal(stage.filter.ready, false)
    for (const own of stage.ownCalls.splice(0)) stage.fromBus(replyTo(own, names))
    assert.equal(stage.filter.ready, true)
    assert.equal(said(stage.send(service(5, ':1.40'))), 'pass')
    assert.equal(said(stage.send(service(6, ':1.41'))), 'deny dest')
  })

  test('a name that changes its owner meanwhile has the new one', () => {
    const stage = new FilterStage().begin()
    const [first, ...others] = stage.ownCalls.splice(0)
    assert.ok(first)
    stage.fromBus(replyTo(first, {}))
    stage.fromBus(ownerChanged(SERVICE, '', NEW_OWNER))
    for (const own of others) stage.fromBus(replyTo(own, { [SERVICE]: NEW_OWNER }))
    assert.equal(said(stage.send(service(5, NEW_OWNER))), 'pass')
  })

  test("replies to its calls are the bus's alone", () => {
    const stage = new FilterStage().begin()
    for (const own of stage.ownCalls) {
      const { head, body } = replyTo(own, { [SERVICE]: STRANGER, [PREFIX]: STRANGER })
      assert.equal(said(stage.fromBus({ head: { ...head, sender: STRANGER }, body })), 'drop reply')
    }
    assert.equal(stage.filter.ready, false)
  })

  test('a reply to a serial of its own that it has not used, or no longer waits for, is dropped', () => {
    const stage = started()
    assert.equal(said(stage.fromBus(returned(0xffff_0003, {}, strings(STRANGER)))), 'drop reply')
    assert.equal(said(stage.fromBus(returned(0xffff_1000, {}, strings(STRANGER)))), 'drop reply')
    assert.equal(said(stage.send(service(5, STRANGER))), 'deny dest')
  })

  test('a bus that does not let ownership be followed gets no client', () => {
    const refusing = (wanted: string, member: string): string => {
      const stage = new FilterStage({ wanted }).begin()
      const own = stage.ownCalls.find(call => call.member === member)
      return said(stage.fromBus(failed(own?.serial ?? 0)))
    }
    assert.equal(refusing(SERVICE, 'AddMatch'), 'violation')
    assert.equal(refusing(`${SERVICE}.*`, 'ListNames'), 'violation')
    assert.equal(refusing(SERVICE, 'GetNameOwner'), 'swallow')
  })

  test('an owner or a list that cannot be read ends the connection', () => {
    for (const [wanted, member, args] of [
      [SERVICE, 'GetNameOwner', uint32(1)],
      [`${SERVICE}.*`, 'ListNames', strings('x')],
      [`${SERVICE}.*`, 'ListNames', { ...stringArray([SERVICE]), signature: 's' }],
    ] as const) {
      const stage = new FilterStage({ wanted }).begin()
      const own = stage.ownCalls.find(call => call.member === member)
      assert.equal(said(stage.fromBus(returned(own?.serial ?? 0, {}, args))), 'violation')
    }
  })
})
