/** Ends of every kind, providers that cannot be reached, time limits and links that are withdrawn. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { IDENTITY, RestStage, refusal, response } from '../../support/rest-stage.ts'

const H = 'Host: x⏎'
const GET = `GET /info HTTP/1.1⏎${H}⏎`
const UPLOAD = `POST / HTTP/1.1⏎${H}Content-Length: 8⏎⏎`
const told = (request: string): string => request.replace('⏎', `⏎${IDENTITY}`)
const SWITCH = 'HTTP/1.1 101 Switching Protocols⏎Connection: Upgrade⏎Upgrade: websocket⏎⏎'
const tunnel = (): RestStage =>
  new RestStage()
    .consumerSays(`GET / HTTP/1.1⏎${H}Connection: Upgrade⏎Upgrade: websocket⏎⏎`)
    .providerSays(SWITCH)

describe('a consumer that half-closes', () => {
  test('gets its whole answer, and the provider hears nothing of it', () => {
    const stage = new RestStage().consumerSays(GET).ends('consumer')
    assert.equal(stage.commands.hasEnded('provider'), false)
    stage.providerSays('HTTP/1.1 200 OK⏎Content-Length: 4⏎⏎wi').providerSays('fi')
    assert.equal(stage.toConsumer, response('wifi'))
    assert.ok(stage.closing !== undefined && stage.closing !== 'now')
    assert.equal(stage.counted('half_closes'), 1)
  })

  test('is served all that it has asked for', () => {
    const stage = new RestStage().consumerSays(GET.repeat(3)).ends('consumer')
    for (const body of ['1', '2']) stage.providerSays(response(body))
    assert.equal(stage.closing, undefined)
    stage.providerSays(response('3'))
    assert.equal(stage.toProvider, told(GET).repeat(3))
    assert.equal(stage.toConsumer, ['1', '2', '3'].map(body => response(body)).join(''))
    assert.ok(stage.closing !== undefined && stage.closing !== 'now')
  })

  test('in the middle of a second head is told so after the answer to the first request', () => {
    const stage = new RestStage().consumerSays(`${GET}GET /2`).ends('consumer').providerSays(response('one'))
    assert.equal(stage.toConsumer, response('one') + refusal(400, 'incomplete'))
    assert.equal(stage.toProvider, told(GET))
  })

  test('before the provider was reached is served too', () => {
    const stage = new RestStage({ dials: 'when told' }).consumerSays(GET).ends('consumer').dialled()
    assert.equal(stage.toProvider, told(GET))
    stage.providerSays(response('late'))
    assert.equal(stage.toConsumer, response('late'))
  })

  test('after which no byte moves for 60 s is told 504', () => {
    const stage = new RestStage().consumerSays(GET).ends('consumer').elapse(59_000)
    assert.equal(stage.closing, undefined)
    stage.elapse(2000)
    assert.equal(stage.toConsumer, refusal(504, 'response-timeout'))
  })

  test('while its answer comes slowly is not cut', () => {
    const stage = new RestStage()
      .consumerSays(GET)
      .ends('consumer')
      .providerSays('HTTP/1.1 200 OK⏎Content-Length: 4⏎⏎')
    for (const byte of 'wifi') stage.elapse(50_000).providerSays(byte)
    assert.equal(stage.toConsumer, response('wifi'))
  })
})

describe('a consumer that leaves', () => {
  test('#43 while the provider works takes the connection to the provider with it', () => {
    const stage = new RestStage().consumerSays(GET).leaves('consumer')
    assert.ok(stage.closing !== undefined)
    assert.equal(stage.toProvider, told(GET))
    assert.equal(stage.counted('consumer_aborts'), 1)
  })

  test('with a whole request before the provider was reached: it is written, then closed', () => {
    const stage = new RestStage({ dials: 'when told' }).consumerSays(GET).leaves('consumer')
    assert.ok(stage.closing === undefined || stage.closing === 'flush')
    if (stage.closing === undefined) stage.dialled()
    assert.equal(stage.toProvider, told(GET))
    assert.equal(stage.closing, 'flush')
  })

  test('with half a request leaves the provider with half a request', () => {
    const stage = new RestStage().consumerSays(`${UPLOAD}wifi`).leaves('consumer')
    assert.ok(stage.closing === 'now' || stage.closing === 'flush' || stage.closing === 'linger')
    assert.equal(stage.toProvider, told(`${UPLOAD}wifi`))
    assert.equal(stage.commands.hasEnded('provider'), true)
  })

  test('with half a request before the provider was reached is dropped', () => {
    const stage = new RestStage({ dials: 'when told' }).consumerSays(`${UPLOAD}wifi`).leaves('consumer')
    assert.ok(stage.closing === 'now' || stage.closing === 'linger', `close ${stage.closing}`)
  })

  test('between two requests is nothing to speak of', () => {
    const stage = new RestStage().consumerSays(GET).providerSays(response('ok')).leaves('consumer')
    assert.ok(stage.closing !== undefined)
    assert.equal(stage.counted('errors'), 0)
  })
})

describe('a tunnel', () => {
  test('is closed once both have ended', () => {
    const stage = tunnel().ends('provider')
    assert.equal(stage.commands.hasEnded('consumer'), true)
    stage.consumerSays('more').ends('consumer')
    assert.ok(stage.toProvider.endsWith('more'))
    assert.equal(stage.commands.hasEnded('provider'), true)
  })

  test('is never too idle, too long or too old', () => {
    const stage = tunnel()
      .elapse(24 * 3600_000)
      .consumerSays('still')
      .providerSays('here')
    assert.ok(stage.toProvider.endsWith('still') && stage.toConsumer.endsWith('here'))
    assert.equal(stage.closing, undefined)
  })

  test('delivers what the provider says behind its 101 and what the consumer says before it', () => {
    const request = `GET / HTTP/1.1⏎${H}Connection: Upgrade⏎Upgrade: websocket⏎⏎`
    const stage = new RestStage({ dials: 'when told' }).consumerSays(`${request}early`).dialled()
    stage.consumerSays('bird').providerSays(`${SWITCH}worm`)
    assert.ok(stage.toProvider.endsWith('⏎⏎earlybird'), stage.toProvider)
    assert.ok(stage.toConsumer.endsWith('⏎⏎worm'))
  })
})

describe('a provider that cannot be reached', () => {
  for (const failed of ['timeout', 'refused', 'kind-mismatch'] as const) {
    test(`#38 (${failed}) is 503, to be tried again in a second`, () => {
      const stage = new RestStage({ dials: 'when told' }).consumerSays(GET).dialled(failed)
      assert.match(stage.toConsumer, /⏎Retry-After: 1⏎/)
      const sorted = (answer: string): readonly string[] => answer.split('⏎').sort()
      assert.deepEqual(sorted(stage.toConsumer), sorted(refusal(503, 'provider-unreachable')))
      assert.equal(stage.closing, 'linger')
    })
  }

  test('#38 for a while only is no failure', () => {
    const stage = new RestStage({ dials: 'when told' }).consumerSays(GET).elapse(1000).dialled()
    assert.equal(stage.toProvider, told(GET))
    assert.equal(stage.providerSays(response('late')).toConsumer, response('late'))
  })

  test('is dialled once a head is whole, and not before', () => {
    const stage = new RestStage().consumerSays(GET.slice(0, -1))
    assert.equal(stage.dials, 0)
    stage.consumerSays('⏎')
    assert.equal(stage.dials, 1)
  })

  test('and is asked by HEAD gives no body', () => {
    const stage = new RestStage({ dials: 'when told' })
      .consumerSays(`HEAD / HTTP/1.1⏎${H}⏎`)
      .dialled('refused')
    assert.match(stage.toConsumer, /^HTTP\/1\.1 503 Service Unavailable⏎.*Content-Length: 0⏎.*⏎⏎$/)
  })
})

describe('time limits', () => {
  test('#42 a head that comes byte by byte has 10 s in all', () => {
    const stage = new RestStage()
    for (const byte of GET.slice(0, 10)) stage.consumerSays(byte).elapse(1000)
    assert.equal(stage.toConsumer, refusal(408, 'head-timeout'))
    assert.equal(stage.closing, 'linger')
    assert.equal(stage.counted('timeouts'), 1)
  })

  test('a later head has 10 s too, from its own first byte', () => {
    const stage = new RestStage()
      .consumerSays(GET)
      .providerSays(response('ok'))
      .elapse(50_000)
      .consumerSays('GET')
    assert.equal(stage.elapse(9000).closing, undefined)
    stage.elapse(2000)
    assert.equal(stage.toConsumer, response('ok') + refusal(408, 'head-timeout'))
  })

  test('a head that waits behind an exchange has its time when its turn comes', () => {
    const stage = new RestStage().consumerSays(`${GET}GET`).elapse(30_000).providerSays(response('ok'))
    assert.equal(stage.toConsumer, response('ok'))
    stage.consumerSays(GET.slice(3)).providerSays(response('2'))
    assert.equal(stage.toConsumer, response('ok') + response('2'))
  })

  test('a connection on which nothing was ever said is closed after 60 s without a word', () => {
    const stage = new RestStage().elapse(59_000)
    assert.equal(stage.closing, undefined)
    stage.elapse(2000)
    assert.ok(stage.closing !== undefined)
    assert.equal(stage.toConsumer, '')
    assert.equal(stage.counted('errors'), 0)
  })

  test('a connection between two requests is closed after 60 s without a word', () => {
    const stage = new RestStage().elapse(30_000).consumerSays(GET).elapse(40_000).providerSays(response('ok'))
    assert.equal(stage.elapse(59_000).closing, undefined)
    stage.elapse(2000)
    assert.ok(stage.closing !== undefined)
    assert.equal(stage.toConsumer, response('ok'))
  })

  test('a body without progress for 60 s is 408, and the provider has half a request', () => {
    const stage = new RestStage().consumerSays(`${UPLOAD}wi`).elapse(50_000).consumerSays('fi').elapse(50_000)
    assert.equal(stage.closing, undefined)
    stage.elapse(11_000)
    assert.equal(stage.toConsumer, refusal(408, 'body-timeout'))
    assert.equal(stage.toProvider, told(`${UPLOAD}wifi`))
    assert.equal(stage.closing, 'linger')
  })

  const EXPECTING = UPLOAD.replace(H, `${H}Expect: 100-continue⏎`)

  test('a client that waits for 100 Continue has the time of the response, and is told that the provider is slow', () => {
    const stage = new RestStage().consumerSays(EXPECTING).elapse(299_000)
    assert.equal(stage.closing, undefined)
    stage.elapse(2000)
    assert.equal(stage.toConsumer, refusal(504, 'response-timeout'))
    assert.equal(stage.toProvider, told(EXPECTING))
  })

  test('a client that was told to continue, or does not wait for it, is held to the time of a body', () => {
    const GO = 'HTTP/1.1 100 Continue⏎⏎'
    const isTold = new RestStage().consumerSays(EXPECTING).elapse(200_000).providerSays(GO)
    const impatient = new RestStage().consumerSays(EXPECTING).elapse(200_000).consumerSays('wi')
    for (const stage of [isTold, impatient]) {
      assert.equal(stage.elapse(59_000).closing, undefined)
      stage.elapse(2000)
      assert.ok(stage.toConsumer.endsWith(refusal(408, 'body-timeout')))
    }
  })

  test('a body may stand still as long as its response moves', () => {
    const stage = new RestStage()
      .consumerSays(`${UPLOAD}wi`)
      .providerSays('HTTP/1.1 200 OK⏎Content-Length: 9⏎⏎')
      .elapse(50_000)
      .providerSays('w')
      .elapse(50_000)
      .providerSays('i')
      .elapse(50_000)
    assert.equal(stage.closing, undefined)
    stage.elapse(11_000)
    assert.ok(stage.closing !== undefined)
  })

  test('a response that does not begin within 300 s is 504', () => {
    const stage = new RestStage().consumerSays(GET).elapse(299_000)
    assert.equal(stage.closing, undefined)
    stage.elapse(2000)
    assert.equal(stage.toConsumer, refusal(504, 'response-timeout'))
    assert.equal(stage.closing, 'linger')
  })

  test('a response that stops for 300 s is closed, and nothing is added', () => {
    const begun = 'HTTP/1.1 200 OK⏎Content-Length: 9⏎⏎wi'
    const stage = new RestStage().consumerSays(GET).elapse(200_000).providerSays(begun).elapse(200_000)
    assert.equal(stage.closing, undefined)
    stage.elapse(101_000)
    assert.ok(stage.closing !== undefined)
    assert.equal(stage.toConsumer, begun)
  })

  test('a response has all the time it wants where the limit is 0', () => {
    const stage = new RestStage({ limits: { restResponseMs: 0 } }).consumerSays(GET).elapse(24 * 3600_000)
    assert.equal(stage.providerSays(response('ok')).toConsumer, response('ok'))
  })

  test('a lingering close has no more than 5 s, and is counted where that was too little', () => {
    const stage = new RestStage().consumerSays('BAD⏎⏎').elapse(4000)
    assert.equal(stage.counted('linger_cut'), 0)
    assert.equal(stage.elapse(2000).counted('linger_cut'), 1)
    assert.equal(new RestStage().consumerSays('BAD⏎⏎').ends('consumer').elapse(6000).counted('linger_cut'), 0)
  })
})

describe('a link that is withdrawn', () => {
  for (const [what, stage] of [
    ['was never used', new RestStage()],
    ['is between two requests', new RestStage().consumerSays(GET).providerSays(response('ok'))],
  ] as const) {
    test(`closes a connection that ${what}`, () => {
      const before = stage.toConsumer
      assert.ok(stage.withdraw().closing !== undefined)
      assert.equal(stage.toConsumer, before)
    })
  }

  test('lets an exchange finish, and nothing that waits behind it', () => {
    const stage = new RestStage().consumerSays(GET.repeat(2)).withdraw()
    assert.equal(stage.closing, undefined)
    stage.providerSays(response('last'))
    assert.equal(stage.toConsumer, response('last'))
    assert.equal(stage.toProvider, told(GET))
    assert.equal(stage.closing, 'linger')
  })

  test('lets an upload finish', () => {
    const stage = new RestStage().consumerSays(`${UPLOAD}wifi`).withdraw().consumerSays('wifi')
    stage.providerSays(response('last'))
    assert.equal(stage.toProvider, told(`${UPLOAD}wifiwifi`))
    assert.equal(stage.toConsumer, response('last'))
    assert.equal(stage.closing, 'linger')
  })
})

describe('what has to wait is bounded', () => {
  test('what a consumer says behind an upgrade or a request is not read without end', () => {
    for (const fields of ['Connection: Upgrade⏎Upgrade: websocket⏎', '']) {
      const stage = new RestStage().consumerSays(`GET / HTTP/1.1⏎${H}${fields}⏎`)
      const more = 'x'.repeat(1_000_000)
      stage.consumerSays(more)
      assert.equal(stage.closing, undefined)
      stage.providerSays(fields === '' ? response() : SWITCH)
      if (fields === '') assert.equal(stage.toConsumer, response() + refusal(414, 'request-line-too-long'))
      else assert.ok(stage.toProvider.endsWith(more))
    }
  })

  test('a consumer is not read beyond its buffer while its provider is dialled', () => {
    const stage = new RestStage({ dials: 'when told' }).consumerSays(
      `POST / HTTP/1.1⏎${H}Content-Length: 1000000⏎⏎`,
    )
    stage.consumerSays('x'.repeat(1_000_000)).dialled()
    assert.ok(stage.toProvider.endsWith('x'.repeat(1_000_000)))
  })
})
