/**
 * A recording, played again: the real controller, with its trigger, its desired state and its machines, on a timeline that
 * goes from line to line. Graphs, effects, losses, plugins' answers, policy and chance are the recorded ones.
 * Promises the same transitions from the same recording, on any machine, without root. Touches nothing.
 */
import { type PolicyInForce, policyInForce } from '../access/policy-in-force.ts'
import { createController } from '../controller/controller.ts'
import type { LinkTransition } from '../controller/links.ts'
import { createTimeline } from '../controller/timeline.ts'
import type { TE } from '../fp.ts'
import { E } from '../fp.ts'
import type { ReadError } from '../graph/errors.ts'
import { sourceOf } from '../graph/source.ts'
import { chanceOf } from '../model/chance.ts'
import { DEFAULT_LIMITS, type Limits } from '../model/limits.ts'
import type { LinkKey } from '../model/link.ts'
import type { MediationId } from '../model/mediation.ts'
import type { PluginCatalogue } from '../plugin/catalogue.ts'
import type { Header, Line, LineOf, Recording } from '../record/format.ts'
import type { Attention, LinkLog, Loss, ToolboxHost } from '../toolbox/contract.ts'
import { createComparison, type Standing } from './comparison.ts'
import type { Cause, Replay, ReplayOptions, Step } from './contract.ts'
import { type PassFacts, passFacts } from './lookahead.ts'
import { recordedEffects } from './recorded-effects.ts'
import { recordedPlugins } from './recorded-plugins.ts'

/** Nothing in a replay waits for anything but promises: an immediate comes after all of them. */
const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

const SILENT: LinkLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** A recording names the limits by which it was made; what it does not name is as it is here. */
const limitsOf = ({ config }: Header): Limits => ({
  ...DEFAULT_LIMITS,
  ...Object.fromEntries(
    Object.entries(config?.limits ?? {}).filter(([name]) => Object.hasOwn(DEFAULT_LIMITS, name)),
  ),
})

const POLICY_NAME = 'the policy file'

const policyOf = ({ daemon, policy }: Header): PolicyInForce => {
  const inForce = policyInForce(POLICY_NAME)
  // A daemon whose policy could not be read says so in a line of its own.
  if (policy !== undefined || daemon === undefined || daemon === null) inForce.take(E.right(policy ?? null))
  return inForce
}

type Body = E.Either<ReadError, Buffer>

/** Reads are answered by the lines, one each, in order. */
const recordedReads = () => {
  const ready: Body[] = []
  let waiting: ((body: Body) => void) | undefined
  const fetch: TE.TaskEither<ReadError, Buffer> = () => {
    const body = ready.shift()
    if (body !== undefined) return Promise.resolve(body)
    return new Promise(resolve => {
      waiting = resolve
    })
  }
  return {
    fetch,
    /** Whether somebody was waiting for it. */
    give: (body: Body): boolean => {
      const resolve = waiting
      waiting = undefined
      if (resolve === undefined) ready.push(body)
      else resolve(body)
      return resolve !== undefined
    },
  }
}

const bodyOf = (line: LineOf<'graph'>): Buffer =>
  'body' in line ? Buffer.from(line.body) : Buffer.from(line.base64, 'base64')

/**
 * `plugins`: of this version; whatever types the recording's graphs have must be loaded. They are asked for a type of which
 * the recording says nothing.
 */
