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

/** Opened by reading it once; `problem` is what kept the first reading from being taken. */
export const openPolicyFile = (
  path: string,
): { readonly file: PolicyFile; readonly problem: PolicyError | undefined } => {
  let policy = NOTHING_ALLOWED
  const reload = (): PolicyError | undefined => {
    const next = read(path)
    if (E.isLeft(next)) return next.left
    policy = next.right
    return undefined
  }
  const problem = reload()
  return { file: { current: () => policy, reload }, problem }
}
