/**
 * `rest` links: requests that two parsers could read differently, or that would get around the identity, are refused
 * before the provider sees any of them. One defect each, and what the daemon tells its operator about it.
 */
import assert from 'node:assert/strict'
import type { LogLine } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import {
  exchange,
  get,
  gotten,
  head,
  identified,
  onlyProbed,
  onOneSite,
  refusalIn,
  refuses,
  SERVED,
  type Site,
} from '../support/rest.ts'

type Row = (site: Site) => Promise<void>

interface Expected {
  readonly status?: number
  /** The consumer half-closes after it. */
  readonly halfClosed?: true
}

/** Each of the requests is refused for this reason. */
const refused =
  (reason: string, requests: readonly string[], { status = 400, halfClosed }: Expected = {}): Row =>
  async site => {
    for (const request of requests) await refuses(site, request, { status, reason }, halfClosed)
  }

const post = (...fields: readonly string[]): string => head('POST /form HTTP/1.1', 'Host: x', ...fields)

onOneSite('requests that a rest link refuses never reach the provider', {
  'a blank before the colon': refused('field-name', [get('/', 'X-PV-Role : admin'), get('/', ': a')]),
  'a folded field': refused('obs-fold', [get('/', 'A: 1', ' X-PV-Role: admin')]),
  'a bare LF or CR': refused('bare-cr-or-lf', [
    'GET / HTTP/1.1\r\nHost: x\r\nA: 1\nX-PV-Role: admin\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: x\r\nA: 1\rB: 2\r\n\r\n',
    'GET / HTTP/1.1\nHost: x\n\n',
  ]),
  'a control character in a value': refused('field-value', [get('/', 'A: x\0y'), get('/', 'A: \x7f')]),
  'what only looks like a framing field': refused('framing-look-alike', [
    post('Content_Length: 4'),
    post('Transfer.Encoding: chunked'),
  ]),
  'three empty lines': refused('empty-lines', [`\r\n\r\n\r\n${get('/')}`]),
  'a first line without a version': refused('request-line', ['GET /info\r\n\r\n', 'GET  / HTTP/1.1\r\n\r\n']),
  'a version of HTTP that is none': refused('version', ['GET / http/1.1\r\nHost: x\r\n\r\n']),
  'a version of HTTP that nobody is sure of': refused(
    'version',
    ['3.0', '1.2', '2.0'].map(version => `GET / HTTP/${version}\r\nHost: x\r\n\r\n`),
    { status: 505 },
  ),
  'no Host, two of them, or a strange one': refused('host', [
    head('GET / HTTP/1.1'),
    get('/', 'Host: x'),
    head('GET / HTTP/1.1', 'Host: a b'),
    head('GET / HTTP/1.1', 'Host: x@y'),
  ]),
  'a target that names another host': refused('host-mismatch', [get('http://y/info')]),
  'a target that is none': refused('target', [
    head('POST * HTTP/1.1', 'Host: x'),
    get('info'),
    get('https://x/'),
    get('http://u@x/'),
    get('/a#b'),
    get('/\xe9'),
  ]),
  CONNECT: refused('connect', [head('CONNECT x:1 HTTP/1.1', 'Host: x')], { status: 501 }),
  'a first line of 9000 bytes, whole or not': refused(
    'request-line-too-long',
    [get(`/${'a'.repeat(9000)}`), `GET /${'a'.repeat(9000)}`],
    { status: 414 },
  ),
  'a head that is too large': refused(
    'head-too-large',
    [
      get('/', `A: ${'a'.repeat(20 * 1024)}`),
      get('/', ...Array.from({ length: 128 }, (_, index) => `A${index}: 1`)),
      get('/', ...Array.from({ length: 40 }, () => `A: ${'a'.repeat(1000)}`)),
    ],
    { status: 431 },
  ),
  'Transfer-Encoding and Content-Length together': refused('te-and-cl', [
    post('Content-Length: 5', 'Transfer-Encoding: chunked'),
    post('Transfer-Encoding: chunked', 'Content-Length: 5'),
  ]),
  'a framing field that comes twice': refused('repeated-framing-field', [
    post('Content-Length: 5', 'Content-Length: 5'),
    post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
  ]),
  'a Content-Length that is no plain number': refused(
    'content-length',
    ['5,5', '+5', '05', '5x', '', '0x5', '-1', '9007199254740992', '99999999999999999999'].map(value =>
      post(`Content-Length: ${value}`),
    ),
  ),
  'a coding before chunked': refused('transfer-coding', [post('Transfer-Encoding: br, chunked')], {
    status: 501,
  }),
  'a Transfer-Encoding that does not end in chunked': refused(
    'transfer-encoding',
    [
      'chunked, br',
      'chunked, chunked',
      'chunked;a=1',
      '',
      '"chunked"',
      'identity',
      '\x0bchunked'.slice(1, 4),
    ].map(value => post(`Transfer-Encoding: ${value}`)),
  ),
  'Transfer-Encoding in HTTP/1.0': refused('te-in-http-1.0', [
    head('POST / HTTP/1.0', 'Transfer-Encoding: chunked'),
  ]),
  'a Connection that would remove the framing': refused('connection', [
    post('Connection: close, Content-Length', 'Content-Length: 4'),
    get('/', 'Connection: host'),
    get('/', 'Connection: a b'),
  ]),
  'an expectation that nobody knows': refused('expect', [get('/', 'Expect: jam')], { status: 417 }),
  'an end within the head': refused('incomplete', ['GET / HTTP/1.1\r\nHost: x\r\n', 'G'], {
    halfClosed: true,
  }),

  'an end before a request is only an end': async site => {
    const before = (await site.provider.recorded('served')).length
    for (const said of ['', '\r\n']) {
      const line = await site.client.line(SERVED)
      if (said !== '') await line.write(said)
      await line.halfClose()
      assert.equal((await line.hearsToEnd()).text, '')
    }
    await onlyProbed(site, before)
  },

  'HTTP/2 is told to use HTTP/1.1, in its own language': async site => {
    const before = (await site.provider.recorded('served')).length
    const line = await site.client.line(SERVED)
    await line.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0')
    const { text } = await line.hearsToEnd()
    const settings = '\0\0\0\x04\0\0\0\0\0'
    const debug = 'HTTP/2 is not served on rest links: use HTTP/1.1, or a unix link for gRPC'
    const goAway = `\0\0${String.fromCharCode(8 + debug.length)}\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0d${debug}`
    assert.equal(text, settings + goAway)
    await onlyProbed(site, before)
  },

  'a HEAD is refused without a body': async site => {
    const line = await site.client.line(SERVED)
    await line.write(head('HEAD / HTTP/1.1', 'Host: x', 'Expect: jam'))
    const { text } = await line.hearsToEnd()
    assert.match(text, /^HTTP\/1\.1 417 .*\r\nContent-Length: 0\r\n.*\r\n\r\n$/s)
  },

  'what is refused after a good request is refused after its answer': async site => {
    const before = (await site.provider.recorded('served')).length
    const line = await site.client.line(SERVED)
    await line.write(`${get('/1')}BAD\r\n\r\n`)
    const { text } = await line.hearsToEnd()
    const [answer = '', refusal = ''] = text.split(/(?<=\n)(?=HTTP\/1\.1 400)/)
    assert.match(answer, /^HTTP\/1\.1 200 OK\r\n.*"request": "GET \/1 /s)
    assert.deepEqual(refusalIn(refusal), { status: 400, reason: 'request-line' })
    const [connection, ...others] = await site.provider.recorded('served', before)
    assert.deepEqual([connection?.text, others], [gotten('/1'), []])
  },

  'what follows a request with Connection: close is never read': async site => {
    const before = (await site.provider.recorded('served')).length
    const line = await site.client.line(SERVED)
    await line.write(get('/1', 'Connection: close') + get('/2'))
    const { text } = await line.hearsToEnd()
    assert.equal(text.split('HTTP/1.1 200 OK').length, 2)
    assert.ok(!text.includes('/2'), text)
    const [connection, ...others] = await site.provider.recorded('served', before)
    assert.deepEqual([connection?.text, others], [gotten('/1', 'Connection: close'), []])
  },
})

/** What is wrong only in a body that is on its way already: the provider must see that the request did not end. */
const neverCompletes =
  (reason: string, fields: readonly string[], bodies: readonly string[], halfClosed = false): Row =>
  async ({ client, provider }) => {
    for (const body of bodies) {
      const before = (await provider.recorded('served')).length
      const line = await client.line(SERVED)
      await line.write(post(...fields) + body)
      if (halfClosed) await line.halfClose()
      const told = await line.hearsToEnd()
      assert.deepEqual(refusalIn(told.text), { status: 400, reason }, JSON.stringify(body))
      const [connection] = await eventually('the provider has seen the end', async () => {
        const connections = await provider.recorded('served', before)
        return connections.every(each => !each.open) && connections
      })
      // Or none: nothing says that a provider has to be asked before the body is known to be good.
      if (connection === undefined) continue
      assert.deepEqual([connection.sent, connection.ended], [[], 'close'], JSON.stringify(body))
      const forwarded = identified('POST /form HTTP/1.1', 'Host: x', ...fields)
      assert.ok(forwarded.startsWith(connection.text.slice(0, forwarded.length)), connection.text)
    }
  }

const CHUNKED = ['Transfer-Encoding: chunked']

onOneSite('requests that go wrong within their body are never complete for the provider', {
  'a chunk that is not framed as one': neverCompletes('chunk', CHUNKED, [
    '4\nwifi\r\n0\r\n\r\n',
    '4\r\nwifi!\r\n0\r\n\r\n',
    '4\r\nwifi\n0\r\n\r\n',
    '0x4\r\nwifi\r\n0\r\n\r\n',
    '+4\r\nwifi\r\n0\r\n\r\n',
    '4 \r\nwifi\r\n0\r\n\r\n',
    '4;a=\x01\r\nwifi\r\n0\r\n\r\n',
    '\r\nwifi\r\n0\r\n\r\n',
    'fffffffffffffffff\r\n',
    '4\r\nwifi\r\n0\n\n',
  ]),
  'a trailer that would have meant something': neverCompletes(
    'trailer',
    CHUNKED,
    ['Content-Length: 4', 'Host: y', 'Transfer-Encoding: chunked', 'Authorization: me', 'A : 1'].map(
      field => `4\r\nwifi\r\n0\r\n${field}\r\n\r\n`,
    ),
  ),
  'an end within a counted body': neverCompletes('incomplete', ['Content-Length: 10'], ['wifi'], true),
  'an end within a chunked body': neverCompletes(
    'incomplete',
    CHUNKED,
    ['4\r\nwi', '4\r\nwifi\r\n', '4\r\nwifi\r\n0\r\n'],
    true,
  ),
})

const refusalsOf = (log: readonly LogLine[], link: string): readonly LogLine[] =>
  log.filter(line => line['link'] === link && line['status'] !== undefined && line['level'] !== 'debug')

onOneSite(
  'a refusal is told to the operator',
  {
    'by a line with the link, the consumer, the status, the reason and the bytes': async site => {
      const since = site.daemon.log().length
      await refuses(site, get('/', 'X-PV-Role\x1b[31m : admin'), { status: 400, reason: 'field-name' })
      const line = await site.daemon.logged('the refusal', each => each['status'] === 400, { since })
      const { link, consumer, status, reason } = line
      assert.deepEqual(
        { link, consumer, status, reason },
        { link: site.links.served, consumer: 'app', status: 400, reason: 'field-name' },
      )
      assert.match(JSON.stringify(line), /X-PV-Role/)
      assert.ok(!JSON.stringify(line).includes('u001b'), 'an escape character must not come out as one')
      assert.equal(refusalsOf(site.daemon.log().slice(since), site.links.served).length, 1)
    },

    'in few lines, however many there are': async site => {
      const since = site.daemon.log().length
      const answers = await site.client.askMany(SERVED, 'BAD\r\n\r\n', 200)
      assert.deepEqual(Object.values(answers), [200])
      await eventually(
        'what was held back is summed up',
        () =>
          site.daemon
            .log()
            .slice(since)
            .some(line => Number(line['suppressed'] ?? 0) > 0),
        10_000,
      )
      const lines = refusalsOf(site.daemon.log().slice(since), site.links.served)
      assert.ok(lines.length < 60, `${lines.length} lines`)
    },

    'and a forged identity is none: an application that passes on what it was sent must work': async site => {
      const since = site.daemon.log().length
      await exchange(site, get('/', 'X-PV-Client: root'))
      assert.deepEqual(refusalsOf(site.daemon.log().slice(since), site.links.served), [])
    },
  },
  { args: ['--log-every', '1000'] },
)
