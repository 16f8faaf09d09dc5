/** Consumers in which a node that is made cannot be opened: it is mounted there, is theirs, and goes with the link. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { E } from '../../src/fp.ts'
import type { Mediation } from '../../src/model/mediation.ts'
import type { LinkBuilder } from '../support/builders.ts'
import type { Container } from '../support/container.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import {
  type FaultBench,
  faulty,
  inside,
  killNow,
  leakingNothing,
  limitDescriptors,
  openAll,
  treeOf,
} from '../support/faults.ts'
import { makeNode, numberOf } from '../support/nodes.ts'
import { opensTheWayHome, startMountSharer } from '../support/sandbox.ts'

opensTheWayHome()
leavesNoDescriptors()

const NULL = '1:3'
const SHIFTED = '0 100000 65536'

const inject = ({ host }: FaultBench, link: LinkBuilder, kept?: Mediation) => {
  const { target, provider_pid: pid, socket } = link.build()
  const judge = () => E.right(undefined)
  return host.toolboxFor(link.build()).injectNode({ target, provider: { pid, socket }, judge }, kept)()
}

const withdraw = ({ host }: FaultBench, link: LinkBuilder, mediation: Mediation) =>
  host.toolboxFor(link.build()).withdraw(mediation)()

const isLost = ({ host }: FaultBench, { id }: Mediation): boolean =>
  host.observe([id], true).get(id) === 'target-lost'

/** The provider is the host, with a null device of the given owner and mode. */
const given = (bench: FaultBench, app: Container, target: string, [uid, gid, mode] = [0, 0, 0o666]) => {
  const link = bench.link.running(app.pid).at(target)
  const { socket } = link.build()
  makeNode(socket, NULL)
  chownSync(socket, uid, gid)
  chmodSync(socket, mode)
  return link
}

/** Read and write it, as a process of the container. */
const opens = async (app: Container, target: string): Promise<void> => {
  await app.exec('sh', '-ec', `cat ${target}; echo hello >${target}`)
}

const seenInside = async (app: Container, path: string): Promise<string> =>
  (await app.exec('stat', '-c', '%F %t:%T %u:%g %a', path)).trim()

const mountsOf = (app: Container): Promise<string> => app.exec('cat', '/proc/self/mountinfo')
const strayNodes = (): readonly string[] => readdirSync('/dev').filter(name => name.startsWith('.pvx-'))

/** A container, and a target in it on a file system whose nodes cannot be opened. */
interface Place {
  readonly options: Parameters<FaultBench['container']>[1]
  readonly prepare: (app: Container) => void
  readonly target: string
}

const PLACES: Readonly<Record<string, Place>> = {
  'on a file system without devices': {
    options: {},
    prepare: app => void inside(app, 'mkdir /opt/dri; mount -t tmpfs -o nodev,mode=755 none /opt/dri'),
    target: '/opt/dri/card0',
  },
  "on a user namespace's own file system": {
    options: { user: SHIFTED },
    prepare: () => undefined,
    target: '/run/dri/card0',
  },
  "on a user namespace's own file system, in a root of its own": {
    options: { user: SHIFTED, style: 'chroot' },
    prepare: () => undefined,
    target: '/run/dri/card0',
  },
}

