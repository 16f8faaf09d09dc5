/** A short run of what `npm run fuzz -- rest` does at length: nothing is forwarded that Node reads in another way. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { withoutBadBlanks } from '../../fuzz/bad-blanks.ts'
import { requests } from '../../fuzz/http-messages.ts'
import { holdsAgainstNode } from '../../fuzz/rest-reading.ts'
import { read, readOne } from '../../fuzz/strict-reader.ts'
import { shown, wire } from '../../support/rest-stage.ts'

/** `PVX_TEST_SEED` tries other inputs; fast-check prints it with what it found. */
const SEED = Number(process.env['PVX_TEST_SEED'] ?? 20_251)
const INPUTS = 4000

test('what is forwarded is what Node reads, and a third of all inputs is forwarded whole', async () => {
  let served = 0
  await fc.assert(
    fc.asyncProperty(requests, async text => {
      const { whole, reason } = await holdsAgainstNode(text)
      if (whole.length > 0 && reason === undefined) served += 1
    }),
    { seed: SEED, numRuns: INPUTS, includeErrorInReport: true },
  )
  assert.ok(served > INPUTS / 3, `only ${served} of ${INPUTS} inputs were served`)
})

test('bad blanks are taken out of chunk extensions, and out of nothing else', () => {
  const head = 'POST / HTTP/1.1⏎Host: x⏎Transfer-Encoding: chunked⏎⏎'
  const counted = 'POST / HTTP/1.1⏎Content-Length: 9⏎⏎1 ; a=1⏎'
  const without = (text: string): string => shown(withoutBadBlanks(wire(text)))
  assert.equal(
    without(`${counted}${head}9 ;\ta = "b ; c" ; d⏎1 ; a=1⏎⏎0; z⏎A: 1 ; 2⏎⏎${head}1 ; a⏎`),
    `${counted}${head}9;a="b ; c";d⏎1 ; a=1⏎⏎0;z⏎A: 1 ; 2⏎⏎${head}1;a⏎`,
  )
  for (const odd of [`${head}x ; a⏎`, `${head}1 ⏎x⏎`, `${head}5⏎1 ; a`, '1 ; a⏎'])
    assert.equal(without(odd), odd)
})

describe('Node’s own reading, to which sessions are held', () => {
  const summary = async (text: string): Promise<readonly string[]> => {
    const { requests: all, refused } = await read(wire(text))
    const lines = all.map(({ method, target, body, isComplete }) =>
      [method, target, shown(body), ...(isComplete ? [] : ['incomplete'])].join(' '),
    )
    return refused === undefined ? lines : [...lines, refused]
  }

  test('has all requests in a row, with their bodies', async () =>
    assert.deepEqual(
      await summary(
        'POST /1 HTTP/1.1⏎Host: x⏎Content-Length: 2⏎⏎abPOST /2 HTTP/1.1⏎Host: x⏎Transfer-Encoding: chunked⏎⏎1⏎c⏎1⏎d⏎0⏎⏎',
      ),
      ['POST /1 ab', 'POST /2 cd'],
    ))

  test('goes on behind an upgrade, as if the server had refused it', async () =>
    assert.deepEqual(
      await summary(
        'GET /1 HTTP/1.1⏎Host: x⏎Connection: upgrade⏎Upgrade: x⏎⏎GET /2 HTTP/1.1⏎Host: x⏎⏎GET /3 HTTP/1.1⏎',
      ),
      ['GET /1 ', 'GET /2 ', 'HPE_INVALID_EOF_STATE'],
    ))

  test('says what it refuses', async () => {
    const refused = async (text: string): Promise<string | undefined> => (await summary(text)).at(-1)
    assert.equal(await refused('GET / HTTP/1.1⏎⏎'), 'no Host')
    assert.equal(await refused('BREW / HTTP/1.1⏎Host: x⏎⏎'), 'HPE_INVALID_METHOD')
    assert.equal(await refused('GET / HTTP/1.1⏎Host: x⏎Expect: jam⏎⏎'), 'an expectation')
    assert.equal(await refused('CONNECT x:1 HTTP/1.1⏎Host: x⏎⏎'), 'CONNECT')
    assert.match((await refused('GET / HTTP/1.1⏎Host: x⏎A : 1⏎⏎')) ?? '', /^HPE_/)
    assert.deepEqual(await summary('POST / HTTP/1.1⏎Host: x⏎Content-Length: 5⏎⏎abc'), [
      'POST / abc incomplete',
      'HPE_INVALID_EOF_STATE',
    ])
  })

  test('knows whether bytes are one request, no less and no more', async () => {
    const one = 'POST / HTTP/1.1⏎Host: x⏎Content-Length: 2⏎⏎ab'
    assert.equal((await readOne(wire(one)))?.target, '/')
    for (const other of [one.slice(0, -1), `${one}⏎`, `${one}c`, one + one])
      assert.equal(await readOne(wire(other)), undefined, other)
  })
})
