import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { DAEMON_OPTIONS } from '../../src/cli/options.ts'
import { inRepository, runBundle, runInPlace } from './support.ts'

const VERBS = ['daemon', 'links', 'describe', 'graph', 'serve', 'demo', 'version']

describe('verbs', () => {
  test('an unknown one ends with 2 and names the nearest', async () => {
    const { code, out, err } = await runInPlace(['grahp'])
    assert.equal(code, 2)
    assert.equal(out, '')
    assert.match(err, /unknown command grahp; did you mean graph\?/)
  })

  test('flags alone are the daemon’s', async () => {
    const { code, err } = await runInPlace(['--intervall', '5'])
    assert.equal(code, 2)
    assert.match(err, /pv-xconnect daemon: unknown option --intervall; did you mean --interval\?/)
  })

  test('a verb behind its flags is told to come first', async () => {
    const { code, err } = await runInPlace(['--json', 'graph'])
    assert.equal(code, 2)
    assert.match(err, /graph comes first/)
  })

  test('each refuses an unknown option with 2 before it does anything', async () => {
    for (const verb of VERBS) {
      const { code, err } = await runInPlace([verb, '--definitely-not'])
      assert.equal(code, 2, verb)
      assert.match(err, /unknown option --definitely-not/)
      assert.match(err, new RegExp(`See: pv-xconnect help ${verb}`))
    }
  })

  test('a missing operand and one too many end with 2', async () => {
    assert.equal((await runInPlace(['serve'])).code, 2)
    assert.equal((await runInPlace(['serve', 'a', 'b'])).code, 2)
    assert.equal((await runInPlace(['graph', 'a', 'b'])).code, 2)
    assert.equal((await runInPlace(['version', 'a'])).code, 2)
  })
})

describe('help', () => {
  test('lists every verb, by every way to ask for it', async () => {
    const { code, out } = await runInPlace(['--help'])
    assert.equal(code, 0)
    for (const verb of VERBS) assert.match(out, new RegExp(`^ {2}${verb} `, 'm'))
    for (const args of [['-h'], ['help'], ['help', '--help']]) assert.equal((await runInPlace(args)).out, out)
  })

  test('of a verb is the same by every way to ask for it, and fits 100 columns', async () => {
    for (const verb of VERBS) {
      const { code, out } = await runInPlace(['help', verb])
      assert.equal(code, 0)
      assert.match(out, new RegExp(`^Usage: pv-xconnect ${verb}`))
      for (const line of out.split('\n')) assert.ok(line.length <= 100, line)
      assert.equal((await runInPlace([verb, '--help'])).out, out)
      assert.equal((await runInPlace([verb, '--definitely-not', '-h'])).out, out)
    }
  })

  test('of the daemon has every option with its variable and default', async () => {
    const { out } = await runInPlace(['help', 'daemon'])
    for (const { flag, variable } of DAEMON_OPTIONS) {
      assert.ok(out.includes(`--${flag}`), flag)
      assert.ok(out.includes(`[${variable}]`), variable ?? flag)
    }
  })

  test('of something unknown ends with 2', async () => {
    assert.equal((await runInPlace(['help', 'serv'])).code, 2)
  })
})

describe('the bundle', () => {
  test('shows its version, by verb and by flag', async () => {
    const { version } = JSON.parse(readFileSync(inRepository('package.json'), 'utf8')) as { version: string }
    const byVerb = await runBundle(['version'])
    assert.equal(byVerb.code, 0)
    assert.ok(byVerb.out.startsWith(`pv-xconnect ${version} (node ${process.versions.node}`), byVerb.out)
    assert.equal((await runBundle(['--version'])).out, byVerb.out)
  })

  test('writes help to standard output and mistakes to standard error, with their exit codes', async () => {
    const helped = await runBundle(['--help'])
    assert.equal(helped.code, 0)
    assert.equal(helped.err, '')
    const refused = await runBundle([], { PV_XCONNECT_INTERVAL: 'often' })
    assert.equal(refused.code, 2)
    assert.equal(refused.out, '')
    assert.match(refused.err, /variable PV_XCONNECT_INTERVAL is "often"/)
  })
})
