import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import type { Actor } from 'xstate'
import { createActor, fromPromise } from 'xstate'
import { getShortestPaths } from 'xstate/graph'
import type { LinkMachine } from '../../machines/link.machine.ts'
import { linkMachine } from '../../machines/link.machine.ts'
import type {
  ChangeInput,
  EffectResult,
  HeldMediation,
  InjectInput,
  LinkEvent,
  TeardownInput,
} from '../../machines/link-context.ts'
import { stateOf } from '../../src/controller/links.ts'
import { E } from '../../src/fp.ts'
import type { DesiredLink, Verdict } from '../../src/model/desired.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { TeardownReport } from '../../src/model/mediation.ts'
import { CLEAN_TEARDOWN } from '../../src/model/mediation.ts'
import { aLink, pid } from '../support/builders.ts'
import type { FakeEnvironment } from '../support/fakes.ts'
import { fakeEnvironment, idOf, settled } from '../support/fakes.ts'

const GONE: InjectError = { _tag: 'PeerGone', peer: 'consumer', pid: pid(100) }
const OCCUPIED: InjectError = { _tag: 'TargetOccupied', target: '/run/pv/api.sock', by: 'file' }
const DENIED: Verdict = { _tag: 'Denied', rule: 'rule 1: deny' }

const held = (name: string): HeldMediation => ({
  id: idOf(name),
  planted: { target: '/run/pv/api.sock', kind: 'stream', device: '1', inode: '1', directoriesMade: [] },
})

/** A started effect that waits for the test to end it. */
interface Running<Input, Output> {
  readonly input: Input
  end(output: Output): Promise<void>
  crash(error: Error): Promise<void>
}

interface Bench {
  readonly env: FakeEnvironment
  readonly actor: Actor<LinkMachine>
  readonly injects: Running<InjectInput, EffectResult>[]
  readonly changes: Running<ChangeInput, EffectResult>[]
  readonly teardowns: Running<TeardownInput, TeardownReport>[]
  state(): string
  send(...events: readonly LinkEvent[]): void
  injected(name?: string): Promise<void>
  injectFailed(error: InjectError): Promise<void>
  tornDown(): Promise<void>
}

const held1 = 'm1'
const link = aLink('app')
const SPEC = link.desired()
const RESTARTED = link.running(101).desired()
const PROVIDER_MOVED = link.from('net', 201).desired()

const wanted = (desired: DesiredLink = SPEC, options: { resync?: boolean; canChange?: boolean } = {}) => ({
  type: 'link.wanted' as const,
  desired,
  resync: options.resync ?? false,
  canChange: options.canChange ?? false,
})
const UNWANTED = { type: 'link.unwanted' } as const
const LOST = { type: 'target.lost' } as const
const EXITED = { type: 'consumer.exited' } as const

const bench = (desired: DesiredLink = SPEC, random = 0): Bench => {
  const env = fakeEnvironment()
  const injects: Bench['injects'] = []
  const changes: Bench['changes'] = []
  const teardowns: Bench['teardowns'] = []
  const effect = <Input, Output>(running: Running<Input, Output>[]) =>
    fromPromise<Output, Input>(
      ({ input }) =>
        new Promise((resolve, reject) =>
          running.push({
            input,
            end: output => {
              resolve(output)
              return settled()
            },
            crash: error => {
              reject(error)
              return settled()
            },
          }),
        ),
    )
  const machine = linkMachine({ now: env.wallClock, random: () => random }).provide({
    actors: { inject: effect(injects), change: effect(changes), teardown: effect(teardowns) },
  })
  const actor = createActor(machine, { clock: env.clock, input: { desired } })
  actor.start()
  const last = <A>(list: readonly A[]): A => {
    const found = list.at(-1)
    if (found === undefined) throw new Error('no such effect was started')
    return found
  }
  return {
    env,
    actor,
    injects,
    changes,
    teardowns,
    state: () => stateOf(actor.getSnapshot()),
    send: (...events) => {
      for (const event of events) actor.send(event)
    },
    injected: (name = held1) => last(injects).end(E.right(held(name))),
    injectFailed: error => last(injects).end(E.left(error)),
    tornDown: () => last(teardowns).end(CLEAN_TEARDOWN),
  }
}

