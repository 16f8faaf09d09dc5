/** From an entry in the graph to a socket in a container and back to nothing, whatever restarts in between. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { HOST, startContainerOnHostRoot } from '../support/container.ts'
import { eventually, staysTrue } from '../support/eventually.ts'
import { PeerRefused } from '../support/peer.ts'
import {
  connectedPair,
  echoes,
  entryFor,
  exists,
  inodeOf,
  keyOf,
  SOCKET,
  scenario,
  stillEchoes,
  TARGET,
  unconnectedPair,
} from '../support/scenario.ts'

const NEVER_MS = 600_000

scenario('a link that appears in the graph carries bytes between two containers', async world => {
  const { consumer } = await connectedPair(world, { service: 'echo' })
  await echoes(consumer, 'hello')
})

scenario('the states of a link are logged in their order', async world => {
  const { link } = await connectedPair(world)
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  const states = world.daemon.statesOf(link).map(state => state.split('.')[0])
  assert.deepEqual(
    states.filter((state, index) => state !== states[index - 1] && state !== 'pending'),
    ['injecting', 'mediating', 'tearing-down', 'released'],
  )
})

scenario('a link that leaves the graph takes its socket and its folders with it', async world => {
  const { app, link } = await connectedPair(world, { target: '/run/made/by/us/raw.sock' })
  assert.ok(exists(app.path('/run/made/by/us/raw.sock')))
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.equal(exists(app.path('/run/made')), false)
})

scenario('a link that leaves the graph cuts its connections', async world => {
  const { consumer, provider, link } = await connectedPair(world, { service: 'sink' })
  await consumer.connect('line', TARGET)
  await eventually('the provider has it', async () => (await provider.servedBy('door')).open === 1)
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.equal((await consumer.readToEnd('line')).bytes, 0)
  await eventually('the provider lost it', async () => (await provider.servedBy('door')).open === 0)
})

scenario('a link that leaves the graph does not touch another one', async world => {
  const { app, svc, consumer, entry, link } = await connectedPair(world, { service: 'echo' })
  const other = entryFor({ name: 'other', consumer: app, provider: svc, target: '/run/pvx/other.sock' })
  world.ctrl.serve([entry, other])
  await world.daemon.reaches(keyOf(other), 'mediating')
  await echoes(consumer, 'line', '/run/pvx/other.sock')
  const planted = inodeOf(app.path('/run/pvx/other.sock'))
  world.ctrl.serve([other])
  await world.daemon.reaches(link, 'released')
  await stillEchoes(consumer, 'line')
  assert.equal(inodeOf(app.path('/run/pvx/other.sock')), planted)
  assert.equal(exists(app.path(TARGET)), false)
  assert.ok(world.daemon.isIn(keyOf(other), 'mediating'))
})

scenario('an unchanged link is not touched by reading the graph again', async world => {
  const { app, consumer, link } = await connectedPair(world, { service: 'echo' })
  const before = { planted: inodeOf(app.path(TARGET)), states: world.daemon.statesOf(link).length }
  await echoes(consumer, 'line')
  await world.ctrl.askedAgain(3)
  await stillEchoes(consumer, 'line')
  assert.deepEqual({ planted: inodeOf(app.path(TARGET)), states: world.daemon.statesOf(link).length }, before)
})

scenario('a consumer that restarted finds its socket again', async world => {
  const { app, svc, link } = await connectedPair(world, { service: 'echo' })
  await app.kill()
  const again = await world.container('app')
  const seen = world.daemon.statesOf(link).length
  world.ctrl.serve([entryFor({ consumer: again, provider: svc })])
  await world.daemon.reachesAgain(link, 'mediating', seen)
  await echoes(await world.peer(again), 'line')
})

scenario('a consumer that ended is noticed before the graph says so', async world => {
  const { app, link } = await connectedPair(world)
  await app.kill()
  await world.daemon.reaches(link, 'pending', 1000)
})

scenario(
  "a consumer's end is noticed at once, not at the next reading of the graph",
  async world => {
    const { app, entry, link } = await unconnectedPair(world)
    world.ctrl.serve([entry])
    world.daemon.signal('SIGHUP')
    await world.daemon.reaches(link, 'mediating')
    await app.kill()
    await world.daemon.reaches(link, 'pending', 1000)
  },
  { intervalMs: NEVER_MS },
)

scenario('what was planted on the disk of a consumer that died is removed', async world => {
  const disk = join(world.scratch, 'disk')
  const { app, link } = await connectedPair(world, { app: { disk }, target: '/opt/pvx/raw.sock' })
  assert.ok(exists(join(disk, 'opt/pvx/raw.sock')))
  await app.kill()
  await world.daemon.reaches(link, 'pending')
  await eventually('the disk is clean', () => !exists(join(disk, 'opt/pvx')))
})

scenario('a provider that restarted is reached through the same planted socket', async world => {
  const { app, svc, consumer, link } = await connectedPair(world, { service: 'introduce', label: 'old' })
  const planted = inodeOf(app.path(TARGET))
  await consumer.connect('first', TARGET)
  assert.equal((await consumer.readExactly('first', 3)).text, 'old')
  await svc.kill()
  assert.equal((await consumer.readToEnd('first')).bytes, 0)

  const again = await world.container('svc')
  const provider = await world.peer(again)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'introduce', { label: 'new' })
  world.ctrl.serve([entryFor({ consumer: app, provider: again })])
  await consumer.connect('second', TARGET)
  assert.equal((await consumer.readExactly('second', 3)).text, 'new')
  assert.equal(inodeOf(app.path(TARGET)), planted)
  assert.ok(world.daemon.isIn(link, 'mediating'))
})

scenario('a provider that is down does not take the link down', async world => {
  const { app, svc, link } = await connectedPair(world)
  const planted = inodeOf(app.path(TARGET))
  await svc.kill()
  world.ctrl.serve([entryFor({ consumer: app, provider: null })])
  await world.ctrl.askedAgain(3)
  assert.ok(world.daemon.isIn(link, 'mediating'))
  assert.equal(inodeOf(app.path(TARGET)), planted)
})

scenario(
  'a link given another provider keeps its socket and cuts the connections to the old one',
  async world => {
    const { app, consumer } = await connectedPair(world, { service: 'introduce', label: 'old' })
    const planted = inodeOf(app.path(TARGET))
    await consumer.connect('first', TARGET)
    assert.equal((await consumer.readExactly('first', 3)).text, 'old')

    const other = await world.container('other')
    const provider = await world.peer(other)
    await provider.listen('door', '/run/other.sock')
    await provider.serve('door', 'introduce', { label: 'new' })
    world.ctrl.serve([entryFor({ consumer: app, provider: other, socket: '/run/other.sock' })])
    assert.equal((await consumer.readToEnd('first')).bytes, 0)
    await consumer.connect('second', TARGET)
    assert.equal((await consumer.readExactly('second', 3)).text, 'new')
    assert.equal(inodeOf(app.path(TARGET)), planted)
  },
)

scenario('a connection made before its provider listens waits, and nothing it said is lost', async world => {
  const { consumer, provider, entry, link } = await unconnectedPair(world)
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  await consumer.connect('line', TARGET)
  await consumer.send('line', 'said too early')
  await provider.listen('door', SOCKET)
  await provider.accept('door', 'line')
  assert.equal((await provider.readExactly('line', 14)).text, 'said too early')
})

scenario('a connection made before its provider runs waits for it', async world => {
  const app = await world.container('app')
  const consumer = await world.peer(app)
  const absent = entryFor({ consumer: app, provider: null })
  world.ctrl.serve([absent])
  await world.daemon.reaches(keyOf(absent), 'mediating')
  await consumer.connect('line', TARGET)
  await consumer.send('line', 'early')

  const svc = await world.container('svc')
  const provider = await world.peer(svc)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  world.ctrl.serve([entryFor({ consumer: app, provider: svc })])
  assert.equal((await consumer.readExactly('line', 5)).text, 'early')
})

scenario(
  'a connection whose provider never comes is closed after the grace, and not before',
  async world => {
    const { consumer, entry, link } = await unconnectedPair(world)
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'mediating')
    const start = Date.now()
    await consumer.connect('line', TARGET)
    assert.equal((await consumer.readToEnd('line')).bytes, 0)
    const waited = Date.now() - start
    assert.ok(waited >= 650 && waited < 2500, `closed after ${waited} ms`)
  },
  { args: ['--connect-timeout', '700'] },
)

scenario('a deleted socket is planted again and open connections go on', async world => {
  const { app, consumer } = await connectedPair(world, { service: 'echo' })
  await echoes(consumer, 'old')
  rmSync(app.path(TARGET))
  await eventually('it is planted again', () => exists(app.path(TARGET)), 2000)
  await echoes(consumer, 'new')
  await stillEchoes(consumer, 'old')
})

scenario('a socket whose folder was deleted is planted again and removed cleanly', async world => {
  const { app, consumer, link } = await connectedPair(world, { service: 'echo' })
  await echoes(consumer, 'old')
  rmSync(app.path('/run/pvx'), { recursive: true })
  await eventually('it is planted again', () => exists(app.path(TARGET)), 10_000)
  await echoes(consumer, 'new')
  await stillEchoes(consumer, 'old')
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.equal(exists(app.path('/run/pvx')), false)
})

scenario('a file system mounted over the socket later gets a socket of its own', async world => {
  const { app, consumer } = await connectedPair(world, { service: 'echo' })
  await echoes(consumer, 'old')
  await app.exec('mount', '-t', 'tmpfs', 'late', '/run')
  await eventually('it is planted there', () => exists(app.path(TARGET)), 10_000)
  await echoes(consumer, 'new')
  await stillEchoes(consumer, 'old')
})

scenario('SIGTERM removes every socket and folder and ends with 0', async world => {
  const { app, svc, entry } = await connectedPair(world, { service: 'echo' })
  const second = entryFor({ name: 'two', consumer: svc, provider: app, target: '/tmp/new/two.sock' })
  world.ctrl.serve([entry, second])
  await world.daemon.reaches(keyOf(second), 'mediating')
  const start = Date.now()
  await world.daemon.stop()
  assert.ok(Date.now() - start < 1500, `took ${Date.now() - start} ms`)
  assert.equal(exists(app.path('/run/pvx')), false)
  assert.equal(exists(svc.path('/tmp/new')), false)
})

scenario('SIGINT does the same', async world => {
  const { app } = await connectedPair(world)
  world.daemon.signal('SIGINT')
  assert.equal(await world.daemon.ended(), 0)
  assert.equal(exists(app.path('/run/pvx')), false)
})

scenario('open connections do not keep a daemon from ending that was told to', async world => {
  const { app, consumer } = await connectedPair(world, { service: 'mute' })
  await consumer.connect('line', TARGET)
  await consumer.fill('line', 100)
  const start = Date.now()
  world.daemon.signal('SIGTERM')
  await eventually(
    'new connections are refused at once',
    async () => {
      await assert.rejects(consumer.connect('late', TARGET), PeerRefused)
      return true
    },
    500,
  )
  assert.equal(await world.daemon.ended(), 0)
  assert.ok(Date.now() - start < 2500, `took ${Date.now() - start} ms`)
  assert.equal(exists(app.path(TARGET)), false)
})

scenario('a second signal ends the daemon at once', async world => {
  const { consumer } = await connectedPair(world, { service: 'mute' })
  await consumer.connect('line', TARGET)
  await consumer.fill('line', 100)
  world.daemon.signal('SIGTERM')
  await world.daemon.logged('that it ends', line => line['signal'] === 'SIGTERM')
  world.daemon.signal('SIGTERM')
  await world.daemon.ended(500)
})

scenario(
  'SIGHUP reads the graph at once',
  async world => {
    const { consumer, provider, entry, link } = await unconnectedPair(world)
    await provider.listen('door', SOCKET)
    await provider.serve('door', 'echo')
    world.ctrl.serve([entry])
    await staysTrue('nothing happens by itself', 300, () => world.daemon.stateOf(link) === undefined)
    world.daemon.signal('SIGHUP')
    await world.daemon.reaches(link, 'mediating', 1000)
    await echoes(consumer, 'line')
    world.ctrl.serve([])
    world.daemon.signal('SIGHUP')
    await world.daemon.reaches(link, 'released', 1000)
  },
  { intervalMs: NEVER_MS },
)

scenario(
  'a daemon that started before pv-ctrl waits for it',
  async world => {
    const { consumer, provider, entry } = await unconnectedPair(world)
    await provider.listen('door', SOCKET)
    await provider.serve('door', 'echo')
    world.ctrl.serve([entry])
    await staysTrue('it runs', 300, world.daemon.isRunning)
    await world.ctrl.listen()
    await world.daemon.reaches(keyOf(entry), 'mediating', 10_000)
    await echoes(consumer, 'line')
  },
  { pvCtrl: 'later' },
)

scenario('a restart of pv-ctrl touches no link', async world => {
  const { app, consumer, entry, link } = await connectedPair(world, { service: 'echo' })
  await echoes(consumer, 'line')
  const planted = inodeOf(app.path(TARGET))
  await world.ctrl.stop()
  await staysTrue('the link is up', 500, () => world.daemon.isIn(link, 'mediating'))
  await stillEchoes(consumer, 'line')
  const second = { ...entry, name: 'second', target: '/run/pvx/second.sock' }
  world.ctrl.serve([entry, second])
  await world.ctrl.listen()
  await world.daemon.reaches(keyOf(second), 'mediating', 10_000)
  await stillEchoes(consumer, 'line')
  assert.equal(inodeOf(app.path(TARGET)), planted)
})

scenario('the host can be a consumer', async world => {
  const svc = await world.container('svc')
  const provider = await world.peer(svc)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  const target = join(world.scratch, 'made/raw.sock')
  const entry = entryFor({ consumer: HOST, provider: svc, target })
  world.ctrl.serve([entry])
  await world.daemon.reaches(keyOf(entry), 'mediating')
  await echoes(await world.peer(HOST), 'line', target)
  world.ctrl.serve([])
  await world.daemon.reaches(keyOf(entry), 'released')
  assert.equal(exists(join(world.scratch, 'made')), false)
})

scenario('the host can be a provider', async world => {
  const app = await world.container('app')
  const provider = await world.peer(HOST)
  const socket = join(world.scratch, 'host.sock')
  await provider.listen('door', socket)
  await provider.serve('door', 'echo')
  const entry = entryFor({ consumer: app, provider: HOST, socket })
  world.ctrl.serve([entry])
  await world.daemon.reaches(keyOf(entry), 'mediating')
  await echoes(await world.peer(app), 'line')
})

scenario('a consumer without a mount namespace of its own is served where it is', async world => {
  const plain = world.adopt(await startContainerOnHostRoot('plain'))
  const svc = await world.container('svc')
  const provider = await world.peer(svc)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  const target = join(world.scratch, 'plain/raw.sock')
  const entry = entryFor({ consumer: plain, provider: svc, target })
  world.ctrl.serve([entry])
  await world.daemon.reaches(keyOf(entry), 'mediating')
  await echoes(await world.peer(plain), 'line', target)
})

scenario('a consumer in a chroot gets its socket in its own root', async world => {
  const { app, consumer } = await connectedPair(world, {
    service: 'echo',
    app: { style: 'chroot' },
    svc: { style: 'chroot' },
    target: '/run/pvx-e2e-chroot/raw.sock',
  })
  await echoes(consumer, 'line', '/run/pvx-e2e-chroot/raw.sock')
  assert.ok(statSync(app.path('/run/pvx-e2e-chroot/raw.sock')).isSocket())
  assert.equal(exists('/run/pvx-e2e-chroot'), false)
})

scenario(
  'a provider that is not running is never taken for the host',
  async world => {
    const app = await world.container('app')
    const trap = await world.peer(HOST)
    const socket = join(world.scratch, 'trap.sock')
    await trap.listen('door', socket)
    await trap.serve('door', 'introduce', { label: 'trap' })
    const consumer = await world.peer(app)
    const pids = [-1, null, undefined, 'soon', '-1', '']
    const entries = pids.map((provider_pid, index) => ({
      ...entryFor({
        name: `raw${index}`,
        consumer: app,
        provider: null,
        socket,
        target: `/run/${index}.sock`,
      }),
      provider_pid,
    }))
    world.ctrl.serve(entries)
    for (const [index, entry] of entries.entries()) {
      await world.daemon.reaches(keyOf(entry), 'mediating')
      await consumer.connect(`line${index}`, `/run/${index}.sock`)
      assert.equal((await consumer.readToEnd(`line${index}`)).text, '')
    }
    assert.equal((await trap.servedBy('door')).total, 0)
  },
  { args: ['--connect-timeout', '100'] },
)

scenario('a consumer that is not running is never taken for the host', async world => {
  const svc = await world.container('svc')
  const folder = join(world.scratch, 'never')
  const entries = [-1, null, undefined, 'soon'].map((consumer_pid, index) => ({
    ...entryFor({ name: `raw${index}`, consumer: HOST, provider: svc, target: `${folder}/${index}.sock` }),
    consumer: 'app',
    consumer_pid,
  }))
  world.ctrl.serve(entries)
  await world.ctrl.askedAgain(3)
  assert.equal(exists(folder), false)
  for (const entry of entries) {
    assert.ok(!world.daemon.wasIn(keyOf(entry), 'mediating'), keyOf(entry))
  }
})

scenario('a pid may be written as a numeric string', async world => {
  const { app, svc, consumer, provider, entry, link } = await unconnectedPair(world)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  world.ctrl.serve([{ ...entry, consumer_pid: `${app.pid}`, provider_pid: `${svc.pid}` }])
  await world.daemon.reaches(link, 'mediating')
  await echoes(consumer, 'line')
})

scenario('of two links on one target the first has it and the other takes over when it goes', async world => {
  const { app, svc, consumer, provider } = await unconnectedPair(world)
  await provider.listen('one', '/run/one.sock')
  await provider.serve('one', 'introduce', { label: 'one' })
  await provider.listen('two', '/run/two.sock')
  await provider.serve('two', 'introduce', { label: 'two' })
  const one = entryFor({ name: 'one', consumer: app, provider: svc, socket: '/run/one.sock' })
  const two = entryFor({ name: 'two', consumer: app, provider: svc, socket: '/run/two.sock' })
  world.ctrl.serve([one, two])
  await world.daemon.reaches(keyOf(one), 'mediating')
  await world.daemon.logged('who has the target', line => {
    const text = JSON.stringify(line)
    return text.includes(keyOf(two)) && text.includes('app/one@')
  })
  await world.daemon.reaches(keyOf(two), 'pending.blocked')
  await consumer.connect('first', TARGET)
  assert.equal((await consumer.readExactly('first', 3)).text, 'one')

  world.ctrl.serve([two])
  await world.daemon.reaches(keyOf(two), 'mediating')
  await consumer.connect('second', TARGET)
  assert.equal((await consumer.readExactly('second', 3)).text, 'two')
})

scenario('two consumers may have the same target, each in its own root', async world => {
  const { svc, consumer, provider, entry, link } = await unconnectedPair(world)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  const second = await world.container('second')
  const other = entryFor({ consumer: second, provider: svc })
  world.ctrl.serve([entry, other])
  await Promise.all([
    world.daemon.reaches(link, 'mediating'),
    world.daemon.reaches(keyOf(other), 'mediating'),
  ])
  await echoes(consumer, 'line')
  await echoes(await world.peer(second), 'line')
})

scenario('two containers may provide for each other', async world => {
  const { app, svc, consumer, provider, entry } = await connectedPair(world, { service: 'echo' })
  const back = entryFor({ name: 'back', consumer: svc, provider: app, socket: '/run/back.sock' })
  await consumer.listen('door', '/run/back.sock')
  await consumer.serve('door', 'echo')
  world.ctrl.serve([entry, back])
  await world.daemon.reaches(keyOf(back), 'mediating')
  await echoes(consumer, 'there')
  await echoes(provider, 'back')
})

scenario('a link without a target gets one named after its consumer and itself', async world => {
  const { app, svc, consumer, provider, entry } = await unconnectedPair(world)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  const older = entryFor({ name: 'older', consumer: app, provider: svc, interface: '/run/older.sock' })
  const without = [entry, older].map(({ target: _, ...rest }) => rest)
  world.ctrl.serve(without)
  await world.daemon.reaches('app/raw@/tmp/pvx_app_raw.sock', 'mediating')
  await world.daemon.reaches('app/older@/run/older.sock', 'mediating')
  await echoes(consumer, 'named', '/tmp/pvx_app_raw.sock')
  await echoes(consumer, 'by its interface', '/run/older.sock')
})

scenario('markers in a socket name the role, and there is no way round them', async world => {
  const { app, svc, consumer, provider } = await unconnectedPair(world)
  for (const role of ['viewer', 'admin']) {
    await provider.listen(role, `/run/svc/${role}-app-raw.sock`)
    await provider.serve(role, 'introduce', { label: role })
  }
  const socket = '/run/svc/{role}-{consumer}-{name}.sock'
  const entry = entryFor({ consumer: app, provider: svc, role: 'viewer', socket })
  const evil = entryFor({
    name: 'evil',
    consumer: app,
    provider: svc,
    role: '../svc/admin',
    socket,
    target: '/run/evil.sock',
  })
  world.ctrl.serve([entry, evil])
  await world.daemon.reaches(keyOf(entry), 'mediating')
  await consumer.connect('line', TARGET)
  assert.equal((await consumer.readExactly('line', 6)).text, 'viewer')
  await world.daemon.reaches(keyOf(evil), 'pending.blocked')
  assert.equal(exists(app.path('/run/evil.sock')), false)
})

scenario('a changed role plants the socket anew and cuts what was open', async world => {
  const { app, svc, consumer, link } = await connectedPair(world, { service: 'echo' })
  await echoes(consumer, 'old')
  const planted = inodeOf(app.path(TARGET))
  const seen = world.daemon.statesOf(link).length
  world.ctrl.serve([entryFor({ consumer: app, provider: svc, role: 'admin' })])
  await world.daemon.reachesAgain(link, 'tearing-down', seen)
  await world.daemon.reaches(link, 'mediating')
  await consumer.readToEnd('old')
  await echoes(consumer, 'new')
  assert.notEqual(inodeOf(app.path(TARGET)), planted)
})

scenario('a link that comes and goes many times leaves nothing behind', async world => {
  const { app, consumer, entry, link } = await connectedPair(world, { service: 'echo' })
  const folder = readdirSync(app.path('/run'))
  for (let round = 0; round < 10; round += 1) {
    world.ctrl.serve([])
    world.daemon.signal('SIGHUP')
    await world.daemon.reaches(link, 'released')
    world.ctrl.serve([entry])
    world.daemon.signal('SIGHUP')
    await world.daemon.reaches(link, 'mediating')
    await echoes(consumer, `line${round}`)
  }
  assert.deepEqual(readdirSync(app.path('/run')), folder)
})

scenario('folders that were there before are left, empty or not', async world => {
  const { app, entry, link } = await unconnectedPair(world, { target: '/run/theirs/ours/raw.sock' })
  mkdirSync(app.path('/run/theirs'))
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.ok(exists(app.path('/run/theirs')))
  assert.equal(exists(app.path('/run/theirs/ours')), false)
})
