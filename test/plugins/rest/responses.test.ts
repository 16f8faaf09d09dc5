/** Where a response ends, whether the connection goes on after it, and what the consumer gets where it is none. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { IDENTITY, RestStage, refusal, response } from '../../support/rest-stage.ts'

const H = 'Host: x⏎'
const GET = `GET /info HTTP/1.1⏎${H}⏎`
const HEAD = `HEAD /info HTTP/1.1⏎${H}⏎`
const told = (request: string): string => request.replace('⏎', `⏎${IDENTITY}`)

/** All of it came through, and the next request on the same connection is served. */
const goesOn = (stage: RestStage, relayed: string): void => {
  assert.equal(stage.toConsumer, relayed)
  assert.equal(stage.closing, undefined)
  const before = stage.toProvider
  stage.consumerSays(GET).providerSays(response('next'))
  assert.equal(stage.toProvider, before + told(GET))
  assert.equal(stage.toConsumer, relayed + response('next'))
}

const isOver = (stage: RestStage, relayed: string): void => {
  assert.equal(stage.toConsumer, relayed)
  assert.equal(stage.closing, 'linger')
}

const of = (fields: string, body = '', start = 'HTTP/1.1 200 OK'): string => `${start}⏎${fields}⏎${body}`
const CHUNKED = of('Transfer-Encoding: chunked⏎', '3;a=b⏎abc⏎0⏎A: 1⏎⏎')

describe('a response after which the connection goes on', () => {
  const ROWS: readonly (readonly [what: string, request: string, answer: string])[] = [
    ['a counted body', GET, response('body')],
    ['a length of 0', GET, response()],
    ['the same length twice', GET, of('Content-Length: 4⏎content-length: 4⏎', 'body')],
    ['a chunked body, untouched', GET, CHUNKED],
    ['other codings before chunked', GET, of('transfer-encoding: gzip, Chunked⏎', '1⏎x⏎0⏎⏎')],
    ['chunked in a second line', GET, of('Transfer-Encoding: gzip⏎Transfer-Encoding: chunked⏎', '0⏎⏎')],
    ['the answer to HEAD, with a length', HEAD, of('Content-Length: 99⏎')],
    ['the answer to HEAD, chunked', HEAD, of('Transfer-Encoding: chunked⏎')],
    ['the answer to HEAD, without either', HEAD, of('')],
    ['204 without a length', GET, of('', '', 'HTTP/1.1 204 No Content')],
    ['204 with a length', GET, of('Content-Length: 9⏎', '', 'HTTP/1.1 204 No Content')],
    [
      '304 with the length of what was not modified',
      GET,
      of('Content-Length: 9⏎', '', 'HTTP/1.1 304 Not Modified'),
    ],
    ['304 with a coding', GET, of('Transfer-Encoding: chunked⏎', '', 'HTTP/1.1 304 Not Modified')],
    [
      'an HTTP/1.0 response that keeps alive',
      GET,
      of('Connection: keep-alive⏎Content-Length: 1⏎', 'x', 'HTTP/1.0 200 OK'),
    ],
    ['a status without a phrase', GET, of('Content-Length: 0⏎', '', 'HTTP/1.1 299 ')],
    ['a status of no known class', GET, of('Content-Length: 0⏎', '', 'HTTP/1.1 799 Odd')],
    ['fields of the identity, which are the provider’s own', GET, of('X-PV-Client: me⏎Content-Length: 0⏎')],
    ['one that is informational before', GET, `HTTP/1.1 103 Early Hints⏎Link: x⏎⏎${response('body')}`],
  ]
  for (const [what, request, answer] of ROWS) {
    test(`${what}`, () => goesOn(new RestStage().consumerSays(request).providerSays(answer), answer))

    test(`${what}, byte by byte`, () => {
      const stage = new RestStage().consumerSays(request)
      for (const byte of answer.replaceAll('⏎', '\r\n')) stage.providerSays(byte)
      goesOn(stage, answer)
    })
  }

  const LONG = response('x').repeat(2000)
  const octets = LONG.replaceAll('⏎', '\r\n').length
  for (const [how, long] of [
    ['counted', of(`Content-Length: ${octets}⏎`, LONG)],
    ['chunked', of('Transfer-Encoding: chunked⏎', `${octets.toString(16)}⏎${LONG}⏎0⏎⏎`)],
  ] as const) {
    test(`a long ${how} body, most of which passes unseen`, () => {
      const sent = long.replaceAll('⏎', '\r\n')
      const stage = new RestStage().consumerSays(GET).providerSays(sent.slice(0, 100))
      goesOn(stage.providerSays(sent.slice(100, 60_000)).providerSays(sent.slice(60_000)), long)
    })
  }

  test('#30 all that is informational before is relayed', () => {
    const hints = 'HTTP/1.1 103 Early Hints⏎Link: x⏎⏎'.repeat(2)
    goesOn(new RestStage().consumerSays(GET).providerSays(hints + response('body')), hints + response('body'))
  })

  test('#31 a 100 is relayed, then the body goes, then the answer comes', () => {
    const head = `POST / HTTP/1.1⏎${H}Content-Length: 4⏎Expect: 100-continue⏎⏎`
    const stage = new RestStage().consumerSays(head)
    assert.equal(stage.toProvider, told(head))
    const go = 'HTTP/1.1 100 Continue⏎⏎'
    stage.providerSays(go)
    assert.equal(stage.toConsumer, go)
    stage.consumerSays('wifi').providerSays(response('body'))
    assert.equal(stage.toProvider, told(`${head}wifi`))
    goesOn(stage, go + response('body'))
  })
})

