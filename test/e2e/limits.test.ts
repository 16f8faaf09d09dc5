/** Peers that want too much, or take nothing: what it costs the daemon is bounded, and the others do not notice. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { askControl } from '../support/control.ts'
import { eventually, staysTrue } from '../support/eventually.ts'
import type { Answer, Entry } from '../support/pv-ctrl.ts'
import {
  connectedPair,
  echoes,
  entryFor,
  exists,
  keyOf,
  openLine,
  type Pair,
  SOCKET,
  scenario,
  stillEchoes,
  TARGET,
  unconnectedPair,
  type World,
} from '../support/scenario.ts'

const MB = 1_000_000
/** What the daemon may grow by where it should not grow: garbage that was not collected yet, and little else. */
const FLAT = 6 * MB

const GOOD_TARGET = '/run/pvx/good.sock'

/** A second link of the same two containers, with an echo behind it, and one open connection called `good`. */
const withGoodLink = async (
  world: World,
  { app, svc, provider, consumer, entry }: Pair,
): Promise<readonly Entry[]> => {
  const good = entryFor({
    name: 'good',
    consumer: app,
    provider: svc,
    socket: '/run/svc/good.sock',
    target: GOOD_TARGET,
  })
  await provider.listen('good', '/run/svc/good.sock')
  await provider.serve('good', 'echo')
  world.ctrl.serve([entry, good])
  await world.daemon.reaches(keyOf(good), 'mediating')
  await echoes(consumer, 'good', GOOD_TARGET)
  return [entry, good]
}

for (const reader of ['provider', 'consumer'] as const) {
  scenario(`a ${reader} that does not read blocks the sender and costs the daemon no memory`, async world => {
    const pair = await connectedPair(world)
    await withGoodLink(world, pair)
    const sender = reader === 'provider' ? pair.consumer : pair.provider
    for (const name of ['warm', 'a', 'b', 'c', 'd']) await openLine(pair, name)
    await sender.fill('warm', 100)
    const before = world.daemon.anonymousMemory()
    const taken = await Promise.all(['a', 'b', 'c', 'd'].map(name => sender.fill(name, 200)))
    for (const bytes of taken) assert.ok(bytes > 0 && bytes < 4 * MB, `${bytes} bytes were taken`)
    const grown = world.daemon.anonymousMemory() - before
    assert.ok(grown < FLAT, `grown by ${grown} bytes`)
    await stillEchoes(pair.consumer, 'good')
    await echoes(pair.consumer, 'another', GOOD_TARGET)
  })
}

scenario('what was held up flows on when it is read again', async world => {
  const pair = await connectedPair(world)
  const { consumer, provider } = pair
  await openLine(pair, 'line')
  const taken = await consumer.fill('line', 200)
  assert.equal((await provider.take('line', taken)).bytes, taken)
  const pouring = consumer.pour('line', 20 * MB)
  const got = await provider.take('line', 20 * MB)
  assert.equal(got.sha256, (await pouring).sha256)
})

scenario('small messages that nobody reads cost no more than large ones', async world => {
  const pair = await connectedPair(world)
  for (const name of ['warm', 'line']) await openLine(pair, name)
  await pair.consumer.fill('warm', 100, { chunk: 1 })
  const before = world.daemon.anonymousMemory()
  await pair.consumer.fill('line', 100, { chunk: 1 })
  const grown = world.daemon.anonymousMemory() - before
  assert.ok(grown < FLAT, `grown by ${grown} bytes`)
})

scenario('a busy link does not starve a quiet one', async world => {
  const pair = await connectedPair(world, { service: 'sink' })
  await withGoodLink(world, pair)
  await pair.consumer.connect('busy', TARGET)
  const other = await world.peer(pair.app)
  await other.connect('quiet', GOOD_TARGET)
  const pouring = pair.consumer.pour('busy', 400 * MB)
  let slowest = 0
  for (let round = 0; round < 20; round += 1) {
    const start = Date.now()
    await stillEchoes(other, 'quiet')
    slowest = Math.max(slowest, Date.now() - start)
  }
  await pouring
  assert.ok(slowest < 500, `a round trip took ${slowest} ms`)
})

