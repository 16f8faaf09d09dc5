/** The wayland plugin's decisions: what a link's fields mean, and what it asks of the toolbox. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import plugin from '../../../plugins/wayland/index.ts'
import { grantsOf } from '../../../plugins/wayland/options.ts'
import { E } from '../../../src/fp.ts'
import type { Link } from '../../../src/model/link.ts'
import type { SocketRequest } from '../../../src/toolbox/contract.ts'
import { socketAskedFor } from '../../support/asked-for.ts'
import { aLink } from '../../support/builders.ts'
import { failureOf, must } from '../../support/descriptors.ts'
import { fakeWorld, placeOf } from '../../support/fakes.ts'

const NOT_A_NAME = 'not the name of a Wayland interface, as zwlr_screencopy_manager_v1 is'

/** What an option string grants, or what is said of the option that is refused. */
const OPTIONS: readonly (readonly [string, readonly string[] | string])[] = [
  ['', []],
  ['wayland', []],
  ['wayland+zwlr_screencopy_manager_v1', ['zwlr_screencopy_manager_v1']],
  ['wayland+zwlr_layer_shell_v1+weston_debug_v1', ['zwlr_layer_shell_v1', 'weston_debug_v1']],
  ['wayland+wl_shm', ['wl_shm']],
  [`wayland+x_${'y'.repeat(126)}`, [`x_${'y'.repeat(126)}`]],
  // A label for people.
  ['wayland-0', []],
  ['WAYLAND+x_y', []],
  ['unix+creds', []],
  ['/run/wayland-0', []],
  // No interface is called so.
  ['wayland+', `: ${NOT_A_NAME}`],
  ['wayland+admin', `admin: ${NOT_A_NAME}`],
  ['wayland+wl-shm', `wl-shm: ${NOT_A_NAME}`],
  ['wayland+wl_shm ', `wl_shm : ${NOT_A_NAME}`],
  ['wayland+wl_shm\n', `wl_shm\n: ${NOT_A_NAME}`],
  ['wayland+_wl', `_wl: ${NOT_A_NAME}`],
  ['wayland+wl_', `wl_: ${NOT_A_NAME}`],
  ['wayland+1_x', `1_x: ${NOT_A_NAME}`],
  ['wayland+x_*', `x_*: ${NOT_A_NAME}`],
  ['wayland+x_y+', `: ${NOT_A_NAME}`],
  ['wayland+__proto__', `__proto__: ${NOT_A_NAME}`],
  [`wayland+x_${'y'.repeat(127)}`, `x_${'y'.repeat(127)}: ${NOT_A_NAME}`],
  ['wayland+x_y+x_z+x_y', 'x_y: given twice'],
]

for (const [value, expected] of OPTIONS) {
  test(`the interface ${JSON.stringify(value.slice(0, 60))} means ${JSON.stringify(expected).slice(0, 80)}`, () => {
    const grants = grantsOf(value)
    if (E.isRight(grants)) assert.deepEqual(grants.right, expected)
    else
      assert.equal(
        grants.left._tag === 'OptionRefused'
          ? `${grants.left.option}: ${grants.left.reason}`
          : grants.left._tag,
        expected,
      )
  })
}

const wayland = (fields: Partial<Link> = {}): Link => ({ ...aLink().ofType('wayland').build(), ...fields })

const askedFor = (link: Link): Promise<SocketRequest> => socketAskedFor(plugin, link)

test('a link is a stream socket whose descriptors wait beside the bytes', async () => {
  const link = wayland()
  const { session, ...request } = await askedFor(link)
  assert.equal(typeof session, 'function')
  assert.deepEqual(request, {
    kind: 'stream',
    target: link.target,
    provider: { pid: link.provider_pid, socket: link.socket },
    descriptors: 'queued',
  })
})

test("markers in the compositor's socket are replaced, as of a unix link", async () => {
  const { provider } = await askedFor(wayland({ socket: '/run/{role}/wayland-0', role: 'kiosk' }))
  assert.equal(provider.socket, '/run/kiosk/wayland-0')
})

test('a grant that is none blocks the link, and nothing is planted', async () => {
  const world = fakeWorld()
  const link = wayland({ interface: 'wayland+everything' })
  const refusal = failureOf(await plugin.onLinkAdded(link, world.host.toolboxFor(link))())
  assert.equal(refusal._tag, 'OptionRefused')
  assert.equal(world.planted.size, 0)
})

test('a compositor that moved is followed with the planted socket in its place', async () => {
  const world = fakeWorld()
  const link = wayland()
  const box = world.host.toolboxFor(link)
  const mediation = must(await plugin.onLinkAdded(link, box)())
  const moved = wayland({ socket: '/run/new/wayland-1' })
  const changed = must((await plugin.onLinkChanged?.(moved, mediation, box)()) ?? E.left('cannot change'))
  assert.equal(changed.id, mediation.id)
  assert.equal(world.planted.get(placeOf(link))?.provider.socket, '/run/new/wayland-1')
})

test('a link that is removed is withdrawn', async () => {
  const world = fakeWorld()
  const link = wayland()
  const box = world.host.toolboxFor(link)
  const mediation = must(await plugin.onLinkAdded(link, box)())
  await plugin.onLinkRemoved(link, mediation, box)()
  assert.equal(world.planted.size, 0)
})