const mediating = async (desired: DesiredLink = SPEC): Promise<Bench> => {
  const b = bench(desired)
  await b.injected()
  assert.equal(b.state(), 'mediating.steady')
  return b
}

const contextOf = (b: Bench) => b.actor.getSnapshot().context

const condition = (b: Bench, type: string) => {
  const found = contextOf(b).conditions.find(one => one.type === type)
  return `${found?.status} ${found?.reason}`
}

describe('link machine: pending', () => {
  it('a fresh link that is admitted and whose consumer runs is injected at once', () => {
    const b = bench()
    assert.equal(b.state(), 'injecting.wanted')
    assert.deepEqual(b.injects[0]?.input, { desired: SPEC, kept: null })
  })

  it('a link that is not admitted is blocked from the start', () => {
    const b = bench(link.desired(DENIED))
    assert.equal(b.state(), 'pending.blocked')
    assert.equal(condition(b, 'Admitted'), 'False Denied')
    assert.equal(condition(b, 'Ready'), 'False NotAdmitted')
  })

  it('a link whose consumer does not run waits, and the delay does not change that', async () => {
    const b = bench(link.running(null).desired())
    assert.equal(condition(b, 'Ready'), 'False ConsumerNotRunning')
    b.env.clock.increment(60_000)
    assert.equal(b.state(), 'pending.waiting')
  })

  it('a link of the host itself is injected', () => {
    assert.equal(bench(link.running(0).desired()).state(), 'injecting.wanted')
  })

  it('pending, link.unwanted: released, from waiting and from blocked', () => {
    for (const desired of [link.running(null).desired(), link.desired(DENIED)]) {
      const b = bench(desired)
      b.send(UNWANTED)
      assert.equal(b.state(), 'released')
      assert.equal(b.actor.getSnapshot().status, 'done')
    }
  })

  it('waiting, link.wanted with another spec: retried at once, and the failures are forgotten', async () => {
    const b = bench()
    await b.injectFailed(GONE)
    assert.equal(b.state(), 'pending.waiting')
    b.send(wanted(RESTARTED))
    assert.equal(b.state(), 'injecting.wanted')
    assert.equal(contextOf(b).attempt, 0)
    assert.equal(b.injects[1]?.input.desired, RESTARTED)
  })

  it('waiting, link.wanted no longer admitted: blocked', async () => {
    const b = bench()
    await b.injectFailed(GONE)
    b.send(wanted(link.desired(DENIED)))
    assert.equal(b.state(), 'pending.blocked')
  })

  it('waiting, after the delay: injected, not a moment earlier', async () => {
    const b = bench()
    await b.injectFailed(GONE)
    b.env.clock.increment(249)
    assert.equal(b.state(), 'pending.waiting')
    b.env.clock.increment(1)
    assert.equal(b.state(), 'injecting.wanted')
  })

  it('waiting, link.wanted unchanged: injected without waiting for the delay', async () => {
    const b = bench()
    await b.injectFailed(GONE)
    b.send(wanted(SPEC, { resync: true }))
    assert.equal(b.state(), 'injecting.wanted')
    assert.equal(contextOf(b).attempt, 1)
  })

  it('blocked, link.wanted with another spec or as a resync: tried again; unchanged: not', async () => {
    for (const event of [wanted(RESTARTED), wanted(SPEC, { resync: true })]) {
      const b = bench()
      await b.injectFailed(OCCUPIED)
      assert.equal(b.state(), 'pending.blocked')
      b.send(wanted(SPEC))
      assert.equal(b.state(), 'pending.blocked')
      b.send(event)
      assert.equal(b.state(), 'injecting.wanted')
    }
  })

  it('blocked by its verdict, a resync leaves it blocked, since the same time', async () => {
    const b = bench(link.desired(DENIED))
    const { since } = contextOf(b)
    b.env.clock.increment(1000)
    b.send(wanted(link.desired(DENIED), { resync: true }))
    assert.equal(b.state(), 'pending.blocked')
    assert.equal(contextOf(b).since, since)
  })

  it('the delay doubles from 250 ms to 5 s, and jitter only shortens it', async () => {
    for (const [random, factor] of [
      [0, 1],
      [0.5, 0.875],
    ] as const) {
      const b = bench(SPEC, random)
      const delays: number[] = []
      for (let n = 0; n < 7; n += 1) {
        await b.injectFailed(GONE)
        delays.push(contextOf(b).retryDelayMs)
        b.env.clock.increment(5000)
      }
      assert.deepEqual(
        delays,
        [250, 500, 1000, 2000, 4000, 5000, 5000].map(ms => Math.round(ms * factor)),
      )
    }
  })

  it('for a device that is not there it grows to 1 s only: nobody says when it comes', async () => {
    const b = bench()
    const delays: number[] = []
    for (let n = 0; n < 5; n += 1) {
      await b.injectFailed({ _tag: 'DeviceAbsent', path: '/dev/dri/card0', reason: 'nothing is there' })
      delays.push(contextOf(b).retryDelayMs)
      b.env.clock.increment(1000)
    }
    assert.deepEqual(delays, [250, 500, 1000, 1000, 1000])
  })
})