scenario(
  'connections over the limit of a link do not harm those within it or other links',
  async world => {
    const pair = await connectedPair(world, { service: 'echo' })
    await withGoodLink(world, pair)
    const { consumer } = pair
    await consumer.connectMany('c', TARGET, 8)
    const heard = await consumer.echoMany('c', 8, 700)
    assert.equal(heard.good, 5)
    assert.equal(heard.refused + heard.waiting, 3)
    await stillEchoes(consumer, 'good')
    await echoes(consumer, 'another', GOOD_TARGET)
    await consumer.closeMany('c')
    await eventually('there is room again', async () => {
      await consumer.connectMany('d', TARGET, 1)
      const { good } = await consumer.echoMany('d', 1, 200)
      await consumer.closeMany('d')
      return good === 1
    })
  },
  { args: ['--max-connections-per-link', '5'] },
)

scenario(
  'connections over the limit of the daemon do not harm those within it',
  async world => {
    const pair = await connectedPair(world, { service: 'echo' })
    await withGoodLink(world, pair)
    const { consumer } = pair
    await consumer.connectMany('c', TARGET, 12)
    const heard = await consumer.echoMany('c', 12, 700)
    assert.equal(heard.good, 9)
    await stillEchoes(consumer, 'good')
    await consumer.closeMany('c')
    await eventually('there is room again', async () => {
      await consumer.connectMany('d', TARGET, 1)
      const { good } = await consumer.echoMany('d', 1, 200)
      await consumer.closeMany('d')
      return good === 1
    })
  },
  { args: ['--max-connections', '10'] },
)

scenario(
  'a daemon out of descriptors serves whom it has and takes new connections when it can',
  async world => {
    const pair = await connectedPair(world, { service: 'echo' })
    const { consumer } = pair
    await echoes(consumer, 'good')
    const { connected } = await consumer.connectMany('c', TARGET, 150)
    assert.ok(connected > 0)
    const heard = await consumer.echoMany('c', 150, 1000)
    assert.ok(heard.good > 0, 'some are served')
    assert.ok(heard.waiting + heard.refused > 0, 'it is out of descriptors')
    await stillEchoes(consumer, 'good')
    await staysTrue('it runs', 300, world.daemon.isRunning)
    await consumer.closeMany('c')
    await eventually(
      'it accepts again',
      async () => {
        await consumer.connectMany('d', TARGET, 1)
        const { good } = await consumer.echoMany('d', 1, 500)
        await consumer.closeMany('d')
        return good === 1
      },
      10_000,
    )
    await stillEchoes(consumer, 'good')
  },
  { mostDescriptors: 128 },
)

scenario(
  'a daemon short of descriptors loses none of those that were sent through it',
  async world => {
    const pair = await connectedPair(world)
    const { consumer, provider } = pair
    const names = Array.from({ length: 8 }, (_, index) => `line${index}`)
    for (const name of names) await openLine(pair, name)
    const sending = Promise.allSettled(names.map(name => consumer.sendNumbered(name, 600, 1)))
    await eventually('it is short of them', () => world.daemon.descriptors().length > 100)
    const got = await Promise.all(names.map(name => provider.receiveNumbered(name, 600, 1)))
    for (const each of got) assert.deepEqual(each, { complaints: [], descriptors: 600 })
    assert.ok((await sending).every(({ status }) => status === 'fulfilled'))
  },
  { mostDescriptors: 400 },
)

scenario(
  'descriptors that nobody takes leave enough for everybody else',
  async world => {
    const pair = await connectedPair(world)
    await withGoodLink(world, pair)
    const { consumer, entry } = pair
    const names = Array.from({ length: 8 }, (_, index) => `line${index}`)
    for (const name of names) await openLine(pair, name)
    await consumer.makePipe('reader', 'writer')
    await Promise.all(names.map(name => consumer.fill(name, 200, { chunk: 1, descriptor: 'writer' })))
    await stillEchoes(consumer, 'good')
    await echoes(consumer, 'another', GOOD_TARGET)
    const late = { ...entry, name: 'late', target: '/run/pvx/late.sock' }
    world.ctrl.serve([entry, late])
    await world.daemon.reaches(keyOf(late), 'mediating')
  },
  { mostDescriptors: 400 },
)

