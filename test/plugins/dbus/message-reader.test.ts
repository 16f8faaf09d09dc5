/** The reader of headers, held against one that goes by the letter of the specification, and each rule by itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { type Found, MessageReader } from '../../../plugins/dbus/message-reader.ts'
import { messages, mutated } from '../../fuzz/dbus-messages.ts'
import {
  call,
  decode,
  type Field,
  type FieldName,
  field,
  fields,
  type Made,
  message,
  Writer,
} from '../../support/dbus-wire.ts'

const SEED = Number(process.env['PVX_TEST_SEED'] ?? 20_251)
const runs = (numRuns: number) => ({ seed: SEED, numRuns, includeErrorInReport: true })

const MOST_FIELD_BYTES = 64 * 1024
const reader = new MessageReader(MOST_FIELD_BYTES)

const read = (bytes: Uint8Array): Found => reader.read(Uint8Array.from(bytes), 0)

/** What the reader found, as the reference tells it. */
const told = (bytes: Buffer, at = 0): unknown => {
  const view = new Uint8Array(at + bytes.length)
  view.set(bytes, at)
  const found = reader.read(view, at)
  if (found === 'more') return 'more'
  if (found !== 'whole') return 'bad'
  const named: Partial<Record<FieldName, string | number>> = {}
  const note = (name: FieldName, value: string | number | undefined): void => {
    if (value !== undefined && value !== '' && value !== 0) named[name] = value
  }
  note('path', reader.path)
  note('interface', reader.interface)
  note('member', reader.member)
  note('errorName', reader.errorName)
  note('replySerial', reader.replySerial)
  note('destination', reader.destination)
  note('sender', reader.sender)
  note('signature', reader.signature)
  note('unixFds', reader.unixFds)
  const { littleEndian, type, flags, serial, headerBytes, bodyBytes } = reader
  return { littleEndian, type, flags, serial, headerBytes, bodyBytes, named }
}

const reference = (bytes: Buffer): unknown => {
  const decoded = decode(bytes, MOST_FIELD_BYTES)
  if (typeof decoded === 'string') return decoded
  const { littleEndian, type, flags, serial, headerBytes, bodyBytes } = decoded
  const named = Object.fromEntries(
    Object.entries(decoded.named).filter(([, value]) => value !== '' && value !== 0),
  )
  return { littleEndian, type, flags, serial, headerBytes, bodyBytes, named }
}

test('a valid header says what was put into it, in either byte order', () => {
  fc.assert(
    fc.property(messages, made => {
      const bytes = message(made)
      const found = told(bytes)
      assert.notEqual(found, 'bad')
      assert.deepEqual(found, reference(bytes))
    }),
    runs(500),
  )
})

test('whatever is done to a header, it is taken or refused as the specification has it', () => {
  fc.assert(
    fc.property(mutated, bytes => assert.deepEqual(told(bytes), reference(bytes))),
    runs(4000),
  )
})

test('where in a view a header lies makes no difference', () => {
  fc.assert(
    fc.property(mutated, fc.integer({ min: 1, max: 33 }), (bytes, at) =>
      assert.deepEqual(told(bytes, at), told(bytes)),
    ),
    runs(500),
  )
})

test('a header that is not whole is waited for, with its length as soon as it is known', () => {
  const bytes = call({ destination: 'org.example.Service', interface: 'org.example.Thing' })
  for (let length = 0; length < bytes.length; length += 1) {
    assert.equal(read(bytes.subarray(0, length)), 'more')
    assert.equal(reader.headerBytes, length < 16 ? 16 : bytes.length)
  }
  assert.equal(read(bytes), 'whole')
})

// What a bus would close the connection for.

const REQUEST = { path: '/a', member: 'M' }

const faultOf = (made: Made): Found => read(message({ fields: fields(REQUEST), ...made }))

const withField = (...more: readonly Field[]): Found =>
  read(message({ fields: [...fields(REQUEST), ...more] }))

const renamed = (name: FieldName, value: string | number): Found =>
  read(message({ fields: fields({ ...REQUEST, [name]: value }) }))

