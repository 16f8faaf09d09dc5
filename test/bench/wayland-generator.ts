/** The load for Wayland (wayland-load.c), which there is only where there is a C compiler: started, asked, and its answers read. */
import { compiled, compilerVersion } from './compile.ts'
import { count, intact, measured, type Provider, provided, type Window } from './program.ts'

export interface WaylandGenerator {
  readonly provide: (socket: string) => Promise<Provider>
  /** Messages one way, a descriptor with one in `descriptorEvery` (0: none): how many a second. */
  readonly stream: (target: string, descriptorEvery: number, window: Window) => Promise<number>
  /** A request and its answer, one at a time. */
  readonly trip: (
    target: string,
    window: Window,
  ) => Promise<{ readonly perSecond: number; readonly medianUs: number; readonly p99Us: number }>
}

/** `undefined` where there is no compiler. */
export const waylandGenerator = async (): Promise<WaylandGenerator | undefined> => {
  if ((await compilerVersion()) === undefined) return undefined
  const program = await compiled('wayland-load')
  return {
    provide: socket => provided([program, 'provide'], socket),
    stream: async (target, descriptorEvery, window) => {
      const counts = await measured([program], ['stream', target, descriptorEvery], window)
      intact(counts)
      if (count(counts, 'lost') !== 0) throw new Error(`${count(counts, 'lost')} descriptors did not arrive`)
      return count(counts, 'messages') / count(counts, 'seconds')
    },
    trip: async (target, window) => {
      const counts = await measured([program], ['trip', target], window)
      return {
        perSecond: count(counts, 'trips') / count(counts, 'seconds'),
        medianUs: count(counts, 'medianUs'),
        p99Us: count(counts, 'p99Us'),
      }
    },
  }
}
