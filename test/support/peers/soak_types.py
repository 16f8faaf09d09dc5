"""Both ends of a soak's links that are not `unix`: HTTP, D-Bus, Wayland, and device nodes.

As in soak.py both ends can foretell what comes, so each judges the other: a conversation that is cut short may have its reasons,
one that goes wrong has none. Each protocol is spoken with the standard library only, and no more of it than a soak needs.
"""

import errno
import os
import random
import socket
import stat
import struct
import subprocess
import threading
import time

import peer
from peer import operation, sockets

PATIENCE_S = 60
CUT = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)
# Prime, as in soak.py.
ROUND = 1_048_573
SOURCE = random.Random(1).randbytes(ROUND) * 2

# Set while the provider is not stalled: soak.py hands in its own.
running = threading.Event()


class Wrong(Exception):
    """Something came that was not sent, or not there."""


class Early(Exception):
    """The end came before all that was to come."""


def bytes_at(seed, length):
    start = seed * 7919 % ROUND
    return SOURCE[start : start + length]


def outcome_of(work):
    """What became of it: `done`, `cut` (by an end, a reset, or an answer that says so), `stuck`, or `wrong`."""
    told = {'established': None}
    try:
        work(told)
        return {'outcome': 'done', **told}
    except Wrong as wrong:
        return {'outcome': 'wrong', 'why': str(wrong), **told}
    except Early as early:
        return {'outcome': 'cut', 'why': f'ended at {early}', **told}
    except TimeoutError:
        return {'outcome': 'stuck', 'why': f'nothing moved for {PATIENCE_S} s', **told}
    except OSError as error:
        kind = 'cut' if error.errno in CUT else 'wrong'
        return {'outcome': kind, 'why': errno.errorcode.get(error.errno, str(error)), **told}


def connected(path, speak):
    """Dial, and speak; `refused` where nobody takes the connection."""
    try:
        sock = peer.dial(path, 'stream')
    except OSError as error:
        return {'outcome': 'refused', 'why': errno.errorcode.get(error.errno, str(error))}
    sock.settimeout(PATIENCE_S)
    with sock:
        return outcome_of(lambda told: speak(sock, told))


def established(told):
    if told['established'] is None:
        told['established'] = int(time.monotonic() * 1000)


class Stream:
    """Bytes as they are asked for, and the descriptors that came with them, in their order."""

    def __init__(self, sock, heed=False):
        self.sock = sock
        self.kept = b''
        self.labels = []
        self.heed = heed

    def more(self):
        if self.heed:
            running.wait()
        data, fds, cut, _, end = peer.receive(self.sock, 65536, 64)
        for fd in fds:
            try:
                self.labels.append(os.pread(fd, 64, 0).decode())
            finally:
                os.close(fd)
        if cut:
            raise Wrong('descriptors were lost')
        if end:
            raise Early(f'{len(self.kept)} bytes of what was to come')
        self.kept += data

    def take(self, length):
        while len(self.kept) < length:
            self.more()
        taken, self.kept = self.kept[:length], self.kept[length:]
        return taken

    def take_to(self, mark, most=65536):
        while mark not in self.kept:
            if len(self.kept) > most:
                raise Wrong(f'{most} bytes without {mark}')
            self.more()
        taken, _, self.kept = self.kept.partition(mark)
        return taken


def send(sock, data, labels=()):
    files = [peer.memfd(label) for label in labels]
    try:
        peer.transmit(sock, data, files)
    finally:
        for fd in files:
            os.close(fd)


def labels_of(seed, count):
    return [f'{seed}/{index}' for index in range(count)]


# ------------------------------------------------------------------ rest


def head_of(stream):
    first, *rest = stream.take_to(b'\r\n\r\n').decode('latin-1').split('\r\n')
    fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(':') for line in rest)]
    return first, fields


def body_of(stream, fields):
    said = dict(fields)
    if said.get('transfer-encoding', '') == 'chunked':
        whole = b''
        while size := int(stream.take_to(b'\r\n').split(b';')[0], 16):
            whole += stream.take(size)
            stream.take(2)
        while stream.take_to(b'\r\n'):
            pass
        return whole
    return stream.take(int(said.get('content-length', '0')))


def body_bytes(data, chunked):
    """Fields and body of a message."""
    if not chunked:
        return f'Content-Length: {len(data)}\r\n\r\n'.encode() + data
    pieces = [data[at : at + 7000] for at in range(0, len(data), 7000)]
    coded = b''.join(f'{len(each):x}\r\n'.encode() + each + b'\r\n' for each in pieces)
    return b'Transfer-Encoding: chunked\r\n\r\n' + coded + b'0\r\n\r\n'


