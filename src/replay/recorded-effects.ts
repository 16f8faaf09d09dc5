/**
 * The links' effects as a recording has them: the result of a call is the recorded one of the same link, the same call and
 * the same count, and comes when it came. A call that was never recorded succeeds at once; one that a fault is meant
 * for fails at once. Nothing is carried out.
 */
import { fromPromise } from 'xstate'
import type { ChangeInput, EffectResult, InjectInput, TeardownInput } from '../../machines/link-context.ts'
import type { EffectRecord, Effects } from '../controller/provide.ts'
import { E } from '../fp.ts'
import type { Link, LinkKey } from '../model/link.ts'
import { CLEAN_TEARDOWN, type MediationId, type TeardownReport } from '../model/mediation.ts'
import type { LineOf, NumberedLine } from '../record/format.ts'
import type { Fault } from './contract.ts'
import { errorFor, fits } from './faults.ts'

type Call = EffectRecord['call']

export interface RecordedEffects extends Effects {
  /** The line with this index is what happens now: whoever waits for it gets its result. */
  reached(index: number): void
  /** Faults that no call was meant by so far. */
  unusedFaults(): readonly Fault[]
  /** Whose mediation that is; `undefined`: nobody's. */
  ownerOf(id: MediationId): LinkKey | undefined
}

interface Recorded<Result> {
  readonly index: number
  readonly result: Result
}

/** The recorded results of one call for one link, in order, and how many were asked for. */
interface Row<Result> {
  readonly recorded: Recorded<Result>[]
  asked: number
}

const rowOf = <Result>(rows: Map<string, Row<Result>>, call: Call, key: LinkKey): Row<Result> => {
  const name = `${call} ${key}`
  const row = rows.get(name) ?? { recorded: [], asked: 0 }
  rows.set(name, row)
  return row
}

export const recordedEffects = (
  lines: readonly NumberedLine[],
  faults: readonly Fault[],
): RecordedEffects => {
  const mediations = new Map<string, Row<EffectResult>>()
  const teardowns = new Map<string, Row<TeardownReport>>()
  const note = (index: number, line: LineOf<'effect'>): void => {
    if (line.call === 'onLinkRemoved') {
      rowOf(teardowns, line.call, line.link).recorded.push({ index, result: line.result })
    } else {
      rowOf(mediations, line.call, line.link).recorded.push({ index, result: line.result })
    }
  }
  for (const [index, { line }] of lines.entries()) if (line.kind === 'effect') note(index, line)

  let last = -1
  const waiting = new Map<number, () => void>()
  const owners = new Map<MediationId, LinkKey>()
  const failed = new Map<Fault, Map<LinkKey, number>>()
  let made = 0

  const faultFor = (call: Call, key: LinkKey): Fault | undefined =>
    faults.find(fault => {
      if (!fits(fault, call, key)) return false
      const times = failed.get(fault) ?? new Map<LinkKey, number>()
      failed.set(fault, times)
      const before = times.get(key) ?? 0
      if (fault.times !== undefined && before >= fault.times) return false
      times.set(key, before + 1)
      return true
    })

  /** The recorded result at its time, or `otherwise` at once. */
  const answer = async <Result>(row: Row<Result>, otherwise: () => Result): Promise<Result> => {
    const recorded = row.recorded[row.asked]
    row.asked += 1
    if (recorded === undefined) return otherwise()
    if (recorded.index > last) await new Promise<void>(resolve => waiting.set(recorded.index, resolve))
    return recorded.result
  }

  const success = (link: Link): EffectResult => {
    made += 1
    const id = `replayed-${made}` as MediationId
    const planted = { target: link.target, kind: 'stream', device: '', inode: '', directoriesMade: [] }
    return E.right({ id, planted })
  }

  const mediate = async (
    call: 'onLinkAdded' | 'onLinkChanged',
    { key, link }: InjectInput['desired'],
  ): Promise<EffectResult> => {
    const row = rowOf(mediations, call, key)
    const fault = faultFor(call, key)
    if (fault !== undefined) {
      row.asked += 1
      return E.left(errorFor(fault, link))
    }
    const result = await answer(row, () => success(link))
    if (E.isRight(result)) owners.set(result.right.id, key)
    return result
  }

  const teardown = async ({ key, mediation }: TeardownInput): Promise<TeardownReport> => {
    const row = rowOf(teardowns, 'onLinkRemoved', key)
    if (mediation !== null) owners.delete(mediation.id)
    const fault = faultFor('onLinkRemoved', key)
    if (fault === undefined) return answer(row, () => CLEAN_TEARDOWN)
    row.asked += 1
    return { connectionsClosed: 0, leftBehind: [fault.error] }
  }

  return {
    provideTo: machine =>
      machine.provide({
        actors: {
          inject: fromPromise<EffectResult, InjectInput>(({ input }) =>
            mediate('onLinkAdded', input.desired),
          ),
          change: fromPromise<EffectResult, ChangeInput>(({ input }) =>
            mediate('onLinkChanged', input.desired),
          ),
          teardown: fromPromise<TeardownReport, TeardownInput>(({ input }) => teardown(input)),
        },
      }),
    // No byte was recorded, so none is counted.
    countersOf: () => null,
    reached: index => {
      last = index
      waiting.get(index)?.()
      waiting.delete(index)
    },
    unusedFaults: () => faults.filter(fault => !failed.has(fault)),
    ownerOf: id => owners.get(id),
  }
}
