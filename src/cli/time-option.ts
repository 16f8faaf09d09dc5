/** A moment of a recording, as people type it: `1500` (milliseconds), `90s`, `5m`, `2h`, or a time of the day's clock. Pure. */
import { E } from '../fp.ts'

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

export const TIME_FORM = {
  placeholder: 'TIME',
  allowed: 'milliseconds, 90s, 5m, 2h, or an ISO 8601 time',
} as const

/** Milliseconds since the recording began, or milliseconds since the epoch. */
export type Moment =
  | { readonly _tag: 'Since'; readonly ms: number }
  | { readonly _tag: 'Wall'; readonly ms: number }

export const momentIn = (text: string): E.Either<string, Moment> => {
  const [, digits, unit = 'ms'] = /^(\d{1,15}(?:\.\d{1,6})?)(ms|s|m|h)?$/.exec(text) ?? []
  if (digits !== undefined) return E.right({ _tag: 'Since', ms: Number(digits) * (UNITS_MS[unit] ?? 1) })
  const wall = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(wall)
    ? E.left(`is ${JSON.stringify(text)}; give ${TIME_FORM.allowed}`)
    : E.right({ _tag: 'Wall', ms: wall })
}
