/** What the daemon tells, and what a recording holds, as entries of the page's log. Pure. */
import type { LinkTransition } from '../controller/links.ts'
import type { DaemonEvent } from '../events/event.ts'
import type { Happening } from './contract.ts'

export const NOTHING = { link: null, from: null, to: '', event: '', reason: '', pass: null } as const

export const ofTransition = (transition: LinkTransition): Happening => {
  const { link, from, to, event, reason, pass, at } = transition
  return { kind: 'transition', at, link, from, to, event, reason, pass }
}

const factsInWords = (facts: Readonly<Record<string, string | number>>): string =>
  Object.entries(facts)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')

export const ofEvent = (told: DaemonEvent): Happening => {
  const at = Date.parse(told.at)
  switch (told.type) {
    case 'transition': {
      const { link, from, to, event, reason, pass } = told
      return { kind: 'transition', at, link, from, to, event, reason, pass }
    }
    case 'verdict':
      return { ...NOTHING, kind: 'verdict', at, link: told.link, event: told.decision, reason: told.reason }
    case 'audit':
      return {
        ...NOTHING,
        kind: 'audit',
        at,
        link: told.link,
        event: told.event,
        reason: factsInWords(told.facts),
      }
    case 'graph':
      return {
        ...NOTHING,
        kind: 'graph',
        at,
        event: told.available ? 'graph read' : 'graph unavailable',
        reason: told.reason ?? `${told.links} links, ${told.rejected} rejected entries`,
      }
  }
}
