/**
 * What a plugin is handed to do its work: it never sees a namespace, a native call or a descriptor number.
 * One contract for two implementations: the Linux one, and a simulated one for tests and replay.
 */
import type { InjectError, SyscallError } from '../model/errors.ts'
import type { Pid } from '../model/identity.ts'
import type { ProtocolLimits } from '../model/limits.ts'
import type { Link } from '../model/link.ts'
import type { Mediation, MediationId, TeardownReport } from '../model/mediation.ts'
import type { Either, Task, TaskEither } from '../model/task.ts'
import type { DialIdentity, Figure, PeerCredentials, SessionFactory } from '../relay/contract.ts'

/** Socket types (unix(7)); all carry descriptors. One of datagrams has no connections. */
export type SocketKind = 'stream' | 'seqpacket' | 'dgram'

export interface ProviderAddress {
  /** `null`: not running, new connections wait. */
  readonly pid: Pid | null
  readonly socket: string
}

/** What a provider's socket is: `unknown` where nobody listens yet, so that nothing could be asked. */
export type FoundKind = SocketKind | 'unknown'

/**
 * What a provider is told of who is behind a connection that no session looks at. What needs a connection (`greeting`, `dialAs`)
 * keeps a link from datagram sockets: an identity that was asked for is not left out.
 */
export interface IntroductionRequest {
  readonly dialAs: DialIdentity
  /** With each of the consumer's messages (SCM_CREDENTIALS, unix(7)): the process that wrote it, or the role's user in its place. */
  readonly credentials: 'none' | 'writer' | 'role'
  /** What it hears before the consumer's first byte. `peer` is who connected, as its own container numbers it. */
  readonly greeting?: (peer: PeerCredentials) => Uint8Array
}

export interface SocketRequest {
  /** `detected`: the planted socket takes the provider's type, and follows it when it changes. */
  readonly kind: SocketKind | 'detected'
  readonly target: string
  readonly provider: ProviderAddress
  /**
   * `exact`: they pass at their byte. `queued`, for sessions: each side's are a queue beside its bytes, as its protocol counts them
   * by message; they may come earlier than the bytes they were sent with, never later. `none` promises that the protocol
   * carries none: bytes may go by the cheapest way, rights are dropped. `refused`: a connection that brings any is closed.
   */
  readonly descriptors: 'exact' | 'queued' | 'none' | 'refused'
  /** Absent: bytes and descriptors pass as they are. */
  readonly session?: SessionFactory
  /** Absent: the provider sees the daemon. For links without a session, which says itself whom to dial as. */
  readonly introduction?: IntroductionRequest
  /** How its provider is waited for, where the protocol's clients expect something else than those of a plain socket. */
  readonly dialing?: Dialing
  /** For how long the sessions of a withdrawn link may finish what they are at. Absent: they are cut at once. */
  readonly graceMs?: number
  /** Where the protocol has a bound of its own below `--max-connections-per-link`: what is beyond is accepted and closed. */
  readonly mostConnections?: number
}

/** How a connection waits for its provider. */
export interface Dialing {
  /** For one that is not there. */
  readonly graceMs: number
  /** The longest pause between two tries. */
  readonly retryMaxMs: number
  /** For one that is there, but whose backlog is full; it is tried again every 10 ms. */
  readonly backlogMs: number
  /**
   * The first byte that the provider gets is a NUL with the credentials of whom it is dialled as (SCM_CREDENTIALS, unix(7)), as
   * a D-Bus server expects it (D-Bus specification, "Authentication Protocol").
   */
  readonly credentialsByte?: boolean
}

/** A device node as a provider has it. */
export interface DeviceNode {
  readonly type: 'character' | 'block'
  readonly major: number
  readonly minor: number
  /** What the kernel calls the device, as `dri/card0` (`DEVNAME` of its uevent, sysfs(5)). `null`: no driver has it. */
  readonly kernelName: string | null
}

