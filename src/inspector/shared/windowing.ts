/** Which rows of a long list are worth drawing. Pure, so that it can be tested without a browser. */

export interface Window {
  /** The first row to draw, and the one behind the last. */
  readonly start: number
  readonly end: number
}

/** Rows drawn beyond each edge, so that a quick scroll finds something. */
const MARGIN_ROWS = 8

export const windowOf = (
  scrolledPx: number,
  heightPx: number,
  rowPx: number,
  rows: number,
  marginRows = MARGIN_ROWS,
): Window => {
  const first = Math.floor(Math.max(0, scrolledPx) / rowPx)
  const shown = Math.ceil(Math.max(0, heightPx) / rowPx)
  const start = Math.max(0, Math.min(first, rows) - marginRows)
  return { start, end: Math.min(rows, first + shown + marginRows) }
}

/** How far to scroll so that a row is to be seen; where it is already, not at all. */
export const scrolledTo = (row: number, scrolledPx: number, heightPx: number, rowPx: number): number => {
  const top = row * rowPx
  if (top < scrolledPx) return top
  if (top + rowPx > scrolledPx + heightPx) return top + rowPx - heightPx
  return scrolledPx
}
