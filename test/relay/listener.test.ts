/** Accepting within limits: who finds no place waits in the backlog, and one connection's bug costs only that one. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { OwnedFd } from '../../src/kernel/fd.ts'
import { openDirectory, pathOf } from '../../src/kernel/files.ts'
import { bindHere, connectToPath, openSocket, startListening } from '../../src/kernel/socket.ts'
import type { Connection } from '../../src/relay/connection.ts'
import { Listener } from '../../src/relay/listener.ts'
import { manualClock } from '../support/clock.ts'
import { leavesNoDescriptors, must } from '../support/descriptors.ts'
import { quiet, type RelayOptions, type TestRelay, until, Wire, withRelay } from '../support/relay.ts'

leavesNoDescriptors()

interface Listening {
  readonly relay: TestRelay
  readonly listener: Listener
  readonly connections: Set<Connection>
  /** A client in the backlog, or already accepted. */
  client(): Wire
}

const withListener = (options: RelayOptions, body: (listening: Listening) => Promise<void>): Promise<void> =>
  withRelay(options, async relay => {
    const folder = mkdtempSync(join(tmpdir(), 'pvx-listener-'))
    const clients: Wire[] = []
    const connections = new Set<Connection>()
    const socket = must(openSocket('stream', 'test'))
    const directory = must(openDirectory(folder))
    const back = process.cwd()
    process.chdir(folder)
    must(bindHere(socket.borrowed, 'socket', 'test'))
    process.chdir(back)
    must(startListening(socket.borrowed, 4096, 'test'))
    const listener = new Listener(socket, relay.traffic, connections)
    try {
      await body({
        relay,
        listener,
        connections,
        client: () => {
          const fd = must(openSocket('stream', 'test'))
          const wire = new Wire(fd)
          clients.push(wire)
          must(connectToPath(fd.borrowed, `${pathOf(directory.borrowed)}/socket`))
          return wire
        },
      })
    } finally {
      listener.close()
      for (const connection of [...connections]) connection.close()
      for (const wire of clients) wire.close()
      directory.close()
      rmSync(folder, { recursive: true })
    }
  })

test('each client gets a connection of its own to the provider', () =>
  withListener({}, async ({ relay, client }) => {
    const clients = Array.from({ length: 150 }, client)
    await until('all are accepted', () => relay.dialer.wires.length === 150)
    for (const [i, wire] of clients.entries()) wire.send(`${i}`)
    const heard = new Set<string>()
    for (const wire of relay.dialer.wires) heard.add(String((await wire.next()).bytes))
    assert.equal(heard.size, 150)
    assert.equal(relay.traffic.counters.connectionsTotal, 150)
    assert.equal(relay.traffic.counters.connectionsOpen, 150)
    assert.equal(relay.traffic.plane.connections.open, 150)
  }))

test('more clients than a link may have wait, keep what they sent, and are served when one ends', () =>
  withListener({ maxConnections: 3 }, async ({ relay, connections, client }) => {
    const clients = Array.from({ length: 5 }, client)
    for (const [i, wire] of clients.entries()) wire.send(`client ${i}`)
    await until('as many as may are accepted', () => connections.size === 3)
    await quiet()
    assert.equal(connections.size, 3)
    for (const leaving of [0, 1]) {
      clients[leaving]?.close()
      await until('the next one is served', () => relay.dialer.wires.length === 4 + leaving)
      const served = relay.dialer.wires[3 + leaving]
      assert.equal(String((await served?.next())?.bytes), `client ${3 + leaving}`)
      assert.ok(connections.size <= 3)
    }
    assert.equal(relay.traffic.counters.connectionsRefused, 0)
  }))

test("who comes beyond a protocol's own bound is accepted and closed, and those who were first stay", () =>
  withListener({ closesBeyond: 2 }, async ({ relay, connections, client }) => {
    const clients = Array.from({ length: 5 }, client)
    for (const late of clients.slice(2)) assert.equal((await late.toEnd()).length, 0)
    assert.equal(connections.size, 2)
    const { counters } = relay.traffic
    assert.equal(counters.connectionsOpen, 2)
    assert.equal(counters.connectionsTotal, 5)
    const turnedAway = counters.counted.figures().map(({ name, value }) => [name, value])
    assert.deepEqual(turnedAway, [['connections_turned_away', 3]])
    clients[0]?.close()
    await until('there is room', () => connections.size === 1)
    client()
    await until('the next one stays', () => connections.size === 2)
  }))

test('the limit over all links holds too, and a connection that ends anywhere makes room', () =>
  withListener({ totalConnections: 2 }, async ({ relay, connections, client }) => {
    // Another link's connection.
    relay.traffic.plane.connections.open = 1
    client()
    client()
    await until('one is accepted', () => connections.size === 1)
    await quiet()
    assert.equal(connections.size, 1)
    relay.traffic.plane.connections.open -= 1
    for (const resume of relay.traffic.plane.connections.waiting) resume()
    await until('the other one is accepted', () => connections.size === 2)
  }))

test('a backlog that cannot be served does not keep the loop busy', () =>
  withListener({ maxConnections: 1 }, async ({ connections, client }) => {
    client()
    client()
    await until('one is accepted', () => connections.size === 1)
    const before = process.cpuUsage()
    const started = performance.now()
    while (performance.now() - started < 100) await new Promise(resolve => setTimeout(resolve, 20))
    const { user, system } = process.cpuUsage(before)
    assert.ok(user + system < 60_000, `${user + system} us of processor time in 100 ms of nothing`)
  }))

/** How often accepting paused, by the reason. */
const pausesOf = ({ traffic }: TestRelay): readonly unknown[] =>
  traffic.counters.counted.figures().map(({ name, labels, value }) => [name, labels, value])

