/**
 * `rest` links: who has only said all is answered in full, who is gone frees the provider, and no connection outlives the
 * identity it brings.
 */
import assert from 'node:assert/strict'
import { eventually, staysTrue } from '../support/eventually.ts'
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
  onOneSite,
  refusalIn,
  SERVED,
  type Site,
} from '../support/rest.ts'
import { exists } from '../support/scenario.ts'

const BODY = `${head('POST /1 HTTP/1.1', 'Host: x', 'Content-Length: 4')}wifi`
const CUT_BODY = head('POST /1 HTTP/1.1', 'Host: x', 'Content-Length: 10')

onOneSite('ends of a rest connection', {
  'a half-close is not passed on, and does not cut the answer': async site => {
    const { consumer, upstream } = await led(site, BODY, 'wifi')
    await consumer.halfClose()
    await staysTrue('the provider sees no end', 100, async () => (await upstream.state()) === 'open')
    await upstream.write(OK)
    assert.equal((await consumer.hearsToEnd()).text, OK)
    await isLeft(upstream)
  },

  'requests that were there before a half-close are all answered': async site => {
    const { consumer, upstream } = await led(site, get('/1') + get('/2') + get('/3'))
    await consumer.halfClose()
    for (const count of [1, 2, 3]) {
      await upstream.hears('\r\n\r\n', count)
      await upstream.write(OK)
    }
    assert.equal((await consumer.hearsToEnd()).text, OK.repeat(3))
    assert.equal((await upstream.hearsToEnd()).text, gotten('/1') + gotten('/2') + gotten('/3'))
  },

  'a half-closed consumer gets a large answer to its last byte': async site => {
    const size = 10_000_000
    const { consumer, upstream } = await led(site, get('/1'))
    await consumer.halfClose()
    await upstream.write(head('HTTP/1.1 200 OK', `Content-Length: ${size}`))
    const [{ sha256 }, { body }] = await Promise.all([
      site.provider.pour(upstream.name, size),
      consumer.hearsToEnd(),
    ])
    assert.deepEqual(body, { bytes: size, sha256 })
  },

  'a consumer that is gone while the provider works on its request frees the provider': async site => {
    const { consumer, upstream } = await led(site, BODY, 'wifi')
    await consumer.close()
    await isLeft(upstream)
    assert.match((await upstream.hearsToEnd()).text, /wifi$/)
  },

  'a consumer that is gone while its answer comes frees the provider': async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    await upstream.write(head('HTTP/1.1 200 OK', 'Content-Length: 10'))
    await consumer.hears('\r\n\r\n')
    await consumer.close()
    await isLeft(upstream)
  },

  'a consumer that is gone within its request leaves it incomplete': async site => {
    const { consumer, upstream } = await led(site, `${CUT_BODY}wi`, 'wi')
    await consumer.close()
    await isLeft(upstream)
    assert.match((await upstream.hearsToEnd()).text, /\r\n\r\nwi$/)
  },

  'a request whose consumer is gone before the provider takes it still reaches it whole': async site => {
    const consumer = await site.client.line(LED)
    await consumer.write(BODY)
    await consumer.close()
    const upstream = await site.provider.accepts('led')
    const { text, ended } = await upstream.hearsToEnd()
    assert.deepEqual(
      [text, ended],
      [`${identified('POST /1 HTTP/1.1', 'Host: x', 'Content-Length: 4')}wifi`, 'close'],
    )
  },

  'HTTP/1.0 and Connection: close end after their answer': async site => {
    for (const request of [
      head('GET /1 HTTP/1.0', 'Connection: keep-alive'),
      get('/1', 'Connection: close'),
    ]) {
      const { consumer, upstream } = await led(site, request)
      await upstream.write(OK)
      assert.equal((await consumer.hearsToEnd()).text, OK)
      await isLeft(upstream)
    }
  },

  'an answer with Connection: close ends the connection after it': async site => {
    const answer = `${head('HTTP/1.1 200 OK', 'Content-Length: 2', 'Connection: close')}ok`
    const { consumer, upstream } = await led(site, get('/1'))
    await upstream.write(answer)
    assert.equal((await consumer.hearsToEnd()).text, answer)
    await isLeft(upstream)
  },

  'a consumer that goes on writing after a refusal reads it in full': async site => {
    const line = await site.client.line(SERVED)
    await line.write(`BAD\r\n\r\n`)
    await line.hears('}')
    const rest = await site.client.pour(line.name, 5_000_000)
    assert.equal(rest.bytes, 5_000_000)
    const { text, ended } = await line.hearsToEnd()
    assert.deepEqual([refusalIn(text).status, ended], [400, 'half-close'])
  },
})

