/** A real compositor behind a `wayland` link, and real clients in front of it: they cannot tell, but for what is hidden. */
import assert from 'node:assert/strict'
import { VISIBLE_TO_ALL } from '../../plugins/wayland/interfaces.ts'
import type { Container } from '../support/container.ts'
import { eventually } from '../support/eventually.ts'
import {
  entryFor,
  inodeOf,
  inTurn,
  keyOf,
  type ScenarioOptions,
  scenario,
  type World,
} from '../support/scenario.ts'
import {
  DISPLAY,
  framesOf,
  globalsAt,
  hasWeston,
  type Program,
  startClient,
  startWeston,
} from '../support/weston.ts'

const TARGETS = { any: '/run/any/wayland-0', admin: '/run/admin/wayland-0' }
const VISIBLE: ReadonlySet<string> = new Set(Object.values(VISIBLE_TO_ALL).flat())

interface Site extends World {
  readonly app: Container
  readonly svc: Container
  readonly weston: Program
}

const siteIn = async (world: World): Promise<Site> => {
  // A terminal needs one of these.
  const shares = { '/dev/pts': '/dev/pts' }
  const [app, svc] = await Promise.all([world.container('app', { shares }), world.container('svc')])
  await app.exec('sh', '-c', 'test -e /dev/ptmx || ln -s pts/ptmx /dev/ptmx')
  const weston = await startWeston(svc)
  const entries = (['any', 'admin'] as const).map(role =>
    entryFor({
      type: 'wayland',
      name: role,
      consumer: app,
      provider: svc,
      role,
      interface: 'wayland',
      socket: DISPLAY,
      target: TARGETS[role],
    }),
  )
  world.ctrl.serve(entries)
  world.daemon.signal('SIGHUP')
  await Promise.all(entries.map(entry => world.daemon.reaches(keyOf(entry), 'mediating')))
  return { ...world, app, svc, weston }
}

const drawing = async (client: Program, frames: number): Promise<void> => {
  await eventually(
    `it draws ${frames} frames`,
    () => {
      if (framesOf(client) >= frames) return true
      throw new Error(`${framesOf(client)} frames; ${client.said().slice(-500)}`)
    },
    20_000,
  )
}

const rows: Readonly<Record<string, (site: Site) => Promise<void>>> = {
  'wayland-info says the same through the link as without it, but for what is hidden': async ({
    app,
    svc,
  }) => {
    const direct = await globalsAt(svc, DISPLAY)
    const linked = await globalsAt(app, TARGETS.any)
    const expected = new Map([...direct].filter(([global]) => VISIBLE.has(global.split(' ')[0] ?? '')))
    assert.deepEqual(linked, expected)
    assert.ok(expected.size >= 8, [...expected.keys()].join(', '))
    const hidden = [...direct.keys()]
      .filter(global => !linked.has(global))
      .map(global => global.split(' ')[0])
    assert.ok(
      hidden.includes('weston_screenshooter') && hidden.includes('weston_desktop_shell'),
      hidden.join(', '),
    )
  },

  'wayland-info says all of it to an admin': async ({ app, svc }) => {
    assert.deepEqual(await globalsAt(app, TARGETS.admin), await globalsAt(svc, DISPLAY))
  },

  'a screenshooter finds nothing to take pictures with': async ({ app }) => {
    const direct = startClient(app, TARGETS.admin, 'weston-screenshooter')
    await direct.ended()
    assert.match(direct.said(), /bind\(\d+, "weston_screenshooter"/)
    const linked = startClient(app, TARGETS.any, 'weston-screenshooter')
    assert.notEqual(await linked.ended(), 0)
    assert.doesNotMatch(linked.said(), /weston_screenshooter/)
    assert.match(linked.said(), /display doesn't support screenshooter/)
  },

  'a compositor that restarts is found by new clients at the same socket': async site => {
    const target = site.app.path(TARGETS.any)
    const planted = inodeOf(target)
    const client = startClient(site.app, TARGETS.any, 'weston-simple-shm')
    await drawing(client, 3)
    await site.weston.kill()
    await client.ended()
    const again = await startWeston(site.svc)
    const next = startClient(site.app, TARGETS.any, 'weston-simple-shm')
    await drawing(next, 3)
    assert.equal(inodeOf(target), planted)
    await next.kill()
    await again.kill()
  },
}

/** Clients that draw whenever they are asked to, and how many frames are enough to believe it. */
const ANIMATED: Readonly<Record<string, readonly string[]>> = {
  'weston-simple-shm': ['weston-simple-shm'],
  'weston-simple-damage': ['weston-simple-damage'],
  'weston-presentation-shm': ['weston-presentation-shm', '-f'],
  'weston-smoke': ['weston-smoke'],
  'weston-subsurfaces': ['weston-subsurfaces'],
}

/** Toolkit clients, which draw their window and wait. */
const STILL = [
  'weston-flower',
  'weston-eventdemo',
  'weston-clickdot',
  'weston-stacking',
  'weston-scaler',
  'weston-transformed',
  'weston-fullscreen',
  'weston-cliptest',
  'weston-dnd',
  'weston-editor',
  'weston-resizor',
  'weston-confine',
  'weston-multi-resource',
  'weston-terminal',
] as const

const options: ScenarioOptions = { needs: hasWeston, timeoutMs: 180_000 }

scenario(
  'weston behind a wayland link',
  async (world, context) => {
    const site = await siteIn(world)
    const draws = (command: readonly string[], frames: number) => async (): Promise<void> => {
      const client = startClient(site.app, TARGETS.any, ...command)
      await drawing(client, frames)
      await client.kill()
    }
    const all = {
      ...Object.fromEntries(
        Object.entries(ANIMATED).map(([name, command]) => [`${name} draws on and on`, draws(command, 40)]),
      ),
      ...Object.fromEntries(STILL.map(name => [`${name} comes up`, draws([name], 2)])),
      ...rows,
    }
    await inTurn(world, context, site, all)
  },
  options,
)