scenario(
  'with 64 descriptors no client is cut, no descriptor lost, the log says it once, and all goes on afterwards',
  async world => {
    const pair = await connectedPair(world)
    const graph = await withGoodLink(world, pair)
    const { consumer, provider, app, svc, link } = pair
    await openLine(pair, 'line')
    await provider.serve('door', 'echo')
    const since = world.daemon.log().length
    const { connected } = await consumer.connectMany('c', TARGET, 60)
    assert.equal(connected, 60)
    const heard = await consumer.echoMany('c', 60, 1500)
    assert.ok(heard.good > 0 && heard.waiting > 0, JSON.stringify(heard))
    assert.equal(heard.refused, 0)
    assert.equal(await consumer.closedMany('c'), 0)
    const paused = world.daemon
      .log()
      .slice(since)
      .filter(({ msg }) => msg === 'accepting paused')
    assert.deepEqual(
      paused.map(({ level, link, reason }) => [level, link, reason]),
      [['warn', link, 'descriptor table is full']],
    )
    const { body } = await askControl(world.daemon.control, '/metrics')
    assert.match(body, /^pv_xconnect_link_accept_pauses_total\{.*reason="descriptors"\} [1-9]/m)

    // What is open works on, and what there is no room for waits.
    await stillEchoes(consumer, 'good')
    const sending = consumer.sendNumbered('line', 300, 1)
    const receiving = provider.receiveNumbered('line', 300, 1)
    const late = entryFor({
      name: 'late',
      consumer: app,
      provider: svc,
      socket: '/run/svc/good.sock',
      target: '/run/pvx/late.sock',
    })
    world.ctrl.serve([...graph, late])
    await world.daemon.reaches(keyOf(late), 'mediating')

    await consumer.closeMany('c')
    await sending
    assert.deepEqual(await receiving, { complaints: [], descriptors: 300 })
    await eventually('it accepts again', async () => {
      await consumer.connectMany('d', TARGET, 1)
      const { good } = await consumer.echoMany('d', 1, 500)
      await consumer.closeMany('d')
      return good === 1
    })
    await stillEchoes(consumer, 'good')
    await echoes(consumer, 'late', '/run/pvx/late.sock')
    assert.ok(world.daemon.isIn(link, 'mediating'))
  },
  { mostDescriptors: 64 },
)

scenario('a storm of connections that come and go leaves nothing behind', async world => {
  const { consumer } = await connectedPair(world, { service: 'echo' })
  await echoes(consumer, 'good')
  const before = world.daemon.anonymousMemory()
  for (let round = 0; round < 10; round += 1) {
    await consumer.connectMany(`c${round}-`, TARGET, 100)
    await consumer.closeMany(`c${round}-`)
  }
  await stillEchoes(consumer, 'good')
  const grown = world.daemon.anonymousMemory() - before
  assert.ok(grown < 2 * FLAT, `grown by ${grown} bytes`)
})

scenario(
  'an answer that takes longer than it may is a failed read that harms no link, and the next one is taken',
  async world => {
    const { consumer, entry, link } = await connectedPair(world, { service: 'echo' })
    await echoes(consumer, 'line')
    world.ctrl.answer((response, socket) => {
      response.writeHead(200)
      const trickle = setInterval(() => response.write(' '), 20)
      socket.once('close', () => clearInterval(trickle))
    })
    const line = await world.daemon.logged('why', each => each['reason'] === 'no whole answer within 300 ms')
    assert.equal(line['level'], 'warn')
    await stillEchoes(consumer, 'line')
    const second = { ...entry, name: 'second', target: '/run/pvx/second.sock' }
    world.ctrl.serve([entry, second])
    await world.daemon.reaches(keyOf(second), 'mediating')
    assert.ok(world.daemon.isIn(link, 'mediating'))
  },
  { args: ['--graph-timeout', '300'] },
)

