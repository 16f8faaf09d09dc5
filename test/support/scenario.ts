/**
 * One end-to-end test: a stand-in pv-ctrl, the daemon, and whatever containers and peers the test asks for.
 * Everything is taken down whatever happens, and a test also proves three things about the daemon: with an empty graph
 * no link is left, it holds as many descriptors as when it started, and SIGTERM ends it with 0, if it is not the next test's as
 * well. (Where the daemon does not read the graph by itself, only the last.)
 */
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { type Container, type ContainerOptions, HOST, type Place, startContainer } from './container.ts'
import { type Daemon, type DaemonOptions, fromNowOn, INTERVAL_MS, startDaemon } from './daemon.ts'
import { grown } from './daemon-descriptors.ts'
import { eventually } from './eventually.ts'
import { BeyondLxc } from './lxc-config.ts'
import { type Kind, type Peer, type Service, type Serving, startPeer } from './peer.ts'
import { type Entry, type PvCtrl, pvCtrlAt } from './pv-ctrl.ts'
import { CannotRunHere, canRunHere } from './requirements.ts'

export interface ScenarioOptions extends Omit<DaemonOptions, 'pvCtrl' | 'logFile'> {
  /** `later`: the test calls `ctrl.listen()` itself. */
  readonly pvCtrl?: 'now' | 'later'
  /** It makes containers with LXC itself, whatever makes the others. */
  readonly withLxc?: true
  readonly timeoutMs?: number
  /** What else it needs of the machine: whether the test may go on, else it was skipped. */
  readonly needs?: (t: TestContext) => boolean
  /** Errors that the test causes, by their messages: the daemon may log these, and no others. */
  readonly causes?: readonly string[]
  /** Its daemon is no other's: it looks at how one starts, or leaves one otherwise than it found it. */
  readonly ownDaemon?: true
}

/** A container, or a process of the test's own. Killing it twice does no harm. */
export interface Mortal {
  kill(): Promise<void>
}

export interface World {
  /** A folder of this test's own on the host. */
  readonly scratch: string
  readonly ctrl: PvCtrl
  readonly daemon: Daemon
  readonly container: (name: string, options?: ContainerOptions) => Promise<Container>
  /** Kept with the others, to be killed at the end. */
  readonly adopt: <A extends Mortal>(mortal: A) => A
  readonly peer: (place: Place) => Promise<Peer>
}

/** The least it holds between two reads of the graph, so that no read's own connection is counted. */
const idleDescriptors = async (daemon: Daemon, ctrl: PvCtrl): Promise<readonly string[]> => {
  let least: readonly string[] | undefined
  await eventually('the daemon asks pv-ctrl', () => ctrl.asked() > 0)
  const goal = ctrl.asked() + 1
  daemon.signal('SIGHUP')
  await eventually('the daemon asks pv-ctrl again', () => {
    const now = daemon.descriptors()
    if (least === undefined || now.length < least.length) least = now
    return ctrl.asked() >= goal
  })
  return least ?? daemon.descriptors()
}

const nothingIsLeft = async (daemon: Daemon, ctrl: PvCtrl, idle: readonly string[]): Promise<void> => {
  ctrl.serve([])
  daemon.signal('SIGHUP')
  const links = new Set(
    daemon.log().flatMap(line => (typeof line['link'] === 'string' ? [line['link']] : [])),
  )
  await eventually('every link is released', () => {
    const left = [...links].filter(
      link => daemon.stateOf(link) !== undefined && !daemon.isIn(link, 'released'),
    )
    if (left.length === 0) return true
    throw new Error(`left: ${left.map(link => `${link} ${daemon.stateOf(link)}`).join(', ')}`)
  })
  await eventually('the daemon holds as many descriptors as at its start', () => {
    const more = grown(idle, daemon.descriptors())
    if (more.length === 0) return true
    throw new Error(more.join('; '))
  })
}

/** Where a daemon runs that has an empty graph. */
interface Post {
  readonly scratch: string
  readonly ctrl: PvCtrl
  readonly daemon: Daemon
  /** What it held then; `undefined`: it does not read the graph by itself. */
  readonly idle: readonly string[] | undefined
}

const closePost = async ({ scratch, ctrl, daemon }: Post): Promise<void> => {
  if (daemon.isRunning()) daemon.signal('SIGKILL')
  await daemon.ended()
  await ctrl.stop()
  rmSync(scratch, { recursive: true, force: true })
}

