/** Bytes one way through one connection, by the size of the writes. */
import { type Bar, type Measure, NOTHING_TO_CLOSE } from '../contract.ts'

interface Size {
  readonly bytes: number
  readonly title: string
  readonly bars: readonly Bar[]
}

const KIB = 1024

const SIZES: readonly Size[] = [
  { bytes: 4 * KIB, title: '4 KiB', bars: [] },
  {
    bytes: 64 * KIB,
    title: '64 KiB',
    bars: [
      { ratioTo: 'reference', bound: 'at least', value: 0.6 },
      { ratioTo: 'peer', bound: 'at least', value: 4 },
    ],
  },
  { bytes: KIB * KIB, title: '1 MiB', bars: [{ ratioTo: 'reference', bound: 'at least', value: 0.8 }] },
]

export const bulk: Measure = {
  name: 'bulk',
  title: 'bytes one way, one connection',
  needsContenders: true,
  rounds: settings => settings.rounds,
  open: async ({ contenders, generator, settings }) => ({
    trials: SIZES.map(({ bytes, title, bars }) => {
      const key = `writes-${bytes}`
      return {
        figures: [{ key, title: `writes of ${title}`, unit: 'GB/s', better: 'more', bars }],
        lanes: contenders.map(({ name, role, target }) => ({
          contender: name,
          role,
          sample: async () => {
            const what = { connections: 1, writeBytes: bytes, descriptorEvery: 0 }
            const { bytesPerSecond } = await generator.bulk(target, what, settings.window)
            return { [key]: bytesPerSecond / 1e9 }
          },
        })),
      }
    }),
    close: NOTHING_TO_CLOSE,
  }),
}
