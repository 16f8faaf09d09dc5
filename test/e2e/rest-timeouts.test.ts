/** `rest` links: whoever takes too long, at whatever, is told so and left, and nobody else notices. */
import assert from 'node:assert/strict'
import { staysTrue } from '../support/eventually.ts'
import type { Line } from '../support/http-peer.ts'
import {
  get,
  head,
  isLeft,
  led,
  OK,
  onItsOwn,
  onlyProbed,
  onOneSite,
  refusalIn,
  SERVED,
} from '../support/rest.ts'

const MB = 1_000_000
const TIMEOUT_MS = 600
/** Longer: what is answered in time has to be, on a machine that is slow. */
const RESPONSE_TIMEOUT_MS = 1000
const POST = ['POST /form HTTP/1.1', 'Host: x', 'Content-Length: 10'] as const

/** How a line ended that nobody ended: after the time that it had, and with these words. */
const timedOut = async (line: Line, since: number, status: number, reason: string): Promise<void> => {
  const { text } = await line.hearsToEnd()
  assert.deepEqual(refusalIn(text), { status, reason })
  const tookMs = Date.now() - since
  assert.ok(tookMs >= TIMEOUT_MS - 100, `after ${tookMs} ms`)
}

const timeouts = (ms: number, ...what: readonly string[]): readonly string[] =>
  what.flatMap(each => [`--rest-${each}-timeout`, `${ms}`])

onOneSite(
  'what takes too long on a rest link',
  {
    'is refused where it is a head, however steadily it drips': async site => {
      const before = (await site.provider.recorded('served')).length
      const started = Date.now()
      const [slow, other] = [await site.client.line(SERVED), await site.client.line(SERVED)]
      const dripping = slow.drip(get('/slow', `A: ${'a'.repeat(1000)}`), 10)
      await other.write(get('/fast', 'Connection: close'))
      assert.match((await other.hearsToEnd()).text, /"request": "GET \/fast/)
      assert.ok((await dripping) > 10)
      await timedOut(slow, started, 408, 'head-timeout')
      await onlyProbed(site, before + 1)
    },

    'is refused where it is the second head of a connection': async site => {
      const line = await site.client.line(SERVED)
      await line.write(get('/1'))
      const first = (await line.hears('"}\n')).text
      const started = Date.now()
      await line.write('GET /2')
      const { text } = await line.hearsToEnd()
      assert.deepEqual(refusalIn(text.slice(first.length)), { status: 408, reason: 'head-timeout' })
      assert.ok(Date.now() - started >= TIMEOUT_MS - 100)
    },

    'is closed without a word where there is no request': async site => {
      const unused = await site.client.line(SERVED)
      const { consumer, upstream } = await led(site, get('/1'))
      await upstream.write(OK)
      assert.equal((await consumer.hearsToEnd()).text, OK)
      await isLeft(upstream)
      assert.equal((await unused.hearsToEnd()).text, '')
    },

    'is refused where it is a body, and the provider is left': async site => {
      const started = Date.now()
      const { consumer, upstream } = await led(site, `${head(...POST)}wi`, 'wi')
      await timedOut(consumer, started, 408, 'body-timeout')
      await isLeft(upstream)
    },

    'is a gateway timeout where it is the answer': async site => {
      const started = Date.now()
      const { consumer, upstream } = await led(site, get('/1'))
      await timedOut(consumer, started, 504, 'response-timeout')
      await isLeft(upstream)
    },

    'is cut where it is the rest of an answer': async site => {
      const { consumer, upstream } = await led(site, get('/1'))
      const begun = `${head('HTTP/1.1 200 OK', 'Content-Length: 10')}four`
      await upstream.write(begun)
      assert.equal((await consumer.hearsToEnd()).text, begun)
      await isLeft(upstream)
    },

    'is cut where it is a provider that does not read, and the consumer has left': async site => {
      const { consumer, upstream } = await led(
        site,
        head('POST /1 HTTP/1.1', 'Host: x', `Content-Length: ${9 * MB}`),
      )
      await site.client.fill(consumer.name, 100)
      await consumer.close()
      await isLeft(upstream)
    },

    'goes on for as long as something moves': async site => {
      const { consumer, upstream } = await led(site, get('/1'))
      await upstream.write(head('HTTP/1.1 200 OK', 'Content-Length: 6'))
      await upstream.drip('.'.repeat(6), RESPONSE_TIMEOUT_MS / 4)
      assert.match((await consumer.hears('......')).text, /\.{6}$/)
    },

    'does not count in a tunnel': async site => {
      const upgrade = ['Upgrade: websocket', 'Connection: Upgrade']
      const { consumer, upstream } = await led(site, get('/chat', ...upgrade))
      await upstream.write(head('HTTP/1.1 101 Switching Protocols', ...upgrade))
      await consumer.hears('\r\n\r\n')
      await staysTrue(
        'it is open',
        1.2 * RESPONSE_TIMEOUT_MS,
        async () => (await consumer.state()) === 'open' && (await upstream.state()) === 'open',
      )
      await consumer.write('late')
      assert.match((await upstream.hears('late')).text, /late$/)
    },
  },
  {
    args: [...timeouts(TIMEOUT_MS, 'head', 'idle', 'body'), ...timeouts(RESPONSE_TIMEOUT_MS, 'response')],
  },
)

onItsOwn(
  'a consumer that has half-closed does not wait for ever',
  async site => {
    const started = Date.now()
    const { consumer, upstream } = await led(site, get('/1'))
    await consumer.halfClose()
    await timedOut(consumer, started, 504, 'response-timeout')
    await isLeft(upstream)
  },
  { args: timeouts(TIMEOUT_MS, 'half-closed') },
)
