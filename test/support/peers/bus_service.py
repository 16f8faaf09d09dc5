"""A D-Bus service for the tests: one connection to a bus, under the names it is given, that does what its callers ask.

    bus_service.py ADDRESS NAME...

Says "ready UNIQUE-NAME" when it has its names, and lives until its standard input ends. A line there is an order:

    own NAME        request a name             ->  owned NAME CODE
    release NAME    release it                 ->  released NAME CODE
    tick TEXT       emit Tick(TEXT)            ->  ticked
    evil TEXT       emit another interface's   ->  ticked
    changed TEXT    emit PropertiesChanged of both interfaces
    call UNIQUE     call Example.Echo there    ->  called RESULT-OR-ERROR
    poke UNIQUE     send Tick to it alone      ->  ticked
    exit            end at once
"""
import os
import sys

import dbus
import dbus.bus
import dbus.lowlevel
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

EXAMPLE = 'org.pantavisor.Example'
EVIL = 'org.pantavisor.ExampleEvil'
PATH = '/org/pantavisor/Example'


class Example(dbus.service.Object):
    properties = {
        EXAMPLE: {'Colour': dbus.String('blue', variant_level=1)},
        EVIL: {'Secret': dbus.String('hidden', variant_level=1)},
    }

    @dbus.service.method(EXAMPLE, in_signature='s', out_signature='s')
    def Echo(self, text):
        return text

    @dbus.service.method(EXAMPLE, in_signature='ay', out_signature='ay', byte_arrays=True)
    def EchoBytes(self, data):
        return dbus.ByteArray(data)

    @dbus.service.method(EXAMPLE, in_signature='', out_signature='uau', sender_keyword='sender')
    def Caller(self, sender=None):
        """The uid and the groups that the bus tells of the caller."""
        credentials = self.connection.call_blocking(
            'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus',
            'GetConnectionCredentials', 's', (sender,))
        groups = credentials.get('UnixGroupIDs', [])
        return credentials['UnixUserID'], dbus.Array(groups, signature='u')

    @dbus.service.method(EXAMPLE, in_signature='h', out_signature='s')
    def TakeFile(self, file):
        """What the file holds from its beginning."""
        descriptor = file.take()
        try:
            return os.pread(descriptor, 4096, 0).decode()
        finally:
            os.close(descriptor)

    @dbus.service.method(EXAMPLE, in_signature='s', out_signature='h')
    def GiveFile(self, text):
        descriptor = os.memfd_create('given')
        os.write(descriptor, text.encode())
        given = dbus.types.UnixFd(descriptor)
        os.close(descriptor)
        return given

    @dbus.service.method(EXAMPLE, in_signature='', out_signature='')
    def Fail(self):
        raise dbus.exceptions.DBusException('as asked', name='org.pantavisor.Example.Error.Failed')

    @dbus.service.method(EXAMPLE + '.Sub', in_signature='', out_signature='s')
    def Below(self):
        return 'below'

    @dbus.service.method(EVIL, in_signature='', out_signature='s')
    def Steal(self):
        return 'stolen'

    @dbus.service.method(EVIL, in_signature='s', out_signature='s')
    def Trick(self, text):
        return 'tricked'

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature='ss', out_signature='v')
    def Get(self, interface, name):
        return self.properties[interface][name]

    @dbus.service.method(dbus.PROPERTIES_IFACE, in_signature='s', out_signature='a{sv}')
    def GetAll(self, interface):
        return dbus.Dictionary(self.properties[interface], signature='sv')

    @dbus.service.signal(EXAMPLE, signature='s')
    def Tick(self, text):
        pass

    @dbus.service.signal(EVIL, signature='s')
    def Tock(self, text):
        pass

    @dbus.service.signal(dbus.PROPERTIES_IFACE, signature='sa{sv}as')
    def PropertiesChanged(self, interface, changed, invalidated):
        pass


def say(*words):
    print(*words, flush=True)


def emit_to(bus, destination):
    message = dbus.lowlevel.SignalMessage(PATH, EXAMPLE, 'Tick')
    message.set_destination(destination)
    message.append('for you', signature='s')
    bus.send_message(message)


def call_back(bus, destination):
    def done(text):
        say('called', text)

    def failed(error):
        say('called', error.get_dbus_name())

    bus.call_async(destination, '/', EXAMPLE, 'Echo', 's', ('hello',), done, failed)


def obey(bus, service, loop, line):
    word, _, rest = line.rstrip('\n').partition(' ')
    if word == 'own':
        say('owned', rest, bus.request_name(rest, dbus.bus.NAME_FLAG_DO_NOT_QUEUE))
    elif word == 'release':
        say('released', rest, bus.release_name(rest))
    elif word == 'tick':
        service.Tick(rest)
        say('ticked')
    elif word == 'evil':
        service.Tock(rest)
        say('ticked')
    elif word == 'changed':
        for interface in (EVIL, EXAMPLE):
            service.PropertiesChanged(interface, {'Colour': rest}, dbus.Array([], signature='s'))
        say('ticked')
    elif word == 'poke':
        emit_to(bus, rest)
        say('ticked')
    elif word == 'call':
        call_back(bus, rest)
    else:
        loop.quit()
        return
    bus.flush()


def main():
    address, *names = sys.argv[1:]
    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.bus.BusConnection(address)
    service = Example(bus, PATH)
    loop = GLib.MainLoop()
    for name in names:
        code = bus.request_name(name, dbus.bus.NAME_FLAG_DO_NOT_QUEUE)
        if code != dbus.bus.REQUEST_NAME_REPLY_PRIMARY_OWNER:
            sys.exit(f'{name} is not to be had: {code}')

    def on_input(source, condition):
        line = source.readline()
        if line == '':
            loop.quit()
            return False
        obey(bus, service, loop, line)
        return True

    GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, on_input)
    bus.call_on_disconnection(lambda _connection: loop.quit())
    say('ready', bus.get_unique_name())
    loop.run()


main()