const openPost = async (options: ScenarioOptions): Promise<Post> => {
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-e2e-'))
  const ctrl = pvCtrlAt(join(scratch, 'pv-ctrl'))
  const isAnswered = options.pvCtrl !== 'later'
  if (isAnswered) await ctrl.listen()
  const daemon = startDaemon({ ...options, pvCtrl: ctrl.path, logFile: join(scratch, 'log') })
  try {
    const polls = isAnswered && (options.intervalMs ?? INTERVAL_MS) <= INTERVAL_MS
    const idle = polls ? await idleDescriptors(daemon, ctrl) : undefined
    if (isAnswered) await eventually('the daemon has started', () => ctrl.asked() > 0)
    return { scratch, ctrl, daemon, idle }
  } catch (failure) {
    await closePost({ scratch, ctrl, daemon, idle: undefined })
    throw failure
  }
}

const OF_THE_DAEMON = [
  'pvCtrl',
  'logTo',
  'journal',
  'intervalMs',
  'control',
  'policy',
  'args',
  'nodeArgs',
  'mostDescriptors',
  'ownDaemon',
] as const satisfies readonly (keyof ScenarioOptions)[]

/**
 * Of the tests of one file that are content with any daemon: starting one costs more than most of them. Each finds it without links,
 * and leaves it so.
 */
let shared: Post | undefined

after(async () => {
  if (shared === undefined) return
  await shared.daemon.stop()
  await closePost(shared)
})

const wantsItsOwn = (options: ScenarioOptions): boolean =>
  OF_THE_DAEMON.some(name => options[name] !== undefined)

const postFor = async (options: ScenarioOptions): Promise<Post> => {
  const post = (wantsItsOwn(options) ? undefined : shared) ?? (await openPost(options))
  if (post === shared) shared = undefined
  return post
}

const run = async (
  options: ScenarioOptions,
  t: TestContext,
  body: (world: World, t: TestContext) => Promise<void>,
): Promise<void> => {
  const post = await postFor(options)
  const { ctrl, idle } = post
  const daemon = wantsItsOwn(options) ? post.daemon : fromNowOn(post.daemon)
  const scratch = mkdtempSync(join(tmpdir(), 'pvx-e2e-'))
  const mortals: Mortal[] = []
  const peers: Peer[] = []
  const adopt = <A extends Mortal>(mortal: A): A => {
    mortals.push(mortal)
    return mortal
  }
  let isKept = false
  try {
    const world: World = {
      scratch,
      ctrl,
      daemon,
      adopt,
      container: async (name, how) => adopt(await startContainer(name, scratch, how)),
      peer: async place => {
        const peer = await startPeer(place)
        peers.push(peer)
        return peer
      },
    }
    const { causes = [] } = options
    const oddities = (): readonly string[] =>
      daemon.oddities().filter(line => !causes.some(message => line.includes(message)))
    await body(world, t)
    assert.deepEqual(oddities(), [])
    if (daemon.isRunning()) {
      if (idle !== undefined) await nothingIsLeft(daemon, ctrl, idle)
      isKept = !wantsItsOwn(options) && !existsSync(daemon.policy)
      if (!isKept) await daemon.stop()
      assert.deepEqual(oddities(), [])
    }
  } catch (failure) {
    isKept = false
    if (failure instanceof BeyondLxc || failure instanceof CannotRunHere) {
      t.skip(failure.message)
      return
    }
    t.diagnostic(`the daemon's last words:\n${daemon.lastWords()}`)
    throw failure
  } finally {
    if (isKept) shared = post
    else if (daemon.isRunning()) daemon.signal('SIGKILL')
    await Promise.all(peers.map(peer => peer.kill()))
    await Promise.all(mortals.map(mortal => mortal.kill()))
    rmSync(scratch, { recursive: true, force: true })
    if (!isKept) await closePost(post)
  }
}

/** A test in real containers, or several that share them (`t.test`). `options` are the daemon's. */
export const scenario = (
  name: string,
  body: (world: World, t: TestContext) => Promise<void>,
  options: ScenarioOptions = {},
): void => {
  test(name, { timeout: options.timeoutMs ?? 60_000 }, async t => {
    if (canRunHere(t, options.withLxc) && (options.needs?.(t) ?? true)) await run(options, t, body)
  })
}

/** Tests that share a site, each by its sentence. */
export type Rows<Site> = Readonly<Record<string, (site: Site, t: TestContext) => Promise<void>>>

/** One after the other in the same world; each leaves the site as it found it, but for what `tidy` takes away after it. */
export const inTurn = async <Site>(
  { daemon }: World,
  t: TestContext,
  site: Site,
  rows: Rows<Site>,
  tidy: () => Promise<void> = () => Promise.resolve(),
): Promise<void> => {
  for (const [sentence, row] of Object.entries(rows)) {
    await t.test(sentence, async own => {
      try {
        await row(site, own)
      } catch (failure) {
        own.diagnostic(`the daemon's last words:\n${daemon.lastWords()}`)
        throw failure
      }
    })
    await tidy()
  }
}

