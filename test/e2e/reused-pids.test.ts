/** A graph that is stale while the number of a dead container comes round. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { canChoosePids, startUnder } from '../support/reused-pid.ts'
import { connectedPair, echoes, entryFor, scenario, TARGET } from '../support/scenario.ts'

const OPTIONS = { needs: canChoosePids }

scenario(
  'a process of the host that has the number of a dead consumer gets nothing, and the restarted consumer its socket',
  async world => {
    const target = `/run/pvx-reused-${process.pid}/raw.sock`
    const { app, svc, link } = await connectedPair(world, { target, service: 'echo' })
    await app.kill()
    await world.daemon.reaches(link, 'pending')
    world.adopt(await startUnder(app.pid))
    await world.daemon.logged(
      'that it is another process',
      line =>
        line['containerPid'] === app.pid &&
        line['msg'] === 'a pid of the graph is another process now, and is not used',
    )
    const tries = world.daemon.statesOf(link).length
    await world.daemon.reachesAgain(link, 'injecting', tries)
    assert.ok(!existsSync(target))
    const again = await world.container('app')
    world.ctrl.serve([entryFor({ consumer: again, provider: svc, target })])
    await world.daemon.reaches(link, 'mediating')
    await echoes(await world.peer(again), 'line', target)
    assert.ok(!existsSync(target))
  },
  OPTIONS,
)

scenario(
  'a container that has the number of a dead consumer is served once the graph could be read again',
  async world => {
    const { app, link } = await connectedPair(world, { service: 'echo' })
    await world.ctrl.stop()
    await app.kill()
    await world.daemon.reaches(link, 'pending')
    const next = await world.container('next', { pid: app.pid })
    const tries = world.daemon.statesOf(link).length
    await world.daemon.reachesAgain(link, 'injecting', tries)
    await world.daemon.reachesAgain(link, 'pending', tries)
    assert.ok(!existsSync(next.path(TARGET)))
    await world.ctrl.listen()
    await world.daemon.reaches(link, 'mediating', 10_000)
    await echoes(await world.peer(next), 'line')
  },
  OPTIONS,
)
