/** The judges of links that are not `unix`, judged: without a daemon between them they have to find what is missing. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { HOST } from '../support/container.ts'
import { randomOf } from '../support/random.ts'
import { canRunHere } from '../support/requirements.ts'
import { startSoakPeer } from './peer.ts'
import { planFor, probeFor, WORDS } from './uses.ts'

const KNOWN = { consumer: 'app', number: '226:0' }

test('who uses a link tells when nothing stands between it and its provider', async t => {
  if (!canRunHere(t)) return
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-soak-uses-'))
  const [consumer, provider] = await Promise.all([startSoakPeer(HOST), startSoakPeer(HOST)])
  try {
    await t.test('nobody says in a request who sent it', async () => {
      const path = join(scratch, 'web')
      await provider.offer('rest', 'web', path, '')
      const { outcome, why } = await consumer.use('rest', path, probeFor('rest', KNOWN))
      assert.equal(outcome, 'wrong')
      assert.match(why ?? '', /418 Wrong: b"X-PV-Client is \['forged'\]"/)
    })

    await t.test('a global is seen that should not be', async () => {
      const path = join(scratch, 'screen')
      await provider.offer('wayland', 'screen', path, '')
      const { outcome, why } = await consumer.use('wayland', path, probeFor('wayland', KNOWN))
      assert.equal(outcome, 'wrong')
      assert.match(why ?? '', /zwlr_screencopy_manager_v1/)
    })

    await t.test('a node is missing, of another device, or no node', async () => {
      const path = join(scratch, 'card')
      const look = () => consumer.use('drm', path, probeFor('drm', KNOWN))
      assert.deepEqual(await look(), { outcome: 'refused', why: 'ENOENT' })
      await provider.offer('drm', 'card', path, '226:1')
      assert.deepEqual(await look(), { outcome: 'refused', why: 'it is 226:1, not 226:0' })
      await provider.offer('drm', 'card', path, '226:0')
      assert.deepEqual(await look(), { outcome: 'done' })
      await provider.unplug(path)
      execFileSync('touch', [path])
      assert.deepEqual(await look(), { outcome: 'refused', why: 'it is no device' })
    })

    await t.test('nobody listens', async () => {
      const { outcome } = await consumer.use('dbus', join(scratch, 'bus'), probeFor('dbus', KNOWN))
      assert.equal(outcome, 'refused')
    })

    assert.deepEqual(await provider.faults(), [])
  } finally {
    await Promise.all([consumer.kill(), provider.kill()])
    rmSync(scratch, { recursive: true })
  }
})

test('the same seed makes the same plans, and every type has two words for each thing', () => {
  for (const type of ['rest', 'dbus', 'wayland', 'drm'] as const) {
    assert.deepEqual(planFor(type, randomOf(7), KNOWN), planFor(type, randomOf(7), KNOWN))
    assert.equal(new Set(WORDS[type].roles).size, 2)
    assert.equal(new Set(WORDS[type].interfaces).size, 2)
  }
})
