/** Numbers and times as people read them. Pure. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

export const bytesInWords = (bytes: number): string => {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${UNITS[unit]}`
}

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Two units at most: `3 h 05 min`. */
export const durationInWords = (ms: number): string => {
  if (ms < 0) return '0 s'
  if (ms < 10 * SECOND) return `${(ms / SECOND).toFixed(1)} s`
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${twoDigits((ms % MINUTE) / SECOND)} s`
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${twoDigits((ms % HOUR) / MINUTE)} min`
  return `${Math.floor(ms / DAY)} d ${twoDigits((ms % DAY) / HOUR)} h`
}

const twoDigits = (value: number): string => String(Math.floor(value)).padStart(2, '0')

/** `12:34:56.789`, in UTC as the daemon's log has it. */
export const clockTime = (at: number): string => new Date(at).toISOString().slice(11, 23)

/** The last word of a state: `blocked` of `pending.blocked`. */
export const plainState = (state: string): string => state.split('.', 1)[0] ?? state
