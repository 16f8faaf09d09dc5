/**
 * SIGKILL at random moments, again and again, while links come and go and clients talk: after each start what is wanted
 * works, and of what is not wanted nothing is left, neither a socket nor a directory, in containers that live on and
 * in one whose root outlives it. `PVX_TEST_KILLS` sets how often; the moments come from `PVX_TEST_SEED`.
 */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Container, startContainer } from '../support/container.ts'
import { type Daemon, startDaemon } from '../support/daemon.ts'
import { eventually } from '../support/eventually.ts'
import { type Peer, startPeer } from '../support/peer.ts'
import { type Entry, type PvCtrl, pvCtrlAt } from '../support/pv-ctrl.ts'
import { randomOf } from '../support/random.ts'
import { canRunHere } from '../support/requirements.ts'
import { entryFor, SOCKET } from '../support/scenario.ts'

const KILLS = Number(process.env['PVX_TEST_KILLS'] ?? 15)
const SEED = Number(process.env['PVX_TEST_SEED'] ?? 20_250_101)
/** About as long as a start and the first injections take, so that kills fall before, into and after them. */
const LONGEST_LIFE_MS = 400

/** Where links put things; several share directories, some of them made for the links alone. */
const TARGETS = [
  '/run/pvx/a/one.sock',
  '/run/pvx/a/two.sock',
  '/run/pvx/b/three.sock',
  '/run/four.sock',
  '/opt/deep/er/and/deeper/five.sock',
  '/opt/deep/six.sock',
  '/run/pvx/log.sock',
]
const LOG_TARGET = '/run/pvx/log.sock'
const LOG_SOCKET = '/run/svc/log.sock'
/** What their providers are told; a daemon can be killed as somebody else, too. */
const INTERFACES = [
  'unix',
  'unix+stream+role-peercred',
  'unix+creds',
  'unix+role-creds+peercred',
  'unix',
  'unix+nofds',
  'unix+dgram+creds',
]
const WATCHED = ['/run', '/opt', '/tmp', '/srv']

interface Consumer {
  readonly name: string
  readonly disk: string | undefined
  container: Container
  peer: Peer
}

/** Everything in the places where the daemon works, as paths in the container. */
const tree = ({ container }: Consumer): readonly string[] =>
  WATCHED.flatMap(folder => {
    const host = container.path(folder)
    return existsSync(host)
      ? readdirSync(host, { recursive: true }).map(name => join(folder, String(name)))
      : []
  }).sort()

/** The targets, and the directories above them that no container has by itself. */
const withFolders = (targets: readonly string[]): readonly string[] => {
  const paths = new Set<string>()
  for (const target of targets) {
    for (let at = target; at !== '/run' && at !== '/opt'; at = at.slice(0, at.lastIndexOf('/'))) paths.add(at)
  }
  return [...paths].sort()
}

