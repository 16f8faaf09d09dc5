/** What holds whatever a client does, and whoever comes and goes on the bus meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { BUS_NAME, MESSAGE_TYPE, type Verdict } from '../../../plugins/dbus/contract.ts'
import { stringList } from '../../../plugins/dbus/filter/arguments.ts'
import {
  busCall,
  call,
  FilterStage,
  failed,
  INTROSPECTABLE,
  ME,
  type Message,
  OBJECT_MANAGER,
  PEER,
  PROPERTIES,
  returned,
  SERVICE,
  said,
  signal,
  silent,
  stringAndFlags,
  stringArray,
  strings,
} from '../../support/dbus-filter.ts'
import { ModelBus } from '../../support/dbus-model.ts'

/** `PVX_TEST_SEED` tries other inputs; fast-check prints it with what it found. */
const SEED = Number(process.env['PVX_TEST_SEED'] ?? 20_251)

const runs = (numRuns: number) => ({ seed: SEED, numRuns, includeErrorInReport: true })

const PREFIX = 'org.example'
const PART = `${SERVICE}.Part`
const WELL_KNOWN = [SERVICE, PREFIX, PART, `${SERVICE}Evil`, 'org.example.Other', 'net.other.Name'] as const
const UNIQUE = [':1.20', ':1.21', ':1.22', ':1.23'] as const
const MISSING = [':1.99', 'org.example.Missing'] as const

const wellKnown = fc.constantFrom(...WELL_KNOWN)
const unique = fc.constantFrom(...UNIQUE)
const anyName = fc.constantFrom(...WELL_KNOWN, ...UNIQUE, ...MISSING, ME, BUS_NAME)
const interfaceName = fc.constantFrom(
  ...[SERVICE, PART, `${SERVICE}Evil`, 'org.example.Other', PREFIX, BUS_NAME],
  ...[PROPERTIES, OBJECT_MANAGER, INTROSPECTABLE, PEER, 'org.freedesktop.DBus.Monitoring'],
)
/** Few, so that they meet. */
const serial = fc.integer({ min: 2, max: 12 })
const flags = fc.constantFrom(0, 0, 1)
const littleEndian = fc.boolean()
const optional = <A>(arbitrary: fc.Arbitrary<A>): fc.Arbitrary<A | undefined> =>
  fc.option(arbitrary, { nil: undefined })

// Match rules, as somebody would write them who wants to be rid of ours.

const PARTS = [
  "type='signal'",
  "sender='org.freedesktop.DBus'",
  "path='/org/freedesktop/DBus'",
  "interface='org.freedesktop.DBus'",
  "member='NameOwnerChanged'",
]

const spellings: readonly ((part: string) => string)[] = [
  part => part,
  part => part.replaceAll("'", ''),
  part => ` ${part}`,
  part => `\t${part}`,
  part => part.replace('=', ' ='),
  part => `=${part}`,
  part => part.replace("='", "=''"),
  part => part.replace('org', "o''rg"),
  part => part.replace('arg0=', 'arg='),
  part => part.replace('arg0=', 'arg00='),
  part => part.replace('arg0=', 'arg0x0='),
  part => part.replace('arg0=', 'arg+0='),
  part => part.replace('Changed', "'Changed'"),
  part => part.replace('Changed', "\\'Changed"),
  () => '',
]

const matchRule = fc
  .tuple(
    fc.constantFrom(
      `arg0='${SERVICE}'`,
      `arg0='${PREFIX}'`,
      `arg0namespace='${SERVICE}'`,
      `arg0='${UNIQUE[0]}'`,
    ),
    fc.constantFrom('', '', '', "eavesdrop='false'", "arg1='x'", "arg0='x'"),
  )
  .chain(([own, extra]) =>
    fc.shuffledSubarray(
      [...PARTS, own, extra].filter(part => part !== ''),
      { minLength: 5 },
    ),
  )
  .chain(parts =>
    fc
      .array(fc.tuple(fc.nat(parts.length - 1), fc.constantFrom(...spellings)), { maxLength: 2 })
      .map(changes =>
        changes.reduce(
          (list, [at, spell]) => list.map((part, index) => (index === at ? spell(part) : part)),
          parts,
        ),
      ),
  )
  .map(parts => parts.join(','))

// What may happen.

type Event =
  | { readonly kind: 'sent'; readonly message: Message }
  | { readonly kind: 'given'; readonly name: string; readonly owner: string }
  | { readonly kind: 'left'; readonly unique: string }
  | { readonly kind: 'heard'; readonly message: Message }

