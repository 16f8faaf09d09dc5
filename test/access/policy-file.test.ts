/** The policy in force while its file comes, changes and goes. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { openPolicyFile } from '../../src/access/policy-file.ts'
import { ALLOW_ALL } from '../../src/access/verdict.ts'

const DENY_DRM = { default: 'allow', rules: [{ effect: 'deny', type: 'drm' }] }

describe('the policy file', () => {
  let folder: string
  let path: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'policy-'))
    path = join(folder, 'policy.json')
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  it('absent, allows what Pantavisor assigned', () => {
    const { file, problem } = openPolicyFile(path)
    assert.equal(problem, undefined)
    assert.deepEqual(file.current(), ALLOW_ALL)
  })

  it('is in force from the start', () => {
    writeFileSync(path, JSON.stringify(DENY_DRM))
    assert.deepEqual(openPolicyFile(path).file.current(), DENY_DRM)
  })

  it('malformed at the start, admits nothing', () => {
    writeFileSync(path, '{"rules":[')
    const { file, problem } = openPolicyFile(path)
    assert.equal(problem?._tag, 'PolicyMalformed')
    assert.deepEqual(file.current(), { default: 'deny', rules: [] })
  })

  it('that cannot be read at the start, admits nothing', () => {
    mkdirSync(path)
    const { file, problem } = openPolicyFile(path)
    assert.deepEqual(problem, { _tag: 'PolicyUnreadable', path, errno: 'EISDIR' })
    assert.equal(file.current().default, 'deny')
  })

  it('malformed later, leaves the last good one in force', () => {
    writeFileSync(path, JSON.stringify(DENY_DRM))
    const { file } = openPolicyFile(path)
    writeFileSync(path, '{"default":"denny"}')
    assert.equal(file.reload()?._tag, 'PolicyMalformed')
    assert.deepEqual(file.current(), DENY_DRM)
  })

  it('tells what keeps it from being taken, and what is in force meanwhile', () => {
    writeFileSync(path, '')
    const { file } = openPolicyFile(path)
    assert.equal(file.finding().reason, 'PolicyMalformed')
    assert.match(file.finding().message, /is no policy: .*; no link is admitted$/)
    writeFileSync(path, JSON.stringify(DENY_DRM))
    file.reload()
    assert.deepEqual(file.finding(), { type: 'PolicyValid', status: 'True', reason: 'Taken', message: '' })
    writeFileSync(path, '')
    file.reload()
    assert.equal(file.finding().status, 'False')
    assert.match(file.finding().message, /; the last good policy stays in force$/)
  })

  it('mended after a malformed start, is in force', () => {
    writeFileSync(path, '')
    const { file } = openPolicyFile(path)
    writeFileSync(path, JSON.stringify(DENY_DRM))
    assert.equal(file.reload(), undefined)
    assert.deepEqual(file.current(), DENY_DRM)
  })

  it('removed, allows again what Pantavisor assigned', () => {
    writeFileSync(path, JSON.stringify(DENY_DRM))
    const { file } = openPolicyFile(path)
    rmSync(path)
    assert.equal(file.reload(), undefined)
    assert.deepEqual(file.current(), ALLOW_ALL)
  })

  it('that is huge, is malformed', () => {
    writeFileSync(path, ' '.repeat(1024 * 1024 + 1))
    assert.equal(openPolicyFile(path).problem?._tag, 'PolicyMalformed')
  })
})
