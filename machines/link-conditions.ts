/** What a link's context says about it, as conditions for people and programs. Pure. */
import type { Condition } from '../src/model/condition.ts'
import { withCondition } from '../src/model/condition.ts'
import type { DesiredLink } from '../src/model/desired.ts'
import { describeError } from '../src/model/errors.ts'
import type { LinkContext } from './link-context.ts'

/** Where a link is, in the four words everybody uses. */
export type Stage = 'pending' | 'injecting' | 'mediating' | 'tearing-down'

type Described = Pick<LinkContext, 'wanted' | 'lastError' | 'mediation' | 'conditions'>

type Finding = Omit<Condition, 'lastTransitionTime'>

export const conditionsOf = (link: Described, stage: Stage, now: number): readonly Condition[] =>
  [admission(link.wanted), injection(link), readiness(link, stage)].reduce<readonly Condition[]>(
    (conditions, finding) => withCondition(conditions, finding, now),
    link.conditions,
  )

const admission = ({ verdict }: DesiredLink): Finding => {
  const type = 'Admitted'
  switch (verdict._tag) {
    case 'Admitted':
      return { type, status: 'True', reason: 'Admitted', message: verdict.rule }
    case 'Denied':
      return { type, status: 'False', reason: 'Denied', message: verdict.rule }
    case 'Conflict':
      return { type, status: 'False', reason: 'Conflict', message: `${verdict.winner} has the target` }
    case 'Unsupported':
      return { type, status: 'False', reason: 'Unsupported', message: verdict.reason }
  }
}

const injection = ({ mediation, lastError }: Described): Finding => {
  const type = 'Injected'
  if (lastError !== null) {
    return { type, status: 'False', reason: lastError._tag, message: describeError(lastError) }
  }
  return mediation === null
    ? { type, status: 'False', reason: 'NotInjected', message: '' }
    : { type, status: 'True', reason: 'Planted', message: mediation.planted.target }
}

const readiness = ({ wanted, lastError }: Described, stage: Stage): Finding => {
  const type = 'Ready'
  switch (stage) {
    case 'mediating':
      return { type, status: 'True', reason: 'Mediating', message: '' }
    case 'injecting':
      return { type, status: 'False', reason: 'Injecting', message: '' }
    case 'tearing-down':
      return { type, status: 'False', reason: 'TearingDown', message: '' }
    case 'pending':
      if (wanted.verdict._tag !== 'Admitted') {
        return { type, status: 'False', reason: 'NotAdmitted', message: '' }
      }
      if (wanted.link.consumer_pid === null) {
        return { type, status: 'False', reason: 'ConsumerNotRunning', message: '' }
      }
      return lastError === null
        ? { type, status: 'False', reason: 'Pending', message: '' }
        : { type, status: 'False', reason: 'InjectFailed', message: describeError(lastError) }
  }
}
