/**
 * What belongs to a pass, though it was written down after the read that began it: what the plugins said, and what was
 * found lost. Passes never overlap, so all of that up to the next read is of this one. Pure.
 */
import type { LinkLoss } from '../../machines/daemon.machine.ts'
import type { LineOf, NumberedLine } from '../record/format.ts'

export interface PassFacts {
  readonly losses: readonly LinkLoss[]
  readonly opinions: readonly LineOf<'opinion'>[]
  /** A plugin was loaded that the pass waited for: the index of that line among the lines. */
  readonly awaits: number | null
}

const isRead = ({ line: { kind } }: NumberedLine): boolean =>
  kind === 'graph' || kind === 'same-graph' || kind === 'read-failed'

const NOTHING: PassFacts = { losses: [], opinions: [], awaits: null }

/** By the index of the read. Only passes with something to tell are in it. */
export const passFacts = (lines: readonly NumberedLine[]): ReadonlyMap<number, PassFacts> => {
  const passes = new Map<number, PassFacts>()
  let pass: number | undefined
  for (const [index, numbered] of lines.entries()) {
    const { line } = numbered
    if (isRead(numbered)) pass = index
    if (pass === undefined) continue
    const facts = passes.get(pass) ?? NOTHING
    switch (line.kind) {
      case 'target-lost':
        passes.set(pass, { ...facts, losses: [...facts.losses, { key: line.link, loss: line.loss }] })
        break
      case 'opinion':
        passes.set(pass, { ...facts, opinions: [...facts.opinions, line] })
        break
      case 'plugins':
        if (line.awaited && facts.awaits === null) passes.set(pass, { ...facts, awaits: index })
        break
      default:
    }
  }
  return passes
}
