/**
 * Everything the control API tells of the links, followed: what happens by `/events`, how things are by `/links`.
 * Promises that what is told is complete in the end: an event only says that it is time to look, and a look tells all that
 * differs. Comes back when the daemon does. Asks in proportion to what asking costs the daemon.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { GraphJson, type LinkJson, LinksJson } from '../control/shapes.ts'
import type { DaemonEvent } from '../events/event.ts'
import { E } from '../fp.ts'
import { type AskError, askControl, describeAskError, streamControl } from './control-client.ts'
import { eventReader } from './event-text.ts'

export interface Followed {
  readonly links: readonly LinkJson[]
  readonly daemonState: string
  readonly conditions: GraphJson['conditions']
}

export interface Follower {
  /** At the beginning, and each time the daemon comes back. */
  onWhole(whole: Followed, past: readonly DaemonEvent[]): void
  /** All links, as they are now, and what happened since the last time. */
  onLook(now: Followed, events: readonly DaemonEvent[]): void
  onDown(reason: string): void
}

const ANSWER_WITHIN_MS = 5000
/** After an event, so that those which come together are looked at together. */
const GATHERED_MS = 100
/** Without any event: counters tell none. */
const LOOK_EVERY_MS = 1000
/** Looking takes at most about this share of the daemon's time. */
const SHARE = 0.05
const COME_BACK_MS = 1000

/** Returns how to stop. */
export const followDaemon = (path: string, follower: Follower): (() => void) => {
  const stopped = new AbortController()
  const stop = new Promise<void>(resolve => stopped.signal.addEventListener('abort', () => resolve()))
  void follow(path, follower, stop, stopped.signal)
  return () => stopped.abort()
}

const follow = async (
  path: string,
  follower: Follower,
  stop: Promise<void>,
  stopped: AbortSignal,
): Promise<void> => {
  while (!stopped.aborted) {
    const session = new Session(path, follower, stopped)
    const read = eventReader()
    const take = (text: string): void => {
      for (const event of read(text)) {
        if (event.type === 'hello') session.begin()
        else if (event.type !== 'missed') session.heard(event)
      }
    }
    const ended = await streamControl(path, '/events?since=0', take, stop)
    session.end()
    if (stopped.aborted) return
    follower.onDown(E.isLeft(ended) ? wordsOf(ended.left) : `the daemon on ${path} has ended`)
    await sleep(COME_BACK_MS, undefined, { signal: stopped }).catch(() => undefined)
  }
}

const wordsOf = (error: AskError): string => describeAskError(error).join('. ')

/** One connection to the daemon, from its hello to its end. */
class Session {
  readonly #path: string
  readonly #follower: Follower
  readonly #stopped: AbortSignal
  #events: DaemonEvent[] = []
  #told = false
  #over = false
  #wake: (() => void) | undefined

  constructor(path: string, follower: Follower, stopped: AbortSignal) {
    this.#path = path
    this.#follower = follower
    this.#stopped = stopped
  }

  begin(): void {
    void this.#look()
  }

  heard(event: DaemonEvent): void {
    this.#events.push(event)
    this.#wake?.()
  }

  end(): void {
    this.#over = true
    this.#wake?.()
  }

  get #isOver(): boolean {
    return this.#over || this.#stopped.aborted
  }

  async #look(): Promise<void> {
    while (!this.#isOver) {
      await sleep(GATHERED_MS)
      const began = performance.now()
      const asked = { path: this.#path, timeoutMs: ANSWER_WITHIN_MS }
      const [links, graph] = [
        await askControl(asked, '/links', LinksJson),
        await askControl(asked, '/graph', GraphJson),
      ]
      if (this.#isOver) return
      if (E.isLeft(links)) this.#follower.onDown(wordsOf(links.left))
      else if (E.isLeft(graph)) this.#follower.onDown(wordsOf(graph.left))
      else {
        const { daemonState, conditions } = graph.right
        this.#tell({ links: links.right.links, daemonState, conditions })
      }
      await this.#pause((performance.now() - began) / SHARE)
    }
  }

  #tell(now: Followed): void {
    const events = this.#events
    this.#events = []
    if (this.#told) this.#follower.onLook(now, events)
    else this.#follower.onWhole(now, events)
    this.#told = true
  }

  /** At least so long; then until something happens, or it is time to look at the counters. */
  async #pause(leastMs: number): Promise<void> {
    await sleep(Math.min(leastMs, ANSWER_WITHIN_MS))
    if (this.#events.length > 0 || this.#isOver) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, Math.max(0, LOOK_EVERY_MS - leastMs))
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = undefined
  }
}
