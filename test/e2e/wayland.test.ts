/** `wayland` links in real containers, on the raw wire: a client and a compositor that a test leads, the unfair ones too. */
import assert from 'node:assert/strict'
import { runBundle } from '../cli/support.ts'
import { eventually } from '../support/eventually.ts'
import type { Entry } from '../support/pv-ctrl.ts'
import {
  entryFor,
  inodeOf,
  inTurn,
  keyOf,
  type ScenarioOptions,
  scenario,
  type World,
} from '../support/scenario.ts'
import { startWaylandPeer, type WaylandPeer } from '../support/wayland-peer.ts'
import {
  bind,
  deleteId,
  destroyRegistry,
  done,
  error,
  filler,
  getRegistry,
  global,
  globalRemove,
  header,
  messagesIn,
  raw,
  refused,
  sync,
  told,
} from '../support/wayland-wire.ts'

const SOCKET = '/run/svc/wayland-0'
const SECRET = 'zwlr_screencopy_manager_v1'

/** Where clients of a link find the compositor, by what the link is. */
const TARGETS = {
  any: '/run/any/wayland-0',
  granted: '/run/granted/wayland-0',
  admin: '/run/admin/wayland-0',
}
type Target = keyof typeof TARGETS

const OPTIONS: Readonly<Record<Target, { readonly role: string; readonly interface: string }>> = {
  any: { role: 'any', interface: 'wayland' },
  granted: { role: 'kiosk', interface: `wayland+${SECRET}` },
  admin: { role: 'admin', interface: 'wayland' },
}

interface Site extends World {
  readonly client: WaylandPeer
  /** Its listener is `door`. */
  readonly compositor: WaylandPeer
  readonly entries: Readonly<Record<Target, Entry>>
  readonly restartCompositor: () => Promise<void>
  /** A new connection, called so at both ends. */
  readonly connect: (name: string, target?: Target) => Promise<void>
}

const siteIn = async (world: World): Promise<Site> => {
  const [app, svc] = await Promise.all([world.container('app'), world.container('svc')])
  const [client, compositor] = await Promise.all([startWaylandPeer(app), startWaylandPeer(svc)])
  for (const peer of [client, compositor]) world.adopt(peer)
  const entry = (target: Target): Entry =>
    entryFor({
      type: 'wayland',
      name: target,
      consumer: app,
      provider: svc,
      socket: SOCKET,
      target: TARGETS[target],
      ...OPTIONS[target],
    })
  const entries = { any: entry('any'), granted: entry('granted'), admin: entry('admin') }
  await compositor.listen('door', SOCKET)
  const all = Object.values(entries)
  world.ctrl.serve(all)
  world.daemon.signal('SIGHUP')
  await Promise.all(all.map(each => world.daemon.reaches(keyOf(each), 'mediating')))
  return {
    ...world,
    client,
    compositor,
    entries,
    restartCompositor: async () => {
      await compositor.close('door')
      await compositor.listen('door', SOCKET, { replace: true })
    },
    connect: async (name, target = 'any') => {
      const accepted = compositor.accept('door', name)
      await client.connect(name, TARGETS[target])
      await accepted
    },
  }
}

const sizeOf = (messages: readonly Uint8Array[]): number =>
  messages.reduce((sum, { length }) => sum + length, 0)

/** The compositor gets exactly this next. */
const compositorHears = async (
  { compositor }: Site,
  name: string,
  ...messages: readonly Buffer[]
): Promise<void> => {
  assert.deepEqual((await compositor.hears(name, sizeOf(messages))).told, told(Buffer.concat(messages)))
}

const clientHears = async ({ client }: Site, name: string, ...messages: readonly Buffer[]): Promise<void> => {
  assert.deepEqual((await client.hears(name, sizeOf(messages))).told, told(Buffer.concat(messages)))
}

/** The client hears this to its end, and the compositor hears that. */
const bothEnd = async (
  { client, compositor }: Site,
  name: string,
  heard: { readonly client: readonly Buffer[]; readonly compositor: readonly Buffer[] },
): Promise<void> => {
  const [last, requests] = await Promise.all([client.hearsToEnd(name), compositor.hearsToEnd(name)])
  assert.deepEqual(last.told, told(Buffer.concat(heard.client)))
  assert.deepEqual(requests.told, told(Buffer.concat(heard.compositor)))
}

