/** Links and graphs for tests, as chains: each step gives a new builder, nothing is shared. */
import type { DesiredLink, Verdict } from '../../src/model/desired.ts'
import type { Graph } from '../../src/model/graph.ts'
import type { Pid } from '../../src/model/identity.ts'
import { isPid } from '../../src/model/identity.ts'
import type { Link } from '../../src/model/link.ts'
import { keyOf } from '../../src/model/link.ts'

export const pid = (value: number): Pid => {
  if (!isPid(value)) throw new Error(`${value} is no pid`)
  return value
}

export interface LinkBuilder {
  named(name: string): LinkBuilder
  ofType(type: string): LinkBuilder
  withRole(role: string): LinkBuilder
  /** The provider and its process; `null`: not running. */
  from(provider: string, providerPid: number | null): LinkBuilder
  socket(socket: string): LinkBuilder
  at(target: string): LinkBuilder
  /** The consumer's process; `null`: not running. */
  running(consumerPid: number | null): LinkBuilder
  build(): Link
  /** With a verdict; admitted by default. */
  desired(verdict?: Verdict): DesiredLink
}

const ADMITTED: Verdict = { _tag: 'Admitted', rule: 'default' }

const builderOf = (link: Link): LinkBuilder => ({
  named: name => builderOf({ ...link, name }),
  ofType: type => builderOf({ ...link, type }),
  withRole: role => builderOf({ ...link, role }),
  from: (provider, providerPid) =>
    builderOf({ ...link, provider, provider_pid: providerPid === null ? null : pid(providerPid) }),
  socket: socket => builderOf({ ...link, socket }),
  at: target => builderOf({ ...link, target }),
  running: consumerPid =>
    builderOf({ ...link, consumer_pid: consumerPid === null ? null : pid(consumerPid) }),
  build: () => link,
  desired: (verdict = ADMITTED) => ({ key: keyOf(link), link, verdict }),
})

/** A unix link of a running consumer to a running provider. */
export const aLink = (consumer = 'app'): LinkBuilder =>
  builderOf({
    type: 'unix',
    name: 'api',
    consumer,
    consumer_pid: pid(100),
    provider: 'net',
    provider_pid: pid(200),
    socket: '/run/net/api.sock',
    target: '/run/pv/api.sock',
    role: 'any',
    interface: 'unix',
    uid: null,
  })

export const aGraph = (...links: readonly LinkBuilder[]): Graph => ({
  links: links.map(link => link.build()),
  rejected: [],
})
