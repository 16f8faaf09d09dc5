/** The HTTP load finds what it is there to find: in both languages, at either end, and with something bad in between. */
import assert from 'node:assert/strict'
import { connect, createServer } from 'node:net'
import { describe, test } from 'node:test'
import {
  compiledHttpGenerator,
  type HttpGenerator,
  nodeHttpGenerator,
  type Requests,
  type Way,
} from './http-generator.ts'
import { loadStage } from './load-stage.ts'

const WINDOW = { warmMs: 5, forMs: 30 }
const BODY_BYTES = 2 * 1024 * 1024
const ASKED: Requests = { identities: 0, clients: 3, fields: 6, connections: 'kept' }
const WAYS: readonly Way[] = ['counted', 'chunked', 'upload', 'tunnel']

const { newSocket, provided, inC } = loadStage(compiledHttpGenerator)

type Change = (chunk: Buffer) => Buffer

/** What a proxy makes of each chunk, on its way to the provider and back. */
interface Changes {
  readonly up?: Change
  readonly down?: Change
}

const SAME: Change = chunk => chunk

/** A proxy that knows no HTTP: heads of the load come whole, because they are written whole. */
const throughProxy = async (
  provider: string,
  { up = SAME, down = SAME }: Changes,
  body: (socket: string) => Promise<void>,
): Promise<void> => {
  const socket = newSocket()
  const server = createServer(client => {
    const upstream = connect(provider)
    const passOn = (from: typeof client, to: typeof client, change: Change): void => {
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
      from.on('data', (chunk: Buffer) => {
        const changed = change(chunk)
        if (changed.length === 0 || to.write(changed)) return
        from.pause()
        to.once('drain', () => from.resume())
      })
    }
    passOn(client, upstream, up)
    passOn(upstream, client, down)
  })
  await new Promise<void>(resolve => server.listen(socket, resolve))
  try {
    await body(socket)
  } finally {
    server.close()
  }
}

const everyVerbWorks = (client: HttpGenerator, provider: HttpGenerator): Promise<void> =>
  provided(provider, async socket => {
    const kept = await client.ask(socket, { ...ASKED, fields: 40 }, WINDOW)
    assert.ok(kept.perSecond > 0 && kept.p99Us >= kept.medianUs && kept.medianUs > 0)
    const fresh = await client.ask(socket, { ...ASKED, connections: 'a new one each' }, WINDOW)
    assert.ok(fresh.requests > 0)
    for (const way of WAYS) {
      const moved = await client.move(socket, way, BODY_BYTES, WINDOW)
      assert.ok(moved.bytesPerSecond > 0 && moved.bytes >= BODY_BYTES, way)
    }
  })

const IDENTITY = 'X-PV-Client: app\r\nx-pv-role: any\r\n'

/** Put this in front of the fields of every request. */
const adding = (fields: string): Change => {
  return chunk => Buffer.from(chunk.toString('latin1').replace('\r\n', `\r\n${fields}`), 'latin1')
}

/** Replace it in what comes back, or goes, each time it is there. */
const replacing = (what: string, by: string): Change => {
  return chunk => Buffer.from(chunk.toString('latin1').replace(what, by), 'latin1')
}

/** Change a byte in the middle of the first chunk that is longer than any head. */
const garblingOnce = (): Change => {
  let done = false
  return chunk => {
    if (done || chunk.length < 4096) return chunk
    done = true
    const changed = Buffer.from(chunk)
    // The first byte of a block of a body: its position.
    for (let at = 2048; at < 2048 + 256; at += 1) changed[at] = (changed[at] ?? 0) ^ 1
    return changed
  }
}

/** Only the first of all requests gets it. */
const onlyOnce = (change: Change): Change => {
  let done = false
  return chunk => {
    if (done) return chunk
    done = true
    return change(chunk)
  }
}

const asking =
  (identities: Requests['identities']) =>
  (client: HttpGenerator, socket: string): Promise<unknown> =>
    client.ask(socket, { ...ASKED, clients: 1, identities }, WINDOW)

const moving =
  (way: Way) =>
  (client: HttpGenerator, socket: string): Promise<unknown> =>
    client.move(socket, way, BODY_BYTES, WINDOW)

/** What a proxy may do wrong, whose load notices, and what is said of it. */
const WRONGS: readonly (readonly [
  string,
  () => Changes,
  (client: HttpGenerator, socket: string) => Promise<unknown>,
  RegExp,
])[] = [
  ['a request without its identity', () => ({}), asking(1), /another answer .*"client":0,"role":0/],
  [
    'an identity in the first request only',
    () => ({ up: onlyOnce(adding(IDENTITY)) }),
    asking(1),
    /another answer .*"client":0,"role":0/,
  ],
  [
    'an identity that came twice',
    () => ({ up: adding(IDENTITY + IDENTITY) }),
    asking(1),
    /"client":2,"role":2/,
  ],
  [
    'an identity where there should be none',
    () => ({ up: adding(IDENTITY) }),
    asking(0),
    /"client":1,"role":1/,
  ],
  [
    'another status',
    () => ({ down: replacing('200 OK', '503 Service Unavailable') }),
    asking(0),
    /it was answered: HTTP\/1\.1 503 Service Unavailable/,
  ],
  ['a changed answer', () => ({ down: replacing('eth0', 'eth1') }), asking(0), /another answer .*eth1/],
  ['an answer that is too long', () => ({ down: replacing('"]}', '"]}?') }), asking(0), /another answer/],
  ['a garbled body down', () => ({ down: garblingOnce() }), moving('counted'), /arrived garbled/],
  ['a garbled body up', () => ({ up: garblingOnce() }), moving('upload'), /arrived garbled/],
  ['a garbled tunnel', () => ({ up: garblingOnce() }), moving('tunnel'), /arrived garbled/],
  [
    'a tunnel that was refused',
    () => ({ up: replacing('GET /tunnel/', 'GET /counted/') }),
    moving('tunnel'),
    /it was answered: HTTP\/1\.1 200 OK/,
  ],
]

describe('the HTTP load', () => {
  test('in Node understands itself', () => everyVerbWorks(nodeHttpGenerator(), nodeHttpGenerator()))

  test('in C understands itself', async t => {
    const compiled = inC(t)
    if (compiled !== undefined) await everyVerbWorks(compiled, compiled)
  })

  test('in C understands the one in Node, at either end', async t => {
    const compiled = inC(t)
    if (compiled === undefined) return
    await everyVerbWorks(compiled, nodeHttpGenerator())
    await everyVerbWorks(nodeHttpGenerator(), compiled)
  })

  test('is content where every request has its identity once', async () => {
    await provided(nodeHttpGenerator(), provider =>
      throughProxy(provider, { up: adding(IDENTITY) }, async socket => {
        await asking(1)(nodeHttpGenerator(), socket)
      }),
    )
  })
})

describe('the HTTP load notices', () => {
  for (const [wrong, changes, use, complaint] of WRONGS) {
    const isNoticedBy = (generator: HttpGenerator): Promise<void> =>
      provided(generator, provider =>
        throughProxy(provider, changes(), socket => assert.rejects(use(generator, socket), complaint)),
      )

    test(`${wrong}, in Node`, () => isNoticedBy(nodeHttpGenerator()))

    test(`${wrong}, in C`, async t => {
      const compiled = inC(t)
      if (compiled !== undefined) await isNoticedBy(compiled)
    })
  }
})
