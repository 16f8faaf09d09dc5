/** Device cgroups that really deny: what is allowed with a node, to whom, and that it is taken back. */
import assert from 'node:assert/strict'
import { rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { E } from '../../src/fp.ts'
import type { Limits } from '../../src/model/limits.ts'
import type { Mediation } from '../../src/model/mediation.ts'
import { type Journal, openJournal } from '../../src/toolbox/journal.ts'
import type { LinkBuilder } from '../support/builders.ts'
import type { Container } from '../support/container.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import {
  hasDeviceCgroups,
  hasUnifiedCgroups,
  openGroup,
  openJudgedGroup,
  restrict,
  type TestGroup,
} from '../support/device-cgroup.ts'
import { fakeLog } from '../support/fakes.ts'
import { type FaultBench, withFaults } from '../support/faults.ts'
import { KILLED, killedAt } from '../support/killed-journal.ts'
import { makeNode } from '../support/nodes.ts'
import { isRoot } from '../support/privileges.ts'
import { opensTheWayHome } from '../support/sandbox.ts'
import { type ToolboxBench, withLinuxToolbox } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

const CARD = '226:0'
const TARGET = '/opt/card0'
const GIVEN = `c ${CARD} rw`

interface Scene extends FaultBench {
  readonly app: Container
  /** Of the consumer; it denies all but the usual. */
  readonly group: TestGroup
  readonly link: LinkBuilder
  /** What a process of the consumer's group meets that opens the node. */
  readonly opened: (group?: TestGroup, target?: string) => string
}

const granting = (
  name: string,
  body: (scene: Scene, t: TestContext) => Promise<void>,
  limits: Partial<Limits> = {},
): void => {
  test(name, async t => {
    if (!isRoot || !hasDeviceCgroups(t)) {
      if (!isRoot) t.skip('needs root')
      return
    }
    await withFaults(limits, t, async bench => {
      const outer = openGroup()
      const group = restrict(outer.child('app'))
      try {
        const app = await bench.container('app')
        group.take(app.pid)
        const link = bench.link.running(app.pid).at(TARGET)
        makeNode(link.build().socket, CARD)
        const opened = (from = group, target = TARGET): string => from.opens(app.path(target))
        await body({ ...bench, app, group, link, opened }, t)
      } finally {
        outer.remove()
      }
    })
  })
}

const injectIn = ({ host }: Pick<ToolboxBench, 'host'>, link: LinkBuilder, kept?: Mediation) => {
  const { target, provider_pid: pid, socket } = link.build()
  const judge = () => E.right(undefined)
  return host.toolboxFor(link.build()).injectNode({ target, provider: { pid, socket }, judge }, kept)()
}

const withdraw = ({ host }: Pick<ToolboxBench, 'host'>, link: LinkBuilder, mediation: Mediation) =>
  host.toolboxFor(link.build()).withdraw(mediation)()

const isLost = ({ host }: ToolboxBench, { id }: Mediation): boolean =>
  host.observe([id], true).get(id) === 'target-lost'

const warnings = ({ log }: ToolboxBench): readonly string[] =>
  log.lines
    .filter(({ level }) => level === 'warn')
    .map(({ facts, message }) => `${message} ${JSON.stringify(facts)}`)

granting('a device is denied, allowed with the node, and denied again without it', async scene => {
  const before = scene.group.list()
  const mediation = must(await injectIn(scene, scene.link))
  assert.equal(scene.opened(), 'ENXIO')
  assert.ok(scene.group.list().includes(GIVEN))
  await withdraw(scene, scene.link, mediation)
  makeNode(scene.app.path(TARGET), CARD)
  assert.equal(scene.opened(), 'EPERM')
  assert.deepEqual(scene.group.list(), before)
  assert.deepEqual(warnings(scene), [])
})

granting('groups below that are there already are allowed it too, and denied it again', async scene => {
  const child = scene.group.child('inner')
  const grandchild = child.child('most')
  const mediation = must(await injectIn(scene, scene.link))
  for (const group of [child, grandchild]) assert.equal(scene.opened(group), 'ENXIO')
  const late = scene.group.child('late')
  assert.equal(scene.opened(late), 'ENXIO')
  await withdraw(scene, scene.link, mediation)
  makeNode(scene.app.path(TARGET), CARD)
  for (const group of [child, grandchild, late]) assert.equal(scene.opened(group), 'EPERM')
})

for (const entry of ['c 226:* rwm', 'c 226:0 rw', 'c *:* rwm']) {
  granting(`what the container's configuration allows (${entry}) stays allowed`, async scene => {
    scene.group.allow(entry)
    const before = scene.group.list()
    const mediation = must(await injectIn(scene, scene.link))
    assert.equal(scene.opened(), 'ENXIO')
    assert.deepEqual(scene.group.list(), before)
    await withdraw(scene, scene.link, mediation)
    assert.deepEqual(scene.group.list(), before)
  })
}

granting('what it allows in part is completed, and taken back as a whole', async scene => {
  scene.group.allow('c 226:0 r')
  const mediation = must(await injectIn(scene, scene.link))
  assert.equal(scene.opened(), 'ENXIO')
  await withdraw(scene, scene.link, mediation)
  makeNode(scene.app.path(TARGET), CARD)
  assert.equal(scene.opened(), 'EPERM')
})

