/** Live events: from a stream of server-sent events back to values, and from values to lines for people. Pure. */

import type * as t from 'io-ts'
import { EVENT_CODECS, type EventType, type StreamEvent } from '../events/event.ts'
import { E } from '../fp.ts'
import { counted, printable } from './render.ts'

/** Takes a text in pieces, however it is cut; gives the events that are whole. What it does not know it leaves out. */
export const eventReader = (): ((text: string) => readonly StreamEvent[]) => {
  let rest = ''
  return text => {
    const blocks = (rest + text).split('\n\n')
    rest = blocks.pop() ?? ''
    return blocks.flatMap(block => eventIn(block) ?? [])
  }
}

const isType = (name: string): name is EventType => Object.hasOwn(EVENT_CODECS, name)

const eventIn = (block: string): StreamEvent | undefined => {
  const fields = new Map(
    block.split('\n').map(line => {
      const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? []
      return [name, value]
    }),
  )
  const type = fields.get('event') ?? ''
  if (!isType(type)) return undefined
  try {
    const decoded: t.Validation<StreamEvent> = EVENT_CODECS[type].decode(JSON.parse(fields.get('data') ?? ''))
    return E.isRight(decoded) ? decoded.right : undefined
  } catch {
    return undefined
  }
}

/** Whose event it is; `null`: it concerns all. */
export const linkOf = (event: StreamEvent): string | null => ('link' in event ? event.link : null)

/** A line, without its end; `null`: there is nothing to see. */
export const eventText = (event: StreamEvent): string | null => {
  switch (event.type) {
    case 'transition': {
      const { event: why, reason, from, to } = event
      const words = reason === why ? why : `${why}: ${reason}`
      return line(event.at, event.link, `${from ?? '(new)'} -> ${to}  (${words})`)
    }
    case 'verdict':
      return line(event.at, event.link, `${event.decision}: ${event.reason}`)
    case 'audit': {
      const facts = Object.entries(event.facts).map(([name, value]) => ` ${name}=${value}`)
      return line(event.at, event.link, `audit ${event.event}${facts.join('')}`)
    }
    case 'graph':
      return line(event.at, 'graph', graphWords(event))
    case 'missed':
      return `(${counted(event.count, 'event')} missed: they came faster than they were read)`
    case 'hello':
      return null
  }
}

const graphWords = ({
  available,
  links,
  rejected,
  reason,
}: Extract<StreamEvent, { readonly type: 'graph' }>): string =>
  available
    ? `${counted(links, 'link')}${rejected === 0 ? '' : `, ${counted(rejected, 'entry', 'entries')} rejected`}`
    : `cannot be read: ${reason ?? 'nobody says why'}`

const line = (at: string, who: string, what: string): string => `${at}  ${printable(who)}  ${printable(what)}`
