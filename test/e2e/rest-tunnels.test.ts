/** `rest` links: an upgrade makes a tunnel only where the provider agrees to what it was offered, and nothing of HTTP may. */
import assert from 'node:assert/strict'
import type { Line } from '../support/http-peer.ts'
import {
  get,
  gotten,
  head,
  identified,
  isLeft,
  type Led,
  led,
  onOneSite,
  refusalIn,
  type Site,
} from '../support/rest.ts'

const UPGRADE = ['GET /chat HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade'] as const
const [LINE, ...FIELDS] = UPGRADE
const SWITCHED = head('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade')

/** A tunnel, ready at both ends. */
const tunnel = async (site: Site): Promise<Led> => {
  const both = await led(site, head(...UPGRADE))
  await both.upstream.write(SWITCHED)
  await both.consumer.hears('\r\n\r\n')
  return both
}

/** What came after the head. */
const after = async (line: Line, mark: string): Promise<string> =>
  (await line.hears(mark)).text.split('\r\n\r\n').slice(1).join('\r\n\r\n')

onOneSite('upgrades over a rest link', {
  'what follows the request waits for the 101, and then bytes go both ways untouched': async site => {
    const { consumer, upstream, got } = await led(site, `${head(...UPGRADE)}abc`)
    assert.equal(got, identified(LINE, ...FIELDS))
    // Not before: bytes of a protocol that the provider has not agreed to.
    assert.equal((await upstream.heard()).text, got)
    await upstream.write(`${SWITCHED}def`)
    assert.equal((await consumer.hears('def')).text, `${SWITCHED}def`)
    assert.equal((await upstream.hears('abc')).text, `${got}abc`)
    const bytes = `${get('/inner', 'X-PV-Client: root')}\0\n\xff end`
    await consumer.write(bytes)
    assert.equal(await after(upstream, 'end'), `abc${bytes}`)
    await upstream.write(bytes)
    assert.equal(await after(consumer, 'end'), `def${bytes}`)
  },

  'a half-close passes, and the other direction goes on': async site => {
    for (const first of ['consumer', 'upstream'] as const) {
      const both = await tunnel(site)
      const [one, other] =
        first === 'consumer' ? [both.consumer, both.upstream] : [both.upstream, both.consumer]
      await one.write('last words')
      await one.halfClose()
      const { text, ended } = await other.hearsToEnd()
      assert.match(text, /last words$/)
      assert.equal(ended, 'half-close')
      await other.write('answer')
      assert.match((await one.hears('answer')).text, /answer$/)
      await other.close()
      await one.hearsToEnd()
    }
  },

  'a full close of either end reaches the other, after all that was said': async site => {
    for (const first of ['consumer', 'upstream'] as const) {
      const both = await tunnel(site)
      const [one, other] =
        first === 'consumer' ? [both.consumer, both.upstream] : [both.upstream, both.consumer]
      await one.write('last words')
      await one.close()
      const { text } = await other.hearsToEnd()
      assert.match(text, /last words$/)
      await isLeft(other)
    }
  },

  'a consumer that says all it has before the 101, and half-closes, is heard after it': async site => {
    for (const said of ['', 'all there is']) {
      const { consumer, upstream, got } = await led(site, head(...UPGRADE) + said)
      await consumer.halfClose()
      await upstream.write(SWITCHED)
      const { text, ended } = await upstream.hearsToEnd()
      assert.deepEqual([text, ended], [got + said, 'half-close'])
      await upstream.write('answer')
      await upstream.close()
      assert.equal((await consumer.hearsToEnd()).text, `${SWITCHED}answer`)
    }
  },

  'a consumer that is refused its tunnel, and half-closed before, gets what it asked for next':
    async site => {
      const { consumer, upstream } = await led(site, head(...UPGRADE) + get('/2'))
      await consumer.halfClose()
      const refused = head('HTTP/1.1 403 Forbidden', 'Content-Length: 0')
      await upstream.write(refused)
      assert.match((await upstream.hears('\r\n\r\n', 2)).text, /GET \/2 /)
      const ok = head('HTTP/1.1 200 OK', 'Content-Length: 0')
      await upstream.write(ok)
      assert.equal((await consumer.hearsToEnd()).text, refused + ok)
    },

  'a provider that switches, talks and goes in one go is heard in full': async site => {
    const { consumer, upstream } = await led(site, `${head(...UPGRADE)}unread`)
    await upstream.write(`${SWITCHED}bye`)
    await upstream.close()
    assert.equal((await consumer.hearsToEnd()).text, `${SWITCHED}bye`)
  },

  'bulk goes through in both directions at once, bit by bit': async site => {
    const { consumer, upstream } = await tunnel(site)
    const size = 30_000_000
    const [up, down, above, below] = await Promise.all([
      site.client.pour(consumer.name, size),
      site.provider.pour(upstream.name, size),
      site.provider.take(upstream.name, size),
      site.client.take(consumer.name, size),
    ])
    assert.deepEqual([above.sha256, below.sha256], [up.sha256, down.sha256])
  },

  'after another answer what was held is a request, with its identity': async site => {
    const { consumer, upstream, got } = await led(site, head(...UPGRADE) + get('/2', 'X-PV-Client: root'))
    const refused = head('HTTP/1.1 403 Forbidden', 'Content-Length: 2')
    await upstream.write(`${refused}no`)
    assert.equal((await upstream.hears('\r\n\r\n', 2)).text, got + gotten('/2'))
    const ok = head('HTTP/1.1 200 OK', 'Content-Length: 2')
    await upstream.write(`${ok}ok`)
    assert.equal((await consumer.hears('ok')).text, `${refused}no${ok}ok`)
  },

  'after another answer what was held is refused where it is no request': async site => {
    const { consumer, upstream, got } = await led(site, `${head(...UPGRADE)}\x81\x00\r\n\r\n`)
    const refused = head('HTTP/1.1 403 Forbidden', 'Content-Length: 2')
    await upstream.write(`${refused}no`)
    const { text } = await consumer.hearsToEnd()
    assert.ok(text.startsWith(`${refused}no`), text)
    assert.equal(refusalIn(text.slice(refused.length + 2)).status, 400)
    assert.equal((await upstream.hearsToEnd()).text, got)
  },

  'HTTP/2 is not offered to the provider, nor taken from it': async site => {
    const h2c = get('/2', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk', 'Connection: Upgrade, HTTP2-Settings')
    const { consumer, upstream, got } = await led(site, h2c)
    assert.equal(got, gotten('/2'))
    await upstream.write(head('HTTP/1.1 101 Switching Protocols', 'Upgrade: h2c', 'Connection: Upgrade'))
    const { text } = await consumer.hearsToEnd()
    assert.deepEqual(refusalIn(text), { status: 502, reason: 'provider-bad-response' })
    await isLeft(upstream)
  },

  'of several offers those that would be HTTP again are left out': async site => {
    const request = head(
      'GET /chat HTTP/1.1',
      'Host: x',
      'Upgrade: H2C, websocket, TLS/1.0, HTTP/2.0',
      'Connection: keep-alive, Upgrade',
    )
    const { got } = await led(site, request)
    assert.match(got, /\r\nUpgrade: websocket\r\n/)
    assert.match(got, /\r\nConnection: (keep-alive, upgrade|upgrade, keep-alive)\r\n\r\n$/i)
  },

  'a 101 to anything but what was offered is a bad gateway': async site => {
    for (const upgrade of ['Upgrade: h2c', 'Upgrade: websocket, h2c', 'Upgrade:', 'A: 1']) {
      const { consumer, upstream } = await led(site, head(...UPGRADE))
      await upstream.write(head('HTTP/1.1 101 Switching Protocols', upgrade, 'Connection: Upgrade'))
      const { text } = await consumer.hearsToEnd()
      assert.deepEqual(
        { upgrade, ...refusalIn(text) },
        { upgrade, status: 502, reason: 'provider-bad-response' },
      )
    }
  },

  'an Upgrade that Connection does not name is none': async site => {
    const { got } = await led(site, get('/chat', 'Upgrade: websocket'))
    assert.equal(got, gotten('/chat'))
  },

  'an upgrade of HTTP/1.0 is none': async site => {
    const [, ...fields] = UPGRADE
    const { got } = await led(site, head('GET /chat HTTP/1.0', ...fields))
    assert.equal(got, identified('GET /chat HTTP/1.0', 'Host: x'))
  },
})
