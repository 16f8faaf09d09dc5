/**
 * What an earlier run left in containers when it was killed: kept where its link is still wanted, until a new socket takes
 * its place or a device node is taken over, and removed where not. Only what the journal knows by device and inode, or by a private name, is touched.
 * A container that has ended keeps its traces until its next process appears: its root may have outlived it.
 */
import { E } from '../fp.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import {
  type FileKind,
  type FileStatus,
  removeDirectory,
  rename,
  resolveIn,
  statusIn,
  unlink,
} from '../kernel/files.ts'
import { startOf } from '../kernel/process.ts'
import { HOST, type Pid } from '../model/identity.ts'
import type { Link } from '../model/link.ts'
import type { Container, Containers } from './containers.ts'
import type { LinkLog } from './contract.ts'
import { type AdoptedDirectory, type Directories, nameOf, parentOf } from './directories.ts'
import type { Journal } from './journal.ts'
import { type ProcessInstance, sameIdentity, type Trace } from './journal-format.ts'
import { removeNode } from './node-file.ts'
import type { Remains } from './plant-node.ts'

export interface Leftovers {
  /** Remove what none of these links, the admitted ones, has a use for. To be called before any of them is injected. */
  sweep(links: () => readonly Link[]): void
  /** What an earlier run had at this place is something else than what is to be planted there, a socket or a node: it goes. */
  makeRoom(container: Container, target: string, kind: 'socket' | 'node'): void
  /** A node that an earlier run made there may not be had for now: it goes. */
  forsake(consumer: Pid, target: string): void
  /** A node that an earlier run made there. */
  remainsAt(container: Container, target: string): Remains | undefined
  /** Something was planted there: what an earlier run had at this place is no more. */
  replaced(container: Container, target: string): void
  /** What was planted there is what an earlier run had at this place: it is somebody else's to remove. */
  takenOver(container: Container, target: string): void
  /** Remove what is still there. */
  close(): void
}

export interface LeftoversOptions {
  readonly journal: Journal
  readonly directories: Directories
  readonly containers: Containers
  readonly log: LinkLog
}

/** What was left in one process's container, found again. */
interface Site {
  readonly container: Container
  /** Sockets and nodes of wanted links, by their path. */
  readonly planted: Map<string, Trace>
  readonly directories: Map<string, AdoptedDirectory>
}

const instanceKey = ({ pid, started }: ProcessInstance): string => `${pid}/${started}`

/** Asked before it is held: the number may be anybody's by now. */
const isStill = ({ pid, started }: ProcessInstance): boolean => {
  const now = startOf(pid)
  return E.isRight(now) && now.right === started
}

const wasMade = ({ made }: Trace, found: FileStatus): boolean =>
  made !== null &&
  (sameIdentity(found, made) || (made.below !== undefined && sameIdentity(found, made.below)))

const REMOVE = { socket: unlink, directory: removeDirectory, node: removeNode } as const

const isInside = (path: string, directory: string): boolean => path.startsWith(`${directory}/`)

/** A mounted node may have lost its mount, or not have it yet. */
const LOOKS: Readonly<Record<Trace['kind'], readonly FileKind[]>> = {
  socket: ['socket'],
  directory: ['directory'],
  node: ['device', 'file'],
}

/** Look into the directory that holds a path, or answer `otherwise` where there is none. */
const inParentOf = <A>(
  root: BorrowedFd,
  path: string,
  otherwise: A,
  look: (directory: BorrowedFd) => A,
): A => {
  const parent = resolveIn(root, parentOf(path), 'directory', path)
  if (E.isLeft(parent)) return otherwise
  const answer = look(parent.right.borrowed)
  parent.right.close()
  return answer
}

