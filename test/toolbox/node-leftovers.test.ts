/**
 * Killed at any step of giving a node: what the journal says is enough to clean up, or to carry on. A kill is a journal that
 * throws: from there on nothing of the old toolbox runs, just as after SIGKILL.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { E } from '../../src/fp.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import { createReactor } from '../../src/reactor/reactor.ts'
import type { NodeRequest, ToolboxHost } from '../../src/toolbox/contract.ts'
import { type Journal, openJournal } from '../../src/toolbox/journal.ts'
import { createLinuxToolbox } from '../../src/toolbox/linux.ts'
import { aLink, type LinkBuilder } from '../support/builders.ts'
import { startContainer } from '../support/container.ts'
import { failureOf, must } from '../support/descriptors.ts'
import { eventually } from '../support/eventually.ts'
import { fakeLog } from '../support/fakes.ts'
import { KILLED, killedAt } from '../support/killed-journal.ts'
import { makeNode, numberOf } from '../support/nodes.ts'
import { canRunHere } from '../support/requirements.ts'

import { requestOf } from '../support/toolboxes.ts'

const NULL = '1:3'
const ZERO = '1:5'

interface Stage {
  /** The consumer's folder with all that is made, as the host spells it. */
  readonly folder: string
  readonly target: string
  readonly socket: string
  readonly link: LinkBuilder
  readonly open: (wrap?: (journal: Journal) => Journal) => { host: ToolboxHost; journal: Journal }
}

type Kind = 'made' | 'mounted'

/** A toolbox that was killed here can keep the loop alive, as it never could after a real kill. */
const noneLeft = setTimeout(() => process.exit(), 5000).unref()

/** A consumer in which a node is made, or has to be mounted. */
const withStage = async (
  t: TestContext,
  kind: Kind,
  body: (stage: Stage) => Promise<void>,
): Promise<void> => {
  if (!canRunHere(t)) return
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-node-leftovers-'))
  const reactor = must(createReactor(assert.ifError))
  const app = await startContainer('app', scratch)
  await app.exec(
    'mount',
    '-t',
    'tmpfs',
    '-o',
    `mode=755${kind === 'mounted' ? ',nodev' : ''}`,
    'none',
    '/opt',
  )
  const socket = join(scratch, 'node')
  makeNode(socket, NULL)
  const link = aLink('app').from('net', 0).running(app.pid).socket(socket).at('/opt/a/b/node')
  const open: Stage['open'] = (wrap = journal => journal) => {
    const journal = openJournal(join(scratch, 'journal'), fakeLog())
    const log = fakeLog()
    const limits = { ...DEFAULT_LIMITS, drainMs: 0 }
    return {
      journal,
      host: createLinuxToolbox({ reactor, limits, journal: wrap(journal), log, logFor: () => log }),
    }
  }
  try {
    await body({ folder: app.path('/opt'), target: app.path('/opt/a/b/node'), socket, link, open })
    // Other tests have names there too, for as long as it takes to mount a node.
    await eventually('no name is left in /dev', () => {
      assert.deepEqual(
        readdirSync('/dev').filter(name => name.startsWith('.pvx-')),
        [],
      )
      return true
    })
  } finally {
    await app.kill()
    reactor.close()
    rmSync(scratch, { recursive: true })
    noneLeft.refresh()
  }
}

const inject = (
  host: ToolboxHost,
  link: LinkBuilder,
  judge: NodeRequest['judge'] = () => E.right(undefined),
) => {
  const { target, provider_pid: pid, socket } = link.build()
  return host.toolboxFor(link.build()).injectNode({ target, provider: { pid, socket }, judge })()
}

/**
 * Two directories, each announced and made; the probe, announced and gone; the node, announced and made. One that is mounted has
 * a name on the host before, which is announced, and gone afterwards.
 */
const STEPS: Readonly<Record<Kind, number>> = { made: 8, mounted: 10 }

const die = async ({ open, link }: Stage, step: number, when: 'before' | 'after'): Promise<void> => {
  const { host, journal } = open(real => killedAt(real, step, when))
  await assert.rejects(inject(host, link), KILLED)
  journal.close()
}

/** A run that ended without a word after it had planted everything. */
const diePlanted = async ({ open, link }: Stage): Promise<void> => {
  const { host, journal } = open()
  must(await inject(host, link))
  journal.close()
}

