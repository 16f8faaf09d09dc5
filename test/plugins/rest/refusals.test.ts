/** What is refused of a request's head, and how: status, reason, the whole answer, and that no provider hears of it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { IDENTITY, RestStage, refusal, response } from '../../support/rest-stage.ts'

type Refused = readonly [what: string, sent: string, status: number, reason: string]

const GET = 'GET /info HTTP/1.1⏎'
const POST = 'POST /info HTTP/1.1⏎'
const H = 'Host: x⏎'

const get = (fields: string): string => `${GET}${H}${fields}⏎`
const post = (fields: string): string => `${POST}${H}${fields}⏎`
const withHost = (value: string): string => `${GET}Host: ${value}⏎⏎`
const times = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('')

const LINES: readonly Refused[] = [
  ['a bare LF after the request line', `GET /info HTTP/1.1\n${H}⏎`, 400, 'bare-cr-or-lf'],
  ['a bare LF between two fields', `${GET}${H}A: 1\nB: 2⏎⏎`, 400, 'bare-cr-or-lf'],
  ['a bare LF as the empty line', `${GET}${H}\n`, 400, 'bare-cr-or-lf'],
  ['a bare LF before the request line', `\n${get('')}`, 400, 'bare-cr-or-lf'],
  ['bare LFs only', 'GET /info HTTP/1.1\nHost: x\n\n', 400, 'bare-cr-or-lf'],
  ['a bare CR in a value', `${GET}${H}A: 1\rB: 2⏎⏎`, 400, 'bare-cr-or-lf'],
  ['a bare CR in the target', `GET /in\rfo HTTP/1.1⏎${H}⏎`, 400, 'bare-cr-or-lf'],
  ['two CRs before a LF', `GET /info HTTP/1.1\r\r\n${H}⏎`, 400, 'bare-cr-or-lf'],
  ['a bare CR before the request line', `\r${get('')}`, 400, 'bare-cr-or-lf'],
  ['three empty lines before the request line', `⏎⏎⏎${get('')}`, 400, 'empty-lines'],
]

const REQUEST_LINES: readonly Refused[] = [
  ['HTTP/0.9', 'GET /info⏎⏎', 400, 'request-line'],
  ['a method alone', 'GET⏎⏎', 400, 'request-line'],
  ['two spaces after the method', `GET  /info HTTP/1.1⏎${H}⏎`, 400, 'request-line'],
  ['two spaces before the version', `GET /info  HTTP/1.1⏎${H}⏎`, 400, 'request-line'],
  ['a space in the target', `GET /in fo HTTP/1.1⏎${H}⏎`, 400, 'request-line'],
  ['a space after the version', `GET /info HTTP/1.1 ⏎${H}⏎`, 400, 'request-line'],
  ['a tab instead of a space', `GET\t/info HTTP/1.1⏎${H}⏎`, 400, 'request-line'],
  ['a method that is no token', `GE(T /info HTTP/1.1⏎${H}⏎`, 400, 'method'],
  ['a method with a byte above ASCII', `G\xc9T /info HTTP/1.1⏎${H}⏎`, 400, 'method'],
  ['a method of 33 bytes', `${'M'.repeat(33)} /info HTTP/1.1⏎${H}⏎`, 501, 'method'],
  ['CONNECT', `CONNECT x:1 HTTP/1.1⏎${H}⏎`, 501, 'connect'],
  ['HTTP in lower case', `GET /info http/1.1⏎${H}⏎`, 400, 'version'],
  ['a version of one digit', `GET /info HTTP/1⏎${H}⏎`, 400, 'version'],
  ['a version of three digits', `GET /info HTTP/1.10⏎${H}⏎`, 400, 'version'],
  ['another protocol', `GET /info ICAP/1.0⏎${H}⏎`, 400, 'version'],
  ['HTTP/1.2', `GET /info HTTP/1.2⏎${H}⏎`, 505, 'version'],
  ['HTTP/2.0', `GET /info HTTP/2.0⏎${H}⏎`, 505, 'version'],
  ['HTTP/3.0', `GET /info HTTP/3.0⏎${H}⏎`, 505, 'version'],
  ['HTTP/0.9 that says so', `GET /info HTTP/0.9⏎${H}⏎`, 505, 'version'],
  ['NUL in the target', `GET /in\0fo HTTP/1.1⏎${H}⏎`, 400, 'target'],
  ['DEL in the target', `GET /in\x7ffo HTTP/1.1⏎${H}⏎`, 400, 'target'],
  ['a byte above ASCII in the target', `GET /in\xe9fo HTTP/1.1⏎${H}⏎`, 400, 'target'],
  ['a fragment in the target', `GET /info#top HTTP/1.1⏎${H}⏎`, 400, 'target'],
  ['a target without a slash', `GET info HTTP/1.1⏎${H}⏎`, 400, 'target'],
  ['a target of another scheme', `GET https://x/info HTTP/1.1⏎${H}⏎`, 400, 'target'],
  ['a user in the target', `GET http://u@x/info HTTP/1.1⏎${H}⏎`, 400, 'target'],
  ['an authority alone as the target', `GET x:80 HTTP/1.1⏎${H}⏎`, 400, 'target'],
  ['an asterisk for anything but OPTIONS', `POST * HTTP/1.1⏎${H}⏎`, 400, 'target'],
  ['an asterisk with more behind it', `OPTIONS */info HTTP/1.1⏎${H}⏎`, 400, 'target'],
  ['an absolute target of another host', `GET http://x/info HTTP/1.1⏎Host: y⏎⏎`, 400, 'host-mismatch'],
  ['an absolute target of another port', `GET http://x:80/info HTTP/1.1⏎${H}⏎`, 400, 'host-mismatch'],
]

