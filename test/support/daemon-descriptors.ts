/** What descriptors a daemon may hold: counted by kind, against what it held when it had nothing to do yet. */

/** Descriptors by kind: the numbers of sockets and pipes are never the same. */
const kindsOf = (descriptors: readonly string[]): Readonly<Record<string, number>> => {
  const kinds: Record<string, number> = {}
  for (const each of descriptors) {
    const kind = each.replace(/:\[\d+\]$/, '')
    kinds[kind] = (kinds[kind] ?? 0) + 1
  }
  return kinds
}

/**
 * What it may keep: opened once, at its first entry into a namespace, to find its way home (the namespaces, its root, its
 * folder); and 16 idle pairs of pipes for the next large transfers.
 */
const MAY_KEEP: Readonly<Record<string, number>> = { mnt: 1, net: 1, '/': 1, [process.cwd()]: 1, pipe: 32 }

/** What `now` has more than `before`, by kind. */
export const grown = (before: readonly string[], now: readonly string[]): readonly string[] => {
  const had = kindsOf(before)
  return Object.entries(kindsOf(now))
    .filter(([kind, count]) => count > (had[kind] ?? 0) + (MAY_KEEP[kind] ?? 0))
    .map(([kind, count]) => `${kind}: ${had[kind] ?? 0} at first, ${count} now`)
}
