/** Messages of an unfiltered link: they pass as they are, however they are cut, with the descriptors that are theirs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Side } from '../../../src/relay/contract.ts'
import { messages } from '../../fuzz/dbus-messages.ts'
import { AUTH, DbusStage, GUID, line } from '../../support/dbus-stage.ts'
import { call, fields, hello, helloReply, message, reply, signal } from '../../support/dbus-wire.ts'

const SEED = Number(process.env['PVX_TEST_SEED'] ?? 20_251)
const runs = (numRuns: number) => ({ seed: SEED, numRuns, includeErrorInReport: true })

const SIDES: readonly Side[] = ['consumer', 'provider']
const opposite = (side: Side): Side => (side === 'consumer' ? 'provider' : 'consumer')

const BOTH_ORDERS = Buffer.concat([
  hello(),
  call({ littleEndian: false, serial: 2, destination: 'org.example.Service', body: Buffer.from('abcdef') }),
  signal('Changed', { body: Buffer.alloc(33, 7), signature: 'ay' }),
  message({ type: 77, fields: [] }),
])

test('messages cut at any place come out the same, both ways', () => {
  for (const from of SIDES) {
    for (let cut = 0; cut <= BOTH_ORDERS.length; cut += 1) {
      const stage = new DbusStage().begins()
      stage.sends(from, BOTH_ORDERS.subarray(0, cut)).sends(from, BOTH_ORDERS.subarray(cut))
      assert.ok(stage.bytes(opposite(from)).equals(BOTH_ORDERS), `${from}, cut at ${cut}`)
      assert.equal(stage.closing, undefined)
    }
  }
})

test('messages come out the same byte by byte', () => {
  const stage = new DbusStage().begins()
  for (const octet of BOTH_ORDERS) stage.sends('consumer', Uint8Array.of(octet))
  assert.ok(stage.bytes('provider').equals(BOTH_ORDERS))
})

test('nothing of a message is passed on before its whole header is there', () => {
  const bytes = call({ destination: 'org.example.Service' })
  const stage = new DbusStage().begins()
  for (const octet of bytes.subarray(0, -1)) stage.sends('consumer', Uint8Array.of(octet))
  assert.equal(stage.bytes('provider').length, 0)
})

test('messages of every kind pass in any pieces', () => {
  const pieces = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 })
  const list = fc.array(messages, { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(list, pieces, fc.constantFrom(...SIDES), (made, lengths, from) => {
      const bytes = Buffer.concat(
        made.map(each => message({ ...each, fields: (each.fields ?? []).filter(({ code }) => code !== 9) })),
      )
      const stage = new DbusStage().begins()
      for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
        const length = lengths[turn % lengths.length] ?? 1
        stage.sends(from, bytes.subarray(at, at + length))
        at += length
      }
      assert.equal(stage.closing, undefined)
      assert.ok(stage.bytes(opposite(from)).equals(bytes))
    }),
    runs(300),
  )
})

test('what is pipelined behind BEGIN is passed on, wherever it is cut', () => {
  const said = Buffer.concat([line('␀AUTH EXTERNAL 30⏎BEGIN⏎'), hello(), call({ serial: 2 })])
  for (let cut = 1; cut < said.length; cut += 1) {
    const stage = new DbusStage()
    stage.sends('consumer', said.subarray(0, cut)).sends('consumer', said.subarray(cut))
    stage.says('provider', `OK ${GUID}⏎`)
    const expected = Buffer.concat([line(`${AUTH}BEGIN⏎`), hello(), call({ serial: 2 })])
    assert.ok(stage.commands.bytesTo('provider').equals(expected), `cut at ${cut}`)
  }
})

// Long ones.

const LONG = 300_000

test('a long body passes unseen but for its last byte, and what follows it is seen again', () => {
  const long = call({ body: Buffer.alloc(LONG, 1), signature: 'ay' })
  const stage = new DbusStage().begins()
  stage.sends('consumer', Buffer.concat([long, hello(5)]))
  assert.ok(stage.bytes('provider').equals(Buffer.concat([long, hello(5)])))
  assert.equal(stage.counted('messages to=provider type=call'), 2)
})

test('a long header is put together and passed on whole', () => {
  const path = `/${'p'.repeat(700_000)}`
  const bytes = call({ path, body: Buffer.from('body'), signature: 'ay' })
  for (const step of [1000, 65_536, 262_144]) {
    const stage = new DbusStage().begins()
    for (let at = 0; at < bytes.length; at += step) stage.sends('consumer', bytes.subarray(at, at + step))
    assert.ok(stage.bytes('provider').equals(bytes))
    stage.sends('consumer', hello(3))
    assert.ok(stage.bytes('provider').equals(Buffer.concat([bytes, hello(3)])))
  }
})

test('a long header that is bad at its end passes not one byte', () => {
  const bytes = call({ path: `/${'p'.repeat(400_000)}/` })
  const stage = new DbusStage().begins().sends('consumer', bytes)
  assert.equal(stage.bytes('provider').length, 0)
  assert.deepEqual(stage.reports, ['dbus-protocol-error field-value'])
})

test('fields of more than may be are refused by their length alone', () => {
  const start = message({ fields: [], fieldsLength: 1024 * 1024 + 1 })
  const stage = new DbusStage().begins().sends('consumer', start)
  assert.deepEqual(stage.reports, ['dbus-protocol-error fields-length'])
})

// What closes.

test('a bad message closes the connection, whoever says it, and those before it are delivered', () => {
  for (const from of SIDES) {
    const good = reply({ to: 4 })
    const bad = message({ fields: fields({ path: '/a' }) })
    const stage = new DbusStage().begins().sends(from, Buffer.concat([good, bad, good]))
    assert.ok(stage.bytes(opposite(from)).equals(good))
    assert.equal(stage.closing, 'flush')
    assert.equal(stage.counted(`protocol_errors side=${from} reason=field_missing`), 1)
  }
})

// Descriptors.

const withFds = (unixFds: number, serial = 1, body?: Buffer): Buffer =>
  call({ serial, unixFds, ...(body === undefined ? {} : { body, signature: 'ay' }) })

test('descriptors leave with the first byte of their message', () => {
  for (const from of SIDES) {
    const before = call({ serial: 1 })
    const one = withFds(1, 2)
    const three = withFds(3, 3)
    const stage = new DbusStage().begins()
    stage.sends(from, Buffer.concat([before, one]), [10])
    stage.sends(from, Buffer.concat([three, before]), [11, 12, 13])
    const at = before.length + one.length
    assert.deepEqual(stage.fds(opposite(from)), [
      [before.length, 10],
      [at, 11],
      [at, 12],
      [at, 13],
    ])
    assert.equal(stage.closing, undefined)
  }
})

test('descriptors pass with a message that comes in two pieces, cut anywhere', () => {
  const bytes = withFds(2, 1, Buffer.alloc(50))
  for (let cut = 1; cut < bytes.length; cut += 1) {
    const stage = new DbusStage().begins()
    stage.sends('consumer', bytes.subarray(0, cut), [10, 11]).sends('consumer', bytes.subarray(cut))
    assert.deepEqual(stage.fds('provider'), [
      [0, 10],
      [0, 11],
    ])
  }
})

test('descriptors that come with a later byte of their message leave with that', () => {
  const bytes = withFds(2, 1, Buffer.alloc(500))
  const stage = new DbusStage().begins()
  stage.sends('consumer', bytes.subarray(0, 200), [10]).sends('consumer', bytes.subarray(200), [11])
  assert.ok(stage.bytes('provider').equals(bytes))
  assert.deepEqual(stage.fds('provider'), [
    [0, 10],
    [200, 11],
  ])
})

test('descriptors that come within what passes unseen leave with the last byte', () => {
  const bytes = withFds(1, 1, Buffer.alloc(LONG))
  const stage = new DbusStage().begins()
  stage.sends('consumer', bytes.subarray(0, 1000)).sends('consumer', bytes.subarray(1000), [10])
  assert.deepEqual(stage.fds('provider'), [[bytes.length - 1, 10]])
  assert.equal(stage.closing, undefined)
})

const FD_FAULTS: Readonly<Record<string, readonly [stage: () => DbusStage, reason: string]>> = {
  'too few': [() => new DbusStage().begins().sends('consumer', withFds(2), [10]), 'descriptors-missing'],
  'too few for a long one': [
    () => new DbusStage().begins().sends('consumer', withFds(1, 1, Buffer.alloc(LONG))),
    'descriptors-missing',
  ],
  'too many': [
    () => new DbusStage().begins().sends('consumer', withFds(1), [10, 11]),
    'descriptors-left-over',
  ],
  'some where none are announced': [
    () => new DbusStage().begins().sends('provider', call(), [10]),
    'descriptors-left-over',
  ],
  'some that were not agreed on': [
    () => new DbusStage().begins({ descriptors: false }).sends('consumer', withFds(1), [10]),
    'descriptors-not-negotiated',
  ],
  'more than one sendmsg can carry': [
    () => new DbusStage().begins().sends('consumer', withFds(254)),
    'descriptors-too-many',
  ],
}

for (const [what, [stage, reason]] of Object.entries(FD_FAULTS)) {
  test(`descriptors: ${what} close the connection`, () => {
    const { reports, closing } = stage()
    assert.deepEqual(reports, [`dbus-protocol-error ${reason}`])
    assert.equal(closing, 'flush')
  })
}

test('nothing of a message that has too few descriptors is passed on, if it came whole', () => {
  const stage = new DbusStage().begins().sends('consumer', withFds(2), [10])
  assert.equal(stage.bytes('provider').length, 0)
  assert.deepEqual(stage.fds('provider'), [])
})

test('descriptors wait for the rest of their header for 150 s, and no longer', () => {
  const stage = new DbusStage().begins().sends('consumer', withFds(1).subarray(0, 20), [10])
  stage.commands.elapse(149_999)
  assert.equal(stage.closing, undefined)
  stage.commands.elapse(1)
  assert.deepEqual(stage.reports, ['dbus-protocol-error descriptors-too-late'])
})

test('what others of their connection do in time is no help to descriptors that wait', () => {
  const half = withFds(1).subarray(0, 20)
  const stage = new DbusStage().begins().sends('consumer', half, [10])
  for (let i = 0; i < 3; i += 1) {
    stage.commands.elapse(50_000)
    stage.sends('provider', signal('Changed'))
  }
  assert.deepEqual(stage.reports, ['dbus-protocol-error descriptors-too-late'])
})

test('a message that took its descriptors starts the time of the next one anew', () => {
  const bytes = withFds(1, 2)
  const stage = new DbusStage().begins().sends('consumer', bytes.subarray(0, 20), [10])
  stage.commands.elapse(100_000)
  stage.sends('consumer', Buffer.concat([bytes.subarray(20), bytes.subarray(0, 20)]), [11])
  stage.commands.elapse(100_000)
  stage.sends('consumer', bytes.subarray(20))
  stage.commands.elapse(1_000_000)
  assert.equal(stage.closing, undefined)
  assert.deepEqual(
    stage.fds('provider').map(([, fd]) => fd),
    [10, 11],
  )
})

// Ends.

test('all that a client said before it left is delivered, and the bus hears that it is over', () => {
  const stage = new DbusStage().begins().sends('consumer', signal('Last'))
  stage.commands.end('consumer', true)
  assert.ok(stage.bytes('provider').equals(signal('Last')))
  assert.equal(stage.commands.hasEnded('provider'), true)
  assert.equal(stage.closing, undefined)
  stage.commands.end('provider', true)
  assert.equal(stage.closing, 'flush')
})

test('a client that pipelines all it has to say and leaves is heard', () => {
  const stage = new DbusStage({ dials: 'when told' })
  stage.sends('consumer', Buffer.concat([line('␀AUTH EXTERNAL 30⏎BEGIN⏎'), hello(), signal('Last')]))
  stage.commands.end('consumer', true)
  stage.commands.dialled()
  stage.says('provider', `OK ${GUID}⏎`)
  const expected = Buffer.concat([line(`${AUTH}BEGIN⏎`), hello(), signal('Last')])
  assert.ok(stage.commands.bytesTo('provider').equals(expected))
  assert.equal(stage.commands.hasEnded('provider'), true)
})

test('a bus that does not let go of a client that has left is given 5 s', () => {
  const stage = new DbusStage().begins()
  stage.commands.end('consumer', true)
  stage.commands.elapse(4999)
  assert.equal(stage.closing, undefined)
  stage.commands.elapse(1)
  assert.equal(stage.closing, 'now')
})

test('a client that has half-closed still hears what the bus says, and then its end', () => {
  const stage = new DbusStage().begins().sends('consumer', call())
  stage.commands.end('consumer')
  stage.sends('provider', reply({ to: 1 }))
  assert.ok(stage.bytes('consumer').equals(reply({ to: 1 })))
  stage.commands.end('provider')
  assert.equal(stage.closing, 'flush')
})

test('half a message of a client that left is not completed by anybody', () => {
  const stage = new DbusStage().begins().sends('consumer', call().subarray(0, 30))
  stage.commands.end('consumer', true)
  assert.equal(stage.bytes('provider').length, 0)
})

test('what the bus said before it ended is delivered, and the client closed', () => {
  const stage = new DbusStage().begins().sends('provider', helloReply())
  stage.commands.end('provider', true)
  assert.ok(stage.bytes('consumer').equals(helloReply()))
  assert.equal(stage.closing, 'flush')
  assert.deepEqual(stage.reports, [])
})

test('a bus that lets a client in and leaves without a word is explained in the log', () => {
  const stage = new DbusStage().begins().sends('consumer', hello())
  stage.commands.end('provider', true)
  const [report] = stage.commands.reports
  assert.equal(report?.event, 'dbus-left-before-hello')
  assert.match(String(report?.facts['hint']), /passwd/)
  assert.equal(stage.counted('left_before_hello'), 1)
})

test('a link that is withdrawn closes its connections', () => {
  const stage = new DbusStage().begins()
  stage.commands.withdraw()
  assert.equal(stage.closing, 'flush')
})
