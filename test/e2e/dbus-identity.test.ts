/** Who the bus of a `dbus` link sees: the user that the role stands for in the provider, whatever the client says or is. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import {
  BUS_SOCKET,
  EXAMPLE,
  EXAMPLE_PATH,
  hasBus,
  permissiveAt,
  startClients,
  writeIn,
} from '../support/bus.ts'
import { consumerWire, toBus } from '../support/bus-wire.ts'
import { untilDone } from '../support/child.ts'
import { HOST } from '../support/container.ts'
import { asText } from '../support/daemon.ts'
import {
  audits,
  busctl,
  dbusSend,
  gdbusCall,
  OPERATOR,
  onOneBus,
  pythonDbus,
  type Site,
} from '../support/dbus-site.ts'
import { eventually } from '../support/eventually.ts'
import { exists, keyOf, scenario } from '../support/scenario.ts'

/** Uid, then groups in order. */
type Identity = readonly [uid: number, ...groups: number[]]

const IS_OPERATOR: Identity = [
  OPERATOR.uid,
  ...[OPERATOR.gid, ...Object.values(OPERATOR.groups)].sort((a, b) => a - b),
]
const IS_NOBODY: Identity = [65_534, 65_534]

const numbersIn = (out: string): readonly number[] =>
  [...out.replaceAll('uint32', '').matchAll(/\d+/g)].map(([digits]) => Number(digits))

const asIdentity = ([uid = -1, ...groups]: readonly number[]): Identity => [
  uid,
  ...groups.sort((a, b) => a - b),
]

/** What the bus tells the service of its caller. */
const seenOn = async (site: Site, address: string): Promise<Identity> => {
  const { code, out, complaints } = await dbusSend(site, 'Caller', [], { to: address })
  assert.equal(code, 0, complaints)
  // The first line is of the message itself.
  return asIdentity(numbersIn(out.slice(out.indexOf('\n'))))
}

const PYTHON_CALLER = `uid, groups = example.Caller(dbus_interface='${EXAMPLE}')
print(int(uid), *[int(group) for group in groups])`

/** The same as each client asks for it. busctl says how many groups there are. */
const STYLES: Readonly<Record<string, (site: Site) => Promise<Identity>>> = {
  'dbus-send': site => seenOn(site, site.address),
  gdbus: async site => asIdentity(numbersIn((await gdbusCall(site, 'Caller')).out)),
  busctl: async site => {
    const { out } = await busctl(site, 'call', EXAMPLE, EXAMPLE_PATH, EXAMPLE, 'Caller')
    const [uid = -1, , ...groups] = numbersIn(out)
    return asIdentity([uid, ...groups])
  },
  'python-dbus': async site => asIdentity(numbersIn((await pythonDbus(site, PYTHON_CALLER)).out)),
}

/** A role, what the graph says beside it, and who it is. */
const ROLES: Readonly<
  Record<string, readonly [role: string, as: Readonly<Record<string, unknown>>, is: Identity]>
> = {
  'a name of the passwd file': ['operator', {}, IS_OPERATOR],
  'a number of the passwd file': [`${OPERATOR.uid}`, {}, IS_OPERATOR],
  'a name that nobody has': ['who-is-this', {}, IS_NOBODY],
  'the role of everybody': ['any', {}, IS_NOBODY],
  'no role': ['', {}, IS_NOBODY],
  'a uid, whatever the role': ['root', { uid: OPERATOR.uid }, IS_OPERATOR],
  'the uid of root, if the graph says so': ['any', { uid: 0 }, [0, 0]],
}

const roles: Record<string, (site: Site) => Promise<void>> = {}
for (const [index, [name, [role, as, is]]] of Object.entries(ROLES).entries()) {
  roles[`${name} stands for a user`] = async site => {
    const address = await site.link(`role${index}`, role, undefined, as)
    assert.deepEqual(await seenOn(site, address), is)
  }
}

const credentialsOf = (pid: number): readonly string[] =>
  readdirSync(`/proc/${pid}/task`).map(task =>
    (readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8').match(/^(?:Uid|Gid|Groups):.*$/gm) ?? []).join(
      ' ',
    ),
  )

