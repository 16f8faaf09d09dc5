/** The policy of a link over time: what is in force, what is said about it, and who observes the bus meanwhile. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import type { MessageHead } from '../../../../plugins/dbus/contract.ts'
import {
  type ConnectionPolicy,
  type LinkPolicy,
  openLinkPolicy,
  POLICY_RULES,
  POLICY_STATE,
} from '../../../../plugins/dbus/policy/policy.ts'
import type { ProtocolLimits } from '../../../../src/model/limits.ts'
import type { Link } from '../../../../src/model/link.ts'
import { type Mediation, NOTHING_COUNTED } from '../../../../src/model/mediation.ts'
import { aLink } from '../../../support/builders.ts'
import { eventually } from '../../../support/eventually.ts'
import { hasTool } from '../../../support/requirements.ts'
import { type FolderBox, folderBox } from './boxes.ts'

const MAIN = '/usr/share/dbus-1/system.conf'
const SOCKET = '/run/dbus/system_bus_socket'

let root = ''
let bus = ''
const opened: { close(): void }[] = []

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'pvx-policy-'))
  chmodSync(root, 0o755)
  bus = join(root, 'bus')
  write('/etc/passwd', 'root:x:0:0::/:\nweb:x:1000:1000::/:\n')
  write('/etc/group', 'web:x:1000:\n')
})

afterEach(() => {
  for (const each of opened.splice(0)) each.close()
  rmSync(root, { recursive: true, force: true })
})

const write = (path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

const policy = (rules: string, socket = SOCKET): string =>
  `<busconfig><listen>unix:path=${socket}</listen><policy context="default">${rules}</policy></busconfig>`

const OPEN = '<allow send_destination="*"/><allow receive_sender="*"/>'
const SHUT = '<deny send_destination="*"/>'

const LINK: Link = { ...aLink().ofType('dbus').withRole('web').build(), socket: SOCKET }
const MEDIATION = { id: 'm', counters: () => NOTHING_COUNTED } as unknown as Mediation

const boxOf = (limits: Partial<ProtocolLimits> = {}, link = LINK, beside?: FolderBox): FolderBox =>
  folderBox({ root, bus, link, limits, ...(beside === undefined ? {} : { beside }) })

const opens = (box: FolderBox, link = LINK): LinkPolicy => {
  const found = openLinkPolicy(box, link)
  opened.push(found)
  return found
}

const CALL: MessageHead = {
  littleEndian: true,
  type: 1,
  flags: 0,
  serial: 1,
  bodyBytes: 0,
  path: '/a',
  interface: 'com.a.I',
  member: 'M',
  errorName: undefined,
  replySerial: undefined,
  destination: 'com.a.A',
  sender: undefined,
  signature: '',
  unixFds: 0,
}

const passes = (connection: ConnectionPolicy, head: Partial<MessageHead> = {}): boolean =>
  connection.judge('consumer', { ...CALL, ...head }, new Uint8Array(0)).kind === 'pass'

const connects = (link: LinkPolicy): ConnectionPolicy => link.connect({ wake: () => undefined })

const messages = ({ log }: FolderBox): readonly string[] =>
  log.lines.map(({ level, message }) => `${level}: ${message}`)

describe('the policy of a link', () => {
  test('is loaded when the link is added, and says so', () => {
    write(MAIN, policy(OPEN))
    const box = boxOf()
    const link = opens(box)
    link.shownBy(MEDIATION)
    assert.deepEqual(messages(box), ['info: the bus policy is applied'])
    assert.equal(box.figures.get(POLICY_STATE.loaded), 1)
    assert.equal(box.figures.get(POLICY_STATE.inactive), 0)
    assert.equal(box.figures.get(POLICY_RULES), 2)
    assert.ok(passes(connects(link)))
  })

  test('that is not there is inactive, and open', () => {
    const box = boxOf()
    const connection = connects(opens(box))
    assert.deepEqual(messages(box), ['info: there is no bus policy to apply'])
    assert.ok(passes(connection) && connection.admits() && connection.settled)
    assert.equal(box.asked, 0, 'nobody needs names')
  })

  test('that cannot be read closes a system bus', () => {
    write(MAIN, 'nonsense')
    const box = boxOf()
    const connection = connects(opens(box))
    assert.ok(!passes(connection))
    assert.equal(connection.finding?.reason, 'policy-send')
    assert.match(messages(box)[0] ?? '', /^error: .*nothing may be sent/)
  })

  test('that cannot be read leaves any other bus alone', () => {
    write(MAIN, 'nonsense')
    const other = { ...LINK, socket: '/run/other/bus' }
    assert.ok(passes(connects(opens(boxOf({}, other), other))))
  })

  test('stays in force when its files are spoilt later, and is said to be stale', () => {
    write(MAIN, policy(SHUT))
    const box = boxOf()
    const link = opens(box)
    link.shownBy(MEDIATION)
    const first = connects(link)
    write(MAIN, 'nonsense')
    const second = connects(link)
    assert.ok(
      !passes(first) &&
        !passes(second, { destination: 'org.freedesktop.DBus', interface: 'org.freedesktop.DBus.Peer' }),
    )
    assert.match(messages(box)[1] ?? '', /^error: .*the last good one stays in force/)
    assert.equal(box.figures.get(POLICY_STATE.stale), 1)
    assert.equal(box.figures.get(POLICY_STATE.loaded), 0)
    assert.equal(box.figures.get(POLICY_RULES), 1)
    unlinkSync(join(root, MAIN))
    assert.ok(passes(connects(link)))
    assert.equal(box.figures.get(POLICY_RULES), 0)
  })

  test('is read again for a new connection, and holds for the open ones', () => {
    write(MAIN, policy(OPEN))
    const link = opens(boxOf())
    const connection = connects(link)
    assert.ok(passes(connection))
    write(MAIN, policy(SHUT))
    connects(link)
    assert.ok(!passes(connection))
  })

  test('is read again in time while there are connections, and not without', () => {
    write(MAIN, policy(OPEN))
    const box = boxOf({ dbusPolicyLookMs: 5000 })
    const link = opens(box)
    const connection = connects(link)
    write(MAIN, policy(SHUT))
    assert.ok(passes(connection))
    box.clock.increment(5000)
    assert.ok(!passes(connection))
    connection.close()
    const said = messages(box).length
    write(MAIN, policy(OPEN))
    box.clock.increment(20_000)
    assert.equal(messages(box).length, said, 'nobody looked')
  })

  test('that changes all the time is read twice between two looks', () => {
    write(MAIN, policy(OPEN))
    const box = boxOf()
    const link = opens(box)
    const connection = connects(link)
    for (let at = 0; at < 10; at += 1) {
      write(MAIN, policy(OPEN.repeat(at + 2)))
      connects(link)
    }
    const seen = (): number => box.log.lines.length
    assert.equal(seen(), 3, 'the first, and two more')
    box.clock.increment(5000)
    assert.equal(seen(), 4)
    assert.ok(passes(connection))
  })

  test('that is long and changes all the time is read ever less often', () => {
    const long = (times: number): string => `<!--${'x'.repeat(900_000)}-->${policy(OPEN.repeat(times))}`
    write(MAIN, long(1))
    const box = boxOf()
    const link = opens(box)
    connects(link)
    const readings = [1, 2, 3, 4, 5, 6, 7, 8].map(at => {
      write(MAIN, long(at + 1))
      connects(link)
      box.clock.increment(5000)
      return box.log.lines.length
    })
    assert.deepEqual(readings, [1, 2, 2, 2, 3, 3, 3, 3])
  })

  test('has its looks in common where many links go to one bus', () => {
    write(MAIN, policy(OPEN))
    const box = boxOf()
    const links = [opens(box), ...Array.from({ length: 4 }, () => opens(boxOf({}, LINK, box)))]
    for (let at = 0; at < 10; at += 1) {
      write(MAIN, policy(OPEN.repeat(at + 2)))
      for (const link of links) connects(link)
    }
    assert.equal(box.log.lines.length, 4, 'the first, one as links begin, and two more')
  })

  test('is no more read for clients that come and go', () => {
    write(MAIN, policy(OPEN))
    const box = boxOf()
    const link = opens(box)
    for (let at = 0; at < 10; at += 1) {
      write(MAIN, policy(OPEN.repeat(at + 2)))
      connects(link).close()
    }
    assert.equal(box.log.lines.length, 3)
    box.clock.increment(5000)
    connects(link)
    assert.equal(box.log.lines.length, 4)
  })

  test('names files that count for nothing', () => {
    write(MAIN, policy(`${OPEN}</policy><includedir>system.d</includedir><policy context="default">`))
    for (let at = 0; at < 12; at += 1) write(`${dirname(MAIN)}/system.d/${at}.conf`, 'x')
    const box = boxOf()
    opens(box)
    assert.equal(
      messages(box).filter(line => line === 'warn: a file of the bus policy counts for nothing').length,
      8,
    )
    assert.deepEqual(box.log.lines.at(-1)?.facts, { files: 4 })
  })

  test('follows what names of users stand for', () => {
    write(
      MAIN,
      `<busconfig><listen>unix:path=${SOCKET}</listen><policy user="web">${OPEN}</policy></busconfig>`,
    )
    const link = opens(boxOf())
    assert.ok(passes(connects(link)))
    write('/etc/passwd', 'web:x:1000:1000::/:\nroot:x:0:0::/:\nother:x:7:7::/:\n')
    assert.ok(passes(connects(link)))
    write('/etc/passwd', 'root:x:0:0::/:\n')
    assert.ok(!passes(connects(link)), 'who has no line is nobody')
  })

  test('only watches, where it is told to', () => {
    write(MAIN, policy(SHUT))
    const connection = connects(opens(boxOf({ dbusPolicy: 'audit' })))
    assert.ok(passes(connection))
    assert.equal(connection.finding?.enforced, false)
  })

  test('is not looked at, where it is off', () => {
    write(MAIN, policy(SHUT))
    const box = boxOf({ dbusPolicy: 'off' })
    const connection = connects(opens(box))
    assert.ok(passes(connection) && !connection.mayOwn('a.B'))
    assert.deepEqual(messages(box), [])
  })

  test('of a provider that is not running is what it was', () => {
    write(MAIN, policy(SHUT))
    const box = boxOf()
    const link = opens(box)
    const connection = connects(link)
    box.isGone = true
    write(MAIN, policy(OPEN))
    box.clock.increment(5000)
    assert.ok(!passes(connection))
    assert.ok(passes(connects(link)), 'it reaches nobody')
  })

  test('goes on with its connections where the provider stays the same', () => {
    write(MAIN, policy(OPEN))
    const box = boxOf()
    const link = opens(box)
    const connection = connects(link)
    link.retarget(box, { ...LINK, provider: 'renamed' })
    write(MAIN, policy(SHUT))
    box.clock.increment(5000)
    assert.ok(!passes(connection))
  })

  test('of another provider is another', () => {
    write(MAIN, policy(SHUT))
    const box = boxOf()
    const link = opens(box)
    link.shownBy(MEDIATION)
    const other = { ...LINK, socket: '/run/other/bus' }
    link.retarget(box, other)
    assert.ok(passes(connects(link)))
    assert.equal(box.figures.get(POLICY_STATE.inactive), 1)
    assert.equal(box.figures.get(POLICY_STATE.loaded), 0)
    assert.equal(box.figures.get(POLICY_RULES), 0)
  })
})

describe('the observer of a bus', () => {
  const running: ChildProcess[] = []

  afterEach(() => {
    for (const each of running.splice(0)) each.kill('SIGKILL')
  })

  const startBus = async (): Promise<ChildProcess> => {
    const config = join(root, 'bus.conf')
    const rules = '<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>'
    writeFileSync(config, policy(rules, bus))
    const daemon = spawn(
      'dbus-daemon',
      [`--config-file=${config}`, '--nofork', '--nopidfile', '--print-address'],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    )
    running.push(daemon)
    await new Promise(resolve => daemon.stdout?.once('data', resolve))
    return daemon
  }

  /** A service that has the name until it is killed. */
  const startService = (name: string): ChildProcess => {
    const service = spawn('dbus-test-tool', ['black-hole', '--session', `--name=${name}`], {
      env: { ...process.env, DBUS_SESSION_BUS_ADDRESS: `unix:path=${bus}` },
      stdio: 'ignore',
    })
    running.push(service)
    return service
  }

  const RULES = policy('<deny send_destination="*"/><allow send_destination="com.a.A"/>')
  const canRun = (t: Parameters<typeof hasTool>[0]): boolean =>
    hasTool(t, 'dbus-daemon', 'dbus') && hasTool(t, 'dbus-test-tool', 'dbus-tests')

  test('knows who owned a name before it came, and who does since', async t => {
    if (!canRun(t)) return
    write(MAIN, RULES)
    await startBus()
    startService('com.b.B')
    const box = boxOf()
    let woken = 0
    const connection = opens(box).connect({
      wake: () => {
        woken += 1
      },
    })
    assert.ok(!connection.settled)
    assert.ok(passes(connection, { destination: 'com.b.B' }), 'it may own the other name too')
    await eventually('the name is known', () => !passes(connection, { destination: 'com.b.B' }))
    assert.ok(connection.settled && woken === 1)
    assert.ok(passes(connection, { destination: 'com.a.A' }))
    assert.ok(passes(connection, { destination: 'com.c.C' }), 'nobody has it: the bus will say so')
    const service = startService('com.c.C')
    await eventually('the new name is known', () => !passes(connection, { destination: 'com.c.C' }))
    service.kill('SIGKILL')
    await eventually('it is known to be gone', () => passes(connection, { destination: 'com.c.C' }))
  })

  test('is one for all connections of a user, whatever their link, and gone with the last', async t => {
    if (!canRun(t)) return
    write(MAIN, RULES)
    await startBus()
    const box = boxOf()
    const beside = boxOf({}, LINK, box)
    const [one, other] = [opens(box), opens(beside)]
    const connections = [connects(one), connects(one), connects(other)]
    await eventually('all are settled', () => connections.every(({ settled }) => settled))
    assert.equal(box.asked + beside.asked, 1)
    for (const connection of connections) connection.close()
    connects(other).close()
    assert.equal(box.asked + beside.asked, 2, 'it was dialled anew')
  })

  test('comes back after the bus did, and until then nobody is sure', async t => {
    if (!canRun(t)) return
    write(MAIN, RULES)
    const daemon = await startBus()
    startService('com.b.B')
    const box = boxOf()
    const connection = connects(opens(box))
    await eventually('the name is known', () => !passes(connection, { destination: 'com.b.B' }))
    daemon.kill('SIGKILL')
    await eventually('nobody knows', () => passes(connection, { destination: 'com.b.B' }))
    unlinkSync(bus)
    await startBus()
    startService('com.b.B')
    await eventually('the name is known again', () => {
      box.clock.increment(1000)
      return !passes(connection, { destination: 'com.b.B' })
    })
  })

  test('is tried again ever less often where there is no bus, and holds up nobody', async () => {
    write(MAIN, RULES)
    const box = boxOf()
    const connection = connects(opens(box))
    await eventually('it is settled', () => connection.settled)
    await eventually('it is refused', () => box.over === 1)
    let asked = box.asked
    assert.equal(asked, 1)
    for (const waitMs of [250, 500, 1000]) {
      box.clock.increment(waitMs - 1)
      assert.equal(box.asked, asked)
      box.clock.increment(1)
      asked += 1
      assert.equal(box.asked, asked)
      await eventually('it is refused', () => box.over === asked)
    }
    assert.ok(passes(connection))
  })

  test('goes on in the toolbox of another link when its own goes', async () => {
    write(MAIN, RULES)
    const box = boxOf()
    const beside = boxOf({}, LINK, box)
    const [one, other] = [opens(box), opens(beside)]
    connects(one)
    const connection = connects(other)
    await eventually('it is settled', () => connection.settled)
    one.close()
    box.clock.increment(10_000)
    assert.equal(beside.asked, 1)
  })

  test('is there as soon as a policy comes that asks for names', async t => {
    if (!canRun(t)) return
    await startBus()
    startService('com.b.B')
    const box = boxOf()
    const connection = connects(opens(box))
    assert.equal(box.asked, 0)
    write(MAIN, RULES)
    box.clock.increment(5000)
    await eventually('the name is known', () => !passes(connection, { destination: 'com.b.B' }))
    unlinkSync(join(root, MAIN))
    box.clock.increment(5000)
    assert.ok(passes(connection, { destination: 'com.b.B' }))
  })
})
