/** Bytes through a link: all of them, in order, with the ends where the peers put them. */
import assert from 'node:assert/strict'
import { eventually, staysTrue } from '../support/eventually.ts'
import { PeerRefused } from '../support/peer.ts'
import {
  connectedLine,
  connectedPair,
  echoes,
  entryFor,
  openLine,
  SOCKET,
  scenario,
  stillEchoes,
  TARGET,
  unconnectedPair,
} from '../support/scenario.ts'

const MB = 1_000_000

scenario('100 MB go each way at the same time, unchanged', async world => {
  const size = 100 * MB
  const { consumer, provider } = await connectedPair(world, { service: 'exchange', size })
  await consumer.connect('line', TARGET)
  const [sent, received] = await Promise.all([consumer.pour('line', size), consumer.take('line', size)])
  await consumer.close('line')
  await eventually('the provider is done', async () => (await provider.servedBy('door')).open === 0)
  const [record] = (await provider.servedBy('door')).ended
  assert.ok(record !== undefined)
  const told: unknown = JSON.parse(record)
  assert.deepEqual(told, {
    open: false,
    sent: { bytes: size, sha256: received.sha256 },
    received: { bytes: size, sha256: sent.sha256 },
  })
})

scenario('messages of every small size arrive unchanged', async world => {
  const { consumer, provider } = await connectedLine(world)
  for (const size of [1, 2, 63, 4095, 4096, 4097, 16_383, 16_384, 32_768, 65_535, 65_537, 262_144, 262_145]) {
    const sending = consumer.send('line', 'abcdefghijklm', { size })
    const got = await provider.readExactly('line', size)
    await sending
    assert.equal(got.bytes, size)
    assert.ok('abcdefghijklm'.repeat(400).startsWith(got.text.slice(0, 4096)), `${size}`)
  }
})

scenario('300 connections at once each hear what they said', async world => {
  const { consumer } = await connectedPair(world, { service: 'echo' })
  assert.deepEqual(await consumer.connectMany('c', TARGET, 300), { connected: 300, errors: {} })
  assert.deepEqual(await consumer.echoMany('c', 300, 10_000), { good: 300, refused: 0, waiting: 0 })
  await consumer.closeMany('c')
})

scenario('connections that come faster than the provider accepts all get through', async world => {
  const { consumer, provider, entry, link } = await unconnectedPair(world)
  await provider.listen('door', SOCKET, { backlog: 1 })
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  assert.deepEqual(await consumer.connectMany('c', TARGET, 40), { connected: 40, errors: {} })
  const heard = consumer.echoMany('c', 40, 10_000)
  await provider.serve('door', 'echo')
  assert.deepEqual(await heard, { good: 40, refused: 0, waiting: 0 })
})

scenario('a consumer that is done sending still hears the answer', async world => {
  const { consumer, provider } = await connectedLine(world)
  await consumer.send('line', 'question')
  await consumer.shutdown('line', 'write')
  assert.deepEqual((await provider.readToEnd('line')).text, 'question')
  await provider.send('line', 'answer')
  assert.equal((await consumer.readExactly('line', 6)).text, 'answer')
  await provider.close('line')
  assert.deepEqual((await consumer.readToEnd('line')).ended, 'end')
})

scenario('a provider that is done sending still hears the consumer', async world => {
  const { consumer, provider } = await connectedLine(world)
  await provider.send('line', 'greeting')
  await provider.shutdown('line', 'write')
  assert.equal((await consumer.readToEnd('line')).text, 'greeting')
  await consumer.send('line', 'still here')
  assert.equal((await provider.readExactly('line', 10)).text, 'still here')
  await consumer.shutdown('line', 'write')
  assert.equal((await provider.readToEnd('line')).ended, 'end')
})

scenario('the end comes after all that was sent before it', async world => {
  const { consumer, provider } = await connectedLine(world)
  const pouring = consumer.pour('line', 5 * MB).then(async sent => {
    await consumer.shutdown('line', 'write')
    return sent
  })
  const got = await provider.readToEnd('line')
  assert.deepEqual([got.bytes, got.sha256, got.ended], [5 * MB, (await pouring).sha256, 'end'])
})

scenario('what a consumer sent before it was gone arrives, however late it is read', async world => {
  const { consumer, provider } = await connectedLine(world)
  await consumer.send('line', 'x', { size: 150_000 })
  await consumer.close('line')
  await eventually('all of it is there', async () => (await provider.queued('line')) > 0)
  const got = await provider.readToEnd('line')
  assert.deepEqual([got.bytes, got.ended], [150_000, 'end'])
})

scenario('what a provider sent before it was gone arrives, however late it is read', async world => {
  const { consumer, provider } = await connectedLine(world)
  await provider.send('line', 'x', { size: 150_000 })
  await provider.close('line')
  await eventually('some of it is there', async () => (await consumer.queued('line')) > 0)
  const got = await consumer.readToEnd('line')
  assert.deepEqual([got.bytes, got.ended], [150_000, 'end'])
})

scenario('the last words of a provider that did not read all it was told are heard', async world => {
  const { consumer, provider } = await connectedLine(world)
  await consumer.send('line', 'never read')
  await eventually('it has arrived', async () => (await provider.queued('line')) === 10)
  await provider.send('line', 'last words')
  await provider.close('line')
  assert.equal((await consumer.readToEnd('line')).text, 'last words')
})

