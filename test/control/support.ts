/** Links as the controller shows them, a controller over a world of maps, and the routes over both. */

import { createHistory } from '../../src/control/history.ts'
import { type Answer, type Answerer, type ControlRequest, createRoutes } from '../../src/control/routes.ts'
import type { Controller } from '../../src/controller/controller.ts'
import { createController } from '../../src/controller/controller.ts'
import type { LinkView } from '../../src/controller/links.ts'
import type { EventHub } from '../../src/events/hub.ts'
import { createEventHub } from '../../src/events/hub.ts'
import type { Condition } from '../../src/model/condition.ts'
import type { Verdict } from '../../src/model/desired.ts'
import type { InjectError } from '../../src/model/errors.ts'
import type { Graph } from '../../src/model/graph.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import type { Level } from '../../src/model/log-level.ts'
import { type Counters, NOTHING_COUNTED } from '../../src/model/mediation.ts'
import { createCatalogue } from '../../src/plugin/catalogue.ts'
import type { Listener } from '../../src/record/tape.ts'
import { aLink, type LinkBuilder } from '../support/builders.ts'
import {
  type FakeEnvironment,
  type FakeSource,
  type FakeWorld,
  fakeEnvironment,
  fakeLog,
  fakePlugin,
  fakeSource,
  fakeWorld,
  idOf,
  settled,
} from '../support/fakes.ts'

export const NOW = Date.parse('2030-01-01T00:01:00.000Z')
export const SINCE = Date.parse('2030-01-01T00:00:00.000Z')

export interface ViewOptions {
  readonly link?: LinkBuilder
  readonly state?: string
  readonly verdict?: Verdict
  readonly error?: InjectError
  readonly attempt?: number
  readonly retryDelayMs?: number
  readonly counters?: Partial<Counters>
  readonly since?: number
  /** It is a device node of this number. */
  readonly device?: string
}

/** A link in any state; mediating, if nobody says otherwise. */
export const aView = (options: ViewOptions = {}): LinkView => {
  const state = options.state ?? 'mediating.steady'
  const desired = (options.link ?? aLink()).desired(options.verdict)
  const planted = {
    target: desired.link.target,
    kind: options.device === undefined ? 'stream' : 'node',
    ...(options.device === undefined ? {} : { represents: options.device }),
    device: '0:1',
    inode: '7',
    directoriesMade: ['/run/pv'],
  }
  const condition: Condition = {
    type: 'Ready',
    status: 'True',
    reason: 'Mediating',
    message: '',
    lastTransitionTime: SINCE,
  }
  return {
    key: desired.key,
    desired,
    state,
    context: {
      key: desired.key,
      wanted: desired,
      next: null,
      attempt: options.attempt ?? 0,
      retryDelayMs: options.retryDelayMs ?? 0,
      lastError: options.error ?? null,
      since: options.since ?? SINCE,
      mediation: state.startsWith('mediating') ? { id: idOf('m1'), planted } : null,
      conditions: [condition],
    },
    counters: options.counters === undefined ? null : { ...NOTHING_COUNTED, ...options.counters },
  }
}

export interface Bench {
  readonly controller: Controller
  readonly env: FakeEnvironment
  readonly source: FakeSource
  readonly world: FakeWorld
  /** Of a route that answers whole. */
  readonly answer: (request: ControlRequest) => Promise<Answer>
  /** As the server has them: some answers go on. */
  readonly routes: Answerer
  readonly events: EventHub
  /** Who listens for a recording. */
  readonly listeners: Set<Listener>
  /** What each of them hears at once. */
  recordingBegins: readonly string[]
  readonly level: () => Level
  /** What concerns all links besides what the controller says. */
  conditions: readonly Condition[]
  /** The graph from now on, and a pass over it. */
  shows(graph: Graph): Promise<void>
}

/** The control API over a daemon without containers. */
export const bench = (): Bench => {
  const env = fakeEnvironment()
  const source = fakeSource()
  const log = fakeLog()
  const world = fakeWorld(log)
  let level: Level = 'info'
  const controller = createController({
    env,
    source,
    host: world.host,
    plugins: createCatalogue({ unix: async () => ({ default: fakePlugin('unix') }) }),
    limits: DEFAULT_LIMITS,
    log,
    intervalMs: null,
  })
  const history = createHistory()
  controller.onTransition(history.note)
  const events = createEventHub(env.wallClock)
  controller.onTransition(events.onTransition)
  const listeners = new Set<Listener>()
  const b: Bench = {
    controller,
    events,
    listeners,
    recordingBegins: [],
    env,
    source,
    world,
    conditions: [],
    level: () => level,
    answer: async request => {
      const given = await b.routes(request)
      if ('begin' in given) throw new Error(`the answer to ${request.url} goes on`)
      return given
    },
    routes: createRoutes({
      controller,
      conditions: () => [...controller.conditions(), ...b.conditions],
      history,
      events,
      tape: {
        listen: listener => {
          for (const line of b.recordingBegins) listener(line)
          listeners.add(listener)
          return () => listeners.delete(listener)
        },
      },
      log: {
        level: () => level,
        setLevel: next => {
          level = next
        },
        droppedLines: () => 3,
      },
      policyPath: '/etc/policy.json',
      version: '1.2.3',
      now: env.wallClock,
    }),
    shows: async graph => {
      source.says(graph)
      await controller.kick('asked')
      await settled()
    },
  }
  return b
}

/** The same, started and serving these links. */
export const serving = async (...links: readonly LinkBuilder[]): Promise<Bench> => {
  const b = bench()
  b.controller.start()
  await b.shows({ links: links.map(link => link.build()), rejected: [] })
  return b
}
