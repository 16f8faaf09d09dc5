/** Abstract names (unix(7)): planted in, and reached through, a network namespace that may not be ours. */
import assert from 'node:assert/strict'
import { readFileSync, readlinkSync } from 'node:fs'
import { test } from 'node:test'
import { describeError } from '../../src/model/errors.ts'
import type { Limits } from '../../src/model/limits.ts'
import type { Mediation } from '../../src/model/mediation.ts'
import type { SocketRequest } from '../../src/toolbox/contract.ts'
import { type LinkBuilder, pid } from '../support/builders.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'
import { quiet, until, type Wire } from '../support/relay.ts'
import { opensTheWayHome, type Sandbox, startSandbox } from '../support/sandbox.ts'
import { clientAt, type Server, serverAt } from '../support/sockets.ts'
import { requestOf, type ToolboxBench, withLinuxToolbox } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

/** This process's own, so that no name is taken on the host by accident. */
const NAME = `@pvx-test-${process.pid}`
const PROVIDER = `${NAME}-provider`

/** A test with a consumer in a network of its own; the bench's link leads from the host to it, both ends abstract. */
const apart = (
  name: string,
  body: (bench: ToolboxBench, sandbox: Sandbox) => Promise<void>,
  limits: Partial<Limits> = {},
): void => {
  test(name, async t => {
    if (!needsRoot(t)) return
    const sandbox = await startSandbox(':', { network: 'own' })
    try {
      await withLinuxToolbox(limits, bench => {
        const link = bench.link.running(sandbox.pid).at(NAME).socket(PROVIDER)
        return body({ ...bench, link }, sandbox)
      })
    } finally {
      await sandbox.kill()
    }
  })
}

const inject = (
  { host }: ToolboxBench,
  link: LinkBuilder,
  kind: SocketRequest['kind'] = 'detected',
  kept?: Mediation,
) => host.toolboxFor(link.build()).injectSocket(requestOf(link, kind), kept)()

const withdraw = ({ host }: ToolboxBench, link: LinkBuilder, mediation: Mediation) =>
  host.toolboxFor(link.build()).withdraw(mediation)()

/** Connect, say something, and see it arrive. */
const reaches = async (client: Wire, server: Server, words = 'hello'): Promise<void> => {
  client.send(words)
  assert.equal(await server.hears(), words)
}

/** Whether anybody has the name, in the network namespace of that process. */
const isNamed = (name: string, at: number): boolean =>
  readFileSync(`/proc/${at === 0 ? 'self' : at}/net/unix`, 'utf8')
    .split('\n')
    .some(line => line.endsWith(` ${name}`))

for (const kind of ['stream', 'seqpacket'] as const) {
  apart(
    `a ${kind} provider's abstract name is found to be one, and its clients reach it`,
    async (bench, { pid: at }) => {
      const server = serverAt(PROVIDER, kind)
      const { planted } = must(await inject(bench, bench.link))
      assert.deepEqual(planted, { target: NAME, kind, device: '', inode: '', directoriesMade: [] })
      const client = clientAt(NAME, kind, at)
      await reaches(client, server)
      client.close()
      server.close()
    },
  )
}

apart('a dgram provider with an abstract name is found to be one', async bench => {
  const server = serverAt(PROVIDER, 'dgram')
  assert.equal(must(await inject(bench, bench.link)).planted.kind, 'dgram')
  server.close()
})

apart('of sockets of all types under one name, one that can be carried is taken', async bench => {
  const servers = (['dgram', 'seqpacket', 'stream'] as const).map(kind => serverAt(PROVIDER, kind))
  assert.equal(must(await inject(bench, bench.link)).planted.kind, 'stream')
  for (const server of servers) server.close()
})

apart('a type that was asked for is not looked for', async bench => {
  const server = serverAt(PROVIDER, 'stream')
  assert.equal(must(await inject(bench, bench.link, 'seqpacket')).planted.kind, 'seqpacket')
  await quiet()
  assert.ok(!server.visited)
  server.close()
})

apart('a planted name is in the network of its container and in no other', async (bench, { pid: at }) => {
  must(await inject(bench, bench.link))
  assert.ok(isNamed(NAME, at))
  assert.ok(!isNamed(NAME, 0))
  assert.throws(() => clientAt(NAME), /ECONNREFUSED/)
})

