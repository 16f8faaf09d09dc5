/** What holds for every sequence of requests, however it is cut, and for every sequence of bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { requests, validRequest } from '../../fuzz/http-messages.ts'
import { serve } from '../../fuzz/rest-reading.ts'
import { IDENTITY, RestStage, shown, wire } from '../../support/rest-stage.ts'

/** `PVX_TEST_SEED` tries other inputs; fast-check prints it with what it found. */
const SEED = Number(process.env['PVX_TEST_SEED'] ?? 20_251)

const runs = (numRuns: number) => ({ seed: SEED, numRuns, includeErrorInReport: true })

const cuts = fc.array(fc.nat(999), { maxLength: 12 })

const piecesOf = (bytes: Buffer, places: readonly number[]): readonly Buffer[] => {
  const inner = places.map(place => Math.floor((place * bytes.length) / 1000)).sort((a, b) => a - b)
  const ends = [...inner, bytes.length]
  return ends
    .map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
    .filter(({ length }) => length > 0)
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')

/** So long that most of it passes unseen. */
const LONG = 'y\r\n'.repeat(30_000)

const ANSWERS = [
  'HTTP/1.1 200 OK⏎Content-Length: 4⏎⏎wifi',
  'HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎4;a⏎wifi⏎0⏎A: 1⏎⏎',
  'HTTP/1.1 103 Early Hints⏎Link: x⏎⏎HTTP/1.1 404 ⏎Content-Length: 0⏎⏎',
  'HTTP/1.1 304 Not Modified⏎Content-Length: 9⏎⏎',
  `HTTP/1.1 200 OK⏎Content-Length: ${LONG.length}⏎⏎${LONG}`,
  `HTTP/1.1 200 OK⏎Transfer-Encoding: chunked⏎⏎${LONG.length.toString(16)}⏎${LONG}⏎1⏎z⏎0⏎⏎`,
] as const
const BODILESS = 'HTTP/1.1 200 OK⏎Content-Length: 4⏎⏎'

test('valid requests and their answers, cut anywhere, come out the same at both ends', () => {
  const exchanges = fc.array(fc.tuple(validRequest, fc.constantFrom(...ANSWERS)), {
    minLength: 1,
    maxLength: 4,
  })
  const property = fc.property(exchanges, cuts, cuts, (list, requestCuts, answerCuts) => {
    const sent = list.map(([request]) => request).join('')
    const expected = serve([latin1(sent)]).whole
    assert.equal(expected.length, list.length)
    const answers = list.map(([request, answer]) => wire(request.startsWith('HEAD') ? BODILESS : answer))

    const { commands } = new RestStage()
    let answered = 0
    const answer = (): void => {
      for (;;) {
        const due = Buffer.concat(expected.slice(0, answered + 1)).length
        const next = answers[answered]
        if (next === undefined || commands.bytesTo('provider').length < due) return
        assert.equal(commands.bytesTo('provider').length, due, 'a request was forwarded before its turn')
        answered += 1
        for (const piece of piecesOf(next, answerCuts)) commands.arrive('provider', piece)
      }
    }
    for (const piece of piecesOf(latin1(sent), requestCuts)) {
      commands.arrive('consumer', piece)
      answer()
    }
    assert.equal(shown(commands.bytesTo('provider')), shown(Buffer.concat(expected)))
    assert.equal(shown(commands.bytesTo('consumer')), shown(Buffer.concat(answers)))
    assert.equal(commands.closed, false)
  })
  fc.assert(property, runs(300))
})

test('any bytes, cut anywhere, are the same requests, and the same refusal', () => {
  const bytes = fc.oneof(
    { weight: 6, arbitrary: requests.map(latin1) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map(some => Buffer.from(some)) },
  )
  const property = fc.property(bytes, cuts, (sent, places) => {
    const [at, once] = [serve(piecesOf(sent, places)), serve([sent])]
    assert.deepEqual(at.whole.map(shown), once.whole.map(shown))
    assert.equal(at.reason, once.reason)
    // How much of a body had gone when it went wrong may differ, never what it was.
    const [short, long] = [at.broken, once.broken].sort((a, b) => a.length - b.length)
    assert.ok(short !== undefined && long?.subarray(0, short.length).equals(short))
  })
  fc.assert(property, runs(1000))
})

test('every request that is forwarded has the identity, once, behind its request line', () => {
  const property = fc.property(requests, sent => {
    const { whole, broken } = serve([latin1(sent)])
    for (const request of [...whole, broken].filter(({ length }) => length > 0).map(shown)) {
      const [line = '', ...fields] = request.slice(0, request.indexOf('⏎⏎')).split('⏎')
      assert.match(line, /^[!-~]+ [!-~]+ HTTP\/1\.[01]$/)
      assert.ok(`${fields.join('⏎')}⏎`.startsWith(IDENTITY), request)
      const claims = fields.filter(field => /^x[^a-z0-9:]pv[^a-z0-9:]/i.test(field))
      assert.equal(claims.length, 2, request)
    }
  })
  fc.assert(property, runs(1000))
})

test('a body arrives to the last byte, whatever is in it', () => {
  // So long that most of it passes unseen.
  const long = fc
    .tuple(fc.integer({ min: 40_000, max: 150_000 }), fc.nat(255))
    .map(([length, step]) => Uint8Array.from({ length }, (_, at) => at * step))
  const body = fc.oneof(fc.uint8Array({ maxLength: 300 }), long)
  const property = fc.property(
    fc.array(body, { minLength: 1, maxLength: 4 }),
    cuts,
    fc.boolean(),
    (parts, places, counted) => {
      const head = 'POST / HTTP/1.1⏎Host: x⏎'
      const all = Buffer.concat(parts)
      const framing = counted ? `Content-Length: ${all.length}⏎⏎` : 'Transfer-Encoding: chunked⏎⏎'
      const chunks = parts.flatMap(part =>
        part.length === 0 ? [] : [wire(`${part.length.toString(16)}⏎`), part, wire('⏎')],
      )
      const framed = counted ? all : Buffer.concat([...chunks, wire('0⏎⏎')])
      const { whole } = serve(piecesOf(Buffer.concat([wire(head + framing), framed]), places))
      const expected = Buffer.concat([wire(head.replace('⏎', `⏎${IDENTITY}`) + framing), framed])
      assert.equal(whole.length, 1)
      assert.ok(whole[0]?.equals(expected))
    },
  )
  fc.assert(property, runs(100))
})
