/** Connections that a plugin opens for itself: run as any other, and gone with the link or the toolbox at the latest. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Session, SessionInput } from '../../src/relay/contract.ts'
import type { ConnectRequest } from '../../src/toolbox/contract.ts'
import { leavesNoDescriptors, must } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'
import { quiet, until } from '../support/relay.ts'
import { opensTheWayHome } from '../support/sandbox.ts'
import { clientAt, serverAt } from '../support/sockets.ts'
import { requestOf, type ToolboxBench, withLinuxToolbox } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

interface Watching {
  readonly request: ConnectRequest
  /** Kinds of inputs, and what the provider said. */
  readonly told: string[]
  closed: number
}

/** Says hello, and keeps what it hears. */
const watching = ({ link }: ToolboxBench): Watching => {
  const { provider_pid: pid, socket } = link.build()
  const on: Session['on'] = (input: SessionInput, out) => {
    watch.told.push(input.kind === 'bytes' ? Buffer.from(input.view).toString() : input.kind)
    if (input.kind === 'opened') out.dial('daemon')
    if (input.kind === 'dialled' && input.failed !== undefined) out.close('now')
    if (input.kind === 'dialled') out.send('provider', [Buffer.from('hello')], 0)
    if (input.kind === 'bytes') out.drop(input.from, input.view.length, input.fds.count)
    if (input.kind === 'ended') out.close('now')
  }
  const watch: Watching = {
    told: [],
    closed: 0,
    request: {
      provider: { pid, socket },
      descriptors: 'none',
      session: () => ({ on }),
      onClosed: () => {
        watch.closed += 1
      },
    },
  }
  return watch
}

const owning = (name: string, body: (bench: ToolboxBench) => Promise<void>): void => {
  test(name, async t => {
    if (needsRoot(t)) await withLinuxToolbox({}, body)
  })
}

owning('a connection of our own speaks with the provider, and ends when it is closed', async bench => {
  const link = bench.link.build()
  const server = serverAt(link.socket)
  const watch = watching(bench)
  const own = bench.host.toolboxFor(link).connect(watch.request)
  const wire = await server.accept()
  assert.equal(String((await wire.next()).bytes), 'hello')
  wire.send('good day')
  await until('it is heard', () => watch.told.includes('good day'))
  assert.deepEqual(watch.told, ['opened', 'dialled', 'good day'])
  own.close()
  own.close()
  assert.equal((await wire.toEnd()).length, 0)
  await until('it is over', () => watch.closed === 1)
  await quiet()
  assert.equal(watch.closed, 1)
  server.close()
})

owning('a provider that goes away ends it, and whoever asked for it is told', async bench => {
  const link = bench.link.build()
  const server = serverAt(link.socket)
  const watch = watching(bench)
  bench.host.toolboxFor(link).connect(watch.request)
  const wire = await server.accept()
  wire.close()
  await until('it is over', () => watch.closed === 1)
  assert.equal(watch.told.at(-1), 'ended')
  server.close()
})

owning('a provider that does not come ends it after the grace', async bench => {
  const watch = watching(bench)
  bench.host.toolboxFor(bench.link.build()).connect(watch.request)
  await until('it is over', () => watch.closed === 1)
  assert.deepEqual(watch.told, ['opened', 'dialled'])
})

owning('one that is still open when the toolbox closes goes with it', async bench => {
  const link = bench.link.build()
  const server = serverAt(link.socket)
  const watch = watching(bench)
  bench.host.toolboxFor(link).connect(watch.request)
  const wire = await server.accept()
  bench.host.close()
  await until('it is over', () => watch.closed === 1)
  await wire.toEnd()
  server.close()
})

owning(
  'a session may open one while it speaks itself: neither says what the other one means',
  async bench => {
    const link = bench.link.build()
    const server = serverAt(link.socket)
    const watch = watching(bench)
    const box = bench.host.toolboxFor(link)
    const session = (): Session => ({
      on: (input, out) => {
        if (input.kind !== 'bytes') return
        out.drop('consumer', input.view.length, 0)
        out.send('consumer', [Buffer.from('an answer')], 0)
        box.connect(watch.request)
      },
    })
    must(await box.injectSocket({ ...requestOf(bench.link), session })())
    const client = clientAt(link.target)
    client.send('a question')
    const wire = await server.accept()
    assert.equal(String((await wire.next()).bytes), 'hello')
    assert.equal(String((await client.next()).bytes), 'an answer')
    client.close()
    server.close()
  },
)