export interface LinkWanted {
  readonly name?: string
  readonly type?: string
  readonly consumer: Place
  /** `null`: Pantavisor knows of none. */
  readonly provider: Place | null
  readonly socket?: string
  readonly target?: string
  readonly role?: string
  readonly interface?: string
}

export const SOCKET = '/run/svc/raw.sock'
export const TARGET = '/run/pvx/raw.sock'

/** A graph's entry for a link between two places. */
export const entryFor = (wanted: LinkWanted): Entry => ({
  type: wanted.type ?? 'unix',
  name: wanted.name ?? 'raw',
  consumer: wanted.consumer.name,
  consumer_pid: wanted.consumer.pid,
  provider: wanted.provider?.name ?? 'svc',
  provider_pid: wanted.provider?.pid ?? -1,
  role: wanted.role ?? 'any',
  interface: wanted.interface ?? 'unix',
  socket: wanted.socket ?? SOCKET,
  target: wanted.target ?? TARGET,
})

/** How the daemon names the link of an entry. */
export const keyOf = (entry: Entry): string => `${entry['consumer']}/${entry['name']}@${entry['target']}`

export interface Pair {
  readonly app: Container
  readonly svc: Container
  readonly consumer: Peer
  readonly provider: Peer
  readonly entry: Entry
  readonly link: string
}

export interface PairOptions extends Serving {
  readonly kind?: Kind
  /** What the provider does with connections; absent: nothing, the test accepts them itself. */
  readonly service?: Service
  readonly socket?: string
  readonly target?: string
  readonly interface?: string
  readonly app?: ContainerOptions
  readonly svc?: ContainerOptions
}

const servingOf = ({ label, size }: PairOptions): Serving => ({
  ...(label === undefined ? {} : { label }),
  ...(size === undefined ? {} : { size }),
})

/** Two containers, `app` and `svc`, a peer in each, the provider listening (as `door`), the link up. */
export const connectedPair = async (world: World, options: PairOptions = {}): Promise<Pair> => {
  const pair = await unconnectedPair(world, options)
  const { provider, entry, link } = pair
  await provider.listen('door', options.socket ?? SOCKET, { kind: options.kind ?? 'stream' })
  if (options.service !== undefined) await provider.serve('door', options.service, servingOf(options))
  world.ctrl.serve([entry])
  world.daemon.signal('SIGHUP')
  await world.daemon.reaches(link, 'mediating')
  return pair
}

/** The same two, before anybody listens and before the graph has the link. */
export const unconnectedPair = async (world: World, options: PairOptions = {}): Promise<Pair> => {
  const [app, svc] = await Promise.all([
    world.container('app', options.app),
    world.container('svc', options.svc),
  ])
  const [consumer, provider] = await Promise.all([world.peer(app), world.peer(svc)])
  const entry = entryFor({
    consumer: app,
    provider: svc,
    ...(options.socket === undefined ? {} : { socket: options.socket }),
    ...(options.target === undefined ? {} : { target: options.target }),
    ...(options.interface === undefined ? {} : { interface: options.interface }),
  })
  return { app, svc, consumer, provider, entry, link: keyOf(entry) }
}

/** The pair with one connection, called `line` at both ends, that the test leads itself. */
export const connectedLine = async (world: World, options: PairOptions = {}): Promise<Pair> => {
  const pair = await connectedPair(world, options)
  await openLine(pair, 'line', options)
  return pair
}

export const openLine = async (
  { consumer, provider }: Pair,
  name: string,
  { kind = 'stream', target = TARGET }: PairOptions = {},
): Promise<void> => {
  const accepted = provider.accept('door', name)
  await consumer.connect(name, target, { kind, ...(kind === 'seqpacket' ? { sendBuffer: 4_000_000 } : {}) })
  await accepted
}

export const exists = (path: string): boolean => existsSync(path)

/** What tells a planted socket from one planted in its place later. */
export const inodeOf = (path: string): string => {
  const status = statSync(path, { bigint: true })
  return `${status.dev}:${status.ino}`
}

/** Connect as `name`, say something, and hear exactly that. */
export const echoes = async (peer: Peer, name: string, target = TARGET): Promise<void> => {
  await peer.connect(name, target)
  await stillEchoes(peer, name)
}

export const stillEchoes = async (peer: Peer, name: string): Promise<void> => {
  const said = `${name} says hello`
  await peer.send(name, said)
  assert.equal((await peer.readExactly(name, said.length)).text, said)
}

export { HOST }
