/**
 * Two ways of waiting for one's turn, per key and without a timer: one by one, and one owner at a time.
 * Promises that a key nobody waits for leaves nothing behind.
 */

/** Runs what it is given for one key in the order of the calls. What it is given must not reject. */
export const oneByOne = <Key>(): (<A>(key: Key, effect: () => Promise<A>) => Promise<A>) => {
  const last = new Map<Key, Promise<unknown>>()
  return (key, effect) => {
    const before = last.get(key)
    const run = before === undefined ? effect() : before.then(effect)
    last.set(key, run)
    void run.then(() => {
      if (last.get(key) === run) last.delete(key)
    })
    return run
  }
}

export interface Exclusive<Owner> {
  /** Resolves when `owner` has the place; at once if it has it already. */
  take(place: string, owner: Owner): Promise<void>
  /** Gives the place to who waited longest. Nothing happens if `owner` does not have it. */
  free(place: string, owner: Owner): void
}

export const exclusive = <Owner>(): Exclusive<Owner> => {
  const places = new Map<string, { owner: Owner; readonly queue: { owner: Owner; go: () => void }[] }>()
  return {
    take(place, owner) {
      const held = places.get(place)
      if (held === undefined) {
        places.set(place, { owner, queue: [] })
        return Promise.resolve()
      }
      if (held.owner === owner) return Promise.resolve()
      return new Promise(go => held.queue.push({ owner, go }))
    },
    free(place, owner) {
      const held = places.get(place)
      if (held === undefined || held.owner !== owner) return
      const next = held.queue.shift()
      if (next === undefined) {
        places.delete(place)
        return
      }
      held.owner = next.owner
      next.go()
    },
  }
}
