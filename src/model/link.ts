/**
 * A link: one consumer's access to one resource of one provider, as Pantavisor assigned it.
 * The fields keep the names of Pantavisor's link structure, because plugins, logs and recordings show them.
 */
import type { Pid, Uid } from './identity.ts'

/** `consumer/name@target`: what makes two links of two graphs the same link. */
export type LinkKey = string & { readonly __brand: 'LinkKey' }

export interface Link {
  /** Which plugin mediates it: `unix`, `rest`, `dbus`, `wayland`, `drm`, or a third party's. */
  readonly type: string
  /** The service's name. */
  readonly name: string
  readonly consumer: string
  /** `null`: not running. `0`: the host itself. */
  readonly consumer_pid: Pid | null
  /** Absent in the specification's own example, so it may be unknown. */
  readonly provider: string | null
  readonly provider_pid: Pid | null
  /** The provider's socket or device node, as a path in the provider's root or, for a socket, an abstract name (`@…`). */
  readonly socket: string
  /** Where the consumer finds it, likewise in the consumer's root. */
  readonly target: string
  readonly role: string
  /** A type-specific value: an option string, a D-Bus name, or a label for people. */
  readonly interface: string
  /** The role's uid on a bus that Pantavisor itself hosts. */
  readonly uid: Uid | null
}

/** The identity of a link across graphs. */
export const keyOf = (link: Pick<Link, 'consumer' | 'name' | 'target'>): LinkKey =>
  `${link.consumer}/${link.name}@${link.target}` as LinkKey

/** A key as somebody gave it: there may be no such link. */
export const linkKeyOf = (text: string): LinkKey => text as LinkKey

/** Field by field, so that a link decoded twice compares equal. */
export const sameLink = (a: Link, b: Link): boolean =>
  a === b ||
  (sameButProvider(a, b) &&
    a.provider === b.provider &&
    a.provider_pid === b.provider_pid &&
    a.socket === b.socket)

/** Equal in all that the consumer side depends on: such a change leaves the planted socket alone. */
export const sameButProvider = (a: Link, b: Link): boolean =>
  a.type === b.type &&
  a.name === b.name &&
  a.consumer === b.consumer &&
  a.consumer_pid === b.consumer_pid &&
  a.target === b.target &&
  a.role === b.role &&
  a.interface === b.interface &&
  a.uid === b.uid
