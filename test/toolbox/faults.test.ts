/**
 * The world changing in the middle of an injection or a dial, at each moment there is: nothing of ours stays, nothing of
 * the container's is harmed, no descriptor leaks, the error says what it was, and the next attempt succeeds.
 */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { InjectError } from '../../src/model/errors.ts'
import type { Mediation } from '../../src/model/mediation.ts'
import type { Moment } from '../../src/toolbox/moments.ts'
import { type LinkBuilder, pid } from '../support/builders.ts'
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
import { quiet, until } from '../support/relay.ts'
import { opensTheWayHome } from '../support/sandbox.ts'
import { clientAt, type Server, serverAt } from '../support/sockets.ts'
import { requestOf } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

const inject = ({ host }: FaultBench, link: LinkBuilder, kept?: Mediation) =>
  host.toolboxFor(link.build()).injectSocket(requestOf(link, 'detected'), kept)()

const withdraw = ({ host }: FaultBench, link: LinkBuilder, mediation: Mediation) =>
  host.toolboxFor(link.build()).withdraw(mediation)()

/** The link can be set up now, carries bytes, and goes again. */
const recovers = async (bench: FaultBench, link: LinkBuilder): Promise<void> => {
  const { socket, target, provider_pid, consumer_pid } = link.build()
  const server = serverAt(socket, 'stream', provider_pid ?? 0)
  const mediation = must(await inject(bench, link))
  const client = clientAt(target, 'stream', consumer_pid ?? 0)
  client.send('hello')
  assert.equal(String(await (await server.accept()).take(5)), 'hello')
  client.close()
  server.close()
  assert.deepEqual((await withdraw(bench, link, mediation)).leftBehind, [])
}

const PATH = '/opt/pvx/deep/raw.sock'
/** In a folder of the container's. */
const TARGET = '/run/theirs/raw.sock'
const NAME = `@pvx-faults-${process.pid}`

const OF_A_PATH: readonly Moment[] = [
  'consumer held',
  'directory made',
  'directory named',
  'parents held',
  'target looked at',
  'bound',
  'mode set',
  'listening',
  'named',
]
const OF_A_NAME: readonly Moment[] = ['consumer held', 'bound', 'listening']

const gone = (container: Container): InjectError => ({
  _tag: 'PeerGone',
  peer: 'consumer',
  pid: pid(container.pid),
})

faulty('an injection at a path passes every moment, and one at a name its own', async bench => {
  const app = await bench.container('app')
  const link = bench.link.running(app.pid).at(PATH)
  serverAt(link.build().socket).close()
  must(await inject(bench, link))
  assert.deepEqual([...new Set(bench.moments())], ['provider held', 'provider found', ...OF_A_PATH])
  must(await inject(bench, link.named('other').at(NAME)))
  assert.deepEqual(bench.moments().slice(2), OF_A_NAME)
})

for (const [target, moments] of [
  [PATH, ['provider held', 'provider found', ...OF_A_PATH]],
  [NAME, ['provider held', 'provider found', ...OF_A_NAME]],
] as const) {
  for (const moment of moments) {
    faulty(
      `a consumer that dies when ${moment} leaves nothing behind (${target.slice(0, 1)})`,
      async bench => {
        const disk = join(bench.scratch, 'disk')
        const app = await bench.container('app', { disk, network: 'own' })
        const before = treeOf(disk)
        const link = bench.link.running(app.pid).at(target)
        const server = serverAt(link.build().socket)
        bench.at(moment, () => killNow(app))
        await leakingNothing(async () => assert.deepEqual(failureOf(await inject(bench, link)), gone(app)))
        server.close()
        assert.deepEqual(treeOf(disk), before)
        const again = await bench.container('again', { disk, network: 'own' })
        await recovers(bench, link.socket(join(bench.folder, 'again.sock')).running(again.pid))
        assert.deepEqual(treeOf(disk), before)
      },
    )
  }
}

faulty('a consumer that dies as its stale socket is replaced leaves nothing of ours behind', async bench => {
  const disk = join(bench.scratch, 'disk')
  const app = await bench.container('app', { disk })
  const link = bench.link.running(app.pid).at('/opt/raw.sock')
  const before = treeOf(disk)
  serverAt('/opt/raw.sock', 'stream', app.pid).close()
  bench.at('names exchanged', () => killNow(app))
  await leakingNothing(async () => assert.deepEqual(failureOf(await inject(bench, link)), gone(app)))
  assert.deepEqual(treeOf(disk), before)
})

