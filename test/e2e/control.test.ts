/** What a person finds out about the links of a running daemon: by its control API, and by the verbs that ask it. */
import assert from 'node:assert/strict'
import { existsSync, lstatSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { type Ran, runBundle, spawnBundle } from '../cli/support.ts'
import { askControl, at, type ControlAnswer, linkUrl } from '../support/control.ts'
import { type Daemon, type DaemonOptions, type LogLine, startDaemon } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import {
  connectedPair,
  echoes,
  entryFor,
  keyOf,
  SOCKET,
  scenario,
  TARGET,
  unconnectedPair,
  type World,
} from '../support/scenario.ts'

/** No pass but those that are asked for. */
const NEVER_MS = 600_000

const links = ({ control }: Daemon, ...args: readonly string[]): Promise<Ran> =>
  runBundle(['links', '--control', control, ...args])

const describe = ({ control }: Daemon, ...args: readonly string[]): Promise<Ran> =>
  runBundle(['describe', '--control', control, ...args])

/** What `describe` says of a link that there is, on one line, and the row that `links` has of it. */
const told = async (
  daemon: Daemon,
  link: string,
): Promise<{ readonly page: string; readonly row: string }> => {
  const [described, listed] = [await describe(daemon, link), await links(daemon)]
  assert.deepEqual([described.code, listed.code], [0, 0], described.err + listed.err)
  const [consumer = '', rest = ''] = link.split('/')
  const words = [consumer, rest.split('@')[0] ?? '']
  const row = listed.out.split('\n').find(line => words.every(word => line.split(/ +/).includes(word)))
  return { page: described.out.replaceAll(/\s+/g, ' '), row: row ?? '' }
}

/** A second daemon over the same graph, with everything else of its own. */
const another = ({ scratch, ctrl }: World, options: Partial<DaemonOptions> = {}): Daemon =>
  startDaemon({
    pvCtrl: ctrl.path,
    logFile: join(scratch, 'other.log'),
    control: join(scratch, 'other.sock'),
    policy: join(scratch, 'other.json'),
    journal: join(scratch, 'other.journal'),
    ...options,
  })

const reconcile = (daemon: Daemon): Promise<ControlAnswer> =>
  askControl(daemon.control, '/reconcile', { method: 'POST' })

scenario(
  'a link that works is shown with its traffic, and there is nothing to do',
  async ({ daemon, ...world }) => {
    const { consumer, link } = await connectedPair({ daemon, ...world }, { service: 'echo' })
    await echoes(consumer, 'line')
    const { page, row } = await told(daemon, link)
    assert.match(row, /^mediating +unix +app +raw +svc +\/run\/pvx\/raw\.sock +any +\S+ +1 +1$/)
    assert.match(page, /State: mediating\.steady for \d+s/)
    assert.match(page, /Traffic: 1 connection, 1 open, 0 not taken by the provider Bytes: 15 B up, 15 B down/)
    assert.match(page, /injecting\.wanted mediating\.steady it was planted/)
    assert.match(page, /What to do: Nothing: it works\. $/)
  },
)

scenario('a denied link is shown with the rule that denied it', async world => {
  const { entry, link } = await unconnectedPair(world)
  writeFileSync(
    world.daemon.policy,
    '{"rules":[{"effect":"deny","type":"drm"},{"effect":"deny","name":"r*"}]}',
  )
  world.ctrl.serve([entry])
  world.daemon.signal('SIGHUP')
  await world.daemon.reaches(link, 'pending.blocked')
  const { page, row } = await told(world.daemon, link)
  assert.match(row, /^pending\.blocked .* denied by rule 2: deny name=r\*$/)
  assert.match(page, /Verdict: Denied by rule 2: deny name=r\*/)
  assert.match(page, /What to do: The policy denies it by rule 2: deny name=r\*\. .*policy\.json/)
  const { json } = await askControl(world.daemon.control, linkUrl(link))
  assert.deepEqual(at(json, 'verdict'), { decision: 'Denied', rule: 'rule 2: deny name=r*' })
})

scenario('a link whose target another one has names the other one', async world => {
  const { app, svc, entry, link } = await connectedPair(world)
  const late = entryFor({ name: 'late', consumer: app, provider: svc, target: TARGET })
  world.ctrl.serve([entry, late])
  await reconcile(world.daemon)
  const { page, row } = await told(world.daemon, keyOf(late))
  assert.ok(row.startsWith('pending.blocked') && row.endsWith(`${link} has the target`), row)
  assert.ok(page.includes(`has the same target in the same container: ${link}.`), page)
})

scenario('a link whose consumer does not run says so', async world => {
  const { entry, link } = await unconnectedPair(world)
  world.ctrl.serve([{ ...entry, consumer_pid: -1 }])
  await reconcile(world.daemon)
  const { page, row } = await told(world.daemon, link)
  assert.match(row, /^pending\.waiting .* the consumer is not running$/)
  assert.match(page, /Consumer: app \(not running\)/)
  assert.match(page, /What to do: Nothing, if app is about to start/)
})

scenario('a link whose target is occupied says by what', async world => {
  const { app, entry, link } = await unconnectedPair(world)
  mkdirSync(app.path('/run/pvx'))
  writeFileSync(app.path(TARGET), 'mine')
  world.ctrl.serve([entry])
  await reconcile(world.daemon)
  await world.daemon.reaches(link, 'pending.blocked')
  const { page, row } = await told(world.daemon, link)
  assert.match(row, /^pending\.blocked .* \/run\/pvx\/raw\.sock exists and is a file$/)
  assert.match(page, /What to do: Remove the file at \/run\/pvx\/raw\.sock in app/)
  const { json } = await askControl(world.daemon.control, linkUrl(link))
  assert.deepEqual(at(json, 'lastError', 'error'), { _tag: 'TargetOccupied', target: TARGET, by: 'file' })
})

scenario(
  'a link whose provider is not there says so, and whether connections were lost to that',
  async world => {
    const { consumer, entry, link } = await unconnectedPair(world)
    world.ctrl.serve([{ ...entry, provider_pid: -1 }])
    await world.daemon.reaches(link, 'mediating')
    const down = await told(world.daemon, link)
    assert.match(down.row, /^mediating .* the provider is not running$/)
    assert.match(down.page, /What to do: The socket is there, but svc is not running/)

    world.ctrl.serve([entry])
    await reconcile(world.daemon)
    await consumer.connect('line', TARGET)
    await consumer.readToEnd('line')
    const deaf = await told(world.daemon, link)
    assert.match(deaf.page, /Traffic: 1 connection, 0 open, 1 not taken by the provider/)
    assert.ok(
      deaf.page.includes(
        `1 of 1 connections were closed because svc did not take them. See that it listens on ${SOCKET}`,
      ),
    )
  },
  { args: ['--connect-timeout', '100'] },
)

scenario(
  'what is not in the graph is told from what was rejected, and from what is named alike',
  async world => {
    const { entry, link } = await connectedPair(world)
    world.ctrl.serve([entry, { ...entry, name: 'bus', target: 'no/path' }])
    await world.daemon.logged('the rejected entry', line => line['entry'] === 1)
    const near = await describe(world.daemon, 'rwa')
    assert.equal(near.code, 1)
    assert.match(near.err, /there is no link rwa; did you mean raw\?/)
    assert.match(near.err, /The graph has 1 rejected entry, by another name or none: pv-xconnect graph/)
    const rejected = await describe(world.daemon, 'app/bus')
    assert.equal(rejected.code, 1)
    assert.match(
      rejected.err,
      /Entry 1 of the graph looks like it, app\/bus, but was rejected: target: expected/,
    )

    world.ctrl.serve([])
    await world.daemon.reaches(link, 'released')
    const gone = await describe(world.daemon, link)
    assert.equal(gone.code, 1)
    assert.match(gone.err, /is gone since .*: the graph no longer has it/)
    assert.equal((await askControl(world.daemon.control, linkUrl(link))).status, 410)
  },
)

scenario('a part of a name that fits two links is asked back', async world => {
  const { app, svc, entry, link } = await connectedPair(world)
  const other = entryFor({ name: 'rawer', consumer: app, provider: svc, target: '/run/pvx/other.sock' })
  world.ctrl.serve([entry, other])
  await reconcile(world.daemon)
  const { code, err } = await describe(world.daemon, 'pvx')
  assert.equal(code, 2)
  assert.ok(err.includes('pvx fits 2 links') && err.includes(link) && err.includes(keyOf(other)), err)
  assert.equal((await describe(world.daemon, 'app/raw')).code, 0)
})

scenario(
  'without Pantavisor the daemon is alive but not ready, and says what is missing',
  async ({ daemon, ctrl }) => {
    const ready = await eventually('it answers', async () => {
      const answer = await askControl(daemon.control, '/readyz')
      return at(answer.json, 'message') === 'No graph was read yet.' ? false : answer
    })
    assert.equal(ready.status, 503)
    assert.match(
      String(at(ready.json, 'message')),
      /No graph was read yet: .*pv-ctrl does not answer: ENOENT/,
    )
    assert.equal((await askControl(daemon.control, '/healthz')).status, 200)
    const { code, err } = await describe(daemon, 'raw')
    assert.equal(code, 1)
    assert.match(err, /has not read any graph yet.*\n.*graph cannot be read: .*ENOENT/)
    await ctrl.listen()
    await eventually('it is ready', async () => (await askControl(daemon.control, '/readyz')).status === 200)
  },
  { pvCtrl: 'later' },
)

scenario('a malformed policy is what describe names first', async world => {
  const { entry, link } = await unconnectedPair(world)
  world.ctrl.serve([entry])
  const policy = join(world.scratch, 'malformed.json')
  writeFileSync(policy, '{"rules":[')
  const other = another(world, { policy })
  try {
    await other.reaches(link, 'pending.blocked')
    const { page } = await told(other, link)
    assert.match(
      page,
      /What to do: The policy file cannot be taken: .*malformed\.json is no policy.*SIGHUP\. Until/,
    )
  } finally {
    await other.stop()
  }
})

scenario(
  'reconcile applies a changed graph at once, and says how the pass ended',
  async world => {
    const { entry, link } = await unconnectedPair(world)
    world.ctrl.serve([entry])
    const { status, json } = await reconcile(world.daemon)
    assert.equal(status, 200)
    assert.equal(at(json, 'outcome'), 'done')
    await world.daemon.reaches(link, 'mediating')
    world.ctrl.answer((_, socket) => socket.destroy())
    const failed = await reconcile(world.daemon)
    assert.deepEqual([failed.status, at(failed.json, 'outcome')], [200, 'read-failed'])
    assert.match(String(at(failed.json, 'message')), /the last good one was applied again/)
    assert.deepEqual(at(failed.json, 'links'), { mediating: 1 })
  },
  { intervalMs: NEVER_MS },
)

scenario('a log level that is put takes effect at once, for links that are there already', async world => {
  const { app, entry, link } = await unconnectedPair(world)
  writeFileSync(app.path('/run/pvx'), 'a file')
  world.ctrl.serve([entry])
  // A daemon of its own: what its log leaves out would be odd in the other's.
  const other = another(world, { args: ['--log-level', 'info'] })
  const put = (body: string): Promise<ControlAnswer> =>
    askControl(other.control, '/log-level', { method: 'PUT', body })
  const isRetry = (line: LogLine): boolean => line['link'] === link && line['level'] === 'debug'
  try {
    await other.logged('the failure', line => line['msg'] === 'an effect failed')
    assert.equal(other.log().some(isRetry), false)
    const answer = await put('{"level":"debug"}')
    assert.deepEqual([answer.status, at(answer.json, 'level')], [200, 'debug'])
    await other.logged('a retry that failed as before', isRetry)
    await put('error')
    const quiet = other.log().length
    await world.ctrl.askedAgain(10)
    assert.equal(other.log().length, quiet)
  } finally {
    await other.stop()
  }
})

scenario('only the owner may use the control socket, and it goes with the daemon', async ({ daemon }) => {
  const status = lstatSync(daemon.control)
  assert.ok(status.isSocket())
  assert.equal(status.mode & 0o777, 0o600)
  await daemon.stop()
  assert.equal(existsSync(daemon.control), false)
  const { code, err } = await links(daemon)
  assert.equal(code, 1)
  assert.match(err, /no daemon answers on .*control\.sock: there is no such socket\n {2}Start pv-xconnect/)
})

scenario(
  'a second daemon on the same control socket goes on without it, until it may have it',
  async world => {
    const { scratch, daemon } = world
    const { link } = await connectedPair(world)
    const second = another(world, { pvCtrl: join(scratch, 'nobody'), control: daemon.control })
    try {
      const refused = await second.logged(
        'that it has no control API',
        ({ error }) => at(error, '_tag') === 'ControlInUse',
      )
      assert.match(String(refused['reason']), /is in use: something listens on it.*--control PATH/)
      assert.equal((await askControl(daemon.control, linkUrl(link))).status, 200)
      assert.ok(second.isRunning())
      await daemon.stop()
      second.signal('SIGHUP')
      await eventually('the second answers', async () => {
        const { json } = await askControl(daemon.control, '/graph')
        return at(json, 'readAt') === null
      })
    } finally {
      await second.stop()
    }
    assert.equal(existsSync(daemon.control), false)
  },
)

scenario('the folder of the control socket is made if it is missing', async world => {
  const control = join(world.scratch, 'made', 'control.sock')
  const other = another(world, { control })
  try {
    await eventually('it is there', () => existsSync(control))
    assert.equal(lstatSync(dirname(control)).mode & 0o777, 0o755)
  } finally {
    await other.stop()
  }
})

scenario(
  'while it drains the daemon is not ready, and clients that stall do not hold it up',
  async world => {
    const { consumer } = await connectedPair(world, { service: 'echo' })
    await echoes(consumer, 'line')
    const stalled = connect(world.daemon.control)
    stalled.on('error', () => undefined)
    stalled.write('GET /links HTTP/1.1\r\n')
    world.daemon.signal('SIGTERM')
    await world.daemon.logged('that it drains', line => line['msg'] === 'draining')
    const ready = await askControl(world.daemon.control, '/readyz')
    assert.deepEqual([ready.status, at(ready.json, 'error')], [503, 'Draining'])
    assert.equal((await reconcile(world.daemon)).status, 503)
    assert.equal(await world.daemon.ended(), 0)
    stalled.destroy()
  },
  { args: ['--drain', '1500'] },
)

scenario("a link's counters go on over restarts of its container", async world => {
  const { app, svc, consumer, entry, link } = await connectedPair(world, { service: 'echo' })
  await echoes(consumer, 'line')
  const counted = async (): Promise<number> => {
    const { body } = await askControl(world.daemon.control, '/metrics')
    const line = body.split('\n').find(each => each.startsWith('pv_xconnect_link_connections_total{'))
    return Number(line?.split(' ').at(-1))
  }
  assert.equal(await counted(), 1)
  await app.kill()
  const again = await world.container('app')
  world.ctrl.serve([entryFor({ consumer: again, provider: svc })])
  await world.daemon.reachesAgain(link, 'mediating', world.daemon.statesOf(link).length)
  const reborn = await world.peer(again)
  await echoes(reborn, 'line')
  assert.equal(await counted(), 2)
  assert.equal(entry['consumer'], again.name)
})

scenario('links --watch prints a table for each change until it is told to end', async world => {
  const { entry, link } = await unconnectedPair(world)
  const watching = spawnBundle(['links', '--control', world.daemon.control, '--watch'])
  await watching.saw('There are no links.')
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  await watching.saw('mediating')
  world.ctrl.serve([])
  await eventually('the end is seen', () => watching.out().match(/There are no links/g)?.length === 2, 10_000)
  watching.child.kill('SIGINT')
  assert.equal((await watching.ended).code, 0)
})
