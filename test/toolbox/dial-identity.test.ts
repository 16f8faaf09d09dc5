/** Dialling a provider as a role or as the consumer's process: what the provider is told, and what happens where it cannot be. */
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { E } from '../../src/fp.ts'
import { receivedWriter, receiveWithRights } from '../../src/kernel/message.ts'
import { peerCredentials } from '../../src/kernel/socket.ts'
import type { DialError, DialIdentity, DialledAs, Session } from '../../src/relay/contract.ts'
import type { Dialing, ProviderFiles } from '../../src/toolbox/contract.ts'
import { type LinkBuilder, pid } from '../support/builders.ts'
import { type Container, type ContainerOptions, startContainer } from '../support/container.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'
import { until } from '../support/relay.ts'
import { opensTheWayHome } from '../support/sandbox.ts'
import { serverAt } from '../support/sockets.ts'
import { type ToolboxBench, withLinuxToolbox } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

const SOCKET = '/run/svc.sock'
const SHIFTED = '0 100000 65536'
const CAMERA = 'camera:x:1001:44::/:\n'
const GROUPS = 'audio:x:29:camera\nfar:x:70000:camera\n'

interface Dialled {
  readonly kind?: 'dialled'
  readonly failed?: DialError
  readonly as?: DialledAs
}

interface Provider {
  readonly container: Container
  readonly writes: (passwd: string, group?: string) => void
}

const dialing = (
  name: string,
  options: ContainerOptions,
  body: (bench: ToolboxBench, provider: Provider) => Promise<void>,
): void => {
  test(name, async t => {
    if (!needsRoot(t)) return
    const scratch = mkdtempSync(join(tmpdir(), 'pvx-dial-'))
    const container = await startContainer('svc', scratch, options)
    const writes = (passwd: string, group = ''): void => {
      writeFileSync(container.path('/etc/passwd'), passwd)
      writeFileSync(container.path('/etc/group'), group)
    }
    try {
      await withLinuxToolbox({}, bench => body(bench, { container, writes }))
    } finally {
      await container.kill()
      rmSync(scratch, { recursive: true })
    }
  })
}

/** Dial, and tell what the session was told; the server is asked for whoever came. */
const toldOf = async (
  { host }: ToolboxBench,
  link: LinkBuilder,
  identity: DialIdentity,
  dialing?: Dialing,
): Promise<Dialled> => {
  let told: Dialled | undefined
  const on: Session['on'] = (input, out) => {
    if (input.kind === 'opened') out.dial(identity)
    if (input.kind === 'dialled') {
      told = input
      out.send('provider', [Buffer.from('hi')], 0)
    }
    if (input.kind === 'ended') out.close('now')
  }
  const { provider_pid, socket } = link.build()
  const request = {
    provider: { pid: provider_pid, socket },
    descriptors: 'none' as const,
    session: () => ({ on }),
  }
  host.toolboxFor(link.build()).connect(dialing === undefined ? request : { ...request, dialing })
  await until('it was dialled', () => told !== undefined)
  return told ?? {}
}

const linkTo = (bench: ToolboxBench, { container }: Provider, role: string): LinkBuilder =>
  bench.link.from('svc', container.pid).socket(SOCKET).withRole(role)

const pidOf = ({ container }: Provider) => pid(container.pid)

const openDoor = ({ container }: Provider): ReturnType<typeof serverAt> => {
  const server = serverAt(SOCKET, 'stream', container.pid)
  chmodSync(container.path(SOCKET), 0o666)
  return server
}

const PLACES = [
  ['', {}, 0],
  [' in a user namespace of its own', { user: SHIFTED }, 100_000],
] as const

