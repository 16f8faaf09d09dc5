/**
 * What a plugin is handed to do its work: it never sees a namespace, a native call or a descriptor number.
 * One contract for two implementations: the Linux one, and a simulated one for tests and replay.
 */
import type { InjectError } from '../model/errors.ts'
import type { Pid } from '../model/identity.ts'
import type { ProtocolLimits } from '../model/limits.ts'
import type { Link } from '../model/link.ts'
import type { Mediation, MediationId, TeardownReport } from '../model/mediation.ts'
import type { Task, TaskEither } from '../model/task.ts'
import type { SessionFactory } from '../relay/contract.ts'

/** Socket types that connect (unix(7)); both carry descriptors. */
export type SocketKind = 'stream' | 'seqpacket'

export interface ProviderAddress {
  /** `null`: not running, new connections wait. */
  readonly pid: Pid | null
  readonly socket: string
}

/** What a provider's socket is: `unknown` where nobody listens yet, so that nothing could be asked. */
export type FoundKind = SocketKind | 'dgram' | 'unknown'

export interface SocketRequest {
  /** `detected`: the planted socket takes the provider's type, and follows it when it changes. */
  readonly kind: SocketKind | 'detected'
  readonly target: string
  readonly provider: ProviderAddress
  /** `none` promises that the protocol carries no descriptors: bytes may go by the cheapest way, rights are dropped. */
  readonly descriptors: 'exact' | 'none'
  /** Absent: bytes and descriptors pass as they are. */
  readonly session?: SessionFactory
  /** How its provider is waited for, where the protocol's clients expect something else than those of a plain socket. */
  readonly dialing?: Dialing
  /** For how long the sessions of a withdrawn link may finish what they are at. Absent: they are cut at once. */
  readonly graceMs?: number
}

/** How a connection waits for its provider. */
export interface Dialing {
  /** For one that is not there. */
  readonly graceMs: number
  /** The longest pause between two tries. */
  readonly retryMaxMs: number
  /** For one that is there, but whose backlog is full; it is tried again every 10 ms. */
  readonly backlogMs: number
}

/** The logger of one link: constant message, facts as keys. What is said over and over is held back and counted. */
export interface LinkLog {
  debug(facts: object, message: string): void
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}

/** Everything a plugin can do, for one link. */
export interface Toolbox {
  readonly log: LinkLog
  /** What the daemon was told to hold the protocols to. */
  readonly limits: ProtocolLimits
  /**
   * Plant a listening socket at the target in the consumer and run its connections.
   * `kept`: the mediation whose socket was lost; its open connections go on in the one returned, under the same id.
   */
  injectSocket(request: SocketRequest, kept?: Mediation): TaskEither<InjectError, Mediation>
  /** New connections go to the new address, those to the old one are cut, waiting ones try the new one at once. */
  retargetSocket(mediation: Mediation, provider: ProviderAddress): TaskEither<InjectError, Mediation>
  /** Stop accepting, cut the connections, remove what was planted if it is still ours. */
  withdraw(mediation: Mediation): Task<TeardownReport>
}

/** Why a mediation needs its link machine's attention. */
export type Loss = 'target-lost' | 'consumer-exited'

/** The controller's side: toolboxes for links, and eyes on what became of their work. */
export interface ToolboxHost {
  toolboxFor(link: Link): Toolbox
  /** What an earlier run left and none of these links has a use for goes now. Told before they are injected. */
  sweep(admitted: () => readonly Link[]): void
  /** Watch exactly these processes, which the graph names as it was just read; `onAttention` is called when one exits. One that is gone already is not reported: a link to it fails by itself. */
  follow(pids: ReadonlySet<Pid>): void
  /** Compare the world with what was planted: by name, or (deep) by looking the whole path up again. */
  observe(ids: Iterable<MediationId>, deep: boolean): ReadonlyMap<MediationId, Loss>
  /** The world moved and a pass would see it. At most one listener. */
  onAttention(listener: (why: Attention) => void): void
  /** The daemon is ending: from now on, what is withdrawn gives its open connections a moment to end by themselves. */
  beginDrain(): void
  /** Release what is left; the host is of no use afterwards. */
  close(): void
}

export type Attention =
  | { readonly _tag: 'ProcessExited'; readonly pid: Pid }
  /** A planted socket no longer fits its provider, which changed type. */
  | { readonly _tag: 'TargetChanged'; readonly id: MediationId }
  /** A container mounted or unmounted something: what was planted in it may be hidden now. */
  | { readonly _tag: 'MountsChanged'; readonly pid: Pid }