for (const [where, { options, prepare, target }] of Object.entries(PLACES)) {
  faulty(`${where} a node is mounted, opens, and goes without a trace`, async bench => {
    const app = await bench.container('app', options)
    prepare(app)
    const before = { mounts: await mountsOf(app), run: inside(app, 'find /run /opt') }
    const link = given(bench, app, target)
    await leakingNothing(async () => {
      const mediation = must(await inject(bench, link))
      assert.equal(mediation.planted.kind, 'mounted node')
      assert.equal(mediation.planted.represents, NULL)
      await opens(app, target)
      assert.ok(!isLost(bench, mediation))
      assert.deepEqual(strayNodes(), [])
      assert.equal(inside(app, `ls -A ${target.slice(0, target.lastIndexOf('/'))}`), 'card0\n')
      assert.deepEqual((await withdraw(bench, link, mediation)).leftBehind, [])
    })
    assert.deepEqual({ mounts: await mountsOf(app), run: inside(app, 'find /run /opt') }, before)
  })

  faulty(`${where} what a dead consumer had is removed from its root`, async bench => {
    const app = await bench.container('app', options)
    prepare(app)
    const link = given(bench, app, target)
    const mediation = must(await inject(bench, link))
    killNow(app)
    assert.deepEqual((await withdraw(bench, link, mediation)).leftBehind, [])
  })

  faulty(`${where} a container that takes the mount away gets it again`, async bench => {
    const app = await bench.container('app', options)
    prepare(app)
    const link = given(bench, app, target)
    const mediation = must(await inject(bench, link))
    await app.exec('umount', target)
    assert.ok(isLost(bench, mediation))
    const again = must(await inject(bench, link, mediation))
    await opens(app, target)
    assert.ok(!isLost(bench, again))
    await withdraw(bench, link, again)
    assert.throws(() => inside(app, `ls ${target}`))
  })

  faulty(`${where} our empty file goes too if the mount was taken away`, async bench => {
    const app = await bench.container('app', options)
    prepare(app)
    const link = given(bench, app, target)
    const mediation = must(await inject(bench, link))
    await app.exec('umount', target)
    assert.deepEqual((await withdraw(bench, link, mediation)).leftBehind, [])
    assert.throws(() => inside(app, `ls ${target}`))
  })

  for (const moment of [
    'consumer held',
    'parents held',
    'target looked at',
    'node made',
    'node owned',
    'mounted',
    'named',
  ] as const) {
    faulty(`${where} a consumer that dies when ${moment} leaves nothing behind`, async bench => {
      const app = await bench.container('app', options)
      prepare(app)
      const link = given(bench, app, target)
      bench.at(moment, () => killNow(app))
      await leakingNothing(async () => {
        const error = failureOf(await inject(bench, link))
        assert.equal(error._tag, 'PeerGone')
      })
      assert.deepEqual(strayNodes(), [])
    })
  }
}

faulty('on a file system that both see a node is mounted, although mounts are shared', async bench => {
  const folder = join(bench.folder, 'nodev')
  mkdirSync(folder)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'nodev', 'none', folder])
  try {
    const link = bench.link.at(join(folder, 'card0'))
    makeNode(link.build().socket, NULL)
    const mediation = must(await inject(bench, link))
    assert.equal(mediation.planted.kind, 'mounted node')
    execFileSync('cat', [join(folder, 'card0')])
    assert.ok(!isLost(bench, mediation))
    assert.deepEqual((await withdraw(bench, link, mediation)).leftBehind, [])
    assert.deepEqual(readdirSync(folder), [])
  } finally {
    execFileSync('umount', ['--recursive', folder])
  }
})

faulty('where nodes can be opened, one is made', async bench => {
  const app = await bench.container('app')
  const link = given(bench, app, '/opt/dri/card0')
  const mediation = must(await inject(bench, link))
  assert.equal(mediation.planted.kind, 'node')
  await opens(app, '/opt/dri/card0')
  await withdraw(bench, link, mediation)
  assert.equal(inside(app, 'find /opt -mindepth 1'), '')
})

/** Owner and mode on the host, and as the consumer's namespace shows them. */
const OWNERS: readonly (readonly [map: string, host: readonly [number, number, number], inside: string])[] = [
  [SHIFTED, [0, 44, 0o660], '0:44 660'],
  [SHIFTED, [0, 44, 0o640], '0:44 640'],
  [SHIFTED, [70_000, 70_000, 0o600], '0:0 600'],
  ['0 1000 1', [0, 44, 0o660], '0:0 660'],
]

for (const [map, host, shown] of OWNERS) {
  faulty(`in a user namespace (${map}) a node of ${host[0]}:${host[1]} is one of ${shown}`, async bench => {
    const app = await bench.container('app', { user: map })
    const link = given(bench, app, '/run/dri/card0', [...host])
    const mediation = must(await inject(bench, link))
    assert.equal(await seenInside(app, '/run/dri/card0'), `character special file 1:3 ${shown}`)
    await opens(app, '/run/dri/card0')
    await withdraw(bench, link, mediation)
  })
}

faulty("a provider's numbers are those of its own user namespace", async bench => {
  const shared = join(bench.scratch, 'dri')
  mkdirSync(shared)
  makeNode(join(shared, 'card0'), NULL)
  chownSync(join(shared, 'card0'), 100_000, 100_044)
  chmodSync(join(shared, 'card0'), 0o660)
  const svc = await bench.container('svc', { user: SHIFTED, shares: { '/dri': shared } })
  const app = await bench.container('app', { user: '0 300000 65536' })
  const link = bench.link.from('svc', svc.pid).socket('/dri/card0').running(app.pid).at('/run/card0')
  const mediation = must(await inject(bench, link))
  assert.equal(await seenInside(app, '/run/card0'), 'character special file 1:3 0:44 660')
  const plain = await bench.container('plain')
  const other = link.named('other').running(plain.pid)
  const second = must(await inject(bench, other))
  assert.equal(await seenInside(plain, '/run/card0'), 'character special file 1:3 0:44 660')
  for (const [each, planted] of [
    [link, mediation],
    [other, second],
  ] as const)
    await withdraw(bench, each, planted)
})

