/**
 * The containers of the graph, each held by its init process: one pidfd, one root and one mount namespace, however
 * many links use them. A number whose process has ended is not taken for its next owner's while the graph is stale.
 */
import { E } from '../fp.ts'
import { Readiness } from '../kernel/epoll.ts'
import { type MountWatch, watchMounts } from '../kernel/mount-table.ts'
import {
  closeProcess,
  hasExited,
  hasMoved,
  isFirstOfItsOwn,
  openHost,
  openProcess,
  type ProcessHandle,
  seesTheHost,
} from '../kernel/process.ts'
import { type InjectError, type SyscallError, syscallError } from '../model/errors.ts'
import { HOST, type Pid } from '../model/identity.ts'
import type { Reactor, Watch } from '../reactor/contract.ts'

export class Container {
  readonly pid: Pid
  readonly handle: ProcessHandle
  /** On the reactor's clock. */
  readonly heldAt: number
  /** Mediations that use it; it is closed when it has ended, or is no longer followed, and none does. */
  users = 0
  followed = false
  exited = false
  /** Its process went elsewhere: whoever has something in here looks for it there. */
  left = false
  watch: Watch | undefined
  mounts: MountWatch | undefined

  constructor(pid: Pid, handle: ProcessHandle, heldAt: number) {
    this.pid = pid
    this.handle = handle
    this.heldAt = heldAt
  }

  /** Whether its process has ended, told or not. */
  get ended(): boolean {
    const { pidfd } = this.handle
    return this.exited || (pidfd !== undefined && hasExited(pidfd.borrowed))
  }
}

export interface Containers {
  /** Hold a container; `release` it as often. */
  acquire(pid: Pid): E.Either<SyscallError, Container>
  /** Run with a container held. ESRCH: it is not running, or there is none. */
  inside<A>(pid: Pid | null, subject: string, body: (container: Container) => A): E.Either<SyscallError, A>
  /** From now on, report when the container's mounts change: something is planted in it. */
  watchMounts(container: Container): void
  release(container: Container): void
  /** Watch exactly these for their end: the graph, as it was just read, names them. */
  follow(pids: ReadonlySet<Pid>): void
  /**
   * Look whether any process went into another root or other namespaces; whoever asks for it next holds it there. Not deep:
   * only those that were held lately, as a container does this while it is set up.
   */
  lookForMoves(deep: boolean): void
  close(): void
}

export interface ContainersOptions {
  readonly reactor: Reactor
  readonly onExit: (pid: Pid) => void
  readonly onMountsChanged: (pid: Pid) => void
  /** A process of the graph sees what the host sees: a reused pid of a stale graph, or a container without a wall. */
  readonly onNoContainer: (pid: Pid) => void
  /** The graph still names a number whose process ended, and another process that cannot be meant has it now. */
  readonly onReused: (pid: Pid) => void
}

/** A number whose process ended and that the graph still names. */
interface Outlived {
  /** In a graph that was read after that end. */
  namedSince: boolean
  /** It was said that another process has it. */
  told: boolean
}

/** A container that is still being set up by then is noticed by the next deep look. */
const SETTLED_MS = 30_000

const gone = (pid: Pid): SyscallError => syscallError('pidfd_open', 'ESRCH', `process ${pid}`)

