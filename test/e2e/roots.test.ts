/** What a container's root is made of, and what the container does to it while something is planted there. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Container, ContainerOptions } from '../support/container.ts'
import { asText } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import {
  connectedPair,
  echoes,
  entryFor,
  inodeOf,
  keyOf,
  type Pair,
  SOCKET,
  scenario,
  stillEchoes,
  TARGET,
  unconnectedPair,
  type World,
} from '../support/scenario.ts'

/** The daemon looks whole paths up every five seconds; some changes are seen no sooner. */
const A_LOOK_MS = 10_000

const ROOTS: Readonly<Record<string, ContainerOptions>> = {
  'with an overlay as its root': { overlay: true },
  'whose /proc hides its processes': { proc: 'hidden' },
  'without /proc': { proc: 'none' },
}

for (const [which, options] of Object.entries(ROOTS)) {
  scenario(`a consumer ${which} gets its socket, and loses it with the link`, async world => {
    const target = '/opt/pvx/raw.sock'
    const { app, consumer, link } = await connectedPair(world, { app: options, target, service: 'echo' })
    await echoes(consumer, 'line', target)
    world.ctrl.serve([])
    await world.daemon.reaches(link, 'released')
    assert.ok(!existsSync(app.path('/opt/pvx')))
  })

  scenario(`a provider ${which} is reached`, async world => {
    const { consumer } = await connectedPair(world, { svc: options, service: 'echo' })
    await echoes(consumer, 'line')
  })
}

scenario('on an overlay, a stale socket is replaced and a live one is not', async world => {
  const { app, consumer, provider, entry, link } = await unconnectedPair(world, { app: { overlay: true } })
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  await consumer.listen('own', TARGET)
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'pending.blocked')
  await consumer.close('own')
  const stale = inodeOf(app.path(TARGET))
  world.ctrl.serve([{ ...entry, role: 'other' }])
  await world.daemon.reaches(link, 'mediating')
  assert.notEqual(inodeOf(app.path(TARGET)), stale)
  assert.deepEqual(readdirSync(app.path('/run/pvx')), ['raw.sock'])
  await echoes(consumer, 'line')
})

interface Sharing extends Pair {
  readonly second: Container
  /** The shared folder on the host. */
  readonly shared: string
}

/** Two consumers that see one folder of the host as `/shared`. */
const sharing = async (world: World): Promise<Sharing> => {
  const shared = join(world.scratch, 'shared')
  mkdirSync(shared)
  const shares = { '/shared': shared }
  const pair = await unconnectedPair(world, { app: { shares }, target: '/shared/pvx/one.sock' })
  const second = await world.container('second', { shares })
  await pair.provider.listen('door', SOCKET)
  await pair.provider.serve('door', 'echo')
  return { ...pair, second, shared }
}

scenario(
  'two containers that share a folder may each have a target in it, and the folder goes with the last',
  async world => {
    const { svc, second, shared, consumer, entry, link } = await sharing(world)
    const other = entryFor({ consumer: second, provider: svc, target: '/shared/pvx/two.sock' })
    world.ctrl.serve([entry, other])
    await world.daemon.reaches(link, 'mediating')
    await world.daemon.reaches(keyOf(other), 'mediating')
    for (const target of ['/shared/pvx/one.sock', '/shared/pvx/two.sock'])
      await echoes(consumer, target, target)
    world.ctrl.serve([other])
    await world.daemon.reaches(link, 'released')
    assert.deepEqual(readdirSync(join(shared, 'pvx')), ['two.sock'])
    world.ctrl.serve([])
    await world.daemon.reaches(keyOf(other), 'released')
    assert.deepEqual(readdirSync(shared), [])
  },
)

scenario(
  'of two containers that want the same file of a shared folder the second gets it when the first goes',
  async world => {
    const { svc, second, shared, entry, link } = await sharing(world)
    const other = entryFor({ consumer: second, provider: svc, target: '/shared/pvx/one.sock' })
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'mediating')
    const planted = inodeOf(join(shared, 'pvx/one.sock'))
    world.ctrl.serve([entry, other])
    await world.daemon.logged(
      'that it is taken',
      line => line['link'] === keyOf(other) && /EADDRINUSE/.test(asText(line)),
    )
    assert.equal(inodeOf(join(shared, 'pvx/one.sock')), planted)
    world.ctrl.serve([other])
    await world.daemon.reaches(keyOf(other), 'mediating', A_LOOK_MS)
    await echoes(await world.peer(second), 'line', '/shared/pvx/one.sock')
  },
)

