/** Something that happens to a running system, and how often compared with the others. */
import type { Random } from '../../support/random.ts'
import type { Stage } from '../stage.ts'

export interface Disturbance {
  readonly name: string
  readonly weight: number
  /** False: there was nothing it could be done to. */
  readonly run: (stage: Stage, random: Random) => Promise<boolean>
}

/** Keep others away from it while something is done to it. */
export const busy = async (thing: { busy: boolean }, act: () => Promise<void>): Promise<void> => {
  thing.busy = true
  try {
    await act()
  } finally {
    thing.busy = false
  }
}

/** One of those that nobody is at. */
export const idleOne = <A extends { readonly busy: boolean }>(
  random: Random,
  things: readonly A[],
): A | undefined => {
  const idle = things.filter(thing => !thing.busy)
  return idle[random.below(Math.max(1, idle.length))]
}
