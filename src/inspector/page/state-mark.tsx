/** A link's state as a colour and a shape, so that nobody has to tell colours apart. */
import { isWithin } from '../shared/definition.ts'
import { plainState } from '../shared/words.ts'

/** What a state looks like; `blocked` is the part of `pending` that needs somebody. */
export const toneOf = (state: string | null | undefined): string => {
  if (state === null || state === undefined) return 'absent'
  return isWithin(state, 'pending.blocked') ? 'blocked' : plainState(state)
}

const SHAPES: Readonly<Record<string, string>> = {
  pending: 'M8 2.6a5.4 5.4 0 1 0 0 10.8a5.4 5.4 0 1 0 0-10.8M8 5v3.2l2.1 1.4',
  blocked: 'M8 2.2L13.8 13H2.2zM8 6.4v3M8 11.2v.1',
  injecting: 'M8 2.6v7M4.8 6.8L8 10l3.2-3.2M3.4 13.2h9.2',
  mediating: 'M3.4 8.4l3 3l6.2-6.6',
  'tearing-down': 'M4.2 4.2l7.6 7.6M11.8 4.2l-7.6 7.6',
}

export const StateMark = ({ state }: { readonly state: string | null }) => {
  const tone = toneOf(state)
  return (
    <svg class="mark" data-tone={tone} viewBox="0 0 16 16" aria-hidden="true">
      <path d={SHAPES[tone] ?? 'M4 8h8'} />
    </svg>
  )
}

/** The state's name on its colour. */
export const StateChip = ({ state }: { readonly state: string }) => (
  <span class="chip" data-tone={toneOf(state)}>
    {state}
  </span>
)
