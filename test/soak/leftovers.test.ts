/** What counts as left behind in a container that has no link any more. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { leftIn } from './leftovers.ts'
import type { Node } from './site.ts'

const TARGETS = ['/run/pvx/deep/a.sock', '/tmp/b.sock']

const node = (path: string, kind: Node['kind'] = 'socket', inode = '1'): Node => ({ path, kind, inode })

const site = (keepsFolders = false, orphans: readonly (readonly [string, string])[] = []) => ({
  keepsFolders,
  orphans: new Map(orphans),
})

describe('what is left behind', () => {
  it('is a socket at a target, or one under a name that only the daemon gives', () => {
    const nodes = [node('/tmp/b.sock'), node('/run/.pvx-1f', 'socket'), node('/run/own.sock')]
    assert.deepEqual(leftIn(nodes, TARGETS, site()), ['/tmp/b.sock (socket)', '/run/.pvx-1f (socket)'])
  })

  it('is a folder that was made for a target, and none that was there before', () => {
    const nodes = ['/run', '/tmp', '/run/pvx', '/run/pvx/deep', '/run/other'].map(path =>
      node(path, 'directory'),
    )
    assert.deepEqual(leftIn(nodes, TARGETS, site()), ['/run/pvx (directory)', '/run/pvx/deep (directory)'])
  })

  it('is no folder where the container had something of its own in it', () => {
    assert.deepEqual(leftIn([node('/run/pvx', 'directory')], TARGETS, site(true)), [])
    assert.equal(leftIn([node('/tmp/b.sock')], TARGETS, site(true)).length, 1)
  })

  it('is not what a killed daemon left, but what its successor put in that place', () => {
    const killed = site(false, [['/tmp/b.sock', '7']])
    assert.deepEqual(leftIn([node('/tmp/b.sock', 'socket', '7')], TARGETS, killed), [])
    assert.equal(leftIn([node('/tmp/b.sock', 'socket', '8')], TARGETS, killed).length, 1)
  })
})
