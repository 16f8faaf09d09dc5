/**
 * Links of type `drm` from a graph to a node in a container: by role, in the face of what stands there, as devices come and
 * go, either side restarts, or the daemon is killed. The nodes have a DRM device's number and no driver: none is opened but
 * where a device cgroup is asked (ENXIO: it allows that; EPERM: it does not).
 */
import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Container, ContainerOptions } from '../support/container.ts'
import { askControl } from '../support/control.ts'
import { asText, startDaemon } from '../support/daemon.ts'
import { hasDeviceCgroups, openGroup, restrict } from '../support/device-cgroup.ts'
import { eventually, staysTrue } from '../support/eventually.ts'
import { inside } from '../support/faults.ts'
import { makeNode, numberOf } from '../support/nodes.ts'
import type { Entry } from '../support/pv-ctrl.ts'
import { entryFor, exists, keyOf, scenario, type World } from '../support/scenario.ts'

const CARD = '/dev/dri/card0'
const RENDER = '/dev/dri/renderD128'

interface Pair {
  readonly app: Container
  readonly svc: Container
  readonly entry: Entry
  readonly link: string
}

interface Wanted {
  readonly role?: string
  readonly socket?: string
  readonly target?: string
  readonly app?: ContainerOptions
}

const entryOf = (app: Container, svc: Container, wanted: Wanted = {}): Entry =>
  entryFor({
    type: 'drm',
    name: 'gpu',
    consumer: app,
    provider: svc,
    interface: 'drm',
    socket: wanted.socket ?? CARD,
    target: wanted.target ?? wanted.socket ?? CARD,
    ...(wanted.role === undefined ? {} : { role: wanted.role }),
  })

/** A container with a card and a render node, as by a driver. */
const graphics = async (world: World, name = 'svc'): Promise<Container> => {
  const svc = await world.container(name)
  inside(svc, `mkdir -p /dev/dri; mknod ${CARD} c 226 0; mknod ${RENDER} c 226 128`)
  for (const [node, mode] of [
    [CARD, 0o660],
    [RENDER, 0o666],
  ] as const) {
    chownSync(svc.path(node), 0, 44)
    chmodSync(svc.path(node), mode)
  }
  return svc
}

const pairOf = async (world: World, wanted: Wanted = {}): Promise<Pair> => {
  const [app, svc] = await Promise.all([world.container('app', wanted.app), graphics(world)])
  const entry = entryOf(app, svc, wanted)
  return { app, svc, entry, link: keyOf(entry) }
}

const connected = async (world: World, wanted: Wanted = {}): Promise<Pair> => {
  const pair = await pairOf(world, wanted)
  world.ctrl.serve([pair.entry])
  await world.daemon.reaches(pair.link, 'mediating')
  return pair
}

const looks = (container: Container, path: string): string => {
  const { uid, gid, mode } = lstatSync(container.path(path))
  return `${numberOf(container.path(path))} ${uid}:${gid} ${(mode & 0o7777).toString(8)}`
}

/** Where it is the provider's side that changes, a look every five seconds finds out. */
const becomes = (what: string, holds: () => boolean): Promise<unknown> => eventually(what, holds, 15_000)

scenario('a card and a render node come with owner and mode, and go with their links', async world => {
  const { app, svc } = await pairOf(world)
  const entries = [entryOf(app, svc), { ...entryOf(app, svc, { socket: RENDER }), name: 'compute' }]
  world.ctrl.serve(entries)
  for (const entry of entries) await world.daemon.reaches(keyOf(entry), 'mediating')
  assert.equal(looks(app, CARD), '226:0 0:44 660')
  assert.equal(looks(app, RENDER), '226:128 0:44 666')
  world.ctrl.serve(entries.slice(1))
  await becomes('the card goes', () => !exists(app.path(CARD)))
  assert.deepEqual(readdirSync(app.path('/dev/dri')), ['renderD128'])
  world.ctrl.serve([])
  await becomes('the folder goes with the last', () => !exists(app.path('/dev/dri')))
  assert.equal(looks(svc, CARD), '226:0 0:44 660')
})

const ROLES: readonly (readonly [role: string, card: boolean, render: boolean])[] = [
  ['master', true, false],
  ['render', false, true],
  ['any', true, true],
  ['admin', true, true],
  ['guest', false, true],
]

