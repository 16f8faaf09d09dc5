/**
 * One link, from "somebody wants it" to "nothing is left of it".
 * It is told the whole spec again and again and decides alone what to do; saying the same thing twice changes nothing,
 * and a pair of state and event that the table omits is safe to ignore. No socket, log or clock: resources are
 * kept by id outside, effects are actors that `controller/provide.ts` gives, time and chance come in `LinkEnvironment`.
 *
 *   state                  on                     guard                              next                     on the way
 *   pending                link.unwanted                                             released (final)
 *   pending.waiting        link.wanted            specChanged                        pending.waiting, at once keepSpec, resetAttempts
 *   pending.waiting        link.wanted            not admitted                       pending.blocked          keepSpec
 *   pending.waiting        after retryDelay,      admitted, consumerRuns             injecting.wanted
 *                          link.wanted, or fresh
 *   pending.waiting        (at once)              not admitted                       pending.blocked
 *   pending.blocked        link.wanted            specChanged or resync              pending.waiting          keepSpec
 *   injecting.wanted       link.wanted            specChanged                        (stays)                  keepNextSpec
 *   injecting.wanted       link.unwanted                                             injecting.abandoned
 *   injecting.wanted       inject: Right          no next spec                       mediating                keepMediation
 *   injecting.wanted       inject: Right          next spec                          tearing-down.renewing    keepMediation, takeNextSpec
 *   injecting.wanted       inject: Left           a mediation was kept               tearing-down.renewing    countFailure, takeNextSpec
 *   injecting.wanted       inject: Left           worth retrying, or next spec       pending.waiting          countFailure, takeNextSpec
 *   injecting.wanted       inject: Left                                              pending.blocked          keepError
 *   injecting.abandoned    link.wanted                                               injecting.wanted         keepNextSpec
 *   injecting.abandoned    inject: Right                                             tearing-down.closing     keepMediation
 *   injecting.abandoned    inject: Left           a mediation was kept               tearing-down.closing
 *   injecting.abandoned    inject: Left                                              released (final)
 *   mediating              link.wanted            onlyProviderChanged, plugin can    mediating.changing       keepSpec
 *   mediating              link.wanted            specChanged, or not admitted       tearing-down.renewing    keepSpec
 *   mediating              link.wanted            admitted by another rule           (stays)                  keepSpec
 *   mediating              target.lost                                               injecting.wanted, connections kept
 *   mediating              consumer.exited                                           tearing-down.renewing
 *   mediating              link.unwanted                                             tearing-down.closing
 *   mediating              after a minute                                            (stays)                  resetAttempts
 *   mediating.changing     change: Right                                             mediating.steady         keepMediation
 *   mediating.changing     change: Left                                              tearing-down.renewing    countFailure
 *   tearing-down.renewing  link.unwanted                                             tearing-down.closing
 *   tearing-down.renewing  link.wanted            specChanged                        (stays)                  keepSpec
 *   tearing-down.renewing  teardown done                                             pending.waiting          forgetMediation
 *   tearing-down.closing   link.wanted                                               tearing-down.renewing    keepSpec
 *   tearing-down.closing   teardown done                                             released (final)         forgetMediation
 *
 * `specChanged` sees the verdict too, so that one that flips during an injection is not lost; but to be admitted by another
 * rule is no change: renumbering a policy cuts no connection. A changed spec starts with no failed attempts (`keepSpec`).
 * An effect that throws counts as a Left that waiting cannot help.
 */
import { and, assign, not, or, raise, setup } from 'xstate'
import type { Chance } from '../src/model/chance.ts'
import type { DesiredLink } from '../src/model/desired.ts'
import { sameVerdict } from '../src/model/desired.ts'
import type { InjectError } from '../src/model/errors.ts'
import { endsUnannounced, isRetryable } from '../src/model/errors.ts'
import type { Limits } from '../src/model/limits.ts'
import { DEFAULT_LIMITS } from '../src/model/limits.ts'
import type { LinkKey } from '../src/model/link.ts'
import { sameButProvider, sameLink } from '../src/model/link.ts'
import type { TeardownReport } from '../src/model/mediation.ts'
import type { Stage } from './link-conditions.ts'
import { conditionsOf } from './link-conditions.ts'
import type {
  ChangeInput,
  EffectResult,
  HeldMediation,
  InjectInput,
  LinkContext,
  LinkEvent,
  TeardownInput,
} from './link-context.ts'
import { notProvided } from './not-provided.ts'

