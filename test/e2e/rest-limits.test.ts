/** `rest` links: what is slow, large, stuck or too many costs little, ends in time, and does not disturb the others. */
import assert from 'node:assert/strict'
import { release } from 'node:os'
import { eventually, staysTrue } from '../support/eventually.ts'
import type { Line } from '../support/http-peer.ts'
import { PeerRefused } from '../support/peer.ts'
import { get, head, type Led, led, OK, onItsOwn, onOneSite, SERVED, type Site } from '../support/rest.ts'

const MB = 1_000_000
const POST = ['POST /form HTTP/1.1', 'Host: x', 'Content-Length: 10'] as const

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