export const openReplay = (
  { header, lines }: Recording,
  plugins: PluginCatalogue,
  options: ReplayOptions = {},
): Replay => {
  const timeline = createTimeline()
  const limits = limitsOf(header)
  const policy = policyOf(header)
  const reads = recordedReads()
  const catalogue = recordedPlugins(header, plugins)
  const effects = recordedEffects(lines, options.faults ?? [])
  const passes = passFacts(lines)
  const comparison = createComparison()
  let epoch = Date.parse(header.startedAt)
  let lastBody: Buffer | undefined
  let tellAttention: (why: Attention) => void = () => undefined
  /** Of the pass that runs, or ran last. */
  let pass: PassFacts | undefined
  let transitions: LinkTransition[] = []
  let next = 0
  let steps = 0
  let started = false

  const host: ToolboxHost = {
    toolboxFor: () => {
      throw new Error('a replay has no toolbox: its effects are recorded')
    },
    sweep: () => undefined,
    follow: () => undefined,
    observe: ids => {
      const losses = new Map<MediationId, Loss>()
      if (pass === undefined || pass.losses.length === 0) return losses
      const lost = new Map(pass.losses.map(({ key, loss }) => [key, loss]))
      for (const id of ids) {
        const loss = lost.get(effects.ownerOf(id) ?? NOBODY)
        if (loss !== undefined) losses.set(id, loss)
      }
      return losses
    },
    onAttention: listener => {
      tellAttention = listener
    },
    beginDrain: () => undefined,
    close: () => undefined,
  }

  const controller = createController({
    env: {
      clock: timeline,
      wallClock: () => epoch + timeline.now(),
      random: chanceOf(header.seed ?? 0),
    },
    source: sourceOf(reads.fetch, limits),
    host,
    plugins: catalogue,
    limits,
    log: SILENT,
    intervalMs: null,
    policy: policy.current,
    effects,
    ...(options.inspect === undefined ? {} : { inspect: options.inspect }),
  })
  controller.onTransition(transition => {
    transitions.push(transition)
    comparison.replayed(transition, timeline.now())
  })

  const read = (index: number, body: Body): void => {
    pass = passes.get(index)
    for (const opinion of pass?.opinions ?? []) catalogue.opine(opinion)
    catalogue.expect(pass !== undefined && pass.awaits !== null)
    if (!reads.give(body)) void controller.kick('interval')
  }

  const standingOf = (key: LinkKey): Standing | undefined => {
    const view = controller.link(key)
    return view === undefined ? undefined : { state: view.state, attempt: view.context.attempt }
  }

  /** What reached the daemon reaches the controller. */
  const apply = (line: Line, index: number, number: number): void => {
    switch (line.kind) {
      case 'graph':
        lastBody = bodyOf(line)
        read(index, E.right(lastBody))
        return
      case 'same-graph':
        // The very same, so that it is not even compared.
        if (lastBody !== undefined) read(index, E.right(lastBody))
        return
      case 'read-failed':
        read(index, E.left(line.error))
        return
      case 'effect':
        effects.reached(index)
        return
      case 'process-exited':
        tellAttention({ _tag: 'ProcessExited', pid: line.pid })
        return
      case 'signal':
        if (line.signal === 'SIGHUP') void controller.kick('sighup')
        else if (line.signal === 'SIGTERM' || line.signal === 'SIGINT') void controller.drain(line.signal)
        return
      case 'reconcile-asked':
        void controller.kick('asked')
        return
      case 'policy':
        policy.take(
          line.problem === undefined
            ? E.right(line.text)
            : E.left({ _tag: 'PolicyUnreadable', path: POLICY_NAME, errno: line.problem }),
        )
        return
      case 'plugins':
        catalogue.tell(line)
        return
      case 'clock':
        epoch = line.wall - line.t
        return
      case 'joined':
        comparison.joined(line, standingOf)
        return
      case 'transition':
        comparison.recorded(line, number)
        return
      case 'target-lost':
      case 'opinion':
      case 'ended':
        // Known since the read of their pass; or nothing to know.
        return
    }
  }

  const start = async (): Promise<void> => {
    started = true
    controller.start()
    await settled()
  }

  const stepOf = (cause: Cause): Step => {
    const step = { index: steps, t: timeline.now(), cause, transitions }
    steps += 1
    transitions = []
    comparison.settled(standingOf)
    return step
  }

  const last = lines.at(-1)?.line
  const endsAt = last?.t ?? 0

  /** Transitions are compared with, and what a pass is told was told with its read: no steps of their own. */
  const isStep = ({ kind }: Line): boolean =>
    kind !== 'transition' && kind !== 'opinion' && kind !== 'target-lost'

  const nextAt = (): number | undefined => {
    const due = timeline.nextDue()
    let line: number | undefined
    for (let index = next; line === undefined && index < lines.length; index += 1) {
      const numbered = lines[index]
      if (numbered !== undefined && isStep(numbered.line)) line = numbered.line.t
    }
    return due !== undefined && due <= (line ?? endsAt) ? due : line
  }

  return {
    header,
    controller,
    now: timeline.now,
    endsAt,
    nextAt,
    next: async () => {
      if (!started) await start()
      for (;;) {
        const numbered = lines[next]
        const due = timeline.nextDue()
        if (due !== undefined && due <= (numbered?.line.t ?? endsAt)) {
          timeline.runNext()
          await settled()
          return stepOf({ _tag: 'Timer' })
        }
        if (numbered === undefined) return undefined
        const { line, number } = numbered
        timeline.goTo(line.t)
        apply(line, next, number)
        next += 1
        if (!isStep(line)) continue
        await settled()
        return stepOf({ _tag: 'Line', line, number })
      }
    },
    unusedFaults: effects.unusedFaults,
    divergences: () => {
      // What was recorded after the last step makes nothing move, and is compared all the same.
      if (nextAt() === undefined) {
        for (; next < lines.length; next += 1) {
          const numbered = lines[next]
          if (numbered !== undefined) apply(numbered.line, next, numbered.number)
        }
      }
      return comparison.divergences(
        next < lines.length ? null : { t: endsAt, orderly: last !== undefined && last.kind === 'ended' },
      )
    },
  }
}

/** No link has this key. */
const NOBODY = '' as LinkKey
