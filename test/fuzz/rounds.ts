/**
 * Rounds of one target until the time is over, in a process of its own: `rounds.js FOLDER TARGET SEED SECONDS [tell]`.
 * News goes to descriptor 3, written before going on: whoever watches can say which round it was, and with `tell` which
 * input, even if that ended the process or blocks it for ever.
 */
import { writeSync } from 'node:fs'
import type { News, Tally } from './news.ts'
import { Found } from './target.ts'
import { loadTarget } from './targets.ts'

const tell = (news: News): void => {
  const line = Buffer.from(`${JSON.stringify(news)}\n`)
  for (let at = 0; at < line.length; ) at += writeSync(3, line, at)
}

interface Wanted {
  readonly folder: string
  readonly name: string
  readonly firstSeed: number
  readonly seconds: number
  readonly tellsInputs: boolean
}

const run = async ({ folder, name, firstSeed, seconds, tellsInputs }: Wanted): Promise<void> => {
  const target = await loadTarget(name, folder)
  const end = Date.now() + seconds * 1000
  const tallies: Record<string, Tally> = {}
  for (let seed = firstSeed; ; seed += 1) {
    tell({ says: 'round', seed })
    const watch = {
      trying: (check: string, input: () => unknown): void => {
        if (tellsInputs) tell({ says: 'input', check, input: input() })
      },
      tried: (check: string, tookMs: number): void => {
        const before = tallies[check] ?? { inputs: 0, slowestMs: 0, slowestSeed: seed }
        const slowest = tookMs > before.slowestMs ? { slowestMs: tookMs, slowestSeed: seed } : before
        tallies[check] = { ...before, ...slowest, inputs: before.inputs + 1 }
      },
    }
    try {
      await target.run(seed, watch)
    } catch (why) {
      if (!(why instanceof Found)) throw why
      tell({ says: 'found', check: why.check, seed, input: why.input, reason: why.message })
      return
    }
    tell({ says: 'tried', tallies })
    if (Date.now() >= end) return
  }
}

const [folder = '', name = '', seed, seconds, tells] = process.argv.slice(2)
await run({
  folder,
  name,
  firstSeed: Number(seed),
  seconds: Number(seconds),
  tellsInputs: tells === 'tell',
})
