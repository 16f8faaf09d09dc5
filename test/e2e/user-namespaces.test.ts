/** Containers with user namespaces of their own: whose the planted things are, on file systems of theirs and of the host. */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Container, ContainerOptions } from '../support/container.ts'
import { asText } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import {
  connectedPair,
  echoes,
  inodeOf,
  SOCKET,
  scenario,
  stillEchoes,
  TARGET,
  unconnectedPair,
} from '../support/scenario.ts'

const SHIFTED = '0 100000 65536'
const OTHER = '0 300000 65536'

/** How a map is called, the container, and who root is as seen inside and outside. */
const MAPS: readonly (readonly [string, ContainerOptions, inside: number, outside: number])[] = [
  ['of 65536 ids', { user: SHIFTED }, 0, 100_000],
  ['of one id', { user: '0 1000 1' }, 0, 1000],
  ['of two ranges', { user: '1 400001 999\n0 1000 1' }, 0, 1000],
  ['without root', { user: '1000 2000 1', style: 'chroot' }, 1000, 2000],
  ['where the namespace has the host as its root', { user: SHIFTED, style: 'chroot' }, 0, 100_000],
]

/** Owner and mode, as a process of the container sees them. */
const seenInside = async (app: Container, path: string): Promise<string> =>
  (await app.exec('stat', '-c', '%u:%g %a', path)).trim()

for (const [map, app, inside, outside] of MAPS) {
  scenario(
    `a consumer with a map ${map} gets a socket of its own, and loses it with the link`,
    async world => {
      const target = '/run/one/two/raw.sock'
      const pair = await connectedPair(world, { app, target, service: 'echo' })
      assert.equal(await seenInside(pair.app, target), `${inside}:${inside} 666`)
      for (const folder of ['/run/one', '/run/one/two']) {
        assert.equal(await seenInside(pair.app, folder), `${inside}:${inside} 755`)
      }
      const { uid, gid } = statSync(pair.app.path(target))
      assert.deepEqual([uid, gid], [outside, outside])
      await echoes(pair.consumer, 'line', target)
      world.ctrl.serve([])
      await world.daemon.reaches(pair.link, 'released')
      assert.ok(!existsSync(pair.app.path('/run/one')))
      assert.deepEqual(
        world.daemon.log().filter(line => 'leftBehind' in line),
        [],
      )
    },
  )

  scenario(`a provider with a map ${map} is reached`, async world => {
    const { consumer } = await connectedPair(world, { svc: app, service: 'echo' })
    await echoes(consumer, 'line')
  })
}

const APP = { user: SHIFTED }

scenario('two containers with different maps are connected', async world => {
  const { app, consumer } = await connectedPair(world, { app: APP, svc: { user: OTHER }, service: 'echo' })
  assert.equal(await seenInside(app, TARGET), '0:0 666')
  await echoes(consumer, 'line')
})

scenario('abstract names work in networks that belong to user namespaces', async world => {
  const name = `@pvx-users-${process.pid}`
  const { consumer } = await connectedPair(world, {
    app: { ...APP, network: 'own' },
    svc: { user: OTHER, network: 'own' },
    socket: name,
    target: name,
    service: 'echo',
  })
  await echoes(consumer, 'line', name)
})

scenario('a container may remove what is planted in it, and gets it again', async world => {
  const { app, consumer } = await connectedPair(world, { app: APP, service: 'echo' })
  await echoes(consumer, 'old')
  await app.exec('rm', '-r', '/run/pvx')
  await eventually('it is planted again', () => existsSync(app.path(TARGET)), 10_000)
  assert.equal(await seenInside(app, TARGET), '0:0 666')
  assert.equal(await seenInside(app, '/run/pvx'), '0:0 755')
  await echoes(consumer, 'new')
  await stillEchoes(consumer, 'old')
})

scenario('a stale socket of the container is replaced', async world => {
  const { app, consumer, provider, entry, link } = await unconnectedPair(world, { app: APP })
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  await consumer.listen('own', TARGET)
  await consumer.close('own')
  const stale = inodeOf(app.path(TARGET))
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  assert.notEqual(inodeOf(app.path(TARGET)), stale)
  assert.deepEqual(readdirSync(app.path('/run/pvx')), ['raw.sock'])
  await echoes(consumer, 'line')
})

scenario('a live socket of the container is refused', async world => {
  const { consumer, entry, link } = await unconnectedPair(world, { app: APP })
  await consumer.listen('own', TARGET)
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'pending.blocked')
  await world.daemon.logged('why', line => asText(line).includes('in use by the container'))
  await consumer.connect('line', TARGET)
})

scenario(
  "on a disk that is the container's, what is planted is its own, and is removed after its death",
  async world => {
    const disk = join(world.scratch, 'disk')
    const { app, consumer, link } = await connectedPair(world, {
      app: { ...APP, disk },
      target: '/opt/pvx/raw.sock',
      service: 'echo',
    })
    assert.equal(await seenInside(app, '/opt/pvx/raw.sock'), '0:0 666')
    await echoes(consumer, 'line', '/opt/pvx/raw.sock')
    await app.kill()
    await world.daemon.reaches(link, 'pending')
    await eventually('the disk is clean', () => !existsSync(join(disk, 'opt/pvx')))
  },
)

for (const mode of [0o755, 0o700]) {
  scenario(
    `in a folder of the host's, mode 0${mode.toString(8)}, where the container itself may write nothing, its target is planted`,
    async world => {
      const shared = join(world.scratch, 'shared')
      mkdirSync(shared)
      chmodSync(shared, mode)
      const { app, consumer, link } = await connectedPair(world, {
        app: { ...APP, shares: { '/shared': shared } },
        target: mode === 0o755 ? '/shared/pvx/raw.sock' : '/shared/raw.sock',
        service: 'echo',
      })
      await assert.rejects(app.exec('touch', '/shared/mine'), /Permission denied/)
      const planted = join(shared, mode === 0o755 ? 'pvx/raw.sock' : 'raw.sock')
      assert.deepEqual([statSync(planted).uid, statSync(planted).gid], [100_000, 100_000])
      if (mode === 0o755) {
        assert.equal(await seenInside(app, '/shared/pvx/raw.sock'), '0:0 666')
        assert.equal(await seenInside(app, '/shared/pvx'), '0:0 755')
        await echoes(consumer, 'line', '/shared/pvx/raw.sock')
      }
      world.ctrl.serve([])
      await world.daemon.reaches(link, 'released')
      assert.deepEqual(readdirSync(shared), [])
    },
  )
}

scenario('a container without a map of its own beside one with one gets what is root for it', async world => {
  const { app, svc, consumer, provider } = await connectedPair(world, { svc: APP, service: 'echo' })
  await echoes(consumer, 'line')
  const target = '/run/back/raw.sock'
  await consumer.listen('own', '/run/own.sock')
  await consumer.serve('own', 'echo')
  world.ctrl.serve([
    {
      type: 'unix',
      name: 'back',
      consumer: 'svc',
      consumer_pid: svc.pid,
      provider: 'app',
      provider_pid: app.pid,
      socket: '/run/own.sock',
      target,
    },
  ])
  await world.daemon.reaches(`svc/back@${target}`, 'mediating')
  assert.equal(await seenInside(svc, target), '0:0 666')
  await echoes(provider, 'back', target)
})

scenario('SIGTERM removes what is in user namespaces too', async world => {
  const { app } = await connectedPair(world, { app: APP, target: '/run/one/raw.sock' })
  await world.daemon.stop()
  assert.ok(!existsSync(app.path('/run/one')))
})
