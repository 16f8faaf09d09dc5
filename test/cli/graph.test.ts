import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { displayWidth } from '../../src/cli/render.ts'
import { inRepository, runInPlace, scratchDirectory } from './support.ts'

const GOOD = inRepository('fixtures/examples/two-containers.json')
const ONE_BAD = inRepository('fixtures/examples/one-bad-entry.json')
const NO_ARRAY = inRepository('fixtures/examples/not-an-array.json')

describe('graph from a file', () => {
  test('is shown as a table with what is down and what is the host', async () => {
    const { code, out, err } = await runInPlace(['graph', GOOD])
    assert.equal(code, 0)
    assert.equal(err, '')
    const [header = '', ...rows] = out.trimEnd().split('\n')
    assert.match(header, /^CONSUMER +PID +TYPE +NAME +TARGET +PROVIDER +PID +SOCKET +ROLE +INTERFACE$/)
    assert.equal(rows.length, 3)
    assert.match(rows[1] ?? '', /^app +4211 +unix +pv-ctrl +\/run\/pv-ctrl\.sock +_pv_ +host /)
    assert.match(rows[2] ?? '', /^web +down .* \/tmp\/pvx_web_network-manager\.sock +network +4187 /)
  })

  test('fits the terminal', async () => {
    const { out } = await runInPlace(['graph', GOOD], { columns: 110 })
    for (const line of out.split('\n')) assert.ok(displayWidth(line) <= 110, line)
  })

  test('shows what is rejected, why, and what is not; and ends with 1', async () => {
    const { code, out } = await runInPlace(['graph', ONE_BAD])
    assert.equal(code, 1)
    assert.match(out, /^app .*network-manager/m)
    assert.match(out, /1 entry rejected/)
    assert.match(out, /^1 +target: /m)
  })

  test('as JSON has every field, and the rejected entries', async () => {
    const { code, out } = await runInPlace(['graph', ONE_BAD, '--json'])
    assert.equal(code, 1)
    const graph = JSON.parse(out) as { links: { role: string }[]; rejected: { index: number }[] }
    assert.equal(graph.links.length, 1)
    assert.equal(graph.links[0]?.role, 'any')
    assert.deepEqual(
      graph.rejected.map(({ index }) => index),
      [1],
    )
  })

  test('that is no array ends with 1 and says what it is', async () => {
    const { code, out, err } = await runInPlace(['graph', NO_ARRAY])
    assert.equal(code, 1)
    assert.equal(out, '')
    assert.match(err, /not-an-array\.json cannot be used: .*array/)
  })

  test('that is not there ends with 1 and names it', async () => {
    const { code, err } = await runInPlace(['graph', '/nonexistent/graph.json'])
    assert.equal(code, 1)
    assert.match(err, /\/nonexistent\/graph\.json cannot be read: ENOENT/)
  })

  test('may come from standard input, and may be empty', async () => {
    const { code, out } = await runInPlace(['graph', '-'], { stdin: '[]' })
    assert.equal(code, 0)
    assert.equal(out, 'The graph has no links.\n')
  })

  test('holds the limits it is given', async () => {
    const { code, err } = await runInPlace(['graph', GOOD, '--max-graph-links', '1'])
    assert.equal(code, 1)
    assert.match(err, /3 links, more than 1/)
  })

  test('cannot move the cursor by a name in it', async () => {
    const { out } = await runInPlace(['graph', '-'], { stdin: '["\\u001b[2J"]' })
    assert.equal(out.includes('\x1b'), false)
  })
})

describe('graph from Pantavisor', () => {
  const scratch = scratchDirectory()
  const path = join(scratch.path, 'pv-ctrl')
  let server: Server

  before(async () => {
    server = createServer((_, response) => response.end(readFileSync(GOOD)))
    await new Promise<void>(resolve => server.listen(path, resolve))
  })
  after(() => {
    server.close()
    scratch.remove()
  })

  test('is fetched from the socket that is named, by flag or variable', async () => {
    const fromFile = await runInPlace(['graph', GOOD])
    assert.deepEqual(await runInPlace(['graph', '--pv-ctrl', path]), fromFile)
    assert.deepEqual(await runInPlace(['graph'], { variables: { PV_XCONNECT_PV_CTRL: path } }), fromFile)
  })

  test('that does not answer ends with 1 and says what to do', async () => {
    const absent = join(scratch.path, 'absent')
    const { code, err } = await runInPlace(['graph', '--pv-ctrl', absent])
    assert.equal(code, 1)
    assert.ok(err.includes(`${absent} does not answer: ENOENT`), err)
    assert.match(err, /Is Pantavisor running\?/)
  })
})