describe('a response after which the connection is closed', () => {
  const EOF: readonly (readonly [what: string, answer: string])[] = [
    ['one without a length', of('', 'all of it')],
    ['one of another coding', of('Transfer-Encoding: gzip⏎', 'all of it')],
    ['an HTTP/1.0 response without a length', of('', 'all of it', 'HTTP/1.0 200 OK')],
  ]
  for (const [what, answer] of EOF) {
    for (const how of ['ends', 'leaves'] as const) {
      test(`${what} goes on until the provider ${how}`, () => {
        const stage = new RestStage()
          .consumerSays(GET)
          .providerSays(answer)
          .providerSays('⏎HTTP/1.1 404 no⏎⏎')
        assert.equal(stage.closing, undefined)
        isOver(stage[how]('provider'), `${answer}⏎HTTP/1.1 404 no⏎⏎`)
        assert.equal(stage.counted('errors'), 0)
      })
    }
  }

  const CLOSES: readonly (readonly [what: string, request: string, answer: string])[] = [
    ['one that says close', GET, of('Connection: x, Close⏎Content-Length: 4⏎', 'body')],
    ['one of HTTP/1.0', GET, of('Content-Length: 4⏎', 'body', 'HTTP/1.0 200 OK')],
    ['one to a request that says close', `GET / HTTP/1.1⏎${H}Connection: close⏎⏎`, response('body')],
    ['one to an HTTP/1.0 request', 'GET / HTTP/1.0⏎⏎', response('body')],
    [
      'one to an HTTP/1.0 request that wants more',
      'GET / HTTP/1.0⏎Connection: keep-alive⏎⏎',
      response('body'),
    ],
  ]
  for (const [what, request, answer] of CLOSES) {
    test(`${what}, and what comes next is not forwarded`, () => {
      const stage = new RestStage().consumerSays(request + GET)
      const before = stage.toProvider
      isOver(stage.providerSays(answer), answer)
      assert.equal(stage.toProvider, before)
    })
  }

  test('#30 nothing informational is relayed to an HTTP/1.0 consumer', () => {
    const stage = new RestStage().consumerSays('GET / HTTP/1.0⏎⏎')
    isOver(stage.providerSays(`HTTP/1.1 103 Early Hints⏎Link: x⏎⏎${response('body')}`), response('body'))
  })

  test('#31 a final answer before the body closes, because nobody knows whether the body will come', () => {
    const stage = new RestStage().consumerSays(`POST / HTTP/1.1⏎${H}Content-Length: 4⏎Expect: 100-continue⏎⏎`)
    const answer = response('who?', '401 Unauthorized')
    isOver(stage.providerSays(answer), answer)
  })

  test('#33 a whole answer in the middle of an upload reaches the consumer, though the provider is gone', () => {
    const head = `POST / HTTP/1.1⏎${H}Content-Length: 20000000⏎⏎`
    const stage = new RestStage().consumerSays(head).consumerSays('x'.repeat(300_000))
    assert.equal(stage.toProvider, told(head) + 'x'.repeat(300_000))
    const answer = response('too much', '413 Content Too Large')
    stage.breaks('provider').consumerSays('x'.repeat(300_000)).providerSays(answer).leaves('provider')
    isOver(stage, answer)
  })

  test('an answer that begins before the body has ended is relayed while both go on', () => {
    const head = `POST / HTTP/1.1⏎${H}Content-Length: 8⏎⏎`
    const stage = new RestStage()
      .consumerSays(`${head}wifi`)
      .providerSays('HTTP/1.1 200 OK⏎Content-Length: 4⏎⏎ab')
    assert.equal(stage.toConsumer, 'HTTP/1.1 200 OK⏎Content-Length: 4⏎⏎ab')
    stage.consumerSays('wifi').providerSays('cd')
    assert.equal(stage.toProvider, told(`${head}wifiwifi`))
    goesOn(stage, response('abcd'))
  })

  test('a provider that reads no more is asked nothing more', () => {
    const stage = new RestStage()
      .consumerSays(GET.repeat(2))
      .breaks('provider')
      .providerSays(response('last'))
    isOver(stage, response('last'))
    assert.equal(stage.counted('requests'), 1)
    const idle = new RestStage().consumerSays(GET).providerSays(response('last')).breaks('provider')
    isOver(idle, response('last'))
  })

  for (const more of ['x', response('unasked')]) {
    test(`#41 bytes behind a response are never delivered (${more.slice(0, 8)})`, () => {
      const stage = new RestStage().consumerSays(GET).providerSays(response('body') + more)
      isOver(stage, response('body'))
      assert.equal(stage.counted('unsolicited'), 1)
    })

    test(`#41 bytes that come between two requests are never delivered (${more.slice(0, 8)})`, () => {
      const stage = new RestStage().consumerSays(GET).providerSays(response('body')).providerSays(more)
      assert.equal(stage.toConsumer, response('body'))
      assert.ok(stage.closing !== undefined)
      assert.equal(stage.counted('unsolicited'), 1)
    })
  }

  for (const how of ['ends', 'leaves'] as const) {
    test(`a provider that ${how} between two requests takes the consumer with it`, () => {
      const stage = new RestStage().consumerSays(GET).providerSays(response('body'))[how]('provider')
      assert.equal(stage.toConsumer, response('body'))
      assert.ok(stage.closing !== undefined)
    })
  }
})

