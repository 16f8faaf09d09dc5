/**
 * The tape: listens to the control plane and writes down what a replay needs, for whoever wants it: a file, a client of
 * the control API, a test. Promises that what each of them gets stands by itself, whenever it begins to listen: then
 * the daemon's present state comes first. Costs a few comparisons while nobody listens, and never touches the data plane.
 * Refuses to know where lines go.
 */
import { type PolicyReading, policyInForce } from '../access/policy-in-force.ts'
import type { Controller } from '../controller/controller.ts'
import type { EventClock } from '../controller/event-clock.ts'
import type { LinkTransition, LinkView } from '../controller/links.ts'
import type { Noticing } from '../controller/notice.ts'
import type { TE } from '../fp.ts'
import { E } from '../fp.ts'
import type { ReadError } from '../graph/errors.ts'
import type { Verdict } from '../model/desired.ts'
import { describeError, type InjectError, messageOf } from '../model/errors.ts'
import type { Limits } from '../model/limits.ts'
import { keyOf, type LinkKey } from '../model/link.ts'
import type { PluginCatalogue } from '../plugin/catalogue.ts'
import { FORMAT, type Header, type Line, type LineOf, VERSION } from './format.ts'

/** Takes whole lines, newline included, at once. */
export type Listener = (line: string) => void

export interface Tape {
  /** For the controller. It also lets the clock know that something arrives. */
  readonly onNotice: Noticing
  /** The controller, before it is started: what the links do is heard there. */
  follow(controller: Controller): void
  /** The same fetching, heard. */
  hearingFetch(fetch: TE.TaskEither<ReadError, Buffer>): TE.TaskEither<ReadError, Buffer>
  /** The same plugins, heard. */
  hearingPlugins(catalogue: PluginCatalogue): PluginCatalogue
  /** The policy was read again. */
  policyRead(reading: PolicyReading): void
  /** A beginning at once, then every line from now on. Returns how to stop. */
  listen(listener: Listener): () => void
  /** Nothing follows. */
  end(): void
}

export interface TapeOptions {
  readonly clock: EventClock
  /** Milliseconds since the epoch. */
  readonly wallClock: () => number
  readonly daemon: Header['daemon']
  readonly intervalMs: number | null
  readonly limits: Limits
  /** Of a daemon; absent, where there is none. */
  readonly control?: {
    /** Link types that there are plugins for. */
    readonly plugins: readonly string[]
    readonly seed: number
    readonly policy: PolicyReading
  }
}

/** Those that the control plane goes by. */
const CONTROL_LIMITS = [
  'graphBodyBytes',
  'graphLinks',
  'graphStringBytes',
  'retryMs',
  'retryMaxMs',
  'resyncMs',
  'deepLookMs',
  'looksApartMs',
  'drainMs',
  'pluginAnswerMs',
] as const satisfies readonly (keyof Limits)[]

/** A wall clock that is off by less was not set, it only runs unevenly. */
const CLOCK_SET_MS = 1000

