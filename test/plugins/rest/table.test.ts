/** The contract's table of inputs and outcomes, as far as a session alone decides them: one test a row and variant. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { IDENTITY, RestStage, refusal, response } from '../../support/rest-stage.ts'

const H = 'Host: x⏎'
const GET = `GET /info HTTP/1.1⏎${H}⏎`

const get = (fields: string): string => `GET /info HTTP/1.1⏎${H}${fields}⏎`
const post = (fields: string, body = ''): string => `POST /info HTTP/1.1⏎${H}${fields}⏎${body}`
/** As the provider gets it: the identity in front of all fields. */
const told = (request: string, identity = IDENTITY): string => request.replace('⏎', `⏎${identity}`)

const UPGRADE = 'Connection: Upgrade⏎Upgrade: websocket⏎'
const SWITCH = `HTTP/1.1 101 Switching Protocols⏎${UPGRADE}⏎`
/** What an upgrade's request comes to: what names single hops goes last. */
const offered = `GET /info HTTP/1.1⏎${IDENTITY}${H}Upgrade: websocket⏎Connection: Upgrade⏎⏎`

describe('whoever asks is told to the provider, by nobody else', () => {
  test('#1 an HTTP/1.0 request without Host is served in full after a half-close, then comes the end', () => {
    const stage = new RestStage().consumerSays('GET /info HTTP/1.0⏎⏎').ends('consumer')
    assert.equal(stage.toProvider, told('GET /info HTTP/1.0⏎⏎'))
    assert.equal(stage.closing, undefined)
    const answer = 'HTTP/1.0 200 OK⏎⏎all of it'
    stage.providerSays(answer).leaves('provider')
    assert.equal(stage.toConsumer, answer)
    assert.ok(stage.closing !== undefined && stage.closing !== 'now')
  })

  test('#2 three requests on one connection each carry the identity, over one connection to the provider', () => {
    const stage = new RestStage()
    for (const body of ['1', '2', '3']) stage.consumerSays(GET).providerSays(response(body))
    assert.equal(stage.toProvider, told(GET).repeat(3))
    assert.equal(stage.toConsumer, ['1', '2', '3'].map(body => response(body)).join(''))
    assert.equal(stage.dials, 1)
    assert.equal(stage.counted('requests'), 3)
  })

  test('#3 an identity that a later request claims is gone', () => {
    const stage = new RestStage().consumerSays(GET).providerSays(response())
    stage.consumerSays(get('X-PV-Client: root⏎')).providerSays(response()).consumerSays(GET)
    assert.equal(stage.toProvider, told(GET).repeat(3))
    assert.equal(stage.counted('spoof_stripped'), 1)
  })

  const SPELLINGS = [
    'x_pv-ROLE',
    'X*PV*Role',
    'X-PV-',
    'x~pv~role',
    'X.PV.Client',
    "x'pv'x",
    'X-PV-Anything_else',
  ]
  for (const name of ['X-PV-Client', 'x-pv-client', ...SPELLINGS]) {
    test(`#4 ${name} never gets through`, () => {
      const stage = new RestStage().consumerSays(get(`A: 1⏎${name}: admin⏎B: 2⏎`))
      assert.equal(stage.toProvider, told(get('A: 1⏎B: 2⏎')))
      assert.equal(stage.counted('spoof_stripped'), 1)
    })
  }

  test('#5 names that only resemble it are kept', () => {
    const request = get('X-PVX: 1⏎X-PVRole: 2⏎XX-PV-Role: 3⏎X-P-V-Role: 4⏎XPV-Role: 5⏎')
    assert.equal(new RestStage().consumerSays(request).toProvider, told(request))
  })

  const NAMES: readonly (readonly [consumer: string, role: string, identity: string])[] = [
    ['my app,1%', 'any', 'X-PV-Client: my%20app%2C1%25⏎X-PV-Role: any⏎'],
    ['app', '', IDENTITY],
    ['app', 'ro\r\nX: 1', 'X-PV-Client: app⏎X-PV-Role: ro%0D%0AX%3A%201⏎'],
    ['A-z.0_9~', 'é\0', 'X-PV-Client: A-z.0_9~⏎X-PV-Role: %C3%A9%00⏎'],
  ]
  for (const [consumer, role, identity] of NAMES) {
    test(`#6 ${JSON.stringify([consumer, role])} is told in plain bytes`, () =>
      assert.equal(new RestStage({ consumer, role }).consumerSays(GET).toProvider, told(GET, identity)))
  }

  test('#7 Connection takes nothing of the identity away, and what else it names is gone', () => {
    const stage = new RestStage().consumerSays(get('Connection: X-PV-Role, X-Tmp⏎X-Tmp: 1⏎A: 1⏎'))
    assert.equal(stage.toProvider, told(get('A: 1⏎')))
  })
})

