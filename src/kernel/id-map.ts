/** Maps of user namespaces (user_namespaces(7)): which id in there is which one outside. Pure: text in, numbers out. */

interface Range {
  readonly inside: number
  readonly outside: number
  readonly count: number
}

/** One line each, `inside outside count`, as `/proc/PID/uid_map` shows them to us. */
const rangesOf = (map: string): readonly Range[] =>
  map.split('\n').flatMap(line => {
    const [inside, outside, count] = line.trim().split(/\s+/).map(Number)
    return inside === undefined || outside === undefined || count === undefined
      ? []
      : [{ inside, outside, count }]
  })

/**
 * Our id for the root of a map's user namespace. A map without root has its first user instead: only ids of the map can own
 * files that were made inside. An empty one, of a process that is just being set up, maps nobody, and what is made belongs to
 * the host's root.
 */
export const rootOfMap = (map: string): number => {
  const ranges = rangesOf(map)
  return (ranges.find(({ inside }) => inside === 0) ?? ranges[0])?.outside ?? 0
}

/** How a namespace calls one of our ids; `undefined`: it has no name for it, and shows nobody. */
export const insideOf = (map: string, id: number): number | undefined => {
  const range = rangesOf(map).find(({ outside, count }) => id >= outside && id < outside + count)
  return range === undefined ? undefined : range.inside + (id - range.outside)
}

/** What an id of a namespace is for us; `undefined`: it has no such id. */
export const outsideOf = (map: string, id: number): number | undefined => {
  const range = rangesOf(map).find(({ inside, count }) => id >= inside && id < inside + count)
  return range === undefined ? undefined : range.outside + (id - range.inside)
}