export const createLeftovers = ({ journal, directories, containers, log }: LeftoversOptions): Leftovers => {
  /** Traces whose container has not been found yet, by the process they were made in. */
  const unplaced = new Map<string, Trace[]>()
  const sites = new Map<Container, Site>()
  for (const trace of journal.left) {
    const key = instanceKey(trace)
    unplaced.set(key, [...(unplaced.get(key) ?? []), trace])
  }

  const isIt = (directory: BorrowedFd, trace: Trace, name: string): boolean => {
    const found = statusIn(directory, name, trace.path)
    if (E.isLeft(found) || !LOOKS[trace.kind].includes(found.right.kind)) return false
    // A private name is nobody else's; a real one may have been taken since.
    return name === trace.private || wasMade(trace, found.right)
  }

  /** Whether it still stands at its path. Of several that stood there one after the other, at most one does. */
  const stands = (root: BorrowedFd, trace: Trace): boolean =>
    inParentOf(root, trace.path, false, directory => isIt(directory, trace, nameOf(trace.path)))

  /** Remove a name if it is what it should be; what keeps it there is said. */
  const removeName = (container: Container, trace: Trace, name: string): void =>
    inParentOf(container.handle.root.borrowed, trace.path, undefined, directory => {
      if (!isIt(directory, trace, name)) return
      const { consumer, path } = trace
      const removed = REMOVE[trace.kind](directory, name, path, container.handle)
      if (E.isRight(removed) || removed.left.errno === 'ENOTEMPTY') {
        log.info({ consumer, path }, 'removed what an earlier run left')
      } else {
        log.warn({ consumer, path, errno: removed.left.errno }, 'what an earlier run left cannot be removed')
      }
    })

  /**
   * Killed between an exchange of names and the removal of what came out, the private name has what was the container's:
   * they change back.
   */
  const giveBack = (root: BorrowedFd, trace: Trace): void =>
    inParentOf(root, trace.path, undefined, directory => {
      const { path, made } = trace
      const out = statusIn(directory, trace.private, path)
      if (made === null || E.isLeft(out) || wasMade(trace, out.right)) return
      if (isIt(directory, trace, nameOf(path)))
        rename(directory, trace.private, nameOf(path), 'exchange', path)
    })

  const place = (container: Container, traces: readonly Trace[]): void => {
    const site: Site = sites.get(container) ?? { container, planted: new Map(), directories: new Map() }
    const root = container.handle.root.borrowed
    for (const trace of traces) {
      giveBack(root, trace)
      removeName(container, trace, trace.private)
      if (trace.made === null) {
        journal.gone(trace.id)
      } else if (trace.kind !== 'directory') {
        if (stands(root, trace)) site.planted.set(trace.path, trace)
        else journal.gone(trace.id)
      } else {
        const adopted = directories.adopt(root, trace.path, trace.made, () => journal.gone(trace.id))
        if (adopted === undefined) journal.gone(trace.id)
        else site.directories.set(trace.path, adopted)
      }
    }
    if (sites.has(container)) containers.release(container)
    else sites.set(container, site)
  }

  /** The container that the traces were made in, or else the one that its consumer has now. Released by whoever gets it. */
  const containerOf = (first: Trace, links: readonly Link[]): Container | undefined => {
    const pids: (Pid | null | undefined)[] = [
      first.pid,
      links.find(({ consumer, consumer_pid }) => consumer === first.consumer && consumer_pid !== null)
        ?.consumer_pid,
    ]
    for (const pid of pids) {
      if (pid === null || pid === undefined) continue
      if (pid === first.pid && pid !== HOST && !isStill(first)) continue
      const container = containers.acquire(pid)
      if (E.isRight(container)) return container.right
    }
    return undefined
  }

  const placeAll = (links: readonly Link[]): void => {
    for (const [key, traces] of unplaced) {
      const [first] = traces
      const container = first === undefined ? undefined : containerOf(first, links)
      if (container === undefined) continue
      unplaced.delete(key)
      place(container, traces)
    }
  }

  /** Let go of the directories that nothing planted of the site is left in, and of the site when nothing is. */
  const settle = (site: Site): void => {
    for (const [path, directory] of [...site.directories].reverse()) {
      if ([...site.planted.keys()].some(each => isInside(each, path))) continue
      site.directories.delete(path)
      directories.disown(directory)
    }
    if (site.planted.size > 0 || site.directories.size > 0) return
    sites.delete(site.container)
    containers.release(site.container)
  }

  const removePlanted = (site: Site, trace: Trace): void => {
    removeName(site.container, trace, nameOf(trace.path))
    site.planted.delete(trace.path)
    journal.gone(trace.id)
  }

  const forget = (container: Container, target: string): Trace | undefined => {
    const site = sites.get(container)
    const trace = site?.planted.get(target)
    if (site === undefined || trace === undefined) return undefined
    site.planted.delete(target)
    settle(site)
    return trace
  }

  return {
    sweep: admitted => {
      if (unplaced.size === 0 && sites.size === 0) return
      const links = admitted()
      placeAll(links)
      const wanted = new Set(links.map(({ consumer_pid, target }) => `${consumer_pid}${target}`))
      for (const site of [...sites.values()]) {
        // Nothing will be planted there again: its processes are gone, or elsewhere.
        const deserted = site.container.left || site.container.exited
        for (const trace of [...site.planted.values()]) {
          if (deserted || !wanted.has(`${site.container.pid}${trace.path}`)) removePlanted(site, trace)
        }
        settle(site)
      }
    },
    makeRoom: (container, target, kind) => {
      const site = sites.get(container)
      const trace = site?.planted.get(target)
      if (site === undefined || trace === undefined || trace.kind === kind) return
      removePlanted(site, trace)
      settle(site)
    },
    forsake: (consumer, target) => {
      for (const site of [...sites.values()]) {
        const trace = site.container.pid === consumer ? site.planted.get(target) : undefined
        if (trace?.kind !== 'node') continue
        removePlanted(site, trace)
        settle(site)
      }
    },
    remainsAt: (container, target) => {
      const trace = sites.get(container)?.planted.get(target)
      if (trace?.kind !== 'node' || trace.made === null) return undefined
      return { made: trace.made, gone: () => journal.gone(trace.id) }
    },
    replaced: (container, target) => {
      const trace = forget(container, target)
      if (trace !== undefined) journal.gone(trace.id)
    },
    takenOver: (container, target) => {
      forget(container, target)
    },
    close: () => {
      placeAll([])
      for (const site of [...sites.values()]) {
        for (const trace of [...site.planted.values()]) removePlanted(site, trace)
        settle(site)
      }
    },
  }
}
