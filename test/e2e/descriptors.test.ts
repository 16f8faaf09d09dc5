/** Descriptors that travel through a link: the same open files, with exactly the byte they were sent with. */
import assert from 'node:assert/strict'
import { eventually } from '../support/eventually.ts'
import type { Peer } from '../support/peer.ts'
import {
  connectedLine,
  connectedPair,
  echoes,
  openLine,
  type Pair,
  SOCKET,
  scenario,
  TARGET,
  unconnectedPair,
  type World,
} from '../support/scenario.ts'

const namesOf = (prefix: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`)

interface Direction {
  readonly name: string
  readonly ends: (pair: Pair) => { from: Peer; to: Peer }
}

const DIRECTIONS: readonly Direction[] = [
  { name: 'to the provider', ends: pair => ({ from: pair.consumer, to: pair.provider }) },
  { name: 'to the consumer', ends: pair => ({ from: pair.provider, to: pair.consumer }) },
]

for (const { name, ends } of DIRECTIONS) {
  scenario(`from 1 to 253 descriptors in one message arrive as they were sent, ${name}`, async world => {
    const { from, to } = ends(await connectedLine(world))
    for (const count of [1, 2, 3, 15, 16, 17, 63, 64, 128, 252, 253]) {
      const sent = await from.makeMemfds('m', count)
      await from.send('line', 'here they are', { descriptors: namesOf('m', count) })
      await from.closeFiles(namesOf('m', count))
      const got = await to.receiveMessage('line')
      assert.deepEqual(got.descriptors, sent, `${count} descriptors`)
      assert.deepEqual([got.text, got.cut], ['here they are', false])
    }
  })

  scenario(`descriptors arrive with their byte and not before, ${name}`, async world => {
    const { from, to } = ends(await connectedLine(world))
    const first = await from.makeMemfds('a', 3)
    const second = await from.makeMemfds('b', 1)
    for (let round = 0; round < 20; round += 1) {
      await from.send('line', 'p', { size: 100 })
      await from.send('line', 'r', { size: 10, descriptors: namesOf('a', 3) })
      await from.send('line', 's', { size: 10, descriptors: namesOf('b', 1) })
      await from.send('line', 'p', { size: 50 })
      const got = await to.readByteByByte('line', 170)
      assert.equal(got.text, `${'p'.repeat(100)}${'r'.repeat(10)}${'s'.repeat(10)}${'p'.repeat(50)}`)
      assert.deepEqual(got.positions, [
        { at: 100, descriptors: first, cut: false },
        { at: 110, descriptors: second, cut: false },
      ])
    }
  })

  scenario(`thousands of messages keep their order and their descriptors, ${name}`, async world => {
    const { from, to } = ends(await connectedLine(world))
    for (const every of [1, 3, 100]) {
      const sending = from.sendNumbered('line', 3000, every)
      const got = await to.receiveNumbered('line', 3000, every)
      await sending
      assert.deepEqual(got, { complaints: [], descriptors: Math.ceil(3000 / every) })
    }
  })

  scenario(`descriptors on a message of 600 KB come with its first byte, ${name}`, async world => {
    const { from, to } = ends(await connectedLine(world))
    const sent = await from.makeMemfds('m', 5)
    await from.send('line', 'plain')
    const sending = from.send('line', 'large', { size: 600_000, descriptors: namesOf('m', 5) })
    const head = await to.readByteByByte('line', 6)
    assert.deepEqual(head, { text: 'plainl', positions: [{ at: 5, descriptors: sent, cut: false }] })
    const rest = await to.take('line', 599_999)
    await sending
    assert.equal(rest.bytes, 599_999)
    assert.ok('large'.repeat(2000).slice(1).startsWith(rest.text))
    await from.send('line', 'after')
    assert.deepEqual(await to.readByteByByte('line', 5), { text: 'after', positions: [] })
  })
}

scenario('bytes and descriptors that waited for the provider keep their places', async world => {
  const { consumer, provider, entry, link } = await unconnectedPair(world)
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  await consumer.connect('line', TARGET)
  // All of this lies in the socket before the daemon may read any of it.
  const sent = await consumer.makeMemfds('m', 4)
  await consumer.send('line', 'p', { size: 100 })
  await consumer.send('line', 'q', { size: 100 })
  await consumer.send('line', 'r', { size: 10, descriptors: ['m0'] })
  await consumer.send('line', 'r', { size: 10, descriptors: ['m1', 'm2'] })
  await consumer.send('line', 'p', { size: 50 })
  await consumer.send('line', 'r', { size: 1, descriptors: ['m3'] })
  await provider.listen('door', SOCKET)
  await provider.accept('door', 'line')
  const got = await provider.readByteByByte('line', 271)
  assert.deepEqual(
    got.positions.map(({ at, descriptors }) => ({ at, descriptors })),
    [
      { at: 200, descriptors: sent.slice(0, 1) },
      { at: 210, descriptors: sent.slice(1, 3) },
      { at: 270, descriptors: sent.slice(3) },
    ],
  )
})

scenario('a header read plainly does not lose the descriptors of its body', async world => {
  const { consumer, provider } = await connectedLine(world)
  const sent = await consumer.makeMemfds('m', 2)
  for (let round = 0; round < 50; round += 1) {
    await consumer.send('line', 'head')
    await consumer.send('line', 'the body', { descriptors: ['m0', 'm1'] })
    assert.equal((await provider.readExactly('line', 4)).text, 'head')
    const body = await provider.receiveMessage('line')
    assert.equal(body.text, 'the body')
    assert.deepEqual(body.descriptors, sent)
  }
})

scenario('large plain data before and after a message keeps its descriptors in place', async world => {
  const { consumer, provider } = await connectedLine(world)
  const sent = await consumer.makeMemfds('m', 1)
  const before = consumer.pour('line', 3_000_000)
  const got = await provider.take('line', 3_000_000)
  assert.equal(got.sha256, (await before).sha256)
  const sending = (async () => {
    await consumer.send('line', 'b', { size: 1_000_000 })
    await consumer.send('line', 'r', { descriptors: ['m0'] })
    await consumer.send('line', 'a', { size: 1_000_000 })
  })()
  assert.equal((await provider.take('line', 999_995)).bytes, 999_995)
  const edge = await provider.readByteByByte('line', 10)
  assert.deepEqual(edge, {
    text: 'bbbbbraaaa',
    positions: [{ at: 5, descriptors: sent, cut: false }],
  })
  assert.equal((await provider.take('line', 999_996)).bytes, 999_996)
  await sending
})

scenario(
  'a pipe sent through a link works, and its end is seen when the last copy is closed',
  async world => {
    const { consumer, provider } = await connectedLine(world)
    await consumer.makePipe('reader', 'writer')
    await consumer.send('line', 'a pipe', { descriptors: ['writer'] })
    await consumer.closeFiles(['writer'])
    await provider.receiveMessage('line', { keepAs: 'got' })
    await provider.writeFile('got0', 'through the pipe')
    assert.equal(await consumer.readFile('reader'), 'through the pipe')
    await provider.closeFiles(['got0'])
    // The connection is still open: only a copy kept in the daemon could hold this up.
    assert.equal(await consumer.readFile('reader'), '')
  },
)

scenario('a socket sent through a link is a connection of its own', async world => {
  const { consumer, provider } = await connectedLine(world)
  await consumer.makeSocketpair('mine', 'theirs')
  await consumer.send('line', 'a socket', { descriptors: ['theirs'] })
  await consumer.closeFiles(['theirs'])
  await provider.receiveMessage('line', { keepAs: 'got' })
  await consumer.send('mine', 'direct')
  assert.equal(await provider.readFile('got0'), 'direct')
  await provider.writeFile('got0', 'answer')
  assert.equal((await consumer.read('mine')).text, 'answer')
})

scenario('a reader with no room for descriptors loses them and nothing else', async world => {
  const { consumer, provider } = await connectedLine(world)
  await consumer.makePipe('reader', 'writer')
  await consumer.send('line', 'with', { descriptors: ['writer'] })
  await consumer.send('line', 'without')
  assert.equal((await provider.readExactly('line', 11)).text, 'withwithout')
  await consumer.closeFiles(['writer'])
  assert.equal(await consumer.readFile('reader'), '')
})

/** A provider that does not read, and as many descriptors of one pipe on their way to it as there is room for. */
const jammed = async (world: World): Promise<Pair> => {
  const pair = await connectedLine(world)
  const { consumer } = pair
  await consumer.makePipe('reader', 'writer')
  const idle = world.daemon.descriptors().length
  const messages = await consumer.fill('line', 200, { chunk: 1, descriptor: 'writer' })
  assert.ok(messages >= 10, `${messages} messages`)
  const held = world.daemon.descriptors().length - idle
  assert.ok(held <= 512 + 253, `the daemon holds ${held} descriptors`)
  await consumer.closeFiles(['writer'])
  return pair
}

scenario('descriptors on their way are closed when both ends vanish', async world => {
  const { consumer, provider } = await jammed(world)
  await Promise.all([consumer.close('line'), provider.close('line')])
  assert.equal(await consumer.readFile('reader'), '')
})

scenario('descriptors on their way are closed when the provider is killed', async world => {
  const { consumer, svc } = await jammed(world)
  await svc.kill()
  await consumer.readToEnd('line')
  await consumer.close('line')
  assert.equal(await consumer.readFile('reader'), '')
})

scenario('descriptors on their way are delivered when the consumer is gone', async world => {
  const { consumer, provider } = await connectedLine(world)
  const sent = await consumer.makeMemfds('m', 300)
  for (const name of namesOf('m', 300)) await consumer.send('line', 'x', { descriptors: [name] })
  await consumer.close('line')
  for (const descriptor of sent) {
    const got = await provider.receiveMessage('line')
    assert.deepEqual(got.descriptors, [descriptor])
  }
  assert.equal((await provider.receiveMessage('line')).end, true)
})

scenario('descriptors on their way are closed when the link goes', async world => {
  const { consumer, link } = await jammed(world)
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  await consumer.close('line')
  assert.ok(world.daemon.isRunning())
})

scenario('descriptors that were sent do not show in the daemon, message after message', async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  const { consumer } = pair
  await echoes(consumer, 'line')
  const before = world.daemon.descriptors().length
  const sent = await consumer.makeMemfds('m', 100)
  for (let round = 0; round < 10; round += 1) {
    await consumer.send('line', 'round trip', { descriptors: namesOf('m', 100) })
    assert.deepEqual((await consumer.receiveMessage('line')).descriptors, sent)
  }
  await eventually('it holds none', () => world.daemon.descriptors().length <= before)
})

scenario('connections that pass descriptors at the same time do not mix them', async world => {
  const pair = await connectedPair(world)
  const names = namesOf('line', 8)
  for (const name of names) await openLine(pair, name)
  const { consumer, provider } = pair
  const results = await Promise.all(
    names.map(async name => {
      const sending = consumer.sendNumbered(name, 400, 2)
      const got = await provider.receiveNumbered(name, 400, 2)
      await sending
      return got
    }),
  )
  for (const result of results) assert.deepEqual(result, { complaints: [], descriptors: 200 })
})
