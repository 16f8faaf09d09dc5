/**
 * The rounds: in each, every lane of a trial gives one sample, each time another one first. A lane that fails is left out
 * from then on, and the failure is told; the others go on. Knows nothing of what is measured.
 */
import type { Bench, Figure, Lane, Measure, Role, Sample, Trial } from './contract.ts'
import { rotated } from './statistics.ts'

/** What a contender gave in each round; `undefined` where it gave nothing. */
export interface Row {
  readonly contender: string
  readonly role: Role
  readonly samples: readonly (Sample | undefined)[]
}

export interface TrialResult {
  readonly figures: readonly Figure[]
  readonly rows: readonly Row[]
}

/** Something did not work: bytes were lost, a link did not come up, a process ended. */
export interface Problem {
  readonly measure: string
  readonly contender: string
  readonly role: Role
  readonly what: string
}

export interface MeasureResult {
  readonly name: string
  readonly title: string
  readonly rounds: number
  readonly trials: readonly TrialResult[]
  readonly problems: readonly Problem[]
}

export type Progress = (round: number, rounds: number) => void

export const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The lanes that gave up, with why. */
type Failures = Map<Lane, string>

const sampled = async (lane: Lane, failures: Failures): Promise<Sample | undefined> => {
  if (failures.has(lane)) return undefined
  try {
    return await lane.sample()
  } catch (error) {
    failures.set(lane, wordsOf(error))
    return undefined
  }
}

const runRound = async (
  trial: Trial,
  round: number,
  samples: ReadonlyMap<Lane, (Sample | undefined)[]>,
  failures: Failures,
): Promise<void> => {
  for (const lane of rotated(trial.lanes, round)) {
    samples.get(lane)?.push(await sampled(lane, failures))
  }
}

/** Round after round through all trials, so that a disturbance is spread over them. */
export const runTrials = async (
  name: string,
  trials: readonly Trial[],
  rounds: number,
  progress: Progress,
): Promise<{ readonly trials: readonly TrialResult[]; readonly problems: readonly Problem[] }> => {
  const samples = new Map<Lane, (Sample | undefined)[]>(
    trials.flatMap(({ lanes }) => lanes.map(lane => [lane, []] as const)),
  )
  const failures: Failures = new Map()
  for (let round = 0; round < rounds; round += 1) {
    progress(round + 1, rounds)
    for (const trial of trials) await runRound(trial, round, samples, failures)
  }
  return {
    trials: trials.map(({ figures, lanes }) => ({
      figures,
      rows: lanes.map(lane => ({
        contender: lane.contender,
        role: lane.role,
        samples: samples.get(lane) ?? [],
      })),
    })),
    problems: [...failures].map(([{ contender, role }, what]) => ({ measure: name, contender, role, what })),
  }
}

/** Who is named where no contender is to blame: the measure itself could not be set up. */
const THE_BENCHMARK = 'the benchmark'

export const runMeasure = async (
  measure: Measure,
  bench: Bench,
  progress: Progress,
): Promise<MeasureResult> => {
  const { name, title } = measure
  const rounds = measure.rounds(bench.settings)
  try {
    const opened = await measure.open(bench)
    try {
      return { name, title, rounds, ...(await runTrials(name, opened.trials, rounds, progress)) }
    } finally {
      await opened.close()
    }
  } catch (error) {
    const problem: Problem = {
      measure: name,
      contender: THE_BENCHMARK,
      role: 'reference',
      what: wordsOf(error),
    }
    return { name, title, rounds, trials: [], problems: [problem] }
  }
}
