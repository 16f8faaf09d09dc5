/** The daemon's options for `wayland` links: what is remembered of one connection. */
import type { Limits } from '../model/limits.ts'
import { limitOption, MILLION } from './limit-option.ts'
import type { Option } from './option-kinds.ts'

export const waylandOptions = <C extends { readonly limits: Limits }>(): readonly Option<C>[] => [
  limitOption(
    'waylandObjects',
    'wayland-max-registries',
    { min: 8, max: MILLION, unit: 'N' },
    'Registries of one connection, with the objects that destroy them; a client that makes more is refused.',
  ),
  limitOption(
    'waylandHiddenGlobals',
    'wayland-max-hidden-globals',
    { min: 8, max: MILLION, unit: 'N' },
    'Globals hidden from one connection; a compositor that announces more loses it.',
  ),
]
