/** Peers and containers that do what nobody does by accident: it costs the daemon little, and the others nothing. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Daemon, INTERVAL_MS } from '../support/daemon.ts'
import { eventually, staysTrue } from '../support/eventually.ts'
import type { Kind, Peer } from '../support/peer.ts'
import type { Entry } from '../support/pv-ctrl.ts'
import {
  connectedLine,
  connectedPair,
  echoes,
  entryFor,
  exists,
  inodeOf,
  keyOf,
  openLine,
  type Pair,
  scenario,
  stillEchoes,
  TARGET,
} from '../support/scenario.ts'

/** Long enough that within a test only an event can make the daemon look. */
const NEVER_MS = 60_000
/** `/proc/PID/stat` counts in hundredths of a second, whatever the kernel's own tick is (proc(5)). */
const CPU_TICK_MS = 10
/** Reads that containers cause are this far apart. */
const READS_APART_MS = 250

/** So often, in that folder. Lazily: what is planted in a mount keeps it busy. */
const MOUNT_AND_UNMOUNT = `
round=0
while [ "$round" -lt "$2" ]; do
  mkdir -p "$1"
  mount -t tmpfs churn "$1" && umount -l "$1" || true
  round=$((round + 1))
done`

/** Fields of `/proc/PID/stat` from the state on; the program's name before them may hold anything. */
const statusOf = ({ pid }: Daemon): readonly string[] =>
  readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')

const cpuMs = (daemon: Daemon): number => {
  const fields = statusOf(daemon)
  return (Number(fields[11]) + Number(fields[12])) * CPU_TICK_MS
}

/** The part of a processor that the daemon uses while it is watched. */
const loadOver = async (daemon: Daemon, forMs: number): Promise<number> => {
  const before = { cpu: cpuMs(daemon), time: Date.now() }
  await staysTrue('it runs', forMs, daemon.isRunning)
  return (cpuMs(daemon) - before.cpu) / (Date.now() - before.time)
}

const isCalm = async (daemon: Daemon): Promise<void> => {
  const load = await loadOver(daemon, 500)
  assert.ok(load < 0.5, `it uses ${Math.round(load * 100)} % of a processor`)
}

/** All that happens in `meanwhile` is there at once when the daemon goes on. */
const whileStopped = async (daemon: Daemon, meanwhile: () => Promise<void>): Promise<void> => {
  daemon.signal('SIGSTOP')
  await eventually('the daemon is stopped', () => statusOf(daemon)[0] === 'T')
  await meanwhile()
  daemon.signal('SIGCONT')
}

/** Who sends and who receives, in both directions of a link. */
const directions = [
  { from: 'consumer', to: 'provider' },
  { from: 'provider', to: 'consumer' },
] as const

for (const { from, to } of directions) {
  scenario(
    `an urgent byte of a ${from} does not keep the daemon busy, nor what follows from arriving`,
    async world => {
      const pair = await connectedLine(world)
      await pair[from].sendUrgent('line', '!')
      await isCalm(world.daemon)
      await pair[from].send('line', 'after')
      await pair[from].sendUrgent('line', '!')
      await pair[from].shutdown('line', 'write')
      const got = await pair[to].readToEnd('line')
      assert.match(got.text, /after/)
      assert.equal(got.ended, 'end')
      await isCalm(world.daemon)
      await pair[to].send('line', 'answer')
      assert.equal((await pair[from].readExactly('line', 6)).text, 'answer')
    },
  )

  scenario(`packets of a ${from} that closes with something unread all arrive`, async world => {
    const pair = await connectedLine(world, { kind: 'seqpacket' })
    await pair[to].send('line', 'never read')
    await eventually('it has come', async () => (await pair[from].queued('line')) > 0)
    await whileStopped(world.daemon, async () => {
      for (const text of ['one', 'two', 'three']) await pair[from].send('line', text)
      await pair[from].close('line')
    })
    const got: string[] = []
    for (let count = 0; count < 3; count += 1) got.push((await pair[to].receiveMessage('line')).text)
    assert.deepEqual(got, ['one', 'two', 'three'])
  })
}

/** Another link of the pair, of a type of its own and with an echo behind it. */
const echoLink = async ({ app, svc, provider }: Pair, name: string, kind: Kind): Promise<Entry> => {
  const socket = `/run/svc/${name}.sock`
  await provider.listen(name, socket, { kind })
  await provider.serve(name, 'echo')
  return entryFor({ name, consumer: app, provider: svc, socket, target: `/run/pvx/${name}.sock` })
}