const FIELDS: readonly Refused[] = [
  ['a line without a colon', get('Nothing⏎'), 400, 'field-name'],
  ['an empty name', get(': 1⏎'), 400, 'field-name'],
  ['a blank before the colon', get('A : 1⏎'), 400, 'field-name'],
  ['a tab before the colon', get('A\t: 1⏎'), 400, 'field-name'],
  ['a blank before the colon of an identity', get('X-PV-Role : admin⏎'), 400, 'field-name'],
  ['a blank in a name', get('A B: 1⏎'), 400, 'field-name'],
  ['a byte above ASCII in a name', get('X-PV\xa0Role: admin⏎'), 400, 'field-name'],
  ['NUL in a name', get('A\0: 1⏎'), 400, 'field-name'],
  ['a separator in a name', get('A(B): 1⏎'), 400, 'field-name'],
  ['a folded line', get('A: 1⏎ X-PV-Role: admin⏎'), 400, 'obs-fold'],
  ['a line folded with a tab', get('A: 1⏎\tB⏎'), 400, 'obs-fold'],
  ['a first field behind a blank', `${GET} ${H}⏎`, 400, 'obs-fold'],
  ['NUL in a value', get('A: x\0y⏎'), 400, 'field-value'],
  ['a control in a value', get('A: x\x01y⏎'), 400, 'field-value'],
  ['an escape in a value', get('A: \x1b[2J⏎'), 400, 'field-value'],
  ['DEL in a value', get('A: x\x7fy⏎'), 400, 'field-value'],
  ['HTTP/1.1 without Host', `${GET}⏎`, 400, 'host'],
  ['two Hosts, the same', `${GET}${H}${H}⏎`, 400, 'host'],
  ['two Hosts on HTTP/1.0', `GET /info HTTP/1.0⏎${H}host: y⏎⏎`, 400, 'host'],
  ['a path as Host', withHost('x/y'), 400, 'host'],
  ['a user in Host', withHost('u@x'), 400, 'host'],
  ['a blank in Host', withHost('x y'), 400, 'host'],
  ['a list as Host', withHost('x, y z'), 400, 'host'],
  ['a port that is no number', withHost('x:8a'), 400, 'host'],
  ['two ports', withHost('x:1:2'), 400, 'host'],
  ['an open bracket in Host', withHost('[::1'), 400, 'host'],
  ['bytes above ASCII in Host', withHost('\xe9'), 400, 'host'],
]

