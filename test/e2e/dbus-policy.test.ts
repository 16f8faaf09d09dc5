/**
 * The policy of a provider's bus, applied by the daemon: the bus of these tests lets everybody do everything, and the policy is
 * in the files of its container. What is refused here, the daemon refused.
 */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import {
  type Headers,
  mayOwn,
  mayReceive,
  maySend,
  type Party,
  policyFor,
  type RolePolicy,
} from '../../plugins/dbus/policy/evaluate.ts'
import { gather } from '../../plugins/dbus/policy/gather.ts'
import { namesIn } from '../../plugins/dbus/policy/provider-policy.ts'
import { DEFAULT_LIMITS } from '../../src/model/limits.ts'
import { headersOf, uniqueOf } from '../plugins/dbus/policy/comparison.ts'
import { message, NAMES, type PartyMessage, policies, USERS } from '../plugins/dbus/policy/policies.ts'
import { runParties } from '../plugins/dbus/policy/real-bus.ts'
import { BUS_SOCKET, busConfig, EXAMPLE, permissiveAt, writeIn } from '../support/bus.ts'
import { dbusSend, OPERATOR, onOneBus, type Site } from '../support/dbus-site.ts'
import { eventually } from '../support/eventually.ts'
import { folderFiles } from '../support/folder-files.ts'
import { randomOf } from '../support/random.ts'

const POLICY_FILE = '/etc/dbus-1/system.d/tested.conf'
const LOOK_MS = 200
const OPTIONS = {
  bus: { config: { text: permissiveAt(BUS_SOCKET) } },
  args: [`--dbus-policy-look=${LOOK_MS}`],
}

const rule = (text: string, audience = 'context="default"'): string => `<policy ${audience}>${text}</policy>`

const says = ({ svc }: Site, ...rules: readonly string[]): Promise<void> =>
  writeIn(svc, POLICY_FILE, busConfig(rules.join('\n')))

const ALLOWED = rule(`<allow send_destination="${EXAMPLE}"/>`)
const DENIED = /AccessDenied/

/** Whether Echo is answered by the service; anything else than a refusal is a failure of the test. */
const isAllowed = async (site: Site, to = site.address): Promise<boolean> => {
  const { code, complaints } = await dbusSend(site, 'Echo', ['string:x'], { to })
  if (code !== 0) assert.match(complaints, DENIED)
  return code === 0
}

const becomes = (site: Site, what: string, allowed: boolean): Promise<unknown> =>
  eventually(what, async () => (await isAllowed(site)) === allowed, 20_000)

onOneBus(
  'the policy of a bus that does not apply it',
  {
    'is that of its own distribution, and of what is beside it': async site => {
      await says(site)
      await becomes(site, 'nobody may call the service', false)
      await says(site, ALLOWED)
      await becomes(site, 'everybody may', true)
      await says(site, ALLOWED, rule(`<deny send_destination="${EXAMPLE}"/>`, `user="${OPERATOR.name}"`))
      await becomes(site, 'the role may not', false)
      await says(site, ALLOWED, rule(`<deny send_destination="${EXAMPLE}"/>`, 'user="root"'))
      await becomes(site, 'it may, root may not', true)
    },

    'knows the groups of the role': async site => {
      await says(site, rule(`<allow send_destination="${EXAMPLE}"/>`, 'group="meters"'))
      await becomes(site, 'who is in the group may', true)
      assert.ok(!(await isAllowed(site, await site.link('other', 'root'))))
    },

    'says in the log which rule it was': async site => {
      await says(site)
      await becomes(site, 'nobody may call the service', false)
      await site.world.daemon.logged('the denial', line =>
        JSON.stringify(line).includes('/usr/share/dbus-1/system.conf:'),
      )
    },

    'reaches whoever owns a name, by its unique name too': async site => {
      await says(site, ALLOWED)
      await becomes(site, 'everybody may', true)
      const to = { destination: site.service.uniqueName }
      const allowed = await dbusSend(site, 'Echo', ['string:x'], to)
      assert.equal(allowed.code, 0, allowed.complaints)
      await says(site, rule(`<allow send_type="method_call"/><deny send_destination="${EXAMPLE}"/>`))
      await becomes(site, 'nobody may', false)
      assert.match((await dbusSend(site, 'Echo', ['string:x'], to)).complaints, DENIED)
    },

    'applies to clients that are connected already': async site => {
      await says(site, ALLOWED)
      await becomes(site, 'everybody may', true)
      const client = site.run(
        '/usr/bin/python3',
        '-c',
        `import dbus, time
bus = dbus.SystemBus()
example = bus.get_object('${EXAMPLE}', '/org/pantavisor/Example', introspect=False)
example.Echo('x', dbus_interface='${EXAMPLE}')
print('before', flush=True)
for _ in range(200):
    try:
        example.Echo('x', dbus_interface='${EXAMPLE}')
        time.sleep(0.05)
    except dbus.DBusException as refusal:
        print(refusal.get_dbus_name())
        break`,
      )
      await says(site)
      const { out, complaints } = await client
      assert.match(`${out}${complaints}`, DENIED)
    },

    'decides about names': async site => {
      const ask = (name: string) =>
        dbusSend(site, 'org.freedesktop.DBus.RequestName', [`string:${name}`, 'uint32:4'], {
          destination: 'org.freedesktop.DBus',
          path: '/org/freedesktop/DBus',
        })
      await says(site, ALLOWED, rule('<allow own_prefix="com.mine"/>', `user="${OPERATOR.name}"`))
      await becomes(site, 'the service may be called', true)
      assert.match((await ask('com.mine.Name')).out, /uint32 1/)
      assert.match((await ask('com.yours.Name')).complaints, DENIED)
    },

    'decides who may connect': async site => {
      await says(site, ALLOWED, rule(`<deny user="${OPERATOR.name}"/>`))
      await eventually('it is turned away', async () => {
        const { code, complaints } = await dbusSend(site, 'Echo', ['string:x'])
        return code !== 0 && !DENIED.test(complaints)
      })
      await says(site, ALLOWED)
      await becomes(site, 'it is let in again', true)
    },

    'goes on as it was when a file is spoilt, and leaves out one of a folder': async site => {
      await says(site, ALLOWED)
      await writeIn(site.svc, '/etc/dbus-1/system.d/broken.conf', '<busconfig>')
      const isSaid = (message: string): boolean =>
        site.world.daemon.log().some(({ msg }) => String(msg).includes(message))
      await eventually('it is left out', async () => {
        await isAllowed(site)
        return isSaid('a file of the bus policy counts for nothing')
      })
      assert.ok(await isAllowed(site))
      await writeIn(site.svc, '/etc/dbus-1/system.conf', '<busconfig>')
      await eventually('it is stale', async () => {
        await isAllowed(site)
        return isSaid('the last good one stays in force')
      })
      assert.ok(await isAllowed(site))
      for (const path of ['/etc/dbus-1/system.conf', '/etc/dbus-1/system.d/broken.conf'])
        rmSync(site.svc.path(path))
    },
  },
  { ...OPTIONS, causes: ['the bus policy cannot be read'] },
)

