/** Reaching providers: what type they are, where they really are, and what happens while they are away. */
import assert from 'node:assert/strict'
import { mkdirSync, renameSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { E } from '../../src/fp.ts'
import { syscallError } from '../../src/model/errors.ts'
import { DEFAULT_LIMITS, type Limits } from '../../src/model/limits.ts'
import type { Mediation } from '../../src/model/mediation.ts'
import { createCounters, type LinkCounters } from '../../src/relay/counters.ts'
import type { Dialing, SocketRequest } from '../../src/toolbox/contract.ts'
import { ProviderDialer } from '../../src/toolbox/provider.ts'
import type { ProviderSockets } from '../../src/toolbox/provider-socket.ts'
import type { LinkBuilder } from '../support/builders.ts'
import { pid } from '../support/builders.ts'
import { type ManualClock, manualClock } from '../support/clock.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { fakeLog } from '../support/fakes.ts'
import { needsRoot } from '../support/privileges.ts'
import { quiet, until } from '../support/relay.ts'
import { opensTheWayHome } from '../support/sandbox.ts'
import { clientAt, serverAt } from '../support/sockets.ts'
import { requestOf, type ToolboxBench, withLinuxToolbox } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

const reaching = (
  name: string,
  body: (bench: ToolboxBench) => Promise<void>,
  limits: Partial<Limits> = {},
): void => {
  test(name, async t => {
    if (needsRoot(t)) await withLinuxToolbox(limits, body)
  })
}

const inject = (
  { host }: ToolboxBench,
  link: LinkBuilder,
  kind: SocketRequest['kind'] = 'detected',
  kept?: Mediation,
) => host.toolboxFor(link.build()).injectSocket(requestOf(link, kind), kept)()

for (const type of ['stream', 'seqpacket'] as const) {
  reaching(`a ${type} provider is found to be one, and its clients reach it`, async bench => {
    const { socket, target } = bench.link.build()
    const server = serverAt(socket, type)
    const { planted } = must(await inject(bench, bench.link))
    assert.equal(planted.kind, type)
    const client = clientAt(target, type)
    client.send('hello')
    await until('it arrives', () => server.visited)
    client.close()
    server.close()
  })
}

reaching('a dgram provider is refused by name to a link that needs connections', async bench => {
  const { socket } = bench.link.build()
  const server = serverAt(socket, 'dgram')
  const introduction = { dialAs: 'peer', credentials: 'none' } as const
  const request: SocketRequest = { ...requestOf(bench.link, 'detected'), introduction }
  const injected = await bench.host.toolboxFor(bench.link.build()).injectSocket(request)()
  assert.deepEqual(failureOf(injected), {
    _tag: 'KindUnsupported',
    socket,
    kind: 'dgram',
  })
  server.close()
})

reaching('finding out the type of a stream provider shows it nothing', async bench => {
  const server = serverAt(bench.link.build().socket)
  must(await inject(bench, bench.link))
  await quiet()
  assert.ok(!server.visited)
  server.close()
})

reaching(
  'a provider that is not there yet is taken for a stream, and followed when it is not one',
  async bench => {
    const { host, link, attention } = bench
    const { socket, target } = link.build()
    const mediation = must(await inject(bench, link))
    assert.equal(mediation.planted.kind, 'stream')
    assert.equal(host.observe([mediation.id], false).size, 0)
    const server = serverAt(socket, 'seqpacket')
    assert.equal(host.observe([mediation.id], false).get(mediation.id), 'target-lost')
    const again = must(await inject(bench, link, 'detected', mediation))
    assert.equal(again.planted.kind, 'seqpacket')
    assert.equal(host.observe([again.id], true).size, 0)
    clientAt(target, 'seqpacket').close()
    assert.deepEqual(attention, [])
    server.close()
  },
)

reaching('a client that meets a provider of another type draws attention', async bench => {
  const { host, link, attention } = bench
  const { socket, target } = link.build()
  const first = serverAt(socket, 'stream')
  const mediation = must(await inject(bench, link))
  first.close()
  unlinkSync(socket)
  const second = serverAt(socket, 'seqpacket')
  const client = clientAt(target)
  assert.equal((await client.next()).bytes.length, 0)
  assert.deepEqual(attention, [{ _tag: 'TargetChanged', id: mediation.id }])
  assert.equal(host.observe([mediation.id], false).get(mediation.id), 'target-lost')
  must(await inject(bench, link, 'detected', mediation))
  clientAt(target, 'seqpacket').close()
  client.close()
  second.close()
})

reaching('a type that was asked for is not looked for', async bench => {
  const server = serverAt(bench.link.build().socket, 'stream')
  assert.equal(must(await inject(bench, bench.link, 'seqpacket')).planted.kind, 'seqpacket')
  server.close()
})

reaching('a client that comes before the provider waits for it and loses nothing', async bench => {
  const { socket, target } = bench.link.build()
  must(await inject(bench, bench.link))
  const client = clientAt(target)
  client.send('early')
  await quiet()
  const server = serverAt(socket)
  assert.equal(String(await (await server.accept()).take(5)), 'early')
  client.close()
  server.close()
})

for (const [what, make] of [
  ['is not there', () => undefined],
  ['has crashed and left its socket', (path: string) => serverAt(path).close()],
  ['is a regular file', (path: string) => writeFileSync(path, '')],
] as const) {
  reaching(
    `a provider that ${what} costs its clients the connection once the grace is over, and the log one line`,
    async bench => {
      const { socket, target } = bench.link.build()
      make(socket)
      must(await inject(bench, bench.link))
      const clients = [clientAt(target), clientAt(target), clientAt(target)]
      const started = performance.now()
      for (const client of clients) assert.equal((await client.next()).bytes.length, 0)
      assert.ok(performance.now() - started >= 90)
      assert.equal(bench.log.lines.filter(line => line.level === 'warn').length, 1)
      for (const client of clients) client.close()
    },
    { connectGraceMs: 100 },
  )
}

reaching(
  'a provider whose backlog is full is waited for',
  async bench => {
    const { socket, target } = bench.link.build()
    const server = serverAt(socket, 'stream', 0, 0)
    must(await inject(bench, bench.link))
    const clients = Array.from({ length: 4 }, (_, i) => {
      const client = clientAt(target)
      client.send(`${i}`)
      return client
    })
    await quiet()
    const heard: string[] = []
    for (let i = 0; i < 4; i += 1) heard.push(String(await (await server.accept()).take(1)))
    assert.deepEqual(heard.sort(), ['0', '1', '2', '3'])
    for (const client of clients) client.close()
    server.close()
  },
  { connectGraceMs: 5000 },
)

reaching('a symlink of the provider is followed', async bench => {
  const { folder, link } = bench
  mkdirSync(join(folder, 'real'))
  const server = serverAt(join(folder, 'real/provider.sock'))
  symlinkSync('real/provider.sock', link.build().socket)
  must(await inject(bench, link))
  const client = clientAt(link.build().target)
  await server.accept()
  client.close()
  server.close()
})

reaching(
  'a provider that moved gets the new connections, the old ones are cut, the socket stays',
  async bench => {
    const { folder, host, link } = bench
    const { socket, target } = link.build()
    const old = serverAt(socket)
    const fresh = serverAt(join(folder, 'fresh.sock'))
    const mediation = must(await inject(bench, link))
    const connected = clientAt(target)
    await old.accept()
    const { ino } = statSync(target)
    const box = host.toolboxFor(link.build())
    const changed = must(
      await box.retargetSocket(mediation, { pid: pid(0), socket: join(folder, 'fresh.sock') })(),
    )
    assert.equal(statSync(target).ino, ino)
    assert.equal(changed.id, mediation.id)
    assert.equal((await connected.next()).bytes.length, 0)
    const next = clientAt(target)
    await fresh.accept()
    assert.ok(!old.visited)
    for (const each of [connected, next, old, fresh]) each.close()
  },
)

reaching('clients that wait when the provider moves are not cut but tried there at once', async bench => {
  const { folder, host, link } = bench
  const mediation = must(await inject(bench, link))
  const client = clientAt(link.build().target)
  client.send('patience')
  await quiet()
  const fresh = serverAt(join(folder, 'fresh.sock'))
  const address = { pid: pid(0), socket: join(folder, 'fresh.sock') }
  must(await host.toolboxFor(link.build()).retargetSocket(mediation, address)())
  assert.equal(String(await (await fresh.accept()).take(8)), 'patience')
  client.close()
  fresh.close()
})

reaching('a provider that stopped is not cut off: its last words arrive', async bench => {
  const { host, link } = bench
  const { socket, target } = link.build()
  const server = serverAt(socket)
  const mediation = must(await inject(bench, link))
  const client = clientAt(target)
  const accepted = await server.accept()
  must(await host.toolboxFor(link.build()).retargetSocket(mediation, { pid: null, socket })())
  accepted.send('last words')
  server.close()
  assert.equal(String(await client.toEnd()), 'last words')
  client.close()
})

reaching('a provider that moved to a socket of another type gets the planted one replaced', async bench => {
  const { folder, host, link } = bench
  const { socket, target } = link.build()
  const stream = serverAt(socket, 'stream')
  const packets = serverAt(join(folder, 'packets.sock'), 'seqpacket')
  const mediation = must(await inject(bench, link))
  const address = { pid: pid(0), socket: join(folder, 'packets.sock') }
  const changed = must(await host.toolboxFor(link.build()).retargetSocket(mediation, address)())
  assert.deepEqual([changed.id, changed.planted.kind], [mediation.id, 'seqpacket'])
  clientAt(target, 'seqpacket').close()
  stream.close()
  packets.close()
})

reaching('withdrawing cuts the connections and says how many', async bench => {
  const { host, link } = bench
  const server = serverAt(link.build().socket)
  const mediation = must(await inject(bench, link))
  const client = clientAt(link.build().target)
  await server.accept()
  const report = await host.toolboxFor(link.build()).withdraw(mediation)()
  assert.deepEqual(report, { connectionsClosed: 1, leftBehind: [] })
  assert.equal((await client.next()).bytes.length, 0)
  client.close()
  server.close()
})

reaching('while the daemon ends, connections may finish what they are at', async bench => {
  const { host, link } = bench
  const server = serverAt(link.build().socket)
  const mediation = must(await inject(bench, link))
  const client = clientAt(link.build().target)
  const accepted = await server.accept()
  host.beginDrain()
  const withdrawn = host.toolboxFor(link.build()).withdraw(mediation)()
  accepted.send('last words')
  accepted.close()
  assert.equal(String(await client.toEnd()), 'last words')
  client.close()
  assert.deepEqual(await withdrawn, { connectionsClosed: 0, leftBehind: [] })
  server.close()
})

reaching(
  'a name that is renamed onto another provider is looked up anew for each connection',
  async bench => {
    const { folder, link } = bench
    const { socket, target } = link.build()
    const old = serverAt(socket)
    must(await inject(bench, link))
    const fresh = serverAt(join(folder, 'fresh.sock'))
    renameSync(join(folder, 'fresh.sock'), socket)
    const client = clientAt(target)
    await fresh.accept()
    assert.ok(!old.visited)
    for (const each of [client, old, fresh]) each.close()
  },
)

interface Dialling {
  readonly dialer: ProviderDialer
  readonly clock: ManualClock
  readonly log: ReturnType<typeof fakeLog>
  readonly counters: LinkCounters
  /** When the provider was tried. */
  readonly tried: readonly number[]
}

interface DialerOptions {
  readonly errno?: string
  readonly limits: Partial<Limits>
  readonly dialing: Dialing
}

/** A dialer whose provider never comes, or is always busy, on a clock of the test's own. */
const withDialer = (
  { errno = 'ENOENT', dialing, limits }: DialerOptions,
  body: (dialling: Dialling) => void,
): void => {
  const clock = manualClock()
  const log = fakeLog()
  const nothing = (): void => undefined
  const counters = createCounters(log)
  const tried: number[] = []
  const connect: ProviderSockets['connect'] = () => {
    tried.push(clock.now())
    return E.left(syscallError('connect', errno, 'provider'))
  }
  const dialer = new ProviderDialer(
    { pid: pid(0), socket: '/run/no/such/provider.sock' },
    {
      sockets: { connect, kindOf: () => 'unknown' },
      clock,
      log,
      limits: { ...DEFAULT_LIMITS, ...limits },
      dialing,
      counters,
      link: { role: 'any', uid: null },
      refusesRights: false,
      onKindMismatch: nothing,
    },
  )
  body({ dialer, clock, log, tried, counters })
  dialer.close()
  assert.equal(clock.armed, 0)
}

test('a provider that is away is tried again, less and less often, until the grace is over', () =>
  withDialer(
    { limits: { connectRetryMs: 10 }, dialing: { graceMs: 1000, retryMaxMs: 300, backlogMs: 5000 } },
    ({ dialer, clock, log, tried }) => {
      const answers: unknown[] = []
      dialer.dial('daemon', 'stream', answer => answers.push(answer))
      clock.advance(999)
      assert.deepEqual(answers, [])
      clock.advance(1)
      assert.deepEqual(answers, ['timeout'])
      assert.deepEqual(tried, [0, 10, 30, 70, 150, 310, 610, 910, 1000])
      assert.deepEqual(
        log.lines.map(({ level, message }) => [level, message]),
        [['warn', 'provider did not come within the connect grace: connection closed']],
      )
      clock.advance(60_000)
      assert.equal(tried.length, 9)
    },
  ))

test('a provider that stays away is one line of the log in a while, however many clients come', () =>
  withDialer(
    { dialing: { graceMs: 0, retryMaxMs: 500, backlogMs: 0 }, limits: { logEveryMs: 5000 } },
    ({ dialer, clock, log }) => {
      for (let n = 0; n < 1000; n += 1) {
        dialer.dial('daemon', 'stream', () => undefined)
        clock.advance(10)
      }
      assert.equal(log.lines.length, 3)
      const [first, ...later] = log.lines.map(({ facts }) =>
        'suppressed' in facts ? Number(facts.suppressed) : 1,
      )
      assert.equal(first, 1)
      assert.equal(
        later.reduce((sum, n) => sum + n, 1),
        1000,
      )
    },
  ))

test('a provider whose backlog is full is tried every 10 ms, for as long as a client may wait for that', () =>
  withDialer(
    {
      errno: 'EAGAIN',
      limits: { connectRetryMs: 100 },
      dialing: { graceMs: 10, retryMaxMs: 300, backlogMs: 45 },
    },
    ({ dialer, clock, tried, counters }) => {
      const answers: unknown[] = []
      dialer.dial('daemon', 'stream', answer => answers.push(answer))
      clock.advance(1000)
      assert.deepEqual(answers, ['timeout'])
      assert.deepEqual(tried, [0, 10, 20, 30, 40, 45])
      assert.deepEqual(
        counters.counted.figures().map(({ name, labels, value }) => [name, labels, value]),
        [['dial_retries', { errno: 'EAGAIN' }, 5]],
      )
    },
  ))
