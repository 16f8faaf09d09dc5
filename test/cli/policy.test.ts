/** `policy explain` on a directory that holds a provider's root, without root and without a daemon. */
import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { displayWidth } from '../../src/cli/render.ts'
import { runInPlace, scratchDirectory } from './support.ts'

const scratch = scratchDirectory()
const root = join(scratch.path, 'root')

const write = (path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

const MAIN = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus"/>
  </policy>
  <includedir>/etc/dbus-1/system.d</includedir>
</busconfig>
`

const BLUEZ = `<busconfig>
  <policy group="bluetooth">
    <allow send_destination="org.bluez"/>
    <deny send_destination="org.bluez" send_interface="org.bluez.Adapter1" send_member="RemoveDevice"/>
  </policy>
  <policy user="root"><allow own="org.bluez"/></policy>
</busconfig>
`

before(() => {
  write('/usr/share/dbus-1/system.conf', MAIN)
  write('/var/policies/bluez.conf', BLUEZ)
  mkdirSync(join(root, '/etc/dbus-1'), { recursive: true })
  symlinkSync('/var/policies', join(root, '/etc/dbus-1/system.d'))
  write('/etc/passwd', 'root:x:0:0::/:\nweb:x:1000:1000::/:\nkiosk:x:1001:1001::/:\n')
  write('/etc/group', 'bluetooth:x:111:web\n')
})

after(() => scratch.remove())

const explain = (...args: readonly string[]) =>
  runInPlace(['policy', 'explain', '--provider-root', root, ...args])

const START = 'org.bluez /org/bluez/hci0 org.bluez.Adapter1 StartDiscovery'
const REMOVE = 'org.bluez /org/bluez/hci0 org.bluez.Adapter1 RemoveDevice'

describe('policy explain', () => {
  test('names the rule that allows, with its file, line, policy and text; and ends with 0', async () => {
    const { code, out, err } = await explain('--role', 'web', '--call', START)
    assert.equal(code, 0)
    assert.equal(err, '')
    assert.equal(
      out,
      `role web: uid 1000, groups 1000, 111 (passwd)
allowed by /etc/dbus-1/system.d/bluez.conf:3, <policy group="bluetooth">:
  <allow send_destination="org.bluez"/>
`,
    )
  })

  test('names the rule that denies, and ends with 1', async () => {
    const { code, out } = await explain('--role', 'web', '--call', REMOVE)
    assert.equal(code, 1)
    assert.match(out, /^denied by .*bluez\.conf:4, .*\n {2}<deny .*RemoveDevice"\/>$/m)
  })

  test('knows the groups of the role', async () => {
    const { code, out } = await explain('--role', 'kiosk', '--call', START)
    assert.equal(code, 1)
    assert.match(out, /^denied by \/usr\/share\/dbus-1\/system\.conf:8, <policy context="default">:$/m)
  })

  test('shows all rules that have a say, in their order, with a mark at the one that decides', async () => {
    const { out } = await explain('--role', 'web', '--call', REMOVE, '--all')
    const [, table = ''] = out.split('3 rules have a say; later ones override earlier ones:\n')
    const rows = table.trimEnd().split('\n').slice(1)
    assert.deepEqual(
      rows.map(row => /system\.conf:8|bluez\.conf:\d/.exec(row)?.[0]),
      ['system.conf:8', 'bluez.conf:3', 'bluez.conf:4'],
    )
    assert.deepEqual(
      rows.map(row => row.startsWith('>')),
      [false, false, true],
    )
  })

  test('writes a rule of several lines on one, and fits the terminal where it can', async () => {
    const { out } = await runInPlace(
      [
        'policy',
        'explain',
        '--provider-root',
        root,
        '--call',
        'org.freedesktop.DBus / org.freedesktop.DBus GetId',
      ],
      { columns: 100 },
    )
    assert.match(
      out,
      /^ {2}<allow send_destination="org\.freedesktop\.DBus" send_interface="org\.freedesktop\.DBus"\/>$/m,
    )
    for (const line of out.split('\n')) assert.ok(displayWidth(line) <= 100, line)
  })

  for (const [args, code] of [
    [['--role', 'root', '--own', 'org.bluez'], 0],
    [['--role', 'web', '--own', 'org.bluez'], 1],
    [['--role', 'web', '--uid', '0', '--own', 'org.bluez'], 0],
    [['--role', '1000', '--call', START], 0],
    [['--role', 'web', '--connect'], 0],
    [['--role', 'web', '--signal', '- /a com.a.I Changed'], 0],
    [['--role', 'web', '--receive', 'org.bluez /a com.a.I Changed'], 0],
    [['--role', 'web', '--call', 'com.other / com.a.I M'], 1],
    [['--role', 'web', '--call', 'com.other / com.a.I M', '--also-owns', 'com.x,org.bluez'], 0],
    [['--role', 'web', '--call', 'org.bluez / - RemoveDevice'], 1],
  ] as const) {
    test(`ends with ${code} for ${args.join(' ')}`, async () => {
      const ran = await explain(...args)
      assert.equal(ran.code, code, ran.out + ran.err)
    })
  }

  test('says which files were left out', async () => {
    write('/var/policies/broken.conf', '<busconfig><allow/></busconfig>')
    const { code, err } = await explain('--role', 'web', '--call', START)
    assert.equal(code, 0)
    assert.match(err, /left out, as the bus does: .*broken\.conf: line 1, <allow>/)
  })

  test('says that there is no policy for that bus, which allows everything', async () => {
    const { code, out } = await explain('--socket', '/run/other', '--own', 'a.B')
    assert.equal(code, 0)
    assert.match(out, /allowed: there is no policy to apply: .* does not listen on \/run\/other/)
  })

  test('says what is wrong with a policy that cannot be read, and ends with 1', async () => {
    const broken = join(scratch.path, 'broken')
    mkdirSync(join(broken, 'usr/share/dbus-1'), { recursive: true })
    writeFileSync(join(broken, 'usr/share/dbus-1/system.conf'), '<busconfig><policy/></busconfig>')
    const { code, err } = await runInPlace(['policy', 'explain', '--provider-root', broken, '--own', 'a.B'])
    assert.equal(code, 1)
    assert.match(err, /the policy cannot be read: .*system\.conf: line 1, <policy>: it takes exactly one of/)
  })

  test('says that there is no such directory', async () => {
    const { code, err } = await runInPlace([
      'policy',
      'explain',
      '--provider-root',
      '/nonexistent',
      '--own',
      'a.B',
    ])
    assert.equal(code, 1)
    assert.match(err, /\/nonexistent cannot be opened: ENOENT/)
  })

  for (const [args, complaint] of [
    [['policy', '--own', 'a.B'], /it needs explain/],
    [['policy', 'show', '--own', 'a.B'], /it can explain, and nothing else: not show/],
    [['policy', 'explain'], /give exactly one of --call, --signal, --receive, --own, --connect/],
    [['policy', 'explain', '--own', 'a.B', '--connect'], /exactly one/],
    [['policy', 'explain', '--call', 'a.B / c.D'], /--call takes four words/],
    [['policy', 'explain', '--own', 'a.B', '--uid', 'web'], /--uid takes a number/],
  ] as const) {
    test(`is used wrongly as ${args.join(' ')}`, async () => {
      const { code, err } = await runInPlace(args)
      assert.equal(code, 2)
      assert.match(err, complaint)
    })
  }
})
