/**
 * Small requests over HTTP that get their identity on the way: how many a second, how long each takes, and how long the
 * proxy needs a core for one, which other work on the machine disturbs the least.
 */
import type { Bar, Bench, Figure, Measure, Sample, Trial } from '../contract.ts'
import type { Requests } from '../http-generator.ts'
import { type HttpContender, openHttpField } from '../http-ways.ts'
import { withCore } from '../ways.ts'

/** HAProxy's default, with which it serves small requests best. */
const HAPROXY_BUFFER_BYTES = 16 * 1024
const SMALL = 6

interface Case {
  readonly key: string
  readonly title: string
  readonly clients: number
  readonly fields: number
  readonly connections: Requests['connections']
  readonly bars: {
    readonly requests?: readonly Bar[]
    readonly p50?: readonly Bar[]
    readonly p99?: readonly Bar[]
  }
}

/** What a case should keep of the requests of the one before it. */
interface Share {
  readonly of: Case
  readonly title: string
  readonly unit: string
  readonly atLeast: number
}

const clients = (count: number, bars: Case['bars'] = {}): Case => ({
  key: `${count}`,
  title: count === 1 ? '1 client' : `${count} clients`,
  clients: count,
  fields: SMALL,
  connections: 'kept',
  bars,
})

const peer = (bound: Bar['bound'], value: number): Bar => ({ ratioTo: 'peer', bound, value })
const relay = (bound: Bar['bound'], value: number): Bar => ({ ratioTo: 'relay', bound, value })

const ONE = clients(1, {
  requests: [peer('at least', 0.95)],
  p50: [peer('at most', 1.1), relay('at most', 1.25)],
  p99: [peer('at most', 1.5)],
})
const SIXTEEN = clients(16, { requests: [peer('at least', 1)] })
const THIRTY_TWO = clients(32, { requests: [peer('at least', 1), relay('at least', 0.8)] })
const MOST = clients(128, { requests: [peer('at least', 1)] })
const MANY_FIELDS: Case = { ...clients(16), key: '16-fields-40', title: '16 clients, 40 fields', fields: 40 }
const FRESH: Case = {
  ...clients(16),
  key: '16-fresh',
  title: '16 clients, a connection each request',
  connections: 'a new one each',
}

const TRIALS: readonly { readonly first: Case; readonly share?: Share }[] = [
  { first: ONE },
  {
    first: SIXTEEN,
    share: { of: MANY_FIELDS, title: '40 fields instead of 6', unit: 'of the requests with 6', atLeast: 0.7 },
  },
  {
    first: THIRTY_TWO,
    share: {
      of: clients(200),
      title: '200 clients instead of 32',
      unit: 'of the requests of 32',
      atLeast: 0.9,
    },
  },
  { first: MOST },
  { first: FRESH },
]

const figuresOf = ({ key, title, bars }: Case): readonly Figure[] => [
  {
    key: `requests-${key}`,
    title: `${title}, requests`,
    unit: 'a second',
    better: 'more',
    bars: bars.requests ?? [],
  },
  { key: `median-${key}`, title: `${title}, median`, unit: 'us', better: 'less', bars: bars.p50 ?? [] },
  {
    key: `p99-${key}`,
    title: `${title}, 99 of 100 are faster than`,
    unit: 'us',
    better: 'less',
    bars: bars.p99 ?? [],
  },
  { key: `core-${key}`, title: `${title}, time on a core a request`, unit: 'us', better: 'less', bars: [] },
]

const shareKey = ({ of }: Share): string => `share-${of.key}`

const shareFigures = (share: Share | undefined): readonly Figure[] =>
  share === undefined
    ? []
    : [
        ...figuresOf(share.of),
        {
          key: shareKey(share),
          title: share.title,
          unit: share.unit,
          better: 'more',
          bars: [{ ratioTo: null, bound: 'at least', value: share.atLeast }],
        },
      ]

const sampleOf = async (
  { key, clients, fields, connections }: Case,
  contender: HttpContender,
  { http, settings }: Bench,
): Promise<Sample & { readonly perSecond: number }> => {
  const what = { identities: contender.identities, clients, fields, connections }
  // Seven cases: half the time is enough for each.
  const window = { ...settings.window, forMs: Math.ceil(settings.window.forMs / 2) }
  const { result, coreMs } = await withCore(contender, () => http.ask(contender.target, what, window))
  return {
    perSecond: result.perSecond,
    [`requests-${key}`]: result.perSecond,
    [`median-${key}`]: result.medianUs,
    [`p99-${key}`]: result.p99Us,
    ...(coreMs === undefined ? {} : { [`core-${key}`]: (coreMs * 1000) / result.requests }),
  }
}

const trialOf = (
  first: Case,
  share: Share | undefined,
  contenders: readonly HttpContender[],
  bench: Bench,
): Trial => ({
  figures: [...figuresOf(first), ...shareFigures(share)],
  lanes: contenders.map(contender => ({
    contender: contender.name,
    role: contender.role,
    sample: async () => {
      const base = await sampleOf(first, contender, bench)
      if (share === undefined) return base
      const other = await sampleOf(share.of, contender, bench)
      return { ...base, ...other, [shareKey(share)]: other.perSecond / base.perSecond }
    },
  })),
})

export const rest: Measure = {
  name: 'rest',
  title: 'small HTTP requests that get their identity',
  needsContenders: false,
  rounds: settings => settings.rounds,
  open: async bench => {
    const { contenders, absent, close } = await openHttpField(bench, HAPROXY_BUFFER_BYTES)
    const trials = TRIALS.map(({ first, share }) => trialOf(first, share, contenders, bench))
    return { trials: [...trials, { figures: [], lanes: absent }], close }
  },
}