scenario(
  'a graph over its limits is a failed read, and at its limits it is taken',
  async world => {
    const { consumer, entry } = await connectedPair(world, { service: 'echo' })
    await echoes(consumer, 'line')
    const others = [1, 2].map(n => ({ ...entry, name: `n${n}`, target: `/run/pvx/${n}.sock` }))
    const [second, third] = others
    if (second === undefined || third === undefined) assert.fail()
    const padded = (graph: readonly Entry[], bytes: number): Answer => {
      const body = JSON.stringify(graph)
      return response => response.end(body + ' '.repeat(bytes - body.length))
    }

    world.ctrl.serve([entry, second, third])
    await world.daemon.logged('too many', each => /3 links, more than 2/.test(String(each['reason'])))
    world.ctrl.answer(padded([entry, second], 2001))
    await world.daemon.logged('too long', each => /longer than 2000 bytes/.test(String(each['reason'])))
    assert.equal(world.daemon.stateOf(keyOf(second)), undefined)
    await stillEchoes(consumer, 'line')

    world.ctrl.answer(padded([entry, second], 2000))
    await world.daemon.reaches(keyOf(second), 'mediating')
    const long = (bytes: number): Entry => ({ ...entry, name: 'x'.repeat(bytes), target: '/run/pvx/x.sock' })
    world.ctrl.serve([entry, long(101)])
    await world.daemon.logged('too long a name', each => /at most 100 bytes/.test(String(each['reason'])))
    world.ctrl.serve([entry, long(100)])
    await world.daemon.reaches(keyOf(long(100)), 'mediating')
    await stillEchoes(consumer, 'line')
  },
  { args: ['--max-graph-links', '2', '--max-graph-bytes', '2000', '--max-string-bytes', '100'] },
)

scenario(
  'a daemon that ends gives open connections the time they have, and no more',
  async world => {
    const { consumer } = await connectedPair(world, { service: 'echo' })
    await echoes(consumer, 'line')
    const started = Date.now()
    world.daemon.signal('SIGTERM')
    await world.daemon.logged('that it ends', line => line['msg'] === 'draining')
    await stillEchoes(consumer, 'line')
    assert.ok(world.daemon.isRunning())
    assert.equal(await world.daemon.ended(), 0)
    assert.ok(Date.now() - started >= 700)
    assert.equal((await consumer.readToEnd('line')).bytes, 0)
  },
  { args: ['--drain', '700'] },
)

for (const logTo of ['a pipe that nobody reads', 'a pipe whose reader is gone', 'a full device'] as const) {
  scenario(
    `a log into ${logTo} holds nothing up`,
    async world => {
      const { app, svc, consumer, provider } = await unconnectedPair(world)
      await provider.listen('door', SOCKET)
      await provider.serve('door', 'echo')
      const entries = Array.from({ length: 500 }, (_, index) =>
        entryFor({ name: `n${index}`, consumer: app, provider: svc, target: `/run/pvx/${index}.sock` }),
      )
      world.ctrl.serve(entries)
      await eventually('all are planted', () => readdirSync(app.path('/run/pvx')).length === 500, 15_000)
      await echoes(consumer, 'line', '/run/pvx/499.sock')
      await provider.listen('sink', '/run/svc/sink.sock')
      await provider.serve('sink', 'sink')
      const bulk = entryFor({
        name: 'bulk',
        consumer: app,
        provider: svc,
        socket: '/run/svc/sink.sock',
        target: '/run/pvx/bulk.sock',
      })
      world.ctrl.serve([...entries, bulk])
      await eventually('it is planted', () => exists(app.path('/run/pvx/bulk.sock')), 15_000)
      await consumer.connect('bulk', '/run/pvx/bulk.sock')
      const { sha256 } = await consumer.pour('bulk', 50 * MB)
      await consumer.shutdown('bulk', 'write')
      const [received] = await eventually('all has come', async () => {
        const { ended } = await provider.servedBy('sink')
        return ended.length === 1 && ended
      })
      assert.match(received ?? '', new RegExp(sha256))
      await stillEchoes(consumer, 'line')
      world.ctrl.serve([])
      await eventually('all are gone', () => !exists(app.path('/run/pvx')), 15_000)
    },
    { logTo },
  )
}
