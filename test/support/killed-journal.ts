/** A journal that throws at a step, as if the process were killed there: nothing of it runs on. */
import type { Journal } from '../../src/toolbox/journal.ts'

export const KILLED = new Error('killed')

/** Throws when the given call comes, or when it has been carried out. */
export const killedAt = (journal: Journal, step: number, when: 'before' | 'after'): Journal => {
  let calls = 0
  const counted = <A>(call: () => A): A => {
    calls += 1
    if (calls === step && when === 'before') throw KILLED
    const result = call()
    if (calls === step) throw KILLED
    return result
  }
  return {
    ...journal,
    announce: what => counted(() => journal.announce(what)),
    made: (id, what) => counted(() => journal.made(id, what)),
    granted: what => counted(() => journal.granted(what)),
    gone: id => counted(() => journal.gone(id)),
  }
}