const REFUSED: Readonly<Record<string, readonly [Found, () => Found]>> = {
  'another byte order': ['byte-order', () => faultOf({ order: 'b' })],
  'another version': ['version', () => faultOf({ version: 2 })],
  'the type 0': ['type', () => faultOf({ type: 0 })],
  'the serial 0': ['serial', () => faultOf({ serial: 0 })],
  'more fields than may be': ['fields-length', () => faultOf({ fieldsLength: MOST_FIELD_BYTES + 1 })],
  'a field length of all ones': ['fields-length', () => faultOf({ fieldsLength: 0xffffffff })],
  'a body length of all ones': ['message-length', () => faultOf({ bodyLength: 0xffffffff })],
  'a byte more than a message may have': [
    'message-length',
    () => {
      const { length } = message({ fields: fields(REQUEST) })
      return faultOf({ bodyLength: 2 ** 27 - length + 1 })
    },
  ],
  'padding that is not zero': [
    'padding',
    () => {
      const bytes = message({ fields: fields(REQUEST) })
      bytes[bytes.length - 1] = 1
      return read(bytes)
    },
  ],
  'padding between fields that is not zero': [
    'padding',
    () => {
      const bytes = message({ fields: fields(REQUEST) })
      bytes[16 + 8 + 3] = 1
      return read(bytes)
    },
  ],
  'a field without a code': ['field-code', () => withField({ code: 0, type: 's', value: 'a' })],
  'a path that is a string': [
    'field-type',
    () => read(message({ fields: [{ code: 1, type: 's', value: '/a' }] })),
  ],
  'a reply serial that is a string': ['field-type', () => withField({ code: 5, type: 's', value: 'a' })],
  'a member of two types': ['field-type', () => withField({ code: 3, type: 'ss', value: 'a' })],
  'a path twice': ['field-repeated', () => withField(field('path', '/a'))],
  'descriptors twice': ['field-repeated', () => withField(field('unixFds', 0), field('unixFds', 0))],
  'a string that runs past its array': [
    'field-bounds',
    () => {
      const bytes = message({ fields: [...fields(REQUEST), field('destination', 'a.b')] })
      const at = bytes.indexOf('a.b') - 4
      bytes.writeUInt32LE(9, at)
      return read(bytes)
    },
  ],
  'a string of all ones': [
    'field-bounds',
    () => {
      const bytes = message({ fields: [...fields(REQUEST), field('destination', 'a.b')] })
      bytes.writeUInt32LE(0xffffffff, bytes.indexOf('a.b') - 4)
      return read(bytes)
    },
  ],
  'a string whose NUL is none': [
    'field-value',
    () => {
      const bytes = message({ fields: [...fields(REQUEST), field('destination', 'a.b')] })
      bytes[bytes.indexOf('a.b') + 3] = 0x63
      return read(bytes)
    },
  ],
  'a string with a NUL in it': ['field-value', () => renamed('destination', 'a.b\0c')],
  'fields that end in the middle of one': [
    'field-bounds',
    () => faultOf({ fieldsLength: message({ fields: fields(REQUEST) }).length - 16 - 8 }),
  ],
  'a path without a slash': ['field-value', () => renamed('path', 'a')],
  'a path that ends with a slash': ['field-value', () => renamed('path', '/a/')],
  'a path with two slashes': ['field-value', () => renamed('path', '/a//b')],
  'a path with another sign': ['field-value', () => renamed('path', '/a-b')],
  'an empty path': ['field-value', () => renamed('path', '')],
  'a member with a dot': ['field-value', () => renamed('member', 'a.b')],
  'a member that begins with a digit': ['field-value', () => renamed('member', '1a')],
  'a member of 256 bytes': ['field-value', () => renamed('member', 'm'.repeat(256))],
  'an interface of one element': ['field-value', () => renamed('interface', 'a')],
  'an interface with a hyphen': ['field-value', () => renamed('interface', 'a.b-c')],
  'an interface with an empty element': ['field-value', () => renamed('interface', 'a..b')],
  'an interface that ends with a dot': ['field-value', () => renamed('interface', 'a.b.')],
  'an element that begins with a digit': ['field-value', () => renamed('interface', 'a.1b')],
  'an interface of 256 bytes': ['field-value', () => renamed('interface', `a.${'b'.repeat(254)}`)],
  'a destination of one element': ['field-value', () => renamed('destination', 'a')],
  'a unique name of one element': ['field-value', () => renamed('destination', ':a')],
  'a destination that begins with a dot': ['field-value', () => renamed('destination', '.a.b')],
  'a destination of 256 bytes': ['field-value', () => renamed('destination', `a.${'b'.repeat(254)}`)],
  'a sender with a space': ['field-value', () => renamed('sender', 'a.b c')],
  'a letter that is none of ASCII': ['field-value', () => renamed('destination', 'a.bü')],
  'an error name of one element': ['field-value', () => renamed('errorName', 'a')],
  'a signature of unknown types': ['field-value', () => renamed('signature', 'sz')],
  'a signature with an open struct': ['field-value', () => renamed('signature', '(s')],
  'a signature with an empty struct': ['field-value', () => renamed('signature', '()')],
  'a signature with an array of nothing': ['field-value', () => renamed('signature', 'a')],
  'a signature with a dict entry outside of an array': ['field-value', () => renamed('signature', '{ss}')],
  'a signature with a dict entry of three': ['field-value', () => renamed('signature', 'a{sss}')],
  'a signature with a key that is an array': ['field-value', () => renamed('signature', 'a{ass}')],
  '33 arrays in each other': ['field-value', () => renamed('signature', `${'a'.repeat(33)}y`)],
  '33 structs in each other': [
    'field-value',
    () => renamed('signature', `${'('.repeat(33)}y${')'.repeat(33)}`),
  ],
  'a call without a path': ['field-missing', () => faultOf({ fields: fields({ member: 'M' }) })],
  'a call without a member': ['field-missing', () => faultOf({ fields: fields({ path: '/a' }) })],
  'a signal without an interface': ['field-missing', () => faultOf({ type: 4 })],
  'a return without a reply serial': ['field-missing', () => faultOf({ type: 2 })],
  'an error without a name': [
    'field-missing',
    () => faultOf({ type: 3, fields: fields({ replySerial: 1 }) }),
  ],
  'a return to the serial 0': ['field-value', () => faultOf({ type: 2, fields: fields({ replySerial: 0 }) })],
  'the path of a library to itself': ['local', () => renamed('path', '/org/freedesktop/DBus/Local')],
  'the interface of a library to itself': ['local', () => renamed('interface', 'org.freedesktop.DBus.Local')],
}