describe('what concerns one hop ends here', () => {
  const HOPS: readonly (readonly [what: string, fields: string, left: string])[] = [
    ['Keep-Alive and Proxy-Connection', 'Keep-Alive: 5⏎Proxy-Connection: x⏎A: 1⏎', 'A: 1⏎'],
    ['an Upgrade that Connection does not name', 'Upgrade: websocket⏎A: 1⏎', 'A: 1⏎'],
    ['HTTP2-Settings', 'HTTP2-Settings: AAA⏎A: 1⏎', 'A: 1⏎'],
    ['TE that Connection does not name', 'TE: trailers⏎A: 1⏎', 'A: 1⏎'],
    ['every field that Connection names, in any case', 'b: 2⏎Connection: A, ,B⏎a: 1⏎C: 3⏎', 'C: 3⏎'],
    ['fields that several lines of Connection name', 'Connection: A⏎A: 1⏎B: 2⏎connection: B⏎C: 3⏎', 'C: 3⏎'],
  ]
  for (const [what, fields, left] of HOPS) {
    test(`${what} is not forwarded`, () =>
      assert.equal(new RestStage().consumerSays(get(fields)).toProvider, told(get(left))))
  }

  const REBUILT: readonly (readonly [fields: string, left: string])[] = [
    ['Connection: Keep-Alive⏎A: 1⏎', 'A: 1⏎Connection: keep-alive⏎'],
    ['Connection: close, X-PV-Client⏎A: 1⏎', 'A: 1⏎Connection: close⏎'],
    ['TE: trailers⏎Connection: TE⏎A: 1⏎', 'TE: trailers⏎A: 1⏎Connection: te⏎'],
  ]
  for (const [fields, left] of REBUILT) {
    test(`'${fields}' becomes '${left}'`, () =>
      assert.equal(
        new RestStage().consumerSays(get(fields)).toProvider.toLowerCase(),
        told(get(left)).toLowerCase(),
      ))
  }

  test('an expectation of HTTP/1.0 is not forwarded', () => {
    const stage = new RestStage().consumerSays('GET /info HTTP/1.0⏎Expect: 100-continue⏎⏎')
    assert.equal(stage.toProvider, told('GET /info HTTP/1.0⏎⏎'))
  })

  test('all other fields keep their order, their case and their blanks', () => {
    const request = get('accept:*/*⏎B:  x  ⏎a: \t1⏎B: y⏎Cookie: a=1; b⏎COOKIE: c⏎')
    assert.equal(new RestStage().consumerSays(request).toProvider, told(request))
  })
})

