/**
 * What the inspector's server and its page say to each other, as plain JSON. The page is served by the same build, so
 * neither checks the other's shapes. Whoever was away is told everything anew: nothing builds on a message that may be lost.
 */
import type { ConditionJson, CountersJson, LinkDetailsJson } from '../../control/shapes.ts'
import type { MachineDefinition } from './definition.ts'

/** A link as lists and drawings show it. */
export interface LinkRow {
  readonly key: string
  readonly consumer: string
  readonly consumerPid: number | null
  readonly provider: string | null
  readonly providerPid: number | null
  readonly name: string
  readonly type: string
  readonly role: string
  readonly socket: string
  readonly target: string
  /** State and substate: `pending.blocked`. */
  readonly state: string
  /** Since when in one of the four states, in milliseconds since the epoch. */
  readonly since: number
  /** Why it does not work, in words; `null`: nothing is known against it. */
  readonly reason: string | null
  readonly attempt: number
}

/** Something that happened, as the log shows it. */
export interface LogEntry {
  /** Grows by one with each entry of a session. */
  readonly n: number
  /** Milliseconds since the epoch. */
  readonly at: number
  /** `transition`, or what else happened: `graph`, `read-failed`, `denial`, `effect`, `signal`. */
  readonly kind: string
  /** `null`: it concerns all links. */
  readonly link: string | null
  /** Of a transition; `null`: the link was not known before. */
  readonly from: string | null
  /** Of a transition; empty for all else. */
  readonly to: string
  readonly event: string
  readonly reason: string
  readonly pass: number | null
}

/** What a link has counted: the counters that every type of link has, in the order of `COUNTER_NAMES`. */
export type CounterRow = readonly [key: string, ...counts: readonly number[]]

export const COUNTER_NAMES = [
  'connectionsOpen',
  'connectionsTotal',
  'connectionsRefused',
  'bytesUp',
  'bytesDown',
  'descriptorsPassed',
  'messages',
  'denials',
] as const satisfies readonly (keyof CountersJson)[]

/** What concerns all links. */
export interface Around {
  /** `null`: not known, as in a replay. */
  readonly daemonState: string | null
  readonly conditions: readonly ConditionJson[]
}

/** What is being looked at. */
export interface About {
  readonly mode: 'live' | 'replay'
  /** A control socket's path, or a recording's name. */
  readonly subject: string
  readonly version: string
}

export interface Snapshot extends Around {
  readonly about: About
  readonly machine: MachineDefinition
  readonly links: readonly LinkRow[]
  /** What happened lately, from the oldest. */
  readonly log: readonly LogEntry[]
  readonly counters: readonly CounterRow[]
}

export interface Changes {
  /** New ones, and those that changed. */
  readonly links: readonly LinkRow[]
  readonly gone: readonly string[]
  readonly log: readonly LogEntry[]
  /** Absent: as before. */
  readonly around?: Around
}

/** Server-sent events: the name, and what its data is. */
export interface Messages {
  readonly snapshot: Snapshot
  readonly changes: Changes
  readonly counters: readonly CounterRow[]
  /** There is nothing to look at any more, or not for the moment, and why. */
  readonly down: { readonly reason: string }
}

/** All about the chosen link, at one moment. */
export interface Details {
  readonly link: LinkDetailsJson
  /** The machine's context as it is, where the server is in the same process; else made of what the daemon tells. */
  readonly context: unknown
}

/** A whole recording as it was replayed. Links are told as they were when they appeared first. */
export interface Timeline {
  readonly startedAt: number
  readonly endedAt: number
  readonly links: readonly LinkRow[]
  /** By their time; `n` counts from 0 without gaps. */
  readonly entries: readonly LogEntry[]
  /** The recording goes on, but this is as much as is shown. */
  readonly cut: boolean
}

/** Paths behind the token. */
export const PATHS = {
  page: '',
  script: 'page.js',
  style: 'page.css',
  icon: 'icon.svg',
  events: 'events',
  details: 'link',
  timeline: 'timeline',
  stately: 'stately',
} as const