test('a link at its limit counts how often it stopped to accept', () =>
  withListener({ maxConnections: 1 }, async ({ relay, connections, client }) => {
    const first = client()
    await until('one is accepted', () => connections.size === 1)
    assert.deepEqual(pausesOf(relay), [], 'nobody waits yet')
    client()
    client()
    const pauses = (times: number): unknown => [['accept_pauses', { reason: 'connections' }, times]]
    await until('the second one waits', () => isDeepStrictEqual(pausesOf(relay), pauses(1)))
    first.close()
    await until('the third one waits', () => isDeepStrictEqual(pausesOf(relay), pauses(2)))
  }))

test('a link at its limit says so once for those who come to wait, and whose limit it is', () =>
  withListener({ maxConnections: 1 }, async ({ relay, connections, client }) => {
    client()
    await until('one is accepted', () => connections.size === 1)
    await quiet()
    assert.deepEqual(relay.log.lines, [], 'nobody waits yet')
    client()
    client()
    await quiet()
    assert.deepEqual(relay.log.lines, [
      {
        level: 'warn',
        facts: { most: 1, of: 'this link' },
        message: 'connections wait: as many are open as may be',
      },
    ])
  }))

/** A listener whose accept(2) fails: nobody has made its socket listen. */
const withFailingListener = (
  options: RelayOptions,
  body: (relay: TestRelay, failures: () => number) => Promise<void>,
): Promise<void> =>
  withRelay(options, async relay => {
    // Each failure puts the listener among those that wait for room.
    const { waiting } = relay.traffic.plane.connections
    let failures = 0
    const add = waiting.add.bind(waiting)
    waiting.add = resume => {
      failures += 1
      return add(resume)
    }
    const listener = new Listener(must(openSocket('stream', 'test')), relay.traffic, new Set())
    try {
      await until('accepting has failed', () => failures === 1)
      await body(relay, () => failures)
    } finally {
      listener.close()
    }
  })

test('where accepting fails it pauses, longer each time up to a limit, and says so once', async () => {
  const clock = manualClock()
  const limits = { acceptPauseMs: 100, acceptPauseMaxMs: 500 }
  await withFailingListener({ clock, limits }, async (relay, failures) => {
    for (const [tried, pauseMs] of [100, 200, 400, 500, 500].entries()) {
      clock.advance(pauseMs - 1)
      await quiet(5)
      assert.equal(failures(), tried + 1)
      // The wheel turns in steps of a few milliseconds.
      clock.advance(10)
      await until('it has been tried again', () => failures() === tried + 2)
    }
    assert.deepEqual(relay.log.lines, [
      { level: 'warn', facts: { reason: 'EINVAL' }, message: 'accepting paused' },
    ])
    assert.deepEqual(pausesOf(relay), [['accept_pauses', { reason: 'error' }, failures()]])
  })
  assert.equal(clock.armed, 0)
})

test('a pause ends as soon as any connection does', async () => {
  const clock = manualClock()
  await withFailingListener({ clock }, async (relay, failures) => {
    for (const resume of relay.traffic.plane.connections.waiting) resume()
    await until('it has been tried again', () => failures() === 2)
  })
})

test('a session that cannot be made costs only its own connection', () => {
  let made = 0
  const session = () => {
    made += 1
    if (made === 2) throw new Error('a bug')
    return { on: () => undefined }
  }
  return withListener({ session }, async ({ relay, connections, client }) => {
    client()
    await until('the first is there', () => connections.size === 1)
    const unlucky = client()
    assert.equal((await unlucky.next()).bytes.length, 0)
    client()
    await until('the third is there', () => connections.size === 2)
    assert.equal(relay.traffic.counters.connectionsOpen, 2)
    assert.deepEqual(
      relay.log.lines.map(line => [line.level, line.message]),
      [['error', 'connection could not be started']],
    )
  })
})

test('a session that throws when it is opened costs only its own connection', () => {
  let made = 0
  const session = () => {
    made += 1
    const bad = made === 1
    return {
      on: () => {
        if (bad) throw new Error('a bug')
      },
    }
  }
  return withListener({ session }, async ({ relay, connections, client }) => {
    assert.equal((await client().next()).bytes.length, 0)
    client()
    await until('the second is there', () => connections.size === 1)
    assert.equal(relay.traffic.counters.connectionsOpen, 1)
    assert.equal(relay.traffic.plane.connections.open, 1)
  })
})

test('a listener that closes leaves its connections alone and takes no more', () =>
  withListener({}, async ({ relay, listener, connections, client }) => {
    const first = client()
    await until('it is accepted', () => connections.size === 1)
    listener.close()
    listener.close()
    assert.throws(client)
    first.send('still here')
    assert.equal(String(await relay.dialer.wires[0]?.take(10)), 'still here')
  }))

test('a listener that closes while it waits for room is not told when there is some', () =>
  withListener({ maxConnections: 1 }, async ({ relay, listener, connections, client }) => {
    const first = client()
    client()
    await until('one is accepted', () => connections.size === 1)
    await quiet()
    listener.close()
    assert.equal(relay.traffic.plane.connections.waiting.size, 0)
    first.close()
    await until('nobody is left', () => connections.size === 0)
  }))

test('a socket that takes over keeps the connections of the one before', () =>
  withListener({ maxConnections: 2 }, async ({ relay, listener, connections, client }) => {
    client()
    await until('it is accepted', () => connections.size === 1)
    const socket = must(openSocket('stream', 'test'))
    const successor = new Listener(socket, relay.traffic, connections)
    listener.close()
    assert.equal(connections.size, 1)
    successor.close()
    assert.ok(socket instanceof OwnedFd && socket.closed)
  }))
