/** Paths are resolved inside a root that cannot be left, and what is found is used through its descriptor. */
import assert from 'node:assert/strict'
import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OwnedFd } from '../../src/kernel/fd.ts'
import {
  canResolveSafely,
  changeTimeOf,
  isStill,
  makeDirectory,
  openDirectory,
  removeDirectory,
  rename,
  resolveIn,
  statusIn,
  statusOf,
  unlink,
} from '../../src/kernel/files.ts'
import { failureOf, identityOf, leavesNoDescriptors, must } from '../support/descriptors.ts'

let folder: string
let root: OwnedFd

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'pvx-files-'))
  mkdirSync(join(folder, 'etc'))
  mkdirSync(join(folder, 'run'))
  writeFileSync(join(folder, 'etc/passwd'), 'inside')
  symlinkSync('/etc/passwd', join(folder, 'run/absolute'))
  symlinkSync('../../../../../../etc/passwd', join(folder, 'run/upwards'))
  symlinkSync('/etc', join(folder, 'run/etc'))
  symlinkSync('/nowhere', join(folder, 'run/dangling'))
  root = must(openDirectory(folder))
})

// The root stays open to the end: it is counted when the suite starts.
after(() => rmSync(folder, { recursive: true }))

leavesNoDescriptors()

const leadsTo = (path: string, want: Parameters<typeof resolveIn>[2] = 'any'): string => {
  const found = must(resolveIn(root.borrowed, path, want, 'test'))
  const identity = identityOf(found.borrowed)
  found.close()
  return identity
}

const inside = (path: string): string => {
  const { dev, ino } = statSync(join(folder, path))
  return `${dev}/${ino}`
}

test('this machine can resolve safely', () => assert.ok(canResolveSafely()))

test('an absolute symlink stays inside the root', () =>
  assert.equal(leadsTo('/run/absolute'), inside('etc/passwd')))

test('an absolute symlink in a parent stays inside the root', () =>
  assert.equal(leadsTo('/run/etc/passwd'), inside('etc/passwd')))

test('a symlink with more .. than there are levels stays inside the root', () =>
  assert.equal(leadsTo('/run/upwards'), inside('etc/passwd')))

test('.. in the path itself stays inside the root', () =>
  assert.equal(leadsTo('/../../../etc/passwd'), inside('etc/passwd')))

test('a dangling symlink is not found, whatever the host has there', () =>
  assert.equal(failureOf(resolveIn(root.borrowed, '/run/dangling', 'any', 'test')).errno, 'ENOENT'))

test('a magic link of /proc is refused', () => {
  const host = must(openDirectory('/'))
  const path = `/proc/${process.pid}/root/etc`
  assert.equal(failureOf(resolveIn(host.borrowed, path, 'any', 'test')).errno, 'ELOOP')
  host.close()
})

test('unfollowed gives the symlink itself', () => {
  const found = must(resolveIn(root.borrowed, '/run/absolute', 'unfollowed', 'test'))
  assert.equal(must(statusOf(found.borrowed, 'test')).kind, 'symlink')
  found.close()
})

test('a directory may be reached through a symlink, a real directory may not', () => {
  assert.equal(leadsTo('/run/etc', 'directory'), inside('etc'))
  assert.equal(failureOf(resolveIn(root.borrowed, '/run/etc', 'real-directory', 'test')).errno, 'ENOTDIR')
})

test('a file is no directory', () =>
  assert.equal(failureOf(resolveIn(root.borrowed, '/etc/passwd', 'directory', 'test')).errno, 'ENOTDIR'))

test('the error names the subject that it was asked for', () =>
  assert.equal(failureOf(resolveIn(root.borrowed, '/none', 'any', 'consumer app')).subject, 'consumer app'))

test('the kinds of files are told apart without following symlinks', async () => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(join(folder, 'run/socket'), resolve))
  const run = must(resolveIn(root.borrowed, '/run', 'directory', 'test'))
  assert.equal(must(statusIn(run.borrowed, 'socket', 'test')).kind, 'socket')
  assert.equal(must(statusIn(run.borrowed, 'absolute', 'test')).kind, 'symlink')
  assert.equal(must(statusIn(root.borrowed, 'etc', 'test')).kind, 'directory')
  run.close()
  await new Promise(resolve => server.close(resolve))
})

test('a device node is a device', () => {
  const dev = must(openDirectory('/dev'))
  assert.equal(must(statusIn(dev.borrowed, 'null', 'test')).kind, 'device')
  dev.close()
})

test('a name is still the same file until another takes its place', () => {
  writeFileSync(join(folder, 'one'), '')
  const { device, inode } = must(statusIn(root.borrowed, 'one', 'test'))
  const [major, minor] = device.split(':').map(Number)
  const still = (): boolean => isStill(root.borrowed, 'one', BigInt(inode), major ?? -1, minor ?? -1)
  assert.ok(still())
  writeFileSync(join(folder, 'other'), '')
  must(rename(root.borrowed, 'other', 'one', 'replace', 'test'))
  assert.ok(!still())
  must(unlink(root.borrowed, 'one', 'test'))
  assert.ok(!still())
})

const TO_NAMES: Readonly<Record<string, () => void>> = {
  'naming a file': () => writeFileSync(join(folder, 'changing/new'), ''),
  'renaming one': () => renameSync(join(folder, 'changing/new'), join(folder, 'changing/kept')),
  'exchanging two': () => {
    const directory = must(resolveIn(root.borrowed, 'changing', 'directory', 'test'))
    must(rename(directory.borrowed, 'one', 'two', 'exchange', 'test'))
    directory.close()
  },
  'replacing one': () => renameSync(join(folder, 'changing/one'), join(folder, 'changing/two')),
  'removing one': () => unlinkSync(join(folder, 'changing/two')),
}

test('what is done to its names shows as a change of the directory', async () => {
  mkdirSync(join(folder, 'changing'))
  for (const name of ['one', 'two']) writeFileSync(join(folder, 'changing', name), '')
  const directory = must(resolveIn(root.borrowed, 'changing', 'directory', 'test'))
  for (const [what, change] of Object.entries(TO_NAMES)) {
    const before = changeTimeOf(directory.borrowed)
    assert.notEqual(before, undefined)
    assert.deepEqual(changeTimeOf(directory.borrowed), before, 'a look is no change')
    // Longer than the clock of a file system stands still.
    await sleep(30)
    change()
    assert.notDeepEqual(changeTimeOf(directory.borrowed), before, what)
  }
  directory.close()
})

test('a rename that keeps refuses a name that is taken', () => {
  writeFileSync(join(folder, 'from'), '')
  writeFileSync(join(folder, 'to'), 'kept')
  assert.equal(failureOf(rename(root.borrowed, 'from', 'to', 'keep', 'test')).errno, 'EEXIST')
  assert.equal(statSync(join(folder, 'to')).size, 4)
})

test('a directory has the mode it is made with, whatever the umask', () => {
  const before = process.umask(0o077)
  must(makeDirectory(root.borrowed, 'made', 0o755, 'test'))
  assert.equal(process.umask(before), 0o077, 'the umask is put back')
  assert.equal(statSync(join(folder, 'made')).mode & 0o777, 0o755)
  must(removeDirectory(root.borrowed, 'made', 'test'))
})
