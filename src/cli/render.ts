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

const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** How long, with the two largest units: `7s`, `3m12s`, `2h5m`, `4d11h`. */
export const duration = (ms: number): string => {
  const whole = (unit: number): number => Math.floor(Math.max(0, ms) / unit)
  if (ms < MINUTE_MS) return `${whole(SECOND_MS)}s`
  if (ms < HOUR_MS) return `${whole(MINUTE_MS)}m${whole(SECOND_MS) % 60}s`
  if (ms < DAY_MS) return `${whole(HOUR_MS)}h${whole(MINUTE_MS) % 60}m`
  return `${whole(DAY_MS)}d${whole(HOUR_MS) % 24}h`
}

const BYTE_UNITS = ['kB', 'MB', 'GB', 'TB', 'PB']

/** `0 B`, `999 B`, `1.2 kB`, `34.5 MB`: powers of a thousand. */
export const byteCount = (bytes: number): string => {
  if (bytes < 1000) return `${bytes} B`
  let value = bytes
  let unit = ''
  for (const larger of BYTE_UNITS) {
    // 999.95 would be shown as 1000.0.
    if (unit !== '' && value < 999.95) break
    value /= 1000
    unit = larger
  }
  return `${value.toFixed(1)} ${unit}`
}

/** Every line of the text moved to the right. */
export const indented = (text: string, indent: string): string => text.replace(/^(?=.)/gm, indent)