/** A message and its descriptors there and back. */
const returns = async (peer: Peer, line: string, descriptors: readonly string[] = []): Promise<void> => {
  await peer.send(line, line, { descriptors })
  const got = await peer.receiveMessage(line)
  assert.deepEqual([got.text, got.descriptors.length], [line, descriptors.length])
}

for (const kind of ['stream', 'seqpacket'] as const) {
  scenario(
    `descriptors queued on a ${kind} link whose provider does not read stop no other link`,
    async world => {
      const pair = await connectedPair(world, { kind })
      const { consumer, entry } = pair
      const others = [await echoLink(pair, 'bytes', 'stream'), await echoLink(pair, 'packets', 'seqpacket')]
      world.ctrl.serve([entry, ...others])
      for (const other of others) await world.daemon.reaches(keyOf(other), 'mediating')
      await consumer.connect('bytes', '/run/pvx/bytes.sock')
      await consumer.connect('packets', '/run/pvx/packets.sock', { kind: 'seqpacket' })
      await consumer.makePipe('reader', 'writer')
      const stuck = Array.from({ length: 8 }, (_, index) => `line${index}`)
      for (const name of stuck) await openLine(pair, name, { kind })
      await Promise.all(
        stuck.map(name => consumer.fill(name, 200, { chunk: 1, descriptor: 'writer', copies: 100 })),
      )
      for (const line of ['bytes', 'packets', 'bytes', 'packets']) {
        await returns(consumer, line)
        await returns(consumer, line, ['reader', 'writer'])
      }
      await echoes(consumer, 'another', '/run/pvx/bytes.sock')
      await isCalm(world.daemon)
    },
    { mostDescriptors: 2000 },
  )
}

scenario(
  'clients for whom there are no descriptors wait instead of being cut, and are served in their turn',
  async world => {
    const { consumer, provider } = await connectedPair(world, { service: 'echo' })
    const batches = ['a', 'b', 'c']
    for (const batch of batches) await consumer.connectMany(batch, TARGET, 20)
    assert.deepEqual(await consumer.echoMany('a', 20, 5000), { good: 20, refused: 0, waiting: 0 })
    await staysTrue('no client is cut', 700, async () => {
      const cut = await Promise.all(batches.map(batch => consumer.closedMany(batch)))
      return cut.every(count => count === 0)
    })
    assert.ok((await provider.servedBy('door')).open < 60, 'there are too few descriptors for all')
    for (const [before, next] of [
      ['a', 'b'],
      ['b', 'c'],
    ] as const) {
      await consumer.closeMany(before)
      assert.deepEqual(await consumer.echoMany(next, 20, 5000), { good: 20, refused: 0, waiting: 0 })
    }
  },
  { mostDescriptors: 100 },
)

scenario(
  'clients that come back and back to a provider of the wrong type cause no reads and few log lines',
  async world => {
    const { consumer } = await connectedPair(world, { kind: 'seqpacket', interface: 'unix+stream' })
    const before = { asked: world.ctrl.asked(), lines: world.daemon.log().length, time: Date.now() }
    const connections = await consumer.reconnect(TARGET, 1500)
    const asked = world.ctrl.asked() - before.asked
    const lines = world.daemon.log().length - before.lines
    assert.ok(connections > 100, `only ${connections} connections were made`)
    const due = (Date.now() - before.time) / INTERVAL_MS
    assert.ok(asked <= due + 3, `${asked} reads where ${due} were due`)
    assert.ok(lines <= 5, `${lines} lines`)
  },
)

/** Whom Pantavisor names as provider next, none of them running. */
const successors = [
  { what: 'another provider', change: { provider: 'other' } },
  { what: 'another socket', change: { socket: '/run/svc/other.sock' } },
] as const

for (const { what, change } of successors) {
  scenario(
    `connections are cut at once when ${what} is assigned, even one that does not run`,
    async world => {
      const { app, consumer, provider, entry, link } = await connectedPair(world, { service: 'echo' })
      const planted = inodeOf(app.path(TARGET))
      await echoes(consumer, 'line')
      world.ctrl.serve([{ ...entry, provider_pid: -1, ...change }])
      assert.equal((await consumer.readToEnd('line')).bytes, 0)
      await eventually('the old provider lost it', async () => (await provider.servedBy('door')).open === 0)
      assert.ok(world.daemon.isIn(link, 'mediating'))
      assert.equal(inodeOf(app.path(TARGET)), planted)
    },
  )
}

scenario(
  'connections to a provider that Pantavisor says has stopped, and runs again, are left to the provider',
  async world => {
    const { consumer, entry } = await connectedPair(world, { service: 'echo' })
    await echoes(consumer, 'line')
    world.ctrl.serve([{ ...entry, provider_pid: -1 }])
    await world.ctrl.askedAgain(3)
    await stillEchoes(consumer, 'line')
    world.ctrl.serve([entry])
    await world.ctrl.askedAgain(3)
    await stillEchoes(consumer, 'line')
  },
)