onOneBus(
  'the policy of a bus that is only watched',
  {
    'refuses nothing, and says what it would have': async site => {
      await says(site)
      assert.ok(await isAllowed(site))
      await site.world.daemon.logged('the finding', line =>
        JSON.stringify(line).includes('/usr/share/dbus-1/system.conf:'),
      )
    },
  },
  { ...OPTIONS, args: [...OPTIONS.args, '--dbus-policy=audit'] },
)

// Policies made from chance: what arrives is what they say, whatever the bus would let pass.

const SEEDS = [1, 2, 3, 4]
const MESSAGES = 20
const ROLES = ['root', 'daemon', 'bin'] as const

/** Names are known in full: every party is connected before any of them speaks. */
const arrives = (
  roles: readonly RolePolicy[],
  owned: readonly (readonly string[])[],
  sent: PartyMessage,
): boolean => {
  const headers: Headers = headersOf(sent)
  const partyOf = (party: number): Party => ({
    kind: 'connection',
    names: new Set([uniqueOf(party), ...(owned[party] ?? [])]),
    complete: true,
  })
  const sender = roles[sent.from]
  assert.ok(sender)
  if (sent.to === 'bus') return maySend(sender, headers, { kind: 'bus' }).allowed
  const receiver = roles[sent.to]
  assert.ok(receiver)
  const everybody: Party = { kind: 'connection', names: new Set(), complete: false }
  const isSent = maySend(sender, headers, sent.broadcast ? everybody : partyOf(sent.to)).allowed
  // Only the receiver of a signal is protected here; calls are the bus's.
  return isSent && (sent.type === 'call' || mayReceive(receiver, headers, partyOf(sent.from)).allowed)
}

onOneBus(
  'policies made from chance',
  Object.fromEntries(
    SEEDS.map(seed => [
      `what arrives is what they say, from seed ${seed}`,
      async (site: Site) => {
        const random = randomOf(seed)
        await writeIn(site.svc, POLICY_FILE, `<busconfig>${policies(random)}</busconfig>`)
        const messages = Array.from({ length: MESSAGES }, () => message(random))
        const sockets = await Promise.all(
          ROLES.map(async role =>
            site.app.path((await site.link(`${role}-${seed}`, role)).replace('unix:path=', '')),
          ),
        )
        const files = folderFiles(site.svc.path(''))
        const { outcome } = gather(files, namesIn(files, DEFAULT_LIMITS), BUS_SOCKET, DEFAULT_LIMITS)
        assert.ok(outcome.kind === 'loaded', JSON.stringify(outcome))
        const users = USERS.map(({ uid, gid }) => ({ uid, groups: [gid] }))
        const roles = users.map(user => policyFor(outcome.rules, user))
        const parties = USERS.map((_, index) => ({
          uid: 0,
          gid: 0,
          groups: [0],
          socket: sockets[index] ?? '',
          names: NAMES[index] ?? [],
        }))
        const found = await runParties({ parties, messages })
        for (const [index, role] of roles.entries()) {
          const expected = (NAMES[index] ?? []).filter(name => mayOwn(role, name).allowed)
          assert.deepEqual(found.owned[index], expected, `names of ${ROLES[index]}`)
        }
        const different = messages.filter((sent, index) => {
          const real = found.delivered[index]
          return real !== null && real !== arrives(roles, found.owned, sent)
        })
        assert.deepEqual(different, [])
      },
    ]),
  ),
  OPTIONS,
)