describe('link machine: injecting', () => {
  it('wanted, link.wanted with another spec: stays and keeps it for later', () => {
    const b = bench()
    b.send(wanted(RESTARTED))
    assert.equal(b.state(), 'injecting.wanted')
    assert.equal(contextOf(b).next, RESTARTED)
    assert.equal(b.injects.length, 1)
  })

  it('wanted, the spec changed and changed back: nothing is kept for later', () => {
    const b = bench()
    b.send(wanted(RESTARTED), wanted(SPEC))
    assert.equal(contextOf(b).next, null)
  })

  it('wanted, link.unwanted: abandoned, the injection goes on', () => {
    const b = bench()
    b.send(UNWANTED, UNWANTED)
    assert.equal(b.state(), 'injecting.abandoned')
  })

  it('wanted, inject Right: mediating, and the context is plain JSON', async () => {
    const b = await mediating()
    assert.deepEqual(contextOf(b).mediation, held(held1))
    assert.equal(condition(b, 'Ready'), 'True Mediating')
    assert.equal(condition(b, 'Injected'), 'True Planted')
    assert.deepEqual(JSON.parse(JSON.stringify(contextOf(b))), contextOf(b))
  })

  it('wanted, inject Right with a next spec: torn down, then injected with it', async () => {
    const b = bench()
    b.send(wanted(RESTARTED))
    await b.injected()
    assert.equal(b.state(), 'tearing-down.renewing')
    assert.deepEqual(b.teardowns[0]?.input, { key: SPEC.key, mediation: held(held1) })
    await b.tornDown()
    assert.equal(b.state(), 'injecting.wanted')
    assert.deepEqual(b.injects[1]?.input, { desired: RESTARTED, kept: null })
  })

  it('a verdict that flips during the injection is not lost', async () => {
    const b = bench()
    b.send(wanted(link.desired(DENIED)))
    await b.injected()
    await b.tornDown()
    assert.equal(b.state(), 'pending.blocked')
  })

  it('wanted, inject Left with a mediation kept: torn down, the failure counted', async () => {
    const b = await mediating()
    b.send(LOST)
    await b.injectFailed(OCCUPIED)
    assert.equal(b.state(), 'tearing-down.renewing')
    assert.equal(contextOf(b).attempt, 1)
    await b.tornDown()
    assert.equal(b.state(), 'pending.waiting')
    assert.equal(contextOf(b).mediation, null)
  })

  it('wanted, inject Left worth retrying: waiting, the failure counted', async () => {
    const b = bench()
    await b.injectFailed(GONE)
    assert.equal(b.state(), 'pending.waiting')
    assert.deepEqual(contextOf(b).lastError, GONE)
    assert.equal(condition(b, 'Injected'), 'False PeerGone')
  })

  it('wanted, inject Left not worth retrying but with a next spec: that one is injected', async () => {
    const b = bench()
    b.send(wanted(RESTARTED))
    await b.injectFailed(OCCUPIED)
    assert.equal(b.state(), 'injecting.wanted')
    assert.equal(b.injects[1]?.input.desired, RESTARTED)
  })

  it('wanted, inject Left not worth retrying: blocked, time does not help', async () => {
    const b = bench()
    await b.injectFailed(OCCUPIED)
    assert.equal(b.state(), 'pending.blocked')
    b.env.clock.increment(600_000)
    assert.equal(b.state(), 'pending.blocked')
  })

  it('an injection that throws is a failure of the plugin', async () => {
    const b = bench()
    await b.injects[0]?.crash(new Error('oops'))
    assert.equal(b.state(), 'pending.blocked')
    assert.deepEqual(contextOf(b).lastError, { _tag: 'PluginFailed', plugin: 'unix', message: 'oops' })
  })

  it('abandoned, link.wanted: wanted again, the same injection serves', async () => {
    const b = bench()
    b.send(UNWANTED, wanted(SPEC))
    assert.equal(b.state(), 'injecting.wanted')
    await b.injected()
    assert.equal(b.state(), 'mediating.steady')
    assert.equal(b.injects.length, 1)
  })

  it('abandoned, link.wanted with another spec: it is kept for later', () => {
    const b = bench()
    b.send(UNWANTED, wanted(RESTARTED))
    assert.equal(contextOf(b).next, RESTARTED)
  })

  it('abandoned, inject Right: torn down and released', async () => {
    const b = bench()
    b.send(UNWANTED)
    await b.injected()
    assert.equal(b.state(), 'tearing-down.closing')
    await b.tornDown()
    assert.equal(b.state(), 'released')
  })

  it('abandoned, inject Left with a mediation kept: torn down', async () => {
    const b = await mediating()
    b.send(LOST, UNWANTED)
    await b.injectFailed(GONE)
    assert.equal(b.state(), 'tearing-down.closing')
    assert.deepEqual(b.teardowns[0]?.input.mediation, held(held1))
  })

  it('abandoned, inject Left: released', async () => {
    const b = bench()
    b.send(UNWANTED)
    await b.injectFailed(GONE)
    assert.equal(b.state(), 'released')
  })
})