describe('requests are served one after the other', () => {
  test('#13 an empty line before a request is skipped, and not forwarded', () =>
    assert.equal(new RestStage().consumerSays(`⏎${GET}`).toProvider, told(GET)))

  test('#16 an absolute target is forwarded as it is', () => {
    const request = `GET http://x/info HTTP/1.1⏎${H}⏎`
    assert.equal(new RestStage().consumerSays(request).toProvider, told(request))
  })

  test('#26 a request behind another waits for the answer to that', () => {
    const [first, second] = [post('Content-Length: 4⏎', 'wifi'), `GET /2 HTTP/1.1⏎${H}⏎`]
    const stage = new RestStage().consumerSays(first + second)
    assert.equal(stage.toProvider, told(first))
    stage.providerSays(response('one'))
    assert.equal(stage.toProvider, told(first) + told(second))
    stage.providerSays(response('two'))
    assert.equal(stage.toConsumer, response('one') + response('two'))
  })

  test('#27 garbage behind a request is refused after the answer to that', () => {
    const stage = new RestStage().consumerSays(`${GET}BAD⏎⏎`)
    assert.equal(stage.toConsumer, '')
    stage.providerSays(response('one'))
    assert.equal(stage.toConsumer, response('one') + refusal(400, 'request-line'))
    assert.equal(stage.toProvider, told(GET))
    assert.equal(stage.closing, 'linger')
  })

  test('#28 after a request that closes, nothing more is processed', () => {
    const stage = new RestStage().consumerSays(get('Connection: close⏎') + GET).providerSays(response('one'))
    assert.equal(stage.toProvider, told(get('Connection: close⏎')))
    assert.equal(stage.toConsumer, response('one'))
    assert.equal(stage.closing, 'linger')
  })

  test('#29 the answer to HEAD has no body, whatever its length says', () => {
    const stage = new RestStage().consumerSays(`HEAD /info HTTP/1.1⏎${H}⏎`)
    const head = 'HTTP/1.1 200 OK⏎Content-Length: 99⏎⏎'
    stage.providerSays(head).consumerSays(GET).providerSays(response('two'))
    assert.equal(stage.toConsumer, head + response('two'))
  })
})

/** As the stage shows it: every CRLF as one sign. */
const shownLong = (text: string): string => text.replaceAll('\r\n', '⏎')