for (const [where, options, offset] of PLACES) {
  dialing(`a provider${where} sees the role's user and group`, options, async (bench, provider) => {
    provider.writes(CAMERA, GROUPS)
    const server = openDoor(provider)
    const told = await toldOf(bench, linkTo(bench, provider, 'camera'), 'role')
    assert.deepEqual(told.as, { uid: 1001, gid: 44 })
    const wire = await server.accept()
    const seen = must(peerCredentials(wire.fd))
    assert.deepEqual([seen.uid, seen.gid, seen.pid], [1001 + offset, 44 + offset, process.pid])
    assert.equal(String((await wire.next()).bytes), 'hi')
    server.close()
  })

  for (const [identity, uid, gid] of [
    ['role', 1001 + offset, 44 + offset],
    ['daemon', 0, 0],
  ] as const)
    dialing(
      `a provider${where} first gets a NUL of the ${identity} where it wants one`,
      options,
      async (bench, provider) => {
        provider.writes(CAMERA, GROUPS)
        const server = openDoor(provider)
        server.askCredentials()
        const wants = { graceMs: 300, retryMaxMs: 100, backlogMs: 300, credentialsByte: true }
        await toldOf(bench, linkTo(bench, provider, 'camera'), identity, wants)
        const wire = await server.accept()
        assert.deepEqual([...(await wire.take(1))], [0])
        assert.equal(String(await wire.take(2)), 'hi')
        server.close()
        const again = openAgain(provider)
        await toldOf(bench, linkTo(bench, provider, 'camera'), identity, wants)
        const second = await again.accept()
        await until('the byte comes', () => receiveWithRights(second.fd, 0, 1) === 1)
        assert.deepEqual(receivedWriter(), { pid: process.pid, uid, gid })
        again.close()
      },
    )

  dialing(`the user of a role${where} is as the provider numbers it`, options, async (bench, provider) => {
    const box = (role: string) => bench.host.toolboxFor(linkTo(bench, provider, role).build())
    const userOf = (role: string) => must(box(role).userOfRole(pidOf(provider)))
    provider.writes(CAMERA, GROUPS)
    const camera = userOf('camera')
    assert.deepEqual(
      [camera.uid, camera.gid, camera.groups, camera.source],
      [1001, 44, [44, 29, 70_000], 'passwd'],
    )
    assert.deepEqual([userOf('7').uid, userOf('7').source], [7, 'numeric role'])
    assert.deepEqual([userOf('any').uid, userOf('any').source], [65_534, 'nobody'])
    provider.writes('camera:x:1002:45::/:\n')
    assert.deepEqual([userOf('camera').uid, userOf('camera').groups], [1002, [45]])
    await provider.container.exec('rm', '/etc/passwd')
    assert.equal(userOf('camera').uid, 65_534)
  })
}

const openAgain = (provider: Provider): ReturnType<typeof serverAt> => {
  unlinkSync(provider.container.path(SOCKET))
  const server = openDoor(provider)
  server.askCredentials()
  return server
}

dialing('whom the provider does not have is not dialled as', { user: SHIFTED }, async (bench, provider) => {
  provider.writes('far:x:70000:44::/:\nin-far:x:5:70000::/:\n')
  const server = openDoor(provider)
  for (const role of ['far', 'in-far', '65536'])
    assert.deepEqual(await toldOf(bench, linkTo(bench, provider, role), 'role'), {
      kind: 'dialled',
      failed: 'identity',
    })
  assert.ok(!server.visited)
  assert.equal(bench.log.lines.filter(({ message }) => message.includes('identity of the link')).length, 3)
  server.close()
})

dialing('the process that connected is dialled as what it is', {}, async (bench, provider) => {
  const server = openDoor(provider)
  // Of a connection of the daemon's own, that is the daemon.
  const told = await toldOf(bench, linkTo(bench, provider, 'camera'), 'peer')
  assert.deepEqual(told.as, { uid: 0, gid: 0 })
  server.close()
})

dialing('a role that is root is said once', {}, async (bench, provider) => {
  provider.writes('root:x:0:0::/:\n')
  const server = openDoor(provider)
  const told = await toldOf(bench, linkTo(bench, provider, 'root'), 'role')
  assert.deepEqual(told.as, { uid: 0, gid: 0 })
  assert.equal(bench.log.lines.filter(({ message }) => message.includes('is root in its provider')).length, 1)
  server.close()
})

dialing('a provider that is not there is waited for, whoever dials', {}, async (bench, provider) => {
  provider.writes(CAMERA)
  const told = toldOf(bench, linkTo(bench, provider, 'camera'), 'role', {
    graceMs: 10_000,
    retryMaxMs: 20,
    backlogMs: 300,
  })
  const server = openDoor(provider)
  assert.deepEqual((await told).as, { uid: 1001, gid: 44 })
  server.close()
})

