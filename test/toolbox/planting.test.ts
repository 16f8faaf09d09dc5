/** Planting on a real file system: what is replaced, what is refused untouched, and what is removed again. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Mediation } from '../../src/model/mediation.ts'
import type { LinkBuilder } from '../support/builders.ts'
import { failureOf, leavesNoDescriptors, must } from '../support/descriptors.ts'
import { needsRoot } from '../support/privileges.ts'
import { opensTheWayHome } from '../support/sandbox.ts'
import { clientAt, serverAt } from '../support/sockets.ts'
import { requestOf, type ToolboxBench, withLinuxToolbox } from '../support/toolboxes.ts'

opensTheWayHome()
leavesNoDescriptors()

/** A test of the real toolbox on the host's own tree. */
const planting = (name: string, body: (bench: ToolboxBench) => Promise<void>): void => {
  test(name, async t => {
    if (needsRoot(t)) await withLinuxToolbox({}, body)
  })
}

const inject = ({ host }: ToolboxBench, link: LinkBuilder, kept?: Mediation) =>
  host.toolboxFor(link.build()).injectSocket(requestOf(link), kept)()

const withdraw = ({ host }: ToolboxBench, link: LinkBuilder, mediation: Mediation) =>
  host.toolboxFor(link.build()).withdraw(mediation)()

planting('a planted socket takes clients to its provider', async bench => {
  const server = serverAt(bench.link.build().socket)
  must(await inject(bench, bench.link))
  const client = clientAt(bench.link.build().target)
  client.send('hello')
  const accepted = await server.accept()
  assert.equal(String(await accepted.take(5)), 'hello')
  client.close()
  server.close()
})

planting(
  'nothing but the socket is left in its directory, and nothing after it is withdrawn',
  async bench => {
    const mediation = must(await inject(bench, bench.link))
    assert.deepEqual(readdirSync(bench.folder), ['target.sock'])
    await withdraw(bench, bench.link, mediation)
    assert.deepEqual(readdirSync(bench.folder), [])
  },
)

planting('the report of what was planted is what is there', async bench => {
  const { planted } = must(await inject(bench, bench.link.at(join(bench.folder, 'a/b/target.sock'))))
  const { ino } = statSync(join(bench.folder, 'a/b/target.sock'))
  assert.equal(planted.inode, String(ino))
  assert.equal(planted.kind, 'stream')
  assert.deepEqual(planted.directoriesMade, [join(bench.folder, 'a'), join(bench.folder, 'a/b')])
})

for (const umask of [0o000, 0o022, 0o077]) {
  planting(`modes are 0666 and 0755 with a umask of 0${umask.toString(8)}`, async bench => {
    const before = process.umask(umask)
    try {
      must(await inject(bench, bench.link.at(join(bench.folder, 'made/target.sock'))))
      assert.equal(process.umask(), umask)
    } finally {
      process.umask(before)
    }
    assert.equal(statSync(join(bench.folder, 'made/target.sock')).mode & 0o7777, 0o666)
    assert.equal(statSync(join(bench.folder, 'made')).mode & 0o7777, 0o755)
  })
}

planting('a socket that nobody listens on any more is replaced', async bench => {
  const { target } = bench.link.build()
  serverAt(target).close()
  const stale = statSync(target).ino
  const { planted } = must(await inject(bench, bench.link))
  assert.equal(planted.inode, String(statSync(target).ino))
  assert.notEqual(planted.inode, String(stale))
})

for (const type of ['stream', 'seqpacket', 'dgram'] as const) {
  planting(`a live ${type} socket of the container is refused and goes on`, async bench => {
    const { target } = bench.link.build()
    const server = serverAt(target, type)
    const { ino } = statSync(target)
    assert.deepEqual(failureOf(await inject(bench, bench.link)), {
      _tag: 'TargetOccupied',
      target,
      by: 'live socket',
    })
    assert.equal(statSync(target).ino, ino)
    assert.deepEqual(readdirSync(bench.folder), ['target.sock'])
    clientAt(target, type).close()
    server.close()
  })
}

const OCCUPANTS: Readonly<Record<string, (path: string) => void>> = {
  file: path => writeFileSync(path, 'precious'),
  directory: path => mkdirSync(path),
  symlink: path => symlinkSync('/nowhere', path),
  fifo: path => void execFileSync('mkfifo', [path]),
  device: path => void execFileSync('mknod', [path, 'c', '1', '3']),
}

for (const [kind, make] of Object.entries(OCCUPANTS)) {
  planting(`a ${kind} at the target is refused and left as it is`, async bench => {
    const { target } = bench.link.build()
    make(target)
    const { ino, mode } = lstatSync(target)
    assert.deepEqual(failureOf(await inject(bench, bench.link)), { _tag: 'TargetOccupied', target, by: kind })
    const after = lstatSync(target)
    assert.deepEqual([after.ino, after.mode], [ino, mode])
    assert.deepEqual(readdirSync(bench.folder), ['target.sock'])
  })
}

planting('a symlink to a live socket is a symlink, and is not followed', async bench => {
  const server = serverAt(join(bench.folder, 'other.sock'))
  symlinkSync('other.sock', bench.link.build().target)
  const error = failureOf(await inject(bench, bench.link))
  assert.ok(error._tag === 'TargetOccupied' && error.by === 'symlink')
  server.close()
})

planting(
  'a file in the way of a directory is refused, and what was made on the way is removed',
  async bench => {
    writeFileSync(join(bench.folder, 'file'), '')
    const error = failureOf(await inject(bench, bench.link.at(join(bench.folder, 'file/target.sock'))))
    assert.ok(error._tag === 'TargetRefused' && error.cause.errno === 'ENOTDIR')
    assert.deepEqual(readdirSync(bench.folder), ['file'])
  },
)