granting('two links share what was allowed, and the last one takes it back', async scene => {
  const other = scene.link.named('other').at('/opt/other')
  const first = must(await injectIn(scene, scene.link))
  const second = must(await injectIn(scene, other))
  await withdraw(scene, scene.link, first)
  assert.equal(scene.opened(scene.group, '/opt/other'), 'ENXIO')
  assert.ok(!isLost(scene, second))
  await withdraw(scene, other, second)
  makeNode(scene.app.path(TARGET), CARD)
  assert.equal(scene.opened(), 'EPERM')
})

granting('two consumers of one group share it as well', async scene => {
  const neighbour = await scene.container('neighbour')
  scene.group.take(neighbour.pid)
  const other = scene.link.named('other').running(neighbour.pid)
  const first = must(await injectIn(scene, scene.link))
  const second = must(await injectIn(scene, other))
  await withdraw(scene, other, second)
  assert.equal(scene.opened(), 'ENXIO')
  await withdraw(scene, scene.link, first)
  assert.ok(!scene.group.list().includes(GIVEN))
})

granting('a group that may not be told is named, and the node is there', async scene => {
  const inner = restrict(scene.group.child('inner'))
  inner.take(scene.app.pid)
  const mediation = must(await injectIn(scene, scene.link))
  // The one above does not have it.
  assert.equal(scene.opened(inner), 'EPERM')
  assert.equal(warnings(scene).length, 1)
  assert.match(warnings(scene)[0] ?? '', /cannot allow the device.*EPERM/)
  assert.ok(warnings(scene)[0]?.includes(inner.path))
  assert.ok(!isLost(scene, mediation), 'to try again and again would not help')
  must(await injectIn(scene, scene.link.named('other').at('/opt/other')))
  assert.equal(warnings(scene).length, 1, 'it is said once')
  assert.deepEqual((await withdraw(scene, scene.link, mediation)).leftBehind, [])
})

granting('what a container runtime wipes away after us is allowed again', async scene => {
  const mediation = must(await injectIn(scene, scene.link))
  assert.ok(!isLost(scene, mediation))
  restrict(scene.group)
  assert.equal(scene.opened(), 'EPERM')
  assert.ok(isLost(scene, mediation))
  const again = must(await injectIn(scene, scene.link, mediation))
  assert.equal(scene.opened(), 'ENXIO')
  assert.ok(!isLost(scene, again))
  await withdraw(scene, scene.link, again)
  assert.ok(!scene.group.list().includes(GIVEN))
})

granting('a process that goes into another group gets its device there', async scene => {
  const mediation = must(await injectIn(scene, scene.link))
  const outer = openGroup()
  const next = restrict(outer.child('next'))
  next.take(scene.app.pid)
  assert.ok(isLost(scene, mediation))
  const again = must(await injectIn(scene, scene.link, mediation))
  assert.equal(scene.opened(next), 'ENXIO')
  assert.ok(!scene.group.list().includes(GIVEN))
  await withdraw(scene, scene.link, again)
  assert.ok(!next.list().includes(GIVEN))
  outer.remove()
})

granting('a group that is gone when the link goes is no obstacle', async scene => {
  const outer = openGroup()
  const group = restrict(outer.child('short'))
  group.take(scene.app.pid)
  const mediation = must(await injectIn(scene, scene.link))
  scene.group.take(scene.app.pid)
  rmdirSync(group.directory)
  assert.deepEqual((await withdraw(scene, scene.link, mediation)).leftBehind, [])
  rmdirSync(outer.directory)
})

granting('a group that has the name of one that is gone is not denied what it allows itself', async scene => {
  const outer = openGroup()
  const group = restrict(outer.child('name'))
  group.take(scene.app.pid)
  const mediation = must(await injectIn(scene, scene.link))
  scene.group.take(scene.app.pid)
  rmdirSync(group.directory)
  const second = restrict(outer.child('name'))
  second.allow(GIVEN)
  await withdraw(scene, scene.link, mediation)
  assert.ok(second.list().includes(GIVEN))
  second.remove()
  rmdirSync(outer.directory)
})

granting(
  'of more groups than may be told some are left out, and that is said',
  async scene => {
    for (const name of ['a', 'b', 'c', 'd']) scene.group.child(name)
    must(await injectIn(scene, scene.link))
    assert.equal(scene.opened(), 'ENXIO')
    assert.match(warnings(scene).join(), /more cgroups than are told/)
  },
  { deviceGroups: 3 },
)

granting('nothing stays allowed for a node that could not be planted', async scene => {
  const occupied = scene.link.at('/opt')
  assert.ok(E.isLeft(await injectIn(scene, occupied)))
  assert.ok(!scene.group.list().includes(GIVEN))
})

granting('closing the host takes back what was allowed', async scene => {
  must(await injectIn(scene, scene.link))
  scene.host.close()
  assert.ok(!scene.group.list().includes(GIVEN))
})