def speak_http(sock, told, seed, requests, up, down, chunked, leaves, consumer):
    stream = Stream(sock)
    for number in range(requests):
        mine = seed + number
        head = f'POST /{mine}/{up}/{down}/{int(chunked)}/{consumer} HTTP/1.1\r\nHost: soak\r\nX-PV-Client: forged\r\n'
        sock.sendall(head.encode() + body_bytes(bytes_at(mine, up), chunked))
        if leaves and number == requests - 1:
            return
        first, fields = head_of(stream)
        status = first.split(' ')[1]
        if status in ('502', '503', '504') and ('server', 'pv-xconnect') in fields:
            raise Early(f'an answer of the daemon: {first}')
        body = body_of(stream, fields)
        if status != '200':
            raise Wrong(f'{first}: {body[:200]}')
        if body != bytes_at(mine + 1, down):
            raise Wrong(f'another body than was sent, of {len(body)} bytes')
        established(told)
        told['bytes'] = told.get('bytes', 0) + up + down


def serve_http(sock):
    stream = Stream(sock, heed=True)
    while True:
        first, fields = head_of(stream)
        seed, up, down, chunked, consumer = first.split(' ')[1][1:].split('/')
        body = body_of(stream, fields)
        who = [value for name, value in fields if name == 'x-pv-client']
        fault = b''
        if who != [consumer]:
            fault = f'X-PV-Client is {who}'.encode()
        if body != bytes_at(int(seed), int(up)):
            fault = b'another body than was sent'
        answer = b'HTTP/1.1 418 Wrong\r\n' if fault else b'HTTP/1.1 200 OK\r\n'
        running.wait()
        sock.sendall(answer + body_bytes(fault or bytes_at(int(seed) + 1, int(down)), chunked == '1'))


# ------------------------------------------------------------------ wayland

SEEN = ('wl_compositor', 'wl_shm')
HIDDEN = 'zwlr_screencopy_manager_v1'
REGISTRY, DONE, SHM = 2, 3, 4


def words(*values):
    return b''.join(struct.pack('=I', value) for value in values)


def wayland_string(text):
    raw = text.encode() + b'\0'
    return words(len(raw)) + raw + b'\0' * (-len(raw) % 4)


def wayland_message(object, opcode, body):
    return words(object, (8 + len(body)) << 16 | opcode) + body


def hear_wayland(stream):
    object, second = struct.unpack('=II', stream.take(8))
    return object, second & 0xFFFF, stream.take((second >> 16) - 8)


def padded_to_word(length):
    return length + -length % 4


def speak_wayland(sock, told, seed, messages, size, rights, leaves):
    stream = Stream(sock)
    sock.sendall(wayland_message(1, 1, words(REGISTRY)) + wayland_message(1, 0, words(DONE)))
    names = {}
    while True:
        object, opcode, body = hear_wayland(stream)
        if object == DONE:
            break
        if object == 1:
            raise Wrong(f'event {opcode} of the display: {body}')
        (name, length) = struct.unpack('=II', body[:8])
        names[body[8 : 8 + length - 1].decode()] = name
    if sorted(names) != sorted(SEEN):
        raise Wrong(f'globals {sorted(names)}')
    established(told)
    sock.sendall(wayland_message(REGISTRY, 0, words(names['wl_shm']) + wayland_string('wl_shm') + words(1, SHM)))
    sent = []
    length = padded_to_word(size)
    for number in range(messages):
        labels = labels_of(seed + number, rights if number % 2 == 0 else 0)
        send(sock, wayland_message(SHM, 7, words(len(labels)) + bytes_at(seed + number, length)), labels)
        sent += labels
        if leaves and number == messages - 1:
            return
        object, opcode, body = hear_wayland(stream)
        # The answer to the first sync is followed by this: its id may be used again (wl_display.delete_id).
        while object == 1 and opcode == 1:
            object, opcode, body = hear_wayland(stream)
        if (object, opcode) != (SHM, 7) or body[4:] != bytes_at(seed + number, length):
            raise Wrong(f'event {opcode} of {object} is not what was sent, message {number}')
    while len(stream.labels) < len(sent):
        stream.more()
    if stream.labels != sent:
        raise Wrong(f'descriptors {stream.labels}, where {sent} were sent')
    told['bytes'] = 2 * messages * length
    told['descriptors'] = 2 * len(sent)


