/** `rest` links: who asks is in every request as the graph says it, whatever the consumer writes; the rest is untouched. */
import assert from 'node:assert/strict'
import { asText } from '../support/daemon.ts'
import type { Entry } from '../support/pv-ctrl.ts'
import {
  exchange,
  forwardedOf,
  get,
  gotten,
  head,
  identified,
  onItsOwn,
  onOneSite,
  SERVED,
} from '../support/rest.ts'
import { exists, keyOf } from '../support/scenario.ts'

onOneSite('requests of a rest link bring the identity of their consumer', {
  'an HTTP/1.0 request without a Host is answered in full to a consumer that has half-closed': async site => {
    const line = await site.client.line(SERVED)
    const before = (await site.provider.recorded('served')).length
    await line.write(head('GET /info HTTP/1.0'))
    await line.halfClose()
    const { text } = await line.hearsToEnd()
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n.*"client": "app", "role": "any".*\n$/s)
    const [connection] = await site.provider.recorded('served', before)
    assert.equal(connection?.text, identified('GET /info HTTP/1.0'))
  },

  'each of three requests on one connection has it, and they share a connection of the provider':
    async site => {
      const { connections } = await exchange(site, get('/info').repeat(3), 3)
      assert.deepEqual(
        connections.map(({ text }) => text),
        [gotten('/info').repeat(3)],
      )
    },

  'requests that wait for their answers have it as much as those that do not': async site => {
    const line = await site.client.line(SERVED)
    const before = (await site.provider.recorded('served')).length
    for (const times of [1, 2, 3]) {
      await line.write(get('/info'))
      await line.hears('"}\n', times)
    }
    const connections = await site.provider.recorded('served', before)
    assert.deepEqual(
      connections.map(({ text }) => text),
      [gotten('/info').repeat(3)],
    )
  },

  'a forged identity in a later request is gone': async site => {
    const text = await forwardedOf(site, get('/info') + get('/info', 'X-PV-Client: root') + get('/info'), 3)
    assert.equal(text, gotten('/info').repeat(3))
  },

  'spellings that a server could take for the identity are gone': async site => {
    const forged = ['x_pv-ROLE: admin', 'X*PV*Role: admin', 'x~pv~role:', 'X-PV-: 1', 'x.pv.Client:\troot']
    assert.equal(await forwardedOf(site, get('/info', ...forged, 'A: 1')), gotten('/info', 'A: 1'))
  },

  'fields that only begin alike are kept': async site => {
    const fields = ['X-PVX: 1', 'X-PVRole: 2', 'XX-PV-Role: 3', 'X-PVC: 4', 'X-P-V-Role: 5']
    assert.equal(await forwardedOf(site, get('/info', ...fields)), gotten('/info', ...fields))
  },

  'what Connection names is gone, and so is its wish to remove the identity': async site => {
    const fields = ['Connection: X-PV-Role, X-Tmp', 'X-Tmp: 1', 'A: 1']
    assert.equal(await forwardedOf(site, get('/info', ...fields)), gotten('/info', 'A: 1'))
  },

  'fields of one hop are gone, and close is said last': async site => {
    const hop = ['Keep-Alive: timeout=5', 'Proxy-Connection: keep-alive', 'TE: trailers']
    const text = await forwardedOf(site, get('/info', 'Connection: close', ...hop, 'A: 1'))
    assert.equal(text, gotten('/info', 'A: 1', 'Connection: close'))
  },

  'TE goes on where Connection names it': async site => {
    const text = await forwardedOf(site, get('/info', 'Connection: TE', 'TE: trailers', 'A: 1'))
    assert.match(text, /\r\nTE: trailers\r\n.*Connection: te\r\n\r\n$/is)
  },

  'names, order, blanks and bytes above 127 of other fields are kept': async site => {
    const fields = ['hOsT: x', 'a:1', 'B:  \t2  3 ', 'C: \xe9\xff', 'a: %0d%0a%00', 'D:']
    assert.equal(
      await forwardedOf(site, head('gEt /%0d%0a?a=b;c HTTP/1.1', ...fields)),
      identified('gEt /%0d%0a?a=b;c HTTP/1.1', ...fields),
    )
  },

  'empty lines before a request are left out': async site => {
    assert.equal(await forwardedOf(site, `\r\n${get('/info')}`), gotten('/info'))
    assert.equal(await forwardedOf(site, `\r\n\r\n${get('/info')}`), gotten('/info'))
  },

  'a target in absolute form is kept where Host agrees': async site => {
    assert.equal(await forwardedOf(site, get('http://x/info')), gotten('http://x/info'))
  },

  'OPTIONS may ask about all of the server': async site => {
    const request = 'OPTIONS * HTTP/1.1'
    assert.equal(await forwardedOf(site, head(request, 'Host: x')), identified(request, 'Host: x'))
  },

  'a target of 8000 bytes goes through': async site => {
    const long = `/${'a'.repeat(7999)}`
    assert.equal(await forwardedOf(site, get(long)), gotten(long))
  },

  'a head in pieces is a head': async site => {
    const line = await site.client.line(SERVED)
    const before = (await site.provider.recorded('served')).length
    for (const piece of get('/info', 'x-pV-Role: admin', 'A: 1').split(/(?<=[\r:v])/)) await line.write(piece)
    await line.hears('"}\n')
    const [connection] = await site.provider.recorded('served', before)
    assert.equal(connection?.text, gotten('/info', 'A: 1'))
  },

  'a counted body is kept byte for byte, whatever it looks like': async site => {
    const body = `${get('/inner', 'X-PV-Client: root')}\x00\r\n\xff`
    const request = ['POST /form HTTP/1.1', 'Host: x', `Content-Length: ${body.length}`] as const
    const [line, ...fields] = request
    assert.equal(await forwardedOf(site, head(...request) + body), identified(line, ...fields) + body)
  },

  'a chunked body loses its extensions, and its trailers lose the identity': async site => {
    const request = ['POST /form HTTP/1.1', 'Host: x', 'Transfer-Encoding: Chunked'] as const
    const [line, ...fields] = request
    const body = '4;a="b"\r\nwifi\r\n0\r\nX-Sum: 9\r\nX-PV-Role: r\r\n\r\n'
    assert.equal(
      await forwardedOf(site, head(...request) + body),
      `${identified(line, ...fields)}4\r\nwifi\r\n0\r\nX-Sum: 9\r\n\r\n`,
    )
  },

  'a GET with a body brings it': async site => {
    const [line, ...fields] = ['GET /search HTTP/1.1', 'Host: x', 'Content-Length: 4'] as const
    assert.equal(
      await forwardedOf(site, `${head(line, ...fields)}wifi`),
      `${identified(line, ...fields)}wifi`,
    )
  },
})

