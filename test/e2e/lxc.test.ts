/**
 * Links between containers of LXC, which is what Pantavisor runs: the whole way once, and what only its containers have.
 * The other end-to-end tests run with it too (`npm run test:lxc`); these always do.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { untilEnded } from '../support/child.ts'
import { eventually } from '../support/eventually.ts'
import { type LxcContainer, startLxcContainer } from '../support/lxc.ts'
import type { LxcOptions } from '../support/lxc-config.ts'
import type { Peer } from '../support/peer.ts'
import type { Entry } from '../support/pv-ctrl.ts'
import { canRunHere } from '../support/requirements.ts'
import {
  echoes,
  entryFor,
  exists,
  inodeOf,
  keyOf,
  type ScenarioOptions,
  SOCKET,
  scenario,
  TARGET,
  type World,
} from '../support/scenario.ts'

const NEVER_MS = 600_000
/** Nobody of the container is anybody on the host. */
const MAP = '0 100000 65536'
const WITH_LXC = { withLxc: true } satisfies ScenarioOptions

interface Pair {
  readonly app: LxcContainer
  readonly svc: LxcContainer
  readonly consumer: Peer
  readonly provider: Peer
  readonly entry: Entry
  readonly link: string
}

const container = async (world: World, name: string, options: LxcOptions = {}): Promise<LxcContainer> => {
  const made = await startLxcContainer(name, world.scratch, { network: 'own', ...options })
  world.adopt(made)
  return made
}

/** Two LXC containers and a provider that listens, the link up; `prepare` has the consumer before. */
const linked = async (
  world: World,
  options: LxcOptions = {},
  target = TARGET,
  prepare: (app: LxcContainer) => Promise<void> = async () => undefined,
): Promise<Pair> => {
  const [app, svc] = await Promise.all([container(world, 'app', options), container(world, 'svc', options)])
  await prepare(app)
  const [consumer, provider] = await Promise.all([world.peer(app), world.peer(svc)])
  await provider.listen('door', SOCKET)
  const entry = entryFor({ consumer: app, provider: svc, target })
  world.ctrl.serve([entry])
  world.daemon.signal('SIGHUP')
  await world.daemon.reaches(keyOf(entry), 'mediating')
  return { app, svc, consumer, provider, entry, link: keyOf(entry) }
}

scenario(
  'bytes and descriptors pass between two LXC containers',
  async world => {
    const { consumer, provider } = await linked(world)
    await consumer.connect('line', TARGET)
    await provider.accept('door', 'line')
    const sent = await consumer.makeMemfds('m', 3)
    await consumer.send('line', 'plain')
    await consumer.send('line', 'rights', { descriptors: ['m0', 'm1', 'm2'] })
    const got = await provider.readByteByByte('line', 11)
    assert.equal(got.text, 'plainrights')
    assert.deepEqual(got.positions, [{ at: 5, descriptors: sent, cut: false }])
    await provider.send('line', 'back')
    assert.equal((await consumer.readExactly('line', 4)).text, 'back')
  },
  WITH_LXC,
)

scenario(
  'a consumer that LXC stopped and started again has its socket under its new pid',
  async world => {
    const { app, svc, provider, link } = await linked(world, { halts: true })
    await provider.serve('door', 'echo')
    await app.stop()
    await world.daemon.reaches(link, 'pending')
    const again = await container(world, 'app')
    assert.notEqual(again.pid, app.pid)
    world.ctrl.serve([entryFor({ consumer: again, provider: svc })])
    await world.daemon.reaches(link, 'mediating')
    await echoes(await world.peer(again), 'line')
  },
  WITH_LXC,
)

scenario(
  'a provider that LXC stopped and started again is reached through the same socket',
  async world => {
    const { app, svc, consumer, provider, link } = await linked(world, { halts: true })
    await provider.serve('door', 'introduce', { label: 'old' })
    const planted = inodeOf(app.path(TARGET))
    await consumer.connect('first', TARGET)
    assert.equal((await consumer.readExactly('first', 3)).text, 'old')
    await svc.stop()
    assert.equal((await consumer.readToEnd('first')).bytes, 0)
    const again = await container(world, 'svc')
    const successor = await world.peer(again)
    await successor.listen('door', SOCKET)
    await successor.serve('door', 'introduce', { label: 'new' })
    world.ctrl.serve([entryFor({ consumer: app, provider: again })])
    await consumer.connect('second', TARGET)
    assert.equal((await consumer.readExactly('second', 3)).text, 'new')
    assert.equal(inodeOf(app.path(TARGET)), planted)
    assert.ok(world.daemon.isIn(link, 'mediating'))
  },
  WITH_LXC,
)

scenario(
  'an LXC container that was killed is noticed at once',
  async world => {
    const { app, link } = await linked(world)
    await app.kill()
    await world.daemon.reaches(link, 'pending', 1000)
  },
  { ...WITH_LXC, intervalMs: NEVER_MS },
)