const FRAMING: readonly Refused[] = [
  ['both a coding and a length', post('Content-Length: 5⏎Transfer-Encoding: chunked⏎'), 400, 'te-and-cl'],
  ['both a length and a coding', post('Transfer-Encoding: chunked⏎Content-Length: 0⏎'), 400, 'te-and-cl'],
  ['two lengths', post('Content-Length: 5⏎Content-Length: 6⏎'), 400, 'repeated-framing-field'],
  ['the same length twice', post('Content-Length: 5⏎content-length: 5⏎'), 400, 'repeated-framing-field'],
  [
    'two codings',
    post('Transfer-Encoding: chunked⏎Transfer-Encoding: chunked⏎'),
    400,
    'repeated-framing-field',
  ],
  [
    'two codings that make a list',
    post('Transfer-Encoding: br⏎Transfer-Encoding: chunked⏎'),
    400,
    'repeated-framing-field',
  ],
  ...[
    ...['5,5', '5, 5', '+5', '-5', '05', '00', '5x', '0x5', '5.0', '5 5', '1e3', '"5"', '', ' '],
    ...['9007199254740992', '99999999999999999', '18446744073709551621'],
  ].map(
    (value): Refused => [`a length of '${value}'`, post(`Content-Length: ${value}⏎`), 400, 'content-length'],
  ),
  // Legal, but part of the value to some parsers, Node's among them.
  ['a tab behind a length', post('Content-Length: 5 \t⏎'), 400, 'content-length'],
  ['a tab behind a coding', post('Transfer-Encoding: chunked\t⏎'), 400, 'transfer-encoding'],
  ['a coding on HTTP/1.0', `POST /info HTTP/1.0⏎${H}Transfer-Encoding: chunked⏎⏎`, 400, 'te-in-http-1.0'],
  ...['br, chunked', 'gzip,chunked', 'br, gzip, Chunked'].map(
    (value): Refused => [`codings '${value}'`, post(`Transfer-Encoding: ${value}⏎`), 501, 'transfer-coding'],
  ),
  ...[
    ...[
      'chunked, br',
      'identity',
      'br',
      '',
      'xchunked',
      'chunked, chunked',
      'chunked,',
      ',chunked',
      'br,, chunked',
    ],
    ...['chunked;q=1', '"chunked"', 'chunked x', 'chun ked', 'chunked, identity'],
  ].map(
    (value): Refused => [
      `codings '${value}'`,
      post(`Transfer-Encoding: ${value}⏎`),
      400,
      'transfer-encoding',
    ],
  ),
  ...['Content_Length', 'Content.Length', 'CONTENT~LENGTH'].map(
    (name): Refused => [`a field ${name}`, post(`${name}: 4⏎`), 400, 'framing-look-alike'],
  ),
  ...['Transfer_Encoding', 'Transfer.Encoding', 'transfer!encoding'].map(
    (name): Refused => [`a field ${name}`, post(`${name}: chunked⏎`), 400, 'framing-look-alike'],
  ),
  ...['Content-Length', 'transfer-encoding', 'close, Host'].map(
    (value): Refused => [`a Connection that names ${value}`, get(`Connection: ${value}⏎`), 400, 'connection'],
  ),
  ['a Connection that is no list of tokens', get('Connection: close x⏎'), 400, 'connection'],
  ['a Connection with a quoted word', get('Connection: "close"⏎'), 400, 'connection'],
  ['another expectation', get('Expect: jam⏎'), 417, 'expect'],
  ['two expectations in a line', get('Expect: 100-continue, jam⏎'), 417, 'expect'],
  ['two lines of expectations', get('Expect: 100-continue⏎Expect: 100-continue⏎'), 417, 'expect'],
]

const SIZES: readonly Refused[] = [
  ['a target of 9000 bytes', `GET /${'x'.repeat(8999)} HTTP/1.1⏎${H}⏎`, 414, 'request-line-too-long'],
  ['a request line without an end', `GET /${'x'.repeat(9000)}`, 414, 'request-line-too-long'],
  ['a method without an end', 'M'.repeat(9000), 414, 'request-line-too-long'],
  ['one field of 20 KiB', get(`A: ${'x'.repeat(20 * 1024)}⏎`), 431, 'head-too-large'],
  ['a field without an end', `${GET}${H}A: ${'x'.repeat(20 * 1024)}`, 431, 'head-too-large'],
  [
    'three fields of 12 KiB',
    get(times(3, index => `A${index}: ${'x'.repeat(12 * 1024)}⏎`)),
    431,
    'head-too-large',
  ],
  ['129 fields', get(times(128, index => `A${index}: 1⏎`)), 431, 'head-too-large'],
  [
    'a head without an end',
    `${GET}${times(500, index => `A${index}: ${'x'.repeat(80)}⏎`)}`,
    431,
    'head-too-large',
  ],
]

const isRefused = (stage: RestStage, status: number, reason: string): void => {
  assert.equal(stage.toConsumer, refusal(status, reason))
  assert.equal(stage.closing, 'linger')
  assert.equal(stage.counted('errors', { status, reason }), 1)
  assert.equal(stage.counted('errors'), 1)
  const facts = stage.reports.map(report => report.facts)
  assert.deepEqual(
    facts.map(fact => [fact['status'], fact['reason']]),
    [[status, reason]],
  )
  // At most 64 bytes of what was wrong, each of which may have to be escaped.
  const said = facts.flatMap(fact => Object.values(fact)).map(String)
  assert.ok(
    said.every(text => /^[ -~]{0,260}$/.test(text)),
    said.join(),
  )
}

const suite = (title: string, rows: readonly Refused[]): void => {
  describe(title, () => {
    for (const [what, sent, status, reason] of rows) {
      test(`${what} is refused with ${status} ${reason}, and no provider is asked`, () => {
        const stage = new RestStage().consumerSays(sent)
        isRefused(stage, status, reason)
        assert.equal(stage.dials, 0)
      })

      test(`${what} is refused byte by byte too, and after a request that was served`, () => {
        const stage = new RestStage().consumerSays(`GET /first HTTP/1.1⏎${H}⏎`).providerSays(response('ok'))
        const [before, told] = [stage.toProvider, stage.toConsumer]
        const step = sent.length > 5000 ? 100 : 1
        const bytes = sent.replaceAll('⏎', '\r\n')
        for (let at = 0; at < bytes.length; at += step) stage.consumerSays(bytes.slice(at, at + step))
        assert.equal(stage.toConsumer, told + refusal(status, reason))
        assert.equal(stage.toProvider, before)
        assert.equal(stage.closing, 'linger')
      })
    }
  })
}

