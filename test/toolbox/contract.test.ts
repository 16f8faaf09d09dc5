/**
 * What every toolbox promises, asked of the fake one that other tests stand on and of the real one in a real mount
 * namespace: if they differed, those tests would prove nothing.
 */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { E } from '../../src/fp.ts'
import { resolveIn, unlink } from '../../src/kernel/files.ts'
import { closeProcess, openProcess } from '../../src/kernel/process.ts'
import { NOTHING_COUNTED } from '../../src/model/mediation.ts'
import type { Attention, ToolboxHost } from '../../src/toolbox/contract.ts'
import { aLink, type LinkBuilder, pid } from '../support/builders.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { fakeWorld } from '../support/fakes.ts'
import { needsRoot } from '../support/privileges.ts'
import { until } from '../support/relay.ts'
import { opensTheWayHome, startSandbox } from '../support/sandbox.ts'
import { requestOf, withLinuxToolbox } from '../support/toolboxes.ts'

/** A consumer that runs, and somebody inside it. */
interface World {
  readonly host: ToolboxHost
  readonly link: LinkBuilder
  readonly attention: readonly Attention[]
  deleteTarget(): void
  killConsumer(): Promise<void>
}

type Setting = (t: TestContext, body: (world: World) => Promise<void>) => Promise<void>

const inFakeWorld: Setting = async (_t, body) => {
  const world = fakeWorld()
  const attention: Attention[] = []
  world.host.onAttention(why => attention.push(why))
  const link = aLink('app')
  await body({
    host: world.host,
    link,
    attention,
    deleteTarget: () => world.deleteTarget(link.build()),
    killConsumer: async () => world.exit(pid(100)),
  })
}

const inRealWorld: Setting = async (t, body) => {
  if (!needsRoot(t)) return
  const sandbox = await startSandbox()
  try {
    await withLinuxToolbox({}, async bench => {
      await body({
        host: bench.host,
        link: bench.link.running(sandbox.pid).at('/tmp/run/api.sock'),
        attention: bench.attention,
        deleteTarget: () => {
          const handle = must(openProcess(sandbox.pid))
          const directory = must(resolveIn(handle.root.borrowed, '/tmp/run', 'directory', 'test'))
          must(unlink(directory.borrowed, 'api.sock', 'test'))
          directory.close()
          closeProcess(handle)
        },
        killConsumer: () => sandbox.kill(),
      })
    })
  } finally {
    await sandbox.kill()
  }
}

opensTheWayHome()
leavesNoDescriptors()

for (const [name, setting] of [
  ['the fake toolbox', inFakeWorld],
  ['the Linux toolbox', inRealWorld],
] as const) {
  describe(name, () => {
    const inject = async ({ host, link }: World, at = link) =>
      host.toolboxFor(at.build()).injectSocket(requestOf(at))()

    test('what is injected is there, at its target, whichever way one looks', t =>
      setting(t, async world => {
        const mediation = must(await inject(world))
        assert.equal(mediation.planted.target, world.link.build().target)
        assert.equal(world.host.observe([mediation.id], false).size, 0)
        assert.equal(world.host.observe([mediation.id], true).size, 0)
      }))

    test('a mediation begins with nothing counted', t =>
      setting(t, async world => {
        assert.deepEqual(must(await inject(world)).counters(), NOTHING_COUNTED)
      }))

    for (const deep of [false, true]) {
      test(`a target that somebody deleted is lost (${deep ? 'deep' : 'by name'})`, t =>
        setting(t, async world => {
          const mediation = must(await inject(world))
          world.deleteTarget()
          assert.deepEqual([...world.host.observe([mediation.id], deep)], [[mediation.id, 'target-lost']])
        }))
    }

    test('a lost target is planted again under the same id', t =>
      setting(t, async world => {
        const { host, link } = world
        const kept = must(await inject(world))
        world.deleteTarget()
        const again = must(await host.toolboxFor(link.build()).injectSocket(requestOf(link), kept)())
        assert.equal(again.id, kept.id)
        assert.notEqual(again.planted.inode, kept.planted.inode)
        assert.equal(host.observe([again.id], true).size, 0)
      }))

    test('two links get different ids', t =>
      setting(t, async world => {
        const first = must(await inject(world))
        const second = must(await inject(world, world.link.named('other').at('/tmp/run/other.sock')))
        assert.notEqual(first.id, second.id)
      }))

    test('a target that another link has is refused, and free once that is withdrawn', t =>
      setting(t, async world => {
        const { host, link } = world
        const first = must(await inject(world))
        const second = link.named('second')
        failureOf(await inject(world, second))
        assert.equal(host.observe([first.id], true).size, 0, 'the first is untouched')
        const report = await host.toolboxFor(link.build()).withdraw(first)()
        assert.deepEqual(report.leftBehind, [])
        must(await inject(world, second))
      }))

    test('withdrawing twice does no more than once', t =>
      setting(t, async world => {
        const { host, link } = world
        const box = host.toolboxFor(link.build())
        const mediation = must(await inject(world))
        await box.withdraw(mediation)()
        assert.deepEqual(await box.withdraw(mediation)(), { connectionsClosed: 0, leftBehind: [] })
      }))

    test('a provider that moved keeps the mediation and what it planted', t =>
      setting(t, async world => {
        const { host, link } = world
        const mediation = must(await inject(world))
        const box = host.toolboxFor(link.build())
        const changed = must(await box.retargetSocket(mediation, { pid: pid(0), socket: '/elsewhere' })())
        assert.equal(changed.id, mediation.id)
        assert.deepEqual(changed.planted, mediation.planted)
        assert.equal(host.observe([changed.id], true).size, 0)
      }))

    test('a consumer that is gone is told as that, and waiting can help', t =>
      setting(t, async world => {
        await world.killConsumer()
        const error = failureOf(await inject(world))
        assert.deepEqual(error, { _tag: 'PeerGone', peer: 'consumer', pid: world.link.build().consumer_pid })
      }))

    test('a followed consumer that exits draws attention, and what was in it is lost', t =>
      setting(t, async world => {
        const { host, link, attention } = world
        const mediation = must(await inject(world))
        const consumer = link.build().consumer_pid ?? pid(0)
        host.follow(new Set([consumer]))
        await world.killConsumer()
        // Its mounts go with it, which may be told too.
        const ends = () => attention.filter(({ _tag }) => _tag !== 'MountsChanged')
        await until('its end is told', () => ends().length > 0)
        assert.deepEqual(ends(), [{ _tag: 'ProcessExited', pid: consumer }])
        assert.deepEqual([...host.observe([mediation.id], false)], [[mediation.id, 'consumer-exited']])
      }))

    test('what a dead consumer had can be withdrawn', t =>
      setting(t, async world => {
        const { host, link } = world
        const mediation = must(await inject(world))
        await world.killConsumer()
        assert.ok(E.isRight(E.right(await host.toolboxFor(link.build()).withdraw(mediation)())))
      }))
  })
}
