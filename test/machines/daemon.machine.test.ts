import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Actor } from 'xstate'
import { createActor, fromPromise } from 'xstate'
import type { DaemonMachine } from '../../machines/daemon.machine.ts'
import { daemonMachine } from '../../machines/daemon.machine.ts'
import { linkMachine } from '../../machines/link.machine.ts'
import type { EffectResult, InjectInput, TeardownInput } from '../../machines/link-context.ts'
import { stateOf } from '../../src/controller/links.ts'
import { E } from '../../src/fp.ts'
import type { DesiredLink, Plan } from '../../src/model/desired.ts'
import type { TeardownReport } from '../../src/model/mediation.ts'
import { CLEAN_TEARDOWN } from '../../src/model/mediation.ts'
import { aLink } from '../support/builders.ts'
import { fakeEnvironment, idOf, settled } from '../support/fakes.ts'

const planOf = (changes: Partial<Plan>): Plan => ({ wanted: [], changed: [], unwanted: [], ...changes })
const made = (changes: Partial<Plan>, resync = false) => ({
  type: 'plan.made' as const,
  plan: planOf(changes),
  resync,
  changeable: [],
})

const daemon = (
  teardown: () => Promise<TeardownReport> = async () => CLEAN_TEARDOWN,
): Actor<DaemonMachine> => {
  const env = fakeEnvironment()
  const link = linkMachine({ now: env.wallClock, random: env.random }).provide({
    actors: {
      inject: fromPromise<EffectResult, InjectInput>(async ({ input: { desired } }) =>
        E.right({
          id: idOf(desired.key),
          planted: {
            target: desired.link.target,
            kind: 'stream',
            device: '1',
            inode: '1',
            directoriesMade: [],
          },
        }),
      ),
      teardown: fromPromise<TeardownReport, TeardownInput>(teardown),
    },
  })
  const actor = createActor(daemonMachine(link), { clock: env.clock })
  actor.start()
  return actor
}

const serving = (...wanted: readonly DesiredLink[]): Actor<DaemonMachine> => {
  const actor = daemon()
  actor.send({ type: 'daemon.started' })
  actor.send(made({ wanted }))
  return actor
}

const statesOf = (actor: Actor<DaemonMachine>): Record<string, string> =>
  Object.fromEntries(
    Object.values(actor.getSnapshot().children).map(child => {
      const snapshot = child?.getSnapshot()
      return snapshot === undefined ? ['?', '?'] : [snapshot.context.key, stateOf(snapshot)]
    }),
  )

const a = aLink('a').desired()
const b = aLink('b').desired()

describe('daemon machine', () => {
  it('starts, waits for its first plan, and serves even if that is empty', () => {
    const actor = daemon()
    assert.equal(actor.getSnapshot().value, 'starting')
    actor.send({ type: 'daemon.started' })
    assert.equal(actor.getSnapshot().value, 'syncing')
    actor.send(made({}))
    assert.equal(actor.getSnapshot().value, 'serving')
  })

  it('every wanted link has an actor that the system knows by its key; a repeated plan adds none', async () => {
    const actor = serving(a, b)
    actor.send(made({ wanted: [a, b] }, true))
    await settled()
    assert.deepEqual(statesOf(actor), { [a.key]: 'mediating.steady', [b.key]: 'mediating.steady' })
    assert.equal(actor.getSnapshot().context.links, 2)
    assert.equal(actor.system.get(a.key)?.getSnapshot().context.key, a.key)
  })

  it('a released link does not stay among the children, and can come back', async () => {
    const actor = serving(a, b)
    await settled()
    actor.send(made({ unwanted: [a.key] }))
    await settled()
    assert.deepEqual(Object.keys(statesOf(actor)), [b.key])
    assert.equal(actor.getSnapshot().context.links, 1)
    assert.equal(actor.system.get(a.key), undefined)
    actor.send(made({ wanted: [a] }))
    await settled()
    assert.equal(statesOf(actor)[a.key], 'mediating.steady')
  })

  it('a link that a resync does not name is unwanted', async () => {
    const actor = serving(a, b)
    await settled()
    actor.send(made({ wanted: [b] }, true))
    await settled()
    assert.deepEqual(Object.keys(statesOf(actor)), [b.key])
  })

  it('unwanted links and losses of links it does not know are ignored', () => {
    const actor = serving(a)
    actor.send(made({ unwanted: [b.key] }))
    actor.send({ type: 'links.lost', losses: [{ key: b.key, loss: 'target-lost' }] })
    assert.deepEqual(Object.keys(statesOf(actor)), [a.key])
  })

  it('a loss reaches its link', async () => {
    const actor = serving(a, b)
    await settled()
    actor.send({ type: 'links.lost', losses: [{ key: a.key, loss: 'consumer-exited' }] })
    assert.deepEqual(statesOf(actor), { [a.key]: 'tearing-down.renewing', [b.key]: 'mediating.steady' })
  })

  it('draining tears every link down, then it is stopped; plans come too late', async () => {
    const actor = serving(a, b)
    await settled()
    actor.send({ type: 'drain.requested' })
    assert.equal(actor.getSnapshot().value, 'draining')
    actor.send(made({ wanted: [aLink('late').desired()] }))
    await settled()
    assert.equal(actor.getSnapshot().value, 'stopped')
    assert.equal(actor.getSnapshot().status, 'done')
    assert.equal(actor.getSnapshot().context.links, 0)
  })

  it('draining with nothing to tear down is over at once, before it ever started too', () => {
    for (const actor of [daemon(), serving()]) {
      actor.send({ type: 'drain.requested' })
      assert.equal(actor.getSnapshot().value, 'stopped')
    }
  })

  it('a second drain.requested stops at once', async () => {
    const actor = daemon(() => new Promise(() => undefined))
    actor.send({ type: 'daemon.started' })
    actor.send(made({ wanted: [a] }))
    await settled()
    actor.send({ type: 'drain.requested' })
    assert.equal(actor.getSnapshot().value, 'draining')
    actor.send({ type: 'drain.requested' })
    assert.equal(actor.getSnapshot().value, 'stopped')
  })

  it('1000 links in one plan are spawned, come and go, and are torn down again', async () => {
    const links = Array.from({ length: 1000 }, (_, n) => aLink(`c${n}`).desired())
    const actor = daemon()
    actor.send({ type: 'daemon.started' })
    actor.send(made({ wanted: links }))
    assert.equal(actor.getSnapshot().context.links, 1000)
    await settled()
    // Every tenth goes and comes back, under whatever number is free.
    const some = links.filter((_, n) => n % 10 === 0)
    actor.send(made({ unwanted: some.map(({ key }) => key) }))
    await settled()
    assert.equal(actor.getSnapshot().context.links, 900)
    actor.send(made({ wanted: some }))
    await settled()
    assert.deepEqual(Object.keys(statesOf(actor)).sort(), links.map(({ key }) => key).sort())
    actor.send({ type: 'drain.requested' })
    await settled()
    assert.equal(actor.getSnapshot().value, 'stopped')
  })
})
