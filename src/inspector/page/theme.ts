/** Dark or light: as the system says, until somebody chooses; the choice is this browser's and outlives the page. */
import { signal } from '@preact/signals'

const THEMES = ['system', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

const KEPT_AS = 'pv-xconnect-inspector-theme'

const kept = (): Theme => {
  try {
    const text = localStorage.getItem(KEPT_AS)
    return THEMES.find(known => known === text) ?? 'system'
  } catch {
    // Storage may be forbidden: then the system decides.
    return 'system'
  }
}

export const theme = signal<Theme>(kept())

export const applyTheme = (): void => {
  document.documentElement.dataset['theme'] = theme.peek()
}

export const nextTheme = (): void => {
  theme.value = THEMES[(THEMES.indexOf(theme.peek()) + 1) % THEMES.length] ?? 'system'
  applyTheme()
  try {
    localStorage.setItem(KEPT_AS, theme.peek())
  } catch {
    // It holds for this page at least.
    return
  }
}
