/** "Did you mean": the known word nearest to what was typed, or nothing when none is near enough to be meant. */

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
export const distance = (a: string, b: string): number => {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= b.length; column += 1) {
      const replaced = at(last, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1)
      let cheapest = Math.min(replaced, at(last, column) + 1, at(current, column - 1) + 1)
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) cheapest = Math.min(cheapest, at(beforeLast, column - 2) + 1)
      current.push(cheapest)
    }
    beforeLast = last
    last = current
  }
  return at(last, b.length)
}

const at = (row: readonly number[], column: number): number => row[column] ?? Number.POSITIVE_INFINITY

export const nearest = (typed: string, known: readonly string[]): string | undefined => {
  let best: { readonly word: string; readonly distance: number } | undefined
  for (const word of known) {
    const candidate = { word, distance: distanceTyped(typed, word) }
    if (best === undefined || candidate.distance < best.distance) best = candidate
  }
  const enough = Math.max(2, Math.floor(typed.length / 3))
  return best !== undefined && best.distance <= enough && best.distance < typed.length ? best.word : undefined
}

/** A beginning of three letters or more is as good as a typing error: `--max-conn`, `ver`. */
const distanceTyped = (typed: string, word: string): number =>
  typed.length >= 3 && word.startsWith(typed) ? 1 : distance(typed.toLowerCase(), word)

/** What to add to a complaint about a word that nobody knows. */
export const meant = (near: string | undefined): string =>
  near === undefined ? '' : `; did you mean ${near}?`
