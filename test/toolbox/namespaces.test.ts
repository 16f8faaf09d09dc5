/** Planting in, and reaching into, a mount namespace that is not ours. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { LinkBuilder } from '../support/builders.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'
import { quiet, until } from '../support/relay.ts'
import { canChoosePids, startUnder } from '../support/reused-pid.ts'
import { opensTheWayHome, type Sandbox, startProcess, startSandbox } from '../support/sandbox.ts'
import { clientAt, serverAt } from '../support/sockets.ts'
import { requestOf, type ToolboxBench, withLinuxToolbox } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

const elsewhere = (
  name: string,
  setup: string,
  body: (bench: ToolboxBench, sandbox: Sandbox) => Promise<void>,
): void => {
  test(name, async t => {
    if (!needsRoot(t)) return
    const sandbox = await startSandbox(setup)
    try {
      await withLinuxToolbox({}, bench => body(bench, sandbox))
    } finally {
      await sandbox.kill()
    }
  })
}

const inject = ({ host }: ToolboxBench, link: LinkBuilder) =>
  host.toolboxFor(link.build()).injectSocket(requestOf(link, 'detected'))()

/** The name is this test's own, so that it cannot be on the host by accident. */
const OWN = `/tmp/pvx-own-${process.pid}`

elsewhere('a socket planted in a container is there and not on the host', ':', async (bench, sandbox) => {
  const link = bench.link.running(sandbox.pid).at(`${OWN}/api.sock`)
  const server = serverAt(bench.link.build().socket)
  must(await inject(bench, link))
  assert.ok(!existsSync(OWN))
  const client = clientAt(`${OWN}/api.sock`, 'stream', sandbox.pid)
  client.send('from inside')
  assert.equal(String(await (await server.accept()).take(11)), 'from inside')
  client.close()
  server.close()
})

elsewhere('a provider in a container is reached there', `mkdir ${OWN}`, async (bench, sandbox) => {
  const server = serverAt(`${OWN}/provider.sock`, 'seqpacket', sandbox.pid)
  const link = bench.link.from('net', sandbox.pid).socket(`${OWN}/provider.sock`)
  assert.equal(must(await inject(bench, link)).planted.kind, 'seqpacket')
  const client = clientAt(link.build().target, 'seqpacket')
  client.send('hello')
  await until('it arrives', () => server.visited)
  client.close()
  server.close()
})

elsewhere(
  'a symlink in the parent of a target is resolved inside the container',
  `mkdir ${OWN}; ln -s ${OWN} /tmp/link-${process.pid}`,
  async (bench, sandbox) => {
    must(await inject(bench, bench.link.running(sandbox.pid).at(`/tmp/link-${process.pid}/deep/api.sock`)))
    clientAt(`${OWN}/deep/api.sock`, 'stream', sandbox.pid).close()
    assert.ok(!existsSync(OWN))
  },
)

test('a provider that is a symlink to a socket of the host is not reached', async t => {
  if (!needsRoot(t)) return
  await withLinuxToolbox({ connectGraceMs: 100 }, async bench => {
    // The folder is on the host's /tmp, which the sandbox has covered with its own.
    const victim = serverAt(join(bench.folder, 'provider.sock'))
    for (const way of [
      join(bench.folder, 'provider.sock'),
      `/proc/1/root${join(bench.folder, 'provider.sock')}`,
    ]) {
      const sandbox = await startSandbox(`ln -s ${way} /tmp/evil.sock`)
      const link = bench.link.from('net', sandbox.pid).socket('/tmp/evil.sock')
      const mediation = must(await inject(bench, link))
      const client = clientAt(link.build().target)
      assert.equal((await client.next()).bytes.length, 0)
      assert.ok(!victim.visited)
      client.close()
      await bench.host.toolboxFor(link.build()).withdraw(mediation)()
      await sandbox.kill()
    }
    victim.close()
  })
})

