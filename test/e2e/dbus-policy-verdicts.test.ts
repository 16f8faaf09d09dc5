/**
 * The policy of a provider's bus, on a bus that does not enforce it: a link keeps what a real dbus-daemon would keep. And the files of it:
 * changed, malformed, missing, and linked to.
 */
import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import {
  message,
  NAMES,
  OPEN,
  type PartyMessage,
  policies,
  SCAFFOLD,
  USERS,
} from '../plugins/dbus/policy/policies.ts'
import { type Outcome, outcomeOf } from '../plugins/dbus/policy/real-bus.ts'
import { BUS_SOCKET, busConfig, EXAMPLE, EXAMPLE_PATH, permissiveAt, writeIn } from '../support/bus.ts'
import { type BusClient, toBus } from '../support/bus-wire.ts'
import type { Container } from '../support/container.ts'
import { asText } from '../support/daemon.ts'
import { audits, onOneBus, type Site, type SiteOptions } from '../support/dbus-site.ts'
import { BUS } from '../support/dbus-wire.ts'
import { eventually } from '../support/eventually.ts'
import { randomOf } from '../support/random.ts'
import { PYTHON } from '../support/requirements.ts'

const MAIN = '/etc/dbus-1/system.conf'
const DENIED = `${BUS}.Error.AccessDenied`
const MESSAGES = 40
const CHANCES = 6

const LISTEN = `<listen>unix:path=${BUS_SOCKET}</listen>`

/** Without the distribution's file, the one of `/etc` is the main one. */
const ownMain = async (svc: Container): Promise<void> => {
  await svc.exec('mount', '-t', 'tmpfs', 'none', '/usr/share/dbus-1')
}

/** The bus itself allows everything; its files are what the test writes. */
const ON_PERMISSIVE: SiteOptions = {
  bus: { config: { text: permissiveAt(BUS_SOCKET) } },
  args: ['--dbus-policy-look', '100'],
}

// A table of policies, here and on a real bus.

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

