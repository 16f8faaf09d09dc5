/**
 * The control API as the daemon holds it: the history it keeps meanwhile, and a server that may be opened again.
 * A socket that cannot be opened is logged, with what to do about it; the links are not affected.
 */
import type { Controller } from '../controller/controller.ts'
import type { EventHub } from '../events/hub.ts'
import { E } from '../fp.ts'
import type { Condition } from '../model/condition.ts'
import type { Level } from '../model/log-level.ts'
import type { Tape } from '../record/tape.ts'
import type { LinkLog } from '../toolbox/contract.ts'
import { describeControlError } from './errors.ts'
import { createHistory, type History } from './history.ts'
import { createRoutes } from './routes.ts'
import { type ControlServer, openControlServer } from './server.ts'

export interface ControlOptions {
  readonly path: string
  readonly controller: Controller
  /** What concerns all links besides the controller's own conditions. */
  readonly conditions: () => readonly Condition[]
  readonly log: LinkLog & { level(): Level; setLevel(level: Level): void; droppedLines(): number }
  readonly events: EventHub
  readonly tape: Pick<Tape, 'listen'>
  readonly policyPath: string
  readonly version: string
}

export interface Control {
  /** What happened to each link lately. */
  readonly history: History
  /** Begin to answer. Nothing happens if it does already, so that it can be tried again. */
  open(): Promise<void>
  /** Whoever listens to what goes on is told the rest; resolves when they have it, or after a moment. */
  farewell(): Promise<void>
  /** Never answer again; the socket is gone when this returns. */
  close(): void
}

export const createControl = (options: ControlOptions): Control => {
  const { path, controller, log, policyPath, version } = options
  const history = createHistory()
  controller.onTransition(history.note)
  const answer = createRoutes({
    controller,
    conditions: () => [...controller.conditions(), ...options.conditions()],
    history,
    events: options.events,
    tape: options.tape,
    log,
    policyPath,
    version,
    now: Date.now,
  })
  let opening = false
  let closed = false
  let server: ControlServer | undefined

  return {
    history,
    async open() {
      if (opening || closed || server !== undefined) return
      opening = true
      const opened = await openControlServer({ path, answer, log, version })
      opening = false
      if (E.isRight(opened)) {
        server = opened.right
        // The daemon may have ended meanwhile.
        if (closed) server.close()
        return
      }
      log.error(
        { error: opened.left, reason: describeControlError(opened.left) },
        'there is no control API: its socket cannot be opened; SIGHUP tries again',
      )
    },
    farewell: async () => server?.farewell(),
    close() {
      closed = true
      server?.close()
    },
  }
}
