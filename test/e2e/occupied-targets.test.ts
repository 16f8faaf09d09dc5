/** What stands at a target already, what the planted socket looks like, and places where none can be planted. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { asText } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import { PeerRefused } from '../support/peer.ts'
import {
  connectedPair,
  echoes,
  inodeOf,
  type Pair,
  SOCKET,
  scenario,
  TARGET,
  unconnectedPair,
  type World,
} from '../support/scenario.ts'

/** The link blocks and says what is there; when that is gone and the graph was given anew, it comes up. */
const isRefused = async (
  world: World,
  occupy: (pair: Pair) => unknown,
  named: RegExp,
  untouched: (pair: Pair) => unknown,
): Promise<void> => {
  const pair = await unconnectedPair(world)
  const { app, entry, link } = pair
  mkdirSync(app.path('/run/pvx'))
  await occupy(pair)
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'pending.blocked')
  await world.daemon.logged(
    `that the target is ${named}`,
    line => line['link'] === link && named.test(asText(line)) && asText(line).includes(TARGET),
  )
  await untouched(pair)
  assert.deepEqual(readdirSync(app.path('/run/pvx')), ['raw.sock'])
}

scenario('a file at the target is refused and left as it is', world =>
  isRefused(
    world,
    ({ app }) => writeFileSync(app.path(TARGET), 'mine', { mode: 0o600 }),
    /file/,
    ({ app }) => {
      assert.equal(readFileSync(app.path(TARGET), 'utf8'), 'mine')
      assert.equal(statSync(app.path(TARGET)).mode & 0o777, 0o600)
    },
  ),
)

scenario('a directory at the target is refused and left as it is', world =>
  isRefused(
    world,
    ({ app }) => app.exec('mkdir', '-p', `${TARGET}/inner`),
    /directory/,
    ({ app }) => assert.deepEqual(readdirSync(app.path(TARGET)), ['inner']),
  ),
)

scenario('a fifo at the target is refused and left as it is', world =>
  isRefused(
    world,
    ({ app }) => app.exec('mkfifo', TARGET),
    /fifo/,
    ({ app }) => assert.ok(statSync(app.path(TARGET)).isFIFO()),
  ),
)

scenario('a device at the target is refused and left as it is', world =>
  isRefused(
    world,
    ({ app }) => app.exec('mknod', TARGET, 'c', '1', '3'),
    /device/,
    ({ app }) => assert.ok(statSync(app.path(TARGET)).isCharacterDevice()),
  ),
)

for (const kind of ['stream', 'seqpacket', 'dgram'] as const) {
  scenario(`a live ${kind} socket at the target is refused and goes on`, world =>
    isRefused(
      world,
      ({ consumer }) => consumer.listen('own', TARGET, { kind }),
      /in use/,
      async ({ consumer }) => {
        await consumer.connect('line', TARGET, { kind })
        await consumer.send('line', 'hello')
        if (kind === 'dgram') return
        await consumer.accept('own', 'accepted')
        assert.equal((await consumer.read('accepted')).text, 'hello')
      },
    ),
  )

  scenario(`a stale ${kind} socket at the target is replaced`, async world => {
    const { app, consumer, provider, entry, link } = await unconnectedPair(world)
    await provider.listen('door', SOCKET)
    await provider.serve('door', 'echo')
    await consumer.listen('own', TARGET, { kind })
    await consumer.close('own')
    const stale = inodeOf(app.path(TARGET))
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'mediating')
    assert.notEqual(inodeOf(app.path(TARGET)), stale)
    assert.deepEqual(readdirSync(app.path('/run/pvx')), ['raw.sock'])
    await echoes(consumer, 'line')
  })
}

scenario('a link whose target was occupied comes up once it is free and the entry changes', async world => {
  const { app, consumer, provider, entry, link } = await unconnectedPair(world)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  mkdirSync(app.path('/run/pvx'))
  writeFileSync(app.path(TARGET), 'mine')
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'pending.blocked')
  rmSync(app.path(TARGET))
  world.ctrl.serve([{ ...entry, role: 'other' }])
  await world.daemon.reaches(link, 'mediating')
  await echoes(consumer, 'line')
})

scenario(
  'the planted socket may be used by everybody and belongs to the root of its container',
  async world => {
    const { app } = await connectedPair(world)
    const status = statSync(app.path(TARGET))
    assert.ok(status.isSocket())
    assert.equal(status.mode & 0o777, 0o666)
    assert.deepEqual([status.uid, status.gid], [0, 0])
  },
)

