/** Device nodes planted on a real file system: what is made, what is found, what is refused, and what goes again. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { E } from '../../src/fp.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { Mediation } from '../../src/model/mediation.ts'
import type { DeviceNode, NodeRequest } from '../../src/toolbox/contract.ts'
import type { LinkBuilder } from '../support/builders.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { makeNode, numberOf } from '../support/nodes.ts'
import { needsRoot } from '../support/privileges.ts'
import { opensTheWayHome } from '../support/sandbox.ts'
import { serverAt } from '../support/sockets.ts'
import { type ToolboxBench, type ToolboxSeams, withLinuxToolbox } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

const NULL = '1:3'
const ZERO = '1:5'

/** A test of the real toolbox on the host's own tree; the provider has the null device. */
const planting = (
  name: string,
  body: (bench: ToolboxBench) => Promise<void>,
  seams: (folder: string) => ToolboxSeams = () => ({}),
): void => {
  test(name, async t => {
    if (!needsRoot(t)) return
    await withLinuxToolbox(
      {},
      async bench => {
        makeNode(bench.link.build().socket, NULL)
        await body(bench)
      },
      seams,
    )
  })
}

type Judge = NodeRequest['judge']
const ANYTHING: Judge = () => E.right(undefined)

const inject = ({ host }: ToolboxBench, link: LinkBuilder, kept?: Mediation, judge: Judge = ANYTHING) => {
  const { target, provider_pid: pid, socket } = link.build()
  return host.toolboxFor(link.build()).injectNode({ target, provider: { pid, socket }, judge }, kept)()
}

const withdraw = ({ host }: ToolboxBench, link: LinkBuilder, mediation: Mediation) =>
  host.toolboxFor(link.build()).withdraw(mediation)()

const isLost = ({ host }: ToolboxBench, { id }: Mediation, deep = true): boolean =>
  host.observe([id], deep).get(id) === 'target-lost'

/** What tells one file from another, and what it looks like. */
const lookOf = ({ ino, mode, uid, gid, rdev }: Stats) => ({ ino, mode, uid, gid, rdev })

planting('a node of the device is made, and it can be opened', async bench => {
  const { target } = bench.link.build()
  const { planted } = must(await inject(bench, bench.link))
  assert.equal(numberOf(target), NULL)
  assert.equal(readFileSync(target, 'utf8'), '')
  assert.deepEqual(planted, {
    target,
    kind: 'node',
    represents: NULL,
    device: planted.device,
    inode: String(statSync(target).ino),
    directoriesMade: [],
  })
})

planting('nothing but the node is left in its directory, and nothing after it is withdrawn', async bench => {
  const link = bench.link.at(join(bench.folder, 'a/b/node'))
  const mediation = must(await inject(bench, link))
  assert.deepEqual(mediation.planted.directoriesMade, [join(bench.folder, 'a'), join(bench.folder, 'a/b')])
  assert.deepEqual(readdirSync(join(bench.folder, 'a/b')), ['node'])
  assert.deepEqual(await withdraw(bench, link, mediation), { connectionsClosed: 0, leftBehind: [] })
  assert.deepEqual(readdirSync(bench.folder), ['provider.sock'])
})

for (const umask of [0o000, 0o022, 0o077, 0o777]) {
  planting(`owner and mode are the provider's with a umask of 0${umask.toString(8)}`, async bench => {
    const { socket, target } = bench.link.build()
    chownSync(socket, 0, 44)
    chmodSync(socket, 0o664)
    const before = process.umask(umask)
    try {
      must(await inject(bench, bench.link))
      assert.equal(process.umask(), umask)
    } finally {
      process.umask(before)
    }
    const { uid, gid, mode } = statSync(target)
    assert.deepEqual([uid, gid, mode & 0o7777], [0, 44, 0o664])
  })
}

planting('of the mode only reading and writing are taken', async bench => {
  const { socket, target } = bench.link.build()
  chmodSync(socket, 0o7777)
  must(await inject(bench, bench.link))
  assert.equal(statSync(target).mode & 0o7777, 0o666)
})

planting('the largest numbers are no others', async bench => {
  const { socket, target } = bench.link.build()
  rmSync(socket)
  makeNode(socket, '4095:1048575')
  const { planted } = must(await inject(bench, bench.link))
  assert.equal(numberOf(target), '4095:1048575')
  assert.equal(planted.represents, '4095:1048575')
})