const sent = (message: fc.Arbitrary<Message>): fc.Arbitrary<Event> =>
  message.map(one => ({ kind: 'sent', message: one }))

const clientCall = fc
  .record({ serial, flags, littleEndian, destination: optional(anyName), interface: optional(interfaceName) })
  .chain(fields => anyName.map(first => call(fields, strings(first, 'Level'))))

const busMember = fc.constantFrom(
  ...[
    'GetNameOwner',
    'NameHasOwner',
    'GetConnectionUnixProcessID',
    'GetConnectionCredentials',
    'ListQueuedOwners',
  ],
)

const clientBusCall = fc
  .tuple(fc.record({ serial, flags, littleEndian }), anyName, matchRule)
  .chain(([fields, name, rule]) =>
    fc.oneof(
      busMember.map(member => busCall(member, strings(name), fields)),
      fc.constant(busCall('ListNames', undefined, fields)),
      fc.constant(busCall('ListActivatableNames', undefined, { ...fields, interface: undefined })),
      fc.constant(busCall('RequestName', stringAndFlags(name), fields)),
      fc.constant(busCall('ReleaseName', strings(name), fields)),
      fc.constant(busCall('StartServiceByName', stringAndFlags(name), fields)),
      fc
        .constantFrom('BecomeMonitor', 'ReloadConfig', 'Hello', 'GetId')
        .map(member => busCall(member, undefined, fields)),
      ...['AddMatch', 'RemoveMatch', 'RemoveMatch'].map(member =>
        fc.constant(busCall(member, strings(rule), fields)),
      ),
    ),
  )

const clientSignal = fc
  .record({ serial, littleEndian, destination: optional(anyName), interface: interfaceName })
  .map(fields => signal(fields))

const clientReply = fc
  .record({ serial, destination: anyName, replySerial: serial })
  .chain(fields =>
    fc.constantFrom(returned, failed).map(make => make(fields.replySerial, { ...fields, sender: undefined })),
  )

const heard: fc.Arbitrary<Event> = fc
  .record({
    sender: unique,
    serial,
    flags,
    littleEndian,
    destination: fc.constantFrom(undefined, ME),
    interface: interfaceName,
  })
  .chain(fields =>
    anyName.map(first =>
      fields.serial % 3 === 0 && fields.destination === ME ? call(fields) : signal(fields, strings(first)),
    ),
  )
  .map(message => ({ kind: 'heard', message }))

const given: fc.Arbitrary<Event> = fc
  .tuple(wellKnown, fc.constantFrom('', ...UNIQUE))
  .map(([name, owner]) => ({ kind: 'given', name, owner }))

const left: fc.Arbitrary<Event> = unique.map(name => ({ kind: 'left', unique: name }))

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: sent(clientCall) },
  { weight: 6, arbitrary: sent(clientBusCall) },
  { weight: 1, arbitrary: sent(clientSignal) },
  { weight: 1, arbitrary: sent(clientReply) },
  { weight: 3, arbitrary: given },
  { weight: 1, arbitrary: left },
  { weight: 3, arbitrary: heard },
)

// What must hold, by what the bus knows to be true.

/** What a name is for a client that is here for `SERVICE`, and with `below` for what is below it. */
class Truth {
  readonly #bus: ModelBus
  readonly #below: boolean
  /** Connections that the client has heard from, or whose name it was here for. */
  readonly acquainted = new Set<string>()

  constructor(bus: ModelBus, below: boolean) {
    this.#bus = bus
    this.#below = below
  }

