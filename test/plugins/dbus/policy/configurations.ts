/**
 * Configurations that are taken, and such that are not: one flaw each. `real-bus.test.ts` asks dbus-daemon about all of them, too.
 */

export interface Configuration {
  readonly name: string
  /** A whole file; `@LISTEN@` stands for an address. */
  readonly text: string
  readonly isTaken: boolean
  /** Where we and dbus-daemon 1.14 mean to differ: what it says, and why. */
  readonly daemon?: { readonly isTaken: boolean; readonly why: string }
}

const busconfig = (content: string): string =>
  `<busconfig>\n<listen>@LISTEN@</listen>\n${content}\n</busconfig>\n`

/** The policy of everybody, with an allow of anybody so that the bus can be used at all. */
const withRule = (rule: string, policy = 'context="default"'): string =>
  busconfig(`<policy context="default"><allow user="*"/></policy>\n<policy ${policy}>${rule}</policy>`)

const rules = (isTaken: boolean, list: readonly string[]): readonly Configuration[] =>
  list.map(attributes => ({
    name: `<allow ${attributes}>`,
    text: withRule(`<allow ${attributes}/>`),
    isTaken,
  }))

const files = (isTaken: boolean, list: Readonly<Record<string, string>>): readonly Configuration[] =>
  Object.entries(list).map(([name, text]) => ({ name, text, isTaken }))

const GOOD_RULES = rules(true, [
  'send_destination="com.a.A"',
  'send_destination="*" send_interface="*" send_path="*" send_type="*" send_member="*"',
  'send_destination_prefix="com.a" send_type="method_call"',
  'send_error="com.a.Error"',
  'send_type="error" send_requested_reply="false"',
  'send_requested_reply="true"',
  'send_broadcast="true"',
  'send_broadcast="false" send_destination="com.a.A"',
  'send_broadcast="true" send_destination="*"',
  'send_interface="com.a.I" send_member="M" log="true"',
  'send_path="/a" send_member="M"',
  'send_destination="com.a.A" min_fds="1" max_fds="3" eavesdrop="true"',
  'send_destination="com.a.A" max_fds="0x10"',
  'send_destination="com.a.A" max_fds=" 010 fds"',
  'send_destination="com.a.A" max_fds="33554432"',
  'send_destination=""',
  'receive_sender="com.a.A" receive_type="signal" receive_path="/a"',
  'receive_interface="com.a.I" receive_member="M"',
  'receive_error="com.a.Error"',
  'receive_requested_reply="false"',
  'eavesdrop="true"',
  'eavesdrop="false" min_fds="1"',
  'own="*"',
  'own="com.a.A" log="false"',
  'own_prefix="com.a"',
  'user="root"',
  'user="no-such-user"',
  'user="4242"',
  'group="*"',
])

const BAD_RULES = rules(false, [
  '',
  'log="true"',
  'min_fds="1"',
  'max_fds="1"',
  'unknown="1"',
  'Send_destination="com.a.A"',
  'send_destination="com.a.A" receive_sender="com.a.A"',
  'send_destination="com.a.A" own="com.a.A"',
  'send_type="signal" user="root"',
  'receive_type="signal" group="root"',
  'receive_sender="com.a.A" own_prefix="com.a"',
  'own="com.a.A" own_prefix="com.a"',
  'own="com.a.A" user="root"',
  'user="root" group="root"',
  'eavesdrop="true" own="com.a.A"',
  'min_fds="1" own="com.a.A"',
  'max_fds="1" user="root"',
  'send_member="M"',
  'send_member="M" send_destination="com.a.A"',
  'receive_member="M" receive_sender="com.a.A"',
  'send_error="com.a.Error" send_interface="com.a.I"',
  'send_error="com.a.Error" send_path="/a" send_member="M"',
  'receive_error="com.a.Error" receive_interface="com.a.I"',
  'receive_error="com.a.Error" receive_path="/a" receive_member="M"',
  'send_destination="com.a.A" send_destination_prefix="com.a"',
  'send_destination="*" send_destination_prefix="com.a"',
  'send_broadcast="true" send_destination="com.a.A"',
  'send_broadcast="yes"',
  'send_type="call"',
  'send_type="signals"',
  'receive_type=""',
  'send_destination="com.a.A" eavesdrop="1"',
  'receive_sender="com.a.A" eavesdrop=""',
  'send_requested_reply="no"',
  'receive_requested_reply="True"',
  'send_destination="com.a.A" min_fds="-1"',
  'send_destination="com.a.A" min_fds=""',
  'send_destination="com.a.A" min_fds="many"',
  'send_destination="com.a.A" max_fds="33554433"',
  'send_destination="com.a.A" max_fds="99999999999999999999"',
])