planting('directories made for a target that is then refused are removed', async bench => {
  const dir = join(bench.folder, 'made/deep')
  const long = bench.link.at(`${dir}/${'x'.repeat(256)}`)
  const error = failureOf(await inject(bench, long))
  assert.ok(error._tag === 'TargetRefused' && error.cause.errno === 'ENAMETOOLONG', JSON.stringify(error))
  assert.deepEqual(readdirSync(bench.folder), [])
})

planting('a path of 300 bytes and a name of 200 are no longer than any other', async bench => {
  const deep = join(bench.folder, ...Array.from({ length: 30 }, (_, i) => `directory${i % 10}`))
  assert.ok(deep.length > 300)
  const link = bench.link.at(join(deep, 'n'.repeat(200)))
  const server = serverAt(bench.link.build().socket)
  const mediation = must(await inject(bench, link))
  const client = clientAt(link.build().target)
  client.send('x')
  await (await server.accept()).take(1)
  client.close()
  server.close()
  await withdraw(bench, link, mediation)
  assert.deepEqual(readdirSync(bench.folder), ['provider.sock'])
})

planting('a directory made for two links goes with the last of them', async bench => {
  const one = bench.link.at(join(bench.folder, 'shared/one.sock'))
  const two = bench.link.named('two').at(join(bench.folder, 'shared/deep/two.sock'))
  const first = must(await inject(bench, one))
  const second = must(await inject(bench, two))
  await withdraw(bench, one, first)
  assert.ok(existsSync(two.build().target))
  await withdraw(bench, two, second)
  assert.deepEqual(readdirSync(bench.folder), [])
})

planting('a directory that was there before stays', async bench => {
  mkdirSync(join(bench.folder, 'theirs'))
  const link = bench.link.at(join(bench.folder, 'theirs/ours/target.sock'))
  const mediation = must(await inject(bench, link))
  assert.deepEqual(mediation.planted.directoriesMade, [join(bench.folder, 'theirs/ours')])
  await withdraw(bench, link, mediation)
  assert.deepEqual(readdirSync(bench.folder), ['theirs'])
  assert.deepEqual(readdirSync(join(bench.folder, 'theirs')), [])
})

planting('a directory we made that something else is in stays', async bench => {
  const link = bench.link.at(join(bench.folder, 'made/target.sock'))
  const mediation = must(await inject(bench, link))
  writeFileSync(join(bench.folder, 'made/theirs'), '')
  await withdraw(bench, link, mediation)
  assert.deepEqual(readdirSync(join(bench.folder, 'made')), ['theirs'])
})

planting('what the container put in the place of our socket is not removed', async bench => {
  const { target } = bench.link.build()
  const mediation = must(await inject(bench, bench.link))
  unlinkSync(target)
  writeFileSync(target, 'theirs')
  await withdraw(bench, bench.link, mediation)
  assert.ok(existsSync(target))
})

planting('a target that another link of ours has is refused for now', async bench => {
  must(await inject(bench, bench.link))
  const error = failureOf(await inject(bench, bench.link.named('second')))
  assert.ok(error._tag === 'TargetRefused' && error.cause.errno === 'EADDRINUSE')
})

planting('a target whose link is about to leave can be taken over', async bench => {
  const { host, link } = bench
  const first = must(await inject(bench, link))
  const server = serverAt(link.build().socket)
  const client = clientAt(link.build().target)
  await server.accept()
  host.beginDrain()
  // It gives its connection a moment; meanwhile the name is free.
  const leaving = withdraw(bench, link, first)
  const second = must(await inject(bench, link.named('second')))
  assert.equal((await leaving).connectionsClosed, 1)
  assert.equal(host.observe([second.id], true).size, 0)
  client.close()
  server.close()
})

planting('a consumer that does not run is not the host', async bench => {
  assert.deepEqual(failureOf(await inject(bench, bench.link.running(null))), {
    _tag: 'PeerNotRunning',
    peer: 'consumer',
  })
  assert.deepEqual(readdirSync(bench.folder), [])
})

planting('a target that a mount or a rename hides is lost to a deep look only', async bench => {
  const link = bench.link.at(join(bench.folder, 'run/target.sock'))
  const mediation = must(await inject(bench, link))
  execFileSync('mv', [join(bench.folder, 'run'), join(bench.folder, 'moved')])
  assert.equal(bench.host.observe([mediation.id], false).size, 0)
  assert.equal(bench.host.observe([mediation.id], true).get(mediation.id), 'target-lost')
  const again = must(await inject(bench, link, mediation))
  assert.ok(existsSync(link.build().target))
  assert.ok(!existsSync(join(bench.folder, 'moved/target.sock')), 'the hidden one is removed')
  await withdraw(bench, link, again)
})

planting('a socket that was deleted is planted again with its connections kept', async bench => {
  const { link } = bench
  const { target, socket } = link.build()
  const server = serverAt(socket)
  const mediation = must(await inject(bench, link))
  const client = clientAt(target)
  const accepted = await server.accept()
  unlinkSync(target)
  const again = must(await inject(bench, link, mediation))
  client.send('still here')
  assert.equal(String(await accepted.take(10)), 'still here')
  const second = clientAt(target)
  await server.accept()
  assert.equal(again.counters().connectionsOpen, 2)
  for (const each of [client, second, server]) each.close()
})

planting('closing the host removes all that was planted', async bench => {
  must(await inject(bench, bench.link.at(join(bench.folder, 'a/one.sock'))))
  must(await inject(bench, bench.link.named('two').at(join(bench.folder, 'b/two.sock'))))
  bench.host.close()
  assert.deepEqual(readdirSync(bench.folder), [])
})
