/**
 * Whether the names in a directory may have changed since they were looked at, told by the directory's time of change
 * (ctime), so that one look at the directory saves one at each name. Pure: it is handed what was seen, and when.
 *
 * Naming, renaming and removing sets that time, and nobody can set it to a time of their choice (utimensat(2) sets it, too).
 * But it is as coarse as the clock of the file system: two changes may have the same time, and a look between them would
 * see the first alone. So a time proves nothing until it has been seen for longer than the clock of any file system stands
 * still: from then on, what changes gets a later one. Whether that clock agrees with ours does not matter.
 */

/** As statx(2) has it. */
export interface ChangeTime {
  readonly seconds: bigint
  readonly nanoseconds: number
}

/** The kernel's coarse clock, which file systems read, stands still for a jiffy: at most 10 ms. */
const FINE_MS = 100
/** File systems that count in seconds (ext4 with small inodes, JFFS2) have no fraction; we hold no socket on FAT. */
const COARSE_MS = 2500

export interface Contents {
  /**
   * To be told the time of change, or `undefined` where it is not known, before the names are looked at; `now` in
   * milliseconds that never go back. The same number as before: no name has changed since that was given, and there is
   * no need to look.
   */
  seen(changed: ChangeTime | undefined, now: number): number
}

const isSame = (a: ChangeTime, b: ChangeTime): boolean =>
  a.nanoseconds === b.nanoseconds && a.seconds === b.seconds

export const createContents = (): Contents => {
  let version = 0
  let last: ChangeTime | undefined
  let lastSince = 0
  let settled = false

  return {
    seen(changed, now) {
      if (changed === undefined || last === undefined || !isSame(changed, last)) {
        last = changed
        lastSince = now
        settled = false
        version += 1
        return version
      }
      if (settled) return version
      // This look is still one at the names: it is the first after which no change can go unseen.
      settled = now - lastSince > (changed.nanoseconds === 0 ? COARSE_MS : FINE_MS)
      version += 1
      return version
    },
  }
}
