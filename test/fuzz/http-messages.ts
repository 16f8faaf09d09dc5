/**
 * What a consumer may write on a `rest` link, as text with a character for a byte: mostly requests as they should be, from few
 * words so that they meet, then with the tricks of request smuggling in their lines, and some bytes put wrong at last.
 */
import * as fc from 'fast-check'

const pick = (...texts: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...texts)

const oneOf = (
  ...parts: readonly (readonly [weight: number, texts: fc.Arbitrary<string>])[]
): fc.Arbitrary<string> => fc.oneof(...parts.map(([weight, arbitrary]) => ({ weight, arbitrary })))

const method = oneOf(
  [12, pick('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS')],
  [2, pick('HEAD')],
  [1, pick('BREW', 'get', 'M-SEARCH', 'PURGE', 'CONNECT', 'PRI', 'G(T', '')],
)

const target = oneOf(
  [12, pick('/', '/info', '/a/b?c=d&e', '/%0d%0a', '/x', '//y', '/a:b@c')],
  [2, pick('http://x/info', 'http://x', 'http://x?q', 'http://X:80/', 'http://[::1]/', '*')],
  [
    1,
    pick(
      'http://u@x/',
      'https://x/',
      'x:80',
      'info',
      '/a#b',
      '/\x80',
      '/\0',
      '/a b',
      '',
      'http:///',
      '/\x7f',
      '\\x',
    ),
  ],
)

const version = oneOf(
  [30, pick('HTTP/1.1')],
  [2, pick('HTTP/1.0')],
  [1, pick('HTTP/1.2', 'HTTP/2.0', 'http/1.1', 'HTTP/1.', 'HTTP/11', 'HTTP/1.1 ', 'HTTP/0.9', '')],
)

const start = fc.tuple(method, target, version).map(words => words.join(' '))

const host = oneOf(
  [20, pick('Host: x\r\n')],
  [2, pick('host:x\r\n', 'HOST: \t x \r\n', 'Host: x:80\r\n', 'Host: [::1]\r\n', 'Host:\r\n')],
  [
    1,
    pick(
      '',
      'Host: x\r\nHost: x\r\n',
      'Host: x\r\nhost: y\r\n',
      'Host: x, y\r\n',
      'Host : x\r\n',
      'Host: u@x\r\n',
    ),
  ],
)

const PLAIN = pick(
  ...[
    'Accept: */*',
    'A: 1',
    'A:',
    'a: \t2 ',
    'Cookie: a=1; b=2',
    'User-Agent: curl/8',
    'X-PVC: 1',
    'X-Tmp: 1',
  ],
  ...[
    'B: \x80\xff',
    'C: a\tb',
    'Referer: http://y/?Host:z',
    'Expect: 100-continue',
    'Trailer: X-Sum',
    'D: 5,5',
  ],
)

const CLAIMS = pick(
  ...[
    'X-PV-Client: root',
    'x-pv-role: admin',
    'X_PV_Role: admin',
    'X.PV.Client: root',
    'x~pv~role:admin',
    'X-PV-: 1',
  ],
)

// `close` in Proxy-Connection, which no RFC knows, ends the connection for Node. We drop that field.
const HOPS = pick(
  ...[
    'Connection: keep-alive',
    'Connection: close',
    'Connection: X-PV-Client',
    'Connection: x-tmp, A',
    'Keep-Alive: 5',
  ],
  ...[
    'Connection: TE',
    'TE: trailers',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Upgrade: h2c, x',
    'Connection:',
  ],
  ...['Proxy-Connection: x', 'HTTP2-Settings: AA', 'Connection: upgrade, close', 'connection: ,a,,'],
)

const TRICKS = pick(
  ...[
    'X-PV-Role : admin',
    ' X-PV-Role: admin',
    '\tA: 1',
    'A 1',
    ': 1',
    'A\0: 1',
    'A: \0',
    'A: 1\rX-PV-Role: admin',
    'A: \x7f',
  ],
  ...[
    'A: 1\nX-PV-Role: admin',
    'A: 1\r\n\tB',
    'Content_Length: 3',
    'Transfer_Encoding: chunked',
    'Connection: host',
  ],
  ...[
    'Connection: transfer-encoding',
    'Connection: a b',
    'Expect: jam',
    'X-PV\xa0Role: admin',
    'Content-Length: 3',
  ],
  ...[
    'Transfer-Encoding: chunked',
    'A: 1\r',
    '\x0bA: 1',
    'A: \x0b',
    '',
    'Content-Length : 3',
    'Transfer-Encoding\t: chunked',
  ],
)

const fields = fc
  .array(oneOf([10, PLAIN], [4, CLAIMS], [4, HOPS], [1, TRICKS]), { maxLength: 5 })
  .map(lines => lines.map(line => `${line}\r\n`).join(''))

/** May hold what looks like a request, or like the end of a body. */
const data = oneOf(
  [6, pick('', 'x', 'wifi', 'hello world', '0\r\n\r\n', '\r\n')],
  [2, pick('GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n', 'X-PV-Client: root\r\n\r\n')],
  [1, fc.string({ unit: fc.nat(255).map(code => String.fromCharCode(code)), maxLength: 40 })],
)

const extension = oneOf(
  [12, pick('')],
  [3, pick(';a', ';a=b', ';a="b"', ';a="b;c"', ' ; a', ';a="\\""', ';a;b=c')],
  [1, pick(';', ';a=', ' ', ';a=\x00', ';a="', ';a\n', ';a\rb', ' x', ';a=b=c', ';a="b"c')],
)

