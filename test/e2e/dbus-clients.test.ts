/** `dbus` links with real buses and real clients: what they ask for arrives, as the role's user, descriptors included. */
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import { busConfig } from '../support/bus.ts'
import { toBus } from '../support/bus-wire.ts'
import { type Ended, untilDone } from '../support/child.ts'
import {
  busctl,
  dbusSend,
  gdbusCall,
  OPERATOR,
  onOneBus,
  pythonDbus,
  type Site,
} from '../support/dbus-site.ts'
import { eventually } from '../support/eventually.ts'
import { PYTHON } from '../support/requirements.ts'

/** Prints the uid and the groups that the bus tells of its connection, through the service. */
const WHO = `uid, groups = example.Caller(dbus_interface='org.pantavisor.Example')
print(int(uid), sorted(int(group) for group in groups))`

/** Hears one signal. GDBus has answered its AddMatch when it calls the bus once more. */
const GDBUS_LISTENER = `import sys
from gi.repository import Gio, GLib
flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
bus = Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags, None, None)
loop = GLib.MainLoop()
def heard(connection, sender, path, interface, member, values):
    print(values, flush=True)
    loop.quit()
bus.signal_subscribe('org.pantavisor.Example', 'org.pantavisor.Example', 'Tick', None, None, 0, heard)
bus.call_sync('org.freedesktop.DBus', '/', 'org.freedesktop.DBus', 'GetId', None, None, 0, -1, None)
print('listening', flush=True)
GLib.timeout_add_seconds(15, loop.quit)
loop.run()`

const GDBUS_FILES = `import os, sys
from gi.repository import Gio, GLib
flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
bus = Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags, None, None)
def call(member, values, files=None):
    name, path = 'org.pantavisor.Example', '/org/pantavisor/Example'
    return bus.call_with_unix_fd_list_sync(name, path, name, member, values, None, 0, -1, files, None)
file = os.memfd_create('taken')
os.write(file, b'from the client')
files = Gio.UnixFDList.new()
index = files.append(file)
answer, _ = call('TakeFile', GLib.Variant('(h)', (index,)), files)
print(answer[0])
answer, files = call('GiveFile', GLib.Variant('(s)', ('from the service',)))
print(os.pread(files.get(answer[0]), 99, 0).decode())`

/** A call that waits behind Hello, as sd-bus sends it: the library itself, by ctypes. Ends with 1 at an error, and says which. */
const SD_BUS = `import ctypes, sys
sd = ctypes.CDLL('libsystemd.so.0')
class Error(ctypes.Structure):
    _fields_ = [('name', ctypes.c_char_p), ('message', ctypes.c_char_p), ('free', ctypes.c_int)]
def good(result):
    if result < 0: raise OSError(-result, 'sd-bus')
    return result
bus, call, answer = ctypes.c_void_p(), ctypes.c_void_p(), []
good(sd.sd_bus_new(ctypes.byref(bus)))
good(sd.sd_bus_set_address(bus, sys.argv[1].encode()))
good(sd.sd_bus_set_bus_client(bus, 1))
good(sd.sd_bus_negotiate_fds(bus, 1))
good(sd.sd_bus_start(bus))
Heard = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.POINTER(Error))
sd.sd_bus_message_get_error.restype = ctypes.POINTER(Error)
@Heard
def heard(message, _data, _error):
    error = sd.sd_bus_message_get_error(ctypes.c_void_p(message))
    text = ctypes.c_char_p()
    if error:
        answer.append((1, error.contents.name))
    else:
        good(sd.sd_bus_message_read_basic(ctypes.c_void_p(message), ctypes.c_char(b's'), ctypes.byref(text)))
        answer.append((0, text.value))
    return 0
good(sd.sd_bus_message_new_method_call(bus, ctypes.byref(call), b'org.pantavisor.Example',
    b'/org/pantavisor/Example', sys.argv[2].encode(), b'Echo'))
good(sd.sd_bus_message_append_basic(call, ctypes.c_char(b's'), b'hello'))
good(sd.sd_bus_call_async(bus, None, call, heard, None, ctypes.c_uint64(15_000_000)))
while not answer:
    if good(sd.sd_bus_process(bus, None)) == 0: good(sd.sd_bus_wait(bus, ctypes.c_uint64(1_000_000)))
print(answer[0][1].decode())
sys.exit(answer[0][0])`

const sdBus = (site: Site, interfaceName: string): Promise<Ended> =>
  site.run(PYTHON, '-c', SD_BUS, site.address, interfaceName)

const expectedGroups = [OPERATOR.gid, ...Object.values(OPERATOR.groups)].sort((a, b) => a - b)

const reached = async (site: Site): Promise<void> => {
  const { code, out, complaints } = await dbusSend(site, 'Echo', ['string:hello'])
  assert.equal(code, 0, complaints)
  assert.match(out, /string "hello"/)
}

