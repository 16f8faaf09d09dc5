/** The load finds what it is there to find: each of its two programs, at either end, and with something bad in between. */
import assert from 'node:assert/strict'
import { connect, createServer, type Server } from 'node:net'
import { describe, test } from 'node:test'
import { compiledGenerator, type Generator, nodeGenerator } from './generator.ts'
import { loadStage } from './load-stage.ts'

const WINDOW = { warmMs: 5, forMs: 30 }
const BULK = { connections: 3, writeBytes: 4096, descriptorEvery: 0 }
const ONE = { ...BULK, connections: 1 }
const TRIPS = { connections: 3, bytes: 64 }

const { newSocket, provided, inC } = loadStage(compiledGenerator)

/** A relay that passes each chunk from the client on as `change` says. Copies bytes, so descriptors are lost in it. */
const relayTo = async (
  provider: string,
  change: (chunk: Buffer) => Buffer,
  body: (socket: string) => Promise<void>,
): Promise<void> => {
  const socket = newSocket()
  const server: Server = createServer({ allowHalfOpen: true }, client => {
    const upstream = connect({ path: provider, allowHalfOpen: true })
    for (const end of [client, upstream]) end.on('error', () => end.destroy())
    client.on('data', (chunk: Buffer) => {
      if (upstream.write(change(chunk))) return
      client.pause()
      upstream.once('drain', () => client.resume())
    })
    client.on('end', () => upstream.end())
    upstream.pipe(client)
  })
  await new Promise<void>(resolve => server.listen(socket, resolve))
  try {
    await body(socket)
  } finally {
    server.close()
  }
}

/** Apply it once, to the first checked bytes of the only connection there is: behind its head of 8 bytes. */
const onceTo = (change: (chunk: Buffer) => Buffer): ((chunk: Buffer) => Buffer) => {
  let seen = 0
  let done = false
  return chunk => {
    const head = Math.max(0, 8 - seen)
    seen += chunk.length
    if (done || chunk.length < head + 600) return chunk
    done = true
    return Buffer.concat([chunk.subarray(0, head), change(chunk.subarray(head))])
  }
}

const everyVerbWorks = async (client: Generator, provider: Generator): Promise<void> => {
  await provided(provider, async socket => {
    const bulk = await client.bulk(socket, BULK, WINDOW)
    assert.ok(bulk.bytesPerSecond > 0)
    const trip = await client.trip(socket, TRIPS, WINDOW)
    assert.ok(trip.perSecond > 0 && trip.p99Us >= trip.medianUs)
    assert.ok((await client.connect(socket, WINDOW)) > 0)
  })
}

describe('the load in Node', () => {
  test('understands itself', () => everyVerbWorks(nodeGenerator(), nodeGenerator()))

  test('says that it cannot pass descriptors', async () => {
    assert.equal(nodeGenerator().passesDescriptors, false)
    await provided(nodeGenerator(), socket =>
      assert.rejects(
        nodeGenerator().bulk(socket, { ...BULK, descriptorEvery: 4096 }, WINDOW),
        /cannot pass descriptors/,
      ),
    )
  })

  test('says what it could not reach', () =>
    assert.rejects(nodeGenerator().bulk(newSocket(), BULK, WINDOW), /ENOENT/))
})

describe('the load in C', () => {
  test('understands itself', async t => {
    const compiled = inC(t)
    if (compiled !== undefined) await everyVerbWorks(compiled, compiled)
  })

  test('understands the one in Node, at either end', async t => {
    const compiled = inC(t)
    if (compiled === undefined) return
    await everyVerbWorks(compiled, nodeGenerator())
    await everyVerbWorks(nodeGenerator(), compiled)
  })

  test('finds every descriptor at its byte', async t => {
    const compiled = inC(t)
    if (compiled === undefined) return
    const { bulk, provide } = compiled
    const socket = newSocket()
    const provider = await provide(socket)
    const { descriptors, intact } = await bulk(socket, { ...BULK, descriptorEvery: 8192 }, WINDOW)
    await provider.stop()
    assert.ok(descriptors > 0)
    assert.equal(intact, descriptors)
  })

  test('says that descriptors were lost', async t => {
    const compiled = inC(t)
    if (compiled === undefined) return
    const { bulk } = compiled
    await provided(compiled, socket =>
      relayTo(
        socket,
        chunk => chunk,
        async relay => {
          const moved = await bulk(relay, { ...BULK, descriptorEvery: 8192 }, WINDOW)
          assert.ok(moved.descriptors > 0)
          assert.equal(moved.intact, 0)
        },
      ),
    )
  })

  test('says what it could not reach', async t => {
    const compiled = inC(t)
    if (compiled === undefined) return
    await assert.rejects(compiled.bulk(newSocket(), BULK, WINDOW), /No such file/)
  })
})

/** What a relay may do wrong, and what is said of it. */
const WRONGS: readonly (readonly [string, (chunk: Buffer) => Buffer, RegExp])[] = [
  ['a lost byte', chunk => chunk.subarray(1), /of \d+ bytes, \d+ arrived/],
  ['a doubled byte', chunk => Buffer.concat([chunk.subarray(0, 1), chunk]), /of \d+ bytes, \d+ arrived/],
  [
    'a changed byte',
    chunk => {
      const changed = Buffer.from(chunk)
      changed[300] = (changed[300] ?? 0) ^ 1
      return changed
    },
    /arrived garbled/,
  ],
  [
    'two blocks in the wrong order',
    chunk => Buffer.concat([chunk.subarray(256, 512), chunk.subarray(0, 256), chunk.subarray(512)]),
    /arrived garbled/,
  ],
]

describe('the load notices', () => {
  for (const [wrong, change, complaint] of WRONGS) {
    test(`${wrong}, in Node`, async () => {
      await provided(nodeGenerator(), socket =>
        relayTo(socket, onceTo(change), relay =>
          assert.rejects(nodeGenerator().bulk(relay, ONE, WINDOW), complaint),
        ),
      )
    })

    test(`${wrong}, in C`, async t => {
      const compiled = inC(t)
      if (compiled === undefined) return
      const { bulk } = compiled
      await provided(compiled, socket =>
        relayTo(socket, onceTo(change), relay => assert.rejects(bulk(relay, ONE, WINDOW), complaint)),
      )
    })
  }
})
