/**
 * Where xstate's inspection events pass by: nobody listens until somebody looks, and then it costs a look at an empty set.
 * The daemon has it from its start, because a machine cannot be inspected that was not from the beginning.
 */
import type { InspectionEvent } from 'xstate'

export interface Tap {
  readonly inspect: (event: InspectionEvent) => void
  /** Returns how to stop. */
  listen(listener: (event: InspectionEvent) => void): () => void
}

export const createTap = (): Tap => {
  const listeners = new Set<(event: InspectionEvent) => void>()
  return {
    inspect: event => {
      if (listeners.size === 0) return
      for (const listener of listeners) listener(event)
    },
    listen: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
