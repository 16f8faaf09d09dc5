/** Device nodes, mounts of single files, and the question which programs judge devices: on the real kernel. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { devicePrograms } from '../../src/kernel/bpf.ts'
import { makeNode, nodesOpenIn } from '../../src/kernel/devices.ts'
import type { BorrowedFd } from '../../src/kernel/fd.ts'
import { makeFile, openDirectory, resolveIn, setMode, setOwner, statusIn } from '../../src/kernel/files.ts'
import { attachOn, detachIn, mountOf } from '../../src/kernel/mounts.ts'
import { closeProcess, openHost } from '../../src/kernel/process.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { hasUnifiedCgroups, openJudgedGroup } from '../support/device-cgroup.ts'
import { numberOf } from '../support/nodes.ts'
import { needsRoot } from '../support/privileges.ts'
import { opensTheWayHome } from '../support/sandbox.ts'

opensTheWayHome()
leavesNoDescriptors()

const withFolder = (t: TestContext, body: (folder: string) => void): void => {
  if (!needsRoot(t)) return
  const folder = mkdtempSync(join(tmpdir(), 'pvx-devices-'))
  try {
    body(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const inFolder = <A>(folder: string, body: (fd: BorrowedFd) => A): A => {
  const directory = must(openDirectory(folder))
  try {
    return body(directory.borrowed)
  } finally {
    directory.close()
  }
}

describe('a node', () => {
  for (const [major, minor] of [
    [1, 3],
    [226, 0],
    [226, 128],
    [226, 255],
    [226, 256],
    [255, 65_536],
    [4095, 1_048_575],
  ] as const) {
    test(`of ${major}:${minor} is one, with no right for anybody`, t =>
      withFolder(t, folder => {
        inFolder(folder, fd => {
          must(makeNode(fd, 'node', { type: 'character', major, minor }, 'test'))
          const { node, mode, kind } = must(statusIn(fd, 'node', 'test'))
          assert.deepEqual([node, mode, kind], [{ type: 'character', major, minor }, 0, 'device'])
        })
        assert.equal(numberOf(join(folder, 'node')), `${major}:${minor}`)
      }))
  }

  test('has the owner and mode that it is given, whatever the umask', t =>
    withFolder(t, folder => {
      const before = process.umask(0o777)
      inFolder(folder, fd => {
        must(makeNode(fd, 'node', { type: 'character', major: 226, minor: 0 }, 'test'))
        const file = must(resolveIn(fd, 'node', 'unfollowed', 'test'))
        must(setOwner(file.borrowed, 7, 44, 'test'))
        must(setMode(file.borrowed, 0o660, 'test'))
        file.close()
      })
      process.umask(before)
      const { uid, gid, mode } = statSync(join(folder, 'node'))
      assert.deepEqual([uid, gid, mode & 0o7777], [7, 44, 0o660])
    }))

  test('is not made where something has the name', t =>
    withFolder(t, folder => {
      writeFileSync(join(folder, 'taken'), 'kept')
      inFolder(folder, fd => {
        const device = { type: 'character', major: 1, minor: 3 } as const
        assert.equal(failureOf(makeNode(fd, 'taken', device, 'test')).errno, 'EEXIST')
        assert.equal(failureOf(makeFile(fd, 'taken', 'test')).errno, 'EEXIST')
      })
      assert.equal(readFileSync(join(folder, 'taken'), 'utf8'), 'kept')
    }))
})

describe('whether nodes open in a folder', () => {
  for (const [option, opens] of [
    ['dev', true],
    ['nodev', false],
  ] as const) {
    test(`is told by a mount with ${option}, and nothing is left`, t =>
      withFolder(t, folder => {
        const on = join(folder, 'on')
        mkdirSync(on)
        execFileSync('mount', ['-t', 'tmpfs', '-o', option, 'none', on])
        try {
          inFolder(on, fd => assert.equal(must(nodesOpenIn(fd, '.probe', 'test')), opens))
          assert.deepEqual(readdirSync(on), [])
        } finally {
          execFileSync('umount', [on])
        }
      }))
  }

  test('cannot be told where nothing can be written', t =>
    withFolder(t, folder => {
      const on = join(folder, 'on')
      mkdirSync(on)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', on])
      try {
        inFolder(on, fd => assert.equal(failureOf(nodesOpenIn(fd, '.probe', 'test')).errno, 'EROFS'))
      } finally {
        execFileSync('umount', [on])
      }
    }))
})

describe('a mount of a file', () => {
  test('shows it on another, and is taken away again', t =>
    withFolder(t, folder => {
      writeFileSync(join(folder, 'shown'), 'shown')
      writeFileSync(join(folder, 'below'), 'below')
      inFolder(folder, fd => {
        const [shown, below] = ['shown', 'below'].map(name => must(resolveIn(fd, name, 'unfollowed', 'test')))
        assert.ok(shown !== undefined && below !== undefined)
        const mount = must(mountOf(shown.borrowed, 'test'))
        must(attachOn(mount.borrowed, below.borrowed, 'test'))
        assert.equal(readFileSync(join(folder, 'below'), 'utf8'), 'shown')
        const host = must(openHost())
        must(detachIn(host, fd, 'below', 'test'))
        assert.equal(failureOf(detachIn(host, fd, 'below', 'test')).errno, 'EINVAL')
        closeProcess(host)
        for (const file of [shown, below, mount]) file.close()
      })
      assert.equal(readFileSync(join(folder, 'below'), 'utf8'), 'below')
    }))

  test('that is never attached goes with its descriptor', t =>
    withFolder(t, folder => {
      writeFileSync(join(folder, 'shown'), '')
      inFolder(folder, fd => {
        const shown = must(resolveIn(fd, 'shown', 'unfollowed', 'test'))
        must(mountOf(shown.borrowed, 'test')).close()
        shown.close()
      })
      assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(folder))
    }))
})

describe('the programs of a group', () => {
  test('are counted, those of the groups above too', t => {
    if (!needsRoot(t) || !hasUnifiedCgroups(t)) return
    const group = openJudgedGroup('test/support/attach-device-program.py')
    const child = join(group.directory, 'child')
    mkdirSync(child)
    try {
      for (const [directory, count] of [
        [group.directory, 1],
        [child, 1],
        [join(group.directory, '..'), 0],
      ] as const) {
        inFolder(directory, fd => assert.equal(must(devicePrograms(fd, 'test')), count))
      }
      inFolder('/', fd => assert.equal(failureOf(devicePrograms(fd, 'test'))._tag, 'SyscallError'))
    } finally {
      group.remove()
    }
    assert.ok(!existsSync(child))
  })
})
