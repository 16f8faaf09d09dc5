/**
 * A daemon's control plane with a tape, in a world of maps and on a clock that the test moves, whose timers may come late as
 * real ones do; and replays of what it recorded.
 */
import assert from 'node:assert/strict'
import type { PolicyReading } from '../../src/access/policy-in-force.ts'
import { policyInForce } from '../../src/access/policy-in-force.ts'
import type { Controller } from '../../src/controller/controller.ts'
import { createController } from '../../src/controller/controller.ts'
import { createEventClock } from '../../src/controller/event-clock.ts'
import type { Noticing } from '../../src/controller/notice.ts'
import { E } from '../../src/fp.ts'
import type { ReadError } from '../../src/graph/errors.ts'
import { sourceOf } from '../../src/graph/source.ts'
import { chanceOf } from '../../src/model/chance.ts'
import type { Clock } from '../../src/model/clock.ts'
import { DEFAULT_LIMITS, type Limits } from '../../src/model/limits.ts'
import type { Link } from '../../src/model/link.ts'
import { createCatalogue, type PluginCatalogue } from '../../src/plugin/catalogue.ts'
import type { Plugin } from '../../src/plugin/contract.ts'
import type { Recording } from '../../src/record/format.ts'
import { parseRecording } from '../../src/record/parse.ts'
import { createTape, type Tape } from '../../src/record/tape.ts'
import type { Divergence, ReplayOptions } from '../../src/replay/contract.ts'
import { openReplay } from '../../src/replay/replay.ts'
import { type ManualClock, manualClock } from '../support/clock.ts'
import type { FakeWorld } from '../support/fakes.ts'
import { fakeLog, fakePlugin, fakeWorld, settled } from '../support/fakes.ts'

export const STARTED_AT = Date.parse('2030-01-01T00:00:00.000Z')

/** A transition, as far as a replay has to give it again. */
export interface Move {
  readonly t: number
  readonly link: string
  readonly from: string | null
  readonly to: string
  readonly event: string
  readonly reason: string
}

export interface Live {
  readonly controller: Controller
  readonly tape: Tape
  readonly world: FakeWorld
  readonly base: ManualClock
  readonly moves: readonly Move[]
  /** How far the wall clock is off. */
  wallOffMs: number
  /** Answer of every read from now on. */
  body: E.Either<ReadError, string>
  readPolicy(reading: PolicyReading): Promise<void>
  advance(ms: number): Promise<void>
  /** All that the tape gave to who listened from the start. */
  recorded(): string
}

export interface LiveOptions {
  /** How late the next timer is. */
  readonly lateMs?: () => number
  readonly limits?: Partial<Limits>
  readonly plugins?: Readonly<Record<string, Plugin>>
  readonly seed?: number
  /** Hears what the controller tells, besides the tape. */
  readonly onNotice?: Noticing
}

export const UNREACHABLE: ReadError = { _tag: 'Unreachable', socketPath: '/pv/pv-ctrl', errno: 'ENOENT' }

const INTERVAL_MS = 1000
const STEP_MS = 25

const lateClock = (base: ManualClock, lateMs: () => number): Clock => ({
  now: base.now,
  setTimeout: (fn, timeoutMs) => base.setTimeout(fn, timeoutMs + lateMs()),
  clearTimeout: base.clearTimeout,
})

export const bodyOf = (...links: readonly (Link | object)[]): E.Either<ReadError, string> =>
  E.right(JSON.stringify(links))