const hex = (text: string): string => text.length.toString(16)

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
const framed = oneOf(
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
          ...[
            'Content-Length: 3, 3',
            'Content-Length: +3',
            'Content-Length: 03',
            'Content-Length: 3\r\nContent-Length: 3',
          ],
          ...[
            'Content-Length: 3\r\nContent-Length: 5',
            'Content-Length: ',
            'Content-Length: 3x',
            'Content-Length: -1',
          ],
          ...[
            'Content-Length: 18446744073709551619',
            'Content-Length: 0x3',
            'Content-Length: 3\x0b',
            'Content-Length:\x0c3',
          ],
          ...[
            'Transfer-Encoding: chunked, identity',
            'Transfer-Encoding: identity',
            'Transfer-Encoding: xchunked',
          ],
          ...[
            'Transfer-Encoding: chunked, chunked',
            'Transfer-Encoding: gzip, chunked',
            'Transfer-Encoding: "chunked"',
          ],
          ...[
            'Transfer-Encoding: chunked;a',
            'Transfer-Encoding:\x0bchunked',
            'Transfer-Encoding: chunked\r\n x',
          ],
          ...[
            'Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked',
            'Transfer-Encoding: ,chunked',
            'Transfer-Encoding: chunke',
          ],
          ...[
            'Transfer-Encoding :chunked',
            ' Transfer-Encoding: chunked',
            'X: 1\nTransfer-Encoding: chunked',
          ],
        ),
        oneOf([1, chunks], [1, data]),
      )
      .map(([field, body]) => `${field}\r\n\r\n${body}`),
  ],
)

const before = oneOf(
  [25, pick('')],
  [2, pick('\r\n', '\r\n\r\n')],
  [1, pick('\n', '\r\n\r\n\r\n', ' ', '\r', '\0')],
)

const request = fc.tuple(before, start, pick('\r\n'), host, fields, framed).map(parts => parts.join(''))

/** Requests that nobody should find fault with, with bodies of all kinds. */
export const validRequest: fc.Arbitrary<string> = fc
  .tuple(
    pick('GET', 'POST', 'PUT', 'BREW', 'OPTIONS', 'HEAD'),
    pick('/', '/info', '/a?b', 'http://x/'),
    fc.constant(' HTTP/1.1\r\nHost: x\r\n'),
    fc
      .array(
        oneOf(
          [8, PLAIN.filter(line => !line.startsWith('Expect'))],
          [4, CLAIMS],
          [
            2,
            pick(
              'Connection: keep-alive',
              'Connection: X-PV-Client, x-tmp',
              'Connection: TE',
              'TE: trailers',
              'Keep-Alive: 5',
            ),
          ],
        ),
        { maxLength: 5 },
      )
      .map(lines => lines.map(line => `${line}\r\n`).join('')),
    oneOf(
      [3, pick('\r\n', 'Content-Length: 0\r\n\r\n')],
      [2, data.map(text => `Content-Length: ${text.length}\r\n\r\n${text}`)],
      [
        2,
        fc
          .tuple(
            fc.array(
              fc
                .tuple(data, pick('', ';a', ';a="b;c"', ' ; a=b'))
                .map(([text, more]) => (text === '' ? '' : `${hex(text)}${more}\r\n${text}\r\n`)),
              { maxLength: 3 },
            ),
            pick(
              '0\r\n\r\n',
              '000;x\r\n\r\n',
              '0\r\nX-Sum: 9\r\n\r\n',
              '0\r\nX-PV-Role: admin\r\nB: 1\r\n\r\n',
            ),
          )
          .map(([some, end]) => `Transfer-Encoding: chunked\r\n\r\n${some.join('')}${end}`),
      ],
    ),
  )
  .map(([verb, where, ...rest]) => `${verb} ${where}${rest.join('')}`)

interface Mutation {
  /** Of 10 000. */
  readonly at: number
  readonly removes: number
  readonly inserts: string
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.nat(9999),
  removes: fc.constantFrom(0, 0, 1, 2, 20),
  inserts: oneOf(
    [
      6,
      pick(
        '',
        '\r',
        '\n',
        '\r\n',
        ' ',
        '\t',
        ':',
        '\0',
        ',',
        ';',
        '0',
        '1',
        'a',
        '"',
        '\x7f',
        '\x80',
        '\x0b',
        '\r\n\r\n',
      ),
    ],
    [
      2,
      pick(
        '\r\nX-PV-Role: admin',
        '\nContent-Length: 3\r\n',
        'Transfer-Encoding: chunked\r\n',
        '\r\nHost: y',
        '\r\n folded',
      ),
    ],
    [1, pick('GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n', '0\r\n\r\n')],
  ),
})

const mutate = (text: string, { at, removes, inserts }: Mutation): string => {
  const place = Math.floor((at * text.length) / 10_000)
  return text.slice(0, place) + inserts + text.slice(place + removes)
}

/** One to three requests in a row; nearly half of these inputs are as they should be. */
export const requests: fc.Arbitrary<string> = fc
  .tuple(
    fc.oneof(
      { weight: 2, arbitrary: fc.array(validRequest, { minLength: 1, maxLength: 3 }) },
      { weight: 3, arbitrary: fc.array(request, { minLength: 1, maxLength: 3 }) },
    ),
    fc.oneof(
      { weight: 5, arbitrary: fc.constant([]) },
      { weight: 2, arbitrary: fc.array(mutation, { minLength: 1, maxLength: 2 }) },
    ),
  )
  .map(([messages, mutations]) => mutations.reduce(mutate, messages.join('')))
