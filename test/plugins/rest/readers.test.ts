/** The readers that a rest session is made of, each by itself: lines, names, values, chunks, offers. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ChunkLine } from '../../../plugins/rest/chunk-line.ts'
import { excerptOf } from '../../../plugins/rest/excerpt.ts'
import { fieldNameAt } from '../../../plugins/rest/field-names.ts'
import { HTTP2_ANSWER } from '../../../plugins/rest/http2.ts'
import { LineReader } from '../../../plugins/rest/lines.ts'
import { Offers } from '../../../plugins/rest/upgrade.ts'
import {
  contentLengthOf,
  endsInChunked,
  isHost,
  ListReader,
  transferCodingOf,
} from '../../../plugins/rest/values.ts'
import { wire } from '../../support/rest-stage.ts'

/** Run a reader that takes a stretch of a view, in the middle of other bytes. */
const within = <A>(read: (view: Buffer, start: number, end: number) => A, text: string): A => {
  const view = wire(`:-${text}⏎,`)
  return read(view, 2, view.length - 3)
}

describe('lines', () => {
  /** What is found of the text, which comes in these pieces. */
  const found = (text: string, piece: number, mostBytes = 10): readonly string[] => {
    const all = wire(text)
    const lines = new LineReader()
    const seen: string[] = []
    for (let length = Math.min(piece, all.length); ; length = Math.min(length + piece, all.length)) {
      for (;;) {
        const line = lines.next(all.subarray(0, length), mostBytes)
        if (line === 'more') break
        if (line !== 'line') return [...seen, line]
        const text = all.toString('latin1', lines.start, lines.end)
        seen.push(lines.hasControl ? `${text} (control)` : text)
      }
      if (length === all.length) return seen
    }
  }

  const CASES: readonly (readonly [string, readonly string[]])[] = [
    ['one⏎⏎three⏎', ['one', '', 'three']],
    ['one⏎unfinished', ['one']],
    ['a\tb⏎\xff⏎', ['a\tb', '\xff']],
    ['a\0b⏎\x7f⏎c⏎', ['a\0b (control)', '\x7f (control)', 'c']],
    ['a\n', ['stray']],
    ['one⏎a\rb⏎', ['one', 'stray']],
    ['\r\r\n', ['stray']],
    ['0123456789⏎', ['0123456789']],
    ['0123456789a', ['too-long']],
    // In the order of the bytes.
    ['0123456789a\n', ['too-long']],
    ['012345678\na', ['stray']],
  ]
  for (const [text, expected] of CASES) {
    test(`of ${JSON.stringify(text)} are ${JSON.stringify(expected)}, whatever the pieces`, () => {
      for (let piece = 1; piece <= text.length + 2; piece += 1) {
        assert.deepEqual(found(text, piece), expected, `in pieces of ${piece}`)
      }
    })
  }
})

describe('field names', () => {
  const NAMES: readonly (readonly [string, string])[] = [
    ['Host', 'host'],
    ['hOST', 'host'],
    ['TE', 'te'],
    ['content-LENGTH', 'content-length'],
    ['Content_Length', 'lookAlike'],
    ['content.length', 'lookAlike'],
    ['Transfer~Encoding', 'lookAlike'],
    ['transfer-encoding', 'transfer-encoding'],
    ['Transfer-Encodings', 'other'],
    ['contentzlength', 'other'],
    ['X-PV-Client', 'reserved'],
    ['x_pv.anything', 'reserved'],
    ['X-PV-', 'reserved'],
    // As long as names that are known.
    ['X|PV|a', 'reserved'],
    ['x-pv-12345678', 'reserved'],
    ['X-PV', 'other'],
    ['X-PVC', 'other'],
    ['XX-PV-Role', 'other'],
    ['x0pv-role', 'other'],
    ['Connection', 'connection'],
    ['Keep-Alive', 'keep-alive'],
    ['Accept', 'other'],
    ['a', 'other'],
  ]
  for (const [name, expected] of NAMES) {
    test(`${name} is ${expected}`, () => assert.equal(within(fieldNameAt, name), expected))
  }
})

