/** `rest` links under the clients and servers that people use: curl, h2load, Python, Node, and WebSockets through them. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import {
  Agent,
  createServer,
  type IncomingMessage,
  type RequestOptions,
  request,
  type Server,
} from 'node:http'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { WebSocket, WebSocketServer } from 'ws'
import { hasTool } from '../support/requirements.ts'
import { head, onOneSite, SERVED, type Site } from '../support/rest.ts'
import { entryFor, HOST, keyOf, scenario, type World } from '../support/scenario.ts'

const IDENTITY = 'X-PV-Client: app\r\nX-PV-Role: any\r\n'
const CHUNKS = 3_000_000

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')

/** What the provider recorded while something was done. */
const during = async <A>({ provider }: Site, body: () => Promise<A>) => {
  const before = (await provider.recorded('served')).length
  const result = await body()
  return { result, connections: await provider.recorded('served', before) }
}

const curl = ({ app }: Site, ...args: readonly string[]): Promise<string> =>
  app.exec('curl', '--silent', '--show-error', '--max-time', '20', '--unix-socket', SERVED, ...args)

/** A request of Node's own client, to its end. */
const ask = async (options: RequestOptions, body?: Readable | string): Promise<[IncomingMessage, Buffer]> => {
  const asking = request({ headers: { host: 'x' }, ...options })
  const answered = once(asking, 'response')
  if (body instanceof Readable) await pipeline(body, asking)
  else asking.end(body)
  const [response]: IncomingMessage[] = await answered
  if (response === undefined) throw new Error('no response')
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part)
  return [response, Buffer.concat(parts)]
}

