/** The dbus plugin's decisions: what it asks of the toolbox for a link, and which links it cannot serve. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import plugin from '../../../plugins/dbus/index.ts'
import { E } from '../../../src/fp.ts'
import { isRetryable } from '../../../src/model/errors.ts'
import type { Link } from '../../../src/model/link.ts'
import type { SessionFactory } from '../../../src/relay/contract.ts'
import type { RoleUser, SocketRequest, Toolbox } from '../../../src/toolbox/contract.ts'
import { aLink } from '../../support/builders.ts'
import { AUTH, GUID, line, shown } from '../../support/dbus-stage.ts'
import { BUS, call, decodeAll, hello, helloReply, reply } from '../../support/dbus-wire.ts'
import { failureOf, must } from '../../support/descriptors.ts'
import { fakeLog, fakeWorld, placeOf } from '../../support/fakes.ts'
import { RecordingCommands } from '../../support/recording-commands.ts'

const dbus = (fields: Partial<Link> = {}): Link => ({
  ...aLink().ofType('dbus').build(),
  interface: 'dbus',
  ...fields,
})

interface Bench {
  readonly world: ReturnType<typeof fakeWorld>
  readonly box: Toolbox
  readonly log: ReturnType<typeof fakeLog>
  readonly requests: readonly SocketRequest[]
}

const benchOf = (link: Link, user?: RoleUser): Bench => {
  const world = fakeWorld()
  const requests: SocketRequest[] = []
  const log = fakeLog()
  const box = world.host.toolboxFor(link)
  return {
    world,
    log,
    requests,
    box: {
      ...box,
      log,
      injectSocket: (request, kept) => {
        requests.push(request)
        return box.injectSocket(request, kept)
      },
      userOfRole: provider => (user === undefined ? box.userOfRole(provider) : E.right(user)),
    },
  }
}

const added = async (link: Link, bench = benchOf(link)): Promise<SocketRequest> => {
  must(await plugin.onLinkAdded(link, bench.box)())
  const [request] = bench.requests
  if (request === undefined) throw new Error('nothing was asked for')
  return request
}

const sessionOf = ({ session }: SocketRequest): SessionFactory => {
  if (session === undefined) throw new Error('a request without sessions')
  return session
}

test('a link is a stream socket with descriptors beside its bytes, and a bus is waited for', async () => {
  const link = dbus()
  const { session, ...request } = await added(link)
  assert.equal(typeof session, 'function')
  assert.deepEqual(request, {
    kind: 'stream',
    target: link.target,
    provider: { pid: link.provider_pid, socket: link.socket },
    descriptors: 'queued',
    dialing: { graceMs: 10_000, retryMaxMs: 1000, backlogMs: 10_000, credentialsByte: true },
    mostConnections: 256,
  })
})

test('an interface that is no name refuses the link, and waiting does not help', async () => {
  for (const value of ['orgexample', 'org.', 'org..example', 'org.1', 'org.example.*.x', 'Dbus', ' org.a']) {
    const link = dbus({ interface: value })
    const { world, box } = benchOf(link)
    const error = failureOf(await plugin.onLinkAdded(link, box)())
    assert.ok(error._tag === 'AddressInvalid' && error.field === 'interface', JSON.stringify(error))
    assert.equal(isRetryable(error), false)
    assert.equal(world.planted.size, 0)
  }
})

/** A connection of the link, up to the answer to its Hello. */
const connected = (request: SocketRequest): RecordingCommands => {
  const commands = new RecordingCommands(sessionOf(request), 0, { descriptors: 'queued' })
  commands.arrive('consumer', line('␀AUTH EXTERNAL 30⏎'))
  commands.arrive('provider', line(`OK ${GUID}⏎`))
  commands.arrive('consumer', Buffer.concat([line('BEGIN⏎'), hello()]))
  commands.arrive('provider', helloReply())
  return commands
}

const begun = line(`${AUTH}BEGIN⏎`).length