scenario(
  'a file system mounted over a planted socket is noticed at once, and the socket planted in it',
  async world => {
    const { app, consumer, link } = await connectedPair(world, { service: 'echo' })
    await echoes(consumer, 'first')
    const asked = world.ctrl.asked()
    await app.exec('mount', '-t', 'tmpfs', 'over', dirname(TARGET))
    await eventually('the socket is there again', () => exists(app.path(TARGET)), 2000)
    assert.ok(world.ctrl.asked() > asked)
    await echoes(consumer, 'second')
    await stillEchoes(consumer, 'first')
    await world.daemon.reaches(link, 'mediating')
  },
  { intervalMs: NEVER_MS },
)

scenario(
  'a file system mounted over a directory that was made for a socket outlives the link',
  async world => {
    const { app, link } = await connectedPair(world, { service: 'echo' })
    const folder = dirname(TARGET)
    await app.exec('mount', '-t', 'tmpfs', 'over', folder)
    await eventually('the socket is there again', () => exists(app.path(TARGET)), 2000)
    await app.exec('touch', `${folder}/own`)
    world.ctrl.serve([])
    await world.daemon.reaches(link, 'released')
    assert.equal(exists(app.path(TARGET)), false)
    assert.ok(exists(app.path(`${folder}/own`)))
    await app.exec('umount', folder)
  },
)

const churned = [
  { where: 'somewhere', folder: '/tmp/churn' },
  { where: 'over a planted socket', folder: dirname(TARGET) },
]

for (const { where, folder } of churned) {
  scenario(
    `a container that mounts and unmounts ${where} without end is looked at four times a second`,
    async world => {
      const { app, consumer, link } = await connectedPair(world, { service: 'echo' })
      await echoes(consumer, 'line')
      const before = { asked: world.ctrl.asked(), time: Date.now() }
      await app.exec('sh', '-ec', MOUNT_AND_UNMOUNT, 'sh', folder, '400')
      const due = (Date.now() - before.time) / READS_APART_MS
      const asked = world.ctrl.asked() - before.asked
      assert.ok(asked > 0, 'it was not noticed at all')
      assert.ok(asked <= due + 2, `${asked} reads where ${due} were due`)
      await eventually('the socket is there', () => exists(app.path(TARGET)))
      await world.daemon.reaches(link, 'mediating')
      await stillEchoes(consumer, 'line')
      await eventually('new connections are served', async () => {
        await echoes(await world.peer(app), 'another')
        return true
      })
    },
    { intervalMs: NEVER_MS },
  )
}

/** Longer than any peer of these tests has patience. */
const LINGER_S = 60

scenario(
  'descriptors whose last close waits hold up nobody, wherever the daemon has to close them',
  async world => {
    const { app, svc, consumer, provider, entry } = await connectedPair(world, { service: 'echo' })
    const to = (name: string) =>
      entryFor({
        name,
        consumer: app,
        provider: svc,
        socket: `/run/svc/${name}.sock`,
        target: `/run/pvx/${name}.sock`,
      })
    const [absent, deaf] = [to('absent'), to('deaf')]
    await provider.listen('deaf', '/run/svc/deaf.sock')
    world.ctrl.serve([entry, absent, deaf])
    world.daemon.signal('SIGHUP')
    for (const each of [absent, deaf]) await world.daemon.reaches(keyOf(each), 'mediating')
    const names = ['unread', 'dropped']
    for (const name of names) await consumer.makeLingering(name, LINGER_S)
    const sendAndForget = async (line: string, name: string): Promise<void> => {
      await consumer.send(line, 'take this', { descriptors: [name] })
      await consumer.closeFiles([name])
    }

    // It waits in the kernel's queue of the daemon's socket, because nobody is dialled.
    await consumer.connect('to nobody', '/run/pvx/absent.sock')
    await sendAndForget('to nobody', 'unread')
    await consumer.close('to nobody')

    // The daemon has it and cannot pass it on.
    await consumer.connect('to the deaf', '/run/pvx/deaf.sock')
    await provider.accept('deaf', 'ear')
    await provider.shutdown('ear', 'read')
    await sendAndForget('to the deaf', 'dropped')
    await consumer.close('to the deaf')

    await echoes(consumer, 'meanwhile')
    await eventually('the daemon goes on reading the graph', () => world.ctrl.askedAgain(2).then(() => true))
    for (const name of names) await consumer.close(`${name}.end`)
  },
)
