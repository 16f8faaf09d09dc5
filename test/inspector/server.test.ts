/** The inspector on a real address: who gets in, what it says to a browser, and what a client can cost it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, get, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { describe, type TestContext, test } from 'node:test'
import { WebSocket } from 'ws'
import { E } from '../../src/fp.ts'
import type { Subject } from '../../src/inspector/contract.ts'
import { INSPECTOR_LIMITS, type InspectorOptions, openInspector } from '../../src/inspector/server.ts'
import { PATHS } from '../../src/inspector/shared/protocol.ts'
import { linkActorEvent, linkMovedEvents, type StatelyEvent } from '../../src/inspector/stately-events.ts'
import { createStatelySocket } from '../../src/inspector/stately-socket.ts'
import { eventually } from '../support/eventually.ts'
import { fakeLog } from '../support/fakes.ts'
import { mayGoOn } from '../support/requirements.ts'
import { ask, inspectorOver, LINK_MACHINE, simulatedDaemon } from './support.ts'
import { household, manyLinks } from './worlds.ts'

const isBuilt = (t: TestContext): boolean =>
  mayGoOn(t, existsSync('dist/inspector/page.js') ? undefined : 'needs dist/inspector (npm run build)')

const open = async (
  t: TestContext,
  subject: Subject = simulatedDaemon().subject,
  changes: Partial<InspectorOptions> = {},
): Promise<string> => {
  const inspector = await inspectorOver(subject, changes)
  t.after(() => inspector.close())
  return inspector.url
}

/** The text of a stream so far, and its end. */
const listen = (
  t: TestContext,
  url: string,
): Promise<{ readonly response: IncomingMessage; text(): string }> =>
  new Promise((resolve, reject) => {
    const asked = get(url, { agent: false }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('error', () => undefined)
      resolve({ response, text: () => text })
    })
    asked.on('error', reject)
    t.after(() => asked.destroy())
  })

