/** What a filtered client may ask of the bus itself, and what it is told. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { stringList } from '../../../plugins/dbus/filter/arguments.ts'
import {
  type Arguments,
  busCall,
  call,
  type Fields,
  FilterStage,
  failed,
  headOf,
  INTROSPECTABLE,
  ME,
  type Message,
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
  stringArray,
  strings,
  uint32,
} from '../../support/dbus-filter.ts'

const BUS = 'org.freedesktop.DBus'
const PREFIX = 'org.example'
const PREFIX_OWNER = ':1.21'
const SEEN = ':1.31'
const HIDDEN = 'org.example.Other'
const MISSING = 'org.example.Missing'
const NAMES = { [SERVICE]: OWNER, [PREFIX]: PREFIX_OWNER, [HIDDEN]: STRANGER }

const VISIBLE = [BUS, ME, SERVICE, OWNER, PREFIX, PREFIX_OWNER, SEEN]
const INVISIBLE = [HIDDEN, STRANGER, MISSING, ':1.999', `${SERVICE}Evil`, `${SERVICE}.Part`, '']

const started = (options: ConstructorParameters<typeof FilterStage>[0] = {}): FilterStage => {
  const stage = new FilterStage(options).start(NAMES)
  stage.fromBus(call({ serial: 70, sender: SEEN, destination: ME }))
  return stage
}

const on = (of: string, member: string, args?: Arguments, fields: Fields = {}): Message =>
  busCall(member, args, { interface: of, ...fields })

describe('the methods of the bus', () => {
  const always: readonly Message[] = [
    busCall('GetId'),
    busCall('ListNames'),
    busCall('ListActivatableNames'),
    on(PEER, 'Ping'),
    on(PEER, 'GetMachineId'),
    on(INTROSPECTABLE, 'Introspect'),
    on(PROPERTIES, 'Get', strings(BUS, 'Features')),
    on(PROPERTIES, 'GetAll', strings(BUS)),
    busCall('AddMatch', strings("type='signal'")),
    busCall('RemoveMatch', strings("type='signal'")),
  ]
  const never: readonly Message[] = [
    busCall('Hello'),
    busCall('UpdateActivationEnvironment'),
    busCall('ReloadConfig'),
    busCall('BecomeMonitor'),
    busCall('GetAllMatchRules'),
    busCall('Ping'),
    busCall('Introspect'),
    busCall('Get', strings(BUS, 'Features')),
    busCall('hello'),
    busCall('GetConnectionUnixUserX', strings(OWNER)),
    on(PROPERTIES, 'Set', strings(BUS, 'Features')),
    on(PEER, 'Pong'),
    on(INTROSPECTABLE, 'ListNames'),
    on('org.freedesktop.DBus.Monitoring', 'BecomeMonitor'),
    on('org.freedesktop.DBus.Debug.Stats', 'GetStats'),
    on('org.freedesktop.DBus.Debug.Stats', 'GetAllMatchRules'),
    on('org.freedesktop.DBus.Verbose', 'EnableVerbose'),
    on('org.freedesktop.DBus.Containers1', 'AddServer'),
    on('org.freedesktop.systemd1.Activator', 'ActivationFailure'),
    on(SERVICE, 'GetId'),
    on('org.freedesktop.DBus.ObjectManager', 'GetManagedObjects'),
  ]

  for (const sent of always) {
    test(`${sent.head.interface}.${sent.head.member} passes`, () => {
      assert.equal(said(started().send(sent)), 'pass')
    })
  }

  for (const sent of never) {
    test(`${sent.head.interface}.${sent.head.member} is denied`, () => {
      assert.equal(said(started().send(sent)), 'deny bus-method')
      assert.equal(said(started().send(silent(sent))), 'deny bus-method')
    })
  }

  test('without an interface, a member of the bus is meant and no other', () => {
    const verdicts = ['GetId', 'ListNames', 'BecomeMonitor', 'GetStats', 'Ping', 'Get', 'Introspect'].map(
      member => said(started().send(busCall(member, undefined, { interface: undefined }))),
    )
    assert.deepEqual(verdicts, ['pass', 'pass', ...Array.from({ length: 5 }, () => 'deny bus-method')])
  })

  test('the object path changes nothing', () => {
    assert.equal(said(started().send(busCall('GetId', undefined, { path: '/any' }))), 'pass')
    assert.equal(
      said(started().send(busCall('ReloadConfig', undefined, { path: '/any' }))),
      'deny bus-method',
    )
  })

  test('a name that is wanted as an interface of the bus opens none of its methods', () => {
    for (const wanted of ['org.freedesktop.DBus', 'org.freedesktop.*', 'org.freedesktop.DBus.Monitoring']) {
      const stage = new FilterStage({ wanted, mayOwn: () => true }).start({})
      assert.equal(
        said(stage.send(on('org.freedesktop.DBus.Monitoring', 'BecomeMonitor'))),
        'deny bus-method',
      )
      assert.equal(said(stage.send(busCall('ReloadConfig'))), 'deny bus-method')
      assert.equal(said(stage.send(busCall('RequestName', stringAndFlags(BUS)))), 'deny own')
      assert.equal(
        said(stage.send(signal({ destination: BUS, interface: 'org.freedesktop.DBus' }))),
        'drop signal-out',
      )
    }
  })
})

describe('questions about names', () => {
  const ABOUT = [
    'GetNameOwner',
    'ListQueuedOwners',
    'GetConnectionUnixUser',
    'GetConnectionUnixProcessID',
    'GetConnectionCredentials',
    'GetAdtAuditSessionData',
    'GetConnectionSELinuxSecurityContext',
  ]

  for (const member of ABOUT) {
    for (const littleEndian of [true, false]) {
      const asked = (name: string): string =>
        said(started().send(busCall(member, strings(name), { littleEndian })))

      test(`${member} passes for visible names only, ${littleEndian ? 'little' : 'big'}-endian`, () => {
        assert.deepEqual(
          VISIBLE.map(asked),
          VISIBLE.map(() => 'pass'),
        )
        assert.deepEqual(
          INVISIBLE.map(asked),
          INVISIBLE.map(() => 'answer NameHasNoOwner'),
        )
      })
    }

    test(`${member} without a name is denied`, () => {
      for (const args of [undefined, uint32(1), strings(SERVICE, SERVICE), stringAndFlags(SERVICE)]) {
        assert.equal(said(started().send(busCall(member, args))), 'deny bus-method')
      }
    })
  }

  test('NameHasOwner passes for visible names, and says no of all others', () => {
    const asked = (name: string): string => said(started().send(busCall('NameHasOwner', strings(name))))
    assert.deepEqual(
      VISIBLE.map(asked),
      VISIBLE.map(() => 'pass'),
    )
    assert.deepEqual(
      INVISIBLE.map(asked),
      INVISIBLE.map(() => 'answer false'),
    )
  })

  test('StartServiceByName passes for the names that the link is for', () => {
    const asked = (name: string): string =>
      said(started().send(busCall('StartServiceByName', stringAndFlags(name))))
    assert.deepEqual([SERVICE, PREFIX].map(asked), ['pass', 'pass'])
    for (const name of [HIDDEN, MISSING, OWNER, ME, BUS, `${SERVICE}Evil`]) {
      assert.equal(asked(name), 'answer ServiceUnknown')
    }
  })

  test('hidden and missing names are answered in the same words', () => {
    const words = (name: string): unknown => {
      const verdict = started().send(busCall('GetNameOwner', strings(name)))
      return JSON.stringify(verdict).replaceAll(name, 'NAME')
    }
    assert.equal(words(HIDDEN), words(MISSING))
    assert.equal(words(STRANGER), words(':1.999'))
  })

  test('a name longer than any is denied', () => {
    const name = `a.${'b'.repeat(254)}`
    assert.equal(said(started().send(busCall('GetNameOwner', strings(name)))), 'deny bus-method')
    assert.equal(
      said(started().send(busCall('GetNameOwner', strings(name.slice(1))))),
      'answer NameHasNoOwner',
    )
  })
})

describe('lists of names', () => {
  const names = [BUS, ...VISIBLE.slice(1), HIDDEN, STRANGER, `${SERVICE}Evil`]

  for (const member of ['ListNames', 'ListActivatableNames']) {
    for (const littleEndian of [true, false]) {
      test(`${member} tells visible names, ${littleEndian ? 'little' : 'big'}-endian`, () => {
        const stage = started()
        stage.send(busCall(member, undefined, { serial: 9 }))
        const verdict = stage.fromBus(returned(9, { littleEndian }, stringArray(names)))
        assert.equal(verdict.kind, 'rewrite')
        const expected = stringArray(VISIBLE).bytes(littleEndian)
        assert.deepEqual(verdict.kind === 'rewrite' && Buffer.from(verdict.body), Buffer.from(expected))
      })
    }
  }

  test('a list of visible names passes as it is', () => {
    const stage = started()
    stage.send(busCall('ListNames', undefined, { serial: 9 }))
    assert.equal(said(stage.fromBus(returned(9, {}, stringArray(VISIBLE)))), 'pass')
  })

  test('a list with nothing for the client is an empty one', () => {
    const stage = started()
    stage.send(busCall('ListNames', undefined, { serial: 9 }))
    const verdict = stage.fromBus(returned(9, {}, stringArray([HIDDEN])))
    assert.deepEqual(verdict.kind === 'rewrite' && stringList(verdict.body, true), [])
  })

  test('an error passes', () => {
    const stage = started()
    stage.send(busCall('ListNames', undefined, { serial: 9 }))
    assert.equal(said(stage.fromBus(failed(9))), 'pass')
  })

  test('a list that cannot be read ends the connection', () => {
    const good = stringArray(names)
    const cut: Arguments = {
      signature: 'as',
      bytes: littleEndian => good.bytes(littleEndian).subarray(0, -1),
    }
    for (const args of [cut, strings('x'), { ...good, signature: 'ao' }]) {
      const stage = started()
      stage.send(busCall('ListNames', undefined, { serial: 9 }))
      assert.equal(stage.fromBus(returned(9, {}, args)).kind, 'violation')
    }
  })

  test('a list that nobody waits for does not go to the bus, which would send it all the same', () => {
    const stage = started()
    assert.equal(said(stage.send(silent(busCall('ListNames', undefined, { serial: 9 })))), 'swallow')
    assert.equal(said(stage.send(busCall('GetId', undefined, { serial: 9 }))), 'pass')
  })

  test('a list comes through under no other call of the same serial', () => {
    const stage = started()
    stage.send(busCall('ListNames', undefined, { serial: 9 }))
    assert.equal(said(stage.send(busCall('GetId', undefined, { serial: 9 }))), 'deny reply')
    assert.equal(said(stage.send(silent(busCall('GetId', undefined, { serial: 9 })))), 'deny reply')
    assert.equal(
      said(stage.send(call({ serial: 9, destination: SERVICE, interface: SERVICE }))),
      'deny reply',
    )
    assert.equal(stage.fromBus(returned(9, {}, stringArray(names))).kind, 'rewrite')
  })

  test('a service call that waits lends its serial to no list', () => {
    const stage = started()
    stage.send(call({ serial: 9, destination: SERVICE, interface: SERVICE }))
    assert.equal(said(stage.send(busCall('ListNames', undefined, { serial: 9 }))), 'deny reply')
  })

  test('nobody but the bus replies for it', () => {
    const stage = started()
    stage.send(busCall('ListNames', undefined, { serial: 9 }))
    assert.equal(said(stage.fromBus(returned(9, { sender: STRANGER }, stringArray([])))), 'drop reply')
    assert.equal(stage.fromBus(returned(9, {}, stringArray(names))).kind, 'rewrite')
  })
})

describe('names of the client itself', () => {
  const mine = `${SERVICE}.Mine`
  const allowed = { wanted: `${SERVICE}.*`, mayOwn: (name: string) => name !== `${SERVICE}.Barred` }
  const request = (name: string, serial = 9): Message =>
    busCall('RequestName', stringAndFlags(name), { serial })
  const release = (name: string, serial = 10): Message => busCall('ReleaseName', strings(name), { serial })

  test('a name is requested if the link is for it and the policy lets the role own it', () => {
    for (const [name, verdict] of [
      [SERVICE, 'pass'],
      [mine, 'pass'],
      [`${SERVICE}.Barred`, 'deny own'],
      [`${SERVICE}Evil`, 'deny own'],
      [PREFIX, 'deny own'],
      [HIDDEN, 'deny own'],
      [BUS, 'deny own'],
      ['', 'deny own'],
    ] as const) {
      assert.equal(said(started(allowed).send(request(name))), verdict)
      assert.equal(said(started(allowed).send(silent(request(name)))), verdict)
    }
  })

  test('without .* it is that one name', () => {
    const stage = started({ mayOwn: () => true })
    assert.equal(said(stage.send(request(SERVICE))), 'pass')
    assert.equal(said(stage.send(request(mine, 11))), 'deny own')
  })

  test('where no policy says that the role may, it may not', () => {
    assert.equal(said(started({ wanted: `${SERVICE}.*` }).send(request(SERVICE))), 'deny own')
  })

  test('a name that was never asked for cannot be released, and its owner is not told', () => {
    for (const name of [SERVICE, mine, HIDDEN, MISSING, BUS]) {
      assert.equal(said(started(allowed).send(release(name))), 'answer 2')
    }
  })

  for (const [code, verdict] of [
    [1, 'pass'],
    [2, 'pass'],
    [3, 'answer 2'],
    [4, 'pass'],
  ] as const) {
    test(`a request that the bus answers with ${code}: release ${verdict}`, () => {
      const stage = started(allowed)
      stage.send(request(mine))
      assert.equal(said(stage.fromBus(returned(9, {}, uint32(code)))), 'pass')
      assert.equal(said(stage.send(release(mine))), verdict)
    })

    test(`the same in big-endian`, () => {
      const stage = started(allowed)
      stage.send(request(mine))
      stage.fromBus(returned(9, { littleEndian: false }, uint32(code)))
      assert.equal(said(stage.send(release(mine))), verdict)
    })
  }

  test('a request that failed grants nothing', () => {
    const stage = started(allowed)
    stage.send(request(mine))
    stage.fromBus(failed(9))
    assert.equal(said(stage.send(release(mine))), 'answer 2')
  })

  test('a request and its release may be sent in one go', () => {
    const stage = started(allowed)
    stage.send(request(mine))
    assert.equal(said(stage.send(release(mine))), 'pass')
    stage.fromBus(returned(9, {}, uint32(1)))
    stage.fromBus(returned(10, {}, uint32(1)))
    assert.equal(said(stage.send(release(mine, 11))), 'answer 2')
  })

  test('a request without a reply may have been granted', () => {
    const stage = started(allowed)
    stage.send(silent(request(mine)))
    assert.equal(said(stage.send(release(mine))), 'pass')
  })

  test('a request that another judge denies grants nothing', () => {
    const stage = started(allowed)
    const sent = request(mine)
    stage.send(sent)
    stage.filter.recall(sent.head)
    assert.equal(said(stage.send(release(mine))), 'answer 2')
  })
})

describe('calls that wait for a reply', () => {
  const LIMITS = { limits: { dbusCalls: 2, dbusSeen: 10 } }
  const service = (serial: number): Message => call({ serial, destination: SERVICE, interface: SERVICE })

  test('more than the limit are answered with LimitsExceeded, until one is over', () => {
    const stage = new FilterStage(LIMITS).start()
    assert.deepEqual(
      [2, 3, 4].map(serial => said(stage.send(service(serial)))),
      ['pass', 'pass', 'answer LimitsExceeded'],
    )
    assert.equal(said(stage.send(busCall('GetId', undefined, { serial: 5 }))), 'answer LimitsExceeded')
    stage.fromBus(returned(2, { sender: OWNER }))
    assert.equal(said(stage.send(service(4))), 'pass')
  })

  test('calls without a reply are not counted, and not limited', () => {
    const stage = new FilterStage(LIMITS).start()
    for (const serial of [2, 3, 4, 5]) assert.equal(said(stage.send(silent(service(serial)))), 'pass')
    for (const serial of [6, 7]) stage.send(service(serial))
    assert.equal(said(stage.send(silent(service(8)))), 'pass')
  })

  test('denied and answered calls are not counted', () => {
    const stage = new FilterStage(LIMITS).start()
    for (const serial of [2, 3, 4]) stage.send(call({ serial, destination: HIDDEN, interface: SERVICE }))
    for (const serial of [5, 6, 7]) stage.send(busCall('GetNameOwner', strings(HIDDEN), { serial }))
    assert.equal(said(stage.send(service(8))), 'pass')
  })

  test('calls that another judge denies are not counted', () => {
    const stage = new FilterStage(LIMITS).start()
    for (const serial of [2, 3, 4, 5]) {
      const sent = service(serial)
      assert.equal(said(stage.send(sent)), 'pass')
      stage.filter.recall(sent.head)
    }
    assert.equal(said(stage.send(service(6))), 'pass')
    assert.equal(said(stage.fromBus(returned(2, { sender: OWNER }))), 'drop reply')
  })

  test('a signal that another judge denies is no call, and those of its serial wait on', () => {
    const stage = new FilterStage(LIMITS).start()
    assert.equal(said(stage.send(busCall('ListNames', undefined, { serial: 2 }))), 'pass')
    stage.filter.recall(headOf({ type: 4, serial: 2 }))
    assert.equal(said(stage.send(service(2))), 'deny reply', 'the list would be taken for its reply')
  })

  test('a refused Hello may be tried again', () => {
    const stage = new FilterStage()
    assert.equal(said(stage.send(busCall('Hello'))), 'pass')
    assert.equal(said(stage.send(busCall('Hello'))), 'pass')
    assert.equal(said(stage.send(busCall('Hello', undefined, { serial: 2 }))), 'pass')
  })
})