elsewhere(
  'a target planted twice in a container of the same name is still one',
  ':',
  async (bench, sandbox) => {
    const link = bench.link.running(sandbox.pid).at(`${OWN}/api.sock`)
    const first = must(await inject(bench, link))
    await bench.host.toolboxFor(link.build()).withdraw(first)()
    const second = must(await inject(bench, link))
    assert.deepEqual(second.planted.directoriesMade, [OWN])
  },
)

elsewhere(
  'directories are made, and removed, on an overlay that cannot rename them',
  // Nothing on a ramfs has extended attributes, which is where an overlay would note that a directory has moved.
  `mkdir -p /tmp/lower/opt /tmp/upper ${OWN}; mount -t ramfs upper /tmp/upper; mkdir /tmp/upper/delta /tmp/upper/work
  mount -t overlay -o lowerdir=/tmp/lower,upperdir=/tmp/upper/delta,workdir=/tmp/upper/work own ${OWN}`,
  async (bench, sandbox) => {
    const link = bench.link.running(sandbox.pid).at(`${OWN}/opt/made/by us/api.sock`)
    const mediation = must(await inject(bench, link))
    assert.deepEqual(mediation.planted.directoriesMade, [`${OWN}/opt/made`, `${OWN}/opt/made/by us`])
    assert.equal(bench.host.observe([mediation.id], true).size, 0)
    await bench.host.toolboxFor(link.build()).withdraw(mediation)()
    assert.deepEqual(readdirSync(`/proc/${sandbox.pid}/root${OWN}/opt`), [])
  },
)

/** Ready while it has the root it was born with, which it sees as /old from the one it moves into when told to. */
const MOVES = `mkdir -p /tmp/root/usr /tmp/root/tmp /tmp/root/old; cp -P /bin /sbin /lib* /tmp/root
  mount --rbind /usr /tmp/root/usr; mount --bind /tmp /tmp/root/old; echo ready
  until [ -e /tmp/go ]; do sleep 0.02; done; exec chroot /tmp/root cat`

const move = async ({ host }: ToolboxBench, { pid }: Sandbox): Promise<void> => {
  writeFileSync(`/proc/${pid}/root/tmp/go`, '')
  await until('it has moved', () => readlinkSync(`/proc/${pid}/root`) === '/tmp/root')
  host.follow(new Set([pid]))
  host.observe([], false)
}

elsewhere(
  'a consumer that was named before it had its root gets its socket there, and keeps no other',
  MOVES,
  async (bench, sandbox) => {
    const { host } = bench
    const link = bench.link.running(sandbox.pid).at('/tmp/pvx/api.sock')
    const server = serverAt(bench.link.build().socket)
    host.follow(new Set([sandbox.pid]))
    const early = must(await inject(bench, link))
    assert.equal(host.observe([early.id], true).size, 0)

    await move(bench, sandbox)
    assert.equal(host.observe([early.id], false).get(early.id), 'target-lost')
    const now = must(await host.toolboxFor(link.build()).injectSocket(requestOf(link, 'detected'), early)())
    assert.equal(host.observe([now.id], true).size, 0)
    const client = clientAt('/tmp/pvx/api.sock', 'stream', sandbox.pid)
    client.send('from inside')
    assert.equal(String(await (await server.accept()).take(11)), 'from inside')
    assert.ok(!existsSync(`/proc/${sandbox.pid}/root/old/pvx`))
    client.close()
    server.close()
  },
)

