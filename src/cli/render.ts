/**
 * Tables and text for a terminal: pure, strings in, strings out.
 * Cells come from outside, so control characters are shown instead of sent: a name cannot move the cursor.
 */

export interface Column {
  readonly title: string
  /** Where a cell that is too long loses characters; `never`: it is not shortened, whatever the width. */
  readonly cut: 'end' | 'middle' | 'never'
}

const GAP = '  '
/** A cell cut below this says nothing any more. */
const MIN_CUT_WIDTH = 8
const ELLIPSIS = '…'

/** A header and a line per row, columns aligned, no blanks at the ends. Absent `width`: nothing is cut. */
export const renderTable = (
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = Number.POSITIVE_INFINITY,
): string => {
  const shown = rows.map(row => columns.map((_, index) => printable(row[index] ?? '')))
  const natural = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...shown.map(row => displayWidth(row[index] ?? ''))),
  )
  const widths = fit(columns, natural, width)
  const line = (cells: readonly string[]): string =>
    columns
      .map((column, index) => {
        const cellWidth = widths[index] ?? 0
        return padTo(cut(cells[index] ?? '', cellWidth, column.cut), cellWidth)
      })
      .join(GAP)
      .trimEnd()
  return [columns.map(column => column.title), ...shown].map(cells => `${line(cells)}\n`).join('')
}

/** The widest column that may be cut gives way, a character at a time, until the line fits or nothing can give. */
const fit = (columns: readonly Column[], natural: readonly number[], width: number): readonly number[] => {
  const widths = [...natural]
  const gaps = GAP.length * Math.max(0, columns.length - 1)
  let excess = widths.reduce((sum, each) => sum + each, gaps) - width
  while (excess > 0) {
    const widest = widestOf(columns, widths)
    if (widest === undefined) return widths
    widths[widest.index] = widest.width - 1
    excess -= 1
  }
  return widths
}

const widestOf = (
  columns: readonly Column[],
  widths: readonly number[],
): { readonly index: number; readonly width: number } | undefined => {
  let widest: { readonly index: number; readonly width: number } | undefined
  for (const [index, column] of columns.entries()) {
    const width = widths[index] ?? 0
    const least = Math.max(MIN_CUT_WIDTH, displayWidth(column.title))
    if (column.cut !== 'never' && width > least && width > (widest?.width ?? 0)) widest = { index, width }
  }
  return widest
}

const cut = (cell: string, width: number, where: Column['cut']): string => {
  if (where === 'never' || displayWidth(cell) <= width) return cell
  const kept = width - displayWidth(ELLIPSIS)
  if (where === 'end') return head(cell, kept) + ELLIPSIS
  const tail = Math.floor(kept / 2)
  return head(cell, kept - tail) + ELLIPSIS + reversed(head(reversed(cell), tail))
}

const head = (text: string, width: number): string => {
  let taken = ''
  let used = 0
  for (const char of text) {
    used += charWidth(char)
    if (used > width) break
    taken += char
  }
  return taken
}

const reversed = (text: string): string => [...text].reverse().join('')

const padTo = (text: string, width: number): string =>
  text + ' '.repeat(Math.max(0, width - displayWidth(text)))

/** Columns a text takes on a terminal. */
export const displayWidth = (text: string): number => {
  let width = 0
  for (const char of text) width += charWidth(char)
  return width
}

/** East Asian wide characters and emoji take two columns, combining marks none (UAX #11, roughly). */
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u
const ZERO = /^(?:\p{Mn}|\p{Me}|[\u200b-\u200d])$/u

const charWidth = (char: string): number => (ZERO.test(char) ? 0 : WIDE.test(char) ? 2 : 1)

/** The text with control characters spelled out, C1 and direction overrides included. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, char => {
    const code = char.codePointAt(0) ?? 0
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`
  })

/** Words of a paragraph in lines of at most `columns`, each with the indent; a longer word stays whole. */
export const wrap = (text: string, columns: number, indent: string): string => {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`
    if (line !== '' && displayWidth(indent) + displayWidth(longer) > columns) {
      lines.push(indent + line)
      line = word
    } else {
      line = longer
    }
  }
  return [...lines, indent + line].join('\n')
}

/** `1 link`, `3 links`. */
export const counted = (count: number, noun: string, plural = `${noun}s`): string =>
  `${count} ${count === 1 ? noun : plural}`
