/**
 * A recording: what reached the control plane from outside, in order, and what the links made of it.
 * JSON Lines, a header first, then a line for each thing that happened. Everything that decides how links move is in it:
 * to hand it to the same code again gives the same transitions. No byte of any connection is. Pure, and the one place
 * that knows the form; docs/debugging.md tells it to people.
 */
import * as t from 'io-ts'
import type { ReadError } from '../graph/errors.ts'
import { describeReadError } from '../graph/errors.ts'
import type { Verdict } from '../model/desired.ts'
import { describeError, type InjectError } from '../model/errors.ts'
import { isPid, type Pid } from '../model/identity.ts'
import { type LinkKey, linkKeyOf } from '../model/link.ts'
import type { MediationId } from '../model/mediation.ts'

export const FORMAT = 'pv-xconnect-recording'
export const VERSION = 1

/** A value that is checked by a predicate, with the words for what was expected. */
const checked = <A>(name: string, is: (value: unknown) => value is A): t.Type<A, A, unknown> =>
  new t.Type(
    name,
    is,
    (value, context) => (is(value) ? t.success(value) : t.failure(value, context, name)),
    t.identity,
  )

const isTagged = (value: unknown): value is { readonly _tag: string } =>
  typeof value === 'object' && value !== null && '_tag' in value && typeof value._tag === 'string'

/** An error of ours, whoever wrote it: one that has words. A tag that this version does not know has none. */
const hasWords = <A extends { readonly _tag: string }>(
  value: unknown,
  describe: (error: A) => string,
): value is A => {
  try {
    // What is looked at is whether there are words for it; no word is used.
    return isTagged(value) && typeof describe(value as A) === 'string'
  } catch {
    return false
  }
}

const InjectErrorCodec = checked('an error of docs/errors.md', (value): value is InjectError =>
  hasWords(value, describeError),
)
const ReadErrorCodec = checked('an error of docs/errors.md', (value): value is ReadError =>
  hasWords(value, describeReadError),
)
const PidCodec = checked('a pid', (value): value is Pid => typeof value === 'number' && isPid(value))
/** Beyond it times lose their fractions, timers stand still, and a moment has no name in ISO 8601. */
const MOST_MS = 100 * 366 * 24 * 3_600_000
const YEAR_10000 = Date.UTC(10_000, 0)

