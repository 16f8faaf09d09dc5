/**
 * Killed at any step of an injection: what the journal says is enough to clean up, or to carry on.
 * A kill is a journal that throws: from there on nothing of the old toolbox runs, just as after SIGKILL.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import type { Reactor } from '../../src/reactor/contract.ts'
import { createReactor } from '../../src/reactor/reactor.ts'
import type { ToolboxHost } from '../../src/toolbox/contract.ts'
import { type Journal, openJournal } from '../../src/toolbox/journal.ts'
import { createLinuxToolbox } from '../../src/toolbox/linux.ts'
import { aLink, type LinkBuilder, pid } from '../support/builders.ts'
import { must } from '../support/descriptors.ts'
import { fakeLog } from '../support/fakes.ts'
import { KILLED, killedAt } from '../support/killed-journal.ts'
import { needsRoot } from '../support/privileges.ts'
import { serverAt } from '../support/sockets.ts'
import { requestOf } from '../support/toolboxes.ts'

interface Stage {
  readonly folder: string
  readonly target: string
  readonly link: LinkBuilder
  readonly reactor: Reactor
  readonly open: (wrap?: (journal: Journal) => Journal) => { host: ToolboxHost; journal: Journal }
}

const withStage = async (t: TestContext, body: (stage: Stage) => Promise<void>): Promise<void> => {
  if (!needsRoot(t)) return
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-leftovers-'))
  const folder = join(scratch, 'root')
  mkdirSync(folder)
  const reactor = must(createReactor(assert.ifError))
  const target = join(folder, 'a/b/target.sock')
  const link = aLink('app').from('net', 0).running(0).socket(join(folder, 'provider.sock')).at(target)
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
    await body({ folder, target, link, reactor, open })
  } finally {
    reactor.close()
    rmSync(scratch, { recursive: true })
  }
}

const inject = (host: ToolboxHost, link: LinkBuilder) =>
  host.toolboxFor(link.build()).injectSocket(requestOf(link))()

/** Two directories and a socket, each announced and then made. */
const STEPS = 6

const die = async ({ open, link }: Stage, step: number, when: 'before' | 'after'): Promise<void> => {
  const { host, journal } = open(real => killedAt(real, step, when))
  await assert.rejects(inject(host, link), KILLED)
  journal.close()
}

describe('killed while it plants a socket', () => {
  for (const when of ['before', 'after'] as const) {
    for (let step = 1; step <= STEPS; step += 1) {
      test(`${when} step ${step}: nothing of a link that is not wanted any more is left`, async t => {
        await withStage(t, async stage => {
          await die(stage, step, when)
          const { host } = stage.open()
          host.sweep(() => [])
          assert.deepEqual(readdirSync(stage.folder), [])
          host.close()
        })
      })

      test(`${when} step ${step}: a link that is wanted works, and takes all with it when it goes`, async t => {
        await withStage(t, async stage => {
          await die(stage, step, when)
          const { host } = stage.open()
          host.sweep(() => [stage.link.build()])
          const mediation = must(await inject(host, stage.link))
          assert.deepEqual(readdirSync(join(stage.folder, 'a/b')), ['target.sock'])
          await host.toolboxFor(stage.link.build()).withdraw(mediation)()
          assert.deepEqual(readdirSync(stage.folder), [])
          host.close()
        })
      })
    }
  }
})

/** A run that ended without a word after it had planted everything. */
const diePlanted = async ({ open, link }: Stage): Promise<void> => {
  const { host, journal } = open()
  must(await inject(host, link))
  journal.close()
}

describe('after a kill', () => {
  test('a socket whose link is wanted stays until the new one takes its place', async t => {
    await withStage(t, async stage => {
      await diePlanted(stage)
      const { host } = stage.open()
      host.sweep(() => [stage.link.build()])
      assert.ok(existsSync(stage.target))
      host.close()
      assert.deepEqual(readdirSync(stage.folder), [])
    })
  })

  test('a socket of the container itself that took the name meanwhile is left alone', async t => {
    await withStage(t, async stage => {
      await diePlanted(stage)
      unlinkSync(stage.target)
      const server = serverAt(stage.target)
      const { host } = stage.open()
      host.sweep(() => [])
      assert.ok(existsSync(stage.target))
      host.close()
      server.close()
    })
  })

  test('a directory that is in use by others by now stays', async t => {
    await withStage(t, async stage => {
      await diePlanted(stage)
      writeFileSync(join(stage.folder, 'a/theirs'), '')
      const { host } = stage.open()
      host.sweep(() => [])
      assert.deepEqual(readdirSync(stage.folder), ['a'])
      assert.deepEqual(readdirSync(join(stage.folder, 'a')), ['theirs'])
      host.close()
    })
  })

  test('a directory that somebody else has made in the place of ours stays', async t => {
    await withStage(t, async stage => {
      await diePlanted(stage)
      rmSync(join(stage.folder, 'a'), { recursive: true })
      // On many file systems it gets the inode number that has just become free.
      mkdirSync(join(stage.folder, 'a'))
      const { host } = stage.open()
      host.sweep(() => [])
      assert.deepEqual(readdirSync(stage.folder), ['a'])
      host.close()
    })
  })

  test('a link that was kept waiting and then is not wanted any more leaves nothing', async t => {
    await withStage(t, async stage => {
      await diePlanted(stage)
      const { host } = stage.open()
      host.sweep(() => [stage.link.build()])
      host.sweep(() => [])
      assert.deepEqual(readdirSync(stage.folder), [])
      host.close()
    })
  })

  test('of sockets that stood at one path one after the other none stays written down', async t => {
    await withStage(t, async stage => {
      const { journal, host: first } = stage.open()
      // Killed between the name of the new one and striking out the old one, more than once.
      for (const inode of ['1', '2', '3']) {
        const { consumer } = stage.link.build()
        const place = {
          consumer,
          pid: pid(0),
          started: '0',
          path: stage.target,
          private: `.pvx-0000000${inode}`,
        }
        journal.made(journal.announce({ ...place, kind: 'socket' }), { device: '0:1', inode, born: '0.0' })
      }
      first.close()
      const { host, journal: second } = stage.open()
      assert.equal(second.left.length, 3)
      host.sweep(() => [stage.link.build()])
      host.close()
      const { host: last, journal: after } = stage.open()
      assert.deepEqual(after.left, [])
      last.close()
    })
  })

  test('two kills in a row are no worse than one', async t => {
    await withStage(t, async stage => {
      await die(stage, STEPS, 'before')
      await die(stage, 1, 'after')
      await diePlanted(stage)
      const { host } = stage.open()
      host.sweep(() => [])
      assert.deepEqual(readdirSync(stage.folder), [])
      host.close()
    })
  })
})
