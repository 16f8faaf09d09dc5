/** Abstract names at either end of a link, between containers with networks of their own and with the host's. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { HOST } from '../support/container.ts'
import { asText } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import { PeerRefused } from '../support/peer.ts'
import {
  connectedLine,
  connectedPair,
  echoes,
  entryFor,
  keyOf,
  type PairOptions,
  SOCKET,
  scenario,
  stillEchoes,
  TARGET,
  unconnectedPair,
  type World,
} from '../support/scenario.ts'

/** This process's own: containers that share the host's network share its names too. */
const NAME = `@pvx/e2e-${process.pid}`

const APART: PairOptions = { app: { network: 'own' }, svc: { network: 'own' } }

const names = (pid: number): readonly string[] =>
  readFileSync(`/proc/${pid === 0 ? 'self' : pid}/net/unix`, 'utf8')
    .split('\n')
    .map(line => line.split(' ').at(-1) ?? '')

for (const [from, to, options] of [
  [
    'an abstract name',
    'an abstract name of the same spelling in another network',
    { socket: NAME, target: NAME },
  ],
  ['a path', 'an abstract name', { socket: NAME, target: TARGET }],
  ['an abstract name', 'a path', { socket: SOCKET, target: NAME }],
] as const) {
  scenario(`a link from ${from} to ${to} carries bytes`, async world => {
    const { consumer } = await connectedPair(world, { ...APART, ...options, service: 'echo' })
    await echoes(consumer, 'line', options.target)
  })
}

for (const kind of ['stream', 'seqpacket'] as const) {
  scenario(`descriptors pass through abstract ${kind} sockets at their place`, async world => {
    const { consumer, provider } = await connectedLine(world, { ...APART, socket: NAME, target: NAME, kind })
    const sent = await consumer.makeMemfds('file', 3)
    await consumer.send('line', 'plain')
    await consumer.send('line', 'rights', { descriptors: ['file0', 'file1', 'file2'] })
    if (kind === 'stream') {
      const got = await provider.readByteByByte('line', 11)
      assert.deepEqual([got.text, got.positions], ['plainrights', [{ at: 5, descriptors: sent, cut: false }]])
    } else {
      assert.equal((await provider.receiveMessage('line')).text, 'plain')
      assert.deepEqual((await provider.receiveMessage('line')).descriptors, sent)
    }
  })
}

scenario('an abstract target is in the network of its consumer and in no other', async world => {
  const { app, svc } = await connectedPair(world, { ...APART, target: NAME })
  assert.ok(names(app.pid).includes(NAME))
  for (const pid of [svc.pid, HOST.pid]) assert.ok(!names(pid).includes(NAME))
})

scenario('an abstract target in a network of the consumer is nothing to warn of', async world => {
  await connectedPair(world, { ...APART, target: NAME })
  assert.deepEqual(
    world.daemon.log().filter(line => line['level'] === 'warn'),
    [],
  )
})

scenario(
  'an abstract target that the whole host can reach is reached from the host, and the log says so once',
  async world => {
    const { consumer, entry, link } = await connectedPair(world, { target: NAME, service: 'echo' })
    await echoes(consumer, 'inside', NAME)
    await echoes(await world.peer(HOST), 'outside', NAME)
    world.ctrl.serve([])
    await world.daemon.reaches(link, 'released')
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'mediating')
    const warnings = world.daemon.log().filter(line => line['level'] === 'warn')
    assert.deepEqual(
      warnings.map(line => [line['link'], line['target']]),
      [[link, NAME]],
    )
  },
)

scenario('the host can be the consumer of an abstract name', async world => {
  const svc = await world.container('svc', { network: 'own' })
  const provider = await world.peer(svc)
  await provider.listen('door', NAME)
  await provider.serve('door', 'echo')
  const entry = entryFor({ consumer: HOST, provider: svc, socket: NAME, target: NAME })
  world.ctrl.serve([entry])
  await world.daemon.reaches(keyOf(entry), 'mediating')
  await echoes(await world.peer(HOST), 'line', NAME)
})

scenario('the host can be the provider of an abstract name', async world => {
  const app = await world.container('app', { network: 'own' })
  const provider = await world.peer(HOST)
  await provider.listen('door', NAME)
  await provider.serve('door', 'echo')
  const entry = entryFor({ consumer: app, provider: HOST, socket: NAME, target: NAME })
  world.ctrl.serve([entry])
  await world.daemon.reaches(keyOf(entry), 'mediating')
  await echoes(await world.peer(app), 'line', NAME)
})

