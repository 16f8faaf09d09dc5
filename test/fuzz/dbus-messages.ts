/** D-Bus messages of all kinds for tests that hold for every one: valid ones, and ones that something was done to. */
import * as fc from 'fast-check'
import { type Field, field, type Made, message, Writer } from '../support/dbus-wire.ts'

const element = fc.constantFrom('a', 'B_c', '_', 'x9', 'Example', 'm'.repeat(40))
const dotted = fc.array(element, { minLength: 2, maxLength: 5 }).map(elements => elements.join('.'))
const uniqueName = fc.tuple(fc.nat(9), fc.nat(99_999)).map(([a, b]) => `:${a}.${b}`)
const busName = fc.oneof(dotted, uniqueName, fc.constantFrom('org.freedesktop.DBus', 'a-b.c-d'))
const path = fc
  .array(fc.oneof(element, fc.constantFrom('1', '0_0')), { maxLength: 5 })
  .map(elements => `/${elements.join('/')}`)
const signature = fc.constantFrom('', 's', 'a{sv}', 'ssa(ii)v', 'aay', '(a{s(ih)})')
const serial = fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(0xfffeffff, 0xffffffff))

const sometimes = <A>(arbitrary: fc.Arbitrary<A>): fc.Arbitrary<A | undefined> =>
  fc.option(arbitrary, { nil: undefined })

/** A field of a code that nobody knows, by its byte order. */
const unknownField = (littleEndian: boolean): fc.Arbitrary<Field> =>
  fc
    .constantFrom<readonly [string, Buffer]>(
      ['s', new Writer(littleEndian).string('some text').bytes()],
      ['y', Buffer.from([7])],
      ['t', Buffer.alloc(8)],
      ['a(yy)', new Writer(littleEndian).uint32(2).pad(8).octets(1, 2).bytes()],
      ['as', new Writer(littleEndian).uint32(6).string('x').bytes()],
      ['v', new Writer(littleEndian).signature('v').signature('y').octets(1).bytes()],
      ['(ysg)', new Writer(littleEndian).octets(1).string('z').signature('aa{sv}').bytes()],
    )
    .chain(([type, value]) => fc.integer({ min: 10, max: 255 }).map(code => ({ code, type, value })))

const valid = (littleEndian: boolean): fc.Arbitrary<Made> =>
  fc
    .record({
      type: fc.constantFrom(1, 1, 2, 3, 4, 5, 255),
      flags: fc.nat(255),
      serial,
      path,
      interface: dotted,
      member: element,
      errorName: dotted,
      replySerial: serial,
      destination: sometimes(busName),
      sender: sometimes(busName),
      signature: sometimes(signature),
      unixFds: sometimes(fc.nat(3)),
      hasInterface: fc.boolean(),
      more: fc.array(unknownField(littleEndian), { maxLength: 2 }),
      body: fc.uint8Array({ maxLength: 40 }),
      order: fc.array(fc.nat(), { minLength: 12, maxLength: 12 }),
    })
    .map(({ type, flags, body, serial: number, more, order, ...texts }) => {
      const isReply = type === 2 || type === 3
      const chosen: Field[] = [...more]
      if (!isReply) chosen.push(field('path', texts.path), field('member', texts.member))
      if (type === 4 || (type === 1 && texts.hasInterface)) chosen.push(field('interface', texts.interface))
      if (isReply) chosen.push(field('replySerial', texts.replySerial))
      if (type === 3) chosen.push(field('errorName', texts.errorName))
      for (const name of ['destination', 'sender', 'signature', 'unixFds'] as const) {
        const value = texts[name]
        if (value !== undefined) chosen.push(field(name, value))
      }
      const shuffled = chosen
        .map((each, index) => ({ each, at: order[index] ?? 0 }))
        .sort((a, b) => a.at - b.at)
        .map(({ each }) => each)
      return { littleEndian, type, flags, serial: number, fields: shuffled, body }
    })

/** Of any type and either byte order, its fields in any order. */
export const messages: fc.Arbitrary<Made> = fc.boolean().chain(valid)

const position = fc.nat(9999)

/** Octets that mean something somewhere. */
const octet = fc.oneof(
  fc.constantFrom(
    0,
    1,
    2,
    7,
    8,
    9,
    10,
    255,
    0x2e,
    0x2f,
    0x3a,
    0x61,
    0x73,
    0x75,
    0x67,
    0x76,
    0x28,
    0x6c,
    0x42,
  ),
  fc.nat(255),
)

const change = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: position, octet }),
  fc.record({ kind: fc.constant('flip' as const), at: position, octet: fc.nat(7) }),
  fc.record({ kind: fc.constant('cut' as const), at: position, octet }),
  fc.record({ kind: fc.constant('insert' as const), at: position, octet }),
  fc.record({ kind: fc.constant('remove' as const), at: position, octet }),
)

type Change = typeof change extends fc.Arbitrary<infer A> ? A : never

const changed = (bytes: Buffer, { kind, at: place, octet: value }: Change): Buffer => {
  if (bytes.length === 0) return bytes
  const at = place % bytes.length
  const copy = Buffer.from(bytes)
  switch (kind) {
    case 'set':
      copy[at] = value
      return copy
    case 'flip':
      copy[at] = (copy[at] ?? 0) ^ (1 << value)
      return copy
    case 'cut':
      return copy.subarray(0, at)
    case 'insert':
      return Buffer.concat([copy.subarray(0, at), Buffer.from([value]), copy.subarray(at)])
    case 'remove':
      return Buffer.concat([copy.subarray(0, at), copy.subarray(at + 1)])
  }
}

/** Bytes of a message to which a few things were done. */
export const mutated: fc.Arbitrary<Buffer> = fc
  .tuple(messages, fc.array(change, { minLength: 1, maxLength: 3 }))
  .map(([made, changes]) => changes.reduce(changed, message(made)))
