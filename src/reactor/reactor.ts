/**
 * The reactor over one epoll instance. Single-threaded, as fair as its handlers: one `collect` a turn, each ready
 * descriptor called once. What a handler throws is caught here, because above is native code that would swallow it.
 */
import { E } from '../fp.ts'
import { Epoll } from '../kernel/epoll.ts'
import type { BorrowedFd } from '../kernel/fd.ts'
import type { Clock } from '../model/clock.ts'
import type { SyscallError } from '../model/errors.ts'
import type { Reactor, ReadyHandler, TurnEnd, Watch } from './contract.ts'
import { createTimerWheel, nodeClock } from './timer-wheel.ts'

/** Where an exception of a handler or a timer goes: a bug, to be logged once with its stack. */
export type FaultSink = (error: unknown) => void

class Watched implements Watch {
  generation = 0
  #epoll: Epoll
  #slots: Slots
  #token: number
  #fd: BorrowedFd
  #readiness: number
  #inSet = false
  readonly handler: ReadyHandler

  constructor(
    epoll: Epoll,
    slots: Slots,
    token: number,
    fd: BorrowedFd,
    readiness: number,
    handler: ReadyHandler,
  ) {
    this.#epoll = epoll
    this.#slots = slots
    this.#token = token
    this.#fd = fd
    this.#readiness = -1
    this.handler = handler
    this.generation = slots.nextGeneration()
    this.wait(readiness)
  }

  wait(readiness: number): void {
    if (this.#inSet && readiness === this.#readiness) return
    const done = this.#inSet
      ? this.#epoll.modify(this.#fd, readiness, this.#token, this.generation)
      : this.#epoll.add(this.#fd, readiness, this.#token, this.generation)
    if (E.isLeft(done)) throw new Error(`${done.left.call} ${done.left.subject}: ${done.left.errno}`)
    this.#inSet = true
    this.#readiness = readiness
  }

  rest(): void {
    if (!this.#inSet) return
    this.#epoll.remove(this.#fd)
    this.#inSet = false
  }

  close(): void {
    this.rest()
    this.#slots.release(this.#token)
  }
}

/** Watches by token. A token is reused; its generation tells a late event for the former owner apart. */
class Slots {
  readonly #watches: (Watched | undefined)[] = []
  readonly #free: number[] = []
  #generation = 0

  nextGeneration(): number {
    this.#generation = (this.#generation + 1) >>> 0
    return this.#generation
  }

  reserve(): number {
    return this.#free.pop() ?? this.#watches.push(undefined) - 1
  }

  put(token: number, watch: Watched): void {
    this.#watches[token] = watch
  }

  at(token: number, generation: number): Watched | undefined {
    const watch = this.#watches[token]
    return watch?.generation === generation ? watch : undefined
  }

  release(token: number): void {
    if (this.#watches[token] === undefined) return
    this.#watches[token] = undefined
    this.#free.push(token)
  }
}

export const createReactor = (fault: FaultSink, base: Clock = nodeClock): E.Either<SyscallError, Reactor> => {
  const opened = Epoll.open()
  if (E.isLeft(opened)) return opened
  const epoll = opened.right
  const slots = new Slots()

  let closed = false

  /** `undefined` outside of a turn. */
  let turnBegan: number | undefined
  const ends: TurnEnd[] = []

  const failed = (task: { failed(): void } | undefined, error: unknown): void => {
    fault(error)
    try {
      task?.failed()
    } catch (second) {
      fault(second)
    }
  }

  const dispatch = (watch: Watched, readiness: number): void => {
    try {
      watch.handler.ready(readiness)
    } catch (error) {
      failed(watch.handler, error)
    }
  }

  const endTurn = (): void => {
    // One may ask for another, which then has its turn at the end of this list.
    for (let i = 0; i < ends.length; i += 1) {
      const task = ends[i]
      try {
        task?.turnEnds()
      } catch (error) {
        failed(task, error)
      }
    }
    ends.length = 0
    turnBegan = undefined
  }

  epoll.attach(() => {
    turnBegan = base.now()
    const n = epoll.collect()
    for (let i = 0; i < n && !closed; i += 1) {
      const watch = slots.at(epoll.token(i), epoll.generation(i))
      if (watch !== undefined) dispatch(watch, epoll.readiness(i))
    }
    endTurn()
  })

  const clock = createTimerWheel({ ...base, now: () => turnBegan ?? base.now() }, fault)

  return E.right({
    clock,
    get isTurning() {
      return turnBegan !== undefined
    },
    atTurnEnd: task => {
      ends.push(task)
    },
    watch: (fd, readiness, handler) => {
      const token = slots.reserve()
      const watch = new Watched(epoll, slots, token, fd, readiness, handler)
      slots.put(token, watch)
      return watch
    },
    close: () => {
      closed = true
      clock.close()
      epoll.close()
    },
  })
}
