/**
 * What a consumer may write on a `rest` link, as text with a character for a byte: mostly requests as they should be, from few
 * words so that they meet, then with the tricks of request smuggling in their lines, and some bytes put wrong at last.
 */
import * as fc from 'fast-check'
import { data, framed, hex } from './http-bodies.ts'
import { CLAIMS, fields, host, PLAIN } from './http-fields.ts'
import { oneOf, pick } from './words.ts'

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
