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
  /** Offset in the view of the byte that the first of them belongs to. */
  readonly at: number
}

/** Attested by the kernel when the consumer connected (SO_PEERCRED, unix(7)). */
export interface PeerCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
}

/** As whom the provider is dialled: the daemon itself, or a user as the host numbers it. */
export type DialIdentity =
  | 'daemon'
  | {
      readonly uid: number
      readonly gid: number
      readonly groups: readonly number[]
    }

export type DialError = 'timeout' | 'refused' | 'kind-mismatch'

export type TimerName = string
export type CounterName = 'messages' | 'denials'

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
  | { readonly kind: 'dialled'; readonly failed?: DialError }
  /** What was queued for that side has been written. */
  | { readonly kind: 'drained'; readonly to: Side }
  | { readonly kind: 'timer'; readonly name: TimerName }

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
  /** `now` drops what is queued; `flush` writes it first; `linger` also reads on until the peer has seen it. */
  close(how: 'now' | 'flush' | 'linger'): void
  setTimer(name: TimerName, ms: number): void
  clearTimer(name: TimerName): void
  count(counter: CounterName, by?: number): void
  report(event: AuditEvent): void
}

export interface Session {
  /** Look at an input and give commands. What is not consumed comes again with more. */
  on(input: SessionInput, out: Commands): void
}

/** Called once per accepted connection. */
export type SessionFactory = () => Session
