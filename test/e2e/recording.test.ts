/** A real daemon that records, is joined by recorders, and tells what happens: its files replay, however it ends. */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { runBundle, spawnBundle } from '../cli/support.ts'
import { recordingIn, replayOf } from '../replay/support.ts'
import { startContainer } from '../support/container.ts'
import { startDaemon } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import { pvCtrlAt } from '../support/pv-ctrl.ts'
import { randomOf } from '../support/random.ts'
import { canRunHere } from '../support/requirements.ts'
import { connectedPair, entryFor, scenario } from '../support/scenario.ts'

const KILLS = 12
const MOST_MS = 900

/** `PVX_TEST_SEED=N`: other moments. */
const seed = Number(process.env['PVX_TEST_SEED'] ?? 1)

test('a daemon that is killed at any moment leaves recordings that replay', { timeout: 120_000 }, async t => {
  if (!canRunHere(t)) return
  const random = randomOf(seed)
  const folder = mkdtempSync(join(tmpdir(), 'pvx-killed-'))
  const ctrl = pvCtrlAt(join(folder, 'pv-ctrl'))
  await ctrl.listen()
  const app = await startContainer('app', folder)
  try {
    const entries = [1, 2, 3, 4, 5].map(n =>
      entryFor({ name: `n${n}`, consumer: app, provider: null, target: `/run/pvx/n${n}.sock` }),
    )
    let replayed = 0
    for (let kill = 0; kill < KILLS; kill += 1) {
      const path = join(folder, `${kill}.rec`)
      const daemon = startDaemon({
        pvCtrl: ctrl.path,
        logFile: join(folder, 'log'),
        intervalMs: 50,
        args: ['--record', path, '--record-max-bytes', '6000'],
      })
      const change = setInterval(() => ctrl.serve(entries.filter(() => random.chance(0.5))), 40)
      await eventually('it has begun', () => existsSync(path))
      await new Promise(resolve => setTimeout(resolve, random.below(MOST_MS)))
      daemon.signal('SIGKILL')
      clearInterval(change)
      await daemon.ended()
      for (const name of readdirSync(folder).filter(each => each.startsWith(`${kill}.rec`))) {
        // What the next one begins with may not be there yet; it has its own name only once it is.
        if (name.endsWith('.new')) continue
        const { divergences } = await replayOf(recordingIn(readFileSync(join(folder, name), 'utf8')))
        assert.deepEqual(divergences, [], name)
        replayed += 1
      }
    }
    assert.ok(replayed >= KILLS, `${replayed} recordings`)
  } finally {
    await app.kill()
    await ctrl.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('a recording that cannot be written costs the recording only', { timeout: 60_000 }, async t => {
  if (!canRunHere(t)) return
  const folder = mkdtempSync(join(tmpdir(), 'pvx-unwritable-'))
  const ctrl = pvCtrlAt(join(folder, 'pv-ctrl'))
  await ctrl.listen()
  const app = await startContainer('app', folder)
  const daemon = startDaemon({
    pvCtrl: ctrl.path,
    logFile: join(folder, 'log'),
    args: ['--record', join(folder, 'missing', 'daemon.rec')],
  })
  try {
    const entry = entryFor({ consumer: app, provider: null })
    ctrl.serve([entry])
    await daemon.reaches('app/raw@/run/pvx/raw.sock', 'mediating')
    const { reason } = await daemon.logged('that nothing is recorded', ({ msg }) =>
      String(msg).startsWith('nothing is recorded'),
    )
    assert.equal(reason, 'ENOENT')
    await daemon.stop()
  } finally {
    if (daemon.isRunning()) daemon.signal('SIGKILL')
    await daemon.ended()
    await app.kill()
    await ctrl.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})

scenario('a recorder that joins a running daemon gets what can be replayed', async world => {
  const { link, entry } = await connectedPair(world)
  const path = join(world.scratch, 'joined.rec')
  const recorder = spawnBundle(['record', path, '--control', world.daemon.control])
  await eventually('it has begun', () => existsSync(path) && readFileSync(path, 'utf8').includes('"joined"'))
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  const seen = world.daemon.statesOf(link).length
  world.ctrl.serve([entry])
  await world.daemon.reachesAgain(link, 'mediating', seen)
  await eventually('it was recorded', () => readFileSync(path, 'utf8').split('mediating.steady').length > 3)
  recorder.child.kill('SIGINT')
  const { code, out } = await recorder.ended
  assert.deepEqual([code, /recorded .* to /.test(out)], [0, true])
  const replayed = await runBundle(['replay', path])
  assert.deepEqual([replayed.code, replayed.err], [0, ''])
  assert.match(replayed.out, /as recorded\n$/)
  const refused = await runBundle(['record', path, '--control', world.daemon.control])
  assert.equal(refused.code, 1)
  assert.match(refused.err, /is there already, and is left as it is/)
})

scenario('a recorder whose daemon ends says so', async world => {
  await connectedPair(world)
  const recorder = spawnBundle(['record', '-', '--control', world.daemon.control])
  await recorder.saw('"joined"')
  await world.daemon.stop()
  const { code, out, err } = await recorder.ended
  assert.equal(code, 1)
  assert.match(err, /the daemon has ended/)
  assert.deepEqual((await replayOf(recordingIn(out))).divergences, [])
  assert.match(out, /"signal":"SIGTERM"/)
})

scenario('the graphs of Pantavisor can be recorded without a daemon', async world => {
  const { entry } = await connectedPair(world)
  const recorder = spawnBundle([
    'record',
    '-',
    '--from',
    'pv-ctrl',
    '--pv-ctrl',
    world.ctrl.path,
    '--interval',
    '50',
  ])
  await recorder.saw('"same-graph"')
  world.ctrl.serve([entry, { ...entry, name: 'other', target: '/run/pvx/other.sock' }])
  await recorder.saw('other.sock')
  recorder.child.kill('SIGTERM')
  const { code, out } = await recorder.ended
  assert.equal(code, 0)
  assert.deepEqual(recordingIn(out).lines.at(-1)?.line.kind, 'ended')
  assert.equal(recordingIn(out).header.daemon, null)
})

scenario('events tell what happened, and what happens', async world => {
  const { link } = await connectedPair(world)
  const before = await runBundle(['events', '--control', world.daemon.control])
  assert.equal(before.code, 0)
  assert.match(before.out, new RegExp(`${link}  \\(new\\) -> injecting.wanted  \\(link.wanted\\)`))
  assert.match(before.out, /graph {2}1 link\n/)
  assert.match(before.out, new RegExp(`${link}  Admitted: admitted by default`))
  const following = spawnBundle(['events', '-f', '--json', '--link', link, '--control', world.daemon.control])
  await following.saw('"mediating.steady"')
  world.ctrl.serve([])
  await following.saw('"released"')
  following.child.kill('SIGINT')
  const { code, out } = await following.ended
  assert.equal(code, 0)
  const types = out
    .trim()
    .split('\n')
    .map(text => String(Reflect.get(Object(JSON.parse(text)), 'type')))
  assert.deepEqual([...new Set(types)], ['verdict', 'transition'])
})

scenario('whoever follows events is told that the daemon has ended', async world => {
  await connectedPair(world)
  const following = spawnBundle(['events', '--follow', '--control', world.daemon.control])
  await following.saw('mediating.steady')
  await world.daemon.stop()
  const { code, out, err } = await following.ended
  assert.equal(code, 1)
  assert.match(err, /the daemon has ended/)
  assert.match(out, /-> released/)
})