describe('bodies', () => {
  const chunked = (body: string): string => post('Transfer-Encoding: chunked⏎', body)

  test('#22 a coding counts in any case', () => {
    const request = post('Transfer-Encoding: Chunked⏎', '4⏎wifi⏎0⏎⏎')
    assert.equal(new RestStage().consumerSays(request).toProvider, told(request))
  })

  test('#23 extensions and claims of identity are cut out of a chunked body', () => {
    const stage = new RestStage().consumerSays(chunked('4;a="b"⏎wifi⏎0⏎X-Sum: 9⏎X-PV-Role: r⏎⏎'))
    assert.equal(stage.toProvider, told(chunked('4⏎wifi⏎0⏎X-Sum: 9⏎⏎')))
    assert.equal(stage.counted('trailers_stripped'), 1)
  })

  const GOOD: readonly (readonly [what: string, body: string, forwarded: string])[] = [
    ['sizes as they were written', `0A⏎0123456789⏎00000000000000ff⏎${'x'.repeat(255)}⏎000⏎⏎`, ''],
    ['extensions of all kinds', '1;a⏎x⏎1 ;\ta = b⏎y⏎1;a="\\"; \t";b⏎z⏎0;last⏎⏎', '1⏎x⏎1⏎y⏎1⏎z⏎0⏎⏎'],
    ['trailers', '0⏎A: 1⏎b:⏎⏎', ''],
    ['what looks like the end within a chunk', '6⏎0⏎⏎x⏎0⏎⏎', ''],
  ]
  for (const [what, body, forwarded] of GOOD) {
    test(`${what} of a chunked body: the provider gets the data and all sizes`, () => {
      const stage = new RestStage().consumerSays(chunked(body))
      assert.equal(stage.toProvider, told(chunked(forwarded === '' ? body : forwarded)))
    })
  }

  const BAD: readonly (readonly [what: string, body: string, reason: string])[] = [
    ['#24 a size line with a bare LF', '4\nwifi⏎0⏎⏎', 'chunk'],
    ['#24 more data than the size says', '4⏎wifi!⏎0⏎⏎', 'chunk'],
    ['less data than the size says', '5⏎wifi⏎0⏎⏎', 'chunk'],
    ['a size that is no number', 'x⏎wifi⏎0⏎⏎', 'chunk'],
    ['no size', '⏎wifi⏎0⏎⏎', 'chunk'],
    ['a sign', '+4⏎wifi⏎0⏎⏎', 'chunk'],
    ['a prefix', '0x4⏎wifi⏎0⏎⏎', 'chunk'],
    ['an underscore', '1_0⏎0123456789abcdef⏎0⏎⏎', 'chunk'],
    ['a blank before the size', ' 4⏎wifi⏎0⏎⏎', 'chunk'],
    ['a blank after the size', '4 ⏎wifi⏎0⏎⏎', 'chunk'],
    ['a size of 17 digits', '00000000000000004⏎wifi⏎0⏎⏎', 'chunk'],
    ['a size beyond all numbers', 'ffffffffffffffff⏎wifi', 'chunk'],
    ['a size of 2^53', '20000000000000⏎wifi', 'chunk'],
    ['a CR in an extension', '4;a=\rb⏎wifi⏎0⏎⏎', 'chunk'],
    ['a NUL in an extension', '4;a="\0"⏎wifi⏎0⏎⏎', 'chunk'],
    ['an extension without a name', '4;⏎wifi⏎0⏎⏎', 'chunk'],
    ['an extension without a value', '4;a=⏎wifi⏎0⏎⏎', 'chunk'],
    ['a quote that does not end', '4;a="b⏎wifi⏎0⏎⏎', 'chunk'],
    ['something else after the size', '4 x⏎wifi⏎0⏎⏎', 'chunk'],
    ['a size line of 2 KiB', `4;a=${'x'.repeat(2048)}⏎wifi⏎0⏎⏎`, 'chunk'],
    ['a size line without an end', `4;a=${'x'.repeat(2048)}`, 'chunk'],
    ['17 KiB of extensions', `1;a=${'x'.repeat(1000)}⏎y⏎`.repeat(17), 'chunk'],
    ['data that ends in a bare LF', '4⏎wifi\n0⏎⏎', 'chunk'],
    ['data that ends in a bare CR', '4⏎wifi\r0⏎⏎', 'chunk'],
    ...[
      'Content-Length: 4',
      'Transfer-Encoding: chunked',
      'Host: y',
      'Connection: close',
      'Upgrade: x',
      'TE: x',
    ].map((field): readonly [string, string, string] => [
      `#24 the trailer ${field}`,
      `0⏎${field}⏎⏎`,
      'trailer',
    ]),
    ...['Trailer: a', 'Expect: x', 'authorization: x'].map((field): readonly [string, string, string] => [
      `the trailer ${field}`,
      `0⏎${field}⏎⏎`,
      'trailer',
    ]),
    ['a trailer without a colon', '0⏎a⏎⏎', 'trailer'],
    ['a trailer with a blank before the colon', '0⏎a : 1⏎⏎', 'trailer'],
    ['a folded trailer', '0⏎a: 1⏎ b⏎⏎', 'trailer'],
    ['a trailer with NUL', '0⏎a: \0⏎⏎', 'trailer'],
    ['a trailer with a bare LF', '0⏎a: 1\nb: 2⏎⏎', 'trailer'],
    ['9 KiB of trailers', `0⏎${'a: 0123456789⏎'.repeat(700)}⏎`, 'trailer'],
    ['trailers without an end', `0⏎a: ${'x'.repeat(9000)}`, 'trailer'],
  ]
  for (const [what, body, reason] of BAD) {
    test(`${what}: the provider never sees a whole request, and the consumer is told`, () => {
      const stage = new RestStage().consumerSays(chunked('3⏎abc⏎')).consumerSays(body)
      assert.equal(stage.toConsumer, refusal(400, reason))
      assert.equal(stage.closing, 'linger')
      const whole = told(chunked(`3⏎abc⏎${body.replaceAll(/;a=x+/g, '')}`))
      assert.ok(
        whole.startsWith(stage.toProvider.replace(/(⏎[0-9A-Fa-f]+⏎)?(\r|\n)?$/, '')),
        stage.toProvider,
      )
      assert.doesNotMatch(stage.toProvider, /⏎0+⏎/)
    })
  }

  for (const body of ['', '4', '4⏎wi', '4⏎wifi⏎', '0⏎', '0⏎A: 1⏎', '0⏎\r']) {
    test(`an end after '${body}' of a chunked body: no whole request, and 400 incomplete`, () => {
      const stage = new RestStage().consumerSays(chunked(body)).ends('consumer')
      assert.equal(stage.toConsumer, refusal(400, 'incomplete'))
      assert.doesNotMatch(stage.toProvider, /⏎0+⏎/)
      assert.equal(stage.closing, 'linger')
    })
  }

  // So long that most of it passes unseen, and full of what looks like requests.
  const LONG = GET.replaceAll('⏎', '\r\n').repeat(4000)
  for (const [how, long] of [
    ['counted', post(`Content-Length: ${LONG.length}⏎`, LONG)],
    ['chunked', chunked(`${LONG.length.toString(16)}⏎${LONG}⏎0⏎⏎`)],
  ] as const) {
    test(`a long ${how} body arrives whole, and the request behind it is one`, () => {
      const sent = long.replaceAll('⏎', '\r\n')
      const stage = new RestStage().consumerSays(sent.slice(0, 200)).consumerSays(sent.slice(200, 90_000))
      stage.consumerSays(sent.slice(90_000) + GET)
      assert.ok(stage.toProvider === told(shownLong(long)), 'other bytes')
      stage.providerSays(response('one'))
      assert.ok(stage.toProvider === told(shownLong(long)) + told(GET), 'another request behind it')
    })
  }

  test('#25 an end within a counted body: no whole request, and 400 incomplete', () => {
    const request = post('Content-Length: 10⏎', 'wifi')
    const stage = new RestStage().consumerSays(request).ends('consumer')
    assert.equal(stage.toProvider, told(request))
    assert.equal(stage.toConsumer, refusal(400, 'incomplete'))
    assert.equal(stage.closing, 'linger')
  })
})

