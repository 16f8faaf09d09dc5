/**
 * The names of a recording that is followed by the next one: `FILE`, `FILE.1`, the youngest of the older ones, and so on.
 * Promises that there is a whole file called `FILE` at any moment, once there was one, also for whoever looks after a kill;
 * and that nothing but plain files is moved: a folder or a link that somebody has put there stays, and is an error.
 */
import { link, lstat, rename } from 'node:fs/promises'

/** The word of the system, or what else there is to say. */
export const errnoOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return 'code' in error ? String(error.code) : error.message
}

/** `undefined`: there is nothing of that name. */
const whatIsAt = async (name: string) => {
  try {
    return await lstat(name)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Older files move on by one name, as far as it takes to get the first one free; if none is, the oldest is replaced. The
 * newest gets its second name before the first is taken from it: there is a file of that name at any moment.
 */
export const makeRoom = async (path: string, older: number): Promise<void> => {
  const names = [path, ...Array.from({ length: older }, (_, index) => `${path}.${index + 1}`)]
  const found = await Promise.all(names.map(whatIsAt))
  for (const [index, each] of found.entries()) {
    if (each?.isFile() === false) throw new Error(`${names[index]} is no file, and is left as it is`)
  }
  const [newest, second] = found
  if (newest === undefined || older === 0) return
  // Somebody was killed right here.
  if (second !== undefined && second.ino === newest.ino && second.dev === newest.dev) return
  const free = found.indexOf(undefined)
  for (let to = free === -1 ? older : free; to > 1; to -= 1) {
    await rename(`${path}.${to - 1}`, `${path}.${to}`)
  }
  // A disk may know no second names, as vfat.
  await link(path, `${path}.1`).catch(() => rename(path, `${path}.1`))
}
