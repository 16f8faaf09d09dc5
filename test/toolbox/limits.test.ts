/** The limits of a toolbox at their edges: what is over them waits or ends, and another link goes on as before. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { Io } from '../../src/kernel/errno.ts'
import type { Limits } from '../../src/model/limits.ts'
import type { Mediation } from '../../src/model/mediation.ts'
import type { SocketKind } from '../../src/toolbox/contract.ts'
import { consume, leavesNoDescriptors, must, openDescriptors, parcels } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'
import { pattern, quiet, until, type Wire } from '../support/relay.ts'
import { opensTheWayHome } from '../support/sandbox.ts'
import { clientAt, type Server, serverAt } from '../support/sockets.ts'
import { requestOf, type ToolboxBench, withLinuxToolbox } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

/** A link of its own, with its provider. */
interface Line {
  readonly server: Server
  readonly mediation: Mediation
  client(): Wire
}

const lineOf = async (
  { host, folder, link }: ToolboxBench,
  name: string,
  kind: SocketKind = 'stream',
): Promise<Line> => {
  const wanted = link
    .named(name)
    .socket(join(folder, `${name}.provider`))
    .at(join(folder, name))
  const { socket, target } = wanted.build()
  const server = serverAt(socket, kind)
  const mediation = must(await host.toolboxFor(wanted.build()).injectSocket(requestOf(wanted, kind))())
  return { server, mediation, client: () => clientAt(target, kind) }
}

/** A client's message, with two descriptors, to its provider and one back. */
const works = async (client: Wire, provider: Wire): Promise<void> => {
  const sent = parcels(2)
  client.send('ask', sent.fds)
  const got = await provider.next()
  assert.deepEqual([String(got.bytes), consume(got.fds)], ['ask', sent.identities])
  provider.send('answer')
  assert.equal(String((await client.next()).bytes), 'answer')
  sent.close()
}

/** A test with a second link, in use all the while: it works before, during and after. */
const atTheLimit = (
  name: string,
  limits: Partial<Limits>,
  body: (bench: ToolboxBench, line: Line, others: () => Promise<void>) => Promise<void>,
  kind?: SocketKind,
): void => {
  test(name, async t => {
    if (!needsRoot(t)) return
    await withLinuxToolbox(limits, async bench => {
      const [line, other] = [await lineOf(bench, 'one', kind), await lineOf(bench, 'other', kind)]
      const client = other.client()
      const provider = await other.server.accept()
      const others = (): Promise<void> => works(client, provider)
      await others()
      await body(bench, line, others)
      await others()
      client.close()
      line.server.close()
      other.server.close()
    })
  })
}

const messages = ({ log }: ToolboxBench): readonly string[] => log.lines.map(({ message }) => message)

atTheLimit(
  'clients over the limit of a link wait their turn, and those over the backlog are told to come again',
  { connectionsPerLink: 2, listenBacklog: 3 },
  async (bench, line, others) => {
    const open = [line.client(), line.client()]
    for (const _ of open) await line.server.accept()
    // The kernel keeps one more than it was asked to (unix(7) says nothing of it, af_unix.c does).
    const waiting = [line.client(), line.client(), line.client(), line.client()]
    assert.throws(() => line.client(), /EAGAIN/)
    await quiet()
    assert.deepEqual(messages(bench), ['connections wait: as many are open as may be'])
    assert.equal(line.mediation.counters().connectionsOpen, 2)
    await others()
    for (const [index, client] of waiting.entries()) {
      client.send(`${index}`)
      open[index % 2]?.close()
      open[index % 2] = client
      const provider = await line.server.accept()
      assert.equal(String((await provider.next()).bytes), `${index}`)
    }
    for (const client of open) client.close()
  },
)

