/** Links to SEQPACKET providers: the type is found out, and a message stays a message. */
import assert from 'node:assert/strict'
import { eventually } from '../support/eventually.ts'
import { PeerRefused } from '../support/peer.ts'
import {
  connectedLine,
  connectedPair,
  entryFor,
  keyOf,
  openLine,
  type Pair,
  type PairOptions,
  SOCKET,
  scenario,
  TARGET,
  unconnectedPair,
} from '../support/scenario.ts'

const SEQPACKET: PairOptions = { kind: 'seqpacket' }

scenario('the planted socket has the type of the provider', async world => {
  const { consumer } = await connectedPair(world, { ...SEQPACKET, service: 'echo' })
  await assert.rejects(
    consumer.connect('wrong', TARGET, { kind: 'stream' }),
    error => error instanceof PeerRefused && error.errno === 'EPROTOTYPE',
  )
  await consumer.connect('line', TARGET, { kind: 'seqpacket' })
  await consumer.send('line', 'hello')
  assert.equal((await consumer.receiveMessage('line')).text, 'hello')
})

scenario('messages keep their boundaries, empty ones too', async world => {
  const { consumer, provider } = await connectedLine(world, SEQPACKET)
  const messages = ['one', '', 'three', '', '', 'a longer one', '']
  for (const message of messages) await consumer.send('line', message)
  for (const message of messages) {
    const got = await provider.receiveMessage('line')
    assert.deepEqual([got.text, got.end], [message, false])
  }
  for (const message of messages) await provider.send('line', message)
  for (const message of messages) {
    const got = await consumer.receiveMessage('line')
    assert.deepEqual([got.text, got.end], [message, false])
  }
})

scenario('an empty message is not the end, and the end is one', async world => {
  const { consumer, provider } = await connectedLine(world, SEQPACKET)
  await consumer.send('line', '')
  await consumer.shutdown('line', 'write')
  assert.equal((await provider.receiveMessage('line')).end, false)
  assert.equal((await provider.receiveMessage('line')).end, true)
  await provider.send('line', 'answer')
  assert.equal((await consumer.receiveMessage('line')).text, 'answer')
  await provider.close('line')
  assert.equal((await consumer.receiveMessage('line')).end, true)
})

scenario('descriptors stay with their message, be it empty', async world => {
  const { consumer, provider } = await connectedLine(world, SEQPACKET)
  const sent = await consumer.makeMemfds('m', 253)
  const names = sent.map((_, index) => `m${index}`)
  await consumer.send('line', 'before')
  await consumer.send('line', 'two', { descriptors: names.slice(0, 2) })
  await consumer.send('line', '', { descriptors: names.slice(2, 3) })
  await consumer.send('line', 'after')
  await consumer.send('line', 'all', { descriptors: names })
  const wanted = [[], sent.slice(0, 2), sent.slice(2, 3), [], sent]
  const texts = ['before', 'two', '', 'after', 'all']
  for (const [index, descriptors] of wanted.entries()) {
    const got = await provider.receiveMessage('line')
    assert.deepEqual([got.text, got.end, got.cut], [texts[index], false, false])
    assert.deepEqual(got.descriptors, descriptors)
  }
})

scenario('a message of 900 KB arrives whole, each way', async world => {
  const pair = await connectedLine(world, SEQPACKET)
  const sent = await pair.consumer.makeMemfds('m', 1)
  await pair.consumer.send('line', 'large', { size: 900_000, descriptors: ['m0'] })
  const got = await pair.provider.receiveMessage('line', { size: 1_000_000 })
  assert.deepEqual([got.bytes, got.cut], [900_000, false])
  assert.deepEqual(got.descriptors, sent)
  assert.ok('large'.repeat(900).startsWith(got.text))

  await pair.consumer.send('line', 'small')
  assert.equal((await pair.provider.receiveMessage('line')).text, 'small')
})

scenario('a large message is echoed whole', async world => {
  const { consumer } = await connectedPair(world, { ...SEQPACKET, service: 'echo' })
  await consumer.connect('line', TARGET, { kind: 'seqpacket', sendBuffer: 4_000_000 })
  for (const size of [1, 65_536, 212_000, 300_000, 900_000]) {
    await consumer.send('line', 'abc', { size })
    const got = await consumer.receiveMessage('line', { size: 1_000_000 })
    assert.deepEqual([got.bytes, got.cut], [size, false])
  }
})