scenario('each role gets what it may, and the reason says why it gets no more', async world => {
  const [app, svc] = await Promise.all([world.container('app'), graphics(world)])
  // A name that says nothing lets the device decide.
  inside(svc, `ln -s ${CARD} /dev/a; ln -s ${RENDER} /dev/b`)
  const rows = ROLES.flatMap(([role, card, render]) =>
    (
      [
        [CARD, card, 'card0'],
        ['/dev/a', card, 'a (226:0)'],
        [RENDER, render, 'renderD128'],
        ['/dev/b', render, 'b (226:128)'],
      ] as const
    ).map(([socket, gets, shown], index) => {
      const target = `/dev/${role}/${index}`
      return {
        entry: { ...entryOf(app, svc, { role, socket, target }), name: `${role}${index}` },
        gets,
        role,
        shown,
        target,
      }
    }),
  )
  world.ctrl.serve(rows.map(({ entry }) => entry))
  for (const { entry, gets, role, shown, target } of rows) {
    await world.daemon.reaches(keyOf(entry), gets ? 'mediating' : 'pending.blocked')
    assert.equal(exists(app.path(target)), gets, `${role} ${shown}`)
    if (!gets) {
      await world.daemon.logged(
        'why',
        line => line['link'] === keyOf(entry) && asText(line).includes(`role ${role} may not get ${shown}`),
      )
    }
  }
})

/** What a provider may have made there, and what is said of it. */
const FALSE: Readonly<Record<string, readonly [make: string, told: string]>> = {
  'the null device': ['mknod /dev/dri/card0 c 1 3', 'it is no DRM device (1:3)'],
  'a disk': ['mknod /dev/dri/card0 b 8 0', 'it is a block device (8:0)'],
  'a block device of that number': ['mknod /dev/dri/card0 b 226 0', 'it is a block device (226:0)'],
  'a render node': ['mknod /dev/dri/card0 c 226 128', 'it is called card0, but is a render node'],
  'a control node': ['mknod /dev/dri/card0 c 226 64', 'it is neither a card nor a render node'],
  'a file': ['echo >/dev/dri/card0', 'it is a file, not a device'],
  'a symlink to another device': ['ln -s /dev/null /dev/dri/card0', 'it is no DRM device (1:3)'],
}

for (const [what, [make, told]] of Object.entries(FALSE)) {
  scenario(`${what} that a provider calls card0 is not given`, async world => {
    const { app, svc, entry, link } = await pairOf(world)
    inside(svc, `rm ${CARD}; ${make}`)
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'pending.blocked')
    await world.daemon.logged('why', line => asText(line).includes(told))
    assert.ok(!exists(app.path('/dev/dri')))
  })
}

scenario('a consumer that is the host is refused: it has its devices', async world => {
  const { app, svc } = await pairOf(world)
  const entry = { ...entryOf(app, svc, { target: '/dev/pvx-never/card0' }), consumer_pid: 0 }
  world.ctrl.serve([entry])
  await world.daemon.reaches(keyOf(entry), 'pending.blocked')
  await world.daemon.logged('why', line => asText(line).includes('the host has its devices already'))
  assert.ok(!existsSync('/dev/pvx-never'))
})

scenario(
  'the provider may be the host, and the target is where the device is if none is given',
  async world => {
    const app = await world.container('app')
    const node = join(world.scratch, 'card9')
    makeNode(node, '226:9')
    const { target: _target, ...entry } = entryFor({
      type: 'drm',
      name: 'gpu',
      consumer: app,
      provider: { ...app, name: 'host', pid: 0 },
      interface: 'drm',
      socket: node,
    })
    world.ctrl.serve([entry])
    await becomes('it is there', () => exists(app.path(node)))
    assert.equal(numberOf(app.path(node)), '226:9')
  },
)

scenario('markers in a socket are letters like others', async world => {
  const { app, svc } = await pairOf(world)
  inside(svc, `mkdir '/dev/{role}'; mknod '/dev/{role}/{name}' c 226 0`)
  const entry = entryOf(app, svc, { socket: '/dev/{role}/{name}', target: '/dev/card0' })
  world.ctrl.serve([entry])
  await world.daemon.reaches(keyOf(entry), 'mediating')
})

scenario('the same node that a container has already is used and stays', async world => {
  const { app, entry, link } = await pairOf(world)
  inside(app, `mkdir -p /dev/dri; mknod ${CARD} c 226 0`)
  chmodSync(app.path(CARD), 0o600)
  const before = statSync(app.path(CARD)).ino
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'mediating')
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.equal(statSync(app.path(CARD)).ino, before)
  assert.equal(looks(app, CARD), '226:0 0:0 600')
})

const OCCUPANTS: Readonly<Record<string, readonly [make: (path: string) => void, told: string]>> = {
  file: [path => writeFileSync(path, 'theirs'), 'exists and is a file'],
  symlink: [path => symlinkSync('/dev/null', path), 'exists and is a symlink'],
}

