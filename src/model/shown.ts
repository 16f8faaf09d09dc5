/** A value from outside in a few words, for messages to people: whatever it is, they stay short and it never throws. */

const SHOWN_CHARACTERS = 64

/** Nested values are named, not printed: printing a deep one would overflow the stack. */
export const shown = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object') return 'an object'
  if (typeof value !== 'string') return String(value)
  return value.length <= SHOWN_CHARACTERS
    ? JSON.stringify(value)
    : `${JSON.stringify(value.slice(0, SHOWN_CHARACTERS))}... (${value.length} characters)`
}
