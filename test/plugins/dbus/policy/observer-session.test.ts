/** An observer and a bus that says what it likes. That a real one is understood is shown by `policy.test.ts`. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NameOwners } from '../../../../plugins/dbus/policy/name-owners.ts'
import { ObserverSession } from '../../../../plugins/dbus/policy/observer-session.ts'
import { randomOf } from '../../../support/random.ts'
import { RecordingCommands } from '../../../support/recording-commands.ts'

const GUID = '0123456789abcdef0123456789abcdef'
const BUS = 'org.freedesktop.DBus'

const padded = (bytes: Buffer, to: number): Buffer =>
  Buffer.concat([bytes, Buffer.alloc(-bytes.length & (to - 1))])

const string = (text: string): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(Buffer.byteLength(text))
  return Buffer.concat([length, Buffer.from(`${text}\0`)])
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

const strings = (texts: readonly string[]): Buffer =>
  texts.reduce((bytes, text) => Buffer.concat([padded(bytes, 4), string(text)]), Buffer.alloc(0))

const field = (code: number, type: string, value: Buffer): Buffer =>
  Buffer.concat([Buffer.from([code, 1]), Buffer.from(`${type}\0`), value])

const message = (
  type: number,
  fields: readonly Buffer[],
  signature: string,
  body: Buffer,
  sender = BUS,
): Buffer => {
  const all = [
    ...fields,
    field(7, 's', string(sender)),
    field(8, 'g', Buffer.from(`${String.fromCharCode(signature.length)}${signature}\0`)),
  ]
  const array = all.reduce((bytes, each) => Buffer.concat([padded(bytes, 8), each]), Buffer.alloc(0))
  const fixed = Buffer.concat([
    Buffer.from([0x6c, type, 1, 1]),
    uint32(body.length),
    uint32(1),
    uint32(array.length),
  ])
  return Buffer.concat([padded(Buffer.concat([fixed, array]), 8), body])
}

const reply = (serial: number, signature: string, body: Buffer, type = 2): Buffer =>
  message(
    type,
    [field(5, 'u', uint32(serial)), ...(type === 3 ? [field(4, 's', string('a.Error'))] : [])],
    signature,
    body,
  )

const changed = (name: string, before: string, after: string, sender = BUS): Buffer =>
  message(
    4,
    [
      field(1, 'o', string('/org/freedesktop/DBus')),
      field(2, 's', string(BUS)),
      field(3, 's', string('NameOwnerChanged')),
    ],
    'sss',
    strings([name, before, after]),
    sender,
  )

const names = (list: readonly string[]): Buffer => {
  const array = strings(list)
  return Buffer.concat([uint32(array.length), array])
}

/** Hello is its first call, AddMatch the second, ListNames the third; GetNameOwner is asked from the fourth on. */
const LISTED = reply(3, 'as', names([BUS, ':1.1', ':1.2', 'com.b.B', 'com.a.A']))
const START = [Buffer.from(`OK ${GUID}\r\n`), reply(1, 's', strings([':1.9'])), reply(2, '', Buffer.alloc(0))]
/** They are asked for from the last. */
const OWNERS = [reply(4, 's', strings([':1.1'])), reply(5, 's', strings([':1.2']))]

const observing = () => {
  const owners = new NameOwners()
  let settled = 0
  const session = new ObserverSession(owners, {
    settled: () => {
      settled += 1
    },
  })
  const commands = new RecordingCommands(session, 0, { as: { uid: 1000, gid: 7 } })
  return {
    owners,
    commands,
    hears: (...parts: readonly Buffer[]): void => {
      for (const part of parts) commands.arrive('provider', part)
    },
    settled: () => settled,
  }
}

const ownedBy = (owners: NameOwners, name: string): readonly string[] => {
  const party = owners.partyOf(name)
  return party.kind === 'connection' && party.complete ? [...party.names].sort() : ['?']
}