export interface NodeRequest {
  /** A path. */
  readonly target: string
  /** Its `socket` is the path of the node; symlinks are followed inside the provider's root. */
  readonly provider: ProviderAddress
  /**
   * Whether this device may be given away. Asked before anything is made, each time that the provider's node is looked at.
   * Pure; nothing is ever opened to find out more.
   */
  readonly judge: (device: DeviceNode) => Either<InjectError, unknown>
}

/** A file or folder that a provider lets nobody read, or that is none, or too long. */
export type FileProblem = 'absent' | 'not a file' | 'too long' | 'too many' | 'unreadable'

/** Files of a provider, as they are now. Paths are absolute and resolved inside its root, symlinks too; nothing blocks. */
export interface ProviderFiles {
  /** A regular file's bytes. */
  read(path: string, mostBytes: number): Either<FileProblem, Uint8Array>
  /** Names in a folder, sorted by their bytes. */
  list(path: string, mostNames: number): Either<FileProblem, readonly string[]>
  /** Differs whenever what is at the path may differ: another file, another length, another time of change. `''`: nothing is there. */
  stamp(path: string): string
}

/** The user that a role stands for, as the provider's user namespace numbers them. */
export interface RoleUser {
  readonly uid: number
  readonly gid: number
  /** The user's groups, the primary one too. */
  readonly groups: readonly number[]
  /** What said so: the graph's `uid`, a role in digits, a line of the provider's passwd, or nothing. */
  readonly source: 'uid' | 'numeric role' | 'passwd' | 'nobody'
}

/** A connection to the provider of a link that is the daemon's own: its session has no consumer to hear from. */
export interface OwnConnection {
  /** At once; what was not sent is dropped. Idempotent. */
  close(): void
}

export interface ConnectRequest {
  readonly provider: ProviderAddress
  readonly descriptors: 'queued' | 'none'
  /** Of both sides it hears the provider only. When it closes, its connection is over; whoever wants another asks for one. */
  readonly session: SessionFactory
  readonly dialing?: Dialing
  /** It is over, for whatever reason: once, possibly within the call that opens it. */
  readonly onClosed?: () => void
}

/** What several links of a type have in common, as long as any of them has it. */
export interface Shared<T> {
  readonly value: T
  /** With the last one it is closed. Idempotent. */
  release(): void
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
  /**
   * Give the consumer a node of the character device that the provider has a node of, with its owner and mode, and let the
   * consumer's device cgroup allow it. A node of that device that is at the target already is left as it is, for good.
   * When the provider's node goes, or becomes another, the mediation counts as lost. `kept`: what was planted so far; it
   * stays where it is still right.
   */
  injectNode(request: NodeRequest, kept?: Mediation): TaskEither<InjectError, Mediation>
  /** Stop accepting, cut the connections, remove what was planted if it is still ours. */
  withdraw(mediation: Mediation): Task<TeardownReport>

  // What follows belongs to the link, and ends with it at the latest.

  /** A connection of the daemon's own to the provider. It is dialled when its session asks, as any. */
  connect(request: ConnectRequest): OwnConnection
  /** Look at a provider's files; what is read must be used within the call. ESRCH: it is not running. */
  lookInto<A>(provider: Pid | null, look: (files: ProviderFiles) => A): Either<SyscallError, A>
  /** Whom the link's role, or its `uid`, stands for in the provider. ESRCH: it is not running. */
  userOfRole(provider: Pid | null): Either<SyscallError, RoleUser>
  /** The value under this name, made by whoever asks for it first: one for all links of the plugin. */
  shared<T extends { close(): void }>(name: string, make: () => T): Shared<T>
  /** Call `body` every so often, until the returned function is called. */
  repeat(everyMs: number, body: () => void): () => void
  /** Count something that belongs to no single connection of a mediation. A gauge is moved by the difference. */
  count(mediation: Mediation, figure: Figure, by?: number): void
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