for (const [kind, [make, told]] of Object.entries(OCCUPANTS)) {
  scenario(`a ${kind} at the target is left as it is, and said`, async world => {
    const { app, entry, link } = await pairOf(world, { target: '/run/card0' })
    make(app.path('/run/card0'))
    const before = lstatSync(app.path('/run/card0')).ino
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'pending.blocked')
    await world.daemon.logged('why', line => asText(line).includes(told))
    assert.equal(lstatSync(app.path('/run/card0')).ino, before)
  })
}

scenario("a consumer's other device at the target is left as it is, and named", async world => {
  const { app, entry, link } = await pairOf(world, { target: '/run/card0' })
  inside(app, 'mknod /run/card0 c 226 1')
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'pending.blocked')
  await world.daemon.logged('why', line => asText(line).includes('exists and is a device (character 226:1)'))
  assert.equal(numberOf(app.path('/run/card0')), '226:1')
})

scenario('a device is found soon after its coming, and ours goes soon after it', async world => {
  const { app, svc, entry, link } = await pairOf(world)
  inside(svc, `rm ${CARD}`)
  world.ctrl.serve([entry])
  await world.daemon.reaches(link, 'pending.waiting')
  await world.daemon.logged('why', line =>
    asText(line).includes(`there is no device at ${CARD}: nothing is there`),
  )
  // It has been tried so often by now that the pause between two tries is the longest.
  await eventually(
    'it was tried some times',
    () => world.daemon.statesOf(link).filter(state => state === 'injecting.wanted').length > 4,
    15_000,
  )
  const seen = world.daemon.statesOf(link).length
  inside(svc, `mknod ${CARD} c 226 0`)
  await world.daemon.reachesAgain(link, 'mediating', seen)
  assert.equal(numberOf(app.path(CARD)), '226:0')
  inside(svc, `rm ${CARD}`)
  await becomes('ours is removed', () => !exists(app.path('/dev/dri')))
  await world.daemon.reaches(link, 'pending.waiting')
})

scenario('another device under the same name replaces the first', async world => {
  const { app, svc, link } = await connected(world)
  inside(svc, `rm ${CARD}; mknod ${CARD} c 226 7`)
  await becomes('ours is the other one', () => exists(app.path(CARD)) && numberOf(app.path(CARD)) === '226:7')
  await world.daemon.reaches(link, 'mediating')
})

scenario('the mode that a device manager sets after all is followed', async world => {
  const { app, svc } = await connected(world)
  const { ino } = statSync(app.path(CARD))
  chownSync(svc.path(CARD), 0, 27)
  chmodSync(svc.path(CARD), 0o640)
  await becomes('ours has it too', () => looks(app, CARD) === '226:0 0:27 640')
  assert.equal(statSync(app.path(CARD)).ino, ino)
})

scenario('what the consumer deletes comes back', async world => {
  const { app } = await connected(world)
  await app.exec('rm', CARD)
  await becomes('it is there again', () => exists(app.path(CARD)))
  await app.exec('rm', '-r', '/dev/dri')
  await becomes('it is there again, with its folder', () => exists(app.path(CARD)))
})

scenario('a consumer that restarts gets its node anew', async world => {
  const { app, svc, link } = await connected(world)
  const seen = world.daemon.statesOf(link).length
  await app.kill()
  await world.daemon.reachesAgain(link, 'pending', seen)
  const again = await world.container('app')
  world.ctrl.serve([entryOf(again, svc)])
  await world.daemon.reaches(link, 'mediating')
  assert.equal(looks(again, CARD), '226:0 0:44 660')
})

scenario('a provider that goes takes the node with it, and brings it back', async world => {
  const { app, svc, entry, link } = await connected(world)
  await svc.kill()
  await becomes('it goes with the process', () => !exists(app.path(CARD)))
  world.ctrl.serve([{ ...entry, provider_pid: -1 }])
  await world.daemon.logged('why', line => asText(line).includes('the provider is not running'))
  const again = await graphics(world)
  world.ctrl.serve([entryOf(app, again)])
  await world.daemon.reaches(link, 'mediating')
  assert.equal(looks(app, CARD), '226:0 0:44 660')
})

scenario(
  'a provider that is replaced by one with the same device leaves the node where it is',
  async world => {
    const { app, link } = await connected(world)
    const { ino } = statSync(app.path(CARD))
    const next = await graphics(world, 'next')
    world.ctrl.serve([entryOf(app, next)])
    await eventually('it has followed', () => world.daemon.wasIn(link, 'mediating.changing'))
    await world.daemon.reaches(link, 'mediating.steady')
    assert.equal(statSync(app.path(CARD)).ino, ino)
  },
)

