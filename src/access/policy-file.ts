/**
 * The policy file: read whole, when it is asked for. The one file of `access` that does I/O; what follows from what was
 * read is decided in policy-in-force.ts.
 */
import { readFileSync, statSync } from 'node:fs'
import { E } from '../fp.ts'
import type { PolicyError } from './errors.ts'
import { type PolicyInForce, type PolicyReading, policyInForce } from './policy-in-force.ts'

/** A policy is written by hand; what is larger is another file. */
const MOST_BYTES = 1024 * 1024

export interface PolicyFile extends Omit<PolicyInForce, 'take'> {
  /** Read the file again; why it could not be taken, if so. */
  reload(): PolicyError | undefined
  /** What was read last. */
  reading(): PolicyReading
}

const read = (path: string): PolicyReading => {
  try {
    return statSync(path).size > MOST_BYTES
      ? E.left({ _tag: 'PolicyMalformed', path, reason: `it is larger than ${MOST_BYTES} bytes` })
      : E.right(readFileSync(path, 'utf8'))
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? String(error)
    return errno === 'ENOENT' ? E.right(null) : E.left({ _tag: 'PolicyUnreadable', path, errno })
  }
}

/** Opened by reading it once; `problem` is what kept that reading from being taken. */
export const openPolicyFile = (
  path: string,
): { readonly file: PolicyFile; readonly problem: PolicyError | undefined } => {
  const policy = policyInForce(path)
  let reading = read(path)
  const problem = policy.take(reading)
  const file: PolicyFile = {
    current: policy.current,
    finding: policy.finding,
    reading: () => reading,
    reload: () => {
      reading = read(path)
      return policy.take(reading)
    },
  }
  return { file, problem }
}
