/** What a filtered client may send to others than the bus: calls, replies, signals. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
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
  PEER,
  PROPERTIES,
  returned,
  SERVICE,
  STRANGER,
  said,
  signal,
  silent,
  stringAndFlags,
  strings,
  uint32,
} from '../../support/dbus-filter.ts'

const PREFIX = 'org.example'
const PREFIX_OWNER = ':1.21'
const HIDDEN = 'org.example.Other'

/** A bus with the service, a name that may have it as an interface, and others. */
const NAMES = { [SERVICE]: OWNER, [PREFIX]: PREFIX_OWNER, [HIDDEN]: STRANGER }

const started = (wanted = SERVICE): FilterStage => new FilterStage({ wanted }).start(NAMES)

type Row = readonly [what: string, sent: Message, verdict: string]

const calling = (destination: string | undefined, fields: Fields, verdict: string): Row => {
  const what = `a call to ${destination ?? 'nobody'} with ${fields.interface ?? 'no interface'}`
  return [what, call({ destination, ...fields }), verdict]
}

const property = (destination: string, first: string, verdict: string, littleEndian = true): Row => [
  `a property of ${first} at ${destination}, ${littleEndian ? 'little' : 'big'}-endian`,
  call({ destination, interface: PROPERTIES, member: 'Get', littleEndian }, strings(first, 'Level')),
  verdict,
]

const CALLS: readonly Row[] = [
  ...[SERVICE, OWNER].flatMap(destination => [
    calling(destination, { interface: SERVICE }, 'pass'),
    calling(destination, { interface: `${SERVICE}.Part` }, 'pass'),
    calling(destination, { interface: `${SERVICE}Evil` }, 'deny interface'),
    calling(destination, { interface: HIDDEN }, 'deny interface'),
    calling(destination, { interface: 'org.freedesktop.DBus' }, 'deny interface'),
    calling(destination, { interface: PEER }, 'pass'),
    calling(destination, { interface: INTROSPECTABLE }, 'pass'),
    calling(destination, { interface: OBJECT_MANAGER }, 'pass'),
    calling(destination, { interface: 'org.freedesktop.DBus.Debug.Stats' }, 'deny interface'),
    calling(destination, { interface: undefined }, `complete ${SERVICE}`),
    property(destination, SERVICE, 'pass'),
    property(destination, SERVICE, 'pass', false),
    property(destination, `${SERVICE}.Part`, 'pass'),
    property(destination, `${SERVICE}Evil`, 'deny property'),
    property(destination, HIDDEN, 'deny property'),
    property(destination, HIDDEN, 'deny property', false),
    property(destination, '', 'deny property'),
    property(destination, `${SERVICE}.${'x'.repeat(300)}`, 'deny property'),
  ]),
  ...[PREFIX, PREFIX_OWNER].flatMap(destination => [
    calling(destination, { interface: SERVICE }, 'pass'),
    calling(destination, { interface: `${SERVICE}.Part` }, 'pass'),
    calling(destination, { interface: `${SERVICE}Evil` }, 'deny interface'),
    calling(destination, { interface: PREFIX }, 'deny interface'),
    calling(destination, { interface: PEER }, 'pass'),
    calling(destination, { interface: INTROSPECTABLE }, 'pass'),
    calling(destination, { interface: OBJECT_MANAGER }, 'deny interface'),
    calling(destination, { interface: undefined }, 'deny interface'),
    property(destination, SERVICE, 'pass'),
    property(destination, PREFIX, 'deny property'),
  ]),
  ...[HIDDEN, STRANGER, ME, 'org.example.Nobody', ':1.999', `${SERVICE}Evil`, `${SERVICE}.Part`].flatMap(
    destination => [
      calling(destination, { interface: SERVICE }, 'deny dest'),
      calling(destination, { interface: PEER }, 'deny dest'),
      calling(destination, { interface: undefined }, 'deny dest'),
      property(destination, SERVICE, 'deny dest'),
    ],
  ),
  calling(undefined, { interface: PEER, member: 'Ping' }, 'pass'),
  calling(undefined, { interface: SERVICE }, 'deny dest'),
  calling(undefined, { interface: undefined, member: 'Ping' }, 'deny dest'),
]