export const live = (options: LiveOptions = {}): Live => {
  const base = manualClock()
  const log = fakeLog()
  const world = fakeWorld(log)
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const clock = createEventClock(lateClock(base, options.lateMs ?? (() => 0)), error =>
    assert.fail(String(error)),
  )
  const policy = policyInForce('/etc/policy.json')
  const absent: PolicyReading = E.right(null)
  policy.take(absent)
  const seed = options.seed ?? 7
  const all: Record<string, Plugin> = {
    unix: fakePlugin('unix'),
    // Without a way to follow a change, and of its own opinion.
    rest: {
      name: 'picky',
      type: 'rest',
      admits: link =>
        link.role === 'guest' ? { _tag: 'Denied', rule: 'no guests' } : { _tag: 'Admitted', rule: 'picky' },
      onLinkAdded: (link, box, kept) =>
        box.injectSocket(
          {
            kind: 'stream',
            target: link.target,
            provider: { pid: null, socket: link.socket },
            descriptors: 'none',
          },
          kept,
        ),
      onLinkRemoved: (_, mediation, box) => box.withdraw(mediation),
    },
    ...options.plugins,
  }
  const wallClock = (): number => STARTED_AT + base.now() + l.wallOffMs
  const moves: Move[] = []
  let text = ''
  let bytes: { readonly of: string; readonly buffer: Buffer } | undefined
  const l: Omit<Live, 'controller' | 'tape'> = {
    world,
    base,
    moves,
    wallOffMs: 0,
    body: E.left(UNREACHABLE),
    readPolicy: async reading => {
      policy.take(reading)
      tape.policyRead(reading)
      void controller.kick('sighup')
      await settled()
    },
    advance: async ms => {
      for (let left = ms; left > 0; left -= STEP_MS) {
        base.advance(Math.min(left, STEP_MS))
        await settled()
      }
    },
    recorded: () => text,
  }
  const tape = createTape({
    clock,
    wallClock,
    daemon: { version: '1.2.3', pid: 1 },
    intervalMs: INTERVAL_MS,
    limits,
    control: { plugins: Object.keys(all), seed, policy: absent },
  })
  const fetch = async (): Promise<E.Either<ReadError, Buffer>> => {
    if (E.isLeft(l.body)) return l.body
    // The same object for the same answer, as the real reader gives it.
    if (bytes?.of !== l.body.right) bytes = { of: l.body.right, buffer: Buffer.from(l.body.right, 'latin1') }
    return E.right(bytes.buffer)
  }
  const controller = createController({
    env: { clock, wallClock, random: chanceOf(seed) },
    source: sourceOf(tape.hearingFetch(fetch), limits),
    // The contract: a process that is gone already is not reported.
    host: { ...world.host, follow: () => undefined },
    plugins: tape.hearingPlugins(
      createCatalogue(
        Object.fromEntries(
          Object.entries(all).map(([type, plugin]) => [type, async () => ({ default: plugin })]),
        ),
      ),
    ),
    policy: policy.current,
    limits,
    log,
    intervalMs: INTERVAL_MS,
    onNotice: notice => {
      tape.onNotice(notice)
      options.onNotice?.(notice)
    },
  })
  tape.follow(controller)
  tape.listen(line => {
    text += line
  })
  controller.onTransition(({ link, from, to, event, reason }) =>
    moves.push({ t: clock.now(), link, from, to, event, reason }),
  )
  controller.start()
  return Object.assign(l, { controller, tape })
}

export const recordingIn = (text: string): Recording => {
  const recording = parseRecording(text)
  return E.isRight(recording) ? recording.right : assert.fail(JSON.stringify(recording.left))
}

/** No plugin at all: whatever a recording of ours asks for is in it. */
export const NO_PLUGINS: PluginCatalogue = createCatalogue({})

export interface Replayed {
  readonly moves: readonly Move[]
  readonly divergences: readonly Divergence[]
  /** How the links were at the end. */
  readonly states: Readonly<Record<string, string>>
}

export const replayOf = async (
  recording: Recording,
  options: ReplayOptions = {},
  plugins: PluginCatalogue = NO_PLUGINS,
): Promise<Replayed> => {
  const replay = openReplay(recording, plugins, options)
  const moves: Move[] = []
  for (let step = await replay.next(); step !== undefined; step = await replay.next()) {
    for (const { link, from, to, event, reason } of step.transitions) {
      moves.push({ t: step.t, link, from, to, event, reason })
    }
  }
  return {
    moves,
    divergences: replay.divergences(),
    states: Object.fromEntries(replay.controller.links().map(({ key, state }) => [key, state])),
  }
}

/** Link by link: which of two links moves first is chance. */
export const byLink = (moves: readonly Move[]): Readonly<Record<string, readonly Move[]>> => {
  const links: Record<string, Move[]> = {}
  for (const move of moves) {
    const known = links[move.link] ?? []
    known.push(move)
    links[move.link] = known
  }
  return links
}
