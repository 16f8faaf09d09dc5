/**
 * The policy in force, from its file. The one file of `access` that does I/O.
 * Absent: what Pantavisor assigned is allowed. Malformed at start: nothing is, because nobody can say what was meant.
 * Malformed later: the last good one stays in force.
 */
import { readFileSync, statSync } from 'node:fs'
import { E } from '../fp.ts'
import type { Condition } from '../model/condition.ts'
import { describePolicyError, type PolicyError } from './errors.ts'
import { decodePolicy } from './rules.ts'
import { ALLOW_ALL, type Policy } from './verdict.ts'

/** A policy is written by hand; what is larger is another file. */
const MOST_BYTES = 1024 * 1024

/** Links then show why they are denied. */
const NOTHING_ALLOWED: Policy = { default: 'deny', rules: [] }

export interface PolicyFile {
  /** The policy in force. */
  current(): Policy
  /** Read the file again; why it could not be taken, if so. */
  reload(): PolicyError | undefined
  /** Whether the last reading was taken, and what is in force if it was not. */
  finding(): Omit<Condition, 'lastTransitionTime'>
}

const read = (path: string): E.Either<PolicyError, Policy> => {
  let text: string
  try {
    if (statSync(path).size > MOST_BYTES) {
      return E.left({ _tag: 'PolicyMalformed', path, reason: `it is larger than ${MOST_BYTES} bytes` })
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? String(error)
    return errno === 'ENOENT' ? E.right(ALLOW_ALL) : E.left({ _tag: 'PolicyUnreadable', path, errno })
  }
  const policy = decodePolicy(text)
  return E.isLeft(policy) ? E.left({ _tag: 'PolicyMalformed', path, reason: policy.left }) : policy
}

/** Opened by reading it once; `problem` is what kept that reading from being taken. */
export const openPolicyFile = (
  path: string,
): { readonly file: PolicyFile; readonly problem: PolicyError | undefined } => {
  let policy = NOTHING_ALLOWED
  let problem: PolicyError | undefined
  const reload = (): PolicyError | undefined => {
    const next = read(path)
    problem = E.isLeft(next) ? next.left : undefined
    if (E.isRight(next)) policy = next.right
    return problem
  }
  const file: PolicyFile = {
    current: () => policy,
    reload,
    finding: () => findingOf(problem, policy === NOTHING_ALLOWED),
  }
  return { file, problem: reload() }
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