for (const kind of ['made', 'mounted'] as const) {
  describe(`killed while a node is ${kind}`, () => {
    test('the steps are all there are', async t => {
      await withStage(t, kind, async stage => {
        let steps = 0
        const { host } = stage.open(journal => {
          const counted = <A>(call: () => A): A => {
            steps += 1
            return call()
          }
          return {
            ...journal,
            announce: what => counted(() => journal.announce(what)),
            made: (id, what) => counted(() => journal.made(id, what)),
            gone: id => counted(() => journal.gone(id)),
          }
        })
        must(await inject(host, stage.link))
        assert.equal(steps, STEPS[kind])
        host.close()
      })
    })

    for (const when of ['before', 'after'] as const) {
      for (let step = 1; step <= STEPS[kind]; step += 1) {
        test(`${when} step ${step}: nothing of a link that is not wanted any more is left`, async t => {
          await withStage(t, kind, async stage => {
            await die(stage, step, when)
            const { host } = stage.open()
            host.sweep(() => [])
            assert.deepEqual(readdirSync(stage.folder), [])
            host.close()
          })
        })

        test(`${when} step ${step}: a link that is wanted works, and takes all with it when it goes`, async t => {
          await withStage(t, kind, async stage => {
            await die(stage, step, when)
            const { host } = stage.open()
            host.sweep(() => [stage.link.build()])
            const mediation = must(await inject(host, stage.link))
            assert.equal(numberOf(stage.target), NULL)
            assert.deepEqual(readdirSync(join(stage.folder, 'a/b')), ['node'])
            await host.toolboxFor(stage.link.build()).withdraw(mediation)()
            assert.deepEqual(readdirSync(stage.folder), [])
            host.close()
          })
        })
      }
    }
  })

  describe(`after a kill, a node that was ${kind}`, () => {
    test('is taken over where it is still right, and is never away', async t => {
      await withStage(t, kind, async stage => {
        await diePlanted(stage)
        const before = statSync(stage.target).ino
        const { host, journal } = stage.open()
        host.sweep(() => [stage.link.build()])
        const mediation = must(await inject(host, stage.link))
        assert.equal(statSync(stage.target).ino, before)
        assert.equal(mediation.planted.kind, kind === 'made' ? 'node' : 'mounted node')
        assert.equal(host.observe([mediation.id], true).size, 0)
        journal.close()
        // Killed again: it is still ours.
        const { host: next } = stage.open()
        next.sweep(() => [])
        assert.deepEqual(readdirSync(stage.folder), [])
        next.close()
      })
    })

    test('gets the owner and mode that its provider has by now', async t => {
      await withStage(t, kind, async stage => {
        await diePlanted(stage)
        chmodSync(stage.socket, 0o600)
        const { host } = stage.open()
        host.sweep(() => [stage.link.build()])
        must(await inject(host, stage.link))
        assert.equal(statSync(stage.target).mode & 0o777, 0o600)
        host.close()
      })
    })

    test('is removed where its provider has none any more, though its link is wanted', async t => {
      await withStage(t, kind, async stage => {
        await diePlanted(stage)
        rmSync(stage.socket)
        const { host } = stage.open()
        host.sweep(() => [stage.link.build()])
        assert.equal(failureOf(await inject(host, stage.link))._tag, 'DeviceAbsent')
        assert.deepEqual(readdirSync(stage.folder), [])
        host.close()
      })
    })

    test('is removed where it may not be had any more, though its link is wanted', async t => {
      await withStage(t, kind, async stage => {
        await diePlanted(stage)
        const { host } = stage.open()
        host.sweep(() => [stage.link.build()])
        const refused = (): ReturnType<NodeRequest['judge']> =>
          E.left({ _tag: 'DeviceRefused', path: stage.socket, reason: 'it may not be had' })
        assert.equal(failureOf(await inject(host, stage.link, refused))._tag, 'DeviceRefused')
        assert.deepEqual(readdirSync(stage.folder), [])
        host.close()
      })
    })

    test('makes room for another device', async t => {
      await withStage(t, kind, async stage => {
        await diePlanted(stage)
        rmSync(stage.socket)
        makeNode(stage.socket, ZERO)
        const { host } = stage.open()
        host.sweep(() => [stage.link.build()])
        must(await inject(host, stage.link))
        assert.equal(numberOf(stage.target), ZERO)
        host.close()
        assert.deepEqual(readdirSync(stage.folder), [])
      })
    })

    test('makes room for a socket', async t => {
      await withStage(t, kind, async stage => {
        await diePlanted(stage)
        const { host } = stage.open()
        const link = stage.link.socket(join(stage.folder, 'provider.sock'))
        host.sweep(() => [link.build()])
        const planted = must(await host.toolboxFor(link.build()).injectSocket(requestOf(link))())
        assert.ok(statSync(stage.target).isSocket())
        await host.toolboxFor(link.build()).withdraw(planted)()
        host.close()
        assert.deepEqual(readdirSync(stage.folder), [])
      })
    })

    test('is removed where its link is gone, and not what the container put in its place', async t => {
      await withStage(t, kind, async stage => {
        await diePlanted(stage)
        execFileSync('mv', [stage.target, `${stage.target}.ours`])
        makeNode(stage.target, NULL)
        const { host } = stage.open()
        host.sweep(() => [])
        assert.ok(existsSync(stage.target))
        host.close()
      })
    })

    test("is not taken for the container's own file that has its place", async t => {
      await withStage(t, kind, async stage => {
        await diePlanted(stage)
        rmSync(stage.target)
        writeFileSync(stage.target, 'theirs')
        const { host } = stage.open()
        host.sweep(() => [stage.link.build()])
        const error = await inject(host, stage.link)
        assert.ok(E.isLeft(error) && error.left._tag === 'TargetOccupied')
        host.close()
        assert.ok(existsSync(stage.target))
      })
    })
  })
}

describe('after a kill, a socket', () => {
  test('makes room for a node', async t => {
    await withStage(t, 'made', async stage => {
      const { host: first, journal } = stage.open()
      const link = stage.link.socket(join(stage.folder, 'provider.sock'))
      must(await first.toolboxFor(link.build()).injectSocket(requestOf(link))())
      journal.close()
      const { host } = stage.open()
      host.sweep(() => [stage.link.build()])
      must(await inject(host, stage.link))
      assert.equal(numberOf(stage.target), NULL)
      host.close()
      assert.deepEqual(readdirSync(stage.folder), [])
    })
  })
})
