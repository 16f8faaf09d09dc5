/** One epoll instance, attached to Node's loop: many descriptors, one callback, no object per event (epoll(7)). */
import koffi from 'koffi'
import { E } from '../fp.ts'
import type { SyscallError } from '../model/errors.ts'
import {
  EPOLL_CLOEXEC,
  EPOLL_CTL_ADD,
  EPOLL_CTL_DEL,
  EPOLL_CTL_MOD,
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDHUP,
} from './constants.ts'
import { c } from './declarations.ts'
import { lastError } from './errno.ts'
import { type BorrowedFd, OwnedFd } from './fd.ts'
import { NativeBlock } from './memory.ts'
import { EPOLL_EVENT } from './structs.ts'

export const Readiness = {
  in: EPOLLIN,
  out: EPOLLOUT,
  priority: EPOLLPRI,
  error: EPOLLERR,
  /** The peer is gone altogether; what it wrote can still be read. */
  hangUp: EPOLLHUP,
  /** The peer will not write any more. */
  readHangUp: EPOLLRDHUP,
} as const

const BATCH = 256

type PollHandle = ReturnType<typeof koffi.node.poll>

/** Level-triggered. A token of 32 bits and its generation come back with every event. */
export class Epoll {
  readonly #fd: OwnedFd
  readonly #events = new NativeBlock(EPOLL_EVENT.size * BATCH)
  readonly #one = new NativeBlock(EPOLL_EVENT.size)
  // koffi closes a poll handle when its object is collected, so it is kept in a field.
  #handle: PollHandle | undefined

  private constructor(fd: OwnedFd) {
    this.#fd = fd
  }

  static open(): E.Either<SyscallError, Epoll> {
    const fd = c.epollCreate(EPOLL_CLOEXEC)
    return fd < 0 ? E.left(lastError('epoll_create1', 'reactor')) : E.right(new Epoll(new OwnedFd(fd)))
  }

  /** Call `onReady` from Node's loop while any descriptor is ready. An exception in it would vanish: it must not throw. */
  attach(onReady: () => void): void {
    this.#handle = koffi.node.poll(this.#fd.borrowed, { readable: true }, onReady)
  }

  #control(
    operation: number,
    fd: BorrowedFd,
    events: number,
    token: number,
    generation: number,
    subject: string,
  ) {
    const { data } = this.#one
    data.setUint32(EPOLL_EVENT.events, events, true)
    data.setUint32(EPOLL_EVENT.data, token, true)
    data.setUint32(EPOLL_EVENT.data + 4, generation, true)
    return c.epollControl(this.#fd.borrowed, operation, fd, this.#one.address) < 0
      ? E.left(lastError('epoll_ctl', subject))
      : E.right(undefined)
  }

  add(fd: BorrowedFd, events: number, token: number, generation: number): E.Either<SyscallError, undefined> {
    return this.#control(EPOLL_CTL_ADD, fd, events, token, generation, 'add')
  }

  modify(
    fd: BorrowedFd,
    events: number,
    token: number,
    generation: number,
  ): E.Either<SyscallError, undefined> {
    return this.#control(EPOLL_CTL_MOD, fd, events, token, generation, 'modify')
  }

  remove(fd: BorrowedFd): E.Either<SyscallError, undefined> {
    return this.#control(EPOLL_CTL_DEL, fd, 0, 0, 0, 'remove')
  }

  /** Fetch what is ready without waiting; the number of events, to be read with the accessors below. */
  collect(): number {
    const n = c.epollWait(this.#fd.borrowed, this.#events.address, BATCH, 0)
    // EINTR and nothing-ready look alike to a level-triggered caller: the next turn tells.
    return Math.max(n, 0)
  }

  readiness(index: number): number {
    return this.#events.data.getUint32(index * EPOLL_EVENT.size + EPOLL_EVENT.events, true)
  }

  token(index: number): number {
    return this.#events.data.getUint32(index * EPOLL_EVENT.size + EPOLL_EVENT.data, true)
  }

  generation(index: number): number {
    return this.#events.data.getUint32(index * EPOLL_EVENT.size + EPOLL_EVENT.data + 4, true)
  }

  close(): void {
    this.#handle?.close()
    this.#handle = undefined
    this.#fd.close()
    this.#events.free()
    this.#one.free()
  }
}
