/** Into another mount or network namespace and home again, whatever happens in between. */
import assert from 'node:assert/strict'
import { existsSync, promises, readdirSync, readlinkSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { E } from '../../src/fp.ts'
import { resolveIn } from '../../src/kernel/files.ts'
import { inMountNamespaceOf, inNetworkNamespaceOf } from '../../src/kernel/namespace.ts'
import { closeProcess, openHost, openProcess, type ProcessHandle } from '../../src/kernel/process.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'
import { opensTheWayHome, type Sandbox, startSandbox } from '../support/sandbox.ts'

/** Where we are: the namespace, the root directory and the working directory. */
const whereabouts = (): readonly string[] => {
  const { dev, ino } = statSync('/')
  return [
    readlinkSync('/proc/thread-self/ns/mnt'),
    readlinkSync('/proc/self/cwd'),
    process.cwd(),
    `${dev}/${ino}`,
  ]
}

opensTheWayHome()
leavesNoDescriptors()

/** Run `body` with its working directory on the sandbox's own /tmp. */
const inside = <A>(sandbox: Sandbox, body: () => A extends PromiseLike<unknown> ? never : A) => {
  const process = must(openProcess(sandbox.pid))
  const directory = must(resolveIn(process.root.borrowed, '/tmp', 'directory', 'test'))
  try {
    return inMountNamespaceOf(process, directory.borrowed, 'test', body)
  } finally {
    directory.close()
    closeProcess(process)
  }
}

test('inside, the container tmpfs is seen; outside, it is not', async t => {
  if (!needsRoot(t)) return
  const sandbox = await startSandbox('echo own >/tmp/only-here')
  assert.deepEqual(must(inside(sandbox, () => readdirSync('/tmp'))), ['only-here'])
  assert.ok(!existsSync('/tmp/only-here'))
  await sandbox.kill()
})

test('the directory that was asked for is the working directory inside', async t => {
  if (!needsRoot(t)) return
  const sandbox = await startSandbox()
  must(inside(sandbox, () => writeFileSync('relative', 'x')))
  assert.deepEqual(must(inside(sandbox, () => readdirSync('/tmp'))), ['relative'])
  await sandbox.kill()
})

test('back home, namespace, root and working directory are as before', async t => {
  if (!needsRoot(t)) return
  const sandbox = await startSandbox()
  const before = whereabouts()
  must(inside(sandbox, () => 0))
  assert.deepEqual(whereabouts(), before)
  await sandbox.kill()
})

test('it works again after Node has started more threads', async t => {
  if (!needsRoot(t)) return
  const sandbox = await startSandbox('echo own >/tmp/only-here')
  const before = whereabouts()
  must(inside(sandbox, () => 0))
  // Each of these runs in the thread pool, whose threads are started by the first work they get.
  await Promise.all(Array.from({ length: 16 }, () => promises.stat('/proc/self/status')))
  assert.deepEqual(must(inside(sandbox, () => readdirSync('/tmp'))), ['only-here'])
  assert.deepEqual(whereabouts(), before)
  await sandbox.kill()
})

test('the thread pool stays on the host', async t => {
  if (!needsRoot(t)) return
  const sandbox = await startSandbox('echo own >/tmp/only-here')
  must(inside(sandbox, () => 0))
  const own = join(tmpdir(), `pvx-host-${process.pid}`)
  await promises.writeFile(own, '')
  assert.ok(existsSync(own))
  await assert.rejects(promises.stat('/tmp/only-here'), { code: 'ENOENT' })
  await promises.rm(own)
  await sandbox.kill()
})

test('a body that throws still comes home', async t => {
  if (!needsRoot(t)) return
  const sandbox = await startSandbox()
  const before = whereabouts()
  assert.throws(
    () =>
      inside(sandbox, () => {
        throw new Error('a bug')
      }),
    /a bug/,
  )
  assert.deepEqual(whereabouts(), before)
  await sandbox.kill()
})

test('a namespace whose process has died meanwhile can still be entered and left', async t => {
  if (!needsRoot(t)) return
  const sandbox = await startSandbox()
  const process = must(openProcess(sandbox.pid))
  await sandbox.kill()
  const before = whereabouts()
  const entered = inMountNamespaceOf(process, process.root.borrowed, 'test', () => 0)
  assert.ok(E.isRight(entered))
  assert.deepEqual(whereabouts(), before)
  closeProcess(process)
})

test('ten thousand entries leave nothing behind', async t => {
  if (!needsRoot(t)) return
  const sandbox = await startSandbox()
  const before = whereabouts()
  const process = must(openProcess(sandbox.pid))
  const descriptors = readdirSync('/proc/self/fd').length
  for (let i = 0; i < 10_000; i += 1)
    must(inMountNamespaceOf(process, process.root.borrowed, 'test', () => i))
  assert.equal(readdirSync('/proc/self/fd').length, descriptors)
  assert.deepEqual(whereabouts(), before)
  closeProcess(process)
  await sandbox.kill()
})

test('for the host the body runs where we are, with that working directory', t => {
  if (!needsRoot(t)) return
  const before = whereabouts()
  const host = must(openHost())
  const directory = must(resolveIn(host.root.borrowed, '/proc', 'directory', 'test'))
  assert.ok(must(inMountNamespaceOf(host, directory.borrowed, 'test', () => existsSync('self'))))
  directory.close()
  closeProcess(host)
  assert.deepEqual(whereabouts(), before)
})

const network = (): string => readlinkSync('/proc/thread-self/ns/net')

/** A test with a process held whose network is its own. */
const apart = (name: string, body: (process: ProcessHandle, sandbox: Sandbox) => void): void => {
  test(name, async t => {
    if (!needsRoot(t)) return
    const sandbox = await startSandbox(':', { network: 'own' })
    const process = must(openProcess(sandbox.pid))
    const before = [network(), ...whereabouts()]
    try {
      body(process, sandbox)
      assert.deepEqual([network(), ...whereabouts()], before)
    } finally {
      closeProcess(process)
      await sandbox.kill()
    }
  })
}

apart('in its network namespace, the network is that of the process', (process, { pid }) => {
  const inside = must(inNetworkNamespaceOf(process, 'test', network))
  assert.equal(inside, readlinkSync(`/proc/${pid}/ns/net`))
})

apart('a body that throws in another network still comes home', process => {
  const bug = (): never => {
    throw new Error('a bug')
  }
  assert.throws(() => inNetworkNamespaceOf(process, 'test', bug), /a bug/)
})

apart('ten thousand entries of a network leave nothing behind', process => {
  const descriptors = readdirSync('/proc/self/fd').length
  for (let i = 0; i < 10_000; i += 1) must(inNetworkNamespaceOf(process, 'test', () => i))
  assert.equal(readdirSync('/proc/self/fd').length, descriptors)
})

apart('where a network cannot be entered nothing is run', process => {
  let ran = false
  const odd = { ...process, network: { fd: process.root, id: 'no network namespace' } }
  const entered = inNetworkNamespaceOf(odd, 'test', () => {
    ran = true
    return 0
  })
  assert.equal(failureOf(entered).call, 'setns')
  assert.ok(!ran)
})

test('for the host the body runs in our network', t => {
  if (!needsRoot(t)) return
  const host = must(openHost())
  assert.equal(must(inNetworkNamespaceOf(host, 'test', network)), network())
  closeProcess(host)
})