const POLICIES: Readonly<Record<string, string>> = {
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

const ROLES = ['root', 'daemon', 'bin'] as const

const joinGroups = async (svc: Container): Promise<void> => {
  await ownMain(svc)
  const edit = 's/^audio:.*/audio:x:29:daemon,bin/; s/^video:.*/video:x:44:bin/'
  await svc.exec('sed', '-i', edit, '/etc/group')
}

const isOutcome = (value: unknown): value is Outcome =>
  typeof value === 'object' && value !== null && 'delivered' in value

/** Whose client is there before the first policy, so that none can keep it from connecting. */
const WATCHERS = new WeakMap<Site, BusClient>()
let policiesWritten = 0

/** The policy is in force as soon as a name may be had that no other allows. */
const putInForce = async (site: Site, policy: string): Promise<void> => {
  policiesWritten += 1
  const marker = `com.marker.Number${policiesWritten}`
  const marked = `${policy}<policy context="mandatory"><allow own="${marker}"/></policy>`
  await writeIn(site.svc, MAIN, `<busconfig>${LISTEN}${marked}</busconfig>`)
  const watcher = WATCHERS.get(site) ?? (await site.clients.client())
  WATCHERS.set(site, watcher)
  await eventually('the policy is in force', async () => {
    const said = await watcher.outcome(toBus('RequestName', marker, 4))
    return Array.isArray(said) && said[0] === 1
  })
}

/** The same clients, each by its own link. */
const throughLinks = async (
  site: Site,
  policy: string,
  messages: readonly PartyMessage[],
): Promise<Outcome> => {
  const { app } = site
  await putInForce(site, policy)
  const child = app.spawn([PYTHON, `${app.peers}/bus-parties.py`])
  const parties = USERS.map((user, index) => ({
    ...user,
    names: NAMES[index] ?? [],
    socket: `/run/pvx/${ROLES[index]}`,
  }))
  child.stdin.end(JSON.stringify({ parties, messages }))
  const [said, complaints] = await Promise.all([text(child.stdout), text(child.stderr)])
  const outcome: unknown = JSON.parse(said === '' ? JSON.stringify(complaints) : said)
  assert.ok(isOutcome(outcome), complaints)
  return outcome
}

/**
 * What only the bus can know: whether a call's receiver may have it; and of what is said to everybody, who of them may have it by a rule of the
 * sender's. Neither is told to a link, and there it passes.
 */
const isForTheBus = (sent: PartyMessage, policy: string): boolean => {
  if (sent.broadcast) return /<(?:allow|deny)[^>]* send_destination(?:_prefix)?="com/.test(policy)
  return sent.type === 'call' && sent.to !== 'bus' && /<deny[^>]* receive_/.test(policy)
}

const differences = (
  policy: string,
  messages: readonly PartyMessage[],
  real: Outcome,
  ours: Outcome,
): readonly string[] => {
  const found: string[] = []
  for (const key of ['connected', 'owned'] as const) {
    if (JSON.stringify(real[key]) !== JSON.stringify(ours[key]))
      found.push(`${key}: ${JSON.stringify(real[key])}, here ${JSON.stringify(ours[key])}`)
  }
  for (const [index, sent] of messages.entries()) {
    const [there, here] = [real.delivered[index], ours.delivered[index]]
    const isExcused = there === false && here === true && isForTheBus(sent, policy)
    if (there !== here && !isExcused) found.push(`${JSON.stringify(sent)}: ${there}, here ${here}`)
  }
  return found
}

const compared = async (site: Site, policy: string): Promise<void> => {
  const random = randomOf(7)
  const messages = Array.from({ length: MESSAGES }, () => message(random))
  const [real, ours] = await Promise.all([outcomeOf(policy, messages), throughLinks(site, policy, messages)])
  assert.deepEqual(differences(policy, messages, real, ours), [], policy)
}

onOneBus(
  'what a dbus policy denies is denied where the bus would not',
  {
    'its users have links': async site => {
      for (const role of ROLES) await site.link(role, role)
    },
    ...Object.fromEntries(
      Object.entries(POLICIES).map(([name, policy]) => [name, (site: Site) => compared(site, policy)]),
    ),
    ...Object.fromEntries(
      Array.from({ length: CHANCES }, (_, seed) => [
        `what chance has written, number ${seed}`,
        (site: Site) => compared(site, policies(randomOf(100 + seed))),
      ]),
    ),
  },
  { ...ON_PERMISSIVE, prepare: joinGroups },
)

// The files.

const ECHO = { destination: EXAMPLE, path: EXAMPLE_PATH, interface: EXAMPLE, member: 'Echo', args: ['hello'] }
const ALL =
  '<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>'
const NO_ECHO =
  '<policy context="default"><deny send_interface="org.pantavisor.Example" send_member="Echo"/></policy>'
const INCLUDES = '<includedir>system.d</includedir>'

const mainOf = (content: string): string => busConfig(`${LISTEN}${content}`)

const isDenied = async (client: BusClient): Promise<boolean> => (await client.outcome(ECHO)) === DENIED

const becomes = async (client: BusClient, denied: boolean): Promise<void> => {
  await eventually(denied ? 'it is denied' : 'it passes', async () => (await isDenied(client)) === denied)
}

const write =
  (content: string, path = MAIN) =>
  (svc: Container) =>
    writeIn(svc, path, content)
const remove = ({ svc }: Site, ...paths: readonly string[]): Promise<string> => svc.exec('rm', '-f', ...paths)

onOneBus(
  'the files of a dbus policy',
  {
    'a change counts for clients that are there already': async ({ clients, svc }) => {
      const client = await clients.client()
      assert.deepEqual(await client.outcome(ECHO), ['hello'])
      await write(mainOf(ALL + NO_ECHO))(svc)
      await becomes(client, true)
      await write(mainOf(ALL + INCLUDES))(svc)
      await becomes(client, false)
      await client.close()
    },

    'a file that is added to a folder counts, and so does one that is taken away': async site => {
      const client = await site.clients.client()
      const added = '/etc/dbus-1/system.d/added.conf'
      await write(busConfig(NO_ECHO), added)(site.svc)
      await becomes(client, true)
      await remove(site, added)
      await becomes(client, false)
      await client.close()
    },

    'a malformed file of a folder counts for nothing, and the log says so': async site => {
      const client = await site.clients.client()
      const [good, bad] = ['/etc/dbus-1/system.d/good.conf', '/etc/dbus-1/system.d/bad.conf']
      await write(`${busConfig(NO_ECHO)}<oops>`, bad)(site.svc)
      await site.world.daemon.logged('a warning', line => /bad\.conf/.test(asText(line)))
      assert.equal(await isDenied(client), false)
      await write(busConfig(NO_ECHO), good)(site.svc)
      await becomes(client, true)
      await remove(site, good, bad)
      await becomes(client, false)
      await client.close()
    },

    'a link in a folder is followed within the provider': async site => {
      const client = await site.clients.client()
      await write(busConfig(NO_ECHO), '/opt/policy.conf')(site.svc)
      await site.svc.exec('ln', '-s', '/opt/policy.conf', '/etc/dbus-1/system.d/linked.conf')
      await becomes(client, true)
      await remove(site, '/etc/dbus-1/system.d/linked.conf')
      await becomes(client, false)
      await client.close()
    },

    'a main file that is malformed leaves the last good one in force': async ({ clients, svc, world }) => {
      await write(mainOf(ALL + NO_ECHO))(svc)
      const client = await clients.client()
      await becomes(client, true)
      await write('<busconfig>')(svc)
      await world.daemon.logged('an error', line => /last good one stays in force/.test(asText(line)))
      assert.equal(await isDenied(client), true)
      assert.equal(typeof (await client.outcome(toBus('GetId'))), 'object')
      await write(mainOf(ALL))(svc)
      await becomes(client, false)
      await client.close()
    },
  },
  {
    ...ON_PERMISSIVE,
    prepare: async svc => {
      await ownMain(svc)
      await write(mainOf(ALL))(svc)
    },
    causes: ['the bus policy cannot be read'],
  },
)

const ONLY_QUESTIONS: Readonly<Record<string, string>> = {
  'a main file that is malformed': '<busconfig><policy></busconfig>',
  'a main file that includes what is not there': busConfig(`${LISTEN}<include>/nowhere.conf</include>`),
}

for (const [name, main] of Object.entries(ONLY_QUESTIONS)) {
  onOneBus(
    `with ${name} from the beginning`,
    {
      'a system bus is closed but for what is harmless': async ({ clients }) => {
        const client = await clients.client()
        assert.equal(await isDenied(client), true)
        assert.equal(await client.outcome(toBus('ListNames')), DENIED)
        assert.deepEqual(await client.outcome({ ...toBus('Ping'), interface: `${BUS}.Peer` }), [])
        await client.close()
      },
    },
    {
      ...ON_PERMISSIVE,
      prepare: async svc => {
        await ownMain(svc)
        await write(main)(svc)
      },
      causes: ['the bus policy cannot be read'],
    },
  )
}

onOneBus(
  'without any file of a dbus policy',
  {
    'messages pass, and no name is to be had': async site => {
      const client = await site.clients.client()
      assert.deepEqual(await client.outcome(ECHO), ['hello'])
      await site.service.order(`release ${EXAMPLE}`)
      assert.equal(await client.outcome(toBus('RequestName', EXAMPLE, 4)), DENIED)
      await client.close()
    },
  },
  { ...ON_PERMISSIVE, prepare: ownMain, interface: EXAMPLE },
)

for (const mode of ['audit', 'off'] as const) {
  onOneBus(
    `with --dbus-policy ${mode}`,
    {
      'what the policy denies passes': async site => {
        const client = await site.clients.client()
        assert.deepEqual(await client.outcome(ECHO), ['hello'])
        await client.close()
        const told = (): number => audits(site, 'dbus-audit').length
        if (mode === 'audit') await eventually('it is told of', () => told() > 0)
        else assert.equal(told(), 0)
        assert.deepEqual(audits(site, 'dbus-deny'), [])
      },
    },
    {
      ...ON_PERMISSIVE,
      args: ['--dbus-policy', mode],
      prepare: async svc => {
        await ownMain(svc)
        await write(mainOf(ALL + NO_ECHO))(svc)
      },
    },
  )
}