faulty("what a consumer does to its node does not reach the provider's", async bench => {
  const app = await bench.container('app')
  inside(app, 'mkdir /opt/dri; mount -t tmpfs -o nodev none /opt/dri')
  const svc = await bench.container('svc')
  inside(svc, 'mknod /run/card0 c 1 3')
  chmodSync(svc.path('/run/card0'), 0o640)
  const link = bench.link.from('svc', svc.pid).socket('/run/card0').running(app.pid).at('/opt/dri/card0')
  const mediation = must(await inject(bench, link))
  await app.exec('chmod', '0', '/opt/dri/card0')
  await app.exec('chown', '7:7', '/opt/dri/card0')
  const { mode, uid } = statSync(svc.path('/run/card0'))
  assert.deepEqual([mode & 0o777, uid], [0o640, 0])
  await withdraw(bench, link, mediation)
})

faulty("a provider's node is found inside its own root, wherever a symlink points", async bench => {
  const svc = await bench.container('svc')
  const app = await bench.container('app')
  // By these the host has other devices, or one at all.
  makeNode(join(bench.folder, 'host-only'), '1:5')
  inside(
    svc,
    `mkdir -p /run/a /opt/real; mknod /opt/real/node c 1 3
     ln -s /opt/real/node /run/a/absolute; ln -s ../../../../../opt/real/node /run/a/upwards
     ln -s /opt/real /run/folder; ln -s ${bench.folder}/host-only /run/a/out; ln -s /proc/1/root/run/a/absolute /run/a/magic`,
  )
  const at = (socket: string) =>
    inject(bench, bench.link.from('svc', svc.pid).socket(socket).running(app.pid).at('/opt/node'))
  for (const socket of ['/run/a/absolute', '/run/a/upwards', '/run/folder/node']) {
    const mediation = must(await at(socket))
    assert.equal(numberOf(app.path('/opt/node')), NULL)
    await withdraw(bench, bench.link, mediation)
  }
  for (const socket of ['/run/a/out', '/run/a/magic']) {
    assert.equal(failureOf(await at(socket))._tag, 'DeviceAbsent')
  }
})

faulty(
  "a provider's node that is another as soon as it was looked at is given as it was judged",
  async bench => {
    const svc = await bench.container('svc')
    const app = await bench.container('app')
    inside(svc, 'mknod /run/card0 c 1 3')
    const link = bench.link.from('svc', svc.pid).socket('/run/card0').running(app.pid).at('/opt/card0')
    for (const moment of [
      'provider found',
      'consumer held',
      'target looked at',
      'node made',
      'named',
    ] as const) {
      bench.at(moment, () => inside(svc, 'rm /run/card0; mknod /run/card0 b 8 0'))
      const mediation = must(await inject(bench, link))
      assert.equal(numberOf(app.path('/opt/card0')), NULL)
      assert.ok(lstatSync(app.path('/opt/card0')).isCharacterDevice())
      assert.ok(isLost(bench, mediation), 'and a look finds out')
      await withdraw(bench, link, mediation)
      inside(svc, 'rm /run/card0; mknod /run/card0 c 1 3')
    }
  },
)

faulty('a provider that ends, or dies while it is looked at, takes the node with it', async bench => {
  const svc = await bench.container('svc')
  const app = await bench.container('app')
  inside(svc, 'mknod /run/card0 c 1 3')
  const link = bench.link.from('svc', svc.pid).socket('/run/card0').running(app.pid).at('/opt/card0')
  const mediation = must(await inject(bench, link))
  killNow(svc)
  assert.equal(bench.host.observe([mediation.id], false).get(mediation.id), 'target-lost')
  assert.equal(failureOf(await inject(bench, link, mediation))._tag, 'PeerGone')
  await withdraw(bench, link, mediation)
  assert.equal(inside(app, 'ls /opt'), '')
})

const DISK_MOMENTS = [
  'consumer held',
  'directory made',
  'directory named',
  'parents held',
  'target looked at',
  'node made',
  'node owned',
  'named',
] as const

