/** What a `dbus` link counts, besides what every link does. One constant each: what is counted is looked up by the object. */
import type { DialError, Figure, Side } from '../../src/relay/contract.ts'
import { type DenialReason, MESSAGE_TYPE } from './contract.ts'
import { HEADER_FAULTS, type HeaderFault } from './message-reader.ts'

type Labels = Readonly<Record<string, string>>

const total = (name: string, help: string, labels: Labels = {}, advice?: string): Figure =>
  advice === undefined ? { name, help, labels, kind: 'total' } : { name, help, labels, kind: 'total', advice }

const byKey = <K extends string>(
  keys: readonly K[],
  figure: (key: K) => Figure,
): Readonly<Record<K, Figure>> => Object.fromEntries(keys.map(key => [key, figure(key)])) as Record<K, Figure>

const snake = (text: string): string => text.replaceAll('-', '_')

/** Why a connection ended before its client's BEGIN. */
export const HANDSHAKE_FAULTS = [
  'no-nul',
  'line-length',
  'lines',
  'begin-too-early',
  'rejected-too-often',
  'descriptors',
  'timeout',
  'evicted',
  'client-left',
  'withdrawn',
  'bus-rejected',
  'bus-left',
  'bus-answer',
  'not-admitted',
] as const

export type HandshakeFault = (typeof HANDSHAKE_FAULTS)[number]

/** What is wrong with a message but for its header. */
const STREAM_FAULTS = [
  'descriptors-missing',
  'descriptors-left-over',
  'descriptors-not-negotiated',
  'descriptors-too-many',
  'descriptors-too-late',
  'body-length',
  'no-hello',
  'own-serial',
  'start-up',
  'judged',
] as const

export type MessageFault = HeaderFault | (typeof STREAM_FAULTS)[number]

const MESSAGE_FAULTS: readonly MessageFault[] = [...HEADER_FAULTS, ...STREAM_FAULTS]

const DENIAL_REASONS = [
  'dest',
  'interface',
  'property',
  'bus-method',
  'match',
  'own',
  'signal-out',
  'signal-in',
  'reply',
  'policy-connect',
  'policy-own',
  'policy-send',
  'policy-receive',
] as const satisfies readonly DenialReason[]

const WIDER =
  'The link has kept messages from what its interface does not name. If its client needs that, name it there, or assign the whole bus; the lines dbus-deny in the log say what it was.'

const BY_POLICY =
  "The policy in the provider's files has denied messages. If they should pass, ask pv-xconnect policy explain which rule it was; the lines dbus-deny in the log have it too."

/** Not for what a client may well send, or be sent, without needing it. */
const DENIAL_ADVICE: Partial<Readonly<Record<DenialReason, string>>> = {
  dest: WIDER,
  interface: WIDER,
  property: WIDER,
  own: "A client asks for a name that it may not own: on a link with an interface only that one, and only if the policy in the provider's files lets the role own it.",
  'policy-own': BY_POLICY,
  'policy-send': BY_POLICY,
}

const NO_BUS =
  'What listens at the socket of the link does not behave as a bus: see that it is one, and what it logs.'

const HANDSHAKE_ADVICE: Partial<Readonly<Record<HandshakeFault, string>>> = {
  'no-nul': 'What connects does not speak D-Bus: see which program of the consumer uses the target.',
  evicted:
    'Clients connected and did not go on while others waited for the bus, and were closed. Find the program of the consumer that opens connections and leaves them.',
  'bus-rejected':
    "The bus refuses the uid of the role (role_uid). See the link's role and uid, and what the bus's configuration says of who may connect.",
  'bus-left': NO_BUS,
  'bus-answer': NO_BUS,
  'not-admitted':
    "The policy in the provider's files does not let the role connect: pv-xconnect policy explain --connect says by which rule.",
}

const DIAL_ADVICE: Readonly<Record<DialError, string>> = {
  timeout:
    'The bus was not there for --dbus-connect-timeout. See that it runs, and that it listens at the socket of the link in the root of the provider.',
  refused: 'The bus could not be connected to; the log has a warning with the errno.',
  'kind-mismatch': 'What is at the socket of the link is no stream socket, so it is no bus.',
  identity:
    "The daemon cannot be the role's user towards the bus; the log has a warning with the reason. Most often the provider has a user namespace that has no such uid.",
}

const NO_PASSWD_LINE =
  'The bus let clients in and then dropped them. dbus-daemon does so where the uid of the role (role_uid) has no line in /etc/passwd of the provider, or where a <deny user> rule names it. Give it a line there, or correct role or uid of the link.'

const DIAL_ERRORS = [
  'timeout',
  'refused',
  'kind-mismatch',
  'identity',
] as const satisfies readonly DialError[]

const faultsOf = (side: Side): Readonly<Record<MessageFault, Figure>> =>
  byKey(MESSAGE_FAULTS, fault =>
    total('protocol_errors', 'Connections that were closed for what a message had in it, by whose it was.', {
      side,
      reason: snake(fault),
    }),
  )

const TYPE_NAMES = ['other', ...Object.keys(MESSAGE_TYPE)] as const

/** By the type of a message; `other` for those that have no meaning. */
const messagesTo = (to: Side): readonly Figure[] =>
  TYPE_NAMES.map(type => total('messages', 'Messages that passed, by whom they went to.', { to, type }))

export const typeName = (type: number): string => TYPE_NAMES[type] ?? 'other'

export const FIGURES = {
  messages: { consumer: messagesTo('consumer'), provider: messagesTo('provider') },
  denied: byKey(DENIAL_REASONS, reason =>
    total(
      'denied',
      'Messages that were kept from whom they were for, by the rule that did.',
      { reason: snake(reason) },
      DENIAL_ADVICE[reason],
    ),
  ),
  answers: total('synthesized_replies', "Calls that were answered in the bus's place."),
  unknownTypes: total('unknown_types', 'Messages of no known type, which a filtered link drops.'),
  protocolErrors: { consumer: faultsOf('consumer'), provider: faultsOf('provider') },
  handshakesFailed: byKey(HANDSHAKE_FAULTS, reason =>
    total(
      'handshakes_failed',
      'Connections that ended before their client began with messages.',
      { reason: snake(reason) },
      HANDSHAKE_ADVICE[reason],
    ),
  ),
  dialFailures: byKey(DIAL_ERRORS, reason =>
    total(
      'dial_failures',
      'Clients whose bus was not reached.',
      { reason: snake(reason) },
      DIAL_ADVICE[reason],
    ),
  ),
  handshakesQueued: total(
    'handshakes_queued',
    'Clients that waited in line, because as many others were on their way to the bus as may be.',
  ),
  leftBeforeHello: total(
    'left_before_hello',
    'Connections that the bus closed after it had let them in, and before it had said anything.',
    {},
    NO_PASSWD_LINE,
  ),
} as const

/** The figure of one message; types beyond the known ones are all alike. */
export const messageFigure = (to: Side, type: number): Figure =>
  FIGURES.messages[to][type] ?? FIGURES.messages[to][0] ?? FIGURES.unknownTypes
