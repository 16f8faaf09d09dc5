/** Containers that lie about their paths: nothing they can say leads out of their own root. */
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { HOST } from '../support/container.ts'
import { eventually } from '../support/eventually.ts'
import {
  echoes,
  entryFor,
  keyOf,
  type Pair,
  SOCKET,
  scenario,
  TARGET,
  unconnectedPair,
  type World,
} from '../support/scenario.ts'

const SHORT_GRACE = { args: ['--connect-timeout', '150'] }

interface Trap {
  /** A socket on the host that answers. */
  readonly socket: string
  readonly visitors: () => Promise<number>
}

const trapOnHost = async (world: World): Promise<Trap> => {
  const host = await world.peer(HOST)
  const socket = join(world.scratch, 'trap.sock')
  await host.listen('trap', socket)
  await host.serve('trap', 'introduce', { label: 'the host' })
  return { socket, visitors: async () => (await host.servedBy('trap')).total }
}

/** The provider's socket is what `lay` put there; a consumer that connects hears nothing, and nobody else does. */
const providerReachesNothing = async (
  world: World,
  lay: (trap: Trap, pair: Pair) => unknown,
): Promise<void> => {
  const trap = await trapOnHost(world)
  const pair = await unconnectedPair(world)
  mkdirSync(pair.svc.path('/run/svc'))
  await lay(trap, pair)
  world.ctrl.serve([pair.entry])
  await world.daemon.reaches(pair.link, 'mediating')
  await pair.consumer.connect('line', TARGET)
  assert.equal((await pair.consumer.readToEnd('line')).text, '')
  assert.equal(await trap.visitors(), 0)
}

scenario(
  'a provider whose socket is an absolute symlink to a socket of the host reaches nothing',
  world => providerReachesNothing(world, (trap, { svc }) => symlinkSync(trap.socket, svc.path(SOCKET))),
  SHORT_GRACE,
)

scenario(
  'a provider whose socket climbs out with dots reaches nothing',
  world =>
    providerReachesNothing(world, (trap, { svc }) =>
      symlinkSync(`../../../../../../../..${trap.socket}`, svc.path(SOCKET)),
    ),
  SHORT_GRACE,
)

scenario(
  "a provider whose socket's folder is a symlink to the host reaches nothing",
  world =>
    providerReachesNothing(world, async (trap, { svc }) => {
      await svc.exec('rmdir', '/run/svc')
      symlinkSync(trap.socket, join(dirname(trap.socket), 'raw.sock'))
      symlinkSync(dirname(trap.socket), svc.path('/run/svc'))
    }),
  SHORT_GRACE,
)

scenario(
  'a provider whose socket goes through a magic link of /proc reaches nothing',
  world =>
    providerReachesNothing(world, (trap, { svc }) =>
      symlinkSync(`/proc/1/root${trap.socket}`, svc.path(SOCKET)),
    ),
  SHORT_GRACE,
)

scenario(
  'a provider whose socket goes through a descriptor of its own init reaches nothing',
  world =>
    providerReachesNothing(world, (trap, { svc }) =>
      symlinkSync(`/proc/self/cwd/../../..${trap.socket}`, svc.path(SOCKET)),
    ),
  SHORT_GRACE,
)

scenario(
  'a provider whose socket is a symlink to itself reaches nothing',
  world => providerReachesNothing(world, (_, { svc }) => symlinkSync(SOCKET, svc.path(SOCKET))),
  SHORT_GRACE,
)

scenario(
  'a provider whose socket is a file reaches nothing',
  world => providerReachesNothing(world, (_, { svc }) => writeFileSync(svc.path(SOCKET), 'no socket')),
  SHORT_GRACE,
)

scenario(
  'a provider whose socket is a fifo reaches nothing and holds nobody up',
  world => providerReachesNothing(world, (_, { svc }) => svc.exec('mkfifo', SOCKET)),
  SHORT_GRACE,
)

scenario('a symlink within the provider is followed there', async world => {
  const { svc, consumer, provider, entry, link } = await unconnectedPair(world)
  await provider.listen('door', '/opt/real/raw.sock')
  await provider.serve('door', 'echo')
  mkdirSync(svc.path('/run/svc'))
  symlinkSync('/opt/real/raw.sock', svc.path(SOCKET))
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  await echoes(consumer, 'line')
})

/** A folder of the host in which nothing may appear, and whose mode must stay. */
const hostFolder = (world: World): string => {
  const folder = join(world.scratch, 'host')
  mkdirSync(folder)
  chmodSync(folder, 0o750)
  return folder
}

const wasTried = (world: World, link: string): Promise<unknown> =>
  eventually('it was tried and settled', () => {
    const states = world.daemon.statesOf(link)
    return states.includes('injecting.wanted') && states.at(-1) !== 'injecting.wanted'
  })