planting('a node of the same device that is there is used, and stays as it is', async bench => {
  const { target } = bench.link.build()
  makeNode(target, NULL)
  chmodSync(target, 0o600)
  const before = lookOf(statSync(target))
  const mediation = must(await inject(bench, bench.link))
  assert.equal(mediation.planted.kind, 'found node')
  assert.ok(!isLost(bench, mediation))
  must(await inject(bench, bench.link, mediation))
  assert.deepEqual(lookOf(statSync(target)), before)
  await withdraw(bench, bench.link, mediation)
  assert.deepEqual(lookOf(statSync(target)), before)
})

planting('a found node that goes is replaced by one of ours', async bench => {
  const { target } = bench.link.build()
  makeNode(target, NULL)
  const mediation = must(await inject(bench, bench.link))
  rmSync(target)
  assert.ok(isLost(bench, mediation))
  const again = must(await inject(bench, bench.link, mediation))
  assert.equal(again.id, mediation.id)
  assert.equal(again.planted.kind, 'node')
  await withdraw(bench, bench.link, again)
  assert.ok(!existsSync(target))
})

/** What may stand at a target, and what is said of it. */
const OCCUPANTS: Readonly<Record<string, (path: string) => () => void>> = {
  file: path => () => writeFileSync(path, 'precious'),
  directory: path => () => mkdirSync(path),
  symlink: path => () => symlinkSync('/dev/null', path),
  fifo: path => () => void execFileSync('mkfifo', [path]),
  socket: path => () => serverAt(path).close(),
}

for (const [kind, make] of Object.entries(OCCUPANTS)) {
  planting(`a ${kind} at the target is refused and left as it is`, async bench => {
    const { target } = bench.link.build()
    make(target)()
    const before = lookOf(lstatSync(target))
    assert.deepEqual(failureOf(await inject(bench, bench.link)), { _tag: 'TargetOccupied', target, by: kind })
    assert.deepEqual(lookOf(lstatSync(target)), before)
    assert.deepEqual(readdirSync(bench.folder).sort(), ['provider.sock', 'target.sock'])
  })
}

for (const [type, number] of [
  ['character', ZERO],
  ['block', NULL],
] as const) {
  planting(`a ${type} device ${number} at the target is refused and left as it is`, async bench => {
    const { target } = bench.link.build()
    makeNode(target, number, type)
    const before = lookOf(lstatSync(target))
    const error = failureOf(await inject(bench, bench.link))
    assert.deepEqual(error, { _tag: 'TargetOccupied', target, by: 'device', device: `${type} ${number}` })
    assert.deepEqual(lookOf(lstatSync(target)), before)
  })
}

planting('what the container put in the place of our node is not removed', async bench => {
  const { target } = bench.link.build()
  const mediation = must(await inject(bench, bench.link))
  rmSync(target)
  makeNode(target, NULL)
  await withdraw(bench, bench.link, mediation)
  assert.ok(existsSync(target))
})

planting('a node that was deleted is planted again', async bench => {
  const { target } = bench.link.build()
  const mediation = must(await inject(bench, bench.link))
  assert.ok(!isLost(bench, mediation, false))
  rmSync(target)
  assert.ok(isLost(bench, mediation, false))
  const again = must(await inject(bench, bench.link, mediation))
  assert.equal(numberOf(target), NULL)
  assert.ok(!isLost(bench, again))
})

planting('a node whose directory was moved away is planted where its path leads', async bench => {
  const link = bench.link.at(join(bench.folder, 'dev/node'))
  const mediation = must(await inject(bench, link))
  renameSync(join(bench.folder, 'dev'), join(bench.folder, 'moved'))
  assert.ok(!isLost(bench, mediation, false))
  assert.ok(isLost(bench, mediation))
  must(await inject(bench, link, mediation))
  assert.ok(existsSync(link.build().target))
  assert.deepEqual(existsSync(join(bench.folder, 'moved/node')), false)
})

planting('what is still right stays the same file when it is injected again', async bench => {
  const { target } = bench.link.build()
  const mediation = must(await inject(bench, bench.link))
  const { ino } = statSync(target)
  const again = must(await inject(bench, bench.link, mediation))
  assert.deepEqual([again.id, statSync(target).ino], [mediation.id, ino])
})