faulty('a consumer that died before anybody told is gone, and nothing is tried in it', async bench => {
  const app = await bench.container('app')
  const link = bench.link.running(app.pid).at(PATH)
  const mediation = must(await inject(bench, link))
  bench.moments()
  killNow(app)
  assert.deepEqual(failureOf(await inject(bench, link.named('second').at('/opt/second.sock'))), gone(app))
  assert.ok(!bench.moments().includes('consumer held'))
  assert.deepEqual((await withdraw(bench, link, mediation)).leftBehind, [])
})

/** What becomes of the folder of a target, how it is taken back, and where nothing may be found then. */
const FOLDER_FAULTS: Readonly<Record<string, readonly [act: string, undo: string, look: readonly string[]]>> =
  {
    'is renamed': ['mv /run/theirs /run/moved', 'mv /run/moved /run/theirs', ['/run/moved']],
    'is removed': ['rm -rf /run/theirs', 'mkdir /run/theirs', []],
    'is replaced by a symlink': [
      'mv /run/theirs /run/moved; mkdir -p /opt/else; ln -s /opt/else /run/theirs',
      'rm /run/theirs; mv /run/moved /run/theirs',
      ['/run/moved', '/opt/else'],
    ],
    'is replaced by another': [
      'mv /run/theirs /run/moved; mkdir /run/theirs',
      'rm -r /run/moved',
      ['/run/moved', '/run/theirs'],
    ],
    'is mounted over': ['mount -t tmpfs late /run/theirs', 'umount /run/theirs', ['/run/theirs']],
    'has its own folder mounted over': ['mount -t tmpfs late /run', 'umount /run', ['/run']],
  }

for (const [what, [act, undo, look]] of Object.entries(FOLDER_FAULTS)) {
  for (const moment of [
    'parents held',
    'target looked at',
    'bound',
    'mode set',
    'listening',
    'named',
  ] as const) {
    faulty(
      `a target whose folder ${what} when ${moment} is planted where its path leads then`,
      async bench => {
        const app = await bench.container('app')
        inside(app, 'mkdir /run/theirs')
        const link = bench.link.running(app.pid).at(TARGET)
        bench.at(moment, () => inside(app, act))
        await leakingNothing(async () => {
          const mediation = must(await inject(bench, link))
          assert.equal(bench.host.observe([mediation.id], true).size, 0)
          clientAt(TARGET, 'stream', app.pid).close()
          await withdraw(bench, link, mediation)
        })
        for (const folder of look) assert.equal(inside(app, `ls -A ${folder}`), '')
        inside(app, undo)
        assert.equal(inside(app, 'ls -A /run/theirs'), '')
        await recovers(bench, link)
      },
    )
  }
}

faulty(
  'a target that is hidden again and again is planted all the same, and found to be lost by a look',
  async bench => {
    const app = await bench.container('app')
    const link = bench.link.running(app.pid).at(TARGET)
    const server = serverAt(link.build().socket)
    const first = must(await inject(bench, link))
    const client = clientAt(TARGET, 'stream', app.pid)
    await server.accept()
    inside(app, 'rm -r /run/theirs')
    for (const round of [1, 2, 3]) bench.at('named', () => inside(app, `mv /run/theirs /run/moved${round}`))
    const hidden = must(await inject(bench, link, first))
    assert.equal(bench.host.observe([hidden.id], true).get(hidden.id), 'target-lost')
    const again = must(await inject(bench, link, hidden))
    assert.equal(bench.host.observe([again.id], true).size, 0)
    assert.equal(again.counters().connectionsOpen, 1)
    assert.equal(inside(app, 'find /run/moved* -mindepth 1'), '')
    client.close()
    server.close()
  },
)

const MADE_FAULTS: Readonly<Record<string, string>> = {
  removed: 'rmdir /run/made',
  renamed: 'mv /run/made /run/moved',
  'replaced by a file': 'rmdir /run/made; echo theirs >/run/made',
  'replaced by a symlink': 'rmdir /run/made; ln -s /opt /run/made',
  'replaced by a symlink to nowhere': 'rmdir /run/made; ln -s /nowhere /run/made',
}

for (const [what, act] of Object.entries(MADE_FAULTS)) {
  faulty(`a folder of ours that is ${what} as soon as it is made is none of ours any more`, async bench => {
    const app = await bench.container('app')
    const before = inside(app, 'ls -A /run')
    const link = bench.link.running(app.pid).at('/run/made/deep/raw.sock')
    bench.at('directory named', () => inside(app, act))
    await leakingNothing(async () => {
      const result = await inject(bench, link)
      if (result._tag === 'Right') await withdraw(bench, link, result.right)
      else assert.equal(result.left._tag, 'TargetRefused')
    })
    assert.equal(inside(app, 'find /opt /run/moved -mindepth 1 2>/dev/null || true'), '')
    inside(app, 'rm -rf /run/made /run/moved')
    await recovers(bench, link)
    assert.equal(inside(app, 'ls -A /run'), before)
  })
}