onOneSite(
  'names with bytes that have a meaning in HTTP',
  {
    'are percent-encoded, in the name of the consumer as in the role': async site => {
      assert.equal(
        await forwardedOf(site, get('/info')),
        head(
          'GET /info HTTP/1.1',
          'X-PV-Client: my%20app%2C1%25',
          'X-PV-Role: r%C3%A9seau%3A%0D%0AHost',
          'Host: x',
        ),
      )
    },
  },
  { consumer: 'my app,1%', role: 'réseau:\r\nHost' },
)

onItsOwn('a name that is too long for a header is not served, and the log says so', async site => {
  const { ctrl, daemon, app } = site
  for (const field of ['consumer', 'role']) {
    const named = (name: string, bytes: number): Entry => ({
      ...site.entries.served,
      name,
      target: `/run/pvx/${field}-${name}.sock`,
      [field]: 'n'.repeat(bytes),
    })
    const [long, longest] = [named('long', 256), named('longest', 255)]
    ctrl.serve([long, longest])
    await daemon.reaches(keyOf(longest), 'mediating')
    await daemon.reaches(keyOf(long), 'pending')
    await daemon.logged('why', line => line['link'] === keyOf(long) && asText(line).includes('255 bytes'))
    assert.ok(!exists(app.path(`${long['target']}`)))
  }
})
