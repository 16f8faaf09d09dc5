/** What the kernel says of cgroups, read as it means it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { covers, directoryOf, groupsIn, hierarchiesIn, spelled } from '../../src/toolbox/cgroup-format.ts'

describe('the groups of a process', () => {
  for (const [what, text, devices, unified] of [
    ['of version 1', '5:devices:/lxc/app\n4:memory:/other\n', '/lxc/app', undefined],
    ['of both', '12:cpu,devices:/a:b\n1:name=systemd:/x\n0::/lxc.payload.app\n', '/a:b', '/lxc.payload.app'],
    ['of version 2', '0::/app\n', undefined, '/app'],
    ['with a hierarchy that is only called so', '3:name=devices:/x\n', undefined, undefined],
    ['of a kernel without', '', undefined, undefined],
  ] as const) {
    test(`${what} are found`, () => assert.deepEqual(groupsIn(text), { devices, unified }))
  }
})

const MOUNTS = `24 1 0:22 / /sys rw - sysfs sysfs rw
30 24 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
31 24 0:27 /lxc /mnt/part rw - cgroup cgroup rw,devices
32 24 0:27 / /sys/fs/cgroup/de\\040vices rw,relatime shared:9 master:1 - cgroup cgroup rw,devices
33 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`

describe('the hierarchies', () => {
  test('are those that show most, wherever they are mounted', () => {
    assert.deepEqual(hierarchiesIn(MOUNTS), {
      devices: { root: '/', mountPoint: '/sys/fs/cgroup/de vices' },
      unified: { root: '/', mountPoint: '/sys/fs/cgroup/unified' },
    })
  })

  for (const [root, group, directory] of [
    ['/', '/', '/m'],
    ['/', '/lxc/app', '/m/lxc/app'],
    ['/lxc', '/lxc', '/m'],
    ['/lxc', '/lxc/app', '/m/app'],
    ['/lxc', '/lxcfs/app', undefined],
    ['/lxc', '/', undefined],
    ['/', '/../app', undefined],
    ['/', '/app/../../etc', undefined],
    ['/', '/app..', '/m/app..'],
  ] as const) {
    test(`that begin with ${root} show ${group} as ${directory}`, () =>
      assert.equal(directoryOf({ root, mountPoint: '/m' }, group), directory))
  }

  test('never lead out of their mount point, and no text makes reading them throw', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (root, group, text) => {
        groupsIn(text)
        hierarchiesIn(text)
        const directory = directoryOf({ root: `/${root}`, mountPoint: '/m' }, `/${group}`)
        assert.ok(
          directory === undefined || (directory.startsWith('/m') && !directory.split('/').includes('..')),
        )
      }),
    )
  })
})

const CARD = { type: 'character', major: 226, minor: 0 } as const

describe('a list of devices', () => {
  for (const [list, covered] of [
    ['a *:* rwm\n', true],
    ['c *:* rwm', true],
    ['c 226:* rw', true],
    ['c 226:0 rwm', true],
    ['c 1:3 rwm\nc 226:0 rw\n', true],
    ['c 226:0 r\nc 226:0 w\n', false],
    ['c 226:0 rm', false],
    ['c 226:1 rw', false],
    ['c 22:0 rw', false],
    ['b 226:0 rw', false],
    ['b *:* rwm', false],
    ['', false],
    ['c 226:0 rw extra', false],
  ] as const) {
    test(`${JSON.stringify(list)} ${covered ? 'covers' : 'does not cover'} ${spelled(CARD)}`, () =>
      assert.equal(covers(list, CARD), covered))
  }

  test('covers what was written into it', () => {
    fc.assert(
      fc.property(
        fc.nat(4095),
        fc.nat(1_048_575),
        fc.constantFrom('character' as const, 'block' as const),
        (major, minor, type) => {
          const device = { type, major, minor }
          assert.ok(covers(`c 1:3 rwm\n${spelled(device)} rw\n`, device))
          assert.ok(!covers(`${spelled({ ...device, minor: minor + 1 })} rw`, device))
        },
      ),
    )
  })
})