faulty('a folder that the container makes while ours has no name yet is theirs, and is used', async bench => {
  const app = await bench.container('app')
  const link = bench.link.running(app.pid).at('/run/one/raw.sock')
  bench.at('directory made', () => inside(app, 'mkdir /run/one'))
  await leakingNothing(async () => withdraw(bench, link, must(await inject(bench, link))))
  assert.equal(inside(app, 'cd /run; find one'), 'one\n')
})

faulty('a folder that the container makes in the same moment is theirs, and is tried again', async bench => {
  const app = await bench.container('app')
  const link = bench.link.running(app.pid).at('/run/one/two/raw.sock')
  bench.at('directory named', () => inside(app, 'mkdir /run/one/two'))
  const result = await inject(bench, link)
  if (result._tag === 'Left') await recovers(bench, link)
  else await withdraw(bench, link, result.right)
  assert.equal(inside(app, 'cd /run; find one'), 'one\none/two\n')
})

faulty(
  'a name stays where it is when the init goes into other mounts, and is lost no more after that',
  async bench => {
    const app = await bench.container('app', { network: 'own', takesOrders: true })
    const link = bench.link.running(app.pid).at(NAME)
    const mediation = must(await inject(bench, link))
    const before = readlinkSync(`/proc/${app.pid}/ns/mnt`)
    app.order(`exec unshare --mount sh -c 'exec cat >/dev/null'`)
    await until('it went', () => readlinkSync(`/proc/${app.pid}/ns/mnt`) !== before)
    assert.equal(bench.host.observe([mediation.id], true).get(mediation.id), 'target-lost')
    const again = must(await inject(bench, link, mediation))
    assert.equal(bench.host.observe([again.id], true).size, 0)
    clientAt(NAME, 'stream', app.pid).close()
  },
)

interface Occupant {
  readonly by: 'file' | 'directory' | 'symlink' | 'live socket'
  /** Put it there, in the place of whatever is. */
  readonly put: (app: Container, target: string) => Server | undefined
  readonly isWell: (app: Container, target: string) => void
}

const shell =
  (script: (target: string) => string): Occupant['put'] =>
  (app, target) => {
    inside(app, `rm -rf ${target}; ${script(target)}`)
    return undefined
  }

const OCCUPANTS: readonly Occupant[] = [
  {
    by: 'file',
    put: shell(target => `echo precious >${target}`),
    isWell: (app, target) => assert.equal(readFileSync(app.path(target), 'utf8'), 'precious\n'),
  },
  {
    by: 'directory',
    put: shell(target => `mkdir ${target}`),
    isWell: (app, target) => assert.ok(statSync(app.path(target)).isDirectory()),
  },
  {
    by: 'symlink',
    put: shell(target => `ln -s /nowhere ${target}`),
    isWell: (app, target) => assert.equal(inside(app, `readlink ${target}`), '/nowhere\n'),
  },
  {
    by: 'live socket',
    put: (app, target) => {
      inside(app, `rm -f ${target}`)
      return serverAt(target, 'stream', app.pid)
    },
    isWell: (app, target) => clientAt(target, 'stream', app.pid).close(),
  },
]

/** The container puts something at the target at that moment: it is told what, and keeps it as it is. */
const meets = async (
  bench: FaultBench,
  moment: Moment,
  occupant: Occupant,
  prepare: (app: Container) => void = () => undefined,
): Promise<void> => {
  const app = await bench.container('app')
  inside(app, 'mkdir /run/theirs')
  prepare(app)
  const link = bench.link.running(app.pid).at(TARGET)
  let server: Server | undefined
  bench.at(moment, () => {
    server = occupant.put(app, TARGET)
  })
  const error = failureOf(await inject(bench, link))
  assert.deepEqual(error, { _tag: 'TargetOccupied', target: TARGET, by: occupant.by })
  occupant.isWell(app, TARGET)
  assert.deepEqual(readdirSync(app.path('/run/theirs')), ['raw.sock'])
  server?.close()
  inside(app, `rm -rf ${TARGET}`)
  await recovers(bench, link)
}

