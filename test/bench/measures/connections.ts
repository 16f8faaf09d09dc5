/** Connect, one byte there and back, close; one after the other. */
import { type Measure, NOTHING_TO_CLOSE } from '../contract.ts'

export const connections: Measure = {
  name: 'connections',
  title: 'connect, one byte there and back, close; one at a time',
  needsContenders: true,
  rounds: settings => settings.rounds,
  open: async ({ contenders, generator, settings }) => ({
    trials: [
      {
        figures: [
          {
            key: 'connections',
            title: 'connections',
            unit: 'a second',
            better: 'more',
            bars: [{ ratioTo: 'peer', bound: 'at least', value: 1 }],
          },
        ],
        lanes: contenders.map(({ name, role, target }) => ({
          contender: name,
          role,
          sample: async () => ({ connections: await generator.connect(target, settings.window) }),
        })),
      },
    ],
    close: NOTHING_TO_CLOSE,
  }),
}