export interface LinkEnvironment {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Asked for the jitter of each retry, by the link and the attempt. */
  readonly random: Chance
  /** Absent: the defaults. */
  readonly limits?: Pick<Limits, 'retryMs' | 'retryMaxMs' | 'deviceRetryMs'>
}

/** How effects end, raised by the machine to itself so that each substate answers in its own row. */
type EffectEvent =
  | { readonly type: 'inject.done'; readonly mediation: HeldMediation }
  | { readonly type: 'inject.failed'; readonly error: InjectError }
  | { readonly type: 'change.done'; readonly mediation: HeldMediation }
  | { readonly type: 'change.failed'; readonly error: InjectError }
  | { readonly type: 'teardown.done' }

interface LinkInput {
  readonly desired: DesiredLink
}

/** Up to a quarter less, so that links which failed together do not retry together. */
const JITTER = 0.25
const SETTLED_AFTER_MS = 60_000

const isAdmitted = (desired: DesiredLink): boolean => desired.verdict._tag === 'Admitted'

const sameSpec = (a: DesiredLink, b: DesiredLink): boolean =>
  sameLink(a.link, b.link) && ((isAdmitted(a) && isAdmitted(b)) || sameVerdict(a.verdict, b.verdict))

const retryDelayAfter = (
  attempt: number,
  key: LinkKey,
  error: InjectError,
  { random, limits: { retryMs, retryMaxMs, deviceRetryMs } = DEFAULT_LIMITS }: LinkEnvironment,
): number => {
  const mostMs = endsUnannounced(error) ? Math.min(retryMaxMs, deviceRetryMs) : retryMaxMs
  const jitter = JITTER * random(`${key} attempt ${attempt}`)
  return Math.round(Math.min(mostMs, retryMs * 2 ** (attempt - 1)) * (1 - jitter))
}

const bugOf = (desired: DesiredLink, error: unknown): InjectError => ({
  _tag: 'PluginFailed',
  plugin: desired.link.type,
  message: error instanceof Error ? error.message : String(error),
})

/** The newest spec, with a clean record if it is a new one. */
const withSpec = (context: LinkContext, desired: DesiredLink) => ({
  wanted: desired,
  next: null,
  attempt: sameSpec(context.wanted, desired) ? context.attempt : 0,
})

