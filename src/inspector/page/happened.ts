/**
 * What happened, as signals: the log with its filter, and what the chosen link went through on its machine.
 * Keeps so much and no more, however long the page is open; a recording's entries are all kept.
 */
import { computed, signal } from '@preact/signals'
import type { MachineDefinition, TransitionDefinition } from '../shared/definition.ts'
import { parseFilter, passes } from '../shared/filter.ts'
import type { LogEntry } from '../shared/protocol.ts'
import { routeOf, type Step } from '../shared/route.ts'
import { about, chosen, details, machine, position } from './store.ts'

/** As many entries of the log as the page keeps. */
const MOST_ENTRIES = 20_000

export const logFilter = signal('')

let entries: LogEntry[] = []
let entriesOfLink = new Map<string, LogEntry[]>()
const logVersion = signal(0)

const remember = (fresh: readonly LogEntry[]): void => {
  for (const entry of fresh) {
    entries.push(entry)
    if (entry.link === null) continue
    const own = entriesOfLink.get(entry.link)
    if (own === undefined) entriesOfLink.set(entry.link, [entry])
    else own.push(entry)
  }
}

/** Only now and then, by a quarter: to shift for each entry would cost more than all else. */
const forgetOldest = (): void => {
  if (about.peek()?.mode === 'replay' || entries.length < MOST_ENTRIES * 1.25) return
  const kept = entries.slice(-MOST_ENTRIES)
  entries = []
  entriesOfLink = new Map()
  remember(kept)
}

export const addEntries = (fresh: readonly LogEntry[]): void => {
  if (fresh.length === 0) return
  remember(fresh)
  forgetOldest()
  logVersion.value += 1
}

export const setEntries = (all: readonly LogEntry[]): void => {
  entries = []
  entriesOfLink = new Map()
  remember(all)
  logVersion.value += 1
}

/** Entries up to the position, from the oldest. */
const happened = computed<readonly LogEntry[]>(() => {
  logVersion.value
  return position.value === null ? [...entries] : entries.slice(0, position.value)
})

const LOG_FIELDS = ['kind', 'link', 'from', 'to', 'event']

/** `true`: the log shows the chosen link's alone. */
export const onlyChosen = signal(false)

export const shownEntries = computed<readonly LogEntry[]>(() => {
  const filter = parseFilter(logFilter.value, LOG_FIELDS)
  const only = onlyChosen.value ? chosen.value : null
  if (filter.length === 0 && only === null) return happened.value
  return happened.value.filter(
    entry =>
      (only === null || entry.link === only) &&
      passes(
        filter,
        {
          kind: entry.kind,
          link: entry.link ?? '',
          from: entry.from ?? '',
          to: entry.to,
          event: entry.event,
        },
        `${entry.kind} ${entry.link ?? ''} ${entry.from ?? ''} ${entry.to} ${entry.event} ${entry.reason}`,
      ),
  )
})

/** Of the chosen link, up to the position. */
export const chosenEntries = computed<readonly LogEntry[]>(() => {
  logVersion.value
  const own = chosen.value === null ? [] : (entriesOfLink.get(chosen.value) ?? [])
  const until = position.value
  return own.filter(({ kind, n }) => kind === 'transition' && (until === null || n < until))
})

export interface Taken {
  /** How often each of the machine's transitions was taken, by its id. */
  readonly counts: ReadonlyMap<string, number>
  /** The last ones, and the entry that tells of them. */
  readonly last: readonly TransitionDefinition[]
  readonly lastEntry: LogEntry | undefined
}

let routes = new Map<string, readonly TransitionDefinition[]>()
let routesIn: MachineDefinition | null = null

/** A link that comes and goes takes few ways, ten thousand times: each is looked for once. */
const routeBy = (definition: MachineDefinition, step: Step): readonly TransitionDefinition[] => {
  if (definition !== routesIn) {
    routes = new Map()
    routesIn = definition
  }
  const way = `${step.from}\0${step.to}\0${step.event}`
  const known = routes.get(way) ?? routeOf(definition, step)
  routes.set(way, known)
  return known
}

/** What the chosen link has gone through, on its machine. */
export const taken = computed<Taken>(() => {
  const definition = machine.value
  const counts = new Map<string, number>()
  let last: readonly TransitionDefinition[] = []
  const first = chosenEntries.value[0]?.at ?? Number.POSITIVE_INFINITY
  // What the daemon remembers of the time before the log begins.
  const earlier = position.value === null ? (details.value?.link.transitions ?? []) : []
  for (const { from, to, event, times, lastAt } of earlier) {
    if (definition === null || Date.parse(lastAt) >= first) continue
    last = routeBy(definition, { from, to, event })
    for (const { id } of last) counts.set(id, (counts.get(id) ?? 0) + times)
  }
  for (const { from, to, event } of chosenEntries.value) {
    last = definition === null ? [] : routeBy(definition, { from, to, event })
    for (const { id } of last) counts.set(id, (counts.get(id) ?? 0) + 1)
  }
  return { counts, last, lastEntry: chosenEntries.value.at(-1) }
})
