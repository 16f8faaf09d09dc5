/** `rest` links: answers come as the provider gave them, each to its own request; what is no answer is never taken for one. */
import assert from 'node:assert/strict'
import { staysTrue } from '../support/eventually.ts'
import type { Line } from '../support/http-peer.ts'
import {
  get,
  gotten,
  head,
  identified,
  isLeft,
  led,
  onOneSite,
  refusalIn,
  type Site,
} from '../support/rest.ts'

const OK = head('HTTP/1.1 200 OK', 'Content-Length: 2')
const POST_4 = head('POST /1 HTTP/1.1', 'Host: x', 'Content-Length: 4')

/** What the provider says to a GET, and then closes: all that the consumer hears. */
const answeredWith = async (site: Site, answer: string, request = get('/1')): Promise<string> => {
  const { consumer, upstream } = await led(site, request)
  if (answer !== '') await upstream.write(answer)
  await upstream.close()
  return (await consumer.hearsToEnd()).text
}

/** A first exchange, as any. */
const once = async (consumer: Line, upstream: Line): Promise<string> => {
  await upstream.write(`${OK}ok`)
  return (await consumer.hears(`${OK}ok`)).text
}

onOneSite('answers over a rest link', {
  'a request goes on only after the one before it was answered': async site => {
    const { consumer, upstream, got } = await led(site, `${POST_4}wifi${get('/2')}`, 'wifi')
    const first = `${identified('POST /1 HTTP/1.1', 'Host: x', 'Content-Length: 4')}wifi`
    assert.equal(got, first)
    await staysTrue('it has only the first', 100, async () => (await upstream.heard()).text === first)
    await upstream.write(`${OK}ok`)
    assert.equal((await upstream.hears('\r\n\r\n', 2)).text, first + gotten('/2'))
    await upstream.write(`${OK}OK`)
    assert.equal((await consumer.hears('OK', 3)).text, `${OK}ok${OK}OK`)
  },

  'an answer to a HEAD has no body, whatever length it tells': async site => {
    const { consumer, upstream } = await led(site, head('HEAD /1 HTTP/1.1', 'Host: x') + get('/2'))
    const answer = head('HTTP/1.1 200 OK', 'Content-Length: 99')
    await upstream.write(answer)
    await upstream.hears('\r\n\r\n', 2)
    await upstream.write(`${OK}ok`)
    assert.equal((await consumer.hears('ok')).text, `${answer}${OK}ok`)
  },

  '204 and 304 have no body either': async site => {
    for (const status of ['204 No Content', '304 Not Modified']) {
      const { consumer, upstream } = await led(site, get('/1') + get('/2'))
      const answer = head(`HTTP/1.1 ${status}`, 'Content-Length: 99')
      await upstream.write(answer)
      await upstream.hears('\r\n\r\n', 2)
      await upstream.write(`${OK}ok`)
      assert.equal((await consumer.hears('ok')).text, `${answer}${OK}ok`)
    }
  },

  'every byte of an answer comes as it was given': async site => {
    const answer =
      'HTTP/1.1 299  Odd \xe9\r\nx-pv-client: me\r\nFoo:bar\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '4;x=y\r\nwi\0i\r\n000\r\nTrailer: 1\r\n\r\n'
    const { consumer, upstream } = await led(site, get('/1') + get('/2'))
    for (const piece of answer.split(/(?<=[\ri:])/)) await upstream.write(piece)
    await upstream.hears('\r\n\r\n', 2)
    await upstream.write(`${OK}ok`)
    assert.equal((await consumer.hears('ok')).text, `${answer}${OK}ok`)
  },

  'an answer without a length ends where the provider closes': async site => {
    const answer = `${head('HTTP/1.1 200 OK', 'A: 1')}some bytes`
    assert.equal(await answeredWith(site, answer), answer)
  },

  'interim answers come before the final one': async site => {
    const early = head('HTTP/1.1 103 Early Hints', 'Link: </a>')
    const { consumer, upstream } = await led(site, get('/1'))
    await upstream.write(early)
    assert.equal((await consumer.hears('\r\n\r\n')).text, early)
    await upstream.write(`${early}${OK}ok`)
    assert.equal((await consumer.hears('ok')).text, `${early}${early}${OK}ok`)
  },

  'a consumer of HTTP/1.0 gets only the final one': async site => {
    const early = head('HTTP/1.1 103 Early Hints')
    const text = await answeredWith(site, `${early}${early}${OK}ok`, head('GET /1 HTTP/1.0'))
    assert.equal(text, `${OK}ok`)
  },

  'a body that waits for 100 Continue is sent after it': async site => {
    const fields = ['Host: x', 'Content-Length: 4', 'Expect: 100-continue']
    const { consumer, upstream, got } = await led(site, head('POST /1 HTTP/1.1', ...fields))
    assert.equal(got, identified('POST /1 HTTP/1.1', ...fields))
    await upstream.write(head('HTTP/1.1 100 Continue'))
    assert.equal((await consumer.hears('\r\n\r\n')).text, head('HTTP/1.1 100 Continue'))
    await consumer.write('wifi')
    await upstream.hears('wifi')
    assert.match(await once(consumer, upstream), /ok$/)
  },

  'a body that waits for 100 Continue is not waited for after another answer': async site => {
    const fields = ['Host: x', 'Content-Length: 4', 'Expect: 100-continue']
    const { consumer, upstream } = await led(site, head('POST /1 HTTP/1.1', ...fields))
    const answer = head('HTTP/1.1 401 Unauthorized', 'Content-Length: 0')
    await upstream.write(answer)
    assert.deepEqual((({ text, ended }) => ({ text, ended }))(await consumer.hearsToEnd()), {
      text: answer,
      ended: 'half-close',
    })
    await isLeft(upstream)
    // What comes now is what is left of the body, never a request.
    await consumer.write(get('/smuggled'))
    assert.ok(!(await upstream.hearsToEnd()).text.includes('smuggled'))
  },

  'a provider that closes without a byte is told of as a bad gateway': async site => {
    assert.deepEqual(refusalIn(await answeredWith(site, '')), { status: 502, reason: 'provider-closed' })
  },

  'where it answered before on that connection the consumer may try again: it gets nothing': async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    const first = await once(consumer, upstream)
    await consumer.write(get('/2'))
    await upstream.hears('\r\n\r\n', 2)
    await upstream.close()
    assert.equal((await consumer.hearsToEnd()).text, first)
  },

  'an answer that is cut short stays as it is': async site => {
    for (const answer of [
      `${head('HTTP/1.1 200 OK', 'Content-Length: 10')}four`,
      `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}4\r\nfour\r\n`,
      `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}4\r\nfour\r\n0\r\n`,
    ]) {
      assert.equal(await answeredWith(site, answer), answer)
    }
  },

  'an answer that nobody asked for is never delivered': async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    const unasked = head('HTTP/1.1 200 OK', 'Content-Length: 6', 'X-Unasked: 1')
    await upstream.write(`${OK}ok${unasked}poison`)
    const { text } = await consumer.hearsToEnd()
    assert.equal(text, `${OK}ok`)
    await isLeft(upstream)
  },

  'nor one that comes while nothing is asked': async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    const first = await once(consumer, upstream)
    await upstream.write(`${OK}no`)
    assert.equal((await consumer.hearsToEnd()).text, first)
    await isLeft(upstream)
  },

  'a provider that goes while nothing is asked takes its consumer along': async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    const first = await once(consumer, upstream)
    await upstream.close()
    assert.equal((await consumer.hearsToEnd()).text, first)
  },

  'what is no HTTP is a bad gateway': async site => {
    for (const nonsense of [
      'SSH-2.0-OpenSSH_9.2\r\n',
      `${head('HTTP/1.1 200 OK', 'Content-Length: 2', 'Transfer-Encoding: chunked')}ok`,
      `${head('HTTP/1.1 200 OK', 'Content-Length: 2', 'Content-Length: 3')}ok`,
      head('HTTP/1.1 101 Switching Protocols', 'Upgrade: h2c', 'Connection: Upgrade'),
      head('HTTP/2 200', 'Content-Length: 2'),
      `HTTP/1.1 200 OK\r\nA: ${'a'.repeat(70_000)}`,
    ]) {
      const { consumer, upstream } = await led(site, get('/1'))
      await upstream.write(nonsense)
      const { text } = await consumer.hearsToEnd()
      assert.deepEqual(
        { nonsense, ...refusalIn(text) },
        { nonsense, status: 502, reason: 'provider-bad-response' },
      )
      await isLeft(upstream)
    }
  },

  'an answer to an upload that comes early does not stop it': async site => {
    const { consumer, upstream } = await led(site, `${POST_4}wi`, 'wi')
    const answer = head('HTTP/1.1 200 OK', 'Content-Length: 4')
    await upstream.write(`${answer}go`)
    await consumer.hears('go')
    await consumer.write('fi')
    assert.match((await upstream.hears('wifi')).text, /wifi$/)
    await upstream.write('od')
    assert.equal((await consumer.hears('good')).text, `${answer}good`)
  },

  'an upload of 20 MB that is refused early hears why': async site => {
    const size = 20_000_000
    const request = head('POST /1 HTTP/1.1', 'Host: x', `Content-Length: ${size}`)
    const { consumer, upstream } = await led(site, request)
    const uploading = site.client.pour(consumer.name, size)
    await upstream.hearsBody(100_000)
    const answer = `${head('HTTP/1.1 413 Content Too Large', 'Content-Length: 4', 'Connection: close')}much`
    await upstream.write(answer)
    await upstream.close()
    const { text } = await consumer.hearsToEnd()
    assert.equal(text, answer)
    // Its writes did not fail: clients that fail at writing do not read.
    assert.equal((await uploading).bytes, size)
  },
})