export const linkMachine = (env: LinkEnvironment) =>
  setup({
    types: {} as { context: LinkContext; events: LinkEvent | EffectEvent; input: LinkInput },
    actors: {
      inject: notProvided<EffectResult, InjectInput>('inject'),
      change: notProvided<EffectResult, ChangeInput>('change'),
      teardown: notProvided<TeardownReport, TeardownInput>('teardown'),
    },
    guards: {
      specChanged: ({ context, event }) =>
        event.type === 'link.wanted' && !sameSpec(context.next ?? context.wanted, event.desired),
      ruleChanged: ({ context, event }) =>
        event.type === 'link.wanted' && !sameVerdict(context.wanted.verdict, event.desired.verdict),
      isResync: ({ event }) => event.type === 'link.wanted' && event.resync,
      onlyProviderChanged: ({ context, event }) =>
        event.type === 'link.wanted' &&
        isAdmitted(event.desired) &&
        sameButProvider(context.wanted.link, event.desired.link) &&
        !sameLink(context.wanted.link, event.desired.link),
      pluginCanChange: ({ event }) => event.type === 'link.wanted' && event.canChange,
      stillAdmitted: ({ event }) => event.type === 'link.wanted' && isAdmitted(event.desired),
      admitted: ({ context }) => isAdmitted(context.wanted),
      consumerRuns: ({ context }) => context.wanted.link.consumer_pid !== null,
      nothingFailed: ({ context }) => context.attempt === 0,
      hasNextSpec: ({ context }) => context.next !== null,
      mediationKept: ({ context }) => context.mediation !== null,
      worthRetrying: ({ event }) => event.type === 'inject.failed' && isRetryable(event.error),
    },
    actions: {
      keepSpec: assign(({ context, event }) =>
        event.type === 'link.wanted' ? withSpec(context, event.desired) : {},
      ),
      keepNextSpec: assign(({ context, event }) => {
        if (event.type !== 'link.wanted') return {}
        return { next: sameSpec(context.wanted, event.desired) ? null : event.desired }
      }),
      takeNextSpec: assign(({ context }) => (context.next === null ? {} : withSpec(context, context.next))),
      resetAttempts: assign({ attempt: 0 }),
      keepMediation: assign((_, { mediation }: { mediation: HeldMediation }) => ({
        mediation,
        lastError: null,
      })),
      forgetMediation: assign({ mediation: null }),
      keepError: assign((_, { error }: { error: InjectError }) => ({ lastError: error })),
      countFailure: assign(({ context }, { error }: { error: InjectError }) => ({
        lastError: error,
        attempt: context.attempt + 1,
        retryDelayMs: retryDelayAfter(context.attempt + 1, context.key, error, env),
      })),
      markSince: assign({ since: () => env.now() }),
      describe: assign(({ context }, { stage }: { stage: Stage }) => ({
        conditions: conditionsOf(context, stage, env.now()),
      })),
    },
    delays: {
      retryDelay: ({ context }) => context.retryDelayMs,
      aMinute: SETTLED_AFTER_MS,
    },
  }).createMachine({
    id: 'link',
    context: ({ input: { desired } }) => ({
      key: desired.key,
      wanted: desired,
      next: null,
      attempt: 0,
      retryDelayMs: 0,
      lastError: null,
      since: env.now(),
      mediation: null,
      conditions: [],
    }),
    initial: 'pending',
    states: {
      pending: {
        entry: 'markSince',
        on: { 'link.unwanted': { target: 'released' } },
        initial: 'waiting',
        states: {
          waiting: {
            entry: { type: 'describe', params: { stage: 'pending' } },
            always: [
              { guard: not('admitted'), target: 'blocked' },
              { guard: and(['nothingFailed', 'consumerRuns']), target: '#link.injecting.wanted' },
            ],
            after: {
              retryDelay: { guard: and(['admitted', 'consumerRuns']), target: '#link.injecting.wanted' },
            },
            on: {
              'link.wanted': [
                {
                  guard: 'specChanged',
                  target: 'waiting',
                  reenter: true,
                  actions: ['keepSpec', 'resetAttempts'],
                },
                { guard: not('stillAdmitted'), target: 'blocked', actions: 'keepSpec' },
                { guard: 'consumerRuns', target: '#link.injecting.wanted', actions: 'keepSpec' },
              ],
            },
          },
          blocked: {
            entry: { type: 'describe', params: { stage: 'pending' } },
            on: {
              'link.wanted': {
                guard: or(['specChanged', 'isResync']),
                target: 'waiting',
                actions: 'keepSpec',
              },
            },
          },
        },
      },

      injecting: {
        entry: ['markSince', { type: 'describe', params: { stage: 'injecting' } }],
        invoke: {
          id: 'inject',
          src: 'inject',
          input: ({ context }) => ({ desired: context.wanted, kept: context.mediation }),
          onDone: {
            actions: raise(({ event: { output } }) =>
              output._tag === 'Right'
                ? { type: 'inject.done' as const, mediation: output.right }
                : { type: 'inject.failed' as const, error: output.left },
            ),
          },
          onError: {
            actions: raise(({ context, event }) => ({
              type: 'inject.failed' as const,
              error: bugOf(context.wanted, event.error),
            })),
          },
        },
        initial: 'wanted',
        states: {
          wanted: {
            on: {
              'link.wanted': { guard: 'specChanged', actions: 'keepNextSpec' },
              'link.unwanted': { target: 'abandoned' },
              'inject.done': [
                {
                  guard: 'hasNextSpec',
                  target: '#link.tearing-down.renewing',
                  actions: [
                    { type: 'keepMediation', params: ({ event }) => ({ mediation: event.mediation }) },
                    'takeNextSpec',
                  ],
                },
                {
                  target: '#link.mediating',
                  actions: { type: 'keepMediation', params: ({ event }) => ({ mediation: event.mediation }) },
                },
              ],
              'inject.failed': [
                {
                  guard: 'mediationKept',
                  target: '#link.tearing-down.renewing',
                  actions: [
                    { type: 'countFailure', params: ({ event }) => ({ error: event.error }) },
                    'takeNextSpec',
                  ],
                },
                {
                  guard: or(['worthRetrying', 'hasNextSpec']),
                  target: '#link.pending.waiting',
                  actions: [
                    { type: 'countFailure', params: ({ event }) => ({ error: event.error }) },
                    'takeNextSpec',
                  ],
                },
                {
                  target: '#link.pending.blocked',
                  actions: { type: 'keepError', params: ({ event }) => ({ error: event.error }) },
                },
              ],
            },
          },
          abandoned: {
            on: {
              'link.wanted': { target: 'wanted', actions: 'keepNextSpec' },
              'inject.done': {
                target: '#link.tearing-down.closing',
                actions: { type: 'keepMediation', params: ({ event }) => ({ mediation: event.mediation }) },
              },
              'inject.failed': [
                { guard: 'mediationKept', target: '#link.tearing-down.closing' },
                { target: '#link.released' },
              ],
            },
          },
        },
      },

      mediating: {
        entry: ['markSince', { type: 'describe', params: { stage: 'mediating' } }],
        on: {
          'link.wanted': [
            {
              guard: and(['onlyProviderChanged', 'pluginCanChange']),
              target: '.changing',
              actions: 'keepSpec',
            },
            {
              guard: or(['specChanged', not('stillAdmitted')]),
              target: 'tearing-down.renewing',
              actions: 'keepSpec',
            },
            {
              guard: 'ruleChanged',
              actions: ['keepSpec', { type: 'describe', params: { stage: 'mediating' } }],
            },
          ],
          'link.unwanted': { target: 'tearing-down.closing' },
          'target.lost': { target: 'injecting.wanted' },
          'consumer.exited': { target: 'tearing-down.renewing' },
        },
        after: { aMinute: { actions: 'resetAttempts' } },
        initial: 'steady',
        states: {
          steady: {},
          changing: {
            invoke: {
              id: 'change',
              src: 'change',
              input: ({ context }) => ({ desired: context.wanted, mediation: context.mediation }),
              onDone: {
                actions: raise(({ event: { output } }) =>
                  output._tag === 'Right'
                    ? { type: 'change.done' as const, mediation: output.right }
                    : { type: 'change.failed' as const, error: output.left },
                ),
              },
              onError: {
                actions: raise(({ context, event }) => ({
                  type: 'change.failed' as const,
                  error: bugOf(context.wanted, event.error),
                })),
              },
            },
            on: {
              'change.done': {
                target: 'steady',
                actions: [
                  { type: 'keepMediation', params: ({ event }) => ({ mediation: event.mediation }) },
                  { type: 'describe', params: { stage: 'mediating' } },
                ],
              },
              'change.failed': {
                target: '#link.tearing-down.renewing',
                actions: { type: 'countFailure', params: ({ event }) => ({ error: event.error }) },
              },
            },
          },
        },
      },

      'tearing-down': {
        entry: ['markSince', { type: 'describe', params: { stage: 'tearing-down' } }],
        invoke: {
          id: 'teardown',
          src: 'teardown',
          input: ({ context }) => ({ key: context.key, mediation: context.mediation }),
          onDone: { actions: raise({ type: 'teardown.done' }) },
          // Teardown is over even where it went wrong: to try the same again would not help.
          onError: { actions: raise({ type: 'teardown.done' }) },
        },
        initial: 'renewing',
        states: {
          renewing: {
            on: {
              'link.unwanted': { target: 'closing' },
              'link.wanted': { guard: 'specChanged', actions: 'keepSpec' },
              'teardown.done': { target: '#link.pending.waiting', actions: 'forgetMediation' },
            },
          },
          closing: {
            on: {
              'link.wanted': { target: 'renewing', actions: 'keepSpec' },
              'teardown.done': { target: '#link.released', actions: 'forgetMediation' },
            },
          },
        },
      },

      released: { type: 'final' },
    },
  })

export type LinkMachine = ReturnType<typeof linkMachine>