test('killed again and again, it leaves nothing behind and goes on', {
  timeout: 1000 * (60 + 10 * KILLS),
}, async t => {
  if (!canRunHere(t)) return
  t.diagnostic(`${KILLS} kills, seed ${SEED}`)
  const random = randomOf(SEED)
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-crash-'))
  const ctrl: PvCtrl = pvCtrlAt(join(scratch, 'pv-ctrl'))
  await ctrl.listen()
  const svc = await startContainer('svc', scratch)
  const provider = await startPeer(svc)
  await provider.listen('door', SOCKET)
  await provider.serve('door', 'echo')
  await provider.listen('log', LOG_SOCKET, { kind: 'dgram' })

  const openConsumer = async (name: string, disk?: string): Promise<Consumer> => {
    const container = await startContainer(name, scratch, disk === undefined ? {} : { disk })
    return { name, disk, container, peer: await startPeer(container) }
  }
  const lasting = await openConsumer('lasting')
  const onDisk = await openConsumer('on-disk', join(scratch, 'on-disk'))
  const consumers = [lasting, onDisk]
  const base = new Map(consumers.map(consumer => [consumer, tree(consumer)]))

  let wanted = new Map<Consumer, readonly string[]>()
  // One each always: where a killed container is now, only a link of its consumer can tell.
  const someTargets = (): readonly string[] =>
    TARGETS.filter((_target, index) => index === 0 || random.chance(0.5))
  const serveSome = (): void => {
    wanted = new Map(consumers.map(consumer => [consumer, someTargets()]))
    const graph: Entry[] = []
    for (const [consumer, targets] of wanted) {
      for (const target of targets) {
        const index = TARGETS.indexOf(target)
        const name = `svc${index}`
        graph.push(
          entryFor({
            name,
            consumer: consumer.container,
            provider: svc,
            target,
            ...(target === LOG_TARGET ? { socket: LOG_SOCKET } : {}),
            role: '1001',
            interface: INTERFACES[index] ?? 'unix',
          }),
        )
      }
    }
    ctrl.serve(graph)
  }

  let runs = 0
  const start = (): Daemon => {
    runs += 1
    return startDaemon({
      pvCtrl: ctrl.path,
      logFile: join(scratch, `log-${runs}`),
      intervalMs: 50,
      args: ['--drain', '0'],
    })
  }

  const isAsWanted = async (daemon: Daemon, round: number): Promise<void> => {
    for (const consumer of consumers) {
      const targets = wanted.get(consumer) ?? []
      const expected = [...(base.get(consumer) ?? []), ...withFolders(targets)].sort()
      await eventually(
        `${consumer.name} has what is wanted after kill ${round}, and nothing else`,
        () => {
          assert.deepEqual(tree(consumer), expected)
          return true
        },
        20_000,
      )
      for (const [index, target] of targets.entries()) {
        const line = `line-${round}-${index}`
        const kind = target === LOG_TARGET ? 'dgram' : 'stream'
        await eventually(
          `${target} in ${consumer.name} answers after kill ${round}`,
          async () => {
            await consumer.peer.connect(line, target, { kind })
            return true
          },
          20_000,
        )
        await consumer.peer.send(line, 'hello')
        const heard = kind === 'dgram' ? provider.receiveMessage('log') : consumer.peer.readExactly(line, 5)
        assert.equal((await heard).text, 'hello')
        await consumer.peer.close(line)
      }
    }
    assert.deepEqual(daemon.oddities(), [])
  }

  let daemon = start()
  try {
    for (let round = 1; round <= KILLS; round += 1) {
      const end = Date.now() + random.below(LONGEST_LIFE_MS)
      // Not the time is waited for but the kill: until then the graph never stands still.
      while (Date.now() < end) {
        serveSome()
        await sleep(random.below(60))
      }
      daemon.signal('SIGKILL')
      await daemon.ended()
      if (random.chance(0.25)) {
        // Its root stays, with what the daemon had put there, and another process has it.
        await onDisk.container.kill()
        onDisk.container = await startContainer('on-disk', scratch, { disk: join(scratch, 'on-disk') })
        onDisk.peer = await startPeer(onDisk.container)
      }
      serveSome()
      daemon = start()
      if (random.chance(0.5)) await isAsWanted(daemon, round)
    }
    await isAsWanted(daemon, KILLS + 1)
    ctrl.serve([])
    wanted = new Map()
    await isAsWanted(daemon, KILLS + 2)
    await daemon.stop()
    assert.equal(existsSync(`${ctrl.path}.journal`), false, 'nothing is left to write down')
  } catch (failure) {
    t.diagnostic(`the daemon's last words:\n${daemon.lastWords()}`)
    throw failure
  } finally {
    if (daemon.isRunning()) daemon.signal('SIGKILL')
    await daemon.ended()
    await Promise.all([provider, ...consumers.map(({ peer }) => peer)].map(peer => peer.kill()))
    await Promise.all([svc, ...consumers.map(({ container }) => container)].map(each => each.kill()))
    await ctrl.stop()
    rmSync(scratch, { recursive: true, force: true })
  }
})