const rows: Readonly<Record<string, (site: Site) => Promise<void>>> = {
  'a client sees what its link is for, binds it, and is heard': async site => {
    await site.connect('a')
    await site.client.says('a', [getRegistry(2), sync(3)])
    await compositorHears(site, 'a', getRegistry(2), sync(3))
    await site.compositor.says('a', [
      global(2, 1, 'wl_compositor', 5),
      global(2, 2, SECRET),
      global(2, 3, 'wl_shm'),
      globalRemove(2, 2),
      done(3),
      deleteId(3),
    ])
    await clientHears(
      site,
      'a',
      global(2, 1, 'wl_compositor', 5),
      global(2, 3, 'wl_shm'),
      done(3),
      deleteId(3),
    )
    await site.client.says('a', [bind(2, 3, 'wl_shm', 3)])
    await compositorHears(site, 'a', bind(2, 3, 'wl_shm', 3))
  },

  'a granted interface is seen and bound, and others are still hidden': async site => {
    await site.connect('b', 'granted')
    await site.client.says('b', [getRegistry(2)])
    await compositorHears(site, 'b', getRegistry(2))
    await site.compositor.says('b', [global(2, 1, 'zwlr_layer_shell_v1'), global(2, 2, SECRET)])
    await clientHears(site, 'b', global(2, 2, SECRET))
    await site.client.says('b', [bind(2, 2, SECRET, 3)])
    await compositorHears(site, 'b', bind(2, 2, SECRET, 3))
  },

  'an admin sees and binds everything': async site => {
    await site.connect('c', 'admin')
    await site.client.says('c', [getRegistry(2), bind(2, 9, 'weston_debug_v1', 3)])
    await compositorHears(site, 'c', getRegistry(2), bind(2, 9, 'weston_debug_v1', 3))
    await site.compositor.says('c', [global(2, 9, 'weston_debug_v1')])
    await clientHears(site, 'c', global(2, 9, 'weston_debug_v1'))
  },

  'a bind of a hidden global is refused as by a compositor, what came before it is delivered, what follows is not':
    async site => {
      await site.connect('d')
      await site.client.says('d', [getRegistry(2)])
      await compositorHears(site, 'd', getRegistry(2))
      await site.compositor.says('d', [global(2, 1, 'wl_shm'), global(2, 7, SECRET)])
      await clientHears(site, 'd', global(2, 1, 'wl_shm'))
      const before = site.daemon.log().length
      await site.client.says('d', [sync(3), bind(2, 7, SECRET), sync(4), sync(5)])
      await bothEnd(site, 'd', { client: [refused(2, 7, SECRET)], compositor: [sync(3)] })
      const line = await site.daemon.logged('the refusal', each => each['audit'] === 'request-refused', {
        since: before,
      })
      assert.deepEqual(
        [line['consumer'], line['role'], line['interface'], line['global'], line['reason']],
        ['app', 'any', SECRET, 7, 'interface'],
      )
    },

  'a bind in the same write as its registry is refused before anything was announced': async site => {
    await site.connect('e')
    await site.client.says('e', [getRegistry(2), bind(2, 1, SECRET)])
    await bothEnd(site, 'e', { client: [refused(2, 1, SECRET)], compositor: [getRegistry(2)] })
  },

  'a bind by the name of a hidden global is refused under another interface too': async site => {
    await site.connect('f')
    await site.client.says('f', [getRegistry(2)])
    await compositorHears(site, 'f', getRegistry(2))
    await site.compositor.says('f', [global(2, 7, SECRET), done(3)])
    await clientHears(site, 'f', done(3))
    await site.client.says('f', [bind(2, 7, 'wl_shm')])
    await bothEnd(site, 'f', { client: [refused(2, 7, 'wl_shm')], compositor: [] })
  },

  'a registry under an id that was in use a moment ago is watched after that id is given back':
    async site => {
      await site.connect('g')
      await site.client.says('g', [sync(5), getRegistry(5)])
      await compositorHears(site, 'g', sync(5), getRegistry(5))
      await site.compositor.says('g', [done(5), deleteId(5), global(5, 1, SECRET), global(5, 2, 'wl_shm')])
      await clientHears(site, 'g', done(5), deleteId(5), global(5, 2, 'wl_shm'))
      await site.client.says('g', [bind(5, 1, SECRET)])
      await bothEnd(site, 'g', { client: [refused(5, 1, SECRET)], compositor: [] })
    },

  'a registry that is given back by wl_fixes is watched as long as it speaks, and the next under its id is too':
    async site => {
      await site.connect('h')
      const fixed = [getRegistry(2), bind(2, 3, 'wl_fixes', 4), getRegistry(5), destroyRegistry(4, 5)]
      await site.client.says('h', fixed)
      await compositorHears(site, 'h', ...fixed)
      await site.compositor.says('h', [global(5, 1, SECRET), deleteId(5), done(6)])
      await clientHears(site, 'h', deleteId(5), done(6))
      await site.client.says('h', [getRegistry(5), bind(5, 1, SECRET)])
      await bothEnd(site, 'h', { client: [refused(5, 1, SECRET)], compositor: [getRegistry(5)] })
    },

  'a registry is one too where its request is longer than it need be: that is refused': async site => {
    await site.connect('i')
    await site.client.says('i', [raw(1, 1, Buffer.from('0200000000000000', 'hex')), bind(2, 1, SECRET)])
    await bothEnd(site, 'i', {
      client: [error(1, 1, 'invalid arguments for wl_display@1.get_registry')],
      compositor: [],
    })
  },

  'a message that cannot be is the end, on either side': async site => {
    await site.connect('j')
    await site.client.says('j', [sync(3), header(4, 0, 6), sync(5)])
    await bothEnd(site, 'j', {
      client: [error(1, 1, 'a message cannot be 6 bytes long')],
      compositor: [sync(3)],
    })
    await site.connect('k')
    await site.compositor.says('k', [done(3), header(4, 0, 6), done(5)])
    await bothEnd(site, 'k', { client: [done(3)], compositor: [] })
    await site.daemon.logged('what the compositor did', each => each['size'] === 6)
  },

  'messages written byte by byte arrive whole and in order, both ways': async site => {
    await site.connect('l')
    const requests = [getRegistry(2), sync(3), bind(2, 3, 'wl_shm', 4), filler(4, 100)]
    const events = [global(2, 1, SECRET), global(2, 3, 'wl_shm'), filler(4, 100), done(3)]
    await Promise.all([
      site.client.says('l', requests, { piece: 1 }),
      compositorHears(site, 'l', ...requests),
    ])
    await Promise.all([
      site.compositor.says('l', events, { piece: 1 }),
      clientHears(site, 'l', ...events.slice(1)),
    ])
  },

  'messages of every length pass, up to 65532 bytes, both ways': async site => {
    await site.connect('m')
    const messages = [filler(4, 8), filler(4, 65_532), filler(5, 4096), filler(6, 65_532), filler(7, 8)]
    await Promise.all([site.client.says('m', messages), compositorHears(site, 'm', ...messages)])
    await Promise.all([site.compositor.says('m', messages), clientHears(site, 'm', ...messages)])
  },

  'part of a message stays where it is': async site => {
    await site.connect('n')
    await site.client.says('n', [sync(3), filler(4, 400).subarray(0, 399)])
    await compositorHears(site, 'n', sync(3))
    await site.client.close('n')
    assert.deepEqual((await site.compositor.hearsToEnd('n')).told, [])
  },
}