describe('link machine: mediating', () => {
  it('link.wanted where only the provider changed, and the plugin can: changed in place', async () => {
    const b = await mediating()
    b.send(wanted(PROVIDER_MOVED, { canChange: true }))
    assert.equal(b.state(), 'mediating.changing')
    assert.deepEqual(b.changes[0]?.input, { desired: PROVIDER_MOVED, mediation: held(held1) })
    await b.changes[0]?.end(E.right(held('m2')))
    assert.equal(b.state(), 'mediating.steady')
    assert.equal(contextOf(b).mediation?.id, 'm2')
  })

  it('the provider changed again meanwhile: the newest address counts, the older answer is ignored', async () => {
    const b = await mediating()
    b.send(wanted(PROVIDER_MOVED, { canChange: true }))
    const third = link.from('net', 202).desired()
    b.send(wanted(third, { canChange: true }))
    assert.equal(b.changes[1]?.input.desired, third)
    await b.changes[0]?.end(E.left(GONE))
    assert.equal(b.state(), 'mediating.changing')
    await b.changes[1]?.end(E.right(held(held1)))
    assert.equal(b.state(), 'mediating.steady')
  })

  it('a change that fails: torn down, the failure counted', async () => {
    const b = await mediating()
    b.send(wanted(PROVIDER_MOVED, { canChange: true }))
    await b.changes[0]?.end(E.left(GONE))
    assert.equal(b.state(), 'tearing-down.renewing')
    assert.equal(contextOf(b).attempt, 1)
  })

  it('a change that throws is a failure of the plugin', async () => {
    const b = await mediating()
    b.send(wanted(PROVIDER_MOVED, { canChange: true }))
    await b.changes[0]?.crash(new Error('oops'))
    assert.equal(b.state(), 'tearing-down.renewing')
    assert.equal(contextOf(b).lastError?._tag, 'PluginFailed')
  })

  it('only the provider changed, but the plugin cannot: renewed', async () => {
    const b = await mediating()
    b.send(wanted(PROVIDER_MOVED))
    assert.equal(b.state(), 'tearing-down.renewing')
  })

  it('the provider changed and the link is denied: renewed, not changed in place', async () => {
    const b = await mediating()
    b.send(wanted(link.from('net', 201).desired(DENIED), { canChange: true }))
    assert.equal(b.state(), 'tearing-down.renewing')
  })

  it('link.wanted with another spec: torn down before it is injected again', async () => {
    const b = await mediating()
    b.send(wanted(RESTARTED, { canChange: true }))
    assert.equal(b.state(), 'tearing-down.renewing')
    await b.tornDown()
    assert.deepEqual(b.injects[1]?.input, { desired: RESTARTED, kept: null })
  })

  it('link.wanted no longer admitted: torn down, then blocked', async () => {
    const b = await mediating()
    b.send(wanted(link.desired(DENIED)))
    assert.equal(b.state(), 'tearing-down.renewing')
    await b.tornDown()
    assert.equal(b.state(), 'pending.blocked')
  })

  it('link.wanted unchanged, a resync too: stays', async () => {
    const b = await mediating()
    b.send(wanted(), wanted(SPEC, { resync: true }))
    assert.equal(b.state(), 'mediating.steady')
  })

  it('admitted by another rule: stays and shows that rule', async () => {
    const b = await mediating()
    b.send(wanted(link.desired({ _tag: 'Admitted', rule: 'rule 2: allow' })))
    assert.equal(b.state(), 'mediating.steady')
    assert.deepEqual(contextOf(b).wanted.verdict, { _tag: 'Admitted', rule: 'rule 2: allow' })
  })

  it('target.lost: injected again with what was kept', async () => {
    const b = await mediating()
    b.send(LOST, LOST)
    assert.equal(b.state(), 'injecting.wanted')
    assert.deepEqual(b.injects[1]?.input, { desired: SPEC, kept: held(held1) })
    await b.injected()
    assert.equal(b.state(), 'mediating.steady')
    assert.equal(b.teardowns.length, 0)
  })

  it('consumer.exited: torn down, then injected again', async () => {
    const b = await mediating()
    b.send(EXITED, EXITED)
    assert.equal(b.state(), 'tearing-down.renewing')
    assert.equal(b.teardowns.length, 1)
    await b.tornDown()
    assert.equal(b.state(), 'injecting.wanted')
  })

  it('link.unwanted: torn down and released, from steady and from changing', async () => {
    for (const change of [[], [wanted(PROVIDER_MOVED, { canChange: true })]]) {
      const b = await mediating()
      b.send(...change, UNWANTED)
      assert.equal(b.state(), 'tearing-down.closing')
      await b.tornDown()
      assert.equal(b.state(), 'released')
    }
  })

  it('after a minute the failures before are forgotten', async () => {
    const b = bench()
    await b.injectFailed(GONE)
    b.env.clock.increment(250)
    await b.injected()
    b.env.clock.increment(59_999)
    assert.equal(contextOf(b).attempt, 1)
    b.env.clock.increment(1)
    assert.equal(contextOf(b).attempt, 0)
    assert.equal(b.state(), 'mediating.steady')
  })
})

