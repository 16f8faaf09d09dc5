/**
 * Calls over a message bus: one after the other and many under way, small ones and such of 1 MiB. The bus itself is the
 * slowest on the way, so the time that the proxy needs a core for a call is measured too.
 */
import type { Bar, Bench, Figure, Measure, Sample, Trial } from '../contract.ts'
import { type Spam, spam } from '../dbus-load.ts'
import { type DbusContender, openDbusField } from '../dbus-ways.ts'
import { withCore } from '../ways.ts'

interface Case extends Spam {
  readonly key: string
  readonly title: string
  readonly bars: readonly Bar[]
}

const MIB = 1024 * 1024
const NO_SLOWER: readonly Bar[] = [{ ratioTo: 'peer', bound: 'at least', value: 1 }]

const CASES: readonly Case[] = [
  {
    key: 'sync',
    title: 'one call after the other',
    calls: 6000,
    queued: 1,
    payloadBytes: 0,
    bars: NO_SLOWER,
  },
  {
    key: 'queued',
    title: '100 calls under way',
    calls: 30_000,
    queued: 100,
    payloadBytes: 0,
    bars: NO_SLOWER,
  },
  { key: 'sync-large', title: 'calls of 1 MiB', calls: 150, queued: 1, payloadBytes: MIB, bars: NO_SLOWER },
  {
    key: 'queued-large',
    title: '8 calls of 1 MiB under way',
    calls: 150,
    queued: 8,
    payloadBytes: MIB,
    bars: NO_SLOWER,
  },
]

const addressOf = (target: string): string => `unix:path=${target}`

const figuresOf = ({ key, title, bars }: Case): readonly Figure[] => [
  { key: `calls-${key}`, title, unit: 'a second', better: 'more', bars },
  { key: `core-${key}`, title: `${title}, time on a core a call`, unit: 'us', better: 'less', bars: [] },
]

/** One after the other, before anything is measured: a daemon runs for years, and only its first seconds without compiled code. */
const WARM_UP: Spam = { calls: 20_000, queued: 1, payloadBytes: 0 }

const sampleOf = async (
  { key, calls, queued, payloadBytes }: Case,
  contender: DbusContender,
  { settings }: Bench,
): Promise<Sample> => {
  const count = settings.quick ? Math.ceil(calls / 10) : calls
  const { result, coreMs } = await withCore(contender, () =>
    spam(addressOf(contender.target), { calls: count, queued, payloadBytes }),
  )
  return {
    [`calls-${key}`]: (count * 1000) / result,
    ...(coreMs === undefined ? {} : { [`core-${key}`]: (coreMs * 1000) / count }),
  }
}

export const dbus: Measure = {
  name: 'dbus',
  title: 'calls over a message bus',
  needsContenders: false,
  rounds: settings => settings.rounds,
  open: async bench => {
    const { contenders, absent, close } = await openDbusField(bench)
    const warmed = new Set<string>()
    const warm = async ({ name, target }: DbusContender): Promise<void> => {
      if (bench.settings.quick || warmed.has(name)) return
      await spam(addressOf(target), WARM_UP)
      warmed.add(name)
    }
    const trials: Trial[] = CASES.map(each => ({
      figures: figuresOf(each),
      lanes: contenders.map(contender => ({
        contender: contender.name,
        role: contender.role,
        sample: async () => {
          await warm(contender)
          return sampleOf(each, contender, bench)
        },
      })),
    }))
    return { trials: [...trials, { figures: [], lanes: absent }], close }
  },
}
