/** Bodies, counted and chunked, with the fields that frame them: mostly right, else wrong in the ways of request smuggling. */
import * as fc from 'fast-check'
import { oneOf, pick } from './words.ts'

/** May hold what looks like a request, or like the end of a body. */
export const data = oneOf(
  [6, pick('', 'x', 'wifi', 'hello world', '0\r\n\r\n', '\r\n')],
  [2, pick('GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n', 'X-PV-Client: root\r\n\r\n')],
  [1, fc.string({ unit: fc.nat(255).map(code => String.fromCharCode(code)), maxLength: 40 })],
)

const extension = oneOf(
  [12, pick('')],
  [3, pick(';a', ';a=b', ';a="b"', ';a="b;c"', ' ; a', ';a="\\""', ';a;b=c')],
  [1, pick(';', ';a=', ' ', ';a=\x00', ';a="', ';a\n', ';a\rb', ' x', ';a=b=c', ';a="b"c')],
)

export const hex = (text: string): string => text.length.toString(16)

const size = (of: string): fc.Arbitrary<string> =>
  oneOf(
    [20, fc.constant(hex(of))],
    [4, fc.constantFrom(`0${hex(of)}`, hex(of).toUpperCase(), `000000000000000${hex(of)}`.slice(-16))],
    [
      1,
      fc.constantFrom(
        `0x${hex(of)}`,
        `+${hex(of)}`,
        ` ${hex(of)}`,
        `${hex(of)} `,
        `${hex(of)}_`,
        '',
        `1${hex(of)}`,
        'ffffffffffffffff',
        `00000000000000000${hex(of)}`,
      ),
    ],
  )

const END = oneOf([30, pick('\r\n')], [1, pick('\n', '\r', '', '\n\n', '\r\r\n', '\r\n\r\n')])

const chunk = data
  .filter(text => text !== '')
  .chain(text => fc.tuple(size(text), extension, END, fc.constant(text), END))
  .map(parts => parts.join(''))

const trailer = oneOf(
  [12, pick('')],
  [3, pick('X-Sum: 9\r\n', 'X-PV-Role: admin\r\n', 'A: 1\r\nB:\r\n', 'x_pv_client: root\r\n')],
  [
    1,
    pick(
      'Content-Length: 3\r\n',
      'Host: y\r\n',
      'A : 1\r\n',
      ' A: 1\r\n',
      'A: 1\n',
      'A\r\n',
      'A: \0\r\n',
      'Transfer-Encoding: chunked\r\n',
    ),
  ],
)

const last = fc
  .tuple(
    oneOf([20, pick('0')], [2, pick('000', '0000000000000000')], [1, pick('', '0x0', '-0')]),
    extension,
    END,
    trailer,
    END,
  )
  .map(parts => parts.join(''))

const chunks = fc.tuple(fc.array(chunk, { maxLength: 3 }), last).map(([some, end]) => some.join('') + end)

/** Fields that frame a body, the end of the head, and the body. */
export const framed = oneOf(
  [10, pick('\r\n')],
  [8, data.map(text => `Content-Length: ${text.length}\r\n\r\n${text}`)],
  [8, chunks.map(text => `Transfer-Encoding: chunked\r\n\r\n${text}`)],
  [1, chunks.map(text => `transfer-encoding:\tChunked \r\n\r\n${text}`)],
  [1, chunks.map(text => `Content-Length: ${text.length}\r\nTransfer-Encoding: chunked\r\n\r\n${text}`)],
  [
    2,
    fc
      .tuple(
        pick(
          'Content-Length: 3, 3',
          'Content-Length: +3',
          'Content-Length: 03',
          'Content-Length: 3\r\nContent-Length: 3',
          'Content-Length: 3\r\nContent-Length: 5',
          'Content-Length: ',
          'Content-Length: 3x',
          'Content-Length: -1',
          'Content-Length: 18446744073709551619',
          'Content-Length: 0x3',
          'Content-Length: 3\x0b',
          'Content-Length:\x0c3',
          'Transfer-Encoding: chunked, identity',
          'Transfer-Encoding: identity',
          'Transfer-Encoding: xchunked',
          'Transfer-Encoding: chunked, chunked',
          'Transfer-Encoding: gzip, chunked',
          'Transfer-Encoding: "chunked"',
          'Transfer-Encoding: chunked;a',
          'Transfer-Encoding:\x0bchunked',
          'Transfer-Encoding: chunked\r\n x',
          'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked',
          'Transfer-Encoding: ,chunked',
          'Transfer-Encoding: chunke',
          'Transfer-Encoding :chunked',
          ' Transfer-Encoding: chunked',
          'X: 1\nTransfer-Encoding: chunked',
        ),
        oneOf([1, chunks], [1, data]),
      )
      .map(([field, body]) => `${field}\r\n\r\n${body}`),
  ],
)
