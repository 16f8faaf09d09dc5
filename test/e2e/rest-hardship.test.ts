/** `rest` links: ends that are in no order, in a hurry, or in no hurry at all, and pieces of every size. */
import assert from 'node:assert/strict'
import { staysTrue } from '../support/eventually.ts'
import {
  get,
  gotten,
  head,
  identified,
  isLeft,
  LED,
  led,
  OK,
  onItsOwn,
  onlyProbed,
  onOneSite,
  refusalIn,
  SERVED,
} from '../support/rest.ts'

const MB = 1_000_000
const UPGRADE = ['Upgrade: websocket', 'Connection: Upgrade']
const SWITCHED = head('HTTP/1.1 101 Switching Protocols', ...UPGRADE)

onOneSite('a rest link with ends in a hurry, or in none', {
  'consumers that send 5000 requests at once get 5000 answers in their order': async site => {
    const before = (await site.provider.recorded('served')).length
    const line = await site.client.line(SERVED)
    const targets = Array.from({ length: 5000 }, (_, index) => `/${index}`)
    const writing = line.write(targets.map(target => get(target)).join('')).then(() => line.halfClose())
    const { bytes, body, ended } = await line.hearsToEnd()
    await writing
    const [connection, ...others] = await site.provider.recorded('served', before)
    assert.deepEqual([others.length, ended], [0, 'close'])
    const bytesOfAll = targets.reduce((sum, target) => sum + gotten(target).length, 0)
    assert.equal(connection?.bytes, bytesOfAll)
    assert.equal(connection.sent.length, 5000)
    assert.ok(body.bytes > 5000 * 100 && bytes > body.bytes)
    assert.ok(
      connection.text.startsWith(
        targets
          .slice(0, 100)
          .map(target => gotten(target))
          .join(''),
      ),
    )
  },

  'consumers that are gone after several requests leave no half a request behind': async site => {
    const { consumer, upstream } = await led(site, get('/1') + get('/2') + get('/3'))
    await consumer.close()
    assert.equal((await upstream.hearsToEnd()).text, gotten('/1'))
    await isLeft(upstream)
  },

  'consumers that do not wait for 100 Continue are not held up': async site => {
    const request = head('POST /1 HTTP/1.1', 'Host: x', 'Content-Length: 4', 'Expect: 100-continue')
    const { consumer, upstream } = await led(site, `${request}wifi`, 'wifi')
    await upstream.write(head('HTTP/1.1 100 Continue') + OK)
    assert.equal((await consumer.hears('ok')).text, head('HTTP/1.1 100 Continue') + OK)
  },

  'consumers that talk before the tunnel is there are held, and lose nothing': async site => {
    const { consumer, upstream, got } = await led(site, get('/chat', ...UPGRADE))
    const pouring = site.client.pour(consumer.name, 10 * MB)
    // What it may hold is full long before this.
    await staysTrue('the provider gets none of it', 200, async () => (await upstream.heard()).text === got)
    await upstream.write(SWITCHED)
    const [{ sha256 }, { body }] = await Promise.all([pouring, upstream.hearsBody(10 * MB)])
    assert.deepEqual(body, { bytes: 10 * MB, sha256 })
  },

  'consumers that upgrade with a body get their tunnel after it': async site => {
    const request = head('POST /chat HTTP/1.1', 'Host: x', 'Content-Length: 4', ...UPGRADE)
    const { consumer, upstream } = await led(site, `${request}wi`, 'wi')
    await consumer.write('fi')
    await upstream.hears('wifi')
    await upstream.write(SWITCHED)
    await consumer.hears('\r\n\r\n')
    await consumer.write('through')
    assert.match((await upstream.hears('through')).text, /wifithrough$/)
  },
  'consumers that send a chunked body byte by byte are understood': async site => {
    const before = (await site.provider.recorded('served')).length
    const line = await site.client.line(SERVED)
    await line.write(head('POST /1 HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked'))
    for (const byte of 'A;x="\\"y"\r\n0\r\n\r\n12345\r\n01;z\r\n!\r\n0\r\nB: 1\r\nx-pv-a: 1\r\n\r\n')
      await line.write(byte)
    assert.match((await line.hears('"}\n')).text, /"bytes": 11/)
    const [connection] = await site.provider.recorded('served', before)
    const [first, ...fields] = ['POST /1 HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked'] as const
    assert.equal(
      connection?.text,
      `${identified(first, ...fields)}A\r\n0\r\n\r\n12345\r\n01\r\n!\r\n0\r\nB: 1\r\n\r\n`,
    )
  },

  'consumers that read slowly hold up nobody but themselves, and are gone when they are': async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    await upstream.write(head('HTTP/1.1 200 OK', `Content-Length: ${50 * MB}`))
    const taken = await site.provider.fill(upstream.name, 200)
    assert.ok(taken < 4 * MB, `${taken} bytes were taken`)
    await consumer.close()
    await isLeft(upstream)
  },

  'consumers that say nothing cost the provider nothing': async site => {
    const before = (await site.provider.recorded('served')).length
    for (let count = 0; count < 50; count += 1) await (await site.client.line(SERVED)).write('GET / HT')
    await onlyProbed(site, before)
  },
  'providers that answer before they have read, and close, are heard': async site => {
    const consumer = await site.client.line(LED)
    const accepted = site.provider.accepts('led')
    await consumer.write(get('/1'))
    const upstream = await accepted
    await upstream.write(OK)
    await upstream.close()
    assert.equal((await consumer.hearsToEnd()).text, OK)
  },

  'providers that close without having read are told of as a bad gateway': async site => {
    const consumer = await site.client.line(LED)
    const accepted = site.provider.accepts('led')
    await consumer.write(get('/1'))
    await (await accepted).close()
    const { text } = await consumer.hearsToEnd()
    assert.deepEqual(refusalIn(text), { status: 502, reason: 'provider-closed' })
  },

  'providers that leave an upload of 20 MB without a word are told of, and the upload does not fail':
    async site => {
      const size = 20 * MB
      const { consumer, upstream } = await led(
        site,
        head('POST /1 HTTP/1.1', 'Host: x', `Content-Length: ${size}`),
      )
      const uploading = site.client.pour(consumer.name, size)
      await upstream.hearsBody(MB)
      await upstream.close()
      const { text } = await consumer.hearsToEnd()
      assert.deepEqual(refusalIn(text), { status: 502, reason: 'provider-closed' })
      assert.equal((await uploading).bytes, size)
    },

  'providers that end an answer without a length by a half-close have ended it': async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    const answer = `${head('HTTP/1.1 200 OK')}all there is`
    await upstream.write(answer)
    await upstream.halfClose()
    assert.equal((await consumer.hearsToEnd()).text, answer)
    await isLeft(upstream)
  },

  'providers that half-close after a whole answer are done': async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    await upstream.write(OK)
    await upstream.halfClose()
    assert.equal((await consumer.hearsToEnd()).text, OK)
    await isLeft(upstream)
  },

  'providers that never come to the point are told of as a bad gateway': async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    await upstream.write(head('HTTP/1.1 102 Processing').repeat(40))
    const { text } = await consumer.hearsToEnd()
    const interim = text.split(head('HTTP/1.1 102 Processing'))
    assert.ok(interim.length <= 33, `${interim.length - 1} interim answers`)
    assert.deepEqual(refusalIn(interim.at(-1) ?? ''), { status: 502, reason: 'provider-bad-response' })
    await isLeft(upstream)
  },

  'providers that answer a HEAD as chunked send no chunk': async site => {
    const { consumer, upstream } = await led(site, head('HEAD /1 HTTP/1.1', 'Host: x') + get('/2'))
    const answer = head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')
    await upstream.write(answer)
    assert.match((await upstream.hears('\r\n\r\n', 2)).text, /GET \/2/)
    await upstream.write(OK)
    assert.equal((await consumer.hears('ok')).text, answer + OK)
  },

  'providers that send an answer byte by byte are heard at once': async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    const answer = `${head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked')}3;a=b\r\nabc\r\n`
    await upstream.write(answer)
    assert.equal((await consumer.hears('abc\r\n')).text, answer)
    for (const byte of '2\r\nde\r\n0\r\n\r\n') await upstream.write(byte)
    await consumer.hears('0\r\n\r\n')
    await consumer.write(get('/2'))
    assert.match((await upstream.hears('\r\n\r\n', 2)).text, /GET \/2/)
  },

  // The last one: the container is gone afterwards.
  'a provider is free again when the container of its consumer dies': async site => {
    const { upstream } = await led(site, get('/1'))
    await site.app.kill()
    await isLeft(upstream)
  },
})

onItsOwn(
  'a daemon short of descriptors serves all of many clients in the end',
  async site => {
    const answers = await site.client.askMany(SERVED, get('/1', 'Connection: close'), 100)
    assert.deepEqual(Object.values(answers), [100])
    assert.match(Object.keys(answers)[0] ?? '', /"client": "app"/)
  },
  { mostDescriptors: 64 },
)
