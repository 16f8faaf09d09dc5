/**
 * What the page knows of links, as signals: every part of it draws what it reads here, and is drawn again when that changes.
 * One signal a link, so that a thousand links on the screen cost nothing while one of them moves. Holds no DOM and asks
 * no server; `messages.ts` fills it, and `replay.ts` moves it along a recording. What happened is in `happened.ts`.
 */
import { batch, computed, effect, type ReadonlySignal, type Signal, signal } from '@preact/signals'
import { isWithin, type MachineDefinition } from '../shared/definition.ts'
import { type Filter, parseFilter, passes } from '../shared/filter.ts'
import type { About, Around, CounterRow, Details, LinkRow } from '../shared/protocol.ts'
import { plainState } from '../shared/words.ts'

export type Connection = 'connecting' | 'open' | 'lost' | 'down'

export const about = signal<About | null>(null)
export const machine = signal<MachineDefinition | null>(null)
export const around = signal<Around>({ daemonState: null, conditions: [] })
export const connection = signal<Connection>('connecting')
/** Why there is nothing to see, where the server says so. */
export const downReason = signal('')

/** Every link that is or was there, by its key; the row is `null` while it is not. */
const rows = new Map<string, Signal<LinkRow | null>>()
/** Grows whenever any row changes: for what depends on all of them. */
const rowsVersion = signal(0)
/** Keys of all links that are drawn; a recording has them all from the beginning. */
export const knownLinks = signal<readonly LinkRow[]>([])

/** The row of a link, now and from now on. */
export const rowOf = (key: string): ReadonlySignal<LinkRow | null> => slotOf(key)

const slotOf = (key: string): Signal<LinkRow | null> => {
  const known = rows.get(key)
  if (known !== undefined) return known
  const fresh = signal<LinkRow | null>(null)
  rows.set(key, fresh)
  return fresh
}

export const presentRows = computed<readonly LinkRow[]>(() => {
  rowsVersion.value
  return [...rows.values()]
    .flatMap(row => row.peek() ?? [])
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
})

export const STATES = ['pending', 'injecting', 'mediating', 'tearing-down'] as const

/** How many links are in each state; blocked ones are pending, and counted once more. */
export const stateCounts = computed<Readonly<Record<string, number>>>(() => {
  const counts: Record<string, number> = {
    pending: 0,
    injecting: 0,
    mediating: 0,
    'tearing-down': 0,
    blocked: 0,
  }
  for (const { state } of presentRows.value) {
    const plain = plainState(state)
    counts[plain] = (counts[plain] ?? 0) + 1
    if (isWithin(state, 'pending.blocked')) counts['blocked'] = (counts['blocked'] ?? 0) + 1
  }
  return counts
})

// What is chosen, and what is left out.

export const chosen = signal<string | null>(null)
/** Under the pointer, in a list or in the drawing. */
export const hovered = signal<string | null>(null)
export const linkFilter = signal('')
/** In a recording: how many entries have happened by now. `null`: all that are there. */
export const position = signal<number | null>(null)

const LINK_FIELDS = ['state', 'type', 'consumer', 'provider', 'name', 'role', 'target']

const matchesLink = (filter: Filter, row: LinkRow): boolean =>
  passes(
    filter,
    {
      state: row.state,
      type: row.type,
      consumer: row.consumer,
      provider: row.provider ?? '',
      name: row.name,
      role: row.role,
      target: row.target,
    },
    `${row.key} ${row.provider ?? ''} ${row.type} ${row.state} ${row.reason ?? ''}`,
  )

/** Those that are there; in a recording the others, too, for one wants to find what comes or has gone. */
export const listedRows = computed<readonly LinkRow[]>(() => {
  if (about.value?.mode !== 'replay') return presentRows.value
  const present = new Map(presentRows.value.map(row => [row.key, row]))
  return knownLinks.value.map(base => present.get(base.key) ?? { ...base, state: 'absent', reason: null })
})

export const shownRows = computed<readonly LinkRow[]>(() => {
  const filter = parseFilter(linkFilter.value, LINK_FIELDS)
  return filter.length === 0 ? listedRows.value : listedRows.value.filter(row => matchesLink(filter, row))
})

/** `null`: every link is. */
const shownKeys = computed<ReadonlySet<string> | null>(() =>
  linkFilter.value.trim() === '' ? null : new Set(shownRows.value.map(({ key }) => key)),
)

/** Whose line stands out: the link under the pointer, or else the chosen one. */
export const foremost = computed(() => hovered.value ?? chosen.value)
export const somethingInFocus = computed(() => foremost.value !== null)
const focused = new Map<string, Signal<boolean>>()

/** A signal for each link, so that what two of a thousand look like is all that is drawn anew. */
export const isInFocus = (key: string): ReadonlySignal<boolean> => focusSlot(key)

const focusSlot = (key: string): Signal<boolean> => {
  const known = focused.get(key)
  if (known !== undefined) return known
  const fresh = signal(foremost.peek() === key)
  focused.set(key, fresh)
  return fresh
}