scenario('a provider that hears no more makes the consumer notice, and can still speak', async world => {
  const { consumer, provider } = await connectedLine(world)
  await provider.shutdown('line', 'read')
  await eventually('the consumer is refused', async () => {
    await assert.rejects(
      consumer.send('line', 'hello?'),
      error => error instanceof PeerRefused && ['EPIPE', 'ECONNRESET'].includes(error.errno),
    )
    return true
  })
  await provider.send('line', 'still speaking')
  assert.equal((await consumer.readExactly('line', 14)).text, 'still speaking')
})

scenario('a provider that closes in the middle of a transfer ends it at the consumer', async world => {
  const { consumer, provider } = await connectedPair(world, { service: 'hang_up', size: 3 * MB })
  await consumer.connect('line', TARGET)
  await assert.rejects(
    consumer.pour('line', 50 * MB),
    error => error instanceof PeerRefused && ['EPIPE', 'ECONNRESET'].includes(error.errno),
  )
  const served = await provider.servedBy('door')
  assert.deepEqual([served.open, served.total], [0, 1])
  await provider.listen('door', SOCKET, { replace: true })
  await provider.serve('door', 'echo')
  await echoes(consumer, 'next')
})

scenario('a consumer that vanishes in the middle of its writing harms nobody else', async world => {
  const { app, consumer, provider } = await connectedPair(world, { service: 'echo' })
  await echoes(consumer, 'good')
  for (let round = 0; round < 5; round += 1) {
    const victim = await world.peer(app)
    await victim.connect('line', TARGET)
    const pouring = victim.pour('line', 500 * MB)
    await eventually('it flows', async () => (await provider.servedBy('door')).open > 1)
    await Promise.all([assert.rejects(pouring), victim.kill()])
  }
  await eventually('the provider lost them', async () => (await provider.servedBy('door')).open === 1)
  await stillEchoes(consumer, 'good')
  assert.ok(world.daemon.isRunning())
})

scenario(
  'a provider killed while it was told something ends the connections and nothing else',
  async world => {
    const { app, svc, consumer, entry } = await connectedPair(world, { service: 'sink' })
    const good = await world.container('good')
    const other = await world.peer(good)
    await other.listen('door', SOCKET)
    await other.serve('door', 'echo')
    const second = entryFor({ name: 'good', consumer: app, provider: good, target: '/run/pvx/good.sock' })
    world.ctrl.serve([entry, second])
    await world.daemon.reaches('app/good@/run/pvx/good.sock', 'mediating')
    await echoes(consumer, 'good', '/run/pvx/good.sock')
    await consumer.connect('line', TARGET)
    const pouring = consumer.pour('line', 2000 * MB)
    await Promise.all([assert.rejects(pouring, PeerRefused), svc.kill()])
    await stillEchoes(consumer, 'good')
  },
)

for (const first of ['consumer', 'provider'] as const) {
  for (const how of ['close', 'write', 'read', 'both'] as const) {
    scenario(`ends in any order leave nothing open: the ${first} begins with ${how}`, async world => {
      const pair = await connectedPair(world)
      for (const then of ['close', 'write', 'both'] as const) {
        const name = `line-${then}`
        await openLine(pair, name)
        const [one, other] =
          first === 'consumer' ? [pair.consumer, pair.provider] : [pair.provider, pair.consumer]
        await one.send(name, 'x', { size: 1000 })
        await other.send(name, 'y', { size: 1000 })
        if (how === 'close') await one.close(name)
        else await one.shutdown(name, how)
        if (then === 'close') await other.close(name)
        else await other.shutdown(name, then)
        if (how !== 'close') await one.close(name)
        if (then !== 'close') await other.close(name)
      }
    })
  }
}

scenario(
  'a connection with one dead half and nothing moving is cut after the linger',
  async world => {
    const { consumer, provider } = await connectedLine(world)
    await consumer.shutdown('line', 'write')
    assert.equal((await provider.readToEnd('line')).ended, 'end')
    const start = Date.now()
    assert.equal((await consumer.readToEnd('line')).bytes, 0)
    const waited = Date.now() - start
    assert.ok(waited > 300 && waited < 3000, `${waited} ms`)
  },
  { args: ['--linger', '500'] },
)

scenario(
  'a connection with one dead half on which something moves is not cut',
  async world => {
    const { consumer, provider } = await connectedLine(world)
    await consumer.shutdown('line', 'write')
    const end = Date.now() + 1500
    await staysTrue('it carries bytes', 1500, async () => {
      await provider.send('line', 'x')
      return (await consumer.readExactly('line', 1)).text === 'x' && Date.now() < end + 1000
    })
  },
  { args: ['--linger', '500'] },
)

scenario(
  'an open connection on which nothing moves is never cut',
  async world => {
    const { consumer } = await connectedPair(world, { service: 'echo' })
    await echoes(consumer, 'line')
    await world.ctrl.askedAgain(6)
    await stillEchoes(consumer, 'line')
  },
  { args: ['--linger', '200'] },
)

scenario('a consumer that goes while its connection waits for the provider is forgotten', async world => {
  const { consumer, provider, entry, link } = await unconnectedPair(world)
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  const before = world.daemon.descriptors().length
  await consumer.connectMany('c', TARGET, 20)
  await consumer.closeMany('c')
  await eventually(
    'they are closed long before the grace ends',
    () => world.daemon.descriptors().length <= before,
    2000,
  )
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  await echoes(consumer, 'line')
})