const isFrom0To = (most: number, value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= most

const Milliseconds = checked('milliseconds from 0 up', (value): value is number => isFrom0To(MOST_MS, value))
const WallClock = checked('milliseconds since the epoch', (value): value is number =>
  isFrom0To(YEAR_10000 - 1, value),
)
/** No limit may be 0 but those that are given as such, and none of these is. */
const LimitCodec = checked(
  'a whole number from 1',
  (value): value is number =>
    isFrom0To(Number.MAX_SAFE_INTEGER, value) && Number.isInteger(value) && value > 0,
)
const KeyCodec = new t.Type<LinkKey, string, unknown>(
  'LinkKey',
  (value): value is LinkKey => typeof value === 'string',
  (value, context) =>
    typeof value === 'string' ? t.success(linkKeyOf(value)) : t.failure(value, context, "a link's key"),
  t.identity,
)
const IdCodec = checked('MediationId', (value): value is MediationId => typeof value === 'string')

const orNull = <A, O>(codec: t.Type<A, O, unknown>): t.Type<A | null, O | null, unknown> =>
  t.union([codec, t.null])

/** What the daemon was told that the control plane depends on; what is absent is as by default. */
const ConfigCodec = t.readonly(
  t.partial({
    /** `null`: the recording was made without a daemon. */
    intervalMs: orNull(t.number),
    limits: t.readonly(t.record(t.string, LimitCodec)),
  }),
)

export const HeaderCodec = t.readonly(
  t.intersection([
    t.type({
      format: t.literal(FORMAT),
      version: t.literal(VERSION),
      /** ISO 8601, UTC, by the wall clock: where `t` is 0. */
      startedAt: t.string,
    }),
    t.partial({
      /** Who made it; `null`: a recording of pv-ctrl alone. */
      daemon: orNull(t.readonly(t.type({ version: t.string, pid: t.number }))),
      config: ConfigCodec,
      /** The policy file's text at the beginning; `null`: there was none. */
      policy: orNull(t.string),
      /** Link types that the daemon had a plugin for. */
      plugins: t.readonlyArray(t.string),
      /** Of all chance. */
      seed: t.number,
    }),
  ]),
)
export type Header = t.TypeOf<typeof HeaderCodec>

const VerdictCodec: t.Type<Verdict, unknown, unknown> = t.union([
  t.type({ _tag: t.literal('Admitted'), rule: t.string }),
  t.type({ _tag: t.literal('Denied'), rule: t.string }),
  t.type({ _tag: t.literal('Conflict'), winner: KeyCodec }),
  t.type({ _tag: t.literal('Unsupported'), reason: t.string }),
])

const PlantedCodec = t.readonly(
  t.type({
    target: t.string,
    kind: t.string,
    device: t.string,
    inode: t.string,
    directoriesMade: t.readonlyArray(t.string),
  }),
)

const MediatedCodec = t.union([
  t.readonly(
    t.type({
      _tag: t.literal('Right'),
      right: t.readonly(t.type({ id: IdCodec, planted: PlantedCodec })),
    }),
  ),
  t.readonly(t.type({ _tag: t.literal('Left'), left: InjectErrorCodec })),
])

const ReportCodec = t.readonly(t.type({ connectionsClosed: t.number, leftBehind: t.readonlyArray(t.string) }))

const line = <K extends string, P extends t.Props>(kind: K, props: P) =>
  t.readonly(t.type({ t: Milliseconds, kind: t.literal(kind), ...props }))

export const LINE_CODECS = {
  /** A read of the graph: the body as it was received; as `base64` where it is no UTF-8. */
  graph: t.readonly(
    t.intersection([
      t.type({ t: Milliseconds, kind: t.literal('graph') }),
      t.union([t.type({ body: t.string }), t.type({ base64: t.string })]),
    ]),
  ),
  /** A read that gave the same body as the one before. */
  'same-graph': line('same-graph', {}),
  'read-failed': line('read-failed', { error: ReadErrorCodec }),
  /** How a plugin's call for a link ended; for `onLinkRemoved` a report, else an Either. */
  effect: t.union([
    line('effect', {
      link: KeyCodec,
      call: t.union([t.literal('onLinkAdded'), t.literal('onLinkChanged')]),
      result: MediatedCodec,
    }),
    line('effect', { link: KeyCodec, call: t.literal('onLinkRemoved'), result: ReportCodec }),
  ]),
  'process-exited': line('process-exited', { pid: PidCodec }),
  /** A pass found that what stood for a link is no longer what it should be. */
  'target-lost': line('target-lost', {
    link: KeyCodec,
    loss: t.union([t.literal('target-lost'), t.literal('consumer-exited')]),
  }),
  signal: line('signal', { signal: t.string }),
  'reconcile-asked': line('reconcile-asked', {}),
  /** The policy file was read again: its text, `null` if there is none; `problem` if it could not be read. */
  policy: t.readonly(
    t.intersection([
      t.type({ t: Milliseconds, kind: t.literal('policy'), text: orNull(t.string) }),
      t.partial({ problem: t.string }),
    ]),
  ),
  /** What the catalogue of plugins says of the types of the graph, all of them. */
  plugins: line('plugins', {
    /** A pass waited for it. */
    awaited: t.boolean,
    types: t.readonlyArray(
      t.readonly(
        t.type({
          type: t.string,
          supported: t.boolean,
          canChange: t.boolean,
          /** Why there is no plugin for it, in words. */
          problem: orNull(t.string),
        }),
      ),
    ),
  }),
  /** A plugin's own opinion of a link, where it is another than before; `null`: it has none any more. */
  opinion: line('opinion', { link: KeyCodec, verdict: orNull(VerdictCodec) }),
  /** The wall clock was set: milliseconds since the epoch at this moment. */
  clock: line('clock', { wall: WallClock }),
  /**
   * The recording began in the middle of things: the lines before this one bring a replay to where the daemon was, and
   * these are the states of its links. What is before is not compared.
   */
  joined: t.readonly(
    t.intersection([
      t.type({
        t: Milliseconds,
        kind: t.literal('joined'),
        links: t.readonly(t.record(t.string, t.string)),
      }),
      /** Of links that failed and have not been up for a minute since: how often. */
      t.partial({ attempts: t.readonly(t.record(t.string, t.number)) }),
    ]),
  ),
  /** Whoever recorded came to an end in good order: nothing is missing. */
  ended: line('ended', {}),
  /** A link moved. Nothing follows from it: it is what a replay is compared with. */
  transition: t.readonly(
    t.intersection([
      t.type({
        t: Milliseconds,
        kind: t.literal('transition'),
        link: KeyCodec,
        from: orNull(t.string),
        to: t.string,
        event: t.string,
      }),
      t.partial({ reason: t.string, pass: t.number }),
    ]),
  ),
} as const

export type LineKind = keyof typeof LINE_CODECS
export type LineOf<K extends LineKind> = t.TypeOf<(typeof LINE_CODECS)[K]>
export type Line = { [K in LineKind]: LineOf<K> }[LineKind]

/** With the number of its line in the file, from 1. */
export interface NumberedLine {
  readonly number: number
  readonly line: Line
}

export interface Recording {
  readonly header: Header
  /** In the order in which things happened; `t` never falls. */
  readonly lines: readonly NumberedLine[]
  /** The last line was not whole, and is left out: who wrote it was ended in the middle. */
  readonly torn: boolean
  /** Lines of kinds that this version does not know. */
  readonly unknown: number
}
