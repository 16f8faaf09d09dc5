/**
 * How the parts of a `dbus` session speak of a message: what is known of one, and what is to become of it.
 * The session frames, keeps descriptors with their message and carries verdicts out; a judge never sees a byte move.
 */
import type { ByteView, Side } from '../../src/relay/contract.ts'

/** Message types (D-Bus specification, "Message Format"). Others exist on the wire, and mean nothing to us. */
export const MESSAGE_TYPE = { call: 1, return: 2, error: 3, signal: 4 } as const

/** Header flags (ibid.). */
export const FLAG = { noReplyExpected: 1, noAutoStart: 2, allowInteractiveAuthorization: 4 } as const

export const BUS_NAME = 'org.freedesktop.DBus'
export const BUS_PATH = '/org/freedesktop/DBus'

/** The header of one message, checked. Valid during the call: its reader is used for the next one. */
export interface MessageHead {
  readonly littleEndian: boolean
  readonly type: number
  readonly flags: number
  readonly serial: number
  /** Without padding. */
  readonly bodyBytes: number
  readonly path: string | undefined
  readonly interface: string | undefined
  readonly member: string | undefined
  readonly errorName: string | undefined
  /** Never 0; `undefined`: it has none. */
  readonly replySerial: number | undefined
  readonly destination: string | undefined
  readonly sender: string | undefined
  /** Of the body; `''`: it has none. */
  readonly signature: string
  readonly unixFds: number
}

/** The counter's label, and the word in the audit line. */
export type DenialReason =
  | 'dest'
  | 'interface'
  | 'property'
  | 'bus-method'
  | 'match'
  | 'own'
  | 'signal-out'
  | 'signal-in'
  | 'reply'
  | 'policy-connect'
  | 'policy-own'
  | 'policy-send'
  | 'policy-receive'

/** What is to become of a message. */
export type Verdict =
  | { readonly kind: 'pass' }
  /** It vanishes, and is counted and logged as a denial. */
  | { readonly kind: 'drop'; readonly reason: DenialReason }
  /** It vanishes; a call that wants a reply gets AccessDenied. Counted and logged as a denial. */
  | { readonly kind: 'deny'; readonly reason: DenialReason }
  /** It vanishes without a trace: an answer to a call of our own. */
  | { readonly kind: 'swallow' }
  /** It vanishes; a call that wants a reply gets this one, made as the bus would make it. No denial. */
  | { readonly kind: 'answer'; readonly answer: Answer }
  /** It passes with this INTERFACE added to its header. */
  | { readonly kind: 'complete'; readonly interface: string }
  /** It passes with another body of the same signature and byte order. */
  | { readonly kind: 'rewrite'; readonly body: Uint8Array }
  /** The peer broke the rules: its connection is closed, nothing of this message passes. */
  | { readonly kind: 'violation'; readonly reason: string }

/** A body of an answer of ours. An error has one string, its text. */
export type Answer =
  | { readonly error: string; readonly text: string }
  | { readonly boolean: boolean }
  | { readonly uint32: number }

/** A call to the bus of our own, sent in the client's name, its reply for us alone. All have the bus as destination. */
export interface OwnCall {
  /** From 0xFFFF0001 on; the client may use none from 0xFFFF0000 on. */
  readonly serial: number
  readonly member: 'AddMatch' | 'GetNameOwner' | 'Hello' | 'ListNames' | 'RemoveMatch'
  /** Its one string; absent: it has none. */
  readonly argument?: string
}

/**
 * Whoever decides about messages of one connection, in their order: first by the header, and where it asks for it by the
 * beginning of the body, which comes in the message's own byte order.
 */
export interface Judge {
  /** How many bytes of the body it needs to see; 0: none. Infinite: all of them, up to `mostBodyBytes`, or it is a violation. */
  bodyWanted(from: Side, head: MessageHead): number
  /** `body` has what was wanted, or all there is. Called once for each message. */
  judge(from: Side, head: MessageHead, body: ByteView): Verdict
}

/** The most of a body that may be held to be looked at: lists of names, and the match rules and names of calls to the bus. */
export const MOST_BODY_BYTES = 1024 * 1024

/** A judge that must know who is who on the bus before the client may go on. */
export interface TrackingJudge extends Judge {
  /** The bus has given the client its unique name: what to send before anything else of the client's. */
  begin(uniqueName: string): readonly OwnCall[]
  /** A message of the client's that it let pass does not go to the bus after all: another judge has denied it. */
  recall(head: MessageHead): void
  /** What it wants to send now, beside what passes; asked after each message from the bus. */
  nextCalls(): readonly OwnCall[]
  /** It knows enough: the Hello reply may be passed on, and the client may be read. Until then nothing reaches the client. */
  readonly ready: boolean
}
