/** How the page is arranged: what somebody chose to see, which nothing else depends on. */
import { signal } from '@preact/signals'

export type CentreView = 'both' | 'topology' | 'machine'

export const view = signal<CentreView>('both')
/** Whether the machine's drawing names the actions on the way. */
export const showActions = signal(false)
export const helpOpen = signal(false)