/** One exchange done on a connection that then is idle, and one that is running on another. */
const idleAndBusy = async (site: Site) => {
  const idle = await led(site, get('/idle'))
  await idle.upstream.write(OK)
  await idle.consumer.hears(OK)
  return { idle, busy: await led(site, get('/busy')) }
}

/** Until the graph's links are as they were. */
const withBothAgain = async ({ ctrl, daemon, entries, links }: Site): Promise<void> => {
  const seen = daemon.statesOf(links.led).length
  ctrl.serve([entries.served, entries.led])
  daemon.signal('SIGHUP')
  await daemon.reachesAgain(links.led, 'mediating', seen)
}

const GRACE_MS = 1200

onOneSite(
  'a rest link that goes, or changes its role,',
  {
    'lets its exchanges end, and nothing else': async site => {
      const { idle, busy } = await idleAndBusy(site)
      site.ctrl.serve([site.entries.served])
      site.daemon.signal('SIGHUP')
      assert.equal((await idle.consumer.hearsToEnd()).text, OK)
      await isLeft(idle.upstream)
      await eventually('its socket is gone', () => !exists(site.app.path(LED)))
      assert.equal(await busy.upstream.state(), 'open')
      await busy.upstream.write(OK)
      assert.equal((await busy.consumer.hears('ok')).text, OK)
      await busy.consumer.hearsToEnd()
      await isLeft(busy.upstream)
      await withBothAgain(site)
    },

    'cuts an exchange that takes longer than it is given': async site => {
      const { busy } = await idleAndBusy(site)
      const started = Date.now()
      site.ctrl.serve([site.entries.served])
      site.daemon.signal('SIGHUP')
      await isLeft(busy.upstream)
      const tookMs = Date.now() - started
      assert.ok(tookMs >= GRACE_MS - 100, `cut after ${tookMs} ms`)
      await busy.consumer.hearsToEnd()
      await withBothAgain(site)
    },

    'brings the new role over new connections, and the old one over none': async site => {
      const { idle, busy } = await idleAndBusy(site)
      const { served, led: entry } = site.entries
      const seen = site.daemon.statesOf(site.links.led).length
      site.ctrl.serve([served, { ...entry, role: 'admin' }])
      site.daemon.signal('SIGHUP')
      await idle.consumer.hearsToEnd()
      await site.daemon.reachesAgain(site.links.led, 'mediating', seen)
      const { got } = await led(site, get('/new'))
      assert.equal(got, head('GET /new HTTP/1.1', 'X-PV-Client: app', 'X-PV-Role: admin', 'Host: x'))
      await busy.upstream.write(OK)
      assert.equal((await busy.consumer.hears('ok')).text, OK)
      await busy.consumer.hearsToEnd()
      assert.equal((await busy.upstream.hearsToEnd()).text, gotten('/busy'))
    },
  },
  { args: ['--rest-grace', `${GRACE_MS}`] },
)

onItsOwn('a daemon that ends lets exchanges end, for as long as it has, and nothing else', async site => {
  const { idle, busy } = await idleAndBusy(site)
  const endless = await led(site, get('/endless'))
  const started = Date.now()
  site.daemon.signal('SIGTERM')
  await idle.consumer.hearsToEnd()
  await busy.upstream.write(OK)
  assert.equal((await busy.consumer.hearsToEnd()).text, OK)
  assert.equal(await site.daemon.ended(), 0)
  const tookMs = Date.now() - started
  assert.ok(tookMs >= 900, `it ended after ${tookMs} ms`)
  await endless.consumer.hearsToEnd()
  await isLeft(endless.upstream)
})
