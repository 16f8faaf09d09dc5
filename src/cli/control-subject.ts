/** Another process's daemon as a subject of the inspector: known by its control API alone, as anyone else would know it. */
import { LinkDetailsJson, type LinkJson } from '../control/shapes.ts'
import type { DaemonEvent } from '../events/event.ts'
import { E } from '../fp.ts'
import type { Subject } from '../inspector/contract.ts'
import { ofEvent } from '../inspector/happenings.ts'
import { countsOf, rowOfJson, sameCounts, sameRow } from '../inspector/rows.ts'
import type { About, Around, CounterRow, LinkRow } from '../inspector/shared/protocol.ts'
import { linkActorEvent, linkMovedEvents } from '../inspector/stately-events.ts'
import { askControl } from './control-client.ts'
import { type Followed, followDaemon } from './follow-daemon.ts'

const ANSWER_WITHIN_MS = 5000

export interface ControlSubjectOptions {
  readonly about: About
  /** The control socket. */
  readonly path: string
  /** The link machine's configuration as JSON text, for Stately's inspector. */
  readonly definition: string
}

export const createControlSubject = ({ about, path, definition }: ControlSubjectOptions): Subject => ({
  about,
  watch: watcher => {
    let rows = new Map<string, LinkRow>()
    let counted = new Map<string, CounterRow>()
    let around = ''

    const count = (links: readonly LinkJson[]): void => {
      const now = links.map(({ key, counters }) => countsOf(key, counters))
      const changed = now.filter(row => !sameCounts(counted.get(row[0]), row))
      counted = new Map(now.map(row => [row[0], row]))
      if (changed.length > 0) watcher.onCounters(changed)
    }

    return followDaemon(path, {
      onWhole: (whole, past) => {
        rows = rowsOf(whole)
        counted = new Map()
        around = JSON.stringify(aroundOf(whole))
        watcher.onWhole({ links: [...rows.values()], log: past.map(ofEvent), ...aroundOf(whole) })
        count(whole.links)
      },
      onLook: (now, events) => {
        const before = rows
        rows = rowsOf(now)
        const said = JSON.stringify(aroundOf(now))
        const update = {
          links: [...rows.values()].filter(row => {
            const known = before.get(row.key)
            return known === undefined || !sameRow(known, row)
          }),
          gone: [...before.keys()].filter(key => !rows.has(key)),
          log: events.map(ofEvent),
          ...(said === around ? {} : { around: aroundOf(now) }),
        }
        if (update.links.length + update.gone.length + update.log.length > 0 || said !== around)
          watcher.onUpdate(update)
        around = said
        count(now.links)
      },
      onDown: reason => watcher.onDown(reason),
    })
  },
  details: async key => {
    const asked = { path, timeoutMs: ANSWER_WITHIN_MS }
    const found = await askControl(asked, `/links/${encodeURIComponent(key)}`, LinkDetailsJson)
    return E.isLeft(found) ? null : { link: found.right, context: contextOf(found.right) }
  },
  actors: tell => {
    let states = new Map<string, string>()
    return followDaemon(path, {
      onWhole: ({ links }) => {
        states = new Map(links.map(link => [link.key, rowOfJson(link).state]))
        tell(links.map(link => linkActorEvent(knownLink(link), definition, Date.now())))
      },
      onLook: ({ links }, events) => {
        for (const link of links) {
          const { state } = rowOfJson(link)
          const before = states.get(link.key)
          if (before === state) continue
          states.set(link.key, state)
          if (before === undefined) tell([linkActorEvent(knownLink(link), definition, Date.now())])
          tell(linkMovedEvents(knownLink(link), lastEventOf(link.key, events), Date.now()))
        }
      },
      onDown: () => states.clear(),
    })
  },
})

const rowsOf = ({ links }: Followed): Map<string, LinkRow> =>
  new Map(links.map(link => [link.key, rowOfJson(link)]))

const aroundOf = ({ daemonState, conditions }: Followed): Around => ({ daemonState, conditions })

const lastEventOf = (key: string, events: readonly DaemonEvent[]): string => {
  const last = events.findLast(event => event.type === 'transition' && event.link === key)
  return last?.type === 'transition' ? last.event : 'link.wanted'
}

const knownLink = (link: LinkJson) => ({
  key: link.key,
  state: rowOfJson(link).state,
  context: contextOf(link),
})

/** What the control API tells of a machine's context, under the context's own names. */
const contextOf = (link: LinkJson): unknown => {
  const { key, verdict, attempt, retryDelayMs, lastError, since, planted, conditions } = link
  const { consumer, consumer_pid, provider, provider_pid, name, type, role, socket, target, uid } = link
  return {
    key,
    wanted: {
      link: {
        type,
        name,
        consumer,
        consumer_pid,
        provider,
        provider_pid,
        socket,
        target,
        role,
        interface: link.interface,
        uid,
      },
      verdict,
    },
    attempt,
    retryDelayMs,
    lastError: lastError?.error ?? null,
    since,
    mediation: planted === null ? null : { planted },
    conditions,
  }
}
