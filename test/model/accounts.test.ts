/** Whom a role stands for, by texts that a container wrote. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { accountOfRole, NOBODY } from '../../src/model/accounts.ts'

const PASSWD = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1::/:/bin/false
+nis:x:77:77::/:
-minus:x:78:78::/:
#off:x:79:79::/:
broken line
short:x
letters:x:1a:5::/:
huge:x:4294967295:5::/:
camera:x:1001:44:Camera,,,:/home/camera:/bin/sh
twin:x:1001:99::/:
camera:x:2002:55::/:
7:x:3003:33::/:`

const GROUP = `root:x:0:
video:x:44:other
audio:x:29:camera,other
+:x:30:camera
dial:x:20:other,camera
again:x:29:camera
bad:x:-1:camera
nobody-in:x:31`

const of = (role: string, uid: number | null = null, files = { passwd: PASSWD, group: GROUP }) =>
  accountOfRole(role, uid, files)

const nobody = (uid: number, source: string) => ({
  uid,
  gid: NOBODY,
  groups: [NOBODY],
  supplementary: [],
  source,
})

describe('the user of a role', () => {
  test('is the first one of that name, with its groups', () => {
    const groups = [44, 29, 20]
    assert.deepEqual(of('camera'), { uid: 1001, gid: 44, groups, supplementary: groups, source: 'passwd' })
  })

  test('is the number that a role is, with the groups of the first user who has it', () => {
    const { uid, gid, groups, source } = of('1001')
    assert.deepEqual([uid, gid, groups, source], [1001, 44, [44, 29, 20], 'numeric role'])
  })

  test('is the number even if somebody is called so', () => {
    assert.deepEqual(of('7'), nobody(7, 'numeric role'))
    assert.deepEqual(of('007'), nobody(7, 'numeric role'))
  })

  test('is what the graph says before all else', () => {
    assert.deepEqual(of('camera', 5), nobody(5, 'uid'))
    assert.equal(of('camera', 0).gid, 0)
  })

  for (const role of [
    'any',
    '',
    'missing',
    '+nis',
    '-minus',
    '#off',
    'broken line',
    'short',
    'letters',
    'huge',
  ]) {
    test(`is nobody for ${JSON.stringify(role)}`, () => {
      assert.deepEqual(of(role), nobody(NOBODY, 'nobody'))
    })
  }

  for (const role of ['4294967295', '99999999999', '-1', '1.0', '0x10', ' 1', '١'])
    test(`is no number for ${JSON.stringify(role)}`, () => {
      assert.deepEqual(of(role), nobody(NOBODY, 'nobody'))
    })

  test('is found in files without a last newline, with carriage returns, or with nothing', () => {
    const passwd = 'a:x:5:6::/:\r\nb:x:7:8'
    assert.equal(of('a', null, { passwd, group: '' }).uid, 5)
    assert.equal(of('b', null, { passwd, group: '' }).gid, 8)
    assert.equal(of('a', null, { passwd: '', group: '' }).uid, NOBODY)
  })

  test('is found quickly at the end of a megabyte of anything', () => {
    const passwd = `${'a:b:c\n'.repeat(170_000)}last:x:9:9::/:`
    const began = performance.now()
    assert.equal(of('last', null, { passwd, group: 'x:x:1:y\n'.repeat(130_000) }).uid, 9)
    assert.ok(performance.now() - began < 10_000)
  })
})
