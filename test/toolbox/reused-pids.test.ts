/** Numbers of processes that come round while the graph still names them: nothing is planted into whoever has them next. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { LinkBuilder } from '../support/builders.ts'
import { pid } from '../support/builders.ts'
import type { Container } from '../support/container.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { type FaultBench, withFaults } from '../support/faults.ts'
import { quiet, until } from '../support/relay.ts'
import { canChoosePids, startUnder } from '../support/reused-pid.ts'
import { opensTheWayHome } from '../support/sandbox.ts'
import { clientAt, serverAt } from '../support/sockets.ts'
import { requestOf } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

/** This test's own, so that it is not on the host by accident. */
const TARGET = `/run/pvx-reused-${process.pid}/raw.sock`

interface Stale extends FaultBench {
  readonly app: Container
  readonly link: LinkBuilder
  /** The graph is read, and names these. */
  readonly graphNames: (...containers: readonly { pid: number }[]) => void
}

/** A test with a consumer that something was planted in, and that is dead now; the graph still names it. */
const stale = (name: string, body: (bench: Stale) => Promise<void>): void => {
  test(name, (t: TestContext) =>
    withFaults({ connectGraceMs: 200 }, t, async bench => {
      if (!canChoosePids(t)) return
      const app = await bench.container('app')
      const link = bench.link.running(app.pid).at(TARGET)
      const graphNames: Stale['graphNames'] = (...containers) =>
        bench.host.follow(new Set(containers.map(container => pid(container.pid))))
      graphNames(app)
      const mediation = must(await inject(bench, link))
      await app.kill()
      await until('its end is told', () => bench.attention.length > 0)
      assert.equal(bench.host.observe([mediation.id], false).get(mediation.id), 'consumer-exited')
      await bench.host.toolboxFor(link.build()).withdraw(mediation)()
      await body({ ...bench, app, link, graphNames })
    }),
  )
}

const inject = ({ host }: FaultBench, link: LinkBuilder) =>
  host.toolboxFor(link.build()).injectSocket(requestOf(link))()

const isRefused = async (bench: Stale): Promise<void> =>
  assert.deepEqual(failureOf(await inject(bench, bench.link)), {
    _tag: 'PeerGone',
    peer: 'consumer',
    pid: bench.app.pid,
  })

const warnings = ({ log }: Stale): readonly string[] =>
  log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message)

const NOT_IN_A_CONTAINER = 'a process of the graph is not in a container'
const ANOTHER = 'a pid of the graph is another process now, and is not used'

stale(
  'a process of the host that has the number of a dead consumer gets nothing, and that is said once',
  async bench => {
    bench.adopt(await startUnder(bench.app.pid))
    await isRefused(bench)
    assert.deepEqual(warnings(bench), [], 'it is too early to say')
    for (const _pass of [1, 2, 3]) {
      bench.graphNames(bench.app)
      await isRefused(bench)
    }
    assert.ok(!existsSync(TARGET))
    assert.deepEqual(warnings(bench), [NOT_IN_A_CONTAINER, ANOTHER])
  },
)

stale('a process in another container that has the number of a dead consumer gets nothing', async bench => {
  const other = await bench.container('other')
  bench.adopt(await startUnder(bench.app.pid, other.pid))
  bench.graphNames(bench.app, other)
  await isRefused(bench)
  assert.ok(!existsSync(other.path(TARGET)))
  assert.deepEqual(warnings(bench), [ANOTHER])
})

stale(
  'a container that starts with the number of a dead one is only served by a graph read since',
  async bench => {
    const next = await bench.container('next', { pid: bench.app.pid })
    assert.equal(next.pid, bench.app.pid)
    await isRefused(bench)
    assert.ok(!existsSync(next.path(TARGET)))
    bench.graphNames(bench.app)
    must(await inject(bench, bench.link))
    clientAt(TARGET, 'stream', next.pid).close()
    assert.deepEqual(warnings(bench), [])
  },
)

stale('a container is served under a number that a stranger had before', async bench => {
  const stranger = bench.adopt(await startUnder(bench.app.pid))
  bench.graphNames(bench.app)
  await isRefused(bench)
  await stranger.kill()
  bench.graphNames(bench.app)
  await isRefused(bench)
  await bench.container('next', { pid: bench.app.pid })
  bench.graphNames(bench.app)
  must(await inject(bench, bench.link))
})

stale('a number that the graph did not name for a while means whoever has it', async bench => {
  bench.graphNames()
  bench.adopt(await startUnder(bench.app.pid))
  bench.graphNames(bench.app)
  const link = bench.link.at(join(bench.folder, 'target.sock'))
  must(await inject(bench, link))
  assert.deepEqual(warnings(bench), [NOT_IN_A_CONTAINER])
})

stale('a number that was nobody when it was first named is not a stranger later', async bench => {
  // Held by nobody before: the graph was stale from the start.
  bench.graphNames()
  bench.graphNames(bench.app)
  bench.adopt(await startUnder(bench.app.pid))
  bench.graphNames(bench.app)
  await isRefused(bench)
  assert.deepEqual(warnings(bench), [NOT_IN_A_CONTAINER, ANOTHER])
})

stale("a stranger that has a dead provider's number is not dialled", async bench => {
  const { app, folder } = bench
  const trap = serverAt(join(folder, 'trap.sock'))
  const link = bench.link
    .running(0)
    .at(join(folder, 'target.sock'))
    .from('app', app.pid)
    .socket(join(folder, 'trap.sock'))
  bench.adopt(await startUnder(app.pid))
  bench.graphNames(app)
  must(await inject(bench, link))
  const client = clientAt(link.build().target)
  assert.equal((await client.next()).bytes.length, 0)
  await quiet()
  assert.ok(!trap.visited)
  client.close()
  trap.close()
})
