/**
 * What people type into the filters of the page: words that must all be found, some of them in one field alone. Pure.
 * `state:pending type:rest nginx` shows pending links of type rest with nginx anywhere in their key; `-word` leaves out.
 */

export interface Term {
  /** `null`: anywhere. */
  readonly field: string | null
  readonly text: string
  readonly excluded: boolean
}

export type Filter = readonly Term[]

/** `fields`: those that may be asked for by name; any other word with a colon in it is just a word. */
export const parseFilter = (typed: string, fields: readonly string[]): Filter =>
  typed
    .toLowerCase()
    .split(/\s+/)
    .filter(word => word !== '' && word !== '-')
    .map(word => {
      const excluded = word.startsWith('-')
      const plain = excluded ? word.slice(1) : word
      const colon = plain.indexOf(':')
      const field = plain.slice(0, Math.max(colon, 0))
      return fields.includes(field)
        ? { field, text: plain.slice(colon + 1), excluded }
        : { field: null, text: plain, excluded }
    })

/** `anywhere`: what words without a field are looked for in. */
export const passes = (
  filter: Filter,
  values: Readonly<Record<string, string>>,
  anywhere: string,
): boolean => {
  if (filter.length === 0) return true
  const all = anywhere.toLowerCase()
  return filter.every(({ field, text, excluded }) => {
    const found = field === null ? all.includes(text) : (values[field] ?? '').toLowerCase().includes(text)
    return found !== excluded
  })
}
