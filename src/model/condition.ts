/** Conditions in the Kubernetes manner: one aspect each, with the reason and the time of the last change of status. */
export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  /** One CamelCase word, stable, for programs. */
  readonly reason: string
  /** For people. */
  readonly message: string
  /** Milliseconds since the epoch, from the clock of whoever set it. */
  readonly lastTransitionTime: number
}

/** The list with `next` in the place of its type; the time only moves when the status does. */
export const withCondition = (
  conditions: readonly Condition[],
  next: Omit<Condition, 'lastTransitionTime'>,
  now: number,
): readonly Condition[] => {
  const current = conditions.find(condition => condition.type === next.type)
  if (current === undefined) return [...conditions, { ...next, lastTransitionTime: now }]
  if (current.status === next.status && current.reason === next.reason && current.message === next.message) {
    return conditions
  }
  const lastTransitionTime = current.status === next.status ? current.lastTransitionTime : now
  return conditions.map(condition => (condition === current ? { ...next, lastTransitionTime } : condition))
}
