/** Bytes with a descriptor now and then: each must arrive at the byte it was sent with. */
import type { Role } from '../contract.ts'
import { type Measure, NOTHING_TO_CLOSE } from '../contract.ts'

const WRITE_BYTES = 64 * 1024
const DESCRIPTOR_EVERY = 1024 * 1024

/** A tool or a peer may be made without it; then the figure says so. */
const mustKeepThem = (role: Role): boolean => role === 'ours' || role === 'reference'

export const descriptors: Measure = {
  name: 'descriptors',
  title: 'writes of 64 KiB, a memfd with every 1 MiB, one connection',
  needsContenders: true,
  rounds: settings => settings.rounds,
  open: async ({ contenders, generator, settings }) => ({
    trials: [
      {
        figures: [
          { key: 'bytes', title: 'bytes', unit: 'GB/s', better: 'more', bars: [] },
          { key: 'intact', title: 'descriptors at their byte', unit: '%', better: 'more', bars: [] },
        ],
        lanes: generator.passesDescriptors
          ? contenders.map(({ name, role, target }) => ({
              contender: name,
              role,
              sample: async () => {
                const what = {
                  connections: 1,
                  writeBytes: WRITE_BYTES,
                  descriptorEvery: DESCRIPTOR_EVERY,
                }
                const moved = await generator.bulk(target, what, settings.window)
                if (mustKeepThem(role) && moved.intact !== moved.descriptors) {
                  throw new Error(
                    `of ${moved.descriptors} descriptors, ${moved.intact} arrived at their byte`,
                  )
                }
                return {
                  bytes: moved.bytesPerSecond / 1e9,
                  intact: (100 * moved.intact) / moved.descriptors,
                }
              },
            }))
          : [],
      },
    ],
    close: NOTHING_TO_CLOSE,
  }),
}