scenario(
  'a shared folder that is read-only for one container is read-only for its target, whoever else plants there',
  async world => {
    const { svc, second, shared, consumer, entry, link } = await sharing(world)
    await second.exec('mount', '-o', 'remount,bind,ro', '/shared')
    const other = entryFor({ consumer: second, provider: svc, target: '/shared/pvx/two.sock' })
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'mediating')
    world.ctrl.serve([entry, other])
    await world.daemon.logged(
      'why it waits',
      line => line['link'] === keyOf(other) && /EROFS/.test(asText(line)),
    )
    assert.deepEqual(readdirSync(join(shared, 'pvx')), ['one.sock'])
    await echoes(consumer, 'line', '/shared/pvx/one.sock')
    await second.exec('mount', '-o', 'remount,bind,rw', '/shared')
    await world.daemon.reaches(keyOf(other), 'mediating', A_LOOK_MS)
  },
)

/** The target is there and leads to the provider, and what was connected before still is. */
const isThereAgain = async ({ app, consumer }: Pair, line: string, before: string): Promise<void> => {
  await eventually('it is planted', () => existsSync(app.path(TARGET)), A_LOOK_MS)
  await echoes(consumer, line)
  await stillEchoes(consumer, before)
}

for (const [over, what] of [
  ['/run', 'the folder above'],
  ['/run/pvx', 'the folder of'],
] as const) {
  scenario(
    `a file system that is mounted over ${what} a target, and removed again, gets a socket each time`,
    async world => {
      const pair = await connectedPair(world, { service: 'echo' })
      const { app, consumer, link } = pair
      await echoes(consumer, 'first')
      await app.exec('mount', '-t', 'tmpfs', 'late', over)
      await isThereAgain(pair, 'second', 'first')
      await app.exec('umount', '-l', over)
      await isThereAgain(pair, 'third', 'second')
      await stillEchoes(consumer, 'first')
      world.ctrl.serve([])
      await world.daemon.reaches(link, 'released')
      assert.ok(!existsSync(app.path(TARGET)))
    },
  )
}

scenario(
  'a file system with a planted socket that is moved elsewhere takes no socket with it',
  async world => {
    const { app, svc, consumer, provider } = await unconnectedPair(world)
    await provider.listen('door', SOCKET)
    await provider.serve('door', 'echo')
    await app.exec('sh', '-c', 'mkdir /run/disk /run/other; mount -t tmpfs disk /run/disk')
    const target = '/run/disk/pvx/raw.sock'
    const entry = entryFor({ consumer: app, provider: svc, target })
    world.ctrl.serve([entry])
    await world.daemon.reaches(keyOf(entry), 'mediating')
    await echoes(consumer, 'first', target)
    await app.exec('mount', '--move', '/run/disk', '/run/other')
    await eventually('it is planted where it belongs', () => existsSync(app.path(target)), A_LOOK_MS)
    await echoes(consumer, 'second', target)
    await stillEchoes(consumer, 'first')
    assert.deepEqual(readdirSync(app.path('/run/other')), [])
  },
)

scenario('a folder with a planted socket that is renamed takes no socket with it', async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  const { app, consumer, link } = pair
  await echoes(consumer, 'first')
  await app.exec('mv', '/run/pvx', '/run/moved')
  await isThereAgain(pair, 'second', 'first')
  await eventually('nothing is left in it', () => readdirSync(app.path('/run/moved')).length === 0)
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.ok(!existsSync(app.path('/run/pvx')))
})

scenario("a folder that the container deleted and made again is the container's", async world => {
  const pair = await connectedPair(world, { service: 'echo' })
  const { app, consumer, link } = pair
  await echoes(consumer, 'first')
  await app.exec('sh', '-c', 'rm -r /run/pvx; mkdir -m 700 /run/pvx')
  await isThereAgain(pair, 'second', 'first')
  assert.equal(statSync(app.path('/run/pvx')).mode & 0o777, 0o700)
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.deepEqual(readdirSync(app.path('/run/pvx')), [])
})

scenario(
  'what cannot be removed from a root that turned read-only is said, and is replaced by the next link',
  async world => {
    const { app, consumer, entry, link } = await connectedPair(world, { service: 'echo' })
    const planted = inodeOf(app.path(TARGET))
    await app.exec('mount', '-o', 'remount,ro', '/')
    world.ctrl.serve([])
    await world.daemon.reaches(link, 'released')
    const line = await world.daemon.logged('what was left', each => 'leftBehind' in each)
    assert.deepEqual(line['leftBehind'], [`${TARGET}: EROFS`, '/run/pvx: EROFS'])
    assert.equal(inodeOf(app.path(TARGET)), planted)
    await app.exec('mount', '-o', 'remount,rw', '/')
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'mediating')
    await echoes(consumer, 'line')
  },
)