describe('upgrades', () => {
  test('#34 what is glued to an upgrade reaches the provider after its 101, then all passes, ends too', () => {
    const stage = new RestStage().consumerSays(`${get(UPGRADE)}abc`)
    assert.equal(stage.toProvider, offered)
    stage.providerSays(`${SWITCH}hello`)
    assert.equal(stage.toProvider, `${offered}abc`)
    assert.equal(stage.toConsumer, `${SWITCH}hello`)
    const frames = '\x81\x05\0\xff⏎GET / HTTP/1.1⏎X-PV-Role: admin⏎⏎'
    stage.consumerSays(frames).providerSays(frames)
    assert.equal(stage.toProvider, `${offered}abc${frames}`)
    assert.equal(stage.toConsumer, `${SWITCH}hello${frames}`)
    assert.equal(stage.counted('tunnels'), 1)
    stage.ends('consumer')
    assert.equal(stage.commands.hasEnded('provider'), true)
    stage.providerSays('bye')
    assert.equal(stage.toConsumer, `${SWITCH}hello${frames}bye`)
    stage.ends('provider')
    assert.equal(stage.commands.hasEnded('consumer'), true)
  })

  test('#35 after a refused upgrade, what was glued to it is a request', () => {
    const stage = new RestStage()
      .consumerSays(get(UPGRADE) + GET)
      .providerSays(response('no', '403 Forbidden'))
    assert.equal(stage.toProvider, offered + told(GET))
    stage.providerSays(response('yes'))
    assert.equal(stage.toConsumer, response('no', '403 Forbidden') + response('yes'))
  })

  test('after a refused upgrade, garbage that was glued to it is refused', () => {
    const stage = new RestStage()
      .consumerSays(`${get(UPGRADE)}abc⏎⏎`)
      .providerSays(response('no', '403 Forbidden'))
    assert.equal(stage.toConsumer, response('no', '403 Forbidden') + refusal(400, 'request-line'))
    assert.equal(stage.toProvider, offered)
  })

  const NEVER = ['h2c', 'H2', 'HTTP/2.0', 'TLS/1.2', 'h2c, h2']
  for (const protocol of NEVER) {
    test(`#36 ${protocol} is never offered: an ordinary request`, () => {
      const fields = `Connection: Upgrade, HTTP2-Settings⏎Upgrade: ${protocol}⏎HTTP2-Settings: AAA⏎A: 1⏎`
      const stage = new RestStage().consumerSays(get(fields))
      assert.equal(stage.toProvider, told(get('A: 1⏎')))
      assert.ok(stage.counted('upgrades_filtered') > 0)
    })
  }

  test('#36 a 101 that was not asked for is a bad response', () => {
    const stage = new RestStage().consumerSays(get('Connection: Upgrade⏎Upgrade: h2c⏎'))
    stage.providerSays('HTTP/1.1 101 Switching Protocols⏎Connection: Upgrade⏎Upgrade: h2c⏎⏎')
    assert.equal(stage.toConsumer, refusal(502, 'provider-bad-response'))
  })

  test('a 101 to another protocol than was offered is a bad response', () => {
    const stage = new RestStage().consumerSays(get(UPGRADE))
    stage.providerSays('HTTP/1.1 101 Switching Protocols⏎Connection: Upgrade⏎Upgrade: h2c⏎⏎')
    assert.equal(stage.toConsumer, refusal(502, 'provider-bad-response'))
  })

  test('of several offers, those that may be made are', () => {
    const stage = new RestStage().consumerSays(
      get('Connection: upgrade⏎Upgrade: h2c, websocket, TLS/1.0, x/1⏎'),
    )
    assert.match(stage.toProvider, /⏎Upgrade: websocket, ?x\/1⏎Connection: upgrade⏎⏎$/i)
    stage.providerSays('HTTP/1.1 101 Switching Protocols⏎Connection: Upgrade⏎Upgrade: x/1⏎⏎')
    assert.equal(stage.counted('tunnels'), 1)
  })

  test('HTTP/1.0 cannot upgrade', () => {
    const stage = new RestStage().consumerSays(`GET / HTTP/1.0⏎${UPGRADE}A: 1⏎⏎`)
    assert.doesNotMatch(stage.toProvider, /upgrade|websocket/i)
  })

  test('the body of an upgrade is finished before the tunnel starts', () => {
    const stage = new RestStage()
      .consumerSays(post(`${UPGRADE}Content-Length: 4⏎`, 'wi'))
      .providerSays(SWITCH)
    stage.consumerSays('fiabc')
    assert.ok(stage.toProvider.endsWith('⏎⏎wifiabc'), stage.toProvider)
    assert.equal(stage.toConsumer, SWITCH)
  })

  test('#18 what follows CONNECT is never read as a request', () => {
    const stage = new RestStage().consumerSays(`CONNECT x:1 HTTP/1.1⏎${H}⏎${GET}`)
    assert.equal(stage.toConsumer, refusal(501, 'connect'))
    assert.equal(stage.toProvider, '')
  })

  const frame = (type: number, payload: Buffer): Buffer =>
    Buffer.concat([Buffer.from([0, 0, payload.length, type, 0, 0, 0, 0, 0]), payload])
  const words = 'HTTP/2 is not served on rest links: use HTTP/1.1, or a unix link for gRPC'
  const goAway = Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 0x0d]), Buffer.from(words)])

  for (const glued of ['', 'SM⏎⏎', 'SM⏎⏎\0\0\0\x04\0\0\0\0\0']) {
    test(`#37 HTTP/2 is told to go away, in its own terms (${glued.length} bytes glued)`, () => {
      const stage = new RestStage().consumerSays(`PRI * HTTP/2.0⏎⏎${glued}`)
      assert.deepEqual(
        stage.commands.bytesTo('consumer'),
        Buffer.concat([frame(4, Buffer.alloc(0)), frame(7, goAway)]),
      )
      assert.equal(stage.closing, 'linger')
      assert.equal(stage.dials, 0)
      assert.equal(stage.counted('h2_refused'), 1)
    })
  }
})
