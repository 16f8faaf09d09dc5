/** A message there and the same one back, one at a time. */
import { type Bar, type Measure, NOTHING_TO_CLOSE } from '../contract.ts'

const NOT_WORSE: Bar = { ratioTo: 'peer', bound: 'at least', value: 1 }

const SIZES = [
  { bytes: 64, title: '64 B', bars: [NOT_WORSE] },
  { bytes: 64 * 1024, title: '64 KiB', bars: [] },
]

export const roundTrip: Measure = {
  name: 'round-trip',
  title: 'a message there and back, one connection',
  needsContenders: true,
  rounds: settings => settings.rounds,
  open: async ({ contenders, generator, settings }) => ({
    trials: SIZES.map(({ bytes, title, bars }) => {
      const key = (what: string): string => `${what}-${bytes}`
      return {
        figures: [
          { key: key('median'), title: `${title}, median`, unit: 'us', better: 'less', bars: [] },
          {
            key: key('p99'),
            title: `${title}, 99 of 100 are faster than`,
            unit: 'us',
            better: 'less',
            bars: [],
          },
          { key: key('trips'), title: `${title}, round trips`, unit: 'a second', better: 'more', bars },
        ],
        lanes: contenders.map(({ name, role, target }) => ({
          contender: name,
          role,
          sample: async () => {
            const trips = await generator.trip(target, { connections: 1, bytes }, settings.window)
            return {
              [key('median')]: trips.medianUs,
              [key('p99')]: trips.p99Us,
              [key('trips')]: trips.perSecond,
            }
          },
        })),
      }
    }),
    close: NOTHING_TO_CLOSE,
  }),
}
