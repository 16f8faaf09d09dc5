/** What the accounts of a root say about names and roles. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { accountsOf, gidNamed, uidNamed, userOf } from '../../src/model/accounts.ts'

const PASSWD = Buffer.from(`root:x:0:0:root:/root:/bin/sh
+nis
-gone:x:7:7::/:
# a comment
short:x:8
letters:x:abc:1::/:
huge:x:4294967295:1::/:
any:x:900:901::/:/bin/false
web:x:1000:1000::/:
again:x:1000:7::/:
web:x:2000:2000::/:
`)

const GROUP = Buffer.from(`root:x:0:
audio:x:29:web,again
video:x:44:other,web
empty:x:50
bad:x:-1:web
web:x:1000:web
`)

const ACCOUNTS = accountsOf(PASSWD, GROUP)

describe('the accounts of a root', () => {
  test('malformed lines, and those of name services, count for nothing', () => {
    assert.deepEqual(
      ACCOUNTS.users.map(({ name }) => name),
      ['root', 'any', 'web', 'again', 'web'],
    )
    assert.deepEqual(
      ACCOUNTS.groups.map(({ name }) => name),
      ['root', 'audio', 'video', 'empty', 'web'],
    )
  })

  test('of two lines with a name the first one counts', () => {
    assert.equal(uidNamed(ACCOUNTS, 'web'), 1000)
    assert.equal(gidNamed(ACCOUNTS, 'audio'), 29)
    assert.equal(uidNamed(ACCOUNTS, 'nis'), undefined)
  })

  test('a role that is a name has the ids and groups of its line', () => {
    assert.deepEqual(userOf(ACCOUNTS, 'web', null), {
      uid: 1000,
      gid: 1000,
      groups: [1000, 29, 44],
      source: 'passwd',
    })
  })

  test('a role without a name is "any"', () => {
    assert.deepEqual(userOf(ACCOUNTS, '', null), { uid: 900, gid: 901, groups: [901], source: 'passwd' })
  })

  test('a role in digits is that uid, with the groups of its first line', () => {
    assert.deepEqual(userOf(ACCOUNTS, '1000', null), {
      uid: 1000,
      gid: 1000,
      groups: [1000, 29, 44],
      source: 'numeric role',
    })
  })

  test('a uid counts before the role', () => {
    assert.deepEqual(userOf(ACCOUNTS, 'web', 0), { uid: 0, gid: 0, groups: [0], source: 'uid' })
  })

  test('who has no line is nobody, or has no groups', () => {
    const nobody = { uid: 65534, gid: 65534, groups: [65534] }
    assert.deepEqual(userOf(ACCOUNTS, 'missing', null), { ...nobody, source: 'nobody' })
    assert.deepEqual(userOf(ACCOUNTS, '4294967295', null), { ...nobody, source: 'nobody' })
    assert.deepEqual(userOf(ACCOUNTS, '31337', null), { ...nobody, uid: 31337, source: 'numeric role' })
  })

  test('bytes that are no text spoil no other line', () => {
    const odd = Buffer.concat([Buffer.from([0xff, 0xfe, 0x0a]), PASSWD])
    assert.equal(uidNamed(accountsOf(odd), 'root'), 0)
  })
})