describe('what a connection may say', () => {
  for (const value of ['', 'dbus', '/run/dbus/system_bus_socket']) {
    test(`all, with the interface ${JSON.stringify(value)}`, async () => {
      const commands = connected(await added(dbus({ interface: value })))
      commands.arrive('consumer', call({ serial: 2, destination: 'org.example.Other' }))
      const members = decodeAll(commands.bytesTo('provider').subarray(begun)).map(({ named }) => named.member)
      assert.deepEqual(members, ['Hello', 'Ask'])
    })
  }

  test('what concerns one service, with its name', async () => {
    const commands = connected(await added(dbus({ interface: 'org.example' })))
    const sent = decodeAll(commands.bytesTo('provider').subarray(begun))
    for (const { serial, named } of sent) {
      if (named.member === 'Hello') continue
      assert.equal(named.destination, BUS)
      commands.arrive('provider', reply({ to: serial, error: 'org.example.Error' }))
    }
    assert.ok(sent.length > 1)
  })
})

const root: RoleUser = { uid: 0, gid: 0, groups: [0], source: 'passwd' }

test('a role that is root on the bus is warned of, once a link', async () => {
  const link = dbus()
  const bench = benchOf(link, root)
  const request = await added(link, bench)
  for (let i = 0; i < 3; i += 1) {
    const commands = new RecordingCommands(sessionOf(request), 0, { as: { uid: 0, gid: 0 } })
    commands.arrive('consumer', line('␀AUTH EXTERNAL 30⏎'))
    assert.match(shown(commands.bytesTo('provider')), /^AUTH EXTERNAL 30⏎$/)
  }
  assert.equal(bench.log.lines.filter(({ level }) => level === 'warn').length, 1)
})

test('links to one socket of one provider share their line of handshakes, and others do not', async () => {
  const world = fakeWorld()
  const dials = async (links: readonly Link[]): Promise<number> => {
    let dialled = 0
    for (const link of links) {
      const request: SocketRequest[] = []
      const box = world.host.toolboxFor(link)
      must(
        await plugin.onLinkAdded(link, {
          ...box,
          injectSocket: (asked, kept) => {
            request.push(asked)
            return box.injectSocket(asked, kept)
          },
        })(),
      )
      for (let i = 0; i < 10; i += 1) {
        const [asked] = request
        if (asked === undefined) throw new Error('nothing was asked for')
        const commands = new RecordingCommands(sessionOf(asked), 0, { dials: 'when told' })
        commands.arrive('consumer', line('␀AUTH EXTERNAL 30⏎'))
        if (commands.dialling) dialled += 1
      }
    }
    return dialled
  }
  assert.equal(await dials([dbus({ target: '/a' }), dbus({ target: '/b' })]), 16)
  assert.equal(await dials([dbus({ target: '/c', socket: '/run/other' })]), 10)
})

test('a provider that moved is followed with the planted socket in its place', async () => {
  const link = dbus()
  const { world, box } = benchOf(link)
  const mediation = must(await plugin.onLinkAdded(link, box)())
  const moved = {
    ...link,
    provider_pid: aLink().from('net', 300).build().provider_pid,
    socket: '/run/new.sock',
  }
  const changed = must((await plugin.onLinkChanged?.(moved, mediation, box)()) ?? E.left('cannot change'))
  assert.equal(changed.id, mediation.id)
  assert.equal(world.planted.get(placeOf(link))?.provider.socket, '/run/new.sock')
  assert.equal(world.injections, 1)
  assert.deepEqual(must(await plugin.onLinkAdded(moved, box, changed)()).id, mediation.id)
})

test('a link that is removed is withdrawn', async () => {
  const link = dbus()
  const { world, box } = benchOf(link)
  const mediation = must(await plugin.onLinkAdded(link, box)())
  await plugin.onLinkRemoved(link, mediation, box)()
  assert.equal(world.planted.size, 0)
})