describe('a bad response', () => {
  const BAD: readonly (readonly [what: string, answer: string])[] = [
    ['no HTTP', 'hello⏎⏎'],
    ['HTTP/2', 'HTTP/2.0 200 OK⏎⏎'],
    ['a status of two digits', 'HTTP/1.1 20 OK⏎⏎'],
    ['a status of four digits', 'HTTP/1.1 2000 OK⏎⏎'],
    ['a coding and a length', of('Transfer-Encoding: chunked⏎Content-Length: 3⏎')],
    ['two lengths', of('Content-Length: 3⏎Content-Length: 4⏎')],
    ['two lengths in a line', of('Content-Length: 3, 4⏎')],
    ['a length that is no number', of('Content-Length: x⏎')],
    ['a negative length', of('Content-Length: -1⏎')],
    ['no length', of('Content-Length:⏎')],
    ['a length beyond all numbers', of('Content-Length: 99999999999999999999⏎')],
    ['a head of 70 KiB', of(`A: ${'x'.repeat(1000)}⏎`.repeat(70))],
    ['a head without an end', `HTTP/1.1 200 OK⏎${`A: ${'x'.repeat(1000)}⏎`.repeat(70)}`],
    ['33 that are informational', `${'HTTP/1.1 103 Early Hints⏎⏎'.repeat(33)}${response()}`],
  ]
  for (const [what, answer] of BAD) {
    test(`${what}: 502 provider-bad-response`, () => {
      const stage = new RestStage().consumerSays(GET).providerSays(answer)
      const [error] = [refusal(502, 'provider-bad-response')]
      assert.ok(stage.toConsumer.endsWith(error), stage.toConsumer)
      assert.ok(/^(HTTP\/1.1 103 Early Hints⏎⏎)*$/.test(stage.toConsumer.slice(0, -error.length)))
      assert.equal(stage.closing, 'linger')
      assert.equal(stage.counted('errors', { status: 502, reason: 'provider-bad-response' }), 1)
    })
  }

  for (const chunk of ['x⏎', '-1⏎', '3\nabc', '3⏎abcd⏎', '⏎', '10000000000000000⏎']) {
    test(`a broken chunk ('${chunk.replace('\n', '\\n')}') closes what has begun, and adds nothing`, () => {
      const begun = of('Transfer-Encoding: chunked⏎', '1⏎a⏎')
      const stage = new RestStage().consumerSays(GET).providerSays(begun).providerSays(chunk)
      assert.ok(stage.closing !== undefined)
      assert.ok((begun + chunk).startsWith(stage.toConsumer), stage.toConsumer)
      assert.ok(stage.toConsumer.startsWith(begun), stage.toConsumer)
    })
  }

  test('the error has no body where HEAD was asked', () => {
    const stage = new RestStage().consumerSays(HEAD).providerSays('hello⏎⏎')
    assert.match(stage.toConsumer, /^HTTP\/1\.1 502 Bad Gateway⏎.*Content-Length: 0⏎.*⏎⏎$/)
    assert.equal(stage.closing, 'linger')
  })
})

