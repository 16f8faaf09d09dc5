/**
 * The tools the other end-to-end tests stand on, without any daemon: two containers that share a folder, connected
 * directly. What passes here and not through a link is the link's fault.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type Container, type ContainerOptions, startContainer } from '../support/container.ts'
import { eventually } from '../support/eventually.ts'
import { type Kind, type Peer, PeerRefused, startPeer } from '../support/peer.ts'
import { canRunHere } from '../support/requirements.ts'

const SHARED = '/shared/direct.sock'

interface Pair {
  readonly consumer: Peer
  readonly provider: Peer
}

const withScratch = async (t: TestContext, body: (scratch: string) => Promise<void>): Promise<void> => {
  if (!canRunHere(t)) return
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-harness-'))
  try {
    await body(scratch)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

const withContainer = (
  t: TestContext,
  options: ContainerOptions,
  body: (container: Container, scratch: string) => Promise<void>,
): Promise<void> =>
  withScratch(t, async scratch => {
    const container = await startContainer('box', scratch, options)
    try {
      await body(container, scratch)
    } finally {
      await container.kill()
    }
  })

/** Two containers with a socket in a folder that both see: what a link should feel like. */
const withPair = (t: TestContext, kind: Kind, body: (pair: Pair) => Promise<void>): Promise<void> =>
  withScratch(t, async scratch => {
    const shared = join(scratch, 'shared')
    mkdirSync(shared)
    const shares = { '/shared': shared }
    const app = await startContainer('app', scratch, { shares })
    const svc = await startContainer('svc', scratch, { shares })
    const consumer = await startPeer(app)
    const provider = await startPeer(svc)
    try {
      await provider.listen('door', SHARED, { kind })
      await consumer.connect('line', SHARED, { kind, sendBuffer: 4 * 1024 * 1024 })
      await provider.accept('door', 'line')
      await body({ consumer, provider })
    } finally {
      await Promise.all([consumer.kill(), provider.kill()])
      await Promise.all([app.kill(), svc.kill()])
    }
  })

test('a container has a root, processes and a name space of its own', t =>
  withContainer(t, {}, async (container, scratch) => {
    await container.exec('sh', '-c', 'echo inside >/run/mark')
    assert.equal(readFileSync(container.path('/run/mark'), 'utf8'), 'inside\n')
    assert.equal(existsSync('/run/mark'), false)
    assert.equal(await container.exec('cat', '/proc/1/comm'), 'cat\n')
    await assert.rejects(container.exec('ls', scratch), /No such file/)
  }))

test('nothing of a container runs on after it was killed', t =>
  withContainer(t, {}, async container => {
    const peer = await startPeer(container)
    await container.kill()
    await eventually('its peer is gone', async () => {
      await assert.rejects(peer.openDescriptors(), /ended|is gone/)
      return true
    })
    assert.equal(existsSync(`/proc/${container.pid}`), false)
  }))

test("a chroot-style container's namespace still has the host's root, its processes do not", t =>
  withContainer(t, { style: 'chroot' }, async (container, scratch) => {
    await assert.rejects(container.exec('ls', scratch), /No such file/)
    await container.exec('touch', '/run/mark')
    assert.equal(existsSync(join(scratch, 'box.root/run/mark')), false)
    assert.equal(existsSync(container.path('/run/mark')), true)
  }))

test('a sealed container can write to /run and /tmp only', t =>
  withContainer(t, { sealed: true }, async container => {
    await assert.rejects(container.exec('touch', '/opt/mark'), /Read-only/)
    await container.exec('touch', '/run/mark', '/tmp/mark')
  }))

test('what a container leaves on its disk is there for the next one', t =>
  withScratch(t, async scratch => {
    const disk = join(scratch, 'disk')
    const first = await startContainer('box', scratch, { disk })
    await first.exec('touch', '/opt/mark')
    await first.kill()
    const second = await startContainer('box', scratch, { disk })
    try {
      assert.equal(existsSync(second.path('/opt/mark')), true)
    } finally {
      await second.kill()
    }
  }))

test('a peer that is refused tells the errno', t =>
  withContainer(t, {}, async container => {
    const peer = await startPeer(container)
    await assert.rejects(
      peer.connect('line', '/run/nobody.sock'),
      error => error instanceof PeerRefused && error.errno === 'ENOENT',
    )
  }))

test('two peers exchange messages with descriptors, byte by byte', t =>
  withPair(t, 'stream', async ({ consumer, provider }) => {
    const sent = await consumer.makeMemfds('m', 253)
    await consumer.send('line', 'plain')
    await consumer.send('line', 'rights', { descriptors: sent.map((_, index) => `m${index}`) })
    await consumer.send('line', 'plain')
    const got = await provider.readByteByByte('line', 16)
    assert.equal(got.text, 'plainrightsplain')
    assert.deepEqual(got.positions, [{ at: 5, descriptors: sent, cut: false }])
  }))

test('two peers keep numbered messages and their descriptors together', t =>
  withPair(t, 'stream', async ({ consumer, provider }) => {
    const sending = consumer.sendNumbered('line', 2000, 3)
    const got = await provider.receiveNumbered('line', 2000, 3)
    await sending
    assert.deepEqual(got, { complaints: [], descriptors: 667 })
  }))

test('two peers agree on the checksum of what went through', t =>
  withPair(t, 'stream', async ({ consumer, provider }) => {
    const [sent, got] = await Promise.all([
      consumer.pour('line', 20_000_000),
      provider.take('line', 20_000_000),
    ])
    assert.equal(got.bytes, sent.bytes)
    assert.equal(got.sha256, sent.sha256)
  }))

test('a SEQPACKET peer tells an empty message from the end', t =>
  withPair(t, 'seqpacket', async ({ consumer, provider }) => {
    await consumer.send('line', '')
    await consumer.send('line', 'x', { size: 900_000 })
    await consumer.shutdown('line', 'write')
    const empty = await provider.receiveMessage('line')
    assert.deepEqual([empty.bytes, empty.end], [0, false])
    const large = await provider.receiveMessage('line', { size: 1_000_000 })
    assert.deepEqual([large.bytes, large.end, large.cut], [900_000, false, false])
    assert.equal((await provider.receiveMessage('line')).end, true)
  }))

test('a peer can fill a connection that nobody reads', t =>
  withPair(t, 'stream', async ({ consumer }) => {
    const taken = await consumer.fill('line', 200)
    assert.ok(taken > 0 && taken <= 8 * 1024 * 1024, `${taken} bytes`)
  }))