const numbered = (count: number): readonly string[] => Array.from({ length: count }, (_, at) => `m${at}`)

for (const count of [1, 28, 29, 100, 253]) {
  Object.assign(rows, {
    [`${count} descriptors of one write arrive in order, with no more than libwayland has room for at once`]:
      async (site: Site) => {
        const name = `fds ${count}`
        await site.connect(name)
        for (const [from, to] of [
          [site.client, site.compositor],
          [site.compositor, site.client],
        ] as const) {
          await from.makeMemfds('m', count)
          await from.says(name, [filler(4, 40), filler(5, 40)], { descriptors: numbered(count) })
          await from.closeFiles(numbered(count))
          const heard = await to.hears(name, 80)
          assert.deepEqual(heard.descriptors, numbered(count))
          assert.deepEqual(heard.told, told(Buffer.concat([filler(4, 40), filler(5, 40)])))
          assert.equal(heard.isCut, false)
          assert.ok(
            heard.shares.every(share => share <= 28),
            heard.shares.join(' '),
          )
        }
      },
  })
}

const more: typeof rows = {
  'descriptors of a message that is left out go with the next one that is not': async site => {
    await site.connect('o')
    await site.client.says('o', [getRegistry(2)])
    await compositorHears(site, 'o', getRegistry(2))
    await site.compositor.makeMemfds('m', 3)
    await site.compositor.says('o', [global(2, 1, SECRET)], { descriptors: ['m0', 'm1'] })
    await site.compositor.says('o', [global(2, 2, SECRET), done(3)], { descriptors: ['m2'] })
    assert.deepEqual((await site.client.hears('o', 12)).descriptors, ['m0', 'm1', 'm2'])
    await site.compositor.closeFiles(numbered(3))
  },

  'more descriptors than any message can have are the end of their connection, and none is kept':
    async site => {
      await site.connect('p')
      await site.client.makePipe('reader', 'writer')
      const taken = await site.client.saysWithEach('p', filler(4, 65_532).subarray(0, 1000), 'writer', 253)
      assert.ok(taken >= 4 && taken < 1000, `${taken} bytes`)
      await site.client.closeFiles(['writer'])
      assert.equal(await site.client.readFile('reader'), '')
      assert.deepEqual((await site.compositor.hearsToEnd('p')).told, [])
      await site.client.closeFiles(['reader'])
    },

  "a compositor's last words reach a client that is still writing": async site => {
    await site.connect('q')
    await site.client.says('q', [sync(3), filler(4, 60_000)])
    const words = [filler(5, 5000), error(4, 3, 'you had it coming')]
    await site.compositor.says('q', words)
    // With requests unread, so that the end is a reset.
    await site.compositor.close('q')
    const heard = await site.client.hearsToEnd('q')
    assert.deepEqual(heard.told, told(Buffer.concat(words)))
  },

  "a client's last requests reach the compositor": async site => {
    await site.connect('r')
    await site.compositor.says('r', [filler(5, 5000)])
    await site.client.says('r', [sync(3), filler(4, 60_000), filler(4, 8)])
    await site.client.close('r')
    await compositorHears(site, 'r', sync(3), filler(4, 60_000), filler(4, 8))
    assert.deepEqual((await site.compositor.hearsToEnd('r')).told, [])
  },

  'a client that does not read holds up its compositor and nobody else, and loses nothing': async site => {
    await site.connect('s')
    await site.connect('t')
    const bytes = await site.compositor.floods('s', 7, 300)
    assert.ok(bytes > 256 * 1024 && bytes < 3 * 1024 * 1024, `${bytes} bytes`)
    await site.client.says('s', [sync(3)])
    await compositorHears(site, 's', sync(3))
    await site.client.says('t', [sync(3)])
    await compositorHears(site, 't', sync(3))
    assert.equal(await site.client.hearsFlood('s', 7, bytes), -1)
  },

  'a compositor that does not read holds up its client, which is heard out when it does': async site => {
    await site.connect('u')
    const bytes = await site.client.floods('u', 7, 300)
    assert.ok(bytes > 256 * 1024 && bytes < 3 * 1024 * 1024, `${bytes} bytes`)
    await site.compositor.says('u', [done(3)])
    await clientHears(site, 'u', done(3))
    assert.equal(await site.compositor.hearsFlood('u', 7, bytes), -1)
  },

  'a refusal does not wait for a compositor that does not read, which gets what came before': async site => {
    await site.connect('v')
    // More than the kernel queues, and less than holds up the client.
    const before = [getRegistry(2), ...Array.from({ length: 5 }, () => filler(4, 60_000))]
    await site.client.says('v', [...before, bind(2, 1, SECRET)])
    await clientHears(site, 'v', refused(2, 1, SECRET))
    await compositorHears(site, 'v', ...before)
    assert.deepEqual((await site.client.hearsToEnd('v')).ended, 'end')
    assert.deepEqual((await site.compositor.hearsToEnd('v')).told, [])
  },

  'a refusal comes to a client that does not read yet, after all the whole events in front of it':
    async site => {
      await site.connect('late')
      await site.client.says('late', [getRegistry(2)])
      await compositorHears(site, 'late', getRegistry(2))
      const bytes = await site.compositor.floods('late', 7, 100)
      await site.client.says('late', [bind(2, 1, SECRET)])
      const [heard, requests] = await Promise.all([
        site.client.hearsToEnd('late'),
        site.compositor.hearsToEnd('late'),
      ])
      assert.deepEqual(requests.told, [])
      const error = refused(2, 1, SECRET)
      assert.deepEqual(heard.told.at(-1), told(error)[0])
      const events = messagesIn(heard.bytes).slice(0, -1)
      assert.ok(events.every(({ object, size }) => object === 7 && size === 4096))
      assert.equal(events.length * 4096 + error.length, heard.bytes.length)
      assert.ok(events.length > 64 && events.length * 4096 <= bytes, `${events.length} of ${bytes} bytes`)
    },

  'a compositor that restarts ends its clients, and is found by new ones at the same socket': async site => {
    await site.connect('w')
    const target = site.client.place.path(TARGETS.any)
    const planted = inodeOf(target)
    await site.restartCompositor()
    await site.compositor.close('w')
    assert.deepEqual((await site.client.hearsToEnd('w')).told, [])
    await site.connect('x')
    await site.client.says('x', [sync(3)])
    await compositorHears(site, 'x', sync(3))
    assert.equal(inodeOf(target), planted)
  },

  'a client that comes before its compositor waits for it': async site => {
    await site.compositor.close('door')
    await site.client.connect('y', TARGETS.any)
    await site.client.says('y', [sync(3)])
    await site.compositor.listen('door', SOCKET, { replace: true })
    await site.compositor.accept('door', 'y')
    await compositorHears(site, 'y', sync(3))
  },
}