/** As the usual one, and the user of the link may be the service. */
const OPERATOR_MAY_OWN = busConfig(`
  <policy user="root">
    <allow own_prefix="org.pantavisor"/>
  </policy>
  <policy user="operator">
    <allow own_prefix="org.pantavisor"/>
  </policy>
  <policy context="default">
    <allow send_destination="org.pantavisor.Example"/>
  </policy>`)

/** A signal is the last thing that this client does. */
const sentLast = async ({ run, address, parties }: Site, interfaceName: string): Promise<boolean> => {
  const listener = await parties.client()
  await listener.ask(toBus('AddMatch', "type='signal',member='Leaving'"))
  const { code, complaints } = await run(
    ...['dbus-send', `--bus=${address}`, '--type=signal', '/org/pantavisor/Client'],
    ...[`${interfaceName}.Leaving`, 'string:here'],
  )
  assert.equal(code, 0, complaints)
  const { named } = await listener.next('its signal', each => each.named.member === 'Leaving')
  await listener.close()
  return named.interface === interfaceName
}

const ROWS: Readonly<Record<string, (site: Site) => Promise<void>>> = {
  'dbus-send calls a method and gets its answer': reached,

  'dbus-send is told the error of a method, and ends with 1': async site => {
    const { code, complaints } = await dbusSend(site, 'Fail')
    assert.equal(code, 1)
    assert.match(complaints, /org\.pantavisor\.Example\.Error\.Failed: as asked/)
  },

  'gdbus calls a method, and introspects': async site => {
    const { code, out, complaints } = await gdbusCall(site, 'Echo', ['hello'])
    assert.equal(code, 0, complaints)
    assert.equal(out, "('hello',)\n")
    const introspected = await site.run(
      ...['gdbus', 'introspect', '--address', site.address],
      ...['--dest', 'org.pantavisor.Example', '--object-path', '/org/pantavisor/Example'],
    )
    assert.equal(introspected.code, 0, introspected.complaints)
    assert.match(introspected.out, /Echo\(in\s+s text/)
  },

  'busctl, which says all of its handshake at once, calls a method and gets a property': async site => {
    const call = ['org.pantavisor.Example', '/org/pantavisor/Example', 'org.pantavisor.Example']
    const { code, out, complaints } = await busctl(site, 'call', ...call, 'Echo', 's', 'hello')
    assert.equal(code, 0, complaints)
    assert.equal(out, 's "hello"\n')
    assert.equal((await busctl(site, 'get-property', ...call, 'Colour')).out, 's "blue"\n')
  },

  'busctl lists what there is': async site => {
    const { code, out, complaints } = await busctl(site, 'list', '--no-legend')
    assert.equal(code, 0, complaints)
    assert.match(out, /^org\.pantavisor\.Example /m)
    assert.match(out, /^org\.freedesktop\.DBus /m)
  },

  'dbus-send finds it as the system bus': async site => {
    const { code, out, complaints } = await site.run(
      ...['dbus-send', '--system', '--print-reply', '--dest=org.pantavisor.Example'],
      ...['/org/pantavisor/Example', 'org.pantavisor.Example.Echo', 'string:hello'],
    )
    assert.equal(code, 0, complaints)
    assert.match(out, /string "hello"/)
  },

  'a call that sd-bus sends behind its Hello is answered': async site => {
    const { code, out, complaints } = await sdBus(site, 'org.pantavisor.Example')
    assert.equal(code, 0, complaints)
    assert.equal(out, 'hello\n')
  },

  'gdbus is told the error of a method': async site => {
    const { code, complaints } = await gdbusCall(site, 'Fail')
    assert.equal(code, 1)
    assert.match(complaints, /org\.pantavisor\.Example\.Error\.Failed: as asked/)
  },

  'GDBus hears a signal that it asked for': async site => {
    const listening = site.app.spawn([PYTHON, '-c', GDBUS_LISTENER, site.address])
    const said = createInterface({ input: listening.stdout })
    const lines: string[] = []
    said.on('line', line => lines.push(line))
    await eventually('it listens', () => lines.includes('listening'), 10_000)
    assert.equal(await site.service.order('tick tock'), 'ticked')
    const { code, complaints } = await untilDone(listening)
    assert.equal(code, 0, complaints)
    assert.equal(lines.at(-1), "('tock',)")
  },

  'GDBus sends a list of descriptors, and gets one': async site => {
    const { code, out, complaints } = await site.run(PYTHON, '-c', GDBUS_FILES, site.address)
    assert.equal(code, 0, complaints)
    assert.equal(out, 'from the client\nfrom the service\n')
  },

  'python-dbus calls a method, with an interface and without one': async site => {
    const { code, out, complaints } = await pythonDbus(
      site,
      `print(example.Echo('one', dbus_interface='org.pantavisor.Example'))\nprint(example.Echo('two'))`,
    )
    assert.equal(code, 0, complaints)
    assert.equal(out, 'one\ntwo\n')
  },

  'a file travels there, and one comes back': async site => {
    const { code, out, complaints } = await pythonDbus(
      site,
      `file = os.memfd_create('taken')
os.write(file, b'from the client')
print(example.TakeFile(dbus.types.UnixFd(file), dbus_interface='org.pantavisor.Example'))
print(os.pread(example.GiveFile('from the service', dbus_interface='org.pantavisor.Example').take(), 99, 0).decode())`,
    )
    assert.equal(code, 0, complaints)
    assert.equal(out, 'from the client\nfrom the service\n')
  },

  'a signal that is sent just before its sender leaves arrives': async site => {
    assert.ok(await sentLast(site, 'org.pantavisor.Example'))
  },

  'large messages pass whole': async site => {
    const { code, out, complaints } = await pythonDbus(
      site,
      `data = os.urandom(8 << 20)
print(bytes(example.EchoBytes(dbus.ByteArray(data), dbus_interface='org.pantavisor.Example', byte_arrays=True)) == data)`,
    )
    assert.equal(code, 0, complaints)
    assert.equal(out, 'True\n')
  },

  'whoever calls, the bus sees the user and the groups of the role': async site => {
    for (const uid of [0, 1234]) {
      const { code, out, complaints } = await site.run(
        ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'],
        ...['/usr/bin/python3', '-c'],
        `import dbus\nbus = dbus.SystemBus()
example = bus.get_object('org.pantavisor.Example', '/org/pantavisor/Example', introspect=False)\n${WHO}`,
      )
      assert.equal(code, 0, complaints)
      assert.equal(out, `${OPERATOR.uid} [${expectedGroups.join(', ')}]\n`)
    }
  },
}

onOneBus('clients of a dbus link without a filter', {
  ...ROWS,

  'every name of the bus is to be seen': async site => {
    await site.service.order('own org.pantavisor.Other')
    const { out } = await busctl(site, 'list', '--no-legend')
    await site.service.order('release org.pantavisor.Other')
    assert.match(out, /^org\.pantavisor\.Other /m)
  },

  'a call without an interface means whatever interface the service has it in': async site => {
    const { out, complaints } = await pythonDbus(site, "print(example.Trick('x'))")
    assert.equal(out, 'tricked\n', complaints)
  },

  'python-dbus may not own a name that the policy lets nobody own': async site => {
    const { code, complaints } = await pythonDbus(site, "bus.request_name('org.pantavisor.Client')")
    assert.equal(code, 1)
    assert.match(complaints, /org\.freedesktop\.DBus\.Error\.AccessDenied/)
  },
})

onOneBus(
  'clients of a dbus link with a filter',
  {
    ...ROWS,

    'of the names of the bus only its own are to be seen': async site => {
      const { out } = await dbusSend(site, 'org.freedesktop.DBus.ListNames', [], {
        destination: 'org.freedesktop.DBus',
        path: '/org/freedesktop/DBus',
      })
      const names = [...out.matchAll(/string "([^":][^"]*)"/g)].map(([, name]) => name).sort()
      assert.deepEqual(names, ['org.freedesktop.DBus', 'org.pantavisor.Example'])
    },

    'another interface of the service is out of reach': async site => {
      const { code, complaints } = await dbusSend(site, 'org.pantavisor.ExampleEvil.Steal')
      assert.equal(code, 1)
      assert.match(complaints, /org\.freedesktop\.DBus\.Error\.AccessDenied/)
    },

    'so it is for sd-bus, behind its Hello too': async site => {
      const { code, out, complaints } = await sdBus(site, 'org.pantavisor.ExampleEvil')
      assert.equal(code, 1, complaints)
      assert.equal(out, 'org.freedesktop.DBus.Error.AccessDenied\n')
    },

    'a call without an interface never means another one of the service': async site => {
      const { code, complaints } = await pythonDbus(site, "print(example.Trick('x'))")
      assert.equal(code, 1)
      assert.match(complaints, /org\.freedesktop\.DBus\.Error\.UnknownMethod/)
    },

    'python-dbus owns the name of its link, if the policy lets it, and no other': async site => {
      const lines = (name: string): string => `print(int(bus.request_name('${name}', 4)))`
      await site.service.order('release org.pantavisor.Example')
      const own = await site.run(
        PYTHON,
        '-c',
        `import dbus\nbus = dbus.SystemBus()\n${lines('org.pantavisor.Example')}`,
      )
      await site.service.order('own org.pantavisor.Example')
      assert.equal(own.out, '1\n', own.complaints)
      const other = await site.run(
        PYTHON,
        '-c',
        `import dbus\nbus = dbus.SystemBus()\n${lines('org.pantavisor.Other')}`,
      )
      assert.equal(other.code, 1)
      assert.match(other.complaints, /org\.freedesktop\.DBus\.Error\.AccessDenied/)
    },

    'an interface below its own is not': async site => {
      const { code, out, complaints } = await dbusSend(site, 'org.pantavisor.Example.Sub.Below')
      assert.equal(code, 0, complaints)
      assert.match(out, /string "below"/)
    },
  },
  { interface: 'org.pantavisor.Example', bus: { policy: OPERATOR_MAY_OWN } },
)