planting("another owner or mode of the provider's node is followed in place", async bench => {
  const { socket, target } = bench.link.build()
  chmodSync(socket, 0o600)
  const mediation = must(await inject(bench, bench.link))
  const { ino } = statSync(target)
  for (const change of [() => chmodSync(socket, 0o660), () => chownSync(socket, 0, 44)]) {
    change()
    assert.ok(isLost(bench, mediation))
    must(await inject(bench, bench.link, mediation))
    assert.ok(!isLost(bench, mediation))
  }
  const { mode, uid, gid, ...now } = statSync(target)
  assert.deepEqual([mode & 0o777, uid, gid, now.ino], [0o660, 0, 44, ino])
})

planting('another device of the provider takes the place of the first', async bench => {
  const { socket, target } = bench.link.build()
  const mediation = must(await inject(bench, bench.link))
  rmSync(socket)
  makeNode(socket, ZERO)
  assert.ok(!isLost(bench, mediation, false), 'only a deep look asks the provider')
  assert.ok(isLost(bench, mediation))
  const again = must(await inject(bench, bench.link, mediation))
  assert.equal(again.id, mediation.id)
  assert.equal(numberOf(target), ZERO)
  await withdraw(bench, bench.link, again)
  assert.deepEqual(readdirSync(bench.folder), ['provider.sock'])
})

planting("ours is lost with the provider's node, and gone when it is withdrawn", async bench => {
  const { socket, target } = bench.link.build()
  const mediation = must(await inject(bench, bench.link))
  rmSync(socket)
  assert.ok(isLost(bench, mediation))
  const error = failureOf(await inject(bench, bench.link, mediation))
  assert.deepEqual(error, { _tag: 'DeviceAbsent', path: socket, reason: 'nothing is there' })
  await withdraw(bench, bench.link, mediation)
  assert.ok(!existsSync(target))
})

const NO_DEVICE: Readonly<Record<string, readonly [(path: string) => void, (path: string) => InjectError]>> =
  {
    nothing: [() => undefined, path => ({ _tag: 'DeviceAbsent', path, reason: 'nothing is there' })],
    'a symlink to nowhere': [
      path => symlinkSync('/nowhere', path),
      path => ({ _tag: 'DeviceAbsent', path, reason: 'nothing is there' }),
    ],
    'a symlink to itself': [
      path => symlinkSync(path, path),
      path => ({ _tag: 'DeviceAbsent', path, reason: 'openat2: ELOOP' }),
    ],
    'a file': [
      path => writeFileSync(path, ''),
      path => ({ _tag: 'DeviceRefused', path, reason: 'it is a file, not a device' }),
    ],
    'a folder': [
      path => mkdirSync(path),
      path => ({ _tag: 'DeviceRefused', path, reason: 'it is a directory, not a device' }),
    ],
  }

for (const [what, [put, told]] of Object.entries(NO_DEVICE)) {
  planting(`${what} in the place of the provider's node is said, and nothing is made`, async bench => {
    const { socket } = bench.link.build()
    rmSync(socket)
    put(socket)
    const before = readdirSync(bench.folder)
    assert.deepEqual(failureOf(await inject(bench, bench.link)), told(socket))
    assert.deepEqual(readdirSync(bench.folder), before)
  })
}

planting("the provider's node may be reached by symlinks", async bench => {
  const { socket, target } = bench.link.build()
  mkdirSync(join(bench.folder, 'by-path'))
  symlinkSync(socket, join(bench.folder, 'by-path/gpu'))
  must(await inject(bench, bench.link.socket(join(bench.folder, 'by-path/gpu'))))
  assert.equal(numberOf(target), NULL)
  assert.ok(!lstatSync(target).isSymbolicLink())
})

planting('who judges is told what it is, and his refusal is the answer', async bench => {
  const seen: DeviceNode[] = []
  const refusal: InjectError = { _tag: 'DeviceRefused', path: '/x', reason: 'never' }
  const judge: Judge = device => {
    seen.push(device)
    return E.left(refusal)
  }
  assert.deepEqual(failureOf(await inject(bench, bench.link, undefined, judge)), refusal)
  assert.deepEqual(
    seen.map(({ type, major, minor }) => [type, major, minor]),
    [['character', 1, 3]],
  )
  assert.deepEqual(readdirSync(bench.folder), ['provider.sock'])
})

planting('who throws as he judges leaves nothing', async bench => {
  const judge: Judge = () => {
    throw new Error('no idea')
  }
  await assert.rejects(inject(bench, bench.link, undefined, judge), /no idea/)
  assert.deepEqual(readdirSync(bench.folder), ['provider.sock'])
})

