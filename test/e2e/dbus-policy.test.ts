/**
 * The policy of a provider's bus, on a bus that lets everybody do everything: what is refused here, the daemon refused, and it is what a
 * real dbus-daemon would refuse. And the files of it: the distribution's, changed, malformed, missing, and linked to.
 */
import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { policiesOf, saysYes } from '../plugins/dbus/policy/comparison.ts'
import { message, NAMES, type PartyMessage, policies, USERS } from '../plugins/dbus/policy/policies.ts'
import { type Outcome, outcomeOf } from '../plugins/dbus/policy/real-bus.ts'
import { POLICIES } from '../plugins/dbus/policy/tabled-policies.ts'
import { BUS_SOCKET, busConfig, EXAMPLE, EXAMPLE_PATH, permissiveAt, writeIn } from '../support/bus.ts'
import { type BusClient, toBus } from '../support/bus-wire.ts'
import type { Container } from '../support/container.ts'
import { asText } from '../support/daemon.ts'
import { audits, OPERATOR, onOneBus, type Site, type SiteOptions } from '../support/dbus-site.ts'
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

/** The bus itself allows everything; its files are what the test writes, beside the distribution's unless that is hidden. */
const ON_PERMISSIVE: SiteOptions = {
  bus: { config: { text: permissiveAt(BUS_SOCKET) } },
  args: ['--dbus-policy-look', '100'],
}

// Policies, here and on a real bus.

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
  const roles = policiesOf(policy)
  for (const key of ['connected', 'owned'] as const) {
    if (JSON.stringify(real[key]) !== JSON.stringify(ours[key]))
      found.push(`${key}: ${JSON.stringify(real[key])}, here ${JSON.stringify(ours[key])}`)
  }
  for (const [index, sent] of messages.entries()) {
    const [there, here] = [real.delivered[index], ours.delivered[index]]
    const isExcused =
      there === false &&
      here === true &&
      isForTheBus(sent, policy) &&
      saysYes(roles, ours.owned, sent, 'its own side')
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

// One call, which the example service answers, and what a client hears instead.

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

// Whom the files are about.

const rule = (text: string, audience = 'context="default"'): string => `<policy ${audience}>${text}</policy>`
const ALLOWED = rule(`<allow send_destination="${EXAMPLE}"/>`)
const REFUSED = `<deny send_destination="${EXAMPLE}"/>`

/** Beside the distribution's policy, by which nobody may call a service. */
const says = ({ svc }: Site, ...lines: readonly string[]): Promise<void> =>
  writeIn(svc, '/etc/dbus-1/system.d/tested.conf', busConfig(lines.join('\n')))

onOneBus(
  'the policy of a distribution, and what is beside it',
  {
    'refuses what nothing allows, and the log says by which rule': async site => {
      const client = await site.clients.client()
      await becomes(client, true)
      await site.world.daemon.logged('the denial', line =>
        asText(line).includes('/usr/share/dbus-1/system.conf:'),
      )
      await says(site, ALLOWED)
      await becomes(client, false)
      await client.close()
    },

    'is about the role, and not about the daemon': async site => {
      const client = await site.clients.client()
      await says(site, ALLOWED, rule(REFUSED, `user="${OPERATOR.name}"`))
      await becomes(client, true)
      await says(site, ALLOWED, rule(REFUSED, 'user="root"'))
      await becomes(client, false)
      await client.close()
    },

    'knows the groups that the provider has the role in': async site => {
      const client = await site.clients.client()
      await site.link('other', 'root')
      const stranger = await site.clients.client('/run/pvx/other')
      await says(site, rule(`<allow send_destination="${EXAMPLE}"/>`, 'group="meters"'))
      await becomes(client, false)
      assert.ok(await isDenied(stranger))
      await Promise.all([client.close(), stranger.close()])
    },

    'reaches whoever owns a name by its unique name too': async site => {
      const client = await site.clients.client()
      const byUnique = { ...ECHO, destination: site.service.uniqueName }
      await says(site, ALLOWED)
      await becomes(client, false)
      assert.deepEqual(await client.outcome(byUnique), ['hello'])
      await says(site, rule(`<allow send_type="method_call"/>${REFUSED}`))
      await becomes(client, true)
      assert.equal(await client.outcome(byUnique), DENIED)
      await client.close()
    },

    'goes on as it was when a file that its main one includes is malformed': async site => {
      const client = await site.clients.client()
      await says(site, ALLOWED)
      await becomes(client, false)
      await write('<busconfig>')(site.svc)
      await site.world.daemon.logged('an error', line => /last good one stays in force/.test(asText(line)))
      assert.equal(await isDenied(client), false)
      await remove(site, MAIN)
      await client.close()
    },
  },
  { ...ON_PERMISSIVE, causes: ['the bus policy cannot be read'] },
)

// The files themselves.

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
        if (mode === 'off') assert.equal(told(), 0)
        else {
          await eventually('it is told of', () => told() > 0)
          assert.match(JSON.stringify(audits(site, 'dbus-audit')), /system\.conf:/)
        }
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