apart('after planting and dialling the daemon is in its own network', async (bench, { pid: at }) => {
  const before = readlinkSync('/proc/thread-self/ns/net')
  const away = await startSandbox(':', { network: 'own' })
  const server = serverAt(PROVIDER, 'stream', away.pid)
  const link = bench.link.from('net', away.pid)
  must(await inject(bench, link))
  const client = clientAt(NAME, 'stream', at)
  await reaches(client, server)
  assert.equal(readlinkSync('/proc/thread-self/ns/net'), before)
  client.close()
  server.close()
  await away.kill()
})

apart(
  'a provider is reached in its own network only',
  async (bench, { pid: at }) => {
    const trap = serverAt(PROVIDER)
    const away = await startSandbox(':', { network: 'own' })
    const link = bench.link.from('net', away.pid)
    must(await inject(bench, link))
    const client = clientAt(NAME, 'stream', at)
    assert.equal((await client.next()).bytes.length, 0)
    assert.ok(!trap.visited)
    client.close()
    trap.close()
    await away.kill()
  },
  { connectGraceMs: 100 },
)

apart('a name is nothing but its bytes, all 107 of them, and no longer one', async (bench, { pid: at }) => {
  const name = `@${'é\n /'.repeat(21)}xx`
  assert.equal(Buffer.byteLength(name), 108)
  const server = serverAt(PROVIDER)
  must(await inject(bench, bench.link.at(name)))
  const client = clientAt(name, 'stream', at)
  await reaches(client, server)
  for (const other of [name.slice(0, -1), `${name.slice(0, -1)}y`]) {
    assert.throws(() => clientAt(other, 'stream', at), /ECONNREFUSED/)
  }
  client.close()
  server.close()
})

apart('a name that the container uses is refused, and goes on', async (bench, { pid: at }) => {
  const theirs = serverAt(NAME, 'stream', at)
  const error = failureOf(await inject(bench, bench.link))
  assert.deepEqual(error, { _tag: 'TargetOccupied', target: NAME, by: 'live socket' })
  assert.equal(describeError(error), `${NAME} is in use by the container`)
  const client = clientAt(NAME, 'stream', at)
  await reaches(client, theirs)
  client.close()
  theirs.close()
  must(await inject(bench, bench.link))
})

apart(
  'a name that another link of ours has is refused for now, and free once that is withdrawn',
  async bench => {
    const first = must(await inject(bench, bench.link))
    const second = bench.link.named('second')
    const error = failureOf(await inject(bench, second))
    assert.ok(error._tag === 'TargetRefused' && error.cause.errno === 'EADDRINUSE', JSON.stringify(error))
    assert.equal(bench.host.observe([first.id], true).size, 0, 'the first is untouched')
    await withdraw(bench, bench.link, first)
    must(await inject(bench, second))
  },
)

apart('two containers in one network share its names, two networks do not', async (bench, sandbox) => {
  must(await inject(bench, bench.link))
  const neighbour = await startSandbox(':', { joining: sandbox })
  assert.equal(
    failureOf(await inject(bench, bench.link.named('next').running(neighbour.pid)))._tag,
    'TargetRefused',
  )
  const apart = await startSandbox(':', { network: 'own' })
  must(await inject(bench, bench.link.named('apart').running(apart.pid)))
  await apart.kill()
  await neighbour.kill()
})

apart('a name that is withdrawn is gone, with no complaint', async (bench, { pid: at }) => {
  const mediation = must(await inject(bench, bench.link))
  assert.deepEqual(await withdraw(bench, bench.link, mediation), { connectionsClosed: 0, leftBehind: [] })
  assert.ok(!isNamed(NAME, at))
})

apart('closing the host removes every name', async (bench, { pid: at }) => {
  must(await inject(bench, bench.link))
  bench.host.close()
  assert.ok(!isNamed(NAME, at))
})

apart('a name stays, whichever way one looks', async (bench, { pid: at }) => {
  const server = serverAt(PROVIDER)
  const mediation = must(await inject(bench, bench.link))
  for (const deep of [false, true]) assert.equal(bench.host.observe([mediation.id], deep).size, 0)
  assert.ok(isNamed(NAME, at))
  server.close()
})

apart(
  'a consumer that ended is noticed, and what it had is withdrawn without complaint',
  async (bench, sandbox) => {
    const mediation = must(await inject(bench, bench.link))
    await sandbox.kill()
    await until('its end is told', () => bench.attention.length > 0)
    assert.equal(bench.host.observe([mediation.id], false).get(mediation.id), 'consumer-exited')
    assert.deepEqual((await withdraw(bench, bench.link, mediation)).leftBehind, [])
  },
)

