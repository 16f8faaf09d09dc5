/**
 * Which policy is in force after what was read, one reading after the other. Pure.
 * Absent: what Pantavisor assigned is allowed. Malformed at first: nothing is, because nobody can say what was meant.
 * Malformed later: the last good one stays in force.
 */
import { E } from '../fp.ts'
import type { Condition } from '../model/condition.ts'
import { describePolicyError, type PolicyError } from './errors.ts'
import { decodePolicy } from './rules.ts'
import { ALLOW_ALL, type Policy } from './verdict.ts'

/** The text of the policy file, `null` where there is none, or why it could not be had. */
export type PolicyReading = E.Either<PolicyError, string | null>

export interface PolicyInForce {
  current(): Policy
  /** The file was read; why it could not be taken, if so. */
  take(reading: PolicyReading): PolicyError | undefined
  /** Whether the last reading was taken, and what is in force if it was not. */
  finding(): Omit<Condition, 'lastTransitionTime'>
}

/** Links then show why they are denied. */
const NOTHING_ALLOWED: Policy = { default: 'deny', rules: [] }

const policyIn = (reading: PolicyReading, path: string): E.Either<PolicyError, Policy> => {
  if (E.isLeft(reading)) return reading
  if (reading.right === null) return E.right(ALLOW_ALL)
  const policy = decodePolicy(reading.right)
  return E.isLeft(policy) ? E.left({ _tag: 'PolicyMalformed', path, reason: policy.left }) : policy
}

/** `path` is named in what is said about it. */
export const policyInForce = (path: string): PolicyInForce => {
  let policy = NOTHING_ALLOWED
  let problem: PolicyError | undefined
  return {
    current: () => policy,
    take: reading => {
      const next = policyIn(reading, path)
      problem = E.isLeft(next) ? next.left : undefined
      if (E.isRight(next)) policy = next.right
      return problem
    },
    finding: () => findingOf(problem, policy === NOTHING_ALLOWED),
  }
}

const findingOf = (
  problem: PolicyError | undefined,
  nothingAllowed: boolean,
): Omit<Condition, 'lastTransitionTime'> => {
  const type = 'PolicyValid'
  if (problem === undefined) return { type, status: 'True', reason: 'Taken', message: '' }
  const inForce = nothingAllowed ? 'no link is admitted' : 'the last good policy stays in force'
  return {
    type,
    status: 'False',
    reason: problem._tag,
    message: `${describePolicyError(problem)}; ${inForce}`,
  }
}