export const createContainers = ({
  reactor,
  onExit,
  onMountsChanged,
  onNoContainer,
  onReused,
}: ContainersOptions): Containers => {
  const current = new Map<Pid, Container>()
  /** Numbers that the graph has named ever since their process was found to have ended. */
  const outlived = new Map<Pid, Outlived>()
  /**
   * When the processes began that went elsewhere. One that ends loses its root before its end is told, so the next one under
   * its number may be another.
   */
  const moved = new Map<Pid, string>()

  const unwatch = (container: Container): void => {
    container.watch?.close()
    container.watch = undefined
    container.mounts?.close()
    container.mounts = undefined
  }

  const dispose = (container: Container): void => {
    if (container.users > 0 || (container.followed && !container.exited && !container.left)) return
    unwatch(container)
    closeProcess(container.handle)
    if (current.get(container.pid) === container) current.delete(container.pid)
  }

  const outlive = (pid: Pid): void => {
    outlived.set(pid, { namedSince: false, told: false })
  }

  const exited = (container: Container): void => {
    container.exited = true
    unwatch(container)
    if (current.get(container.pid) === container) current.delete(container.pid)
    outlive(container.pid)
    onExit(container.pid)
    dispose(container)
  }

  /**
   * Whether a number may be used that the graph still names although its process ended: only from a graph that was read
   * since, and only for what can be a container's init. Anything else is whoever got the number next.
   */
  const mayBeMeant = (pid: Pid, handle: ProcessHandle): boolean => {
    const former = outlived.get(pid)
    if (former === undefined) return true
    if (!former.namedSince) return false
    const onHost = seesTheHost(handle)
    if (!onHost && isFirstOfItsOwn(pid)) {
      outlived.delete(pid)
      return true
    }
    if (!former.told) {
      former.told = true
      if (onHost) onNoContainer(pid)
      onReused(pid)
    }
    return false
  }

  const open = (pid: Pid): E.Either<SyscallError, Container> => {
    const known = current.get(pid)
    if (known !== undefined) {
      // Its end is told in a moment, and what it had is closed then.
      return known.ended ? E.left(gone(pid)) : E.right(known)
    }
    const handle = pid === HOST ? openHost() : openProcess(pid)
    if (E.isLeft(handle)) {
      if (handle.left.errno === 'ESRCH' && !outlived.has(pid)) outlive(pid)
      return handle
    }
    if (moved.get(pid) !== undefined && moved.get(pid) !== handle.right.started) outlive(pid)
    moved.delete(pid)
    if (!mayBeMeant(pid, handle.right)) {
      closeProcess(handle.right)
      return E.left(gone(pid))
    }
    const container = new Container(pid, handle.right, reactor.clock.now())
    const { pidfd } = handle.right
    if (pidfd !== undefined) {
      container.watch = reactor.watch(pidfd.borrowed, Readiness.in, {
        ready: () => exited(container),
        failed: () => exited(container),
      })
    }
    current.set(pid, container)
    if (pid !== HOST && seesTheHost(handle.right)) onNoContainer(pid)
    return E.right(container)
  }

  const acquire = (pid: Pid): E.Either<SyscallError, Container> => {
    const container = open(pid)
    if (E.isRight(container)) container.right.users += 1
    return container
  }

  const release = (container: Container): void => {
    container.users -= 1
    dispose(container)
  }

  return {
    acquire,
    inside: (pid, subject, body) => {
      if (pid === null) return E.left(syscallError('pidfd_open', 'ESRCH', subject))
      const container = acquire(pid)
      if (E.isLeft(container)) return E.left({ ...container.left, errno: 'ESRCH' })
      try {
        return E.right(body(container.right))
      } finally {
        release(container.right)
      }
    },
    watchMounts: container => {
      if (container.mounts !== undefined || container.exited || container.pid === HOST) return
      const watch = watchMounts(container.pid, reactor.clock, () => onMountsChanged(container.pid))
      // Without it, a change is found by looking: every few seconds instead of at once.
      if (E.isRight(watch)) container.mounts = watch.right
    },
    release,
    follow: pids => {
      for (const [pid, former] of outlived) {
        former.namedSince = true
        if (!pids.has(pid)) outlived.delete(pid)
      }
      for (const pid of moved.keys()) if (!pids.has(pid)) moved.delete(pid)
      for (const container of [...current.values()]) {
        container.followed = pids.has(container.pid)
        dispose(container)
      }
      for (const pid of pids) {
        const container = open(pid)
        // Gone already: a stale graph. The links that name it find out when they are injected.
        if (E.isRight(container)) container.right.followed = true
      }
    },
    lookForMoves: deep => {
      const now = reactor.clock.now()
      for (const container of [...current.values()]) {
        if (!deep && now - container.heldAt > SETTLED_MS) continue
        if (!hasMoved(container.pid, container.handle)) continue
        container.left = true
        moved.set(container.pid, container.handle.started)
        unwatch(container)
        current.delete(container.pid)
        dispose(container)
      }
    },
    close: () => {
      for (const container of [...current.values()]) {
        container.users = 0
        container.followed = false
        dispose(container)
      }
    },
  }
}

/** A container that cannot be held, in a link's terms. */
export const peerError = (peer: 'consumer' | 'provider', pid: Pid, error: SyscallError): InjectError =>
  error.errno === 'ESRCH' || error.errno === 'ENOENT'
    ? { _tag: 'PeerGone', peer, pid }
    : { _tag: 'TargetRefused', target: `process ${pid}`, cause: error }