const options: ScenarioOptions = { timeoutMs: 120_000 }

scenario(
  'wayland links on the raw wire',
  async (world, context) => {
    const site = await siteIn(world)
    await inTurn(world, context, site, { ...rows, ...more })
  },
  options,
)

scenario(
  'what a link hides and refuses is counted, and shown by describe',
  async world => {
    const site = await siteIn(world)
    await site.connect('a')
    await site.client.says('a', [getRegistry(2)])
    await compositorHears(site, 'a', getRegistry(2))
    await site.compositor.says('a', [
      global(2, 1, SECRET),
      global(2, 2, 'weston_debug_v1'),
      global(2, 3, 'wl_shm'),
    ])
    await clientHears(site, 'a', global(2, 3, 'wl_shm'))
    await site.client.says('a', [bind(2, 1, SECRET)])
    await bothEnd(site, 'a', { client: [refused(2, 1, SECRET)], compositor: [] })
    await eventually('it is counted', async () => {
      const { out } = await runBundle(['describe', 'app/any', '--control', site.daemon.control])
      assert.match(out, /^ +hidden_globals +2 /m)
      assert.match(out, /^ +refusals +reason interface +1 /m)
      assert.match(out, /\b2 messages, 1 denial\b/)
      return true
    })
  },
  { ownDaemon: true },
)

scenario('a link that is withdrawn takes its Wayland clients along', async world => {
  const site = await siteIn(world)
  await site.connect('a')
  world.ctrl.serve([site.entries.admin])
  await world.daemon.reaches(keyOf(site.entries.any), 'released')
  assert.deepEqual((await site.client.hearsToEnd('a')).told, [])
  await eventually('the compositor sees it go', async () => {
    assert.deepEqual((await site.compositor.hearsToEnd('a')).told, [])
    return true
  })
})

scenario('a link whose grant is none is blocked, and says why', async world => {
  const [app, svc] = await Promise.all([world.container('app'), world.container('svc')])
  const entry = entryFor({
    type: 'wayland',
    name: 'display',
    consumer: app,
    provider: svc,
    interface: 'wayland+everything',
  })
  world.ctrl.serve([entry])
  await world.daemon.reaches(keyOf(entry), 'pending.blocked')
  await world.daemon.logged('the option', line =>
    JSON.stringify(line).includes('not the name of a Wayland interface'),
  )
})
