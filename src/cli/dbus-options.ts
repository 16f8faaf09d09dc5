/** The daemon's options for `dbus` links: what a client may send before and in its messages, and how long each part may take. */
import type { Limits } from '../model/limits.ts'
import type { Option } from './arguments.ts'
import { DAY_MS, HOUR_MS, KIB, limitOption, MIB, MILLION } from './limit-option.ts'

/** A line waits in the relay's buffer, of which half a connection's is the most for one. */
export const dbusOptions = <C extends { readonly limits: Limits }>(): readonly Option<C>[] => [
  limitOption(
    'dbusConnections',
    'dbus-max-connections',
    { min: 1, max: MILLION, unit: 'N' },
    'Most connections of a link; one beyond them is closed.',
  ),
  limitOption(
    'dbusHandshakeMs',
    'dbus-handshake-timeout',
    { min: 100, max: HOUR_MS, unit: 'MS' },
    'How long a client may take to its BEGIN.',
  ),
  limitOption(
    'dbusHandshakes',
    'dbus-max-handshakes',
    { min: 1, max: 10_000, unit: 'N' },
    "Most connections to one provider's socket that the bus has not answered Hello yet, over all links.",
  ),
  limitOption(
    'dbusLineBytes',
    'dbus-max-line-bytes',
    { min: 256, max: 128 * KIB, unit: 'BYTES' },
    'Longest line before BEGIN.',
  ),
  limitOption('dbusLines', 'dbus-max-lines', { min: 4, max: 10_000, unit: 'N' }, 'Most lines before BEGIN.'),
  limitOption(
    'dbusFieldBytes',
    'dbus-max-field-bytes',
    { min: KIB, max: 64 * MIB, unit: 'BYTES' },
    "Largest fields of a message's header, in all.",
  ),
  limitOption(
    'dbusCalls',
    'dbus-max-calls',
    { min: 1, max: MILLION, unit: 'N' },
    'Most calls of a filtered connection that wait for their reply, each way.',
  ),
  limitOption(
    'dbusSeen',
    'dbus-max-seen',
    { min: 1, max: MILLION, unit: 'N' },
    'Most connections of the bus that a filtered client has heard from and may ask about.',
  ),
  limitOption(
    'dbusConnectMs',
    'dbus-connect-timeout',
    { min: 0, max: HOUR_MS, unit: 'MS' },
    'How long a client waits for a bus that is not there.',
  ),
  limitOption(
    'dbusDescriptorsMs',
    'dbus-descriptor-timeout',
    { min: 100, max: DAY_MS, unit: 'MS' },
    'How long descriptors may wait for the rest of their message.',
  ),
  limitOption(
    'dbusCloseMs',
    'dbus-close-timeout',
    { min: 0, max: HOUR_MS, unit: 'MS' },
    'How long what a client has sent may take to be delivered once it is gone.',
  ),
]