  isService(name: string): boolean {
    if (name.startsWith(':')) return this.#bus.namesOf(name).some(own => this.isService(own))
    return name === SERVICE || (this.#below && name.startsWith(`${SERVICE}.`))
  }

  isPrefix(name: string): boolean {
    return name === PREFIX || this.#bus.owners.get(PREFIX) === name
  }

  mayBeVisible(name: string): boolean {
    return (
      [BUS_NAME, ME].includes(name) ||
      this.isService(name) ||
      this.isPrefix(name) ||
      this.acquainted.has(name)
    )
  }
}

const isWithin = (name: string): boolean => name === SERVICE || name.startsWith(`${SERVICE}.`)

const firstIn = ({ head, body }: Message): string => {
  const bytes = Buffer.from(body)
  return bytes.toString('latin1', 4, 4 + (head.littleEndian ? bytes.readUInt32LE() : bytes.readUInt32BE()))
}

const BUS_OWN =
  /^(Hello|GetId|List(Activatable)?Names|NameHasOwner|GetNameOwner|ListQueuedOwners|GetConnection.*|StartServiceByName|AddMatch|RemoveMatch|RequestName|ReleaseName)$/

/** A message of the client's goes to the bus: whom it reaches there, and with what. */
const assertReachable = (truth: Truth, message: Message, verdict: Verdict): void => {
  const { head } = message
  const what = JSON.stringify(head)
  const of = verdict.kind === 'complete' ? verdict.interface : head.interface
  const { destination } = head
  if (head.type === MESSAGE_TYPE.signal) {
    assert.ok(destination === undefined || truth.isService(destination) || truth.isPrefix(destination), what)
    assert.ok(of !== undefined && (isWithin(of) || of === PROPERTIES || of === OBJECT_MANAGER), what)
    return
  }
  if (head.type !== MESSAGE_TYPE.call) return
  if (destination === undefined) {
    assert.equal(of, PEER)
    return
  }
  if (destination === BUS_NAME) {
    const isPeer = of === PEER || of === INTROSPECTABLE || of === PROPERTIES
    assert.ok(isPeer || BUS_OWN.test(head.member ?? ''), what)
    if (/^Get(Name|Conn)|^NameHas|^ListQ/.test(head.member ?? ''))
      assert.ok(truth.mayBeVisible(firstIn(message)), what)
    if (head.member === 'RequestName') assert.ok(truth.isService(firstIn(message)), what)
    return
  }
  assert.ok(truth.isService(destination) || truth.isPrefix(destination), what)
  assert.ok(of !== undefined, what)
  if (of === PROPERTIES) assert.ok(isWithin(firstIn(message)), what)
  else if (of === OBJECT_MANAGER) assert.ok(truth.isService(destination), what)
  else assert.ok(isWithin(of) || of === PEER || of === INTROSPECTABLE, what)
}

/** A message reaches the client: what it learns. */
const assertHarmless = (truth: Truth, { head, body }: Message, verdict: Verdict): void => {
  const what = JSON.stringify(head)
  if (verdict.kind === 'rewrite' || head.signature === 'as') {
    const names = stringList(verdict.kind === 'rewrite' ? verdict.body : body, head.littleEndian)
    assert.ok(
      names?.every(name => truth.mayBeVisible(name)),
      `${what} ${names}`,
    )
  }
  if (head.type !== MESSAGE_TYPE.signal || head.destination !== undefined || head.sender === BUS_NAME) return
  const [sender = '', of = ''] = [head.sender, head.interface]
  assert.ok(truth.isService(sender) || truth.isPrefix(sender), what)
  if (of === PROPERTIES) assert.ok(isWithin(firstIn({ head, body })), what)
  else if (of === OBJECT_MANAGER) assert.ok(truth.isService(sender), what)
  else assert.ok(isWithin(of), what)
}

const PASSING = ['pass', 'complete', 'rewrite']

test('whatever a client does, it reaches and hears of nothing but what its link is for', () => {
  const property = fc.property(
    fc.constantFrom('dbus-daemon' as const, 'dbus-broker' as const),
    fc.boolean(),
    fc.boolean(),
    fc.array(event, { maxLength: 60, size: 'max' }),
    (manner, below, mayOwn, events) => {
      const bus = new ModelBus(manner, UNIQUE)
      const truth = new Truth(bus, below)
      const stage = new FilterStage({
        wanted: below ? `${SERVICE}.*` : SERVICE,
        mayOwn: () => mayOwn,
      }).begin()

      const hear = (message: Message): void => {
        const { head } = message
        if (head.destination === ME && head.sender !== undefined) truth.acquainted.add(head.sender)
        const verdict = stage.fromBus(message)
        if (PASSING.includes(verdict.kind)) assertHarmless(truth, message, verdict)
        assert.notEqual(verdict.kind, 'violation')
      }
      const settle = (): void => {
        for (;;) {
          for (const own of stage.ownCalls.splice(0)) bus.receiveOwn(own)
          const messages = bus.take()
          if (messages.length === 0) return
          for (const message of messages) hear(message)
        }
      }

      settle()
      assert.ok(stage.filter.ready)
      for (const happened of events) {
        // Whoever had a name that the client is here for stays known to it.
        for (const name of UNIQUE)
          if (truth.isService(name) || truth.isPrefix(name)) truth.acquainted.add(name)
        if (happened.kind === 'given') bus.give(happened.name, happened.owner)
        else if (happened.kind === 'left') bus.leave(happened.unique)
        else if (happened.kind === 'heard') {
          if (bus.connections.has(happened.message.head.sender ?? '')) hear(happened.message)
        } else {
          const verdict = stage.send(happened.message)
          if (PASSING.includes(verdict.kind)) {
            assertReachable(truth, happened.message, verdict)
            if (happened.message.head.destination === BUS_NAME) bus.receive(happened.message)
          }
        }
        settle()
        // A client could be blinded in silence: what it can reach is held against the truth each time.
        for (const [index, name] of UNIQUE.entries()) {
          const probe = call({ serial: 1000 + index, flags: 1, destination: name, interface: SERVICE })
          const expected = truth.isService(name) || truth.isPrefix(name) ? 'pass' : 'deny dest'
          assert.equal(said(stage.send(probe)), expected, `${name}, as ${bus.namesOf(name)}`)
        }
      }
    },
  )
  fc.assert(property, runs(2000))
})

test('in whatever order replies come, each that is waited for passes once, and nothing else does', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.tuple(fc.constant('call' as const), serial, flags) },
    { weight: 3, arbitrary: fc.tuple(fc.constant('reply' as const), serial, flags) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('forged' as const), serial, flags) },
    { weight: 1, arbitrary: fc.tuple(fc.constant('recall' as const), serial, flags) },
  )
  const property = fc.property(
    fc.array(step, { maxLength: 80, size: 'max' }),
    fc.integer({ min: 1, max: 8 }),
    (steps, most) => {
      const stage = new FilterStage({ limits: { dbusCalls: most, dbusSeen: 4 } }).start()
      const waiting = new Map<number, 'bus' | 'service'>()
      for (const [what, number, flag] of steps) {
        const toBus = number % 2 === 0
        const plain = toBus
          ? busCall('GetId', undefined, { serial: number })
          : call({ serial: number, destination: SERVICE, interface: SERVICE })
        const message = flag === 1 ? silent(plain) : plain
        if (what === 'call') {
          const verdict = said(stage.send(message))
          if (waiting.has(number)) assert.equal(verdict, 'deny reply')
          else if (flag === 1) assert.equal(verdict, 'pass')
          else if (waiting.size >= most) assert.equal(verdict, 'answer LimitsExceeded')
          else {
            assert.equal(verdict, 'pass')
            waiting.set(number, toBus ? 'bus' : 'service')
          }
        } else if (what === 'recall') {
          stage.filter.recall(message.head)
          waiting.delete(number)
        } else {
          const from = what === 'forged' ? ':1.66' : toBus ? BUS_NAME : ':1.20'
          const reply = flag === 1 ? failed(number, { sender: from }) : returned(number, { sender: from })
          const isDue = waiting.has(number) && (what === 'reply' || waiting.get(number) === 'service')
          assert.equal(said(stage.fromBus(reply)), isDue ? 'pass' : 'drop reply')
          if (isDue) waiting.delete(number)
        }
      }
    },
  )
  fc.assert(property, runs(1000))
})

