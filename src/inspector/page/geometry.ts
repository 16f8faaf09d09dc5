/** Boxes and lines of the drawings. Pure. */

export interface Point {
  readonly x: number
  readonly y: number
}

export interface Box extends Point {
  readonly width: number
  readonly height: number
}

export const overlaps = (a: Box, b: Box): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height

/** The smallest box around some; empty at the origin for none. */
export const around = (boxes: readonly Box[]): Box => {
  if (boxes.length === 0) return { x: 0, y: 0, width: 0, height: 0 }
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity]
  for (const { x, y, width, height } of boxes) {
    left = Math.min(left, x)
    top = Math.min(top, y)
    right = Math.max(right, x + width)
    bottom = Math.max(bottom, y + height)
  }
  return { x: left, y: top, width: right - left, height: bottom - top }
}

const CORNER = 10

const clamp = (value: number, low: number, high: number): number =>
  low > high ? (low + high) / 2 : Math.max(low, Math.min(high, value))

/** Where a line that goes to a point leaves a box: on the side that faces it. */
export const attach = (box: Box, to: Point): Point => {
  const { x, y, width, height } = box
  if (to.y > y + height || to.y < y) {
    return { x: clamp(to.x, x + CORNER, x + width - CORNER), y: to.y < y ? y : y + height }
  }
  return { x: to.x < x ? x : x + width, y: clamp(to.y, y + CORNER, y + height - CORNER) }
}

const at = ({ x, y }: Point): string => `${Math.round(x * 10) / 10},${Math.round(y * 10) / 10}`

const between = (a: Point, b: Point): Point => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 })

/** A line through points, its corners rounded, as an SVG path. */
export const smoothPath = (points: readonly Point[]): string => {
  const [first, ...rest] = points
  const last = rest.at(-1)
  if (first === undefined || last === undefined) return ''
  const curves = rest.slice(0, -1).map((point, index) => {
    const next = rest[index + 1] ?? last
    return `Q${at(point)} ${at(index + 2 < rest.length ? between(point, next) : last)}`
  })
  return `M${at(first)}${curves.length === 0 ? `L${at(last)}` : curves.join('')}`
}

/** From a right side to a left side, leaving and arriving level. */
export const linkPath = (from: Point, to: Point): string => {
  const reach = Math.max(36, Math.abs(to.x - from.x) / 2, to.x < from.x ? 90 : 0)
  return `M${at(from)}C${at({ x: from.x + reach, y: from.y })} ${at({ x: to.x - reach, y: to.y })} ${at(to)}`
}
