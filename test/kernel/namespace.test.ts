/** Into another mount or network namespace and home again, or being another owner, whatever happens in between. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  promises,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { E } from '../../src/fp.ts'
import { resolveIn } from '../../src/kernel/files.ts'
import { creatingAs, inMountNamespaceOf, inNetworkNamespaceOf } from '../../src/kernel/namespace.ts'
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

/** Who this thread is: real, effective, saved and file system ids, and what it may do. */
const identity = (): readonly string[] =>
  readFileSync('/proc/thread-self/status', 'utf8')
    .split('\n')
    .filter(line => /^(Uid|Gid|CapEff|CapPrm):/.test(line))

const OWNER = { uid: 100_000, gid: 200_000 }

test('files are created as the owner that was asked for, by a thread that may do all it could before', t => {
  if (!needsRoot(t)) return
  const before = identity()
  const folder = mkdtempSync(join(tmpdir(), 'pvx-owner-'))
  const inside = creatingAs(OWNER, () => {
    writeFileSync(join(folder, 'file'), '')
    mkdirSync(join(folder, 'folder'))
    return identity()
  })
  assert.deepEqual(inside, [
    `Uid:\t0\t0\t0\t${OWNER.uid}`,
    `Gid:\t0\t0\t0\t${OWNER.gid}`,
    ...before.filter(line => line.startsWith('Cap')),
  ])
  for (const name of ['file', 'folder']) {
    const { uid, gid } = statSync(join(folder, name))
    assert.deepEqual({ uid, gid }, OWNER)
  }
  rmSync(folder, { recursive: true })
  assert.deepEqual(identity(), before)
})

test('after a body that fails, or throws, the thread is who it was', t => {
  if (!needsRoot(t)) return
  const before = identity()
  assert.equal(failureOf(creatingAs(OWNER, () => E.left('failed'))), 'failed')
  assert.deepEqual(identity(), before)
  assert.throws(
    () =>
      creatingAs(OWNER, () => {
        throw new Error('a bug')
      }),
    /a bug/,
  )
  assert.deepEqual(identity(), before)
})

test('capabilities are lost again with the next change of ids: the rule that was lifted is back', t => {
  if (!needsRoot(t)) return
  creatingAs(OWNER, () => 0)
  const ended = spawnSync('setpriv', ['--dump'], { encoding: 'utf8' })
  assert.match(ended.stdout, /Securebits: \[none\]/)
})

test('nobody changes for the root of the host', t => {
  if (!needsRoot(t)) return
  const before = identity()
  assert.deepEqual(creatingAs({ uid: 0, gid: 0 }, identity), before)
})

test('a namespace can be entered as another owner, and left', t => {
  if (!needsRoot(t)) return
  const before = [...whereabouts(), ...identity()]
  const host = must(openHost())
  assert.ok(E.isRight(creatingAs(OWNER, () => inMountNamespaceOf(host, host.root.borrowed, 'test', () => 0))))
  closeProcess(host)
  assert.deepEqual([...whereabouts(), ...identity()], before)
})