const GOOD_FILES = files(true, {
  'all that is known': busconfig(`
    <type>system</type><user>root</user><keep_umask/><auth>EXTERNAL</auth>
    <standard_session_servicedirs/><standard_system_servicedirs/><servicedir>/nowhere</servicedir>
    <servicehelper>/nowhere/helper</servicehelper><allow_anonymous/>
    <limit name="max_message_size">1000000</limit>
    <selinux><associate own="com.a.A" context="a_t"/></selinux><selinux/>
    <apparmor mode="disabled"/>
    <include ignore_missing="yes">/nowhere/at/all.conf</include>
    <include if_selinux_enabled="yes" selinux_root_relative="yes">contexts/dbus_contexts</include>
    <includedir>/nowhere/at/all.d</includedir>
    <policy context="default"><allow user="*"/></policy>
    <policy context="mandatory"></policy>
    <policy at_console="true"><deny send_destination="com.a.A"/></policy>`),
  'comments, references, CDATA, single quotes': busconfig(
    `<!-- - --><?a b?><policy context='default'><allow user="&#42;"/><!-- x --></policy><type><![CDATA[system]]></type>`,
  ),
  'a byte order mark': `\ufeff${busconfig('<policy context="default"><allow user="*"/></policy>')}`,
  'an XML declaration': `<?xml version="1.0" encoding="UTF-8"?>\n${busconfig('<policy context="default"><allow user="*"/></policy>')}`,
  'a DOCTYPE with a public identifier': `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">${busconfig('')}`,
  'letters beyond ASCII in a comment and a value': withRule('<!-- ü 😀 --><allow own="com.ü.😀"/>'),
  'a user rule in the policy of a user that is not known': withRule(
    '<allow user="root"/>',
    'user="no-such-user"',
  ),
  'a user rule in a console policy': withRule('<allow user="root"/>', 'at_console="true"'),
})

const BAD_FILES = files(false, {
  nothing: '',
  blanks: ' \n ',
  text: 'hello',
  'another root element': '<config><listen>@LISTEN@</listen></config>',
  'an attribute of the root element': '<busconfig version="1"><listen>@LISTEN@</listen></busconfig>',
  'text within the root element': busconfig('hello'),
  'an element that is not closed': '<busconfig><listen>@LISTEN@</listen>',
  'elements that overlap': busconfig('<policy context="default"><selinux></policy></selinux>'),
  'two root elements': `${busconfig('')}${busconfig('')}`,
  'text behind the root element': `${busconfig('')}hello`,
  'an attribute twice': withRule('<allow own="com.a.A" own="com.a.B"/>'),
  'an attribute without a value': withRule('<allow own/>'),
  'an attribute without quotes': withRule('<allow own=com.a.A/>'),
  'an unknown entity': withRule('<allow own="&name;"/>'),
  'a reference to no character': withRule('<allow own="&#0;"/>'),
  'a less-than in a value': withRule('<allow own="<"/>'),
  'a control character': withRule('<allow own="\u0001"/>'),
  'a double hyphen in a comment': busconfig('<!-- a -- b -->'),
  'blanks before the XML declaration': ` <?xml version="1.0"?>${busconfig('')}`,
  'an unknown element': busconfig('<polices/>'),
  'a rule outside a policy': busconfig('<allow own="*"/>'),
  'an unknown element in a policy': withRule('<permit own="*"/>'),
  'a policy in a policy': withRule('<policy context="default"/>'),
  'text in a policy': withRule('hello'),
  'text in a rule': withRule('<allow own="*">hello</allow>'),
  'an element in a rule': withRule('<allow own="*"><deny own="*"/></allow>'),
  'a policy for nobody': withRule('', ''),
  'a policy for two': withRule('', 'user="root" context="default"'),
  'a policy with an unknown attribute': withRule('', 'context="default" for="all"'),
  'a context that is none': withRule('', 'context="Default"'),
  'at_console with a third value': withRule('', 'at_console="yes"'),
  'a user rule in the policy of a user': withRule('<allow user="*"/>', 'user="root"'),
  'a group rule in the policy of a group': withRule('<deny group="*"/>', 'group="root"'),
  'an empty include': busconfig('<include></include>'),
  'an include of what is not there': busconfig('<include>/nowhere/at/all.conf</include>'),
  'an include with a bad word': busconfig('<include ignore_missing="true">/nowhere</include>'),
  'an include with an unknown attribute': busconfig('<include missing="yes">/nowhere</include>'),
  'an element in an include': busconfig('<include><type/></include>'),
  'an empty includedir': busconfig('<includedir/>'),
  'an includedir that is a file': busconfig('<includedir>/etc/passwd</includedir>'),
  'an include of a directory': busconfig('<include ignore_missing="yes">/etc</include>'),
  'an empty listen': busconfig('<listen/>'),
  'an attribute of listen': busconfig('<listen to="x">unix:path=/tmp/x</listen>'),
  'a limit without a name': busconfig('<limit>5</limit>'),
  'a limit without a value': busconfig('<limit name="max_message_size"></limit>'),
  'text in fork': busconfig('<fork>no</fork>'),
  'an associate without a context': busconfig('<selinux><associate own="com.a.A"/></selinux>'),
  'a rule in selinux': busconfig('<selinux><allow own="*"/></selinux>'),
})

const DIFFERENT: readonly Configuration[] = [
  {
    name: 'a DOCTYPE with declarations',
    text: `<!DOCTYPE busconfig [<!ENTITY any "*">]>${withRule('<allow own="&any;"/>')}`,
    isTaken: false,
    daemon: { isTaken: true, why: 'no declarations are read here' },
  },
  {
    name: 'a limit that is not known',
    text: busconfig('<limit name="max_ideas">1</limit>'),
    isTaken: true,
    daemon: { isTaken: false, why: 'later buses have more limits, and none of them counts here' },
  },
]

export const CONFIGURATIONS: readonly Configuration[] = [
  ...GOOD_RULES,
  ...BAD_RULES,
  ...GOOD_FILES,
  ...BAD_FILES,
  ...DIFFERENT,
]