test('a consumer that ended after it had moved leaves its number to nobody', async t => {
  if (!needsRoot(t) || !canChoosePids(t)) return
  const sandbox = await startSandbox(MOVES)
  await withLinuxToolbox({}, async bench => {
    const { host } = bench
    const link = bench.link.running(sandbox.pid).at('/tmp/pvx/api.sock')
    host.follow(new Set([sandbox.pid]))
    const early = must(await inject(bench, link))
    writeFileSync(`/proc/${sandbox.pid}/root/tmp/go`, '')
    await until('it has moved', () => readlinkSync(`/proc/${sandbox.pid}/root`) === '/tmp/root')
    assert.equal(host.observe([early.id], true).get(early.id), 'target-lost')
    // As a process that ends: its root is seen to be gone before its end is told.
    await host.toolboxFor(link.build()).withdraw(early)()
    await sandbox.kill()
    const stranger = await startUnder(sandbox.pid)
    const error = failureOf(await inject(bench, link))
    assert.deepEqual(error, { _tag: 'PeerGone', peer: 'consumer', pid: sandbox.pid })
    assert.ok(!existsSync('/tmp/pvx'))
    await stranger.kill()
  })
})

elsewhere(
  'a provider that was named before it had its root is reached there',
  MOVES,
  async (bench, sandbox) => {
    const link = bench.link.from('net', sandbox.pid).socket('/tmp/provider.sock')
    bench.host.follow(new Set([sandbox.pid]))
    must(await inject(bench, link))
    const client = clientAt(link.build().target)
    client.send('patience')
    await move(bench, sandbox)
    const server = serverAt('/tmp/provider.sock', 'stream', sandbox.pid)
    assert.equal(String(await (await server.accept()).take(8)), 'patience')
    client.close()
    server.close()
  },
)

elsewhere(
  'what was planted in a dead container is withdrawn without complaint',
  ':',
  async (bench, sandbox) => {
    const link = bench.link.running(sandbox.pid).at(`${OWN}/api.sock`)
    const mediation = must(await inject(bench, link))
    await sandbox.kill()
    await until('its end is told', () => bench.attention.length > 0)
    assert.equal(bench.host.observe([mediation.id], false).get(mediation.id), 'consumer-exited')
    const report = await bench.host.toolboxFor(link.build()).withdraw(mediation)()
    assert.deepEqual(report.leftBehind, [])
  },
)

elsewhere(
  'clients of a provider that died wait for it, and are served by its successor',
  ':',
  async (bench, sandbox) => {
    const successor = await startSandbox()
    const link = bench.link.from('net', sandbox.pid).socket('/tmp/provider.sock')
    const mediation = must(await inject(bench, link))
    await sandbox.kill()
    const client = clientAt(link.build().target)
    client.send('patience')
    await quiet()
    const server = serverAt('/tmp/provider.sock', 'stream', successor.pid)
    const address = { pid: successor.pid, socket: '/tmp/provider.sock' }
    must(await bench.host.toolboxFor(link.build()).retargetSocket(mediation, address)())
    assert.equal(String(await (await server.accept()).take(8)), 'patience')
    client.close()
    server.close()
    await successor.kill()
  },
)

test('a pid whose process has ended is a peer that is gone', async t => {
  if (!needsRoot(t)) return
  await withLinuxToolbox({}, async bench => {
    const { pid: reaped } = spawnSync('true')
    assert.deepEqual(failureOf(await inject(bench, bench.link.running(reaped))), {
      _tag: 'PeerGone',
      peer: 'consumer',
      pid: reaped,
    })
  })
})

test('the end of a followed process is told, that of one no longer followed is not', async t => {
  if (!needsRoot(t)) return
  await withLinuxToolbox({}, async ({ host, attention }) => {
    const kept = await startProcess()
    const forgotten = await startProcess()
    host.follow(new Set([kept.pid, forgotten.pid]))
    host.follow(new Set([kept.pid]))
    await forgotten.kill()
    await kept.kill()
    await until('its end is told', () => attention.length > 0)
    await quiet()
    assert.deepEqual(attention, [{ _tag: 'ProcessExited', pid: kept.pid }])
  })
})

test('following a process that has ended already is not told, and does no harm', async t => {
  if (!needsRoot(t)) return
  await withLinuxToolbox({}, async ({ host, attention }) => {
    const child = await startProcess()
    await child.kill()
    host.follow(new Set([child.pid]))
    host.follow(new Set([child.pid]))
    await quiet()
    assert.deepEqual(attention, [])
  })
})
