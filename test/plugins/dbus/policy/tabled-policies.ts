/** Policies by what each is about, as the rules of a configuration: the addresses are not in them. For the users of `policies.ts`. */
import { BUS, OPEN, SCAFFOLD } from './policies.ts'

/** Of everybody, after all is allowed. */
const rules = (...lines: readonly string[]): string =>
  [
    '<policy context="default"><allow user="*"/></policy>',
    OPEN,
    `<policy context="default">${lines.join('')}</policy>`,
    SCAFFOLD,
  ].join('\n')

const whole = (...lines: readonly string[]): string =>
  ['<policy context="default"><allow user="*"/></policy>', ...lines, SCAFFOLD].join('\n')

export const POLICIES: Readonly<Record<string, string>> = {
  'nothing that is not allowed': whole('<policy context="default"><allow receive_sender="*"/></policy>'),
  'a name to send to': rules('<deny send_destination="com.a.A"/>'),
  'one name of a connection that has two': rules(
    '<deny send_destination="com.a.Another"/>',
    '<allow send_destination="com.b.B"/>',
  ),
  'names below one': rules('<deny send_destination_prefix="com.a"/>'),
  'an interface, but for one member': rules(
    '<deny send_interface="com.a.I"/>',
    '<allow send_interface="com.a.I" send_member="N"/>',
  ),
  'what has no interface': rules('<deny send_destination="com.b.B" send_interface="com.a.J"/>'),
  'a path': rules('<deny send_path="/test/p"/>'),
  'signals to everybody': rules('<deny send_broadcast="true" send_interface="com.b.I"/>'),
  'signals to one': rules('<deny send_broadcast="false" send_type="signal" send_path="/test/q"/>'),
  descriptors: rules(
    '<deny send_destination="com.c.C" min_fds="1"/>',
    '<allow send_interface="com.a.J" max_fds="1"/>',
  ),
  'signals of a sender': rules('<deny receive_sender="com.a.A" receive_type="signal"/>'),
  'signals by interface': rules(
    '<deny receive_type="signal" receive_interface="com.a.I" receive_member="M"/>',
  ),
  'one user': whole(OPEN, '<policy user="daemon"><deny send_interface="com.a.I"/><deny own="*"/></policy>'),
  'a group, and not one user of it': whole(
    OPEN,
    '<policy group="29"><deny send_destination="com.a.A"/></policy>',
    '<policy user="2"><allow send_interface="com.a.I"/></policy>',
  ),
  'what is mandatory': whole(
    OPEN,
    '<policy context="mandatory"><deny send_interface="com.b.I"/></policy>',
    '<policy user="root"><allow send_interface="com.b.I"/></policy>',
  ),
  'names to own': rules('<deny own="*"/>', '<allow own_prefix="com.a.A"/>', '<allow own="com.b.B"/>'),
  'a user to connect': rules('<deny user="daemon"/>'),
  // Of these rules it looks the groups up itself, so they must be those of the host's files as well.
  'a group to connect': rules('<deny group="1"/>', '<deny group="2"/>', '<allow user="bin"/>'),
  'what the bus is asked': rules(`<deny send_destination="${BUS}" send_interface="com.a.I"/>`),
}
