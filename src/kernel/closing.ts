/**
 * Closing what a container has given us. close(2) of a last reference may wait: for a socket's linger time (socket(7)), which
 * its sender chose, for whoever serves a FUSE file system (fuse(4)), and a socket takes along what is queued in it.
 * So all that could wait is closed on other threads, a few at a time; whoever lets a container cause that counts it until it
 * is done. Pipes and files in memory never wait and are closed here.
 */
import { E } from '../fp.ts'
import { SHUT_RD, SHUT_RDWR, SYS } from './constants.ts'
import { c, closeOnAnotherThread } from './declarations.ts'
import { Io } from './errno.ts'
import { type BorrowedFd, closeRaw, noteClosed, OwnedFd } from './fd.ts'
import { statusOf } from './files.ts'
import { peekAside, receiveAside, received } from './message.ts'
import { accept } from './socket.ts'

/** libuv has four threads for all that must not hold up the loop: two are left to the others. */
const THREADS = 2

/** Told how many more, or fewer, of somebody's descriptors are being closed. */
export interface ClosingCount {
  add(count: number): void
}

const NOBODY: ClosingCount = { add: () => undefined }

const waiting: (() => void)[] = []
let running = 0

const run = (): void => {
  while (running < THREADS) {
    const next = waiting.shift()
    if (next === undefined) return
    running += 1
    next()
  }
}

const closeElsewhere = (fd: number, done: () => void): void => {
  waiting.push(() =>
    closeOnAnotherThread(fd, () => {
      running -= 1
      noteClosed()
      done()
      run()
    }),
  )
  run()
}

let memory: string | undefined

/** The device that files in memory are on (memfd_create(2)): the kernel's own, so no container has another's file there. */
const memoryDevice = (): string => {
  if (memory !== undefined) return memory
  const fd = c.memfdCreate(SYS.memfd_create, 'probe', 0)
  const found = statusOf(fd as BorrowedFd, 'a file in memory')
  memory = E.isRight(found) ? found.right.device : ''
  c.close(fd)
  return memory
}

const mayWait = (fd: number): boolean => {
  const found = statusOf(fd as BorrowedFd, 'a descriptor of a container')
  if (E.isLeft(found)) return true
  const { kind, device } = found.right
  return kind !== 'fifo' && !(kind === 'file' && device === memoryDevice())
}

/** End the process now. Not by exit(3), which waits for the threads, and so for what they are closing. */
export const endProcess = (code: number): never => {
  c.exit(code)
  throw new Error('_exit(2) returned')
}

/** Close descriptors that arrived in a message. */
export const closeReceived = (fds: readonly number[], count: ClosingCount = NOBODY): void => {
  for (const fd of fds) {
    if (!mayWait(fd)) {
      closeRaw(fd)
      continue
    }
    count.add(1)
    closeElsewhere(fd, () => count.add(-1))
  }
}

/** More than a socket's queue holds, large packets or small, unless its peer was privileged to make it larger. */
const MOST_DISCARDED_BYTES = 8 * 1024 * 1024
const MOST_DISCARDS = 1024

/** Take what waits to be read and drop it, descriptors too: a bounded amount. */
export const discardQueued = (fd: BorrowedFd, count: ClosingCount): void => {
  let left = MOST_DISCARDED_BYTES
  for (let i = 0; i < MOST_DISCARDS && left > 0; i += 1) {
    // With room for descriptors: without, the kernel would close them here and now.
    const n = receiveAside(fd)
    closeReceived(Array.from(received.fds.subarray(0, received.fdCount)), count)
    if (n <= 0) return
    left -= n
  }
}

/** Whether nothing is queued in a socket, of which more cannot be. */
const isEmpty = (fd: BorrowedFd): boolean => {
  const n = peekAside(fd)
  // A packet may be empty and carry descriptors all the same.
  return n === Io.again || (n === 0 && !received.controlTruncated)
}

/**
 * Close a socket that others write to. `done` is called once it is closed: at once where nothing is queued in it. Its peer
 * is told at once either way.
 */
export const closeSocket = (socket: OwnedFd, done: () => void = () => undefined): void => {
  if (socket.closed) {
    done()
    return
  }
  // From here on nothing more can be queued.
  c.shutdown(socket.borrowed, SHUT_RD)
  if (isEmpty(socket.borrowed)) {
    socket.close()
    done()
    return
  }
  c.shutdown(socket.borrowed, SHUT_RDWR)
  closeElsewhere(socket.release(), done)
}

/** Close a socket that others connect to: those who wait in its backlog may have sent something already. */
export const closeListener = (listener: OwnedFd): void => {
  if (listener.closed) return
  c.shutdown(listener.borrowed, SHUT_RDWR)
  for (let fd = accept(listener.borrowed); fd !== Io.failed; fd = accept(listener.borrowed)) {
    if (fd >= 0) closeSocket(new OwnedFd(fd))
    else if (fd === Io.noDescriptors || fd === Io.busy) {
      closeElsewhere(listener.release(), () => undefined)
      return
    } else break
  }
  listener.close()
}