scenario('thousands of messages keep their order and their descriptors', async world => {
  const { consumer, provider } = await connectedLine(world, SEQPACKET)
  const sending = consumer.sendNumbered('line', 3000, 3)
  const got = await provider.receiveNumbered('line', 3000, 3)
  await sending
  assert.deepEqual(got, { complaints: [], descriptors: 1000 })
})

scenario('what was sent before an end is delivered', async world => {
  const { consumer, provider } = await connectedLine(world, SEQPACKET)
  for (let number = 0; number < 50; number += 1) await consumer.send('line', `${number}`)
  await consumer.close('line')
  for (let number = 0; number < 50; number += 1) {
    assert.equal((await provider.receiveMessage('line')).text, `${number}`)
  }
  assert.equal((await provider.receiveMessage('line')).end, true)
})

scenario('a provider that does not read blocks its consumer and not the daemon', async world => {
  const { consumer, provider } = await connectedLine(world, SEQPACKET)
  const before = world.daemon.anonymousMemory()
  const taken = await consumer.fill('line', 300, { chunk: 10_000 })
  assert.ok(taken < 16_000_000, `${taken} bytes were taken`)
  assert.ok(world.daemon.anonymousMemory() - before < 12_000_000)
  const got = await provider.take('line', 10_000)
  assert.equal(got.bytes, 10_000)
})

/** Connect until a whole round trip worked: while a socket is replanted, an attempt may be refused or cut. */
const speaks = async ({ consumer }: Pair, kind: 'stream' | 'seqpacket', target = TARGET): Promise<void> => {
  let attempt = 0
  await eventually(`it speaks ${kind}`, async () => {
    attempt += 1
    const name = `${kind}${attempt}`
    await consumer.connect(name, target, { kind })
    await consumer.send(name, 'hello')
    return (await consumer.receiveMessage(name)).text === 'hello'
  })
}

scenario('a provider that comes back with another type gets a socket of that type planted', async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  await speaks(pair, 'stream')
  await pair.svc.kill()
  const again = await world.container('svc')
  const provider = await world.peer(again)
  await provider.listen('door', SOCKET, { kind: 'seqpacket' })
  await provider.serve('door', 'echo')
  world.ctrl.serve([entryFor({ consumer: pair.app, provider: again })])
  // Whoever still speaks the old type is what makes the daemon notice.
  const first = pair.consumer.connect('old', TARGET)
  await Promise.allSettled([first])
  await speaks(pair, 'seqpacket')
  assert.ok(world.daemon.isIn(pair.link, 'mediating'))
})

scenario('a service that changes its type within a running provider is followed', async world => {
  const pair = await connectedPair(world, { ...SEQPACKET, service: 'echo' })
  await speaks(pair, 'seqpacket')
  await pair.provider.close('door')
  await pair.provider.listen('door', SOCKET, { kind: 'stream', replace: true })
  await pair.provider.serve('door', 'echo')
  await Promise.allSettled([pair.consumer.connect('old', TARGET, { kind: 'seqpacket' })])
  await speaks(pair, 'stream')
})

scenario('a SEQPACKET provider that comes after its consumer is found out', async world => {
  const pair = await unconnectedPair(world)
  world.ctrl.serve([pair.entry])
  await world.daemon.reaches(pair.link, 'mediating')
  await pair.provider.listen('door', SOCKET, { kind: 'seqpacket' })
  await pair.provider.serve('door', 'echo')
  await Promise.allSettled([pair.consumer.connect('old', TARGET)])
  await speaks(pair, 'seqpacket')
})

scenario('an option fixes the type before there is a provider', async world => {
  const { app, svc, consumer, provider } = await unconnectedPair(world)
  const entry = entryFor({ consumer: app, provider: svc, interface: 'unix+seqpacket' })
  world.ctrl.serve([entry])
  await world.daemon.reaches(keyOf(entry), 'mediating')
  await consumer.connect('line', TARGET, { kind: 'seqpacket' })
  await consumer.send('line', 'early')
  await provider.listen('door', SOCKET, { kind: 'seqpacket' })
  await provider.accept('door', 'line')
  assert.equal((await provider.receiveMessage('line')).text, 'early')
})

scenario('many SEQPACKET connections are kept apart', async world => {
  const pair = await connectedPair(world, SEQPACKET)
  const names = Array.from({ length: 30 }, (_, index) => `line${index}`)
  for (const name of names) await openLine(pair, name, SEQPACKET)
  await Promise.all(names.map(name => pair.consumer.send(name, name)))
  for (const name of names) assert.equal((await pair.provider.receiveMessage(name)).text, name)
})