onOneBus('the user of a dbus link', {
  ...roles,

  ...Object.fromEntries(
    Object.entries(STYLES).map(([style, seen]) => [
      `is the same to ${style}`,
      async (site: Site) => assert.deepEqual(await seen(site), IS_OPERATOR),
    ]),
  ),

  'is the same for root and for a user of the consumer': async site => {
    for (const uid of [0, 1234, OPERATOR.uid]) {
      const { out, complaints } = await site.run(
        ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--groups=7,8'],
        ...['busctl', `--address=${site.address}`, 'call', EXAMPLE, EXAMPLE_PATH, EXAMPLE, 'Caller'],
      )
      assert.deepEqual(numbersIn(out), [OPERATOR.uid, 3, ...IS_OPERATOR.slice(1)], complaints)
    }
  },

  'that has no line in the passwd file is turned away by dbus-daemon, and the log says why': async site => {
    const since = site.world.daemon.log().length
    const address = await site.link('nopasswd', '7777')
    const { code } = await dbusSend(site, 'Echo', ['string:x'], { to: address })
    assert.notEqual(code, 0)
    await eventually('it is logged', () => audits(site, 'dbus-left-before-hello', since).length > 0)
    assert.match(asText(audits(site, 'dbus-left-before-hello', since)[0] ?? {}), /7777.*no passwd entry/)
  },

  'that is root is told of in the log': async site => {
    await site.link('asroot', 'root')
    const { code } = await dbusSend(site, 'Echo', ['string:x'], { to: 'unix:path=/run/pvx/asroot' })
    assert.equal(code, 0)
    await site.world.daemon.logged('a warning', line => /root on the bus/.test(asText(line)))
  },

  'follows the passwd file of the provider': async site => {
    const address = await site.link('late', 'latecomer')
    assert.deepEqual(await seenOn(site, address), IS_NOBODY)
    const passwd = readFileSync(site.svc.path('/etc/passwd'), 'utf8')
    await writeIn(site.svc, '/etc/passwd', `${passwd}latecomer:x:5151:5152::/:/bin/false\n`)
    // The bus reads users again when it is told to: it knows of none that it has once looked for in vain.
    await site.svc.exec(
      ...['dbus-send', `--bus=unix:path=${BUS_SOCKET}`, '--print-reply', '--dest=org.freedesktop.DBus', '/'],
      'org.freedesktop.DBus.ReloadConfig',
    )
    assert.deepEqual(await seenOn(site, address), [5151, 5152])
  },

  'is nobody that the daemon stays': async site => {
    const before = credentialsOf(site.world.daemon.pid)
    const clients = startClients(site.app)
    assert.equal(await clients.order('many 150'), '150')
    await clients.kill()
    assert.deepEqual(new Set(credentialsOf(site.world.daemon.pid)), new Set(before))
  },
})

onOneBus(
  'the user of a dbus link whose provider has a user namespace',
  {
    'is the one that the provider numbers so': async site =>
      assert.deepEqual(await seenOn(site, site.address), IS_OPERATOR),

    'is nobody where the role has no name there': async site =>
      assert.deepEqual(await seenOn(site, await site.link('nobody', 'who-is-this')), IS_NOBODY),

    'is root there, not here': async site =>
      assert.deepEqual(await seenOn(site, await site.link('root', 'root')), [0, 0]),

    'that the namespace does not have is refused': async site => {
      const since = site.world.daemon.log().length
      const address = await site.link('beyond', '70000')
      const { code } = await dbusSend(site, 'Echo', ['string:x'], { to: address })
      assert.notEqual(code, 0)
      await eventually('it is logged', () =>
        audits(site, 'dbus-bus-not-reached', since).some(line => line['reason'] === 'identity'),
      )
    },
  },
  { svc: { user: '0 100000 65536' } },
)

/** A socket on the host that nobody may reach. */
const trapAt = async (folder: string): Promise<{ caught: () => number; close: () => void }> => {
  mkdirSync(folder)
  let caught = 0
  const server = createServer(socket => {
    caught += 1
    socket.destroy()
  })
  await new Promise<void>(resolve => server.listen(join(folder, 'bus'), resolve))
  return {
    caught: () => caught,
    close: () => {
      server.close()
      rmSync(folder, { recursive: true })
    },
  }
}

onOneBus("the paths of a dbus link's provider", {
  'may go through /var/run': async site => {
    mkdirSync(site.svc.path('/var'))
    symlinkSync('/run', site.svc.path('/var/run'))
    const address = await site.link('varrun', OPERATOR.name, undefined, {
      socket: '/var/run/dbus/system_bus_socket',
    })
    assert.deepEqual(await seenOn(site, address), IS_OPERATOR)
  },

  'never lead to a bus of the host': async site => {
    const folder = `/run/pvx-trap-${process.pid}`
    const trap = await trapAt(folder)
    try {
      // The same path, here and there; and one that is here only.
      mkdirSync(site.svc.path(folder))
      symlinkSync(BUS_SOCKET, site.svc.path(`${folder}/bus`))
      symlinkSync(`${folder}/bus`, site.svc.path('/opt/bus'))
      const address = await site.link('alias', OPERATOR.name, undefined, { socket: '/opt/bus' })
      assert.deepEqual(await seenOn(site, address), IS_OPERATOR)
      rmSync(site.svc.path(folder), { recursive: true })
      const client = await site.clients.connect('/run/pvx/alias')
      await client.put('\0AUTH EXTERNAL 30\r\n')
      await site.world.ctrl.askedAgain(3)
      await client.close()
      assert.equal(trap.caught(), 0)
    } finally {
      trap.close()
    }
  },
})

scenario(
  'a bus of the host is reached as the user that the graph says',
  async world => {
    const app = await world.container('app')
    const socket = join(world.scratch, 'bus')
    const config = join(world.scratch, 'bus.conf')
    writeFileSync(config, permissiveAt(socket))
    const bus = HOST.spawn([
      'dbus-daemon',
      `--config-file=${config}`,
      '--nofork',
      '--nopidfile',
      '--nosyslog',
    ])
    world.adopt({
      kill: async () => {
        bus.kill('SIGKILL')
        await untilDone(bus)
      },
    })
    await eventually('the bus listens', () => exists(socket))
    const entry = {
      ...{ type: 'dbus', name: 'bus', consumer: app.name, consumer_pid: app.pid, provider: 'host' },
      ...{ provider_pid: 0, role: 'any', uid: 1, interface: 'dbus', socket, target: '/run/pvx/bus' },
    }
    world.ctrl.serve([entry])
    await world.daemon.reaches(keyOf(entry), 'mediating')
    const client = await (await consumerWire(app)).client()
    assert.deepEqual(await client.outcome(toBus('GetConnectionUnixUser', client.name)), [1])
    await client.close()
  },
  { needs: hasBus },
)
