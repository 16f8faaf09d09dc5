/**
 * What a bus policy is made of: rules, as dbus-daemon(1), "Configuration file", has them. Only nouns.
 */

export type Effect = 'allow' | 'deny'

/** Whom the rules of a `<policy>` are for. They count in this order, and the later ones win. */
export type Audience =
  | { readonly kind: 'default' }
  | { readonly kind: 'group'; readonly gid: number }
  | { readonly kind: 'user'; readonly uid: number }
  | { readonly kind: 'console'; readonly present: boolean }
  | { readonly kind: 'mandatory' }
  /** A user or group that the accounts do not know: its rules are read, and count for nobody. */
  | { readonly kind: 'nobody' }

/** Where a rule stands, for people. */
export interface Origin {
  readonly file: string
  readonly line: number
  /** As it is written there. */
  readonly source: string
  /** The attribute of its `<policy>`, as `context="default"`. */
  readonly policy: string
}

interface Common {
  readonly effect: Effect
  readonly origin: Origin
}

/** Conditions on a message; what is `undefined` is met by all. */
interface MessageRule extends Common {
  readonly type: number | undefined
  readonly path: string | undefined
  readonly interface: string | undefined
  readonly member: string | undefined
  readonly errorName: string | undefined
  readonly requestedReply: boolean
  readonly eavesdrop: boolean
  readonly minFds: number
  readonly maxFds: number
}

export interface SendRule extends MessageRule {
  readonly kind: 'send'
  readonly destination: string | undefined
  readonly destinationPrefix: string | undefined
  readonly broadcast: boolean | undefined
}

export interface ReceiveRule extends MessageRule {
  readonly kind: 'receive'
  readonly sender: string | undefined
}

export interface OwnRule extends Common {
  readonly kind: 'own'
  /** `undefined`: any. */
  readonly name: string | undefined
  /** Names below it too, at a dot. */
  readonly prefix: boolean
}

/** Who may connect at all. It has a meaning for everybody and for mandatory rules only. */
export interface ConnectRule extends Common {
  readonly kind: 'connect'
  /** `*` is anybody; `nobody` is a name that the accounts do not know. */
  readonly who:
    | { readonly kind: 'anybody' }
    | { readonly kind: 'user'; readonly uid: number }
    | { readonly kind: 'group'; readonly gid: number }
    | { readonly kind: 'nobody' }
}

export type Rule = SendRule | ReceiveRule | OwnRule | ConnectRule

/** A rule and whom it is for; a policy is a list of these, in the order of the files. */
export interface PlacedRule {
  readonly audience: Audience
  readonly rule: Rule
}

/** What user and group names stand for, in the provider. */
export interface Names {
  uidOf(name: string): number | undefined
  gidOf(name: string): number | undefined
}

/** The name itself, or one below it, at a dot. */
export const isWithin = (name: string, prefix: string): boolean =>
  name.startsWith(prefix) && (name.length === prefix.length || name[prefix.length] === '.')
