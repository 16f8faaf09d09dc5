/** `rest` links: a provider that comes late, never, or is asked by more than it can take at once. */
import assert from 'node:assert/strict'
import { eventually, staysTrue } from '../support/eventually.ts'
import { startHttpPeer } from '../support/http-peer.ts'
import {
  get,
  gotten,
  head,
  LED,
  LED_SOCKET,
  led,
  onItsOwn,
  onOneSite,
  refusalIn,
  refuses,
  SERVED,
  SERVED_SOCKET,
} from '../support/rest.ts'

onOneSite(
  'a provider that is not there yet',
  {
    'is waited for, and then gets the request as if it had always been there': async site => {
      const line = await site.client.line(SERVED)
      await line.write(get('/early'))
      await staysTrue('nothing is answered', 300, async () => (await line.heard()).bytes === 0)
      await site.provider.listen('served', SERVED_SOCKET)
      await site.provider.serve('served', 'http')
      assert.match((await line.hears('"}\n')).text, /^HTTP\/1\.1 200 OK/)
      assert.equal((await site.provider.recorded('served'))[0]?.text, gotten('/early'))
    },

    'is waited for where it left a socket behind, too': async site => {
      await site.provider.listen('crashed', LED_SOCKET)
      await site.provider.close('crashed')
      const line = await site.client.line(LED)
      await line.write(get('/early'))
      await staysTrue('nothing is answered', 100, async () => (await line.heard()).bytes === 0)
      await site.provider.listen('led', LED_SOCKET, { replace: true })
      const upstream = await site.provider.accepts('led')
      assert.equal((await upstream.hears('\r\n\r\n')).text, gotten('/early'))
      await site.provider.close('led')
    },

    'is not waited for longer than a client may wait': async site => {
      const line = await site.client.line(LED)
      const started = Date.now()
      await line.write(get('/never'))
      const { text } = await line.hearsToEnd()
      const tookMs = Date.now() - started
      assert.deepEqual(refusalIn(text), { status: 503, reason: 'provider-unreachable' })
      assert.ok(tookMs >= 1500 && tookMs < 6000, `after ${tookMs} ms`)
    },

    'is waited for by a request that ends in time when its link goes': async site => {
      const line = await site.client.line(LED)
      await line.write(get('/1'))
      await staysTrue('it waits', 100, async () => (await line.heard()).bytes === 0)
      site.ctrl.serve([site.entries.served])
      site.daemon.signal('SIGHUP')
      const { text } = await line.hearsToEnd()
      if (text !== '') assert.deepEqual(refusalIn(text), { status: 503, reason: 'provider-unreachable' })
    },

    'costs no garbage, and no client that says nothing, a try': async site => {
      await refuses(site, 'BAD\r\n\r\n', { status: 400, reason: 'request-line' })
    },
  },
  { absent: true },
)

onItsOwn(
  '300 clients at once are all served by a provider with a backlog of 5',
  async site => {
    const asking = site.client.askMany(LED, head('GET /info HTTP/1.0'), 300)
    await eventually('the backlog is full', () => site.provider.backlogIsFull(LED_SOCKET))
    await site.provider.serve('led', 'http')
    const answers = await asking
    const [[answer = '', count] = [], ...others] = Object.entries(answers)
    assert.deepEqual(others, [])
    assert.equal(count, 300)
    assert.match(answer, /"client": "app", "role": "any"/)
  },
  { backlog: 5 },
)

onItsOwn(
  'a provider that never takes its connections is told of, and harms no other link',
  async site => {
    const { client, provider } = site
    await eventually('the backlog is full', () => provider.backlogIsFull(LED_SOCKET))
    const stuck = await client.line(LED)
    await stuck.write(get('/1'))
    const other = await client.line(SERVED)
    for (let count = 1; count <= 20; count += 1) {
      await other.write(get('/2'))
      await other.hears('"}\n', count)
    }
    const { text } = await stuck.hearsToEnd()
    assert.deepEqual(refusalIn(text), { status: 503, reason: 'provider-unreachable' })
  },
  { args: ['--rest-backlog-timeout', '500'], backlog: 0 },
)

onItsOwn(
  'a provider that dies while it answers leaves what it said, and its successor is asked next',
  async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    const cut = `${head('HTTP/1.1 200 OK', 'Content-Length: 10')}four`
    await upstream.write(cut)
    await consumer.hears('four')
    await site.provider.kill()
    assert.equal((await consumer.hearsToEnd()).text, cut)
    const waiting = await site.client.line(LED)
    await waiting.write(get('/2'))
    const successor = site.adopt(await startHttpPeer(site.svc))
    await successor.listen('led', LED_SOCKET, { replace: true })
    const next = await successor.accepts('led')
    assert.equal((await next.hears('\r\n\r\n')).text, gotten('/2'))
  },
)

onItsOwn('a provider that moves is asked where it is now', async site => {
  const { client, provider, entries } = site
  await provider.listen('other', '/run/svc/other.sock')
  site.ctrl.serve([entries.served, { ...entries.led, socket: '/run/svc/other.sock' }])
  await site.ctrl.askedAgain(2)
  const line = await client.line(LED)
  await line.write(get('/1'))
  const upstream = await provider.accepts('other')
  assert.equal((await upstream.hears('\r\n\r\n')).text, gotten('/1'))
})