describe('the inspector', () => {
  test('serves its page, script and style to who knows the URL', async t => {
    if (!isBuilt(t)) return
    const url = await open(t)
    const page = await ask(url)
    assert.equal(page.status, 200)
    assert.match(page.body, /<script type="module" src="page.js">/)
    assert.doesNotMatch(page.body, /<script>|style="|https?:\/\//)
    for (const [name, type] of [
      [PATHS.script, 'text/javascript; charset=utf-8'],
      [PATHS.style, 'text/css; charset=utf-8'],
      [PATHS.icon, 'image/svg+xml'],
    ]) {
      const file = await ask(`${url}${name}`)
      assert.deepEqual([file.status, file.headers['content-type']], [200, type])
    }
  })

  test('tells the browser with every answer to trust nothing else and to keep nothing', async t => {
    if (!isBuilt(t)) return
    const url = await open(t)
    for (const answer of [
      await ask(url),
      await ask(`${url}${PATHS.script}`),
      await ask(`${url}nothing`),
      await ask(new URL('/wrong/', url).href),
    ]) {
      const { headers } = answer
      assert.equal(
        headers['content-security-policy'],
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
      )
      assert.equal(headers['x-content-type-options'], 'nosniff')
      assert.equal(headers['referrer-policy'], 'no-referrer')
      assert.equal(headers['cache-control'], 'no-store')
      assert.equal(headers['cross-origin-opener-policy'], 'same-origin')
      assert.equal(headers['cross-origin-resource-policy'], 'same-origin')
      assert.equal(headers['access-control-allow-origin'], undefined)
    }
  })

  const paths = Object.values(PATHS)
  test('refuses every path to a wrong token, a wrong Host and a wrong Origin', async t => {
    if (!isBuilt(t)) return
    const url = await open(t)
    for (const path of paths) {
      const wrongToken = await ask(new URL(`/AAAAAAAAAAAAAAAAAAAAAA/${path}`, url).href)
      const wrongHost = await ask(`${url}${path}`, { headers: { host: 'evil.example' } })
      const wrongOrigin = await ask(`${url}${path}`, { headers: { origin: 'http://evil.example' } })
      assert.deepEqual([wrongToken.status, wrongHost.status, wrongOrigin.status], [403, 403, 403], path)
      for (const { body } of [wrongToken, wrongHost, wrongOrigin])
        assert.doesNotMatch(body, /snapshot|script/)
    }
  })

  test('refuses a WebSocket to a wrong token, a wrong Host and a wrong Origin', async t => {
    if (!isBuilt(t)) return
    const url = (await open(t)).replace('http:', 'ws:')
    const refusals: readonly (readonly [string, Record<string, string>])[] = [
      [new URL(`/AAAAAAAAAAAAAAAAAAAAAA/${PATHS.stately}`, url).href, {}],
      [`${url}${PATHS.stately}`, { host: 'evil.example' }],
      [`${url}${PATHS.stately}`, { origin: 'http://evil.example' }],
      [`${url}${PATHS.events}`, {}],
    ]
    for (const [at, headers] of refusals) {
      const socket = new WebSocket(at, { headers })
      const [error] = await once(socket, 'error')
      assert.match(String(error), /Unexpected server response: 40[34]/)
    }
  })

  test('gives each start a token of its own, of 128 bits', async t => {
    if (!isBuilt(t)) return
    const tokens = await Promise.all([1, 2, 3].map(async () => new URL(await open(t)).pathname))
    assert.equal(new Set(tokens).size, 3)
    for (const token of tokens) assert.match(token, /^\/[\w-]{22}\/$/)
  })

  test('cannot be reached by any address of this machine but the loopback', async t => {
    if (!isBuilt(t)) return
    const { port } = new URL(await open(t))
    const others = Object.values(networkInterfaces())
      .flatMap(addresses => addresses ?? [])
      .filter(({ internal, scopeid }) => !internal && (scopeid ?? 0) === 0)
    // 127.0.0.2 is loopback too, but not the address it listens on.
    for (const { address } of [...others, { address: '127.0.0.2' }]) {
      const socket = connect({ host: address, port: Number(port) })
      const [error]: readonly unknown[] = await once(socket, 'error')
      assert.match(String(error), /ECONNREFUSED/, address)
    }
  })

  test('says why it cannot be opened', async t => {
    if (!isBuilt(t)) return
    const { port } = new URL(await open(t))
    const attempt = async (changes: Partial<InspectorOptions>): Promise<unknown> => {
      const opened = await openInspector({
        subject: simulatedDaemon().subject,
        machine: LINK_MACHINE,
        address: { host: '127.0.0.1', port: 0 },
        pageFolder: 'dist/inspector',
        log: fakeLog(),
        ...changes,
      })
      return E.isLeft(opened) ? opened.left : 'opened'
    }
    assert.deepEqual(await attempt({ address: { host: '127.0.0.1', port: Number(port) } }), {
      _tag: 'InspectorCannotListen',
      address: `127.0.0.1:${port}`,
      errno: 'EADDRINUSE',
    })
    assert.deepEqual(await attempt({ pageFolder: '/nowhere' }), {
      _tag: 'InspectorPageMissing',
      folder: '/nowhere',
    })
  })

  test('tells all about a link, and null of one that is not there', async t => {
    if (!isBuilt(t)) return
    const daemon = simulatedDaemon()
    const { blocked } = await household(daemon)
    const url = await open(t, daemon.subject)
    const key = `${blocked.consumer}/${blocked.name}@${blocked.target}`
    const found = JSON.parse((await ask(`${url}link?key=${encodeURIComponent(key)}`)).body)
    assert.equal(found.link.key, key)
    assert.equal(found.link.substate, 'blocked')
    assert.equal(found.context.lastError._tag, 'TargetOccupied')
    assert.equal((await ask(`${url}link?key=nobody`)).body, 'null')
    assert.equal((await ask(`${url}link`)).body, 'null')
  })

  test('has a timeline of a recording alone', async t => {
    if (!isBuilt(t)) return
    assert.equal((await ask(`${await open(t)}timeline`)).status, 404)
  })

  test('streams what happens, from everything as it is on', async t => {
    if (!isBuilt(t)) return
    const daemon = simulatedDaemon()
    const stream = await listen(t, `${await open(t, daemon.subject)}events`)
    assert.equal(stream.response.headers['content-type'], 'text/event-stream; charset=utf-8')
    await eventually('the snapshot', () => /^event: snapshot\ndata: \{.*\}\n\n/.test(stream.text()))
    await daemon.shows(manyLinks(3))
    await eventually('the changes', () =>
      /\nevent: changes\ndata: .*container-0\/resource-2/.test(stream.text()),
    )
  })

  test("lets Stately's inspector attach: one JSON text a message, from who there is on", async t => {
    if (!isBuilt(t)) return
    const daemon = simulatedDaemon()
    await daemon.shows(manyLinks(2))
    const url = `${await open(t, daemon.subject)}stately`.replace('http:', 'ws:')
    const heard: Record<string, unknown>[] = []
    const receiver = new WebSocket(url)
    t.after(() => receiver.terminate())
    receiver.on('message', (data, isBinary) => {
      assert.equal(isBinary, false)
      heard.push(JSON.parse(String(data)))
    })
    await eventually('the actors', () => heard.length >= 3)
    await daemon.shows([])
    await eventually('what became of them', () => heard.some(({ type }) => type === '@xstate.snapshot'))
    for (const { type, _version, sessionId, createdAt } of heard) {
      assert.match(String(type), /^@xstate\.(actor|event|snapshot)$/)
      for (const text of [_version, sessionId, createdAt]) assert.equal(typeof text, 'string')
    }
    // What a receiver says is not looked at, and too much of it ends it.
    receiver.send('{"type":"nonsense"}')
    receiver.send('x'.repeat(10_000))
    await once(receiver, 'close')
  })

  test("tells Stately's inspector of thousands of links, all of them, and then what becomes of them", async t => {
    if (!isBuilt(t)) return
    const link = { key: 'a/b@/c', state: 'released', context: null }
    const definition = JSON.stringify('x'.repeat(6000))
    const actors: Subject['actors'] = tell => {
      tell(Array.from({ length: 3500 }, () => linkActorEvent(link, definition, 0)))
      tell(linkMovedEvents(link, 'teardown done', 0))
      return () => undefined
    }
    const url = await open(t, { ...simulatedDaemon().subject, actors })
    const receiver = new WebSocket(`${url}stately`.replace('http:', 'ws:'))
    t.after(() => receiver.terminate())
    const heard: string[] = []
    receiver.on('message', data => heard.push(String(data).slice(9, 24)))
    await eventually('what became of one', () => heard.at(-1)?.startsWith('@xstate.snaps'), 10_000)
    assert.equal(heard.length, 3502)
  })

  test("cuts a receiver of Stately's that does not read, before what it is told fills the memory", async t => {
    if (!isBuilt(t)) return
    const context = { padding: 'x'.repeat(20_000) }
    const moved = linkMovedEvents({ key: 'a/b@/c', state: 'released', context }, 'teardown done', 0)
    let told = 0
    let written = 0
    const oneMore = function* (): Generator<StatelyEvent> {
      written += 1
      yield* moved
    }
    const actors: Subject['actors'] = tell => {
      const timer = setInterval(() => {
        for (let round = 0; round < 50; round += 1) tell(oneMore())
        told += 50
      }, 1)
      return () => clearInterval(timer)
    }
    const socket = createStatelySocket({ ...simulatedDaemon().subject, actors }, 100)
    const server = createServer().on('upgrade', socket.attach).listen(0, '127.0.0.1')
    t.after(() => {
      socket.close()
      server.close()
    })
    await once(server, 'listening')
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    const receiver = new WebSocket(`ws://127.0.0.1:${address.port}`)
    t.after(() => receiver.terminate())
    receiver.on('open', () => receiver.pause())
    await eventually('it was told more than can wait', () => told > 2000, 10_000)
    assert.ok(written < 1500, `${written}`)
    receiver.resume()
    const [code] = await once(receiver, 'close')
    assert.equal(code, 1013)
  })

  test('lets so many look, and says so to one more', async t => {
    if (!isBuilt(t)) return
    const url = await open(t, undefined, { limits: { ...INSPECTOR_LIMITS, viewers: 2 } })
    const first = await listen(t, `${url}events`)
    await listen(t, `${url}events`)
    assert.equal((await ask(`${url}events`)).status, 503)
    first.response.destroy()
    await eventually('there is room again', async () => {
      const again = await listen(t, `${url}events`)
      return again.response.statusCode === 200
    })
  })

  test('is not held up by who never ends a request, or sends what is none', async t => {
    if (!isBuilt(t)) return
    const url = await open(t, undefined, { limits: { ...INSPECTOR_LIMITS, connections: 8, patienceMs: 200 } })
    const { port } = new URL(url)
    const held: Socket[] = []
    for (const words of ['', 'GET / HTTP/1.1\r\nHost: 127', 'nonsense\r\n\r\n', '\0\0\0\0\r\n\r\n']) {
      const socket = connect({ host: '127.0.0.1', port: Number(port) })
      socket.on('error', () => undefined)
      socket.write(words)
      held.push(socket)
      t.after(() => socket.destroy())
    }
    assert.equal((await ask(url)).status, 200)
    await eventually('they are cut when their time is over', () => held.every(({ closed }) => closed), 5000)
  })

  test('keeps nothing for a viewer that does not read, and brings it up to date when it does', async t => {
    if (!isBuilt(t)) return
    const daemon = simulatedDaemon()
    const links = manyLinks(500)
    await daemon.shows(links)
    const stream = await listen(t, `${await open(t, daemon.subject)}events`)
    await eventually('the snapshot', () => stream.text().includes('event: snapshot'))
    stream.response.pause()
    const before = process.memoryUsage().external + process.memoryUsage().heapUsed
    for (let round = 0; round < 30; round += 1) {
      await daemon.shows(
        links.map(link => ({ ...link, consumer_pid: round % 2 === 0 ? null : link.consumer_pid })),
      )
      await new Promise(resolve => setTimeout(resolve, 60))
    }
    const grown = process.memoryUsage().external + process.memoryUsage().heapUsed - before
    assert.ok(grown < 200 * 1024 * 1024, `${grown}`)
    stream.response.resume()
    await eventually(
      'it is told everything anew',
      () => stream.text().split('event: snapshot').length > 2,
      10_000,
    )
  })
})
