/** A container of a soak with the peer in it, as often as it is killed and started again. */
import { type Dirent, lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Container, type ContainerOptions, startContainer } from '../support/container.ts'
import type { TestGroup } from '../support/device-cgroup.ts'
import type { Kind } from '../support/peer.ts'
import { now } from './clock.ts'
import { type LinkType, type SoakPeer, startSoakPeer } from './peer.ts'

/** Where something could be planted; the rest is the host's own, or the kernel's. */
const WRITABLE = ['/run', '/tmp', '/opt', '/etc', '/dev'] as const

/** What a provider offers: a name to listen on, of one kind at a time, or a device. */
export interface Service {
  readonly type: LinkType
  readonly name: string
  readonly path: string
  readonly site: Site
  /** Of the socket, where the type leaves that to the provider. */
  kind: Kind
  /** Of the device, where it is one. */
  number: string
}

/** Let a peer be the provider of a service. */
export const provide = (peer: SoakPeer, { type, name, path, kind, number }: Service): Promise<void> =>
  type === 'unix' ? peer.provide(name, path, kind) : peer.offer(type, name, path, number)

/** A container that runs. */
interface Running {
  readonly container: Container
  readonly peer: SoakPeer
}

export interface Node {
  /** As the container spells it. */
  readonly path: string
  readonly inode: string
  readonly kind: 'directory' | 'socket' | 'other'
}

const kindOf = (entry: Dirent): Node['kind'] => {
  if (entry.isDirectory()) return 'directory'
  return entry.isSocket() ? 'socket' : 'other'
}

/** As its first process has them (proc_pid_mountinfo(5)); one that is mounted over comes twice. */
const mountPointsOf = ({ pid }: Container): readonly string[] =>
  readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
    .split('\n')
    .flatMap(line => line.split(' ')[4] ?? [])

const isGone = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')

export class Site {
  readonly name: string
  readonly services: Service[] = []
  readonly #scratch: string
  readonly #options: ContainerOptions
  #running: Running | undefined
  /** As they were when it started. */
  #mounts: readonly string[] = []
  /** When it last was not as it should be; its peers' deaths until then are no surprise. */
  #disturbedAt = 0
  /** Somebody is doing something to it that nothing else may be done along with. */
  busy = false
  /**
   * It has mounted over folders that the daemon made, or had something of its own in them when a link left: they stay, and
   * are not the daemon's any more.
   */
  keepsFolders = false
  /** A device cgroup for its first process, which denies what a link has to be granted. */
  group: TestGroup | undefined
  /** What a killed daemon left here, by path: its successor knows nothing of it. */
  readonly orphans = new Map<string, string>()

  constructor(name: string, scratch: string, options: ContainerOptions = {}) {
    this.name = name
    this.#scratch = scratch
    this.#options = options
  }

  /** As a graph would name it; -1: it does not run. */
  get pid(): number {
    return this.#running?.container.pid ?? -1
  }

  get runs(): boolean {
    return this.#running !== undefined
  }

  /** Throws while it does not run: whoever asks has to know. */
  get peer(): SoakPeer {
    return this.#need().peer
  }

  get container(): Container {
    return this.#need().container
  }

  #need(): Running {
    if (this.#running === undefined) throw new Error(`${this.name} does not run`)
    return this.#running
  }

  async start(): Promise<void> {
    const container = await startContainer(this.name, this.#scratch, this.#options)
    const peer = await startSoakPeer(container)
    for (const service of this.services) await provide(peer, service)
    this.group?.take(container.pid)
    this.#running = { container, peer }
    this.#mounts = mountPointsOf(container)
    this.#disturbedAt = now()
  }

  /** Take away what need not have been removed by the daemon, so that what it does from now on shows. */
  tidy(folders: readonly string[]): void {
    for (const folder of folders) rmSync(this.container.path(folder), { recursive: true, force: true })
    this.keepsFolders = false
    this.orphans.clear()
  }

  async kill(): Promise<void> {
    const running = this.#running
    if (running === undefined) return
    this.#running = undefined
    this.#disturbedAt = now()
    await running.container.kill()
    await running.peer.kill()
  }

  /** Its peer ends and another one comes, in a container that goes on. */
  async replacePeer(afterMs: () => Promise<void>): Promise<void> {
    const { container, peer } = this.#need()
    this.#disturbedAt = Number.POSITIVE_INFINITY
    await peer.kill()
    await afterMs()
    const next = await startSoakPeer(container)
    for (const service of this.services) await provide(next, service)
    this.#running = { container, peer: next }
    this.#disturbedAt = now()
  }

  /** Whether its peer was ended on purpose at or after that time. */
  wasDisturbedSince(at: number): boolean {
    return !this.runs || this.#disturbedAt >= at
  }

  /** Where something is mounted in it that was not when it started. */
  get moreMounts(): readonly string[] {
    const known = [...this.#mounts]
    return mountPointsOf(this.container).filter(each => {
      const at = known.indexOf(each)
      if (at !== -1) known.splice(at, 1)
      return at === -1
    })
  }

  /** Everything in it that could have been planted. Looked at from outside, so it may change meanwhile. */
  nodes(): readonly Node[] {
    const { container } = this.#need()
    const found: Node[] = []
    const walk = (folder: string): void => {
      for (const entry of readdirSync(container.path(folder), { withFileTypes: true })) {
        const path = join(folder, entry.name)
        try {
          const inode = `${lstatSync(container.path(path)).ino}`
          found.push({ path, inode, kind: kindOf(entry) })
          if (entry.isDirectory()) walk(path)
        } catch (error) {
          if (!isGone(error)) throw error
        }
      }
    }
    for (const folder of WRITABLE) walk(folder)
    return found
  }
}