describe('calls of a filtered client', () => {
  for (const [what, sent, verdict] of CALLS) {
    test(`${what}: ${verdict}`, () => {
      assert.equal(said(started().send(sent)), verdict)
    })

    test(`${what}, without a reply: ${verdict}`, () => {
      assert.equal(said(started().send(silent(sent))), verdict)
    })
  }

  for (const args of [
    uint32(1),
    { ...strings(SERVICE), signature: 'o' },
    { signature: '', bytes: () => Buffer.alloc(0) },
  ]) {
    test(`a property's call with the arguments "${args.signature}" names no interface`, () => {
      const sent = call({ destination: SERVICE, interface: PROPERTIES, member: 'Get' }, args)
      assert.equal(said(started().send(sent)), 'deny property')
    })
  }

  test('a string that claims to be longer than its body names no interface', () => {
    const { head, body } = call({ destination: SERVICE, interface: PROPERTIES }, strings(`${SERVICE}.x`))
    assert.equal(said(started().send({ head, body: body.subarray(0, body.length - 1) })), 'deny property')
    for (let length = 0; length < body.length; length += 1) {
      assert.equal(started().send({ head, body: body.subarray(0, length) }).kind, 'deny')
    }
  })

  test('a length that wraps around is no length', () => {
    const { head, body } = call({ destination: SERVICE, interface: PROPERTIES }, strings(SERVICE))
    const huge = Buffer.from(body)
    huge.writeUInt32LE(0xffff_fffc)
    assert.equal(said(started().send({ head, body: huge })), 'deny property')
  })

  test('a name that nobody has is called, so that the bus starts its service', () => {
    assert.equal(
      said(new FilterStage().start({}).send(call({ destination: SERVICE, interface: SERVICE }))),
      'pass',
    )
  })

  test('one who owns both names is called as the service', () => {
    const stage = new FilterStage().start({ [SERVICE]: OWNER, [PREFIX]: OWNER })
    assert.equal(said(stage.send(call({ destination: OWNER, interface: OBJECT_MANAGER }))), 'pass')
    assert.equal(
      said(stage.send(call({ serial: 2, destination: PREFIX, interface: OBJECT_MANAGER }))),
      'deny interface',
    )
  })

  test('a name with a hyphen is no interface, and is not put into a header', () => {
    const stage = new FilterStage({ wanted: 'org.ex-ample.Service' }).start({})
    assert.equal(said(stage.send(call({ destination: 'org.ex-ample.Service' }))), 'deny interface')
  })

  test('with everything below a name, each is called by itself', () => {
    const stage = new FilterStage({ wanted: `${SERVICE}.*` }).start({
      ...NAMES,
      [`${SERVICE}.Part`]: ':1.40',
    })
    const ways: readonly (readonly [Fields, string])[] = [
      [{ destination: `${SERVICE}.Part`, interface: SERVICE }, 'pass'],
      [{ destination: `${SERVICE}.Absent`, interface: `${SERVICE}.Absent` }, 'pass'],
      [{ destination: ':1.40', interface: SERVICE }, 'pass'],
      [{ destination: `${SERVICE}.Part` }, `complete ${SERVICE}.Part`],
      [{ destination: ':1.40' }, `complete ${SERVICE}`],
      [{ destination: `${SERVICE}Evil`, interface: SERVICE }, 'deny dest'],
      [{ destination: `${SERVICE}.Part`, interface: `${SERVICE}Evil` }, 'deny interface'],
      [{ destination: PREFIX, interface: `${SERVICE}.Part` }, 'pass'],
    ]
    ways.forEach(([fields, verdict], index) => {
      assert.equal(said(stage.send(call({ serial: index + 2, ...fields }))), verdict)
    })
  })

  test('properties are looked at even where their interface itself is wanted', () => {
    const stage = new FilterStage({ wanted: 'org.freedesktop' }).start({ 'org.freedesktop': OWNER })
    const get = (serial: number, name: string): Message =>
      call({ serial, destination: OWNER, interface: PROPERTIES, member: 'Get' }, strings(name, 'x'))
    assert.equal(said(stage.send(get(2, 'org.example.Other'))), 'deny property')
    assert.equal(said(stage.send(get(3, 'org.freedesktop.login1'))), 'pass')
  })

  test('existing and missing names are denied alike', () => {
    const stage = started()
    const verdicts = [HIDDEN, 'org.example.Missing', STRANGER, ':1.999'].map((destination, index) =>
      stage.send(call({ serial: index + 2, destination, interface: SERVICE })),
    )
    assert.equal(new Set(verdicts.map(said)).size, 1)
  })
})

describe('replies of a filtered client', () => {
  const reply = (replySerial: number, destination: string | undefined = STRANGER): Message =>
    returned(replySerial, { sender: undefined, destination })

  const called = (...serials: readonly number[]): FilterStage => {
    const stage = started()
    for (const serial of serials) {
      assert.equal(said(stage.fromBus(call({ serial, sender: STRANGER, destination: ME }))), 'pass')
    }
    return stage
  }

  test('the reply to a call passes once', () => {
    const stage = called(5)
    assert.equal(said(stage.send(reply(5))), 'pass')
    assert.equal(said(stage.send(reply(5))), 'drop reply')
  })

  test('an error is a reply', () => {
    const stage = called(5)
    const error = failed(5, { destination: STRANGER, sender: undefined })
    assert.equal(said(stage.send(error)), 'pass')
    assert.equal(said(stage.send(reply(5))), 'drop reply')
  })

  for (const [what, sent] of [
    ['another serial', reply(6)],
    ['another caller', reply(5, OWNER)],
    ['the bus', reply(5, 'org.freedesktop.DBus')],
    ['nobody', message({ type: 2, replySerial: 5 })],
  ] as const) {
    test(`a reply to ${what} is dropped`, () => {
      assert.equal(said(called(5).send(sent)), 'drop reply')
    })
  }

  test('a call that wants no reply gets none', () => {
    const stage = started()
    stage.fromBus(silent(call({ serial: 5, sender: STRANGER, destination: ME })))
    assert.equal(said(stage.send(reply(5))), 'drop reply')
  })

  test('replies may come in any order', () => {
    const stage = called(5, 6, 7)
    for (const serial of [7, 5, 6]) assert.equal(said(stage.send(reply(serial))), 'pass')
  })

  test('of more calls than the limit the oldest are forgotten', () => {
    const stage = new FilterStage({ limits: { dbusCalls: 3, dbusSeen: 10 } }).start()
    for (const serial of [1, 2, 3, 4]) stage.fromBus(call({ serial, sender: STRANGER, destination: ME }))
    assert.equal(said(stage.send(reply(1))), 'drop reply')
    for (const serial of [2, 3, 4]) assert.equal(said(stage.send(reply(serial))), 'pass')
  })
})

