/** What the data plane is given by whoever runs a link's connections. */
import type { OwnedFd } from '../kernel/fd.ts'
import type { PipePool } from '../kernel/splice.ts'
import type { Limits } from '../model/limits.ts'
import type { Reactor } from '../reactor/contract.ts'
import type { LinkLog, SocketKind } from '../toolbox/contract.ts'
import type { DialError, DialIdentity, DialledAs, PeerCredentials, SessionFactory } from './contract.ts'
import type { LinkCounters } from './counters.ts'
import type { HeldDescriptors } from './descriptor-reserve.ts'

/** Shared by all links of the daemon. */
export interface DataPlane {
  readonly reactor: Reactor
  readonly pipes: PipePool
  readonly connections: ConnectionBudget
  readonly held: HeldDescriptors
  readonly limits: RelayLimits
}

export type RelayLimits = Pick<
  Limits,
  | 'queueBytes'
  | 'queueDescriptors'
  | 'queuePackets'
  | 'packetBytes'
  | 'acceptPauseMs'
  | 'acceptPauseMaxMs'
  | 'handshakeMs'
  | 'connectGraceMs'
  | 'datagramClients'
  | 'datagramIdleMs'
>

/** Connections open over all links, and who to tell when one ends: a paused listener waits for it. */
export interface ConnectionBudget {
  readonly limit: number
  open: number
  readonly waiting: Set<() => void>
}

/** Give up waiting for a provider. */
export type CancelDial = () => void

/** As whom: the daemon itself, the user that the link's role stands for, or the process with these ids, as we number them. */
export type DialAs = 'daemon' | 'role' | PeerCredentials

/** `as`: whom the provider sees, unless that is the daemon. */
export type DialDone = (result: OwnedFd | DialError, as?: DialledAs) => void

/** Reach the provider: the answer comes exactly once, possibly within the call, unless it was cancelled. */
export interface Dialer {
  /** A datagram socket is `named`, and so can be answered, unless it speaks for those who have no name. */
  dial(as: DialAs, kind: SocketKind, done: DialDone, named?: boolean): CancelDial
}

/** What accepts a link's clients, or takes their datagrams, at what is planted. */
export interface Entrance {
  readonly traffic: LinkTraffic
  /** What is connected to the provider so far is another service's. */
  providerChanged(): void
  /** Nobody is taken in any more. Idempotent. */
  close(): void
}

/** Where datagram clients are answered. */
export interface ClientSockets {
  /** With the address of the socket at a path of the consumer, valid during the call; `undefined`: there is none. */
  at<A>(path: string, body: (address: Uint8Array) => A): A | undefined
}

/**
 * What becomes of descriptors. `exact`: they pass, at their byte. `queued`: they wait beside the bytes for the session to move
 * them. `none`: the kernel lets nobody send any. `dropped`: it cannot, so they are taken and closed. `refused`: whoever sends
 * any is cut off.
 */
export type Descriptors = 'exact' | 'queued' | 'none' | 'dropped' | 'refused'

/** They are the session's, or the other side's: not to be closed where they come in. */
export const keepsDescriptors = (descriptors: Descriptors): boolean =>
  descriptors === 'exact' || descriptors === 'queued'

/** What a provider is told of who is behind a connection that no session looks at. */
export interface Introduction {
  readonly dialAs: DialIdentity
  /** What it hears before the consumer's first byte. */
  readonly greeting: ((peer: PeerCredentials) => Uint8Array) | undefined
  /** With each of the consumer's messages: who wrote it, or the user of the role in the writer's place. */
  readonly credentials: 'none' | 'writer' | 'role'
  /** The role's user and group as we number them; `undefined`: the provider has no such ids, and the log has why. */
  readonly roleIds: () => { readonly uid: number; readonly gid: number } | undefined
  /** Whom to name for a writer that is gone: the consumer's init. */
  readonly standIn: number
}

/** What the connections of one link have in common. */
export interface LinkTraffic {
  readonly plane: DataPlane
  readonly kind: SocketKind
  readonly descriptors: Descriptors
  readonly session: SessionFactory | undefined
  /** Absent for a session, which says itself whom to dial as, and for a link that says nothing. */
  readonly introduction: Introduction | undefined
  readonly dialer: Dialer
  readonly counters: LinkCounters
  readonly held: HeldDescriptors
  readonly log: LinkLog
  readonly lingerMs: number
  readonly maxConnections: number
  /** A bound of the protocol's own: who comes beyond it is accepted and closed, and need not wait to learn it. */
  readonly closesBeyond: number | undefined
}
