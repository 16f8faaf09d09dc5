import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PassOutcome, Reason, Trigger } from '../../src/controller/trigger.ts'
import { createTrigger } from '../../src/controller/trigger.ts'
import type { FakeEnvironment } from '../support/fakes.ts'
import { fakeEnvironment, settled } from '../support/fakes.ts'

interface Bench {
  readonly env: FakeEnvironment
  readonly trigger: Trigger
  readonly passes: (readonly Reason[])[]
  outcome: PassOutcome
  end(): Promise<void>
}

/** `held`: passes wait for `end`. */
const bench = (options: { intervalMs?: number | null; held?: boolean } = {}): Bench => {
  const env = fakeEnvironment()
  let finish: (() => void) | undefined
  const b: Bench = {
    env,
    passes: [],
    outcome: 'done',
    end: () => {
      finish?.()
      return settled()
    },
    trigger: createTrigger({
      clock: env.clock,
      random: env.random,
      intervalMs: options.intervalMs === undefined ? 1000 : options.intervalMs,
      pass: async reasons => {
        b.passes.push([...reasons])
        if (options.held) {
          await new Promise<void>(resolve => {
            finish = resolve
          })
        }
        return b.outcome
      },
    }),
  }
  return b
}

const after = async (b: Bench, ms: number): Promise<number> => {
  b.env.clock.increment(ms)
  await settled()
  return b.passes.length
}

describe('trigger', () => {
  it('a pass runs at the start and then once an interval', async () => {
    const b = bench()
    b.trigger.start()
    await settled()
    assert.equal(await after(b, 999), 1)
    assert.equal(await after(b, 1), 2)
    assert.equal(await after(b, 1000), 3)
    assert.deepEqual(b.passes, [['start'], ['interval'], ['interval']])
  })

  it('whatever is asked for during a pass causes exactly one more', async () => {
    const b = bench({ held: true })
    b.trigger.start()
    for (const reason of ['sighup', 'asked', 'process-exit', 'asked'] as const) void b.trigger.ask(reason)
    await b.end()
    assert.deepEqual(b.passes, [['start'], ['sighup', 'asked', 'process-exit']])
    await b.end()
    assert.equal(b.passes.length, 2)
  })

  it('who asks during a pass is answered by the one after it', async () => {
    const b = bench({ held: true })
    b.trigger.start()
    let answered = false
    void b.trigger.ask('asked').then(() => {
      answered = true
    })
    await b.end()
    assert.equal(answered, false)
    await b.end()
    assert.equal(answered, true)
  })

  it('the interval counts from the start of a pass, and what takes longer delays it', async () => {
    const b = bench({ held: true })
    b.trigger.start()
    b.env.clock.increment(400)
    await b.end()
    assert.equal(await after(b, 599), 1)
    assert.equal(await after(b, 1), 2)
    b.env.clock.increment(5000)
    await b.end()
    assert.equal(await after(b, 0), 3)
  })

  it('an asked pass puts the next interval off', async () => {
    const b = bench()
    b.trigger.start()
    await settled()
    b.env.clock.increment(900)
    await b.trigger.ask('sighup')
    assert.equal(await after(b, 999), 2)
    assert.equal(await after(b, 1), 3)
  })

  it('a failed read is retried sooner than the interval, then backs off to it', async () => {
    const b = bench({ intervalMs: 1000 })
    b.outcome = 'read-failed'
    b.trigger.start()
    await settled()
    for (const delay of [250, 500, 1000, 1000]) {
      const before = b.passes.length
      assert.equal(await after(b, delay - 1), before)
      assert.equal(await after(b, 1), before + 1)
    }
    b.outcome = 'done'
    await after(b, 1000)
    b.outcome = 'read-failed'
    await after(b, 1000)
    const before = b.passes.length
    assert.equal(await after(b, 250), before + 1)
  })

  it('who asks hears how the pass ended', async () => {
    const b = bench({ intervalMs: null })
    b.trigger.start()
    await settled()
    for (const outcome of ['done', 'read-failed', 'failed'] as const) {
      b.outcome = outcome
      assert.equal(await b.trigger.ask('asked'), outcome)
    }
    await b.trigger.stop()
    assert.equal(await b.trigger.ask('asked'), 'stopped')
  })

  it('without an interval a pass runs only when asked for', async () => {
    const b = bench({ intervalMs: null })
    b.trigger.start()
    await settled()
    assert.equal(await after(b, 1_000_000), 1)
    await b.trigger.ask('asked')
    assert.equal(b.passes.length, 2)
  })

  it('once stopped nothing begins, and nobody waits for ever', async () => {
    const b = bench({ held: true })
    b.trigger.start()
    const asked = b.trigger.ask('asked')
    const stopped = b.trigger.stop()
    await b.end()
    await Promise.all([asked, stopped, b.trigger.ask('sighup')])
    assert.equal(await after(b, 10_000), 1)
  })
})
