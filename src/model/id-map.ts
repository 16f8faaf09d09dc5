/**
 * What a user namespace's map says: ids as its processes number them, and the same ids as we do (user_namespaces(7)).
 * Pure: it is handed the text of `/proc/PID/uid_map` or `gid_map`.
 */

interface Range {
  readonly inside: number
  readonly outside: number
  readonly count: number
}

/** In the order of the map; ranges never overlap. Without any, nobody is mapped: the namespace is just being set up. */
export type IdMap = readonly Range[]

/** For a namespace that is our own: every number means the same on both sides. */
export const SAME_IDS: IdMap = [{ inside: 0, outside: 0, count: 0xffff_ffff }]

/** Each line is `inside outside count`. */
export const idMapOf = (text: string): IdMap =>
  text.split('\n').flatMap(line => {
    const [inside, outside, count] = line.trim().split(/\s+/).map(Number)
    return inside === undefined || outside === undefined || count === undefined
      ? []
      : [{ inside, outside, count }]
  })

/** Our id for one of the namespace's; `undefined`: it is not mapped. */
export const outsideOf = (map: IdMap, id: number): number | undefined => {
  const range = map.find(({ inside, count }) => id >= inside && id < inside + count)
  return range === undefined ? undefined : id - range.inside + range.outside
}

/** The namespace's id for one of ours; `undefined`: it is not mapped, and shows as the overflow id, 65534. */
export const insideOf = (map: IdMap, id: number): number | undefined => {
  const range = map.find(({ outside, count }) => id >= outside && id < outside + count)
  return range === undefined ? undefined : id - range.outside + range.inside
}
