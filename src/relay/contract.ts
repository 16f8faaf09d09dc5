/**
 * A session: a plugin's protocol state for one connection, both directions together.
 * Pure: no socket, no clock, no log. The relay feeds it and carries out what it answers.
 */
export type Side = 'consumer' | 'provider'

/** Bytes that belong to the relay: valid during the call only. */
export type ByteView = Uint8Array

/** Descriptors that arrived with the bytes of an input; the session moves counts of them, never numbers. */
export interface FdTokens {
  readonly count: number
  /** Offset in the view of the byte that the first of them belongs to. Of `queued` ones, which belong to no byte, it says nothing. */
  readonly at: number
}

/** Attested by the kernel when the consumer connected (SO_PEERCRED, unix(7)). */
export interface PeerCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/**
 * As whom the provider is dialled: the daemon itself, the process that the consumer connected with, or the user that the link's
 * role stands for in the provider. It is worked out with each try, because providers come and go.
 */
export type DialIdentity = 'daemon' | 'peer' | 'role'

/** Whom the provider sees (SO_PEERCRED, unix(7)), as its own user namespace numbers them. */
export interface DialledAs {
  readonly uid: number
  readonly gid: number
}

/** `identity`: the provider was there, but nobody could be made of the identity that was asked for. */
export type DialError = 'timeout' | 'refused' | 'kind-mismatch' | 'identity'

export type TimerName = string

/** What every link counts, whatever its protocol. */
export type CommonCounter = 'messages' | 'denials'

/**
 * A figure of one protocol. Declared once per name and set of labels, as a constant: what is counted is looked up by the
 * object. Names and labels' values are a plugin's own words (snake case), never a client's. A link has at most 256, and
 * 16 histograms; what is more, or badly named, is left out, and the log says so.
 */
export interface Figure {
  readonly name: string
  /** One sentence, for the metrics. */
  readonly help: string
  readonly labels?: Readonly<Record<string, string>>
  /** `total` only grows. A `gauge` goes up and down, and what a connection added to it ends with the connection. */
  readonly kind: 'total' | 'gauge'
  /** What whoever runs the daemon should do where it is not 0, for `describe`; absent: nothing follows from it. */
  readonly advice?: string
}

/** How long something took, per link. */
export interface Histogram {
  readonly name: string
  readonly help: string
  /** Upper ends, in milliseconds, rising. */
  readonly bucketsMs: readonly number[]
}

export interface AuditEvent {
  readonly event: string
  readonly facts: Readonly<Record<string, string | number>>
}

export type SessionInput =
  /** The consumer is there; nothing is dialled before `dial`. */
  | { readonly kind: 'opened'; readonly peer: PeerCredentials }
  /** All bytes not yet consumed, the older ones first. */
  | {
      readonly kind: 'bytes'
      readonly from: Side
      readonly view: ByteView
      readonly fds: FdTokens
    }
  /** `fully`: gone; else a half-close, and it still reads. */
  | { readonly kind: 'ended'; readonly from: Side; readonly fully: boolean }
  /** `as`: unless it was dialled as the daemon. */
  | { readonly kind: 'dialled'; readonly failed?: DialError; readonly as?: DialledAs }
  /** What was queued for that side has been written. */
  | { readonly kind: 'drained'; readonly to: Side }
  /**
   * Nothing more can be written to that side: it is gone, or reads no more. What was queued for it is dropped, and so is
   * what is sent or forwarded to it from now on. Told at once, even where that side's own last words still wait to be read.
   */
  | { readonly kind: 'broken'; readonly to: Side }
  | { readonly kind: 'timer'; readonly name: TimerName }
  /** Somebody asked for it (`SessionHandle.wake`): what the session shares with others has changed. */
  | { readonly kind: 'woken' }
  /**
   * The link was withdrawn. What is in progress may go on for `SocketRequest.graceMs`, or, where the daemon ends, for as long
   * as it drains. Without time nobody is told.
   */
  | { readonly kind: 'withdrawn' }
  /** A close with `linger` ran out of time before the consumer's end. The last input. */
  | { readonly kind: 'linger-over' }

/** A reused sink: commands take effect in order after the call, nothing is allocated per message. */
export interface Commands {
  /** The next bytes of the input and descriptors, as they are, to the other side. */
  forward(from: Side, bytes: number, fds: number): void
  /** The next bytes of the input are consumed; descriptors are closed. */
  drop(from: Side, bytes: number, fds: number): void
  /** Bytes of the session's own, or slices of the input, ahead of what comes after. `fds` are taken from the other side's input. */
  send(to: Side, slices: readonly ByteView[], fds: number): void
  /** The coming bytes need no look: they pass without the session seeing them. */
  opaque(from: Side, bytes: number | 'until-end'): void
  pause(from: Side): void
  resume(from: Side): void
  dial(identity: DialIdentity): void
  /** Half-close, after what is queued. */
  endWrite(to: Side): void
  /**
   * `now` drops what is queued; `flush` writes it first. `linger` closes the provider at once, writes what is queued for
   * the consumer, half-closes it, and reads on to nowhere until its end (RFC 9112 section 9.6). Nothing more is told but `linger-over`.
   */
  close(how: 'now' | 'flush' | 'linger'): void
  /** One timer per name; setting it again starts it anew, which costs next to nothing. */
  setTimer(name: TimerName, ms: number): void
  /**
   * As `setTimer`, but counted from the last time that something moved from that side to the other one, where that is later:
   * bytes came, unseen ones too, or of those that wait for the other side, it read some. `either`: in whichever direction.
   */
  setIdleTimer(name: TimerName, from: Side | 'either', ms: number): void
  clearTimer(name: TimerName): void
  count(counter: CommonCounter | Figure, by?: number): void
  /** Remember this moment. One per connection. */
  mark(): void
  /** The time since `mark` goes into a histogram of the link. */
  observe(histogram: Histogram): void
  /** A line in the log, held back and counted where a client makes many. */
  report(event: AuditEvent): void
}

export interface Session {
  /** Look at an input and give commands. What is not consumed comes again with more. */
  on(input: SessionInput, out: Commands): void
  /** The connection is over, however that came: let go of what is shared with others. Called once; there is nothing to command. */
  closed?(): void
}

/** What others may do with a session from outside: all that crosses from one connection to another. */
export interface SessionHandle {
  /** It is told `woken` soon, once for all that ask until then; nothing once it is closed. */
  wake(): void
}

/** Called once per accepted connection. */
export type SessionFactory = (handle: SessionHandle) => Session