describe('a provider that goes away', () => {
  for (const how of ['ends', 'leaves'] as const) {
    test(`#39 without a byte on the first request (it ${how}): 502 provider-closed`, () =>
      isOver(new RestStage().consumerSays(GET)[how]('provider'), refusal(502, 'provider-closed')))

    test(`within the head of its first response (it ${how}): 502 provider-closed`, () => {
      const stage = new RestStage().consumerSays(GET).providerSays('HTTP/1.1 200 OK⏎Conte')[how]('provider')
      isOver(stage, refusal(502, 'provider-closed'))
    })

    test(`#39 without a byte on a later request (it ${how}): the connection is closed without a byte`, () => {
      const stage = new RestStage()
        .consumerSays(GET)
        .providerSays(response('one'))
        .consumerSays(GET)
        [how]('provider')
      assert.equal(stage.toConsumer, response('one'))
      assert.ok(stage.closing !== undefined)
    })

    for (const begun of [
      'HTTP/1.1 200 OK⏎Content-Length: 10⏎⏎',
      'HTTP/1.1 200 OK⏎Content-Length: 10⏎⏎wifi',
      of('Transfer-Encoding: chunked⏎', '4⏎wi'),
      of('Transfer-Encoding: chunked⏎', '4⏎wifi⏎'),
      of('Transfer-Encoding: chunked⏎', '4⏎wifi⏎0⏎'),
    ]) {
      test(`#40 after '${begun.slice(17)}' (it ${how}): the same bytes, closed, nothing added`, () => {
        const stage = new RestStage().consumerSays(GET).providerSays(begun)[how]('provider')
        assert.ok(begun.startsWith(stage.toConsumer) && stage.toConsumer.length >= begun.length - 3)
        assert.ok(stage.closing !== undefined)
        assert.equal(stage.counted('responses_truncated'), 1)
        assert.equal(stage.counted('errors'), 0)
      })
    }
  }
})
