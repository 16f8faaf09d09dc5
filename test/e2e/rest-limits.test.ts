/** `rest` links: what is slow, large, stuck or too many costs little, ends in time, and does not disturb the others. */
import assert from 'node:assert/strict'
import { release } from 'node:os'
import { eventually, staysTrue } from '../support/eventually.ts'
import type { Line } from '../support/http-peer.ts'
import { PeerRefused } from '../support/peer.ts'
import {
  get,
  head,
  isLeft,
  type Led,
  led,
  onItsOwn,
  onlyProbed,
  onOneSite,
  refusalIn,
  SERVED,
  type Site,
} from '../support/rest.ts'

const MB = 1_000_000
const TIMEOUT_MS = 600
/** Longer: what is answered in time has to be, on a machine that is slow. */
const RESPONSE_TIMEOUT_MS = 1000
const OK = `${head('HTTP/1.1 200 OK', 'Content-Length: 2')}ok`
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

onOneSite('large bodies over a rest link', {
  '100 MB down are what the provider sent, bit by bit': async site => {
    const before = (await site.provider.recorded('served')).length
    const line = await site.client.line(SERVED)
    await line.write(get(`/bytes/${100 * MB}`))
    const { body } = await line.hearsBody(100 * MB)
    const [connection] = await site.provider.recorded('served', before)
    assert.deepEqual([body.bytes, connection?.sent], [100 * MB, [body.sha256]])
    // The connection is good for more.
    await line.write(get('/next'))
    assert.equal((await line.hearsBody(100 * MB + 100)).ended, 'open')
  },

  '100 MB up are what the consumer sent, bit by bit': async site => {
    const line = await site.client.line(SERVED)
    await line.write(head('POST /large HTTP/1.1', 'Host: x', `Content-Length: ${100 * MB}`))
    const { sha256 } = await site.client.pour(line.name, 100 * MB)
    const { text } = await line.hears('"}\n')
    assert.ok(text.includes(`"bytes": ${100 * MB}, "sha256": "${sha256}"`), text)
    await line.write(get('/next'))
    assert.match((await line.hears('"}\n', 2)).text, /"request": "GET \/next/)
  },

  'of one chunk are as good as counted ones, both ways': async site => {
    const size = 20 * MB
    const chunk = `${size.toString(16)}\r\n`
    const end = '\r\n0\r\n\r\n'
    const fields = ['Host: x', 'Transfer-Encoding: chunked']
    const { consumer, upstream } = await led(site, head('POST /1 HTTP/1.1', ...fields) + chunk, chunk)
    const [up, taken] = await Promise.all([
      site.client.pour(consumer.name, size),
      site.provider.take(upstream.name, size),
    ])
    assert.equal(taken.sha256, up.sha256)
    await consumer.write(end)
    assert.ok((await upstream.hears(end)).text.endsWith(chunk + end))
    await upstream.write(head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked') + chunk)
    await consumer.hears(chunk)
    const [down, received] = await Promise.all([
      site.provider.pour(upstream.name, size),
      site.client.take(consumer.name, size),
    ])
    assert.equal(received.sha256, down.sha256)
    await upstream.write(end)
    await consumer.hears(end)
    await consumer.write(get('/next'))
    assert.match((await upstream.hears('HTTP/1.1', 2)).text, /GET \/next/)
  },

  'end where they end: what follows is a request, with its identity': async site => {
    const line = await site.client.line(SERVED)
    const size = 5 * MB
    await line.write(head('POST /large HTTP/1.1', 'Host: x', `Content-Length: ${size}`))
    await site.client.pour(line.name, size)
    await line.write(get('/next', 'X-PV-Client: root'))
    const { text } = await line.hears('"}\n', 2)
    assert.match(text, /"bytes": 5000000, .*"request": "GET \/next HTTP\/1.1", "client": "app"/s)
  },

  'end where they end: what follows an answer is not delivered': async site => {
    const size = 5 * MB
    const { consumer, upstream } = await led(site, get('/1'))
    await upstream.write(head('HTTP/1.1 200 OK', `Content-Length: ${size}`))
    const pouring = site.provider
      .pour(upstream.name, size)
      .then(() => upstream.write(head('HTTP/1.1 200 OK', 'Content-Length: 0')))
    const { body, ended } = await consumer.hearsToEnd()
    await pouring
    assert.deepEqual([body.bytes, ended], [size, 'half-close'])
  },

  'that their consumer leaves are incomplete for the provider': async site => {
    const { consumer, upstream } = await led(
      site,
      head('POST /1 HTTP/1.1', 'Host: x', `Content-Length: ${9 * MB}`),
    )
    const taken = await site.client.fill(consumer.name, 200)
    assert.ok(taken < 4 * MB, `${taken} bytes were taken`)
    await consumer.close()
    const { body, ended } = await upstream.hearsToEnd()
    assert.ok(body.bytes <= taken)
    assert.equal(ended, 'close')
  },

  'that nobody reads cost little memory, and others nothing': async site => {
    const other = await site.client.line(SERVED)
    await other.write(get('/warm'))
    await other.hears('"}\n')
    const before = site.daemon.anonymousMemory()
    const stuck: Led[] = []
    for (let count = 0; count < 20; count += 1) {
      const line = await site.client.line(SERVED)
      await line.write(get(`/bytes/${32 * MB}`))
      stuck.push({ consumer: line, upstream: line, got: '' })
    }
    await eventually('all of them have begun', async () => {
      const states = await Promise.all(stuck.map(({ consumer }) => site.client.queued(consumer.name)))
      return states.every(bytes => bytes > 10_000)
    })
    let slowest = 0
    for (let count = 2; count <= 20; count += 1) {
      const started = Date.now()
      await other.write(get('/other'))
      await other.hears('"}\n', count)
      slowest = Math.max(slowest, Date.now() - started)
    }
    const grown = site.daemon.anonymousMemory() - before
    assert.ok(grown < 16 * MB, `grown by ${grown} bytes`)
    assert.ok(slowest < 1000, `a round trip took ${slowest} ms`)
    const [first] = stuck
    assert.equal((await first?.consumer.hearsBody(32 * MB))?.body.bytes, 32 * MB)
  },
})

/** Since 6.16 a socket can refuse to be sent descriptors (SO_PASSRIGHTS, socket(7)); before, they are dropped. */
const refusesRights = (() => {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  return major > 6 || (major === 6 && minor >= 16)
})()

/** Two descriptors with these bytes: none is kept anywhere, and the bytes go through, if not at once then without them. */
const carriesNone = async ({ client }: Site, line: Line, text: string): Promise<void> => {
  await client.makePipe('reader', 'writer')
  const outcome = await line.write(text, ['writer', 'writer']).then(
    () => 'taken',
    (failure: unknown) => (failure instanceof PeerRefused ? failure.errno : String(failure)),
  )
  assert.equal(outcome, refusesRights ? 'EPERM' : 'taken')
  await client.closeFiles(['writer'])
  if (refusesRights) await line.write(text)
  // Its end: nobody has a copy of the writing end any more.
  assert.equal(await client.readFile('reader'), '')
  await client.closeFiles(['reader'])
}

onOneSite('descriptors on a rest link', {
  'do not come with a head': async site => {
    const consumer = await site.client.line(SERVED)
    await carriesNone(site, consumer, get('/1'))
    assert.match((await consumer.hears('"}\n')).text, /^HTTP\/1\.1 200 OK/)
  },

  'do not come with a body': async site => {
    const { consumer, upstream } = await led(site, `${head(...POST)}12345`, '12345')
    await carriesNone(site, consumer, '67890')
    assert.deepEqual((await site.provider.receiveMessage(upstream.name)).descriptors, [])
    await upstream.write(OK)
    assert.equal((await consumer.hears('ok')).text, OK)
  },

  'do not come through a tunnel, whoever sends them': async site => {
    const upgrade = ['Upgrade: websocket', 'Connection: Upgrade']
    const { consumer, upstream } = await led(site, get('/chat', ...upgrade))
    await upstream.write(head('HTTP/1.1 101 Switching Protocols', ...upgrade))
    await consumer.hears('\r\n\r\n')
    await carriesNone(site, consumer, 'tunnelled')
    const { text, descriptors } = await site.provider.receiveMessage(upstream.name)
    assert.deepEqual([text, descriptors], ['tunnelled', []])

    await site.provider.makePipe('reader', 'writer')
    await upstream.write('back', ['writer']).catch(() => upstream.write('back'))
    await site.provider.closeFiles(['writer'])
    const back = await site.client.receiveMessage(consumer.name)
    assert.deepEqual([back.text, back.descriptors], ['back', []])
    assert.equal(await site.provider.readFile('reader'), '')
  },
})

onItsOwn(
  'connections over the limit of a rest link wait until there is room',
  async ({ client }) => {
    const lines: Line[] = []
    for (let count = 0; count < 6; count += 1) lines.push(await client.line(SERVED))
    const [first, , , , , last] = lines
    if (first === undefined || last === undefined) assert.fail()
    for (const line of lines) await line.write(get('/1'))
    for (const line of lines.slice(0, 5)) await line.hears('"}\n')
    await staysTrue('the last one waits', 200, async () => (await last.heard()).bytes === 0)
    await first.close()
    assert.match((await last.hears('"}\n')).text, /^HTTP\/1\.1 200 OK/)
  },
  { args: ['--max-connections-per-link', '5'] },
)