/** A run with a journal of its own in the scene; `wrap` may kill it. */
const run = (
  scene: Scene,
  body: (bench: ToolboxBench & { readonly journal: Journal }) => Promise<void>,
  wrap = (journal: Journal): Journal => journal,
): Promise<void> => {
  const journal = openJournal(join(scene.scratch, 'journal'), fakeLog())
  return withLinuxToolbox(
    {},
    bench => body({ ...bench, journal }),
    () => ({ journal: wrap(journal) }),
  )
}

/** A run that ends without a word: its toolbox closes into a journal that is closed, and a group that it cannot reach. */
const diesWith = async (scene: Scene, links: readonly LinkBuilder[]): Promise<void> => {
  const journal = openJournal(join(scene.scratch, 'journal'), fakeLog())
  const entries: string[] = []
  await withLinuxToolbox(
    {},
    async bench => {
      for (const link of links) must(await injectIn(bench, link))
      entries.push(...scene.group.list())
      // What follows is not written down any more.
      journal.close()
    },
    () => ({ journal }),
  )
  // Closing it has cleaned up, as a kill does not.
  for (const link of links) makeNode(scene.app.path(link.build().target), CARD)
  for (const entry of entries) scene.group.allow(entry)
}

granting('after a kill, what was allowed for a link that is not wanted any more is denied', async scene => {
  await diesWith(scene, [scene.link])
  await run(scene, async ({ host }) => {
    host.sweep(() => [])
    assert.ok(!scene.group.list().includes(GIVEN))
  })
})

granting('after a kill, what was allowed for a link that is wanted is taken over', async scene => {
  await diesWith(scene, [scene.link])
  await run(scene, async bench => {
    bench.host.sweep(() => [scene.link.build()])
    assert.equal(scene.opened(), 'ENXIO')
    const mediation = must(await injectIn(bench, scene.link))
    await withdraw(bench, scene.link, mediation)
    assert.ok(!scene.group.list().includes(GIVEN))
  })
})

granting('after a kill, a link that wants another device loses the one it had', async scene => {
  await diesWith(scene, [scene.link])
  const other = join(scene.folder, 'card1')
  makeNode(other, '226:1')
  await run(scene, async bench => {
    const link = scene.link.socket(other).at('/opt/card1')
    bench.host.sweep(() => [link.build()])
    must(await injectIn(bench, link))
    assert.deepEqual(
      scene.group.list().filter(entry => entry.startsWith('c 226:')),
      ['c 226:1 rw'],
    )
  })
})

granting('after a kill, what was allowed for a link whose device is gone is denied', async scene => {
  await diesWith(scene, [scene.link])
  await run(scene, async bench => {
    const link = scene.link.socket(join(scene.folder, 'unplugged'))
    bench.host.sweep(() => [link.build()])
    assert.equal(failureOf(await injectIn(bench, link))._tag, 'DeviceAbsent')
    assert.ok(!scene.group.list().includes(GIVEN))
  })
})

granting('after a kill, what two links shared stays with the one that is left', async scene => {
  const other = scene.link.named('other').at('/opt/other')
  const journal = openJournal(join(scene.scratch, 'journal'), fakeLog())
  await withLinuxToolbox(
    {},
    async bench => {
      const first = must(await injectIn(bench, scene.link))
      must(await injectIn(bench, other))
      await withdraw(bench, scene.link, first)
      journal.close()
    },
    () => ({ journal }),
  )
  scene.group.allow(GIVEN)
  await run(scene, async ({ host }) => {
    host.sweep(() => [other.build()])
    assert.equal(scene.group.list().includes(GIVEN), true)
    host.sweep(() => [])
    assert.equal(scene.group.list().includes(GIVEN), false)
  })
})

for (const when of ['before', 'after'] as const) {
  granting(`killed ${when} it is written down, nothing stays allowed`, async scene => {
    await assert.rejects(
      run(
        scene,
        async bench => {
          await injectIn(bench, scene.link)
        },
        journal => killedAt(journal, 1, when),
      ),
      KILLED,
    )
    await run(scene, async ({ host, journal }) => {
      assert.equal(journal.leftGrants.length, when === 'before' ? 0 : 1)
      host.sweep(() => [])
      assert.ok(!scene.group.list().includes(GIVEN))
    })
    const last = openJournal(join(scene.scratch, 'journal'), fakeLog())
    assert.deepEqual([last.left, last.leftGrants], [[], []])
    last.close()
  })
}

granting('a group of version 2 that a program judges is named once', async (scene, t) => {
  if (!hasUnifiedCgroups(t)) return
  const judged = openJudgedGroup('test/support/attach-device-program.py')
  try {
    must(await injectIn(scene, scene.link))
    assert.deepEqual(warnings(scene), [])
    judged.take(scene.app.pid)
    must(await injectIn(scene, scene.link.named('other').at('/opt/other')))
    must(await injectIn(scene, scene.link.named('third').at('/opt/third')))
    assert.equal(warnings(scene).length, 1)
    assert.match(warnings(scene)[0] ?? '', /governed by a BPF program.*226:0/)
    assert.ok(warnings(scene)[0]?.includes(judged.path))
  } finally {
    judged.remove()
  }
})