describe('calls to a filtered client that wait for its reply', () => {
  const reply = (replySerial: number, destination: string): Message =>
    returned(replySerial, { sender: undefined, destination })

  test('of one who calls without end are forgotten before those of others', () => {
    const stage = new FilterStage({ limits: { dbusCalls: 3, dbusSeen: 10 } }).start()
    stage.fromBus(call({ serial: 1, sender: OWNER, destination: ME }))
    for (const serial of [1, 2, 3, 4]) stage.fromBus(call({ serial, sender: STRANGER, destination: ME }))
    const verdicts = [1, 2, 3, 4].map(serial => said(stage.send(reply(serial, STRANGER))))
    assert.deepEqual(verdicts, ['drop reply', 'drop reply', 'pass', 'pass'])
    assert.equal(said(stage.send(reply(1, OWNER))), 'pass')
  })

  test('of those who call first are forgotten where others have none to forget', () => {
    const stage = new FilterStage({ limits: { dbusCalls: 2, dbusSeen: 10 } }).start()
    for (const sender of [':1.41', ':1.42', ':1.43'])
      stage.fromBus(call({ serial: 1, sender, destination: ME }))
    const verdicts = [':1.41', ':1.42', ':1.43'].map(name => said(stage.send(reply(1, name))))
    assert.deepEqual(verdicts, ['drop reply', 'pass', 'pass'])
  })

  test('a bound of one is one', () => {
    const stage = new FilterStage({ limits: { dbusCalls: 1, dbusSeen: 10 } }).start()
    for (const serial of [1, 2]) stage.fromBus(call({ serial, sender: STRANGER, destination: ME }))
    assert.deepEqual(
      [1, 2].map(serial => said(stage.send(reply(serial, STRANGER)))),
      ['drop reply', 'pass'],
    )
  })
})

describe('signals of a filtered client', () => {
  const to = (destination: string | undefined, interfaceName: string): Message =>
    signal({ destination, interface: interfaceName })

  for (const destination of [undefined, SERVICE, OWNER, PREFIX, PREFIX_OWNER]) {
    for (const name of [SERVICE, `${SERVICE}.Part`, PROPERTIES, OBJECT_MANAGER]) {
      test(`a signal of ${name} to ${destination ?? 'everybody'} passes`, () => {
        assert.equal(said(started().send(to(destination, name))), 'pass')
      })
    }
    for (const name of [`${SERVICE}Evil`, HIDDEN, PEER, 'org.freedesktop.DBus']) {
      test(`a signal of ${name} to ${destination ?? 'everybody'} is dropped`, () => {
        assert.equal(said(started().send(to(destination, name))), 'drop signal-out')
      })
    }
  }

  for (const destination of [HIDDEN, STRANGER, ME, 'org.freedesktop.DBus', ':1.999']) {
    test(`a signal to ${destination} is dropped`, () => {
      assert.equal(said(started().send(to(destination, SERVICE))), 'drop signal-out')
    })
  }
})

describe('other messages of a filtered client', () => {
  test('a type that nobody knows is dropped', () => {
    assert.equal(
      said(started().send(message({ type: 5, destination: SERVICE, interface: SERVICE }))),
      'drop signal-out',
    )
  })

  test('anything before Hello ends the connection', () => {
    const stage = new FilterStage()
    assert.equal(stage.send(call({ destination: SERVICE, interface: SERVICE })).kind, 'violation')
    assert.equal(stage.send(signal({ interface: SERVICE })).kind, 'violation')
  })

  for (const [serial, kind] of [
    [0xfffe_ffff, 'pass'],
    [0xffff_0000, 'violation'],
    [0xffff_ffff, 'violation'],
  ] as const) {
    test(`serial ${serial.toString(16)} of the client: ${kind}`, () => {
      assert.equal(started().send(call({ serial, destination: SERVICE, interface: SERVICE })).kind, kind)
    })
  }

  test('with flags and numbers of the client the verdict is the same', () => {
    const sent = call(
      { destination: HIDDEN, interface: SERVICE, flags: 0xfe, unixFds: 3 },
      stringAndFlags('x'),
    )
    assert.equal(said(started().send(sent)), 'deny dest')
  })
})