scenario(
  'a name that the container uses blocks the link, and is planted once it is free and the entry changes',
  async world => {
    const { consumer, provider, entry, link } = await unconnectedPair(world, { ...APART, target: NAME })
    await provider.listen('door', SOCKET)
    await provider.serve('door', 'echo')
    await consumer.listen('own', NAME)
    await consumer.serve('own', 'introduce', { label: 'mine' })
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'pending.blocked')
    await world.daemon.logged('why', line => asText(line).includes(`${NAME} is in use by the container`))
    await consumer.connect('line', NAME)
    assert.equal((await consumer.readExactly('line', 4)).text, 'mine')
    await consumer.shutdown('own', 'both')
    await consumer.close('own')
    world.ctrl.serve([{ ...entry, role: 'other' }])
    await world.daemon.reaches(link, 'mediating')
    await echoes(consumer, 'again', NAME)
  },
)

scenario(
  'of two consumers in one network that want one name the second gets it when the first goes',
  async world => {
    const { app, svc, consumer, provider } = await unconnectedPair(world)
    const second = await world.container('second')
    for (const label of ['one', 'two']) {
      await provider.listen(label, `/run/${label}.sock`)
      await provider.serve(label, 'introduce', { label })
    }
    const one = entryFor({ name: 'one', consumer: app, provider: svc, socket: '/run/one.sock', target: NAME })
    const two = entryFor({
      name: 'two',
      consumer: second,
      provider: svc,
      socket: '/run/two.sock',
      target: NAME,
    })
    world.ctrl.serve([one])
    await world.daemon.reaches(keyOf(one), 'mediating')
    world.ctrl.serve([one, two])
    await world.daemon.logged(
      'that it is taken',
      line => line['link'] === keyOf(two) && /EADDRINUSE/.test(asText(line)),
    )
    await consumer.connect('first', NAME)
    assert.equal((await consumer.readExactly('first', 3)).text, 'one')
    world.ctrl.serve([two])
    await world.daemon.reaches(keyOf(two), 'mediating', 10_000)
    await consumer.connect('second', NAME)
    assert.equal((await consumer.readExactly('second', 3)).text, 'two')
  },
)

scenario('a consumer that restarted finds its name again', async world => {
  const { app, svc, link } = await connectedPair(world, { ...APART, target: NAME, service: 'echo' })
  await app.kill()
  await world.daemon.reaches(link, 'pending')
  const again = await world.container('app', { network: 'own' })
  world.ctrl.serve([entryFor({ consumer: again, provider: svc, target: NAME })])
  await world.daemon.reaches(link, 'mediating')
  await echoes(await world.peer(again), 'line', NAME)
})

scenario("a consumer in the host's network that restarted finds its name again", async world => {
  const { app, svc, link } = await connectedPair(world, { target: NAME, service: 'echo' })
  await app.kill()
  await world.daemon.reaches(link, 'pending')
  await eventually('the name is free', () => !names(0).includes(NAME))
  const again = await world.container('app')
  world.ctrl.serve([entryFor({ consumer: again, provider: svc, target: NAME })])
  await world.daemon.reaches(link, 'mediating')
  await echoes(await world.peer(again), 'line', NAME)
})

scenario('a provider that restarted is reached through the same planted name', async world => {
  const { app, svc, consumer, link } = await connectedPair(world, {
    ...APART,
    socket: NAME,
    target: NAME,
    service: 'introduce',
    label: 'old',
  })
  const states = world.daemon.statesOf(link).filter(state => state.startsWith('injecting'))
  await consumer.connect('first', NAME)
  assert.equal((await consumer.readExactly('first', 3)).text, 'old')
  await svc.kill()
  assert.equal((await consumer.readToEnd('first')).bytes, 0)
  await consumer.connect('second', NAME)
  const again = await world.container('svc', { network: 'own' })
  const provider = await world.peer(again)
  await provider.listen('door', NAME)
  await provider.serve('door', 'introduce', { label: 'new' })
  world.ctrl.serve([entryFor({ consumer: app, provider: again, socket: NAME, target: NAME })])
  assert.equal((await consumer.readExactly('second', 3)).text, 'new')
  assert.deepEqual(
    world.daemon.statesOf(link).filter(state => state.startsWith('injecting')),
    states,
  )
})

