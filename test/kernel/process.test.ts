/** A process is held by its pidfd, so that its number cannot come to mean another one. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readlinkSync, statSync } from 'node:fs'
import { test } from 'node:test'
import {
  closeProcess,
  hasExited,
  openHost,
  openPidfd,
  openProcess,
  ownerFor,
  rootOfMap,
} from '../../src/kernel/process.ts'
import { pid } from '../support/builders.ts'
import { failureOf, identityOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { eventually } from '../support/eventually.ts'
import { needsRoot } from '../support/privileges.ts'
import { startProcess, startSandbox } from '../support/sandbox.ts'

leavesNoDescriptors()

test('a process that has ended and been reaped is not found', () => {
  const { pid: reaped } = spawnSync('true')
  assert.equal(failureOf(openProcess(pid(reaped))).errno, 'ESRCH')
})

test('a held process is alive until it is killed', async t => {
  if (!needsRoot(t)) return
  const child = await startProcess()
  const handle = must(openProcess(child.pid))
  const pidfd = handle.pidfd
  assert.ok(pidfd !== undefined && !hasExited(pidfd.borrowed))
  await child.kill()
  await eventually('the pidfd tells', () => hasExited(pidfd.borrowed))
  closeProcess(handle)
})

test('a process that died but whose parent has not looked is gone as well', async t => {
  if (!needsRoot(t)) return
  const child = await startProcess()
  const pidfd = must(openPidfd(child.pid))
  process.kill(child.pid, 'SIGKILL')
  // Synchronous from here: Node has had no turn to reap it, so it is a zombie.
  while (!hasExited(pidfd.borrowed));
  assert.equal(failureOf(openProcess(child.pid)).errno, 'ESRCH')
  pidfd.close()
  await child.kill()
})

test('the root of a process in our namespace is ours', async t => {
  if (!needsRoot(t)) return
  const child = await startProcess()
  const handle = must(openProcess(child.pid))
  const { dev, ino } = statSync('/')
  assert.equal(identityOf(handle.root.borrowed), `${dev}/${ino}`)
  closeProcess(handle)
  await child.kill()
})

test('the root user of a process without a user namespace is root', async t => {
  if (!needsRoot(t)) return
  const child = await startProcess()
  const handle = must(openProcess(child.pid))
  assert.deepEqual(must(ownerFor(child.pid, handle)), { uid: 0, gid: 0 })
  await child.kill()
  assert.equal(failureOf(ownerFor(child.pid, handle)).errno, 'ESRCH')
  closeProcess(handle)
})

for (const [map, id, what] of [
  ['         0          0 4294967295\n', 0, 'of the host'],
  ['         0     100000      65536\n', 100_000, 'shifted'],
  ['0 1000 1\n', 1000, 'of one user'],
  [
    '       1     100001      65535\n         0       1000          1\n',
    1000,
    'with root in its second line',
  ],
  ['      1000       1000          1\n', 1000, 'without root'],
  [
    '        10     200010          5\n         1     300001          5\n',
    200_010,
    'without root, of two ranges',
  ],
  ['', 0, 'that was not written yet'],
] as const) {
  test(`what is made in a user namespace with a map ${what} belongs to ${id}`, () =>
    assert.equal(rootOfMap(map), id))
}

test('the network of a process is told from ours, and is nothing to hold where it is ours', async t => {
  if (!needsRoot(t)) return
  const apart = await startSandbox(':', { network: 'own' })
  const sharing = await startSandbox()
  const theirs = must(openProcess(apart.pid))
  assert.equal(`net:[${theirs.network?.id}]`, readlinkSync(`/proc/${apart.pid}/ns/net`))
  const ours = must(openProcess(sharing.pid))
  assert.equal(ours.network, undefined)
  for (const handle of [theirs, ours]) closeProcess(handle)
  for (const sandbox of [apart, sharing]) await sandbox.kill()
})

test('the host does not exit and needs no entering', () => {
  const host = must(openHost())
  assert.equal(host.pidfd, undefined)
  assert.equal(host.mountNamespace, undefined)
  assert.equal(host.network, undefined)
  closeProcess(host)
})
