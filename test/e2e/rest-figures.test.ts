/** `rest` links: what happened to them is counted by what it was, and shown by the control API and by `describe`. */
import assert from 'node:assert/strict'
import * as t from 'io-ts'
import { E } from '../../src/fp.ts'
import { runBundle } from '../cli/support.ts'
import { askControl, at, linkUrl } from '../support/control.ts'
import { eventually } from '../support/eventually.ts'
import { exchange, get, head, led, OK, onOneSite, refuses, SERVED, type Site } from '../support/rest.ts'

const Figures = t.array(t.type({ name: t.string, labels: t.record(t.string, t.string), value: t.number }))

type Counted = Readonly<Record<string, number>>

/** What is counted for a link, by its name and the values of its labels. */
const countedOf = async (site: Site, link: string): Promise<Counted> => {
  const { json } = await askControl(site.daemon.control, linkUrl(link))
  const figures = Figures.decode(at(json, 'counters', 'figures'))
  if (E.isLeft(figures)) throw new Error(`no figures: ${JSON.stringify(json)}`)
  return Object.fromEntries(
    figures.right.map(({ name, labels, value }) => [[name, ...Object.values(labels)].join(' '), value]),
  )
}

/** That something counts as this, and as nothing else. */
const countsAs =
  (link: 'served' | 'led', expected: Counted, body: (site: Site) => Promise<void>) =>
  async (site: Site): Promise<void> => {
    const before = await countedOf(site, site.links[link])
    await body(site)
    await eventually('it is counted', async () => {
      const now = await countedOf(site, site.links[link])
      const more = Object.entries(now)
        .map(([name, value]) => [name, value - (before[name] ?? 0)] as const)
        .filter(([, value]) => value !== 0)
      assert.deepEqual(Object.fromEntries(more), expected)
      return true
    })
  }

const UPGRADE = ['Upgrade: h2c, websocket', 'Connection: Upgrade']
const SWITCHED = head('HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade')

onOneSite('what a rest link counts', {
  'are requests and responses': countsAs('served', { requests: 3, 'responses 2xx': 3 }, async site => {
    await exchange(site, get('/1').repeat(3), 3)
  }),

  'are forged identities, field by field': countsAs(
    'served',
    { requests: 1, 'responses 2xx': 1, spoof_stripped: 2, trailers_stripped: 1 },
    async site => {
      const forged = ['X-PV-Role: admin', 'x_pv_client: root', 'Transfer-Encoding: chunked']
      await exchange(site, `${head('POST /1 HTTP/1.1', 'Host: x', ...forged)}0\r\nX-PV-Role: r\r\n\r\n`)
    },
  ),

  // Each is followed by a good request, which shows that the provider got nothing else.
  'are refusals, by status and reason': countsAs(
    'served',
    { requests: 3, 'responses 2xx': 3, 'errors 400 host': 2, 'errors 417 expect': 1 },
    async site => {
      for (const defect of [head('GET / HTTP/1.1'), get('/', 'Host: y')]) {
        await refuses(site, defect, { status: 400, reason: 'host' })
      }
      await refuses(site, get('/', 'Expect: jam'), { status: 417, reason: 'expect' })
    },
  ),

  'is HTTP/2': countsAs('served', { h2_refused: 1 }, async ({ client }) => {
    const line = await client.line(SERVED)
    await line.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    await line.hearsToEnd()
    await line.close()
  }),

  'are interim answers, and half-closes': countsAs(
    'led',
    { requests: 1, 'responses 1xx': 1, 'responses 4xx': 1, half_closes: 1 },
    async site => {
      const { consumer, upstream } = await led(site, get('/1'))
      await consumer.halfClose()
      await upstream.write(head('HTTP/1.1 103 Early Hints'))
      await upstream.write(head('HTTP/1.1 404 Not Found', 'Content-Length: 0'))
      await consumer.hearsToEnd()
    },
  ),

  'are consumers that leave': countsAs('led', { requests: 1, consumer_aborts: 1 }, async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    await consumer.close()
    await upstream.hearsToEnd()
  }),

  'are answers cut short': countsAs(
    'led',
    { requests: 1, 'responses 2xx': 1, responses_truncated: 1 },
    async site => {
      const { consumer, upstream } = await led(site, get('/1'))
      await upstream.write(`${head('HTTP/1.1 200 OK', 'Content-Length: 10')}four`)
      await upstream.close()
      await consumer.hearsToEnd()
    },
  ),

  'are answers that nobody asked for': countsAs(
    'led',
    { requests: 1, 'responses 2xx': 1, unsolicited: 1 },
    async site => {
      const { consumer, upstream } = await led(site, get('/1'))
      await upstream.write(`${OK}${OK}`)
      await consumer.hearsToEnd()
    },
  ),

  'are bad answers': countsAs('led', { requests: 1, 'errors 502 provider-bad-response': 1 }, async site => {
    const { consumer, upstream } = await led(site, get('/1'))
    await upstream.write('nonsense\r\n\r\n')
    await consumer.hearsToEnd()
  }),

  'are offers, and the tunnels they lead to': async site => {
    const tunnels = { requests: 1, upgrades_offered: 1, upgrades_filtered: 1, 'responses 1xx': 1, tunnels: 1 }
    await countsAs('led', { ...tunnels, tunnels_active: 1 }, async () => {
      const { consumer, upstream } = await led(site, get('/chat', ...UPGRADE))
      await upstream.write(SWITCHED)
      await consumer.hears('\r\n\r\n')
    })(site)
    await countsAs('led', { tunnels_active: -1 }, async () => {
      await site.client.closeLines()
      await site.provider.closeLines()
    })(site)
  },

  'is in what describe says': async site => {
    const described = await runBundle(['describe', '--control', site.daemon.control, site.links.served])
    assert.equal(described.code, 0, described.err)
    assert.match(described.out, /spoof_stripped +2 /)
    assert.match(described.out, /errors +status 400, reason host +2 /)
  },
})