for (const occupant of OCCUPANTS) {
  for (const moment of [
    'parents held',
    'target looked at',
    'bound',
    'mode set',
    'listening',
    'named',
  ] as const) {
    faulty(`a ${occupant.by} that comes to the target when ${moment} is left as it is`, bench =>
      meets(bench, moment, occupant),
    )
    faulty(`a ${occupant.by} that takes the place of a stale socket when ${moment} is left as it is`, bench =>
      meets(bench, moment, occupant, app => serverAt(TARGET, 'stream', app.pid).close()),
    )
  }
}

faulty(
  'what took the place of a stale socket goes back even if ours is deleted in that moment',
  async bench => {
    const app = await bench.container('app')
    inside(app, 'mkdir /run/theirs')
    serverAt(TARGET, 'stream', app.pid).close()
    const link = bench.link.running(app.pid).at(TARGET)
    bench.at('listening', () => inside(app, `rm ${TARGET}; echo precious >${TARGET}`))
    bench.at('names exchanged', () => inside(app, `rm ${TARGET}`))
    assert.deepEqual(failureOf(await inject(bench, link)), {
      _tag: 'TargetOccupied',
      target: TARGET,
      by: 'file',
    })
    assert.equal(readFileSync(app.path(TARGET), 'utf8'), 'precious\n')
    assert.deepEqual(readdirSync(app.path('/run/theirs')), ['raw.sock'])
  },
)

faulty('a stale socket that goes by itself meanwhile is no obstacle', async bench => {
  const app = await bench.container('app')
  inside(app, 'mkdir /run/theirs')
  serverAt(TARGET, 'stream', app.pid).close()
  const link = bench.link.running(app.pid).at(TARGET)
  bench.at('listening', () => inside(app, `rm ${TARGET}`))
  must(await inject(bench, link))
  assert.deepEqual(readdirSync(app.path('/run/theirs')), ['raw.sock'])
  clientAt(TARGET, 'stream', app.pid).close()
})

faulty('the mode is set on our file, whatever the container put at its private name', async bench => {
  const app = await bench.container('app')
  inside(app, 'mkdir /run/theirs; echo precious >/run/theirs/secret; chmod 600 /run/theirs/secret')
  const link = bench.link.running(app.pid).at(TARGET)
  bench.at('bound', () => inside(app, 'cd /run/theirs; ln -f secret .pvx-*'))
  await inject(bench, link)
  assert.equal(statSync(app.path('/run/theirs/secret')).mode & 0o777, 0o600)
})

for (const [target, moments] of [
  [PATH, OF_A_PATH],
  [NAME, OF_A_NAME],
] as const) {
  for (const moment of moments) {
    faulty(
      `a descriptor table that is full when ${moment} costs one attempt (${target.slice(0, 1)})`,
      async bench => {
        const app = await bench.container('app')
        const link = bench.link.running(app.pid).at(target)
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
        assert.ok(!existsSync(app.path('/opt/pvx')))
        await recovers(bench, link)
        assert.ok(!existsSync(app.path('/opt/pvx')))
      },
    )
  }
}

for (const [socket, moments] of [
  ['/run/provider.sock', ['provider held', 'provider found']],
  [`${NAME}-provider`, ['provider held', 'provider found']],
] as const) {
  for (const moment of moments) {
    faulty(
      `a provider that dies when ${moment} is waited for (${socket.slice(0, 1)})`,
      async bench => {
        const svc = await bench.container('svc', { network: 'own' })
        const link = bench.link.from('svc', svc.pid).socket(socket)
        const first = serverAt(socket, 'stream', svc.pid)
        const mediation = must(await inject(bench, link))
        bench.at(moment, () => {
          first.close()
          killNow(svc)
        })
        const client = clientAt(link.build().target)
        client.send('patience')
        await until('it was dialled', () => bench.moments().includes(moment))
        await quiet()
        const again = await bench.container('again', { network: 'own' })
        const second = serverAt(socket, 'stream', again.pid)
        const moved = link.from('svc', again.pid).build()
        const address = { pid: moved.provider_pid, socket }
        must(await bench.host.toolboxFor(moved).retargetSocket(mediation, address)())
        assert.equal(await second.hears(), 'patience')
        client.close()
        second.close()
      },
      { connectGraceMs: 10_000 },
    )

    faulty(
      `a provider that dies when ${moment} as it is asked for its type is of none (${socket.slice(0, 1)})`,
      async bench => {
        const svc = await bench.container('svc', { network: 'own' })
        const link = bench.link.from('svc', svc.pid).socket(socket)
        const server = serverAt(socket, 'seqpacket', svc.pid)
        bench.at(moment, () => {
          server.close()
          killNow(svc)
        })
        const { planted } = must(await inject(bench, link))
        assert.equal(planted.kind, 'stream')
      },
    )
  }
}