def serve_wayland(sock):
    stream = Stream(sock, heed=True)
    while True:
        object, opcode, body = hear_wayland(stream)
        running.wait()
        if (object, opcode) == (1, 1):
            (registry,) = struct.unpack('=I', body)
            for number, name in enumerate((*SEEN, HIDDEN)):
                sock.sendall(wayland_message(registry, 0, words(number + 1) + wayland_string(name) + words(1)))
        elif (object, opcode) == (1, 0):
            sock.sendall(wayland_message(DONE, 0, words(0)) + wayland_message(1, 1, body))
        elif (object, opcode) == (SHM, 7):
            (count,) = struct.unpack('=I', body[:4])
            while len(stream.labels) < count:
                stream.more()
            labels, stream.labels = stream.labels[:count], stream.labels[count:]
            send(sock, wayland_message(SHM, 7, body), labels)


# ------------------------------------------------------------------ dbus

SERVICE = 'org.pantavisor.Soak'
CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
KINDS = {1: 'o', 2: 's', 3: 's', 4: 's', 5: 'u', 6: 's', 7: 's', 8: 'g', 9: 'u'}
POLICY = f"""<busconfig>
  <policy user="root"><allow own="{SERVICE}"/></policy>
  <policy context="default"><allow send_destination="{SERVICE}"/></policy>
</busconfig>
"""
# The bus ends with the process that has its standard input: no container has anybody else to see to that.
GUARDED = 'exec 4<&0; "$@" 4<&- </dev/null & read -r _ <&4; kill -9 $!'


def dbus_value(kind, value):
    if kind == 'u':
        return struct.pack('<I', value)
    raw = value.encode()
    return (bytes([len(raw)]) if kind == 'g' else struct.pack('<I', len(raw))) + raw + b'\0'


def dbus_message(type, serial, fields, body=b''):
    head = b''
    for code, value in fields.items():
        kind = KINDS[code]
        head += b'\0' * (-len(head) % 8) + bytes([code, 1]) + kind.encode() + b'\0' + dbus_value(kind, value)
    return struct.pack('<cBBBIII', b'l', type, 0, 1, len(body), serial, len(head)) + head + b'\0' * (-len(head) % 8) + body


def hear_dbus(stream):
    """Type, serial, fields and body of the next message, which has to be in the order of bytes that we use."""
    first = stream.take(16)
    if first[:1] != b'l':
        raise Wrong(f'a message that begins with {first}')
    _, type, _, _, length, serial, size = struct.unpack('<cBBBIII', first)
    head = stream.take(size + -size % 8)[:size]
    fields, at = {}, 0
    while at < size:
        at += -at % 8
        code, kind = head[at], chr(head[at + 2])
        at += 4
        if kind == 'u':
            (value,), at = struct.unpack_from('<I', head, at), at + 4
        else:
            long = kind != 'g'
            count = struct.unpack_from('<I', head, at)[0] if long else head[at]
            at += 4 if long else 1
            value, at = head[at : at + count].decode(), at + count + 1
        fields[code] = value
    return type, serial, fields, stream.take(length)


def dbus_call(serial, destination, member, body=b'', signature='', descriptors=0):
    name = destination
    fields = {1: '/' + name.replace('.', '/'), 2: name, 3: member, 6: destination}
    if signature:
        fields[8] = signature
    if descriptors:
        fields[9] = descriptors
    return dbus_message(CALL, serial, fields, body)


def reply_to(stream, serial):
    while True:
        type, _, fields, body = hear_dbus(stream)
        if fields.get(5) != serial:
            continue
        if type == ERROR:
            raise Early(f'an error: {fields[4]}')
        return fields, body


def greet(sock, leaves_at=None):
    """SASL and Hello, all that a client may say at once; a stream, or None: it has left."""
    stream = Stream(sock)
    sock.sendall(b'\0AUTH EXTERNAL ' + b'0'.hex().encode() + b'\r\nNEGOTIATE_UNIX_FD\r\n')
    if leaves_at == 'auth':
        return None
    for wanted in (b'OK ', b'AGREE_UNIX_FD'):
        if not (line := stream.take_to(b'\r\n')).startswith(wanted):
            raise Wrong(f'{line}, where {wanted} should come')
    sock.sendall(b'BEGIN\r\n' + dbus_call(1, 'org.freedesktop.DBus', 'Hello'))
    if leaves_at == 'hello':
        return None
    reply_to(stream, 1)
    return stream