onOneSite('clients that know nothing of rest links', {
  'curl asks several times over one connection': async (site, t) => {
    if (!hasTool(t, 'curl', 'curl')) return
    const urls = ['http://x/1', 'http://x/2', 'http://x/3']
    const { result, connections } = await during(site, () =>
      curl(site, '--write-out', '%{num_connects}\n', ...urls),
    )
    assert.deepEqual(result.match(/^\d$/gm), ['1', '0', '0'])
    assert.equal(result.match(/"client": "app", "role": "any"/g)?.length, 3)
    assert.equal(connections.length, 1)
    assert.equal(connections[0]?.text.match(new RegExp(`/[123] HTTP/1.1\r\n${IDENTITY}`, 'g'))?.length, 3)
  },

  'curl uploads a file after a 100 Continue, and a pipe in chunks': async (site, t) => {
    if (!hasTool(t, 'curl', 'curl')) return
    const body = randomBytes(CHUNKS)
    writeFileSync(site.app.path('/tmp/body'), body)
    const expected = `"bytes": ${CHUNKS}, "sha256": "${sha256(body)}"`
    const counted = await curl(site, '--upload-file', '/tmp/body', 'http://x/counted')
    assert.ok(counted.includes(expected), counted)
    const chunked = await site.app.exec(
      'sh',
      '-c',
      `cat /tmp/body | curl -sS -m 20 --unix-socket ${SERVED} --upload-file - http://x/chunked`,
    )
    assert.ok(chunked.includes(expected), chunked)
    const [first, second] = (await site.provider.recorded('served')).slice(-2)
    assert.match(first?.text ?? '', /\r\nExpect: 100-continue\r\n/)
    assert.match(second?.text ?? '', /\r\nTransfer-Encoding: chunked\r\n/)
  },

  'curl downloads chunks': async (site, t) => {
    if (!hasTool(t, 'curl', 'curl')) return
    const { connections } = await during(site, () =>
      curl(site, '--output', '/tmp/chunks', `http://x/chunks/${CHUNKS}`),
    )
    const [digest] = (await site.app.exec('sha256sum', '/tmp/chunks')).split(' ')
    assert.deepEqual(connections[0]?.sent, [digest])
  },

  'curl asks with HTTP/1.0, and for the head only': async (site, t) => {
    if (!hasTool(t, 'curl', 'curl')) return
    assert.match(
      await curl(site, '--http1.0', 'http://x/old'),
      /"request": "GET \/old HTTP\/1.0", "client": "app"/,
    )
    assert.match(
      await curl(site, '--head', 'http://x/head'),
      /^HTTP\/1\.1 200 OK\r\n.*Content-Length: [1-9]/s,
    )
  },

  'curl that insists on HTTP/2 is told no': async (site, t) => {
    if (!hasTool(t, 'curl', 'curl')) return
    const insisting = `curl -sv -m 20 --http2-prior-knowledge --unix-socket ${SERVED} http://x/ 2>&1; echo "exit $?"`
    const said = await site.app.exec('sh', '-c', insisting)
    assert.match(said, /GOAWAY.*exit 16\n$/s)
  },

  'curl that would like HTTP/2 goes on with HTTP/1.1': async (site, t) => {
    if (!hasTool(t, 'curl', 'curl')) return
    const { result, connections } = await during(site, () => curl(site, '--http2', 'http://x/1'))
    assert.match(result, /"client": "app"/)
    assert.doesNotMatch(connections[0]?.text ?? '', /upgrade|http2|h2c/i)
  },

  'h2load with 50 clients fails at none of 2000 requests, and each has the identity': async (site, t) => {
    if (!hasTool(t, 'h2load', 'nghttp2-client')) return
    const many = ['--h1', '--requests=2000', '--clients=50', `--base-uri=unix:${SERVED}`]
    const { result, connections } = await during(site, () =>
      site.app.exec('h2load', ...many, 'http://x/load'),
    )
    assert.match(result, /2000 succeeded, 0 failed, 0 errored, 0 timeout/)
    assert.match(result, /status codes: 2000 2xx/)
    const requests = connections.flatMap(
      ({ text }) => text.match(/GET \/load HTTP\/1\.1\r\n.*\r\n.*\r\n/g) ?? [],
    )
    assert.deepEqual(
      [requests.length, new Set(requests)],
      [2000, new Set([`GET /load HTTP/1.1\r\n${IDENTITY}`])],
    )
  },

  'http.client of Python asks, posts, and posts chunks': async site => {
    const program = `
import http.client, json, socket
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect('${SERVED}')
line = Unix('x')
def ask(*request, **more):
    line.request(*request, **more)
    answer = json.loads(line.getresponse().read())
    print(answer['request'], answer['client'], answer['bytes'])
ask('GET', '/1', headers={'X-PV-Client': 'root'})
ask('POST', '/2', body=b'x' * 1000)
ask('POST', '/3', body=iter([b'wi', b'fi']), encode_chunked=True, headers={'Transfer-Encoding': 'chunked'})
line.request('HEAD', '/4')
print(line.getresponse().status)
`
    const { result, connections } = await during(site, () => site.app.exec('/usr/bin/python3', '-c', program))
    assert.equal(result, 'GET /1 HTTP/1.1 app 0\nPOST /2 HTTP/1.1 app 1000\nPOST /3 HTTP/1.1 app 4\n200\n')
    assert.equal(connections.length, 1)
  },

  'an agent of Node keeps its connection, and shares none': async site => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const socketPath = site.app.path(SERVED)
    const { connections } = await during(site, async () => {
      for (let count = 0; count < 20; count += 1) {
        const [{ statusCode }, body] = await ask({ agent, socketPath, path: `/${count}` })
        assert.equal(statusCode, 200)
        assert.match(String(body), new RegExp(`"GET /${count} HTTP/1.1", "client": "app", "role": "any"`))
      }
      await ask({ agent: false, socketPath, path: '/other' })
    })
    agent.destroy()
    assert.equal(connections.length, 2)
  },

  'trailers of Node reach the provider': async site => {
    const socketPath = site.app.path(SERVED)
    const { connections } = await during(site, async () => {
      const asking = request({
        socketPath,
        method: 'POST',
        path: '/t',
        headers: { host: 'x', trailer: 'X-Sum' },
      })
      asking.write('wifi')
      asking.addTrailers({ 'X-Sum': '9', 'X-PV-Role': 'admin' })
      asking.end()
      const [response]: IncomingMessage[] = await once(asking, 'response')
      response?.resume()
      if (response !== undefined) await once(response, 'end')
    })
    assert.match(connections[0]?.text ?? '', /\r\n4\r\nwifi\r\n0\r\nX-Sum: 9\r\n\r\n$/)
  },
})

interface Served {
  readonly socketPath: string
  readonly server: Server
}

