/**
 * What becomes of planted sockets is noticed by the next look, whenever it happens: right after they were planted, between
 * two looks within the same tick of the file system's clock, or when nothing had changed for long.
 */
import assert from 'node:assert/strict'
import { mkdirSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MediationId } from '../../src/model/mediation.ts'
import { must } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'
import { opensTheWayHome } from '../support/sandbox.ts'
import { serverAt } from '../support/sockets.ts'
import { requestOf, withLinuxToolbox } from '../support/toolboxes.ts'

opensTheWayHome()

const NAMES = ['one', 'two', 'three'] as const

/** Socket `name` of a folder with three of ours, and an unrelated file. */
const LOSSES: Readonly<Record<string, (path: string) => void>> = {
  'is removed': path => unlinkSync(path),
  'is renamed': path => renameSync(path, `${path}.away`),
  'is replaced by a file': path => {
    writeFileSync(`${path}.new`, '')
    renameSync(`${path}.new`, path)
  },
  'is replaced by a socket': path => {
    serverAt(`${path}.new`).close()
    renameSync(`${path}.new`, path)
  },
  'is removed and made anew': path => {
    unlinkSync(path)
    serverAt(path).close()
  },
}

/** Milliseconds between one look and the next: within a tick of a file system's clock, around it, and long after. */
const PAUSES = [0, 0, 1, 3, 5, 9, 11, 40, 90, 110, 150, 250]

interface Three {
  readonly folder: string
  /** The ids of sockets that are lost to a look by name. */
  readonly look: () => readonly MediationId[]
  readonly ids: readonly MediationId[]
}

const withThree = (body: (three: Three) => Promise<void>): Promise<void> =>
  withLinuxToolbox({}, async ({ host, folder, link }) => {
    const ids: MediationId[] = []
    for (const name of NAMES) {
      const each = link.named(name).at(join(folder, 'run', name))
      ids.push(must(await host.toolboxFor(each.build()).injectSocket(requestOf(each))()).id)
    }
    await body({ folder, look: () => [...host.observe(ids, false).keys()], ids })
  })

for (const [what, lose] of Object.entries(LOSSES)) {
  for (const looksBefore of [0, 1, 2, 3]) {
    test(`a socket that ${what} after ${looksBefore} looks is missed by the next, and by every one after it`, async t => {
      if (!needsRoot(t)) return
      await Promise.all(
        PAUSES.map(pauseMs =>
          withThree(async ({ folder, look, ids }) => {
            for (let i = 0; i < looksBefore; i += 1) {
              assert.deepEqual(look(), [])
              await sleep(pauseMs)
            }
            lose(join(folder, 'run/two'))
            for (let i = 0; i < 3; i += 1) {
              assert.deepEqual(look(), ids.slice(1, 2), `${pauseMs} ms apart, look ${i} after it`)
              await sleep(pauseMs)
            }
          }),
        ),
      )
    })
  }
}

test('sockets that vanish one after the other, each right after a look, are all missed', async t => {
  if (!needsRoot(t)) return
  await withThree(async ({ folder, look }) => {
    for (const [gone, name] of NAMES.entries()) {
      assert.equal(look().length, gone)
      unlinkSync(join(folder, 'run', name))
    }
    assert.equal(look().length, NAMES.length)
  })
})

test('a directory that is removed with our sockets in it takes them along', async t => {
  if (!needsRoot(t)) return
  await withThree(async ({ folder, look }) => {
    for (let i = 0; i < 4; i += 1) {
      assert.equal(look().length, 0)
      await sleep(60)
    }
    rmSync(join(folder, 'run'), { recursive: true })
    assert.equal(look().length, NAMES.length)
  })
})

test('what else is made beside our sockets does not matter', async t => {
  if (!needsRoot(t)) return
  await withThree(async ({ folder, look }) => {
    for (let i = 0; i < 10; i += 1) {
      mkdirSync(join(folder, `run/theirs-${i}`))
      assert.equal(look().length, 0)
    }
    assert.ok(statSync(join(folder, 'run/one')).isSocket())
    rmSync(join(folder, 'run'), { recursive: true })
  })
})