/** A folder in the place of sysfs, with what it says of a device. */
const sysfsIn = (folder: string): ToolboxSeams => ({ sysfs: join(folder, 'sys') })

const uevent = (folder: string, text: string): void => {
  mkdirSync(join(folder, 'sys/dev/char', NULL), { recursive: true })
  writeFileSync(join(folder, 'sys/dev/char', NULL, 'uevent'), text)
}

planting(
  'who judges is told what the kernel calls the device',
  async bench => {
    uevent(bench.folder, `MAJOR=1\nMINOR=3\nDEVNAME=dri/card7\nDEVTYPE=drm_minor\n`)
    const seen: (string | null)[] = []
    const judge: Judge = ({ kernelName }) => {
      seen.push(kernelName)
      return E.right(undefined)
    }
    must(await inject(bench, bench.link, undefined, judge))
    assert.deepEqual(seen, ['dri/card7'])
  },
  sysfsIn,
)

planting(
  'a device whose driver goes is gone, although its node stayed, until the driver is back',
  async bench => {
    uevent(bench.folder, 'DEVNAME=dri/card7\n')
    const mediation = must(await inject(bench, bench.link))
    assert.ok(!isLost(bench, mediation))
    rmSync(join(bench.folder, 'sys/dev/char', NULL), { recursive: true })
    assert.ok(isLost(bench, mediation))
    const error = failureOf(await inject(bench, bench.link, mediation))
    assert.ok(error._tag === 'DeviceAbsent' && error.reason === `the driver of ${NULL} is gone`)
    await withdraw(bench, bench.link, mediation)
    failureOf(await inject(bench, bench.link))
    uevent(bench.folder, 'DEVNAME=dri/card7\n')
    must(await inject(bench, bench.link))
  },
  sysfsIn,
)

planting('a provider that does not run is said, and so is a consumer', async bench => {
  const { link } = bench
  assert.deepEqual(failureOf(await inject(bench, link.from('net', null))), {
    _tag: 'PeerNotRunning',
    peer: 'provider',
  })
  assert.deepEqual(failureOf(await inject(bench, link.running(null))), {
    _tag: 'PeerNotRunning',
    peer: 'consumer',
  })
  assert.deepEqual(readdirSync(bench.folder), ['provider.sock'])
})

planting('two links that give one consumer two devices do not disturb each other', async bench => {
  const one = bench.link.at(join(bench.folder, 'dev/one'))
  const two = bench.link.named('two').at(join(bench.folder, 'dev/two'))
  const first = must(await inject(bench, one))
  const second = must(await inject(bench, two))
  await withdraw(bench, one, first)
  assert.deepEqual(readdirSync(join(bench.folder, 'dev')), ['two'])
  assert.ok(!isLost(bench, second))
  await withdraw(bench, two, second)
  assert.deepEqual(readdirSync(bench.folder), ['provider.sock'])
})

planting('a socket and a node follow each other at one target', async bench => {
  const node = must(await inject(bench, bench.link))
  await withdraw(bench, bench.link, node)
  const { target, socket } = bench.link.build()
  const box = bench.host.toolboxFor(bench.link.build())
  const provider = { pid: bench.link.build().provider_pid, socket }
  const planted = must(await box.injectSocket({ kind: 'stream', target, provider, descriptors: 'exact' })())
  assert.ok(statSync(target).isSocket())
  await withdraw(bench, bench.link, planted)
  must(await inject(bench, bench.link))
  assert.equal(numberOf(target), NULL)
})

planting('closing the host removes all that was planted', async bench => {
  must(await inject(bench, bench.link.at(join(bench.folder, 'a/one'))))
  must(await inject(bench, bench.link.named('two').at(join(bench.folder, 'b/two'))))
  bench.host.close()
  assert.deepEqual(readdirSync(bench.folder), ['provider.sock'])
})

planting('withdrawn twice, it is withdrawn', async bench => {
  const mediation = must(await inject(bench, bench.link))
  await withdraw(bench, bench.link, mediation)
  makeNode(bench.link.build().target, NULL)
  assert.deepEqual(await withdraw(bench, bench.link, mediation), { connectionsClosed: 0, leftBehind: [] })
  assert.ok(existsSync(bench.link.build().target))
})

planting('nothing passes through a node that could be counted', async bench => {
  const { counters } = must(await inject(bench, bench.link))
  assert.deepEqual(
    Object.values(counters()).filter(value => typeof value === 'number' && value !== 0),
    [],
  )
})