atTheLimit(
  'a connection over the limit of all links waits for any of them to have one less',
  { connectionsTotal: 3 },
  async (bench, line) => {
    const open = [line.client(), line.client()]
    for (const client of open) await works(client, await line.server.accept())
    const waiting = line.client()
    await quiet()
    assert.ok(!line.server.visited)
    assert.deepEqual(
      bench.log.lines.map(({ facts, message }) => [facts, message]),
      [[{ most: 3, of: 'all links' }, 'connections wait: as many are open as may be']],
    )
    open[0]?.close()
    await works(waiting, await line.server.accept())
    for (const client of [...open.slice(1), waiting]) client.close()
  },
)

atTheLimit(
  'a packet over the limit ends its connection with a word in the log, and no other one',
  { packetBytes: 5000 },
  async (bench, line, others) => {
    const [long, good] = [line.client(), line.client()]
    const [first, second] = [await line.server.accept(), await line.server.accept()]
    long.send(pattern(5000))
    assert.equal((await first.nextPacket())?.bytes.length, 5000)
    assert.deepEqual(messages(bench), [])
    long.send(pattern(5001))
    assert.equal(await first.nextPacket(), undefined)
    assert.deepEqual(messages(bench), ['a packet is longer than may be carried: connection closed'])
    await others()
    await works(good, second)
    long.close()
    good.close()
  },
  'seqpacket',
)

/** Send descriptors, five a message, until nothing more is taken: how many messages, and descriptors held back by then. */
const stuff = async (client: Wire): Promise<{ readonly messages: number; readonly held: number }> => {
  const sent = parcels(5)
  const before = openDescriptors()
  let messages = 0
  for (let idle = 0; idle < 20; ) {
    const n = client.send('x', sent.fds)
    if (n > 0) {
      messages += 1
      idle = 0
    } else {
      assert.ok(n === Io.again || n === Io.busy, `send: ${n}`)
      idle += 1
      await quiet(2)
    }
  }
  const held = openDescriptors() - before
  sent.close()
  return { messages, held }
}

const descriptorsIn = async (provider: Wire, messages: number): Promise<number> => {
  let got = 0
  for (let n = 0; n < messages; n += 1) got += consume((await provider.next()).fds).length
  return got
}

atTheLimit(
  'of the descriptors of a link no more are held than its share, and none are lost',
  { heldDescriptorsPerLink: 20 },
  async (_bench, line, others) => {
    const [one, two] = [line.client(), line.client()]
    const [first, second] = [await line.server.accept(), await line.server.accept()]
    const [much, more] = [await stuff(one), await stuff(two)]
    assert.deepEqual([much.held, more.held], [20, 0])
    await others()
    assert.equal(await descriptorsIn(first, much.messages), 5 * much.messages)
    assert.equal(await descriptorsIn(second, more.messages), 5 * more.messages)
    one.close()
    two.close()
  },
)

atTheLimit(
  'of the descriptors of all links no more are held than may be, and a link that holds none goes on',
  { heldDescriptors: 30, heldDescriptorsPerLink: 1000 },
  async (_bench, line, others) => {
    const client = line.client()
    await line.server.accept()
    assert.equal((await stuff(client)).held, 30)
    await others()
    client.close()
  },
)

atTheLimit(
  'what is kept free of the descriptor table is not for messages',
  { descriptorReserve: 1_000_000 },
  async (_bench, line, others) => {
    const client = line.client()
    const provider = await line.server.accept()
    // A quarter of the table is all that can be kept, and a table of this size has far more than that.
    await works(client, provider)
    await others()
    client.close()
  },
)

atTheLimit(
  'a connection that is open still when the time for it is over is cut, not before',
  { drainMs: 300 },
  async ({ host, link, folder }, line) => {
    const client = line.client()
    const provider = await line.server.accept()
    host.beginDrain()
    const started = performance.now()
    const box = host.toolboxFor(link.named('one').at(join(folder, 'one')).build())
    const withdrawn = box.withdraw(line.mediation)()
    await works(client, provider)
    assert.deepEqual(await withdrawn, { connectionsClosed: 1, leftBehind: [] })
    const took = performance.now() - started
    assert.ok(took >= 290, `it took ${took} ms`)
    await until('the provider is told', () => !provider.silent)
    client.close()
  },
)