/** Orders for an init: what it mounts, and where it lives from then on. */
const LATE_MOUNTS = `exec unshare --mount sh -c 'mount -t tmpfs late /run; exec cat >/dev/null'`
const LATE_ROOT = [
  'mkdir /new',
  'mount -t tmpfs new /new',
  'for each in /*; do if [ -L $each ]; then cp -P $each /new$each; fi; done',
  'mkdir /new/usr /new/peers /new/run /new/tmp /new/proc /new/dev',
  'for each in usr peers proc dev; do mount --bind /$each /new/$each; done',
  "exec chroot /new sh -c 'exec cat >/dev/null'",
].join('; ')

for (const [what, order] of [
  ['into mounts of its own', LATE_MOUNTS],
  ['into another root', LATE_ROOT],
] as const) {
  scenario(`a consumer whose init goes ${what} is followed there`, async world => {
    const pair = await connectedPair(world, { app: { takesOrders: true }, service: 'echo' })
    const { app, consumer, link } = pair
    await echoes(consumer, 'first')
    const before = inodeOf(app.path('/run'))
    app.order(order)
    await eventually('it went', () => inodeOf(app.path('/run')) !== before)
    await eventually('it is planted there', () => existsSync(app.path(TARGET)), A_LOOK_MS)
    const there = await world.peer(app)
    await echoes(there, 'second')
    await stillEchoes(consumer, 'first')
    await assert.rejects(consumer.connect('third', TARGET), /ENOENT/)
    world.ctrl.serve([])
    await world.daemon.reaches(link, 'released')
    assert.ok(!existsSync(app.path('/run/pvx')))
  })

  scenario(`a provider whose init goes ${what} is followed there`, async world => {
    const { svc, consumer } = await connectedPair(world, {
      svc: { takesOrders: true },
      service: 'introduce',
      label: 'old',
    })
    await consumer.connect('first', TARGET)
    assert.equal((await consumer.readExactly('first', 3)).text, 'old')
    const before = inodeOf(svc.path('/run'))
    svc.order(order)
    await eventually('it went', () => inodeOf(svc.path('/run')) !== before)
    const there = await world.peer(svc)
    await there.listen('door', SOCKET)
    await there.serve('door', 'introduce', { label: 'new' })
    let round = 0
    await eventually(
      'it is reached there',
      async () => {
        round += 1
        await consumer.connect(`line${round}`, TARGET)
        return (await consumer.readExactly(`line${round}`, 3)).text === 'new'
      },
      A_LOOK_MS,
    )
  })
}

scenario('a consumer whose init goes into another network is followed there', async world => {
  const target = `@pvx-roots-${process.pid}`
  const { app, consumer, link } = await connectedPair(world, {
    app: { network: 'own', takesOrders: true },
    target,
    service: 'echo',
  })
  await echoes(consumer, 'first', target)
  const names = (): string => readFileSync(`/proc/${app.pid}/net/unix`, 'utf8')
  app.order(`exec unshare --net sh -c 'exec cat >/dev/null'`)
  await eventually('it went', () => !names().includes(target))
  await eventually('the name is planted there', () => names().includes(target), A_LOOK_MS)
  await echoes(await world.peer(app), 'second', target)
  await stillEchoes(consumer, 'first')
  await assert.rejects(consumer.connect('third', target), /ECONNREFUSED/)
  assert.ok(world.daemon.isIn(link, 'mediating'))
})

/** A path of exactly so many bytes, in folders with names of so many. */
const pathOfLength = (bytes: number, name: number): string => {
  let path = '/run'
  while (bytes - path.length > name + 2) path += `/${'d'.repeat(name)}`
  return `${path}/${'f'.repeat(bytes - path.length - 1)}`
}

for (const [name, levels] of [
  [250, 'few'],
  [14, 'hundreds of'],
] as const) {
  const path = pathOfLength(4095, name)

  scenario(
    `a target of 4095 bytes in ${levels} folders carries bytes, and none of them is left`,
    async world => {
      const { app, consumer, link } = await connectedPair(world, { target: path, service: 'echo' })
      await echoes(consumer, 'line', path)
      world.ctrl.serve([])
      await world.daemon.reaches(link, 'released')
      assert.deepEqual(
        readdirSync(app.path('/run')).filter(each => each.startsWith('d')),
        [],
      )
    },
  )

  scenario(`a provider's socket at a path of 4095 bytes in ${levels} folders is reached`, async world => {
    const { consumer } = await connectedPair(world, { socket: path, service: 'echo' })
    await echoes(consumer, 'line')
  })
}
