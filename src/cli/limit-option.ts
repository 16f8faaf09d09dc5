/** Options that set one of the daemon's limits, whatever else a verb's configuration holds; and the units that their ranges are in. */
import type { Limits, NumericLimit } from '../model/limits.ts'
import { integerOption, type Option, type OptionKind } from './option-kinds.ts'

export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS
export const KIB = 1024
export const MIB = 1024 * KIB
export const MILLION = 1_000_000

export const limitOption = <C extends { readonly limits: Limits }>(
  key: NumericLimit,
  flag: string,
  range: Omit<Extract<OptionKind, { readonly _tag: 'integer' }>, '_tag'>,
  help: string,
): Option<C> =>
  integerOption({ flag, help }, range, {
    get: config => config.limits[key],
    set: (config, value) => ({ ...config, limits: { ...config.limits, [key]: value } }),
  })