describe('an observer', () => {
  test('says who it is, and asks for names once it is taken', () => {
    const { commands, hears } = observing()
    assert.equal(commands.bytesTo('provider').toString(), 'AUTH EXTERNAL 31303030\r\n')
    hears(...START.slice(0, 2))
    const said = commands.bytesTo('provider').toString('latin1')
    assert.match(said, /BEGIN\r\n.*Hello.*AddMatch.*NameOwnerChanged.*ListNames/s)
  })

  test('knows every owner when all answers are there, and not before', () => {
    const { owners, hears, settled } = observing()
    hears(...START, LISTED, OWNERS[0] ?? Buffer.alloc(0))
    assert.deepEqual(ownedBy(owners, 'com.a.A'), ['?'])
    hears(...OWNERS.slice(1))
    assert.deepEqual(ownedBy(owners, 'com.a.A'), [':1.1', 'com.a.A'])
    assert.deepEqual(ownedBy(owners, ':1.2'), [':1.2', 'com.b.B'])
    assert.deepEqual(ownedBy(owners, ':1.77'), ['?'])
    assert.equal(settled(), 1)
  })

  test('believes what comes last', () => {
    const { owners, hears } = observing()
    hears(...START, LISTED, changed('com.a.A', ':1.1', ''), changed('com.b.B', ':1.2', ':1.1'))
    hears(reply(4, 's', Buffer.from(string('no')), 3), reply(5, 's', strings([':1.1'])))
    assert.deepEqual(ownedBy(owners, 'com.a.A'), ['?'])
    assert.deepEqual(ownedBy(owners, 'com.b.B'), [':1.1', 'com.b.B'])
    hears(changed('com.c.C', '', ':1.3'), changed(':1.3', '', ':1.3'), changed('com.b.B', ':1.1', ''))
    assert.deepEqual(ownedBy(owners, ':1.3'), [':1.3', 'com.c.C'])
    assert.deepEqual(ownedBy(owners, ':1.1'), [':1.1'])
    hears(changed('com.c.C', ':1.3', ''), changed(':1.3', ':1.3', ''))
    assert.deepEqual(ownedBy(owners, ':1.3'), ['?'])
  })

  test('understands the same however it is cut', () => {
    const whole = Buffer.concat([...START, LISTED, ...OWNERS, changed('com.c.C', '', ':1.1')])
    for (const size of [1, 3, 17, 64, whole.length]) {
      const { owners, hears } = observing()
      for (let at = 0; at < whole.length; at += size) hears(whole.subarray(at, at + size))
      assert.deepEqual(ownedBy(owners, ':1.1'), [':1.1', 'com.a.A', 'com.c.C'], `in pieces of ${size}`)
    }
  })

  test('passes over what is too long', () => {
    const { owners, hears, commands } = observing()
    const long = reply(99, 's', string('x'.repeat(3 * 1024 * 1024)))
    hears(...START, LISTED, ...OWNERS)
    for (let at = 0; at < long.length; at += 65_536) hears(long.subarray(at, at + 65_536))
    hears(changed('com.c.C', '', ':1.1'))
    assert.ok(!commands.closed)
    assert.deepEqual(ownedBy(owners, ':1.1'), [':1.1', 'com.a.A', 'com.c.C'])
  })

  test('listens to nobody but the bus', () => {
    const { owners, hears } = observing()
    hears(...START, LISTED, ...OWNERS, changed('com.c.C', '', ':1.1', 'org.freedesktop.Fake'))
    assert.deepEqual(ownedBy(owners, ':1.1'), [':1.1', 'com.a.A'])
  })

  test('holds up nobody where the bus says nothing', () => {
    const { settled, commands } = observing()
    commands.elapse(1999)
    assert.equal(settled(), 0)
    commands.elapse(1)
    assert.equal(settled(), 1)
    assert.ok(!commands.closed, 'it may still get there')
  })

  for (const [what, parts] of [
    ['refuses it', [Buffer.from('REJECTED EXTERNAL\r\n')]],
    ['says no line', [Buffer.alloc(5000, 'x')]],
    ['speaks no D-Bus', [...START, Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')]],
    ['denies it the names', [...START, reply(3, 's', string('no'), 3)]],
    ['denies it the changes', [...START.slice(0, 2), reply(2, 's', string('no'), 3)]],
    ['lists no strings', [...START, reply(3, 'u', uint32(5))]],
    ['lists them wrongly', [...START, reply(3, 'as', Buffer.concat([uint32(8), uint32(100), uint32(0)]))]],
  ] as const) {
    test(`ends where the bus ${what}, and is settled`, () => {
      const { commands, hears, settled } = observing()
      hears(...parts)
      assert.equal(commands.closing, 'now')
      assert.equal(settled(), 1)
    })
  }

  test('ends with the bus', () => {
    const { commands, hears, settled } = observing()
    hears(...START)
    commands.end('provider', true)
    assert.ok(commands.closed)
    assert.equal(settled(), 1)
  })

  test('gives up a bus that has more names than can be followed', () => {
    const { commands, hears } = observing()
    hears(...START, LISTED, ...OWNERS)
    for (let at = 0; at < 70_000 && !commands.closed; at += 500) {
      hears(
        Buffer.concat(
          Array.from({ length: 500 }, (_, index) => changed(`:2.${at + index}`, '', `:2.${at + index}`)),
        ),
      )
    }
    assert.ok(commands.closed)
  })

  test('survives any bytes', () => {
    const whole = Buffer.concat([...START, LISTED, ...OWNERS, changed('com.c.C', '', ':1.1')])
    for (let seed = 0; seed < 300; seed += 1) {
      const random = randomOf(seed)
      const spoilt = Buffer.from(whole)
      for (let times = random.between(1, 6); times > 0; times -= 1)
        spoilt[random.below(spoilt.length)] = random.below(256)
      observing().hears(spoilt)
    }
  })
})
