/** The verdicts of the filter that are the same for every message, and the words of its answers. */
import type { DenialReason, Verdict } from '../contract.ts'

export const PASS: Verdict = { kind: 'pass' }
export const SWALLOW: Verdict = { kind: 'swallow' }

const deny = (reason: DenialReason): Verdict => ({ kind: 'deny', reason })
const drop = (reason: DenialReason): Verdict => ({ kind: 'drop', reason })

export const DENY = {
  dest: deny('dest'),
  interface: deny('interface'),
  property: deny('property'),
  busMethod: deny('bus-method'),
  match: deny('match'),
  own: deny('own'),
  reply: deny('reply'),
} as const

export const DROP = {
  signalOut: drop('signal-out'),
  signalIn: drop('signal-in'),
  reply: drop('reply'),
} as const

/** An error of the bus's own, in words like its own. */
const error = (name: string, text: string): Verdict => ({
  kind: 'answer',
  answer: { error: `org.freedesktop.DBus.Error.${name}`, text },
})

/** The same for names that nobody has and for names that are hidden. */
export const nameHasNoOwner = (name: string): Verdict =>
  error('NameHasNoOwner', `Could not find out about name '${name}': no such name`)

export const serviceUnknown = (name: string): Verdict =>
  error('ServiceUnknown', `The name ${name} was not provided by any .service files`)

export const NO_SUCH_RULE = error(
  'MatchRuleNotFound',
  'There is no match rule of this connection that says that',
)

export const TOO_MANY_CALLS = error(
  'LimitsExceeded',
  'Too many calls of this connection wait for their reply',
)

export const NOT_OWNED: Verdict = { kind: 'answer', answer: { boolean: false } }

/** DBUS_RELEASE_NAME_REPLY_NON_EXISTENT (D-Bus specification, "org.freedesktop.DBus.ReleaseName"). */
export const NOTHING_TO_RELEASE: Verdict = { kind: 'answer', answer: { uint32: 2 } }
