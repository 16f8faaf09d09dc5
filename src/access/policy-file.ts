/**
 * The policy in force, from its file. The one file of `access` that does I/O.
 * Absent: what Pantavisor assigned is allowed. Malformed at start: nothing is, because nobody can say what was meant.
 * Malformed later: the last good one stays in force.
 */
import { readFileSync, statSync } from 'node:fs'
import { E } from '../fp.ts'
import type { PolicyError } from './errors.ts'
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
  /** Why the last reading was not taken; `undefined`: it was. */
  problem(): PolicyError | undefined
  /** No reading was ever taken, so that no link is admitted. */
  closed(): boolean
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
    problem: () => problem,
    closed: () => policy === NOTHING_ALLOWED,
  }
  return { file, problem: reload() }
}
