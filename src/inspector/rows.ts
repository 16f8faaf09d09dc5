/** Links as the page's lists show them, from the controller's views or from the control API's answers. Pure. */
import type { LinkJson } from '../control/shapes.ts'
import { reasonFor } from '../control/views.ts'
import type { LinkView } from '../controller/links.ts'
import { type CommonCounters, NO_TRAFFIC } from '../model/mediation.ts'
import { COUNTER_NAMES, type CounterRow, type LinkRow } from './shared/protocol.ts'

export const rowOf = (view: LinkView): LinkRow => {
  const { link } = view.desired
  return {
    key: view.key,
    consumer: link.consumer,
    consumerPid: link.consumer_pid,
    provider: link.provider,
    providerPid: link.provider_pid,
    name: link.name,
    type: link.type,
    role: link.role,
    socket: link.socket,
    target: link.target,
    state: view.state,
    since: view.context.since,
    reason: reasonFor(view),
    attempt: view.context.attempt,
  }
}

export const rowOfJson = (link: LinkJson): LinkRow => ({
  key: link.key,
  consumer: link.consumer,
  consumerPid: link.consumer_pid,
  provider: link.provider,
  providerPid: link.provider_pid,
  name: link.name,
  type: link.type,
  role: link.role,
  socket: link.socket,
  target: link.target,
  state: link.substate === null ? link.state : `${link.state}.${link.substate}`,
  since: Date.parse(link.since),
  reason: link.reason,
  attempt: link.attempt,
})

export const sameRow = (a: LinkRow, b: LinkRow): boolean =>
  a.state === b.state &&
  a.since === b.since &&
  a.reason === b.reason &&
  a.attempt === b.attempt &&
  a.consumerPid === b.consumerPid &&
  a.providerPid === b.providerPid &&
  a.provider === b.provider &&
  a.type === b.type &&
  a.role === b.role &&
  a.socket === b.socket

/** `null`: it has not counted anything yet. */
export const countsOf = (key: string, counters: CommonCounters | null): CounterRow => {
  const counted = counters ?? NO_TRAFFIC
  return [key, ...COUNTER_NAMES.map(name => counted[name])]
}

export const sameCounts = (a: CounterRow | undefined, b: CounterRow): boolean =>
  a?.every((count, at) => count === b[at]) ?? b.every((count, at) => at === 0 || count === 0)
