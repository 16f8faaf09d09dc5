import assert from 'node:assert/strict'
import { existsSync, lstatSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import {
  ask,
  inRepository,
  type Ran,
  runBundle,
  type Spawned,
  scratchDirectory,
  spawnBundle,
} from './support.ts'

const GOOD = readFileSync(inRepository('fixtures/examples/two-containers.json'), 'utf8')

describe('serve', () => {
  let scratch: ReturnType<typeof scratchDirectory>
  let file: string
  let path: string
  let running: Spawned[]

  beforeEach(() => {
    scratch = scratchDirectory()
    file = join(scratch.path, 'graph.json')
    path = join(scratch.path, 'pv-ctrl')
    running = []
    writeFileSync(file, GOOD)
  })
  afterEach(async () => {
    for (const { child } of running) child.kill('SIGKILL')
    await Promise.all(running.map(({ ended }) => ended))
    scratch.remove()
  })

  const serving = async (): Promise<Spawned> => {
    const server = spawnBundle(['serve', file, '--pv-ctrl', path])
    running.push(server)
    await server.saw('serving')
    return server
  }

  const refusedAt = (): Promise<Ran> => runBundle(['serve', file, '--pv-ctrl', path])

  test('answers what the file holds, with its length, and nothing else', async () => {
    await serving()
    const answer = await ask(path, '/xconnect-graph')
    assert.equal(answer.status, 200)
    assert.equal(answer.body, GOOD)
    assert.equal(answer.headers['content-type'], 'application/json')
    assert.equal(answer.headers['content-length'], String(Buffer.byteLength(GOOD)))
    assert.equal((await ask(path, '/containers')).status, 404)
    assert.equal((await ask(path, '/xconnect-graph', 'POST')).status, 405)
  })

  test('follows the file and says whether it can be understood', async () => {
    const server = await serving()
    assert.match(server.out(), /graph\.json: 3 links\n/)
    writeFileSync(file, '[]')
    assert.equal((await ask(path, '/xconnect-graph')).body, '[]')
    await server.saw('graph.json: 0 links')
    writeFileSync(file, '[{}]')
    await ask(path, '/xconnect-graph')
    await server.saw('entry 0 is rejected')
    writeFileSync(file, '{')
    assert.equal((await ask(path, '/xconnect-graph')).body, '{')
    await server.saw('not JSON')
  })

  test('says a change once, however often it is asked', async () => {
    const server = await serving()
    for (let times = 0; times < 3; times += 1) await ask(path, '/xconnect-graph')
    server.child.kill('SIGTERM')
    const { out } = await server.ended
    assert.equal(out.match(/3 links/g)?.length, 1)
  })

  test('answers 503 while the file is away, and recovers', async () => {
    await serving()
    rmSync(file)
    const answer = await ask(path, '/xconnect-graph')
    assert.equal(answer.status, 503)
    assert.match(answer.body, /ENOENT/)
    writeFileSync(file, GOOD)
    assert.equal((await ask(path, '/xconnect-graph')).status, 200)
  })

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(`ends with 0 on ${signal} and removes its socket`, async () => {
      const server = await serving()
      assert.ok(lstatSync(path).isSocket())
      server.child.kill(signal)
      assert.equal((await server.ended).code, 0)
      assert.equal(existsSync(path), false)
    })
  }

  test('replaces a socket that nobody listens on', async () => {
    const killed = await serving()
    killed.child.kill('SIGKILL')
    await killed.ended
    assert.ok(lstatSync(path).isSocket())
    await serving()
    assert.equal((await ask(path, '/xconnect-graph')).status, 200)
  })

  test('leaves a live socket alone', async () => {
    await serving()
    const { code, err } = await refusedAt()
    assert.equal(code, 1)
    assert.match(err, /is in use: something listens on it/)
    assert.equal((await ask(path, '/xconnect-graph')).status, 200)
  })

  test('leaves a file, and a symlink to a stale socket, alone', async () => {
    writeFileSync(path, 'precious')
    const onFile = await refusedAt()
    assert.equal(onFile.code, 1)
    assert.match(onFile.err, /exists and is no socket/)
    assert.equal(readFileSync(path, 'utf8'), 'precious')

    rmSync(path)
    symlinkSync('elsewhere', path)
    assert.match((await refusedAt()).err, /exists and is no socket/)
    assert.ok(lstatSync(path).isSymbolicLink())
  })

  test('names a directory that is missing, and a file that is', async () => {
    path = join(scratch.path, 'no', 'such', 'place')
    assert.match((await refusedAt()).err, /there is no directory .*\/no\/such\n {2}Make it/)
    file = join(scratch.path, 'missing.json')
    const { code, err } = await refusedAt()
    assert.equal(code, 1)
    assert.match(err, /missing\.json cannot be read: ENOENT/)
  })

  test('a live socket that speaks no HTTP is left alone too', async () => {
    const other = createServer().listen(path)
    await new Promise(resolve => other.once('listening', resolve))
    assert.equal((await refusedAt()).code, 1)
    assert.ok(lstatSync(path).isSocket())
    other.close()
  })
})