/** Look into a provider as a plugin does. */
const lookInto = <A>(bench: ToolboxBench, { container }: Provider, look: (files: ProviderFiles) => A): A =>
  must(bench.host.toolboxFor(bench.link.build()).lookInto(pid(container.pid), look))

dialing("a provider's files are read in its own root, and nothing else is", {}, async (bench, provider) => {
  const { container } = provider
  const inside = (path: string): string => container.path(path)
  writeFileSync(inside('/tmp/file'), 'twelve bytes')
  symlinkSync('/tmp/file', inside('/tmp/link'))
  symlinkSync('/proc/1/root/tmp/file', inside('/tmp/magic'))
  symlinkSync('loop', inside('/tmp/loop'))
  lookInto(bench, provider, files => {
    const text = (path: string, most = 1000): string => {
      const read = files.read(path, most)
      return E.isLeft(read) ? read.left : Buffer.from(read.right).toString()
    }
    assert.equal(text('/tmp/file'), 'twelve bytes')
    assert.equal(text('/tmp/file', 12), 'twelve bytes')
    assert.equal(text('/tmp/file', 11), 'too long')
    assert.equal(text('/tmp/link'), 'twelve bytes')
    assert.equal(text('/../../tmp/file'), 'twelve bytes')
    assert.equal(text('/tmp/absent'), 'absent')
    assert.equal(text('/tmp/file/below'), 'absent')
    assert.equal(text('/tmp/magic'), 'unreadable')
    assert.equal(text('/tmp/loop'), 'unreadable')
    assert.equal(text('/tmp'), 'not a file')
    assert.equal(text(join(bench.folder, 'on-the-host')), 'absent')
  })
})

dialing('nothing in the place of a file of the provider holds anybody up', {}, async (bench, provider) => {
  await provider.container.exec('sh', '-c', 'mkfifo /tmp/fifo')
  const server = openDoor(provider)
  lookInto(bench, provider, files => {
    for (const path of ['/tmp/fifo', '/dev/zero', '/dev/null', SOCKET])
      assert.deepEqual(files.read(path, 10), E.left('not a file'), path)
    assert.deepEqual(files.list('/tmp/fifo', 10), E.left('not a file'))
  })
  server.close()
})

dialing("a provider's folders are listed by their bytes, up to a bound", {}, async (bench, provider) => {
  for (const name of ['b', 'a', 'B', 'é', '.hidden'])
    mkdirSync(provider.container.path(`/tmp/folder/${name}`), { recursive: true })
  lookInto(bench, provider, files => {
    assert.deepEqual(files.list('/tmp/folder', 5), E.right(['.hidden', 'B', 'a', 'b', 'é']))
    assert.deepEqual(files.list('/tmp/folder', 4), E.left('too many'))
    assert.deepEqual(files.list('/tmp/absent', 4), E.left('absent'))
  })
})

dialing('a stamp tells what may have changed, and stays where nothing did', {}, async (bench, provider) => {
  const path = provider.container.path('/tmp/file')
  const stamp = (): string => lookInto(bench, provider, files => files.stamp('/tmp/file'))
  assert.equal(stamp(), '')
  writeFileSync(path, 'one')
  const first = stamp()
  writeFileSync(path, 'two')
  const second = stamp()
  assert.notEqual(second, first)
  // Until then it may change again at the same time, by the clock of its file system.
  await until('it is settled', () => !stamp().includes(' at '))
  const settled = stamp()
  assert.equal(stamp(), settled)
  writeFileSync(path, 'six')
  assert.notEqual(stamp(), settled)
})

dialing('a provider that is not running cannot be looked into', {}, async (bench, provider) => {
  const box = bench.host.toolboxFor(bench.link.build())
  await provider.container.kill()
  for (const at of [null, pidOf(provider)]) {
    assert.equal(failureOf(box.lookInto(at, () => 0)).errno, 'ESRCH')
    assert.equal(failureOf(box.userOfRole(at)).errno, 'ESRCH')
  }
})
