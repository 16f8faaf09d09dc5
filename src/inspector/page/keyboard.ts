/** Keys that work everywhere on the page; while somebody types into a field, only Escape does. */
import { logFilter } from './happened.ts'
import { WORDS } from './machine-layout.ts'
import { play, recording, step } from './replay.ts'
import { choose, chosen, linkFilter, shownRows } from './store.ts'
import { nextTheme } from './theme.ts'
import { helpOpen, view, words } from './views.ts'

export const LINK_FILTER_ID = 'link-filter'
export const LOG_FILTER_ID = 'log-filter'

export interface Shortcut {
  readonly keys: readonly string[]
  readonly what: string
  readonly run: (event: KeyboardEvent) => void
  readonly replayOnly?: true
}

const focus = (id: string): void => document.getElementById(id)?.focus()

/** The next link of the list, in either direction. */
const chooseNext = (by: 1 | -1): void => {
  const rows = shownRows.peek()
  const at = rows.findIndex(({ key }) => key === chosen.peek())
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.max(0, Math.min(rows.length - 1, at + by))
  choose(rows[next]?.key ?? null)
}

export const SHORTCUTS: readonly Shortcut[] = [
  { keys: ['/'], what: 'filter the links', run: () => focus(LINK_FILTER_ID) },
  { keys: ['f'], what: 'filter the log', run: () => focus(LOG_FILTER_ID) },
  { keys: ['j', 'ArrowDown'], what: 'next link', run: () => chooseNext(1) },
  { keys: ['k', 'ArrowUp'], what: 'previous link', run: () => chooseNext(-1) },
  { keys: ['1'], what: 'topology and machine', run: () => setView('both') },
  { keys: ['2'], what: 'topology alone', run: () => setView('topology') },
  { keys: ['3'], what: 'machine alone', run: () => setView('machine') },
  { keys: ['a'], what: 'more or fewer words in the machine', run: () => nextWords() },
  { keys: ['t'], what: 'dark, light, or as the system', run: nextTheme },
  { keys: [' '], what: 'play or pause the recording', run: play, replayOnly: true },
  { keys: ['.', 'ArrowRight'], what: 'next transition', run: () => step(1), replayOnly: true },
  { keys: [',', 'ArrowLeft'], what: 'previous transition', run: () => step(-1), replayOnly: true },
  { keys: ['>'], what: 'next transition of the chosen link', run: () => step(1, true), replayOnly: true },
  {
    keys: ['<'],
    what: 'previous transition of the chosen link',
    run: () => step(-1, true),
    replayOnly: true,
  },
  { keys: ['Escape'], what: 'let go of filter and choice', run: () => letGo() },
  { keys: ['?'], what: 'this list', run: () => toggleHelp() },
]

const setView = (next: typeof view.value): void => {
  view.value = next
}

const nextWords = (): void => {
  const all = ['auto', ...WORDS] as const
  words.value = all[(all.indexOf(words.peek()) + 1) % all.length] ?? 'auto'
}

const toggleHelp = (): void => {
  helpOpen.value = !helpOpen.peek()
}

/** What was done last goes first: a filter that is being typed, then the choice. */
const letGo = (): void => {
  const active = document.activeElement
  if (active instanceof HTMLInputElement) {
    if (active.id === LINK_FILTER_ID) linkFilter.value = ''
    if (active.id === LOG_FILTER_ID) logFilter.value = ''
    active.blur()
    return
  }
  if (linkFilter.peek() !== '') linkFilter.value = ''
  else choose(null)
}

/** Keys that elements use themselves: a button's space, a slider's arrows, a choice's letters, what scrolls by arrows. */
const isSpokenFor = ({ target, key }: KeyboardEvent): boolean => {
  if (key === 'Escape' || !(target instanceof Element)) return false
  if (target instanceof HTMLSelectElement) return true
  if (target instanceof HTMLInputElement) {
    if (target.type === 'checkbox') return key === ' '
    return target.type !== 'range' || key.startsWith('Arrow')
  }
  // A row that was clicked has the focus, but it has done what it can: space is the recording's.
  if (target instanceof HTMLButtonElement) return key === ' ' && target.tabIndex >= 0
  if (target.matches('summary')) return key === ' '
  return target.matches('[role="log"]') && key.startsWith('Arrow')
}

export const listenToKeys = (): void => {
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isSpokenFor(event)) return
    if (helpOpen.peek() && event.key !== '?') return
    const shortcut = SHORTCUTS.find(({ keys }) => keys.includes(event.key))
    if (shortcut === undefined || (shortcut.replayOnly && recording.peek() === null)) return
    event.preventDefault()
    shortcut.run(event)
  })
}
