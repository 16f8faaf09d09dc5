/** Hearing of another process's mounts, of none too late. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { watchMounts } from '../../src/kernel/mount-table.ts'
import { createReactor } from '../../src/reactor/reactor.ts'
import { leavesNoDescriptors, must } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'
import { quiet, until } from '../support/relay.ts'
import { startSandbox } from '../support/sandbox.ts'

leavesNoDescriptors()

interface Bench {
  /** Mount something in the watched container, before the loop turns again. */
  readonly mount: () => void
  /** How often a change was told. */
  readonly told: () => number
}

const watching = (name: string, body: (bench: Bench) => Promise<void>): void => {
  test(name, async t => {
    if (!needsRoot(t)) return
    const sandbox = await startSandbox()
    const reactor = must(
      createReactor(error => {
        throw error
      }),
    )
    let told = 0
    const watch = must(
      watchMounts(sandbox.pid, reactor.clock, () => {
        told += 1
      }),
    )
    try {
      await body({
        mount: () => {
          execFileSync('nsenter', ['-t', `${sandbox.pid}`, '-m', 'mount', '-t', 'tmpfs', 'new', '/tmp'])
        },
        told: () => told,
      })
    } finally {
      watch.close()
      reactor.close()
      await sandbox.kill()
    }
  })
}

watching('a mount is told', async ({ mount, told }) => {
  await until('the first look', () => told() > 0)
  await quiet()
  const before = told()
  mount()
  await until('it is told', () => told() > before)
})

watching('a mount made before the loop listens is told', async ({ mount, told }) => {
  mount()
  assert.equal(told(), 0)
  await until('it is told', () => told() > 0)
})

watching('a mount made while another one is being told is told', async ({ mount, told }) => {
  await until('the first look', () => told() > 0)
  await quiet()
  const before = told()
  mount()
  await until('the first is told', () => told() > before)
  const first = told()
  mount()
  await until('the second is told', () => told() > first)
})