describe('link machine: tearing down', () => {
  const renewing = async (): Promise<Bench> => {
    const b = await mediating()
    b.send(EXITED)
    return b
  }
  const closing = async (): Promise<Bench> => {
    const b = await mediating()
    b.send(UNWANTED)
    return b
  }

  it('renewing, link.unwanted: closing, one teardown', async () => {
    const b = await renewing()
    b.send(UNWANTED)
    assert.equal(b.state(), 'tearing-down.closing')
    assert.equal(b.teardowns.length, 1)
  })

  it('renewing, link.wanted with another spec: stays and keeps it', async () => {
    const b = await renewing()
    b.send(wanted(RESTARTED))
    assert.equal(b.state(), 'tearing-down.renewing')
    assert.equal(b.teardowns.length, 1)
    await b.tornDown()
    assert.equal(b.injects[1]?.input.desired, RESTARTED)
  })

  it('closing, link.wanted: renewing with that spec', async () => {
    const b = await closing()
    b.send(wanted(RESTARTED))
    assert.equal(b.state(), 'tearing-down.renewing')
    await b.tornDown()
    assert.equal(b.injects[1]?.input.desired, RESTARTED)
  })

  it('closing, teardown done: released, nothing held', async () => {
    const b = await closing()
    await b.tornDown()
    assert.equal(b.state(), 'released')
    assert.equal(contextOf(b).mediation, null)
  })

  it('a teardown that throws is over all the same', async () => {
    const b = await closing()
    await b.teardowns[0]?.crash(new Error('oops'))
    assert.equal(b.state(), 'released')
  })
})