scenario(
  "a socket on an LXC container's overlay comes and goes without a trace",
  async world => {
    const target = '/opt/pvx/raw.sock'
    const { app, consumer, provider, link } = await linked(world, {}, target)
    await provider.serve('door', 'echo')
    assert.equal((await app.exec('stat', '-f', '-c', '%T', '/opt/pvx')).trim(), 'overlayfs')
    await echoes(consumer, 'line', target)
    world.ctrl.serve([])
    await world.daemon.reaches(link, 'released')
    assert.deepEqual(readdirSync(app.path('/opt')), [])
  },
  WITH_LXC,
)

scenario(
  "what is planted in an unprivileged LXC container is its root's",
  async world => {
    const { app, consumer, provider } = await linked(world, { user: MAP }, '/opt/pvx/raw.sock')
    await provider.serve('door', 'echo')
    await echoes(consumer, 'line', '/opt/pvx/raw.sock')
    for (const path of ['/opt/pvx', '/opt/pvx/raw.sock']) {
      assert.equal(statSync(app.path(path)).uid, 100_000, path)
    }
  },
  WITH_LXC,
)

scenario(
  'a folder of another user in an unprivileged LXC container takes a socket like any other',
  async world => {
    const target = '/run/other/deep/raw.sock'
    const { app, consumer, provider, link } = await linked(world, { user: MAP }, target, async ({ exec }) => {
      await exec('install', '-d', '-m', '700', '-o', '1000', '-g', '1000', '/run/other')
    })
    await provider.serve('door', 'echo')
    await echoes(consumer, 'line', target)
    world.ctrl.serve([])
    await world.daemon.reaches(link, 'released')
    assert.deepEqual(readdirSync(app.path('/run/other')), [])
  },
  WITH_LXC,
)

scenario(
  'an LXC container that was named before LXC had set it up gets its socket in its own root',
  async world => {
    const svc = await container(world, 'svc')
    const provider = await world.peer(svc)
    await provider.listen('door', SOCKET)
    await provider.serve('door', 'echo')

    const [named, go] = [join(world.scratch, 'named'), join(world.scratch, 'go')]
    // The parent of the hook's shell is the first process, and the host's /proc still tells its pid there.
    const mountHook =
      `while read key value; do [ $key = PPid: ] && echo $value >${named}.new; done </proc/self/status;
      mv ${named}.new ${named}; until [ -e ${go} ]; do sleep 0.02; done`.replace('\n', ' ')
    const starting = container(world, 'app', { mountHook })
    const pid = await eventually(
      'it is named',
      () => existsSync(named) && Number(readFileSync(named, 'utf8')),
    )
    const target = join(world.scratch, 'early/raw.sock')
    const entry = {
      ...entryFor({ consumer: svc, provider: svc, target }),
      consumer: 'app',
      consumer_pid: pid,
    }
    world.ctrl.serve([entry])
    await world.daemon.reaches(keyOf(entry), 'mediating')
    assert.ok(exists(target))

    writeFileSync(go, '')
    const app = await starting
    assert.equal(app.pid, pid)
    await eventually('it is planted in its root', () => exists(app.path(target)))
    await eventually('the early one is gone', () => !exists(join(world.scratch, 'early')))
    await echoes(await world.peer(app), 'line', target)
  },
  WITH_LXC,
)

/** What LXC and these tests' own means of starting it make on the host for a container. */
const leftOf = (lxcpath: string): readonly string[] => {
  const processes = readdirSync('/proc').filter(name => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(lxcpath)
    } catch {
      return false
    }
  })
  const cgroups = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter(line => / - cgroup2? /.test(line))
    .map(line => join(line.split(' ')[4] ?? '', basename(lxcpath)))
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').includes(lxcpath) ? ['a mount'] : []
  const paths = [lxcpath, `/run/lxc/lock${lxcpath}`, ...cgroups]
  return [...processes, ...paths.filter(path => existsSync(path)), ...mounts]
}

test('nothing of an LXC container is left when it was killed', async t => {
  if (!canRunHere(t, true)) return
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-e2e-'))
  const box = await startLxcContainer('box', scratch)
  assert.notDeepEqual(leftOf(box.lxcpath), [])
  await box.kill()
  assert.deepEqual(leftOf(box.lxcpath), [])
  rmSync(scratch, { recursive: true })
})

test('nothing of an LXC container is left when the process that made it was killed', async t => {
  if (!canRunHere(t, true)) return
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-e2e-'))
  const maker = new URL('../support/lxc.js', import.meta.url).pathname
  const program = `
    const { startLxcContainer } = await import(${JSON.stringify(maker)})
    console.log((await startLxcContainer('box', ${JSON.stringify(scratch)})).lxcpath)
    setInterval(() => undefined, ${NEVER_MS})`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = await once(owner.stdout, 'data')
  const lxcpath = String(said).trim()
  assert.notDeepEqual(leftOf(lxcpath), [])
  owner.kill('SIGKILL')
  await untilEnded(owner)
  await eventually('nothing is left', () => leftOf(lxcpath).length === 0)
  rmSync(scratch, { recursive: true })
})
