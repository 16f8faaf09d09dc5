/**
 * A `wayland` link under load: numbered messages there and back, cut at random, with descriptors in between, each checked at both
 * ends (test/bench/wayland-load.c). `PVX_TEST_MESSAGES` says how many; a second's worth if absent.
 */
import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import type { TestContext } from 'node:test'
import { compiled, compilerVersion } from '../bench/compile.ts'
import { eventually } from '../support/eventually.ts'
import { mayGoOn } from '../support/requirements.ts'
import { entryFor, keyOf, scenario } from '../support/scenario.ts'

const MESSAGES = Number(process.env['PVX_TEST_MESSAGES'] ?? 20_000)
const SEED = Number(process.env['PVX_TEST_SEED'] ?? 20_271)
const DESCRIPTOR_EVERY = 10
const SOCKET = '/run/svc/wayland-0'
const TARGET = '/run/pvx/wayland-0'
const PROGRAM = '/load/wayland-load'

const compiler = await compilerVersion()

const hasCompiler = (t: TestContext): boolean =>
  mayGoOn(
    t,
    compiler === undefined ? 'needs a C compiler, cc (Debian: apt-get install gcc libc6-dev)' : undefined,
  )

scenario(
  'no message is lost or changes places, and no descriptor comes after its message',
  async world => {
    await compiled('wayland-load')
    const shares = { '/load': resolve('build/bench') }
    const [app, svc] = await Promise.all([
      world.container('app', { shares }),
      world.container('svc', { shares }),
    ])
    await svc.exec('mkdir', '-p', '/run/svc')
    const provider = svc.spawn([PROGRAM, 'provide', SOCKET])
    await eventually('the provider listens', () => svc.exec('test', '-S', SOCKET).then(() => true))
    const entry = entryFor({
      type: 'wayland',
      name: 'display',
      consumer: app,
      provider: svc,
      interface: 'wayland',
      socket: SOCKET,
      target: TARGET,
    })
    world.ctrl.serve([entry])
    await world.daemon.reaches(keyOf(entry), 'mediating')
    const told = JSON.parse(
      await app.exec(PROGRAM, 'pass', TARGET, `${MESSAGES}`, `${DESCRIPTOR_EVERY}`, `${SEED}`),
    )
    const { descriptors, seconds, ...counts } = told
    assert.deepEqual(counts, {
      sent: MESSAGES,
      arrived: MESSAGES,
      wrong: 0,
      late: 0,
      arrivedDescriptors: descriptors,
      returned: MESSAGES,
      returnedWrong: 0,
      returnedLate: 0,
      returnedDescriptors: descriptors,
    })
    assert.ok(descriptors > MESSAGES / (2 * DESCRIPTOR_EVERY), `${descriptors} descriptors in ${seconds} s`)
    provider.stdin.end()
  },
  { needs: hasCompiler, timeoutMs: 60_000 + MESSAGES / 10 },
)