for (const moment of DISK_MOMENTS) {
  faulty(`a consumer that dies when ${moment} has nothing of ours on its disk`, async bench => {
    const disk = join(bench.scratch, 'disk')
    const app = await bench.container('app', { disk })
    const before = treeOf(disk)
    const link = given(bench, app, '/opt/a/b/card0')
    bench.at(moment, () => killNow(app))
    await leakingNothing(async () => assert.equal(failureOf(await inject(bench, link))._tag, 'PeerGone'))
    assert.deepEqual(treeOf(disk), before)
  })
}

for (const [target, moments] of [
  ['/opt/dri/card0', ['consumer held', 'parents held', 'target looked at', 'node made', 'node owned']],
  [
    '/opt/nodev/dri/card0',
    ['consumer held', 'parents held', 'target looked at', 'node made', 'node owned', 'mounted'],
  ],
] as const) {
  for (const moment of moments) {
    faulty(`a descriptor table that is full when ${moment} costs one attempt (${target})`, async bench => {
      const app = await bench.container('app')
      inside(app, 'mkdir /opt/nodev; mount -t tmpfs -o nodev,mode=755 none /opt/nodev')
      const link = given(bench, app, target)
      let free = (): void => undefined
      bench.at(moment, () => {
        free = openAll()
      })
      limitDescriptors('few')
      const result = await inject(bench, link)
      free()
      limitDescriptors('unlimited')
      if (result._tag === 'Left') assert.equal(result.left._tag, 'TargetRefused')
      else await withdraw(bench, link, result.right)
      assert.equal(inside(app, 'find /opt -mindepth 1'), '/opt/nodev\n')
      assert.deepEqual(strayNodes(), [])
      const mediation = must(await inject(bench, link))
      await opens(app, target)
      await withdraw(bench, link, mediation)
    })
  }
}

/** What the container does at a moment, and what is said of it; it keeps what it put there. */
const PUT: Readonly<Record<string, string>> = {
  file: 'echo precious >/opt/card0',
  directory: 'mkdir /opt/card0',
  symlink: 'ln -s /dev/null /opt/card0',
}

for (const [kind, script] of Object.entries(PUT)) {
  for (const moment of ['parents held', 'target looked at', 'node made', 'node owned'] as const) {
    faulty(`a ${kind} that comes to the target when ${moment} is left as it is`, async bench => {
      const app = await bench.container('app')
      const link = given(bench, app, '/opt/card0')
      bench.at(moment, () => inside(app, script))
      const error = failureOf(await inject(bench, link))
      assert.deepEqual(error, { _tag: 'TargetOccupied', target: '/opt/card0', by: kind })
      assert.equal(inside(app, 'ls -A /opt'), 'card0\n')
    })
  }
}

faulty('what the container puts at the private name is neither owned nor opened to others', async bench => {
  const app = await bench.container('app')
  inside(app, 'mkdir /opt/d; echo precious >/opt/secret; chmod 600 /opt/secret')
  const link = given(bench, app, '/opt/d/card0', [0, 44, 0o666])
  for (const script of ['ln -f /opt/secret .pvx-*', 'n=$(ls -A); rm $n; mknod $n b 8 0']) {
    bench.at('node made', () => inside(app, `cd /opt/d; ${script}`))
    const result = await inject(bench, link)
    if (result._tag === 'Right') await withdraw(bench, link, result.right)
    const { mode, gid } = statSync(app.path('/opt/secret'))
    assert.deepEqual([mode & 0o777, gid], [0o600, 0])
    inside(app, 'rm -f /opt/d/.pvx-*')
  }
})

for (const end of ['lives', 'is dead'] as const) {
  faulty(
    `where mounts pass on to the host a node is mounted, and none stays, whether its consumer ${end}`,
    async bench => {
      const folder = join(bench.folder, 'nodev')
      mkdirSync(folder)
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'nodev', 'none', folder])
      try {
        execFileSync('mount', ['--make-shared', folder])
        const sharer = bench.adopt(await startMountSharer())
        const link = bench.link.running(sharer.pid).at(join(folder, 'dri/card0'))
        makeNode(link.build().socket, NULL)
        const mediation = must(await inject(bench, link))
        assert.equal(mediation.planted.kind, 'mounted node')
        execFileSync('nsenter', ['-t', `${sharer.pid}`, '-m', 'cat', join(folder, 'dri/card0')])
        assert.ok(!isLost(bench, mediation))
        if (end === 'is dead') await sharer.kill()
        assert.deepEqual((await withdraw(bench, link, mediation)).leftBehind, [])
        assert.deepEqual(readdirSync(folder), [])
        assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes('.pvx-'))
        assert.deepEqual(strayNodes(), [])
      } finally {
        execFileSync('umount', ['--recursive', folder])
      }
    },
  )
}