scenario('folders made on the way have mode 0755 and belong to the root of the container', async world => {
  const { app } = await connectedPair(world, { target: '/run/one/two/raw.sock' })
  for (const folder of ['/run/one', '/run/one/two']) {
    const status = statSync(app.path(folder))
    assert.equal(status.mode & 0o777, 0o755, folder)
    assert.deepEqual([status.uid, status.gid], [0, 0])
  }
})

scenario('folders in which something else was put stay when the link goes', async world => {
  const { app, link } = await connectedPair(world, { target: '/run/one/two/three/raw.sock' })
  writeFileSync(app.path('/run/one/mine'), 'mine')
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.deepEqual(readdirSync(app.path('/run/one')), ['mine'])
})

scenario('a parent of the target that is a file keeps the link waiting', async world => {
  const { app, entry, link } = await unconnectedPair(world)
  writeFileSync(app.path('/run/pvx'), 'a file')
  world.ctrl.serve([entry])
  await eventually('it was tried', () => world.daemon.statesOf(link).length > 2)
  assert.ok(!world.daemon.wasIn(link, 'mediating'))
  await world.daemon.logged('where it failed', line => /ENOTDIR|EEXIST/.test(asText(line)))
  assert.equal(readFileSync(app.path('/run/pvx'), 'utf8'), 'a file')
})

const LONG = `/run/${'long-name/'.repeat(30)}`

scenario('a target of more than 300 bytes carries bytes', async world => {
  const target = `${LONG}${'t'.repeat(80)}.sock`
  const { app, consumer, link } = await connectedPair(world, { service: 'echo', target })
  await echoes(consumer, 'line', target)
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.equal(existsSync(app.path('/run/long-name')), false)
})

scenario("a provider's socket of more than 300 bytes carries bytes", async world => {
  const { consumer } = await connectedPair(world, {
    service: 'echo',
    socket: `${LONG}${'s'.repeat(80)}.sock`,
  })
  await echoes(consumer, 'line')
})

scenario('a name of 255 bytes can be a target', async world => {
  const target = `/run/pvx/${'n'.repeat(250)}.sock`
  const { app, link } = await connectedPair(world, { target })
  assert.ok(statSync(app.path(target)).isSocket())
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.equal(existsSync(app.path('/run/pvx')), false)
})

scenario('names in which spaces, quotes and other alphabets occur are names like any other', async world => {
  const target = '/run/my "own" folder/große Dose \\n 箱.sock'
  const { consumer } = await connectedPair(world, { service: 'echo', target })
  await echoes(consumer, 'line', target)
})

scenario('a target on a read-only root is tried again until it can be written', async world => {
  const { app, consumer, provider, entry, link } = await unconnectedPair(world, {
    app: { sealed: true },
    target: '/opt/pvx/raw.sock',
  })
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  world.ctrl.serve([entry])
  await world.daemon.logged('why it waits', line => line['link'] === link && /EROFS/.test(asText(line)))
  await eventually(
    'it is tried again',
    () => world.daemon.statesOf(link).filter(state => state === 'injecting.wanted').length >= 2,
  )
  await app.exec('mount', '-o', 'remount,rw', '/')
  await world.daemon.reaches(link, 'mediating', 10_000)
  await echoes(consumer, 'line', '/opt/pvx/raw.sock')
})

scenario('a read-only root with a writable folder is served there', async world => {
  const { consumer } = await connectedPair(world, { service: 'echo', app: { sealed: true } })
  await echoes(consumer, 'line')
})

scenario('nobody sees a planted socket before it can be connected to', async world => {
  const { app, consumer, provider, entry, link } = await unconnectedPair(world)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  for (let round = 0; round < 5; round += 1) {
    world.ctrl.serve([entry])
    world.daemon.signal('SIGHUP')
    await eventually('it can be connected to', async () => {
      try {
        await consumer.connect(`line${round}`, TARGET)
        return true
      } catch (thrown) {
        // Not there yet is all that may be seen; refused would mean that it is there and nobody listens.
        assert.ok(thrown instanceof PeerRefused && thrown.errno === 'ENOENT', String(thrown))
        return false
      }
    })
    assert.deepEqual(readdirSync(app.path('/run/pvx')), ['raw.sock'])
    await world.daemon.reaches(link, 'mediating')
    world.ctrl.serve([])
    world.daemon.signal('SIGHUP')
    await world.daemon.reaches(link, 'released')
  }
})
