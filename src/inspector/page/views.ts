/** How the page is arranged: what somebody chose to see, which nothing else depends on. */
import { signal } from '@preact/signals'
import type { Words } from './machine-layout.ts'

export type CentreView = 'both' | 'topology' | 'machine'

export const view = signal<CentreView>('both')
/** How much the machine's drawing says; `auto`: as much as can be read at its size. */
export const words = signal<Words | 'auto'>('auto')
export const helpOpen = signal(false)