let lastInFocus: string | null = null
effect(() => {
  const now = foremost.value
  batch(() => {
    if (lastInFocus !== null) focusSlot(lastInFocus).value = false
    if (now !== null) focusSlot(now).value = true
  })
  lastInFocus = now
})

const leftOut = new Map<string, ReadonlySignal<boolean>>()

/** The filter does not find it. */
export const isLeftOut = (key: string): ReadonlySignal<boolean> => {
  const known = leftOut.get(key)
  if (known !== undefined) return known
  const fresh = computed(() => shownKeys.value !== null && !shownKeys.value.has(key))
  leftOut.set(key, fresh)
  return fresh
}

export const chosenRow = computed<LinkRow | null>(() =>
  chosen.value === null ? null : rowOf(chosen.value).value,
)

/** Of the chosen link, as of the last answer. */
export const details = signal<Details | null>(null)

// Counters.

export interface Counted {
  readonly row: CounterRow
  readonly at: number
  /** A second's worth of each counter, as of the last change. */
  readonly rates: readonly number[]
}

const counters = new Map<string, Signal<Counted | null>>()

export const countersOf = (key: string): ReadonlySignal<Counted | null> => counterSlot(key)

const counterSlot = (key: string): Signal<Counted | null> => {
  const known = counters.get(key)
  if (known !== undefined) return known
  const fresh = signal<Counted | null>(null)
  counters.set(key, fresh)
  return fresh
}

/** Bytes a second through the chosen link, a minute of them, the newest last. */
export const traffic = signal<readonly number[]>([])
const TRAFFIC_KEPT = 60
const BYTES_UP = 4
const BYTES_DOWN = 5

export const count = (row: CounterRow, at: number): void => {
  const slot = counterSlot(row[0])
  const before = slot.peek()
  const seconds = before === null ? 0 : (at - before.at) / 1000
  const rates = row.map((value, index) => {
    const past = before?.row[index]
    return seconds <= 0 || typeof value !== 'number' || typeof past !== 'number'
      ? 0
      : Math.max(0, value - past) / seconds
  })
  slot.value = { row, at, rates }
}

/** Once a second: what did not count since has no rate any more. */
export const settleRates = (now: number): void => {
  batch(() => {
    for (const slot of counters.values()) {
      const counted = slot.peek()
      if (counted === null || now - counted.at < 2000 || counted.rates.every(rate => rate === 0)) continue
      slot.value = { ...counted, at: now, rates: counted.rates.map(() => 0) }
    }
    const key = chosen.peek()
    const rates = key === null ? undefined : counterSlot(key).peek()?.rates
    const bytes = (rates?.[BYTES_UP] ?? 0) + (rates?.[BYTES_DOWN] ?? 0)
    traffic.value = [...traffic.peek(), bytes].slice(-TRAFFIC_KEPT)
  })
}

/** The links as they are, all of them. */
export const replaceRows = (links: readonly LinkRow[]): void => {
  const present = new Map(links.map(row => [row.key, row]))
  for (const [key, slot] of rows) if (!present.has(key)) slot.value = null
  for (const [key, row] of present) slotOf(key).value = row
  noteRows()
}

export const changeRows = (changed: readonly LinkRow[], gone: readonly string[]): void => {
  if (changed.length + gone.length === 0) return
  for (const row of changed) slotOf(row.key).value = row
  for (const key of gone) slotOf(key).value = null
  noteRows()
}

const noteRows = (): void => {
  rowsVersion.value += 1
  noteStructure()
  forgetGone()
}

/** Links that have gone and are still known; a page may be open for weeks, and names may be made up. */
export const MOST_GONE = 500

const forgetGone = (): void => {
  if (rows.size <= presentRows.peek().length + MOST_GONE) return
  const looked = [chosen.peek(), hovered.peek()]
  for (const [key, slot] of rows) {
    if (slot.peek() !== null || looked.includes(key)) continue
    for (const known of [rows, focused, leftOut, counters]) known.delete(key)
  }
}

const structureOf = ({ key, provider, type, name, socket }: LinkRow): string =>
  `${key}\0${provider}\0${type}\0${name}\0${socket}`

let structure = ''

const noteStructure = (): void => {
  const present = presentRows.value
  const now = present.map(structureOf).join('\n')
  if (now === structure) return
  structure = now
  knownLinks.value = present
}

/** A recording's links, which are all drawn from the beginning, whether they are there yet or not. */
export const setKnownLinks = (links: readonly LinkRow[]): void => {
  for (const { key } of links) slotOf(key)
  knownLinks.value = [...links].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
}

/** The rows as they are at a position of a recording; those that are not there are `null`. */
export const setRows = (at: ReadonlyMap<string, LinkRow | null>): void =>
  batch(() => {
    for (const [key, row] of at) slotOf(key).value = row
    rowsVersion.value += 1
  })

export const choose = (key: string | null): void =>
  batch(() => {
    if (key === chosen.peek()) return
    chosen.value = key
    details.value = null
    traffic.value = []
  })