scenario('another role takes the node away, or gives it', async world => {
  const { app, svc, entry, link } = await connected(world)
  world.ctrl.serve([{ ...entry, role: 'render' }])
  await world.daemon.reaches(link, 'pending.blocked')
  assert.ok(!exists(app.path(CARD)))
  world.ctrl.serve([{ ...entry, role: 'master' }])
  await world.daemon.reaches(link, 'mediating')
  assert.ok(exists(app.path(CARD)))
  assert.ok(exists(svc.path(CARD)))
})

scenario('in a user namespace the node is mounted, and shows as it does in the provider', async world => {
  const { app, link } = await connected(world, { app: { user: '0 100000 65536' }, target: '/run/dri/card0' })
  const shown = await app.exec('stat', '-c', '%F %t:%T %u:%g %a', '/run/dri/card0')
  assert.equal(shown.trim(), 'character special file e2:0 0:44 660')
  world.ctrl.serve([])
  await world.daemon.reaches(link, 'released')
  assert.ok(!exists(app.path('/run/dri')))
})

scenario(
  'what a device cgroup denies is allowed for as long as there is the link',
  async world => {
    const outer = openGroup()
    const group = restrict(outer.child('app'))
    const { app, entry, link } = await pairOf(world)
    group.take(app.pid)
    inside(app, 'mknod /opt/own c 226 0')
    assert.equal(group.opens(app.path('/opt/own')), 'EPERM')
    world.ctrl.serve([entry])
    await world.daemon.reaches(link, 'mediating')
    assert.equal(group.opens(app.path(CARD)), 'ENXIO')
    world.ctrl.serve([])
    await world.daemon.reaches(link, 'released')
    assert.equal(group.opens(app.path('/opt/own')), 'EPERM')
    outer.remove()
  },
  { needs: hasDeviceCgroups },
)

scenario(
  'after SIGKILL a wanted node never goes away, and of others nothing stays, nor may they be opened',
  async world => {
    const outer = openGroup()
    const group = restrict(outer.child('app'))
    const { app, svc } = await pairOf(world)
    group.take(app.pid)
    inside(
      app,
      'mkdir -p /opt/nodev; mount -t tmpfs -o nodev,mode=755 none /opt/nodev; mknod /opt/own c 226 128',
    )
    const kept = entryOf(app, svc)
    const gone = {
      ...entryOf(app, svc, { socket: RENDER, target: '/opt/nodev/dri/renderD128' }),
      name: 'compute',
    }
    world.ctrl.serve([kept, gone])
    for (const entry of [kept, gone]) await world.daemon.reaches(keyOf(entry), 'mediating')
    const { ino } = statSync(app.path(CARD))
    world.daemon.signal('SIGKILL')
    await world.daemon.ended()
    assert.ok(exists(app.path('/opt/nodev/dri/renderD128')))
    assert.equal(group.opens(app.path('/opt/own')), 'ENXIO')
    world.ctrl.serve([kept])
    const next = startDaemon({ pvCtrl: world.ctrl.path, logFile: join(world.scratch, 'next-log') })
    try {
      await next.reaches(keyOf(kept), 'mediating')
      await eventually('the other one is gone', () => !exists(app.path('/opt/nodev/dri')))
      assert.equal(statSync(app.path(CARD)).ino, ino)
      assert.equal(group.opens(app.path('/opt/own')), 'EPERM')
      assert.equal(group.opens(app.path(CARD)), 'ENXIO')
      await next.stop()
      assert.ok(!exists(app.path('/dev/dri')))
      assert.equal(group.list().join().includes('226'), false)
      assert.equal(existsSync(`${world.ctrl.path}.journal`), false, 'nothing is left to write down')
      assert.deepEqual(next.oddities(), [])
    } finally {
      if (next.isRunning()) next.signal('SIGKILL')
      await next.ended()
      outer.remove()
    }
  },
  { needs: hasDeviceCgroups },
)

scenario('SIGTERM removes the node and its folder', async world => {
  const { app } = await connected(world)
  await world.daemon.stop()
  assert.ok(!exists(app.path('/dev/dri')))
})

scenario('the control API shows a node as what it is', async world => {
  const { link } = await connected(world)
  const { body } = await askControl(world.daemon.control, `/links/${encodeURIComponent(link)}`)
  const { planted, advice } = JSON.parse(body)
  assert.deepEqual([planted.kind, planted.represents], ['node', '226:0'])
  assert.match(advice.join(), /the node is there/)
})

scenario('nothing moves while nothing changes', async world => {
  const { link } = await connected(world)
  const seen = world.daemon.statesOf(link).length
  await staysTrue(
    'it stays as it is through two deep looks',
    11_000,
    () => world.daemon.statesOf(link).length === seen,
  )
})