for (const [what, [fault, found]] of Object.entries(REFUSED)) {
  test(`a header is refused for ${what}`, () => assert.equal(found(), fault))
}

const unknown = (type: string, value: Uint8Array): Found => withField({ code: 77, type, value })

/** A variant in a variant, so often, around one byte. */
const variants = (depth: number): Buffer => {
  const writer = new Writer(true)
  for (let i = 0; i < depth; i += 1) writer.signature('v')
  return writer.signature('y').octets(7).bytes()
}

const TAKEN: Readonly<Record<string, () => Found>> = {
  'types beyond the known ones': () => faultOf({ type: 255, fields: [] }),
  'flags that nobody knows': () => faultOf({ flags: 0xff }),
  'names of 255 bytes': () => renamed('destination', `a.${'b'.repeat(253)}`),
  'a path of any length': () => renamed('path', `/${'a'.repeat(60_000)}`),
  'the root': () => renamed('path', '/'),
  'a unique name with digits': () => renamed('destination', ':1.42'),
  'a hyphen in a bus name': () => renamed('destination', 'a-.-b'),
  '32 arrays and 32 structs': () =>
    renamed('signature', `${'a'.repeat(32)}${'('.repeat(32)}y${')'.repeat(32)}`),
  'a dict': () => renamed('signature', 'a{sv}a{oa(ii)}'),
  'an unknown field that is a string': () => unknown('s', new Writer(true).string('é').bytes()),
  'an unknown field that is an array of structs': () =>
    unknown('a(yy)', new Writer(true).uint32(2).pad(8).octets(1, 2).bytes()),
  'an unknown field that is a struct': () =>
    unknown('(yts)', new Writer(true).octets(1).pad(8).octets(1, 2, 3, 4, 5, 6, 7, 8).string('x').bytes()),
  'an unknown field that is a signature': () => unknown('g', new Writer(true).signature('ss').bytes()),
  'variants in an unknown field': () => unknown('v', variants(3)),
}

for (const [what, found] of Object.entries(TAKEN)) {
  test(`a header is taken with ${what}`, () => assert.equal(found(), 'whole'))
}

const BAD_UNKNOWN: Readonly<Record<string, () => Found>> = {
  'of two types': () => unknown('yy', Buffer.from([1, 2])),
  'of no type': () => unknown('', Buffer.alloc(8)),
  'of an unknown type': () => unknown('z', Buffer.from([1])),
  'whose array is longer than there is room': () => unknown('ay', new Writer(true).uint32(99).bytes()),
  'whose array has a length of all ones': () => unknown('ay', new Writer(true).uint32(0xffffffff).bytes()),
  'whose string is longer than there is room': () => unknown('s', new Writer(true).uint32(99).bytes()),
  'whose variants go deeper than any bus follows': () => unknown('v', variants(70)),
}

for (const [what, found] of Object.entries(BAD_UNKNOWN)) {
  test(`a header is refused for an unknown field ${what}`, () => assert.equal(found(), 'field-value'))
}

test('an INTERFACE that was added is as if it had come', () => {
  assert.equal(read(message({ fields: fields(REQUEST) })), 'whole')
  assert.equal(reader.interface, undefined)
  reader.complete('org.example.Thing')
  assert.equal(reader.interface, 'org.example.Thing')
  assert.equal(read(message({ fields: fields(REQUEST) })), 'whole')
  assert.equal(reader.interface, undefined)
})
