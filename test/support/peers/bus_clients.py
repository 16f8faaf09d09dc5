"""Clients of a D-Bus link that come in numbers, or behave badly.

    bus_clients.py SOCKET

Each line of standard input is an order; each is answered by one line.

    many N          N connections at once, each says Hello and calls Echo  ->  N-GOOD
    silent N        N connections that say nothing, and stay               ->  N
    half N          N that stop in the middle of the handshake             ->  N
    mute N          N that are let in and never say Hello                  ->  N
    slowhello N     N that are let in and never end their Hello            ->  N
    cut N           N that end in the middle of a message, one by one      ->  N
    deaf N          N that ask and never read, each until it is full       ->  N
    fast N          N calls, one behind the other without waiting          ->  N-ANSWERED in their order
    hold NAME       one connection with a call that is never answered      ->  ok
    held NAME       whether it is still open                               ->  open or closed
    leave           close all that stay                                    ->  ok
    pid             its process, as its container numbers it
"""
import os
import select
import socket
import struct
import sys

SOCKET = sys.argv[1]
staying = []
named = {}


def align(data, to):
    return data + b'\0' * (-len(data) % to)


def string(text):
    raw = text.encode()
    return struct.pack('<I', len(raw)) + raw + b'\0'


def call(serial, member, destination, path, interface, body=b'', signature='', flags=0):
    fields = b''
    for code, kind, value in ((1, 'o', path), (2, 's', interface), (3, 's', member), (6, 's', destination)):
        fields = align(fields, 8) + bytes([code, 1]) + kind.encode() + b'\0' + string(value)
    if signature:
        fields = align(fields, 8) + bytes([8, 1]) + b'g\0' + bytes([len(signature)]) + signature.encode() + b'\0'
    head = b'l' + bytes([1, flags, 1]) + struct.pack('<III', len(body), serial, len(fields)) + fields
    return align(head, 8) + body


def hello(serial=1):
    return call(serial, 'Hello', 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus')


def echo(serial, text='hello'):
    return call(serial, 'Echo', 'org.pantavisor.Example', '/org/pantavisor/Example', 'org.pantavisor.Example',
                string(text), 's')


def connect():
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(15)
    link.connect(SOCKET)
    return link


def authenticate(link):
    link.sendall(b'\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n')
    said = b''
    while said.count(b'\r\n') < 2:
        piece = link.recv(4096)
        if piece == b'':
            raise ConnectionError('closed in the handshake')
        said += piece
    return link


class Reader:
    def __init__(self, link):
        self.link = link
        self.data = b''

    def need(self, length):
        while len(self.data) < length:
            piece = self.link.recv(65536)
            if piece == b'':
                raise ConnectionError('closed')
            self.data += piece

    def next(self):
        """The type, and the serial that it replies to or None."""
        self.need(16)
        body, _serial, fields = struct.unpack_from('<III', self.data, 4)
        whole = 16 + fields + (-fields % 8) + body
        self.need(whole)
        message, self.data = self.data[:whole], self.data[whole:]
        at, reply = 16, None
        while at < 16 + fields:
            at += -at % 8
            code, length = message[at], message[at + 1]
            kind = message[at + 2:at + 2 + length]
            at += 3 + length
            if kind == b'g':
                at += 2 + message[at]
                continue
            at += -at % 4
            value = struct.unpack_from('<I', message, at)[0]
            at += 4
            if kind == b'u':
                reply = value if code == 5 else reply
            else:
                at += value + 1
        return message[1], reply

    def reply_to(self, serial):
        while True:
            kind, reply = self.next()
            if reply == serial:
                return kind


def many(count):
    links = [connect() for _ in range(count)]
    good = 0
    for link in links:
        try:
            authenticate(link)
            link.sendall(hello() + echo(2))
            good += Reader(link).reply_to(2) == 2
        except (OSError, ConnectionError):
            pass
    for link in links:
        link.close()
    return good


def stay(count, words):
    for _ in range(count):
        link = connect()
        link.sendall(words)
        staying.append(link)
    return count


LET_IN = b'\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n'


def cut(count):
    for number in range(count):
        link = authenticate(connect())
        message = hello() + echo(2, 'x' * 3000)
        link.sendall(message[:len(message) - 1 - number * 37 % (len(message) - 20)])
        link.close()
    return count


def deaf(count):
    for _ in range(count):
        link = authenticate(connect())
        link.sendall(hello())
        link.setblocking(False)
        serial = 2
        try:
            while serial < 200_000:
                link.send(echo(serial, 'x' * 1000))
                serial += 1
        except BlockingIOError:
            pass
        staying.append(link)
    return count


def fast(count):
    link = authenticate(connect())
    link.sendall(hello())
    reader = Reader(link)
    reader.reply_to(1)
    link.sendall(b''.join(echo(serial, f'{serial}') for serial in range(2, count + 2)))
    in_order = 0
    while in_order < count:
        kind, reply = reader.next()
        if reply is not None:
            if kind != 2 or reply != in_order + 2:
                break
            in_order += 1
    link.close()
    return in_order


def hold(name):
    link = authenticate(connect())
    link.sendall(hello())
    Reader(link).reply_to(1)
    named[name] = link
    return 'ok'


def held(name):
    link = named[name]
    while select.select([link], [], [], 0)[0]:
        if link.recv(4096) == b'':
            return 'closed'
    return 'open'


def leave(_):
    for link in staying:
        link.close()
    staying.clear()
    return 'ok'


ORDERS = {
    'many': lambda rest: many(int(rest)),
    'silent': lambda rest: stay(int(rest), b''),
    'half': lambda rest: stay(int(rest), b'\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\n'),
    'mute': lambda rest: stay(int(rest), LET_IN),
    'slowhello': lambda rest: stay(int(rest), LET_IN + hello()[:-1]),
    'cut': lambda rest: cut(int(rest)),
    'deaf': lambda rest: deaf(int(rest)),
    'fast': lambda rest: fast(int(rest)),
    'hold': hold,
    'held': held,
    'leave': leave,
    'pid': lambda _: os.getpid(),
}

for line in sys.stdin:
    word, _, rest = line.strip().partition(' ')
    try:
        print(ORDERS[word](rest), flush=True)
    except Exception as error:
        print(f'{type(error).__name__}: {error}', flush=True)
