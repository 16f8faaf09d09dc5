/** The same load over more and more connections at once: what one thread makes of them together. */

import type { Contender } from '../contenders.ts'
import { type Measure, NOTHING_TO_CLOSE, type Trial } from '../contract.ts'
import type { Generator } from '../generator.ts'
import type { Window } from '../program.ts'

const COUNTS = [1, 16, 128]
const WRITE_BYTES = 64 * 1024
const MESSAGE_BYTES = 64

const atOnce = (count: number): string =>
  count === 1 ? 'through 1 connection' : `through ${count} connections at once`

const bytesThrough = (
  count: number,
  contenders: readonly Contender[],
  generator: Generator,
  window: Window,
): Trial => {
  const key = `bytes-${count}`
  return {
    figures: [{ key, title: `writes of 64 KiB ${atOnce(count)}`, unit: 'GB/s', better: 'more', bars: [] }],
    lanes: contenders.map(({ name, role, target }) => ({
      contender: name,
      role,
      sample: async () => {
        const what = { connections: count, writeBytes: WRITE_BYTES, descriptorEvery: 0 }
        return { [key]: (await generator.bulk(target, what, window)).bytesPerSecond / 1e9 }
      },
    })),
  }
}

const tripsThrough = (
  count: number,
  contenders: readonly Contender[],
  generator: Generator,
  window: Window,
): Trial => {
  const key = `trips-${count}`
  return {
    figures: [
      { key, title: `round trips of 64 B ${atOnce(count)}`, unit: 'a second', better: 'more', bars: [] },
    ],
    lanes: contenders.map(({ name, role, target }) => ({
      contender: name,
      role,
      sample: async () => {
        const what = { connections: count, bytes: MESSAGE_BYTES }
        return { [key]: (await generator.trip(target, what, window)).perSecond }
      },
    })),
  }
}

export const many: Measure = {
  name: 'many',
  title: 'many connections at once, together',
  needsContenders: true,
  rounds: settings => Math.min(settings.rounds, 3),
  open: async ({ contenders, generator, settings }) => {
    // Six trials: half the time is enough for what only shows how a figure grows.
    const window = { ...settings.window, forMs: Math.ceil(settings.window.forMs / 2) }
    return {
      trials: [
        ...COUNTS.map(count => bytesThrough(count, contenders, generator, window)),
        ...COUNTS.map(count => tripsThrough(count, contenders, generator, window)),
      ],
      close: NOTHING_TO_CLOSE,
    }
  },
}