def speak_dbus(sock, told, seed, calls, size, rights, leaves):
    stream = greet(sock, {0: 'auth', 1: 'hello'}.get(seed % 4) if leaves else None)
    if stream is None:
        return
    established(told)
    for number in range(calls):
        serial = number + 2
        mine = bytes_at(seed + number, size).hex()
        labels = labels_of(seed + number, rights)
        body = dbus_value('s', mine)
        if labels:
            body += b'\0' * (-len(body) % 4) + b''.join(struct.pack('<I', index) for index in range(len(labels)))
        send(sock, dbus_call(serial, SERVICE, 'Echo', body, 's' + 'h' * len(labels), len(labels)), labels)
        if leaves and number == calls - 1:
            return
        _, answer = reply_to(stream, serial)
        if answer != body:
            raise Wrong(f'another answer than was sent, of {len(answer)} bytes')
        if stream.labels != labels:
            raise Wrong(f'descriptors {stream.labels}, where {labels} were sent')
        stream.labels = []
        told['bytes'] = told.get('bytes', 0) + 2 * len(body)
        told['descriptors'] = told.get('descriptors', 0) + 2 * len(labels)


def serve_bus_calls(stream, sock):
    while True:
        type, serial, fields, body = hear_dbus(stream)
        if type != CALL:
            continue
        running.wait()
        count = fields.get(9, 0)
        labels, stream.labels = stream.labels[:count], stream.labels[count:]
        answer = {5: serial, 6: fields[7], 8: fields[8]}
        if count:
            answer[9] = count
        send(sock, dbus_message(RETURN, serial, answer, body), labels)


def run_bus(path):
    """A dbus-daemon with the distribution's policy, and a service on it that answers with what it is sent."""
    os.makedirs('/etc/dbus-1/system.d', exist_ok=True)
    with open('/etc/dbus-1/system.d/soak.conf', 'w', encoding='utf-8') as file:
        file.write(POLICY)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    command = ['dbus-daemon', '--system', '--nofork', '--nopidfile', '--nosyslog', f'--address=unix:path={path}']
    if os.path.lexists(path):
        os.unlink(path)
    subprocess.Popen(
        ['sh', '-c', GUARDED, 'sh', *command],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            sock = peer.dial(path, 'stream')
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    stream = greet(sock)
    body = dbus_value('s', SERVICE)
    body += b'\0' * (-len(body) % 4) + struct.pack('<I', 4)
    sock.sendall(dbus_call(2, 'org.freedesktop.DBus', 'RequestName', body, 'su'))
    _, answer = reply_to(stream, 2)
    if answer != struct.pack('<I', 1):
        raise Wrong('the service did not get its name')
    threading.Thread(target=serve_bus_calls, args=(stream, sock), daemon=True).start()


# ------------------------------------------------------------------ drm


def spelled(status):
    return f'{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}'


def look_at_node(path, number):
    """`refused`: there is none, or not this one yet."""
    try:
        status = os.lstat(path)
    except OSError as error:
        return {'outcome': 'refused', 'why': errno.errorcode.get(error.errno, str(error))}
    if not stat.S_ISCHR(status.st_mode):
        return {'outcome': 'refused', 'why': 'it is no device'}
    if spelled(status) != number:
        return {'outcome': 'refused', 'why': f'it is {spelled(status)}, not {number}'}
    return {'outcome': 'done'}


def put_node(path, number):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        if spelled(os.lstat(path)) == number:
            return
        os.unlink(path)
    major, minor = (int(each) for each in number.split(':'))
    os.mknod(path, 0o660 | stat.S_IFCHR, os.makedev(major, minor))


# ------------------------------------------------------------------ what a soak asks for

SPEAK = {'rest': speak_http, 'wayland': speak_wayland, 'dbus': speak_dbus}
SERVE = {'rest': serve_http, 'wayland': serve_wayland}

lock = threading.Lock()
faults = []


@operation
def use(type, path, plan):
    """One conversation as a client of a link of this type."""
    if type == 'drm':
        return look_at_node(path, **plan)
    return connected(path, lambda sock, told: SPEAK[type](sock, told, **plan))


def attend(serve, sock):
    with sock:
        sock.settimeout(None)
        try:
            serve(sock)
        except Early:
            return
        except OSError as error:
            if error.errno in CUT:
                return
            fault = repr(error)
        except Exception as error:
            fault = repr(error)
        with lock:
            faults.append(fault)


@operation
def offer(type, name, path, number):
    """Be the provider of links of this type."""
    if type == 'drm':
        put_node(path, number)
        return {}
    if type == 'dbus':
        run_bus(path)
        return {}
    peer.listen(name, path, replace=True)
    listening = sockets[name]

    def accept_all():
        while True:
            running.wait()
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=attend, args=(SERVE[type], sock), daemon=True).start()

    threading.Thread(target=accept_all, daemon=True).start()
    return {}


@operation
def unplug(path):
    """The device is gone, and with it its node."""
    os.unlink(path)
    return {}


@operation
def offer_faults():
    """What providers met that no client of theirs may cause."""
    with lock:
        told = list(faults)
        faults.clear()
        return {'faults': told}