/** A rest link to a server of Node's own, on the host. */
const withServer = async (world: World): Promise<Served> => {
  const app = await world.container('app')
  const server = createServer()
  world.adopt({
    kill: async () => {
      server.closeAllConnections()
      server.close()
    },
  })
  const socket = join(world.scratch, 'node.sock')
  server.listen(socket)
  await once(server, 'listening')
  const entry = entryFor({
    type: 'rest',
    interface: 'rest',
    consumer: app,
    provider: HOST,
    socket,
    target: SERVED,
  })
  world.ctrl.serve([entry])
  world.daemon.signal('SIGHUP')
  await world.daemon.reaches(keyOf(entry), 'mediating')
  return { socketPath: app.path(SERVED), server }
}

/** Each row sets up the server for itself. */
const WITH_NODE: Readonly<Record<string, (served: Served) => Promise<void>>> = {
  'a stream of 20 MB goes up and comes back at the same time, with trailers after it': async ({
    socketPath,
    server,
  }) => {
    server.on('request', (incoming, response) => {
      response.writeHead(200, { trailer: 'X-Who' })
      incoming.pipe(response, { end: false })
      incoming.once('end', () => {
        response.addTrailers({ 'X-Who': `${incoming.headers['x-pv-client']}` })
        response.end()
      })
    })
    const blocks = Array.from({ length: 320 }, () => randomBytes(65_536))
    const asking = request({ socketPath, method: 'POST', headers: { host: 'x' } })
    const uploading = pipeline(Readable.from(blocks), asking)
    const [response]: IncomingMessage[] = await once(asking, 'response')
    if (response === undefined) assert.fail()
    const digest = createHash('sha256')
    for await (const part of response) digest.update(part)
    await uploading
    assert.equal(digest.digest('hex'), sha256(Buffer.concat(blocks)))
    assert.equal(response.trailers['x-who'], 'app')
  },

  'an answer that comes piece by piece is heard piece by piece': async ({ socketPath, server }) => {
    server.on('request', (_incoming, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 0\n\n')
      server.on('next', (count: number) => response.write(`data: ${count}\n\n`))
    })
    const asking = request({ socketPath, path: '/events', headers: { host: 'x' } }).end()
    const [response]: IncomingMessage[] = await once(asking, 'response')
    if (response === undefined) assert.fail()
    for (let count = 1; count <= 10; count += 1) {
      const [event]: Buffer[] = await once(response, 'data')
      assert.equal(String(event), `data: ${count - 1}\n\n`)
      server.emit('next', count)
    }
    asking.destroy()
  },

  'a WebSocket works through a link, brings its identity, and closes as agreed': async ({
    socketPath,
    server,
  }) => {
    const sockets = new WebSocketServer({ server })
    sockets.on('connection', (socket, opening) => {
      socket.send(`${opening.headers['x-pv-client']} as ${opening.headers['x-pv-role']}`)
      socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
    })
    const socket = new WebSocket(`ws+unix://${socketPath}:/chat`, { headers: { 'X-PV-Client': 'root' } })
    const heard = async (): Promise<string> => {
      const [data]: unknown[] = await once(socket, 'message')
      return data instanceof Buffer ? sha256(data) : ''
    }
    assert.equal(await heard(), sha256('app as any'))
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 5_000_000]) {
      const data = randomBytes(size)
      socket.send(data)
      assert.equal(await heard(), sha256(data), `${size} bytes`)
    }
    socket.close(4000, 'enough')
    const [code, reason]: unknown[] = await once(socket, 'close')
    assert.deepEqual([code, String(reason)], [4000, 'enough'])
    sockets.close()
  },

  'a WebSocket that the server refuses is refused with its own words': async ({ socketPath, server }) => {
    server.on('upgrade', (_incoming, socket) => {
      socket.end(`${head('HTTP/1.1 403 Forbidden', 'Content-Length: 2', 'Connection: close')}no`)
    })
    const socket = new WebSocket(`ws+unix://${socketPath}:/chat`)
    const [failure]: unknown[] = await once(socket, 'error').catch((thrown: unknown) => [thrown])
    assert.match(String(failure), /Unexpected server response: 403/)
  },
}

scenario('a server of Node behind a rest link', async (world, t) => {
  const served = await withServer(world)
  for (const [sentence, row] of Object.entries(WITH_NODE)) {
    await t.test(sentence, () => row(served))
    for (const event of ['request', 'upgrade', 'next']) served.server.removeAllListeners(event)
  }
})
