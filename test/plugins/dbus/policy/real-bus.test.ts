/** Policies made from chance, on a real dbus-daemon and by our own rules. `npm run fuzz -- dbus-policy` tries more of them. */
import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { randomOf } from '../../../support/random.ts'
import { hasTool, mayGoOn } from '../../../support/requirements.ts'
import { compareOne } from './comparison.ts'
import { CONFIGURATIONS } from './configurations.ts'
import { startsWith } from './real-bus.ts'

const SEEDS = 40

const canRun = (t: TestContext): boolean =>
  mayGoOn(t, process.geteuid?.() === 0 ? undefined : 'needs root: its clients are different users') &&
  hasTool(t, 'python3', 'python3') &&
  hasTool(t, 'dbus-daemon', 'dbus')

describe('policies on a real bus', () => {
  test('dbus-daemon starts with exactly those files that are taken here', async t => {
    if (!canRun(t)) return
    const different: string[] = []
    for (const { name, text, isTaken, daemon } of CONFIGURATIONS) {
      const starts = await startsWith(text)
      if (starts !== (daemon?.isTaken ?? isTaken))
        different.push(`${name}: it ${starts ? 'starts' : 'does not start'}`)
    }
    assert.deepEqual(different, [])
  })

  test('every verdict of ours is the one of dbus-daemon', async t => {
    if (!canRun(t)) return
    let compared = 0
    for (let seed = 0; seed < SEEDS; seed += 1) compared += await compareOne(randomOf(seed))
    assert.ok(compared > SEEDS * 6, `only ${compared} verdicts could be compared`)
  })
})