describe('link machine: as a whole', () => {
  it('without its actors it says which one is missing', async () => {
    const env = fakeEnvironment()
    const machine = linkMachine({ now: env.wallClock, random: env.random })
    const actor = createActor(machine, { clock: env.clock, input: { desired: SPEC } })
    actor.start()
    await settled()
    const { lastError } = actor.getSnapshot().context
    assert.equal(lastError?._tag === 'PluginFailed' && lastError.message, 'actor inject was not provided')
  })

  it('every state can be reached', () => {
    const env = fakeEnvironment()
    const machine = linkMachine({ now: () => 0, random: env.random })
    const paths = getShortestPaths(machine, {
      input: { desired: SPEC },
      events: [
        wanted(SPEC),
        wanted(PROVIDER_MOVED, { canChange: true }),
        wanted(link.desired(DENIED)),
        UNWANTED,
        LOST,
        EXITED,
        { type: 'inject.done', mediation: held(held1) },
        { type: 'inject.failed', error: GONE },
        { type: 'inject.failed', error: OCCUPIED },
        { type: 'change.done', mediation: held(held1) },
        { type: 'teardown.done' },
      ],
      serializeState: snapshot => stateOf(snapshot as never),
    })
    assert.deepEqual([...new Set(paths.map(({ state }) => stateOf(state)))].sort(), [
      'injecting.abandoned',
      'injecting.wanted',
      'mediating.changing',
      'mediating.steady',
      'pending.blocked',
      'pending.waiting',
      'released',
      'tearing-down.closing',
      'tearing-down.renewing',
    ])
  })

  const specs = [SPEC, RESTARTED, PROVIDER_MOVED, link.running(null).desired(), link.desired(DENIED)]
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc
        .constantFrom(...specs)
        .chain(spec =>
          fc
            .tuple(fc.boolean(), fc.boolean())
            .map(([resync, canChange]) => ({ event: wanted(spec, { resync, canChange }) })),
        ),
    },
    { weight: 3, arbitrary: fc.constantFrom(UNWANTED, LOST, EXITED).map(event => ({ event })) },
    {
      weight: 4,
      arbitrary: fc.constantFrom('right', 'gone', 'occupied', 'crash').map(outcome => ({ outcome })),
    },
    { weight: 1, arbitrary: fc.constantFrom(250, 5000, 60_000).map(ms => ({ ms })) },
  )

  it('whatever happens in whatever order, nothing leaks and nothing is torn down twice', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
        const b = bench()
        let ended = { injects: 0, changes: 0, teardowns: 0 }
        let alive = 0
        const endNext = async (outcome: string): Promise<boolean> => {
          const inject = b.injects[ended.injects]
          const change = b.changes[ended.changes]
          const teardown = b.teardowns[ended.teardowns]
          if (inject !== undefined) {
            ended = { ...ended, injects: ended.injects + 1 }
            if (outcome === 'right' && inject.input.kept === null) alive += 1
            if (outcome === 'right') await inject.end(E.right(held(`m${ended.injects}`)))
            else if (outcome === 'crash') await inject.crash(new Error('crash'))
            else await inject.end(E.left(outcome === 'gone' ? GONE : OCCUPIED))
          } else if (change !== undefined) {
            ended = { ...ended, changes: ended.changes + 1 }
            await change.end(outcome === 'right' ? E.right(held('changed')) : E.left(GONE))
          } else if (teardown !== undefined) {
            ended = { ...ended, teardowns: ended.teardowns + 1 }
            assert.notEqual(teardown.input.mediation, null)
            alive -= 1
            await (outcome === 'crash' ? teardown.crash(new Error('crash')) : teardown.end(CLEAN_TEARDOWN))
          } else return false
          assert.ok(alive === 0 || alive === 1)
          return true
        }
        for (const one of steps) {
          if ('event' in one) b.send(one.event)
          else if ('ms' in one) b.env.clock.increment(one.ms)
          else await endNext(one.outcome)
        }
        b.send(UNWANTED)
        while (await endNext('right'));
        assert.equal(b.state(), 'released')
        assert.equal(alive, 0)
      }),
      { numRuns: 300 },
    )
  })
})
