/** A replay as text: a line for each transition, how the links ended up, and where it left the recording. Pure. */
import { reasonFor } from '../control/views.ts'
import type { LinkTransition, LinkView } from '../controller/links.ts'
import type { Divergence, Moved } from '../replay/contract.ts'
import { type Column, counted, duration, printable, renderTable } from './render.ts'

/** Seconds since the recording began, so that columns stand. */
export const secondsText = (t: number): string => (t / 1000).toFixed(3).padStart(9)

export const transitionText = ({ link, from, to, event, reason }: LinkTransition, t: number): string => {
  const why = reason === event ? event : `${event}: ${reason}`
  return `${secondsText(t)}  ${printable(link)}  ${from ?? '(new)'} -> ${to}  (${printable(why)})\n`
}

/** In the form of a recording's own lines, so that two replays can be compared byte for byte. */
export const transitionLine = ({ link, from, to, event, reason, pass }: LinkTransition, t: number): string =>
  `${JSON.stringify({ t, kind: 'transition', link, from, to, event, reason, pass })}\n`

const LINK_COLUMNS: readonly Column[] = [
  { title: 'STATE', cut: 'never' },
  { title: 'LINK', cut: 'middle' },
  { title: 'REASON', cut: 'end' },
]

/** How the links are at the end. */
export const linksText = (views: readonly LinkView[], width: number | undefined): string => {
  if (views.length === 0) return 'There are no links at that moment.\n'
  const rows = [...views]
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(view => [view.state, view.key, reasonFor(view) ?? ''])
  return renderTable(LINK_COLUMNS, rows, width)
}

const MINUTE_MS = 60_000

export const summaryText = (transitions: number, links: number, t: number, compared: string): string => {
  const time = t < MINUTE_MS ? `${(t / 1000).toFixed(1)}s` : duration(t)
  return `${counted(transitions, 'transition')} of ${counted(links, 'link')} in ${time}${compared}\n`
}

const SIDE_COLUMNS: readonly Column[] = [
  { title: '', cut: 'never' },
  { title: 'SECONDS', cut: 'never' },
  { title: 'RECORDED', cut: 'never' },
  { title: 'SECONDS', cut: 'never' },
  { title: 'REPLAYED', cut: 'never' },
]

const movedText = (moved: Moved | null): string =>
  moved === null ? '(nothing)' : `${moved.from ?? '(new)'} -> ${moved.to} (${moved.event})`

const timeText = (moved: Moved | null): string => (moved === null ? '' : secondsText(moved.t).trim())

/** Side by side: what both agreed on, and where they part. */
export const divergenceText = ({ recorded, replayed, before }: Divergence): string => {
  const rows = [
    ...before.map(moved => ['', timeText(moved), movedText(moved), timeText(moved), movedText(moved)]),
    ['>', timeText(recorded), movedText(recorded), timeText(replayed), movedText(replayed)],
  ]
  const why = [
    ...(recorded === null || recorded.reason === recorded.event ? [] : [`  recorded: ${recorded.reason}`]),
    ...(replayed === null || replayed.reason === replayed.event ? [] : [`  replayed: ${replayed.reason}`]),
  ]
  return `${renderTable(SIDE_COLUMNS, rows)}${why.map(line => `${printable(line)}\n`).join('')}`
}