scenario(
  "a target's folder that is a symlink to a folder of the host is resolved in the container",
  async world => {
    const folder = hostFolder(world)
    const { app, consumer, provider, entry, link } = await unconnectedPair(world)
    await provider.listen('door', SOCKET)
    await provider.serve('door', 'echo')
    mkdirSync(app.path(folder), { recursive: true })
    symlinkSync(folder, app.path('/run/pvx'))
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'mediating')
    assert.ok(statSync(app.path(join(folder, 'raw.sock'))).isSocket())
    await echoes(consumer, 'line')
    assert.deepEqual(readdirSync(folder), [])
    world.ctrl.serve([])
    await world.daemon.reaches(link, 'released')
    assert.deepEqual(readdirSync(app.path(folder)), [])
  },
)

scenario("a target's folder that only the host has is not made there", async world => {
  const folder = hostFolder(world)
  const { app, entry, link } = await unconnectedPair(world)
  symlinkSync(folder, app.path('/run/pvx'))
  world.ctrl.serve([entry])
  await wasTried(world, link)
  assert.deepEqual(readdirSync(folder), [])
  assert.equal(statSync(folder).mode & 0o777, 0o750)
})

scenario("a target's folder that climbs out with dots stays inside", async world => {
  const folder = hostFolder(world)
  const { app, entry, link } = await unconnectedPair(world)
  mkdirSync(app.path(folder), { recursive: true })
  symlinkSync(`../../../../../../..${folder}`, app.path('/run/pvx'))
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  assert.deepEqual(readdirSync(folder), [])
  assert.ok(existsSync(app.path(join(folder, 'raw.sock'))))
})

scenario("a target's folder behind a magic link of /proc is refused", async world => {
  const folder = hostFolder(world)
  const { app, entry, link } = await unconnectedPair(world)
  symlinkSync(`/proc/1/root${folder}`, app.path('/run/pvx'))
  world.ctrl.serve([entry])
  await wasTried(world, link)
  assert.ok(!world.daemon.wasIn(link, 'mediating'))
  assert.deepEqual(readdirSync(folder), [])
})

scenario('a target that is a symlink is refused and left as it is', async world => {
  const folder = hostFolder(world)
  const victim = join(folder, 'victim')
  writeFileSync(victim, 'untouched', { mode: 0o600 })
  const { app, entry, link } = await unconnectedPair(world)
  mkdirSync(app.path('/run/pvx'))
  symlinkSync(victim, app.path(TARGET))
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'pending.blocked')
  await world.daemon.logged('what is there', line => /symlink/.test(JSON.stringify(line)))
  assert.equal(await app.exec('readlink', TARGET), `${victim}\n`)
  assert.equal(statSync(victim).mode & 0o777, 0o600)
})

scenario('a folder swapped for a symlink after planting leads the removal nowhere else', async world => {
  const folder = hostFolder(world)
  writeFileSync(join(folder, 'raw.sock'), 'of the host')
  const { app, entry, link } = await unconnectedPair(world)
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  // Stopped, or it may make the folder again before the symlink is there.
  world.daemon.signal('SIGSTOP')
  await app.exec('mv', '/run/pvx', '/run/moved')
  symlinkSync(folder, app.path('/run/pvx'))
  world.ctrl.serve([])
  world.daemon.signal('SIGCONT')
  await world.daemon.reaches(link, 'released')
  assert.deepEqual(readdirSync(folder), ['raw.sock'])
  assert.equal(existsSync(app.path('/run/moved/raw.sock')), false)
})

scenario('a file put in the place of a planted socket is left when the link goes', async world => {
  const { app, entry, link } = await unconnectedPair(world)
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  // In one step: what is removed first may be planted again meanwhile.
  await app.exec('sh', '-c', `echo mine >/run/mine; mv -f /run/mine ${TARGET}`)
  await eventually('that is noticed', () => !world.daemon.isIn(link, 'mediating'))
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.equal(await app.exec('cat', TARGET), 'mine\n')
})

scenario(
  'a link between entries with symlinks of both sides still goes from container to container',
  async world => {
    const { app, svc, consumer, provider } = await unconnectedPair(world)
    await provider.listen('door', '/opt/deep/raw.sock')
    await provider.serve('door', 'introduce', { label: 'svc' })
    symlinkSync('/opt/deep', svc.path('/run/svc'))
    mkdirSync(app.path('/opt/elsewhere'))
    symlinkSync('../opt/elsewhere', app.path('/run/pvx'))
    const entry = entryFor({ consumer: app, provider: svc })
    world.ctrl.serve([entry])
    await world.daemon.reaches(keyOf(entry), 'mediating')
    await consumer.connect('line', TARGET)
    assert.equal((await consumer.readExactly('line', 3)).text, 'svc')
  },
)
