/** Values that several links have in common, by name: made with the first, closed with the last. */
import type { Shared } from './contract.ts'

interface Closable {
  close(): void
}

interface Entry {
  readonly value: Closable
  users: number
}

export interface SharedValues {
  /** `type` keeps the names of different plugins apart. */
  of<T extends Closable>(type: string, name: string, make: () => T): Shared<T>
}

export const createSharedValues = (): SharedValues => {
  const entries = new Map<string, Entry>()
  return {
    of: <T extends Closable>(type: string, name: string, make: () => T): Shared<T> => {
      const id = `${type}\0${name}`
      const entry = entries.get(id) ?? { value: make(), users: 0 }
      entries.set(id, entry)
      entry.users += 1
      let released = false
      return {
        // One plugin's code makes and asks: what is under its name is what it made.
        value: entry.value as T,
        release: () => {
          if (released) return
          released = true
          entry.users -= 1
          if (entry.users > 0) return
          if (entries.get(id) === entry) entries.delete(id)
          entry.value.close()
        },
      }
    },
  }
}