test('any bytes in a list are refused or read, and what was read is written the same', () => {
  const names = fc.array(
    fc.string({ unit: 'binary-ascii', maxLength: 20 }).map(text => text.replaceAll('\0', 'n')),
  )
  fc.assert(
    fc.property(names, littleEndian, (list, little) => {
      assert.deepEqual(stringList(stringArray(list).bytes(little), little), list)
    }),
    runs(300),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), littleEndian, (bytes, little) => {
      const read = stringList(bytes, little)
      if (read !== undefined) assert.equal(stringArray(read).bytes(little).length, bytes.length)
    }),
    runs(2000),
  )
})

test('any bytes are judged, in any order, without a throw', () => {
  const bytes = fc.uint8Array({ maxLength: 80 })
  const member = fc.constantFrom(
    'AddMatch',
    'RemoveMatch',
    'RequestName',
    'GetNameOwner',
    'NameOwnerChanged',
    'ListNames',
  )
  const message = fc.record({
    type: fc.integer({ min: 1, max: 6 }),
    serial,
    flags,
    littleEndian,
    replySerial: optional(serial),
    destination: optional(anyName),
    sender: optional(anyName),
    interface: optional(interfaceName),
    member: optional(member),
    signature: fc.constantFrom('s', 'su', 'sss', 'as', 'u', ''),
  })
  const property = fc.property(fc.array(fc.tuple(message, bytes, fc.boolean()), { maxLength: 30 }), steps => {
    const stage = new FilterStage({ mayOwn: () => true }).start()
    for (const [fields, body, isSent] of steps) {
      const { head } = call(fields)
      const shown = { head: { ...head, ...fields, bodyBytes: body.length }, body }
      assert.ok((isSent ? stage.send(shown) : stage.fromBus(shown)).kind.length > 0)
    }
  })
  fc.assert(property, runs(1000))
})
