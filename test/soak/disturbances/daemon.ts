/** What happens to the daemon itself, where the soak was asked for it: it is killed, or told to end, and started again. */
import { nap } from '../clock.ts'
import { nothingIsPlanted } from '../leftovers.ts'
import type { Stage } from '../stage.ts'
import type { Disturbance } from './disturbance.ts'

const alone = async (stage: Stage, act: () => Promise<void>): Promise<boolean> => {
  if (stage.daemonIsBusy) return false
  stage.daemonIsBusy = true
  try {
    await stage.disturb(stage.parts.links, 'cuts', act)
  } finally {
    stage.daemonIsBusy = false
  }
  return true
}

export const KILL: Disturbance = {
  name: 'daemon is killed',
  weight: 3,
  run: (stage, random) =>
    alone(stage, async () => {
      const { daemon } = stage.parts
      stage.note('the daemon is killed')
      await daemon.kill()
      // What it leaves behind is replaced where it is still wanted; of the rest its successor knows nothing.
      for (const site of stage.sites) {
        if (site.runs) for (const { path, inode } of site.nodes()) site.orphans.set(path, inode)
      }
      await nap(random.below(500))
      await daemon.start()
      stage.note('the daemon runs again')
    }),
}

export const DRAIN: Disturbance = {
  name: 'daemon is told to end',
  weight: 3,
  run: (stage, random) =>
    alone(stage, async () => {
      const { daemon } = stage.parts
      stage.note('the daemon is told to end')
      await daemon.drain()
      nothingIsPlanted(stage)
      await nap(random.below(500))
      await daemon.start()
      stage.note('the daemon runs again')
    }),
}
