/**
 * JSON as text, the way a careless or hostile writer spells it: what a value generator cannot make, because it is lost
 * in `JSON.parse` (`-0`, a key given twice, `1e400`, a lone surrogate) or is no JSON any more.
 */
import * as fc from 'fast-check'
import * as t from 'io-ts'
import { E } from '../../src/fp.ts'

/** Names that every object inherits, and one that replaces what it inherits from. */
export const INHERITED = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'] as const

const ODD_STRINGS: readonly string[] = [
  '""',
  '"\\u0000"',
  '"a\\u0000b"',
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\ud83d\\ude00"',
  '"\\u2028"',
  '"\\/\\/"',
  '"..//./../"',
  '"\u202e\\n\\u001b[31m"',
]

const ODD_NUMBERS: readonly string[] = [
  '-0',
  '0.0',
  '1e400',
  '-1e400',
  '1e-400',
  '1E+3',
  '4194304',
  '4194305',
  '4294967295',
  '9007199254740993',
  '123456789012345678901234567890',
  '0.1',
]

const nested = (open: string, close: string, depth: number): string =>
  open.repeat(depth) + (open.endsWith(':') ? 'null' : '') + close.repeat(depth)

/** Valid JSON of any shape. */
export const oddValue: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('null', 'true', 'false', '[]', '{}', ...ODD_STRINGS) },
  { weight: 4, arbitrary: fc.constantFrom(...ODD_NUMBERS) },
  { weight: 2, arbitrary: fc.constantFrom(...INHERITED).map(name => JSON.stringify(name)) },
  { weight: 2, arbitrary: fc.json() },
  { weight: 2, arbitrary: fc.string({ unit: 'binary' }).map(text => JSON.stringify(text)) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('a', '/', '€', '../'), fc.integer({ min: 50, max: 5000 }))
      .map(([unit, times]) => JSON.stringify(unit.repeat(times))),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.boolean(), fc.oneof(fc.nat(50), fc.nat(60_000)))
      .map(([list, depth]) => (list ? nested('[', ']', depth + 1) : nested('{"a":', '}', depth))),
  },
)

/** An object from its members' texts: the same key may come more than once, in any order. */
export const objectText = (members: readonly (readonly [key: string, value: string])[]): string =>
  `{${members.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(',')}}`

export const arrayText = (elements: readonly string[]): string => `[${elements.join(',')}]`

type Mutation =
  | { readonly _tag: 'Flip'; readonly at: number; readonly bit: number }
  | { readonly _tag: 'Insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly _tag: 'Remove'; readonly at: number; readonly length: number }
  | { readonly _tag: 'Repeat'; readonly at: number; readonly length: number; readonly times: number }
  | { readonly _tag: 'Cut'; readonly at: number }

/** What makes a difference to a parser of JSON or of UTF-8. */
const TOKENS: readonly Uint8Array[] = [
  ...['[', ']', '{', '}', '"', ',', ':', '\\', '\\u', '\\ud800', 'null', 'e999', '-', '0', '\0', '\u2028'],
  ...['"__proto__":', '"consumer":', '"target":"/x"', '[[[[[[', '\ufeff'],
].map(text => Buffer.from(text))
const BROKEN_UTF8: readonly Uint8Array[] = [
  [0xff],
  [0xc0, 0x80],
  [0xed, 0xa0, 0x80],
  [0xf4, 0x90, 0x80, 0x80],
  [0xe2, 0x82],
].map(bytes => Uint8Array.from(bytes))

const place = fc.nat(4000)

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ _tag: fc.constant('Flip' as const), at: place, bit: fc.nat(7) }),
  fc.record({
    _tag: fc.constant('Insert' as const),
    at: place,
    bytes: fc.constantFrom(...TOKENS, ...BROKEN_UTF8),
  }),
  fc.record({ _tag: fc.constant('Remove' as const), at: place, length: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    _tag: fc.constant('Repeat' as const),
    at: place,
    length: fc.integer({ min: 1, max: 400 }),
    times: fc.integer({ min: 1, max: 50 }),
  }),
  fc.record({ _tag: fc.constant('Cut' as const), at: place }),
)

const apply = (bytes: Uint8Array, change: Mutation): Uint8Array => {
  const at = change.at % (bytes.length + 1)
  const head = bytes.subarray(0, at)
  const tail = bytes.subarray(at)
  switch (change._tag) {
    case 'Flip':
      return Buffer.concat([
        head,
        tail.subarray(0, 1).map(byte => byte ^ (1 << change.bit)),
        tail.subarray(1),
      ])
    case 'Insert':
      return Buffer.concat([head, change.bytes, tail])
    case 'Remove':
      return Buffer.concat([head, tail.subarray(change.length)])
    case 'Repeat':
      return Buffer.concat([
        head,
        ...Array<Uint8Array>(change.times).fill(tail.subarray(0, change.length)),
        tail,
      ])
    case 'Cut':
      return head
  }
}

/** A text with a few of its bytes changed, or none. */
export const mutated = (text: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> =>
  fc.tuple(text, fc.array(mutation, { maxLength: 6 })).map(([bytes, changes]) => changes.reduce(apply, bytes))

const TEXT = 'text:'
const BASE64 = 'base64:'

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

const isBytes = (u: unknown): u is Uint8Array => u instanceof Uint8Array

/** Bytes in a crash file: readable where they are text. */
export const KeptBytes = new t.Type<Uint8Array, string, unknown>(
  'KeptBytes',
  isBytes,
  (u, context) => {
    if (typeof u === 'string' && u.startsWith(TEXT)) return E.right(Buffer.from(u.slice(TEXT.length)))
    if (typeof u === 'string' && u.startsWith(BASE64)) {
      return E.right(Buffer.from(u.slice(BASE64.length), 'base64'))
    }
    return t.failure(u, context)
  },
  bytes => {
    const text = textOf(bytes)
    return text === undefined ? BASE64 + Buffer.from(bytes).toString('base64') : TEXT + text
  },
)