apart(
  'a provider that is not there yet is taken for a stream, and followed when it is not one',
  async (bench, { pid: at }) => {
    const { host, link, attention } = bench
    const mediation = must(await inject(bench, link))
    assert.equal(mediation.planted.kind, 'stream')
    assert.equal(host.observe([mediation.id], false).size, 0)
    const server = serverAt(PROVIDER, 'seqpacket')
    assert.equal(host.observe([mediation.id], false).get(mediation.id), 'target-lost')
    const again = must(await inject(bench, link, 'detected', mediation))
    assert.deepEqual([again.id, again.planted.kind], [mediation.id, 'seqpacket'])
    assert.equal(host.observe([again.id], true).size, 0)
    const client = clientAt(NAME, 'seqpacket', at)
    assert.throws(() => clientAt(NAME, 'stream', at), /ECONNREFUSED/)
    assert.deepEqual(attention, [])
    client.close()
    server.close()
  },
)

for (const [was, is] of [
  ['stream', 'seqpacket'],
  ['seqpacket', 'stream'],
] as const) {
  apart(
    `a client that meets a provider that turned from ${was} to ${is} draws attention`,
    async (bench, { pid: at }) => {
      const { host, link, attention } = bench
      const first = serverAt(PROVIDER, was)
      const mediation = must(await inject(bench, link))
      first.close()
      const second = serverAt(PROVIDER, is)
      const client = clientAt(NAME, was, at)
      assert.equal((await client.next()).bytes.length, 0)
      assert.deepEqual(attention, [{ _tag: 'TargetChanged', id: mediation.id }])
      assert.equal(host.observe([mediation.id], false).get(mediation.id), 'target-lost')
      must(await inject(bench, link, 'detected', mediation))
      const next = clientAt(NAME, is, at)
      await reaches(next, second)
      for (const each of [client, next, second]) each.close()
    },
  )
}

apart(
  'a name that is planted again without need keeps its listener and its connections',
  async (bench, { pid: at }) => {
    const { host, link } = bench
    const server = serverAt(PROVIDER)
    const mediation = must(await inject(bench, link))
    const client = clientAt(NAME, 'stream', at)
    await reaches(client, server)
    const again = must(await inject(bench, link, 'detected', mediation))
    assert.equal(again.id, mediation.id)
    assert.equal(again.counters().connectionsOpen, 1)
    assert.equal(host.observe([again.id], true).size, 0)
    const next = clientAt(NAME, 'stream', at)
    await reaches(next, server, 'another')
    for (const each of [client, next, server]) each.close()
  },
)

apart('a provider that moved from a path to an abstract name is followed', async (bench, { pid: at }) => {
  const { host, link } = bench
  const mediation = must(await inject(bench, link.socket('/nowhere/provider.sock')))
  const server = serverAt(PROVIDER)
  const box = host.toolboxFor(link.build())
  must(await box.retargetSocket(mediation, { pid: pid(0), socket: PROVIDER })())
  const client = clientAt(NAME, 'stream', at)
  await reaches(client, server)
  client.close()
  server.close()
})

apart('clients of a provider that is away wait for it and lose nothing', async (bench, { pid: at }) => {
  must(await inject(bench, bench.link))
  const client = clientAt(NAME, 'stream', at)
  client.send('early')
  await quiet()
  const server = serverAt(PROVIDER)
  assert.equal(await server.hears(), 'early')
  client.close()
  server.close()
})

const warnings = ({ log }: ToolboxBench) => log.lines.filter(({ level }) => level === 'warn')

apart('a name in a network of the container is nothing to warn of', async bench => {
  must(await inject(bench, bench.link))
  assert.deepEqual(warnings(bench), [])
})

apart('a name that the whole host can reach is said once, whose container ever it is', async bench => {
  const sharing = await startSandbox()
  for (const [index, at] of [0, sharing.pid].entries()) {
    const link = bench.link.named(`link${index}`).running(at)
    for (const _round of [1, 2]) await withdraw(bench, link, must(await inject(bench, link)))
    assert.equal(warnings(bench).length, index + 1)
    assert.deepEqual(warnings(bench)[index]?.facts, { target: NAME })
  }
  await sharing.kill()
})