suite('the lines of a head', LINES)
suite('a request line', REQUEST_LINES)
suite('fields', FIELDS)
suite('framing', FRAMING)
suite('sizes', SIZES)

describe('a head that does not come to its end', () => {
  for (const sent of ['G', 'GET /info HTTP/1.1⏎', `${GET}${H}A: 1⏎`, `${GET}${H}\r`]) {
    test(`the end of the stream after '${sent.slice(-9)}' is refused with 400 incomplete`, () => {
      const stage = new RestStage().consumerSays(sent).ends('consumer')
      assert.equal(stage.toConsumer, refusal(400, 'incomplete'))
      assert.equal(stage.dials, 0)
    })
  }

  test('the end of the stream before any byte closes without a word', () => {
    const stage = new RestStage().ends('consumer')
    assert.equal(stage.toConsumer, '')
    assert.ok(stage.closing !== undefined)
    assert.equal(stage.counted('errors'), 0)
    assert.deepEqual(stage.reports, [])
  })
})

describe('what is odd, yet legal, is forwarded', () => {
  const FINE: readonly (readonly [what: string, head: string])[] = [
    ['an unknown method', `BREW /pot HTTP/1.1⏎${H}⏎`],
    ['a method in lower case', `get /info HTTP/1.1⏎${H}⏎`],
    ['a method of 32 bytes', `${'M'.repeat(32)} / HTTP/1.1⏎${H}⏎`],
    ['connect in lower case, which is another method', `connect / HTTP/1.1⏎${H}⏎`],
    ['percent-escapes of CR, LF and NUL', `GET /a%0d%0a%00?%20 HTTP/1.1⏎${H}⏎`],
    ['every printable byte in a target', `GET /!"$%&'()*+,-./:;<=>?@[\\]^_\`{|}~ HTTP/1.1⏎${H}⏎`],
    ['bytes above ASCII in a value', get('A: \x80\xa0\xff⏎')],
    ['a tab in a value', get('A: x\ty⏎')],
    ['an empty value', get('A:⏎B: ⏎')],
    ['blanks around a value', get('A: \t 1 \t⏎')],
    ['every sign of a token in a name', get("!#$%&'*+-.^_`|~09azAZ: 1⏎")],
    ['an empty Host', `${GET}Host:⏎⏎`],
    ['a Host with a port', withHost('x.y-z_~:8080')],
    ['a Host in brackets', withHost('[::1]:80')],
    ['a Host with an empty port', withHost('x:')],
    ['all that a name of a host may have', withHost("a%2F!$&'()*+,;=")],
    ['HTTP/1.0 without Host', 'GET /info HTTP/1.0⏎⏎'],
    ['an absolute target', `GET http://x/info HTTP/1.1⏎${H}⏎`],
    ['an absolute target in capitals', `GET http://X/info HTTP/1.1⏎${H}⏎`],
    ['an absolute target without a path', `GET http://x?q HTTP/1.1⏎${H}⏎`],
    ['OPTIONS of everything', `OPTIONS * HTTP/1.1⏎${H}⏎`],
    ['a length of 0', post('Content-Length: 0⏎')],
    ['128 fields', get(times(127, index => `A${index}: 1⏎`))],
    ['a field of 16000 bytes', get(`A: ${'x'.repeat(16_000)}⏎`)],
    ['a head of 30 KiB', get(times(3, index => `A${index}: ${'x'.repeat(10_000)}⏎`))],
    ['a target of 8000 bytes', `GET /${'x'.repeat(7999)} HTTP/1.1⏎${H}⏎`],
    ['names that only look like an identity', get('X-PVC: 1⏎X-PVClient: 2⏎XX-PV-Role: 3⏎X-P-V: 4⏎')],
  ]

  for (const [what, head] of FINE) {
    test(what, () => {
      const stage = new RestStage().consumerSays(head)
      assert.equal(stage.toProvider, head.replace('⏎', `⏎${IDENTITY}`))
      assert.equal(stage.closing, undefined)
    })
  }

  for (const empty of ['⏎', '⏎⏎']) {
    test(`${empty.length} empty lines before a request, which are not forwarded`, () => {
      const stage = new RestStage().consumerSays(`${empty}${get('')}`)
      assert.equal(stage.toProvider, `${GET}${IDENTITY}${H}⏎`)
    })
  }
})