describe('values', () => {
  const LENGTHS: readonly (readonly [string, number])[] = [
    ['0', 0],
    ['17', 17],
    ['007', 7],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ['9007199254740992', -1],
    ['9'.repeat(400), -1],
    ['', -1],
    ['+5', -1],
    ['-0', -1],
    ['5 ', -1],
    ['5,5', -1],
    ['0x5', -1],
    ['٣', -1],
  ]
  for (const [text, expected] of LENGTHS) {
    test(`a length of '${text.slice(0, 20)}' is ${expected}`, () =>
      assert.equal(within(contentLengthOf, text), expected))
  }

  const CODINGS: readonly (readonly [string, string, boolean])[] = [
    ['chunked', 'chunked', true],
    ['CHUNKED', 'chunked', true],
    ['gzip, chunked', 'others', true],
    ['gzip ,\tbr,chunked', 'others', true],
    ['gzip', 'invalid', false],
    ['chunked, gzip', 'invalid', false],
    ['chunked, chunked', 'invalid', true],
    ['chunked,', 'invalid', false],
    [', chunked', 'invalid', true],
    ['gzip;q=1, chunked', 'invalid', true],
    ['"chunked"', 'invalid', false],
    ['xchunked', 'invalid', false],
    ['', 'invalid', false],
  ]
  for (const [text, asRequested, endsResponse] of CODINGS) {
    test(`a coding of '${text}' is ${asRequested} in a request, and ${endsResponse ? 'ends' : 'does not end'} in chunks`, () => {
      assert.equal(within(transferCodingOf, text), asRequested)
      assert.equal(within(endsInChunked, text), endsResponse)
    })
  }

  const HOSTS: readonly (readonly [string, boolean])[] = [
    ['', true],
    ['x', true],
    ['x:', true],
    ['x:80', true],
    ['a-b.c_d~e%20', true],
    ['[::1]', true],
    ['[::1]:8080', true],
    ['[fe80::1%25eth0]', true],
    ['x:8a', false],
    ['x:80:80', false],
    ['a b', false],
    ['user@x', false],
    ['x/y', false],
    ['[::1', false],
    ['[]', false],
    ['[::1]x', false],
    ['::1', false],
    ['\xe4', false],
  ]
  for (const [text, expected] of HOSTS) {
    test(`'${text}' is ${expected ? 'a' : 'no'} host`, () => assert.equal(within(isHost, text), expected))
  }

  test('a list gives its elements without blanks, empty ones too', () => {
    const elements = (text: string): readonly string[] =>
      within((view, start, end) => {
        const list = new ListReader()
        const seen: string[] = []
        list.begin(start, end)
        while (list.next(view)) seen.push(view.toString('latin1', list.start, list.end))
        return seen
      }, text)
    assert.deepEqual(elements('a, b\t,c d'), ['a', 'b', 'c d'])
    assert.deepEqual(elements(',a,'), ['', 'a', ''])
    assert.deepEqual(elements(''), [''])
  })
})

describe('the line of a chunk', () => {
  const LINES: readonly (readonly [string, number | undefined])[] = [
    ['0', 0],
    ['1A', 26],
    ['00000000000000ff', 255],
    ['1fffffffffffff', Number.MAX_SAFE_INTEGER],
    ['5;a', 5],
    ['5;a=b;c="d;\\"e"', 5],
    ['5 ; a = b', 5],
    ['20000000000000', undefined],
    ['00000000000000000', undefined],
    ['', undefined],
    [';a', undefined],
    ['5 ', undefined],
    [' 5', undefined],
    ['0x5', undefined],
    ['+5', undefined],
    ['1_0', undefined],
    ['5;', undefined],
    ['5;a=', undefined],
    ['5;=b', undefined],
    ['5;a="b', undefined],
    ['5;a="b"c', undefined],
    ['5;a="b\\', undefined],
    ['5;a b', undefined],
    ['5 a', undefined],
  ]
  for (const [text, expected] of LINES) {
    test(`'${text}' says ${expected ?? 'nothing'}`, () => {
      const chunk = new ChunkLine()
      const isGood = within((view, start, end) => chunk.read(view, start, end), text)
      assert.equal(isGood ? chunk.size : undefined, expected)
    })
  }
})

describe('offers of other protocols', () => {
  const offersOf = (text: string): Offers => {
    const offers = new Offers()
    within((view, start, end) => offers.add(view, start, end), text)
    return offers
  }
  const field = (offers: Offers): string => Buffer.concat(offers.field).toString('latin1').trimEnd()

  test('are passed on in their order and spelling, but for those that lead back to HTTP', () => {
    const offers = offersOf('WebSocket/13, h2c,HTTP/2.0 , TLS/1.0,h2, foo')
    assert.equal(field(offers), 'Upgrade: WebSocket/13, foo')
    assert.equal(offers.filtered, true)
  })

  test('are none where none may be made', () => {
    for (const text of ['h2c', 'H2C/1', 'http/1.1', 'tls', 'a b', 'a/', '/b', 'a/b/c', ''])
      assert.equal(offersOf(text).none, true, text)
  })

  test('are bounded', () =>
    assert.equal(
      field(offersOf(Array.from({ length: 100 }, (_, at) => `p${at}`).join())).split(',').length,
      16,
    ))

  test('are what may be switched to, in any case, and nothing else', () => {
    const offers = offersOf('WebSocket, foo/2')
    const includes = (text: string): boolean =>
      within((view, start, end) => offers.include(view, start, end), text)
    for (const text of ['websocket', 'FOO/2', 'foo/2, websocket']) assert.equal(includes(text), true, text)
    for (const text of ['', 'foo', 'foo/3', 'websocket, h2c', 'web'])
      assert.equal(includes(text), false, text)
  })
})

test('an excerpt ends with its line, is short, and shows what cannot be seen', () => {
  assert.equal(excerptOf(wire('a\0\\\xe4\n"⏎b'), 0), 'a\\x00\\x5c\\xe4\\x0a"')
  assert.equal(excerptOf(wire(`skipped${'x'.repeat(100)}`), 7), 'x'.repeat(64))
  assert.equal(excerptOf(wire(''), 0), '')
})

test('HTTP/2 is answered with an empty SETTINGS frame, and a GOAWAY that says why', () => {
  const answer = Buffer.concat(HTTP2_ANSWER)
  assert.equal(answer.subarray(0, 9).toString('hex'), '000000040000000000')
  const goaway = answer.subarray(9)
  const length = goaway.readUIntBE(0, 3)
  assert.deepEqual([goaway[3], goaway[4], goaway.readUInt32BE(5)], [7, 0, 0])
  assert.equal(goaway.length, 9 + length)
  assert.deepEqual([goaway.readUInt32BE(9), goaway.readUInt32BE(13)], [0, 0xd])
  assert.match(goaway.toString('latin1', 17), /use HTTP\/1\.1, or a unix link for gRPC$/)
})