export const createTape = (options: TapeOptions): Tape => {
  const { clock, wallClock } = options
  const listeners = new Set<Listener>()
  let controller: Controller | undefined
  const policies = createPolicies()
  if (options.control !== undefined) policies.read(options.control.policy)
  /** As it was received last, good or not. */
  let body: Buffer | undefined
  /** The one in force. */
  let goodBody: Buffer | undefined
  let catalogue: PluginCatalogue | undefined
  let types: ReadonlySet<string> = new Set()
  let revision = 0
  const opinions = new Map<LinkKey, { readonly words: string; readonly verdict: Verdict }>()
  /** When `t` was 0, by the wall clock as it goes now. */
  let epoch = wallClock() - clock.now()

  const tell = (line: Line): void => {
    const text = textOf(line)
    for (const listener of listeners) listener(text)
  }

  /** For the moment at hand. Nothing is made of it where nobody listens. */
  const write = (lineAt: (t: number) => Line): void => {
    if (listeners.size === 0) return
    const t = clock.now()
    const wall = wallClock()
    if (Math.abs(wall - t - epoch) >= CLOCK_SET_MS) {
      epoch = wall - t
      tell({ t, kind: 'clock', wall })
    }
    tell(lineAt(t))
  }

  const onNotice: Noticing = notice => {
    switch (notice._tag) {
      case 'EffectEnded':
        clock.arrive()
        write(t => ({ t, kind: 'effect', ...notice.effect }))
        return
      case 'ProcessExited':
        clock.arrive()
        write(t => ({ t, kind: 'process-exited', pid: notice.pid }))
        return
      case 'LookAsked':
        clock.arrive()
        return
      case 'PassAsked':
        clock.arrive()
        if (notice.reason === 'sighup') write(t => ({ t, kind: 'signal', signal: 'SIGHUP' }))
        else if (notice.reason === 'asked') write(t => ({ t, kind: 'reconcile-asked' }))
        return
      case 'DrainAsked':
        clock.arrive()
        write(t => ({ t, kind: 'signal', signal: notice.signal }))
        return
      case 'Lost':
        for (const { key, loss } of notice.losses) write(t => ({ t, kind: 'target-lost', link: key, loss }))
        return
      case 'GraphTaken':
        goodBody = body
        return
      case 'Decided':
      case 'Availability':
        // They follow from what is written down.
        return
    }
  }

  const onTransition = ({ link, from, to, event, reason, pass }: LinkTransition): void => {
    // A link that is gone may come back with another plugin, which has an opinion of its own.
    if (to === 'released') opinions.delete(link)
    write(t => ({ t, kind: 'transition', link, from, to, event, reason, pass }))
  }

  const pluginsLine = (known: PluginCatalogue, awaited: boolean, t: number): LineOf<'plugins'> => ({
    t,
    kind: 'plugins',
    awaited,
    types: [...types].map(type => ({
      type,
      supported: known.supports(type),
      canChange: known.canChange(type),
      problem: known.failure(type) ?? null,
    })),
  })

  const pluginsMayHaveChanged = (known: PluginCatalogue, awaited: boolean): void => {
    if (known.revision() === revision) return
    revision = known.revision()
    clock.arrive()
    write(t => pluginsLine(known, awaited, t))
  }

  const header = (): Header => ({
    format: FORMAT,
    version: VERSION,
    startedAt: new Date(epoch).toISOString(),
    daemon: options.daemon ?? null,
    config: {
      intervalMs: options.intervalMs,
      limits: Object.fromEntries(CONTROL_LIMITS.map(name => [name, options.limits[name]])),
    },
    ...policies.header(),
    ...(options.control === undefined
      ? {}
      : { plugins: options.control.plugins, seed: options.control.seed }),
  })

  /**
   * What brings a replay to where the daemon is: the graph, read at the last resync, so that the next one comes at its
   * time, and how the links' last effects ended. Nothing, while there was no graph.
   */
  const presentState = (subject: Controller, known: PluginCatalogue): readonly Line[] => {
    const t = subject.resyncedAt()
    if (t === null || goodBody === undefined) return []
    const links = subject.links()
    return [
      graphLine(goodBody, t),
      pluginsLine(known, true, t),
      ...[...opinions].map(
        ([link, { verdict }]): Line => ({
          t,
          kind: 'opinion',
          link,
          verdict,
        }),
      ),
      ...links.flatMap(view => lastEffect(view, t)),
      ...(body === undefined || body.equals(goodBody) ? [] : [graphLine(body, t)]),
      {
        t,
        kind: 'joined',
        links: Object.fromEntries(links.map(({ key, state }) => [key, state])),
        attempts: Object.fromEntries(
          links.flatMap(({ key, context: { attempt } }) => (attempt > 0 ? [[key, attempt]] : [])),
        ),
      },
    ]
  }

  return {
    onNotice,
    follow: subject => {
      controller = subject
      subject.onTransition(onTransition)
    },
    hearingFetch: fetch => async () => {
      const received = await fetch()
      clock.arrive()
      if (E.isLeft(received)) {
        write(t => ({ t, kind: 'read-failed', error: received.left }))
        return received
      }
      const same = body === received.right || body?.equals(received.right) === true
      body = received.right
      write(t => (same ? { t, kind: 'same-graph' } : graphLine(received.right, t)))
      return received
    },
    hearingPlugins: known => {
      catalogue = known
      return {
        ...known,
        load: async (wanted, again) => {
          types = new Set(wanted)
          await known.load(types, again)
          pluginsMayHaveChanged(known, true)
        },
        onChange: listener =>
          known.onChange(() => {
            pluginsMayHaveChanged(known, false)
            listener()
          }),
        admits: link => {
          const verdict = known.admits(link)
          const key = keyOf(link)
          const words = verdict === undefined || verdict._tag === 'Admitted' ? '' : JSON.stringify(verdict)
          if (words !== (opinions.get(key)?.words ?? '')) {
            if (verdict === undefined || words === '') opinions.delete(key)
            else opinions.set(key, { words, verdict })
            write(t => ({ t, kind: 'opinion', link: key, verdict: words === '' ? null : (verdict ?? null) }))
          }
          return verdict
        },
      }
    },
    policyRead: reading => {
      policies.read(reading)
      clock.arrive()
      write(t => policyLine(reading, t))
    },
    listen: listener => {
      const beginning = [
        header(),
        ...policies.lines(),
        ...(controller === undefined || catalogue === undefined ? [] : presentState(controller, catalogue)),
      ]
      for (const each of beginning) listener(textOf(each))
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    end: () => {
      clock.arrive()
      write(t => ({ t, kind: 'ended' }))
    },
  }
}

/** What was read of the policy file: the last that could be taken, and what was read since. */
const createPolicies = () => {
  const inForce = policyInForce('')
  let taken: string | null | undefined
  let refused: PolicyReading | undefined
  return {
    read: (reading: PolicyReading): void => {
      refused = inForce.take(reading) === undefined ? undefined : reading
      if (refused === undefined && E.isRight(reading)) taken = reading.right
    },
    header: (): Pick<Header, 'policy'> => (taken === undefined ? {} : { policy: taken }),
    /** For the beginning of a recording. */
    lines: (): readonly Line[] => (refused === undefined ? [] : [policyLine(refused, 0)]),
  }
}

/** An error of a third party's plugin may be an object that has no JSON; then its words have to do. */
const textOf = (line: Line | Header): string => {
  try {
    return `${JSON.stringify(line)}\n`
  } catch (error) {
    if (!('kind' in line) || line.kind !== 'effect' || !('_tag' in line.result)) throw error
    const { result } = line
    const message = result._tag === 'Left' ? describeError(result.left) : messageOf(error)
    const left: InjectError = { _tag: 'PluginFailed', plugin: '(unknown)', message }
    return `${JSON.stringify({ ...line, result: { _tag: 'Left', left } })}\n`
  }
}

const graphLine = (received: Buffer, t: number): LineOf<'graph'> => {
  try {
    // A mark at the beginning is a part of what was received.
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(received)
    return { t, kind: 'graph', body: text }
  } catch {
    return { t, kind: 'graph', base64: received.toString('base64') }
  }
}

const policyLine = (reading: PolicyReading, t: number): LineOf<'policy'> =>
  E.isRight(reading)
    ? { t, kind: 'policy', text: reading.right }
    : { t, kind: 'policy', text: null, problem: reading.left._tag }

const lastEffect = ({ key, state, context }: LinkView, t: number): readonly Line[] => {
  const { mediation, lastError } = context
  const call = 'onLinkAdded'
  if (mediation !== null)
    return [{ t, kind: 'effect', link: key, call, result: { _tag: 'Right', right: mediation } }]
  return lastError !== null && state.startsWith('pending')
    ? [{ t, kind: 'effect', link: key, call, result: { _tag: 'Left', left: lastError } }]
    : []
}