scenario('a provider that came back under its name as another type is followed', async world => {
  const { consumer, provider, link } = await connectedPair(world, { ...APART, socket: NAME, target: NAME })
  await provider.close('door')
  await provider.listen('packets', NAME, { kind: 'seqpacket' })
  await provider.serve('packets', 'echo')
  const seen = world.daemon.statesOf(link).length
  await consumer.connect('met', NAME)
  await world.daemon.reachesAgain(link, 'mediating', seen)
  await consumer.connect('line', NAME, { kind: 'seqpacket' })
  await consumer.send('line', 'a packet')
  assert.equal((await consumer.receiveMessage('line')).text, 'a packet')
})

scenario('an abstract socket may be one for each role', async world => {
  const { app, svc, consumer, provider } = await unconnectedPair(world, APART)
  for (const role of ['viewer', 'admin']) {
    await provider.listen(role, `${NAME}/${role}-app`)
    await provider.serve(role, 'introduce', { label: role })
  }
  const socket = `${NAME}/{role}-{consumer}`
  const entry = entryFor({ consumer: app, provider: svc, role: 'viewer', socket, target: NAME })
  const evil = entryFor({
    name: 'evil',
    consumer: app,
    provider: svc,
    role: 'viewer-app/../admin',
    socket,
    target: TARGET,
  })
  world.ctrl.serve([entry, evil])
  await world.daemon.reaches(keyOf(entry), 'mediating')
  await consumer.connect('line', NAME)
  assert.equal((await consumer.readExactly('line', 6)).text, 'viewer')
  await world.daemon.reaches(keyOf(evil), 'pending.blocked')
})

/** Whether nobody listens on the name any more, and no file of that spelling has come instead. */
const isRefused = async (
  world: World,
  pid: number,
  consumer: { connect(name: string, path: string): Promise<unknown> },
): Promise<void> => {
  await assert.rejects(
    consumer.connect('late', NAME),
    error => error instanceof PeerRefused && error.errno === 'ECONNREFUSED',
  )
  assert.ok(!names(pid).includes(NAME))
  assert.deepEqual(world.daemon.oddities(), [])
}

scenario('a link that leaves the graph takes its name with it, and cuts its connections', async world => {
  const { app, consumer, link } = await connectedPair(world, { ...APART, target: NAME, service: 'sink' })
  await consumer.connect('line', NAME)
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.equal((await consumer.readToEnd('line')).bytes, 0)
  await isRefused(world, app.pid, consumer)
})

scenario('SIGTERM removes every name and ends with 0', async world => {
  const { app, consumer } = await connectedPair(world, { ...APART, target: NAME, service: 'echo' })
  await echoes(consumer, 'line', NAME)
  await world.daemon.stop()
  await isRefused(world, app.pid, consumer)
})

scenario('SIGKILL leaves no name behind', async world => {
  const { app, consumer } = await connectedPair(world, { ...APART, target: NAME, service: 'echo' })
  await echoes(consumer, 'line', NAME)
  world.daemon.signal('SIGKILL')
  await world.daemon.ended()
  await isRefused(world, app.pid, consumer)
})

scenario('a link at an abstract name is not touched by reading the graph again', async world => {
  const { consumer, link } = await connectedPair(world, {
    ...APART,
    socket: NAME,
    target: NAME,
    service: 'echo',
  })
  await echoes(consumer, 'line', NAME)
  const seen = world.daemon.statesOf(link).length
  await world.ctrl.askedAgain(3)
  await stillEchoes(consumer, 'line')
  assert.equal(world.daemon.statesOf(link).length, seen)
})

scenario('names that the kernel could not take are rejected, and hide no good one', async world => {
  const { app, svc, entry, link } = await unconnectedPair(world, { ...APART, target: NAME })
  const bad = ['@', `@${'x'.repeat(108)}`, `@${'é'.repeat(54)}`, '@with\0nul', '@lone\ud800surrogate'].map(
    (target, index) => entryFor({ name: `bad${index}`, consumer: app, provider: svc, target }),
  )
  world.ctrl.serve([...bad, entry])
  await world.daemon.reaches(link, 'mediating')
  for (const index of bad.keys()) {
    await world.daemon.logged(
      `that entry ${index} is rejected`,
      line => line['entry'] === index && /^target: expected/.test(String(line['reason'])),
    )
  }
  assert.deepEqual(
    names(app.pid).filter(name => name.startsWith('@')),
    [NAME],
  )
})
