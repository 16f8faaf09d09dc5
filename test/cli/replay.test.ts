/** `replay` as a person uses it: what it shows, where it stops, what it refuses. */
import assert from 'node:assert/strict'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { inRepository, runBundle, runInPlace, scratchDirectory, spawnBundle } from './support.ts'

const BACKOFF = inRepository('fixtures/recordings/backoff.rec')
const DENIED = inRepository('fixtures/recordings/denied-role.rec')

describe('pv-xconnect replay', () => {
  let scratch: ReturnType<typeof scratchDirectory>
  beforeEach(() => {
    scratch = scratchDirectory()
  })
  afterEach(() => scratch.remove())

  const fileOf = (text: string): string => {
    const path = join(scratch.path, 'file.rec')
    writeFileSync(path, text)
    return path
  }

  test('shows how the links moved, how they are, and that it was so recorded', async () => {
    const { code, out, err } = await runInPlace(['replay', DENIED])
    assert.deepEqual([code, err], [0, ''])
    assert.match(
      out,
      /app\/guest@\/run\/pvx\/guest.sock {2}\(new\) -> pending.blocked {2}\(link.wanted: denied by rule 1/,
    )
    assert.match(out, /\n9 transitions of 2 links in [\d.]+s, as recorded\n$/)
  })

  test('stops where it is told to, and shows the links of that moment', async () => {
    for (const until of ['600', '600ms', '0.6s', '2030-01-01T00:00:00.600Z']) {
      const { code, out } = await runInPlace(['replay', DENIED, '--until', until])
      assert.equal(code, 0)
      assert.match(out, /pending.blocked {3}app\/guest@\S+ {2}denied by rule 1: deny role=guest\n/, until)
      assert.match(out, /as recorded up to there\n$/)
    }
  })

  test('shows one link only', async () => {
    const { out } = await runInPlace(['replay', DENIED, '--link', 'guest'])
    assert.ok(!out.includes('app/raw@'))
    assert.match(out, /\n5 transitions of 1 link in/)
  })

  test('as JSON gives the lines that a recording has', async () => {
    const { out } = await runInPlace(['replay', BACKOFF, '--json'])
    const recorded = readFileSync(BACKOFF, 'utf8')
      .split('\n')
      .filter(line => line.includes('"kind":"transition"'))
    const fields = (line: string): unknown => {
      const { link, from, to, event } = JSON.parse(line)
      return { link, from, to, event }
    }
    assert.deepEqual(out.trim().split('\n').map(fields), recorded.map(fields))
  })

  test('shows a divergence side by side, and ends with 1', async () => {
    const text = readFileSync(DENIED, 'utf8').replace('"to":"pending.blocked"', '"to":"pending.waiting"')
    const { code, out, err } = await runInPlace(['replay', fileOf(text)])
    assert.equal(code, 1)
    assert.match(out, /, not as recorded\n$/)
    assert.match(err, /app\/guest@\/run\/pvx\/guest.sock went another way than was recorded \(line \d+\):\n/)
    assert.match(
      err,
      /\n> +\d+\.\d+ +\(new\) -> pending.waiting \(link.wanted\) +\d+\.\d+ +\(new\) -> pending.blocked \(link.wanted\)\n/,
    )
    assert.match(err, /replayed: denied by rule 1/)
  })

  test('tries a fault out, compares nothing then, and says of one that was never used', async () => {
    const { code, out, err } = await runInPlace([
      'replay',
      DENIED,
      '--fault',
      'link=app/raw,error=TargetOccupied',
      '--fault',
      'link=nobody,effect=teardown,error=PluginFailed',
    ])
    assert.equal(code, 0)
    assert.match(
      out,
      /app\/raw@\S+ {2}injecting.wanted -> pending.blocked {2}\(inject: Left: \S+ exists and is a file\)/,
    )
    assert.match(out, /, with faults\n$/)
    assert.match(err, /a fault was never used: there was no onLinkRemoved of nobody/)
  })

  test('takes a graph alone, also on standard input', async () => {
    const graph = readFileSync(inRepository('fixtures/graphs/specification-example.json'), 'utf8')
    const { code, out } = await runInPlace(['replay', '-'], { stdin: graph })
    assert.equal(code, 0)
    assert.match(out, /\d transitions? of \d links? in 0.0s\n$/)
  })

  test('says that a last line was torn, and of lines that it does not know', async () => {
    const text = readFileSync(BACKOFF, 'utf8')
    const cut = text.slice(0, text.lastIndexOf('"kind"'))
    const torn = await runInPlace(['replay', fileOf(cut)])
    assert.deepEqual([torn.code, /the last line of \S+ is not whole/.test(torn.err)], [0, true])
    const odd = await runInPlace(['replay', fileOf(`${text}{"t":99999,"kind":"odd"}\n`)])
    assert.match(odd.err, /left out of \S+: 1 line of a kind that this version does not know/)
  })

  test('refuses what is no recording, or not there', async () => {
    const none = await runInPlace(['replay', fileOf('hello\n')])
    assert.deepEqual([none.code, /it is no recording: its first line is neither/.test(none.err)], [1, true])
    const absent = await runInPlace(['replay', join(scratch.path, 'absent')])
    assert.deepEqual([absent.code, /cannot be read: ENOENT/.test(absent.err)], [1, true])
  })

  test('refuses what is too large, before it reads it', async () => {
    const file = fileOf('')
    truncateSync(file, 400 * 1024 * 1024)
    const { code, err } = await runInPlace(['replay', file])
    assert.equal(code, 1)
    assert.match(err, /has more than 402\.7 MB, too much to be replayed/)
  })

  test('is told how it is used', async () => {
    for (const args of [
      [],
      ['a', 'b'],
      ['x', '--until', 'noon'],
      ['x', '--speed', '0'],
      ['x', '--fault', 'error=Odd'],
    ]) {
      const { code, err } = await runInPlace(['replay', ...args])
      assert.equal(code, 2, args.join(' '))
      assert.match(err, /See: pv-xconnect help replay/)
    }
    const { out } = await runInPlace(['help', 'replay'])
    assert.match(out, /--fault FAULT\n/)
  })

  test('plays at the speed that was asked for, and ends when it is told to', async () => {
    const slow = spawnBundle(['replay', BACKOFF, '--speed', '0.1'])
    // It listens to SIGINT before it plays.
    await slow.saw(' -> ')
    slow.child.kill('SIGINT')
    const { code, out } = await slow.ended
    assert.equal(code, 0)
    assert.doesNotMatch(out, /released/)
    assert.equal((await runBundle(['replay', BACKOFF, '--speed', '10000'])).code, 0)
  })

  test('waits for Enter before each step, and ends where the input does', async () => {
    const { code, out } = await stepping(3)
    assert.equal(code, 0)
    assert.match(out, /line \d+: graph\n/)
    assert.doesNotMatch(out, /released/)
  })

  const stepping = async (enters: number) => {
    const { spawn } = await import('node:child_process')
    const child = spawn(process.execPath, [inRepository('dist/pv-xconnect.js'), 'replay', BACKOFF, '--step'])
    let out = ''
    child.stdout.on('data', chunk => {
      out += chunk
    })
    child.stdin.end('\n'.repeat(enters))
    const code = await new Promise(resolve => child.once('close', resolve))
    return { code, out }
  }
})
