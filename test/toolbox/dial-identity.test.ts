/** Dialling a provider as a role or as the consumer's process: what the provider is told, and what happens where it cannot be. */
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { peerCredentials } from '../../src/kernel/socket.ts'
import type { DialError, DialIdentity, DialledAs, Session } from '../../src/relay/contract.ts'
import type { Dialing } from '../../src/toolbox/contract.ts'
import type { LinkBuilder } from '../support/builders.ts'
import { type Container, type ContainerOptions, startContainer } from '../support/container.ts'
import { leavesNoDescriptors, must } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'
import { until, type Wire } from '../support/relay.ts'
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
  readonly failed?: DialError
  readonly as?: DialledAs
}

interface Provider {
  readonly container: Container
  readonly writes: (passwd: string, group?: string) => void
}

interface Dial {
  readonly server: ReturnType<typeof serverAt>
  readonly wire: Wire
  readonly told: Dialled
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
  const { provider_pid: pid, socket } = link.build()
  const request = { provider: { pid, socket }, descriptors: 'none' as const, session: () => ({ on }) }
  host.toolboxFor(link.build()).connect(dialing === undefined ? request : { ...request, dialing })
  await until('it was dialled', () => told !== undefined)
  return told ?? {}
}

const linkTo = (bench: ToolboxBench, { container }: Provider, role: string): LinkBuilder =>
  bench.link.from('svc', container.pid).socket(SOCKET).withRole(role)

const dialAs = async (
  bench: ToolboxBench,
  provider: Provider,
  role: string,
  identity: DialIdentity = 'role',
): Promise<Dial> => {
  const server = serverAt(SOCKET, 'stream', provider.container.pid)
  chmodSync(provider.container.path(SOCKET), 0o666)
  const told = await toldOf(bench, linkTo(bench, provider, role), identity)
  return { wire: await server.accept(), told, server }
}

for (const [where, options, offset] of [
  ['', {}, 0],
  [' in a user namespace of its own', { user: SHIFTED }, 100_000],
] as const) {
  dialing(`a provider${where} sees the role's user and group`, options, async (bench, provider) => {
    provider.writes(CAMERA, GROUPS)
    const { wire, told, server } = await dialAs(bench, provider, 'camera')
    assert.deepEqual(told.as, { uid: 1001, gid: 44 })
    const { uid, gid, pid } = must(peerCredentials(wire.fd))
    assert.deepEqual([uid, gid, pid], [1001 + offset, 44 + offset, process.pid])
    server.close()
  })
}
