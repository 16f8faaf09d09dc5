"""One end of a link, as a provider or a consumer would be: does what JSON lines on stdin ask for, answers on stdout.

In Python and with the standard library only, so that no line of ours is both under test and the judge. Every request
is answered by a thread of its own, so one that blocks (a read, say) holds up no other; requests that build on each
other are sent one after the other. Ends when stdin ends. Requests: see the functions marked @operation.
"""

import array
import errno
import fcntl
import hashlib
import json
import os
import select
import socket
import struct
import sys
import termios
import threading
import time

KINDS = {'stream': socket.SOCK_STREAM, 'seqpacket': socket.SOCK_SEQPACKET, 'dgram': socket.SOCK_DGRAM}
SO_SNDBUFFORCE = 32
O_PATH = getattr(os, 'O_PATH', 0o10000000)
MOST_DESCRIPTORS = 253
BULK = 256 * 1024

operations = {}
sockets = {}
files = {}
served = {}


def operation(function):
    operations[function.__name__] = function
    return function


# ------------------------------------------------------------------ sockets by path, or by an abstract name (`@name`)


def short_path(path, of_file):
    """A spelling below the 108 bytes of sun_path, for paths of any length; the descriptor keeps it valid."""
    if path.startswith('@'):
        return '\0' + path[1:], None
    if len(path) < 100:
        return path, None
    if of_file:
        held = os.open(path, O_PATH)
        return f'/proc/self/fd/{held}', held
    parent, name = os.path.split(path)
    held = os.open(parent, O_PATH | os.O_DIRECTORY)
    return f'/proc/self/fd/{held}/{name}', held


def adopt(name, sock):
    # A message of no bytes and the end both read as 0. Only the message carries credentials, so ask for them.
    if sock.type == socket.SOCK_SEQPACKET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    sockets[name] = sock
    return sock


@operation
def listen(name, path, kind='stream', backlog=1024, replace=False):
    abstract = path.startswith('@')
    if not abstract:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    if replace and os.path.lexists(path):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, KINDS[kind])
    spelling, held = short_path(path, of_file=False)
    try:
        sock.bind(spelling)
    finally:
        if held is not None:
            os.close(held)
    if not abstract:
        os.chmod(path, 0o666)
    if kind != 'dgram':
        sock.listen(backlog)
    sockets[name] = sock
    return {}


def dial(path, kind):
    sock = socket.socket(socket.AF_UNIX, KINDS[kind])
    held = None
    try:
        spelling, held = short_path(path, of_file=True)
        sock.connect(spelling)
    except BaseException:
        sock.close()
        raise
    finally:
        if held is not None:
            os.close(held)
    return sock


@operation
def connect(name, path, kind='stream', send_buffer=None):
    sock = dial(path, kind)
    if send_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, send_buffer)
    adopt(name, sock)
    return {}


def hung_up(sock):
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


def was_only_asked(sock):
    """A connection that ended without a word, where asking for the type makes one: SEQPACKET, and abstract names."""
    if sock.type != socket.SOCK_SEQPACKET and not sock.getsockname()[:1] == b'\0':
        return False
    return hung_up(sock) and not sock.recv(1, socket.MSG_PEEK)


@operation
def accept(listener, name):
    """The next connection that is still there: to ask a service for its type may cost it an empty one."""
    sock, _ = sockets[listener].accept()
    while was_only_asked(sock):
        sock.close()
        sock, _ = sockets[listener].accept()
    adopt(name, sock)
    return {}


@operation
def shutdown(name, how):
    sockets[name].shutdown({'read': socket.SHUT_RD, 'write': socket.SHUT_WR, 'both': socket.SHUT_RDWR}[how])
    return {}


@operation
def close(name):
    sock = sockets.pop(name)
    # A thread that sleeps in accept or recv keeps a closed socket alive; only a shutdown wakes it.
    try:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            sock.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
    sock.close()
    return {}


# ------------------------------------------------------------------ descriptors


def seen(fd):
    """What identifies an open file on either side of a link; its content too, where it can be read in place."""
    status = os.fstat(fd)
    try:
        content = os.pread(fd, 64, 0).decode()
    except OSError:
        content = None
    return {'dev': str(status.st_dev), 'ino': str(status.st_ino), 'content': content}


def memfd(content):
    fd = os.memfd_create('test', 0)
    os.pwrite(fd, content.encode(), 0)
    return fd


@operation
def make_memfds(prefix, count):
    made = []
    for index in range(count):
        files[f'{prefix}{index}'] = memfd(f'{prefix}{index}')
        made.append(seen(files[f'{prefix}{index}']))
    return {'descriptors': made}


@operation
def make_pipe(reader, writer):
    files[reader], files[writer] = os.pipe()
    return {}


@operation
def make_socketpair(one, other):
    left, right = socket.socketpair()
    sockets[one] = left
    files[other] = right.detach()
    return {}


@operation
def make_lingering(name, seconds):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(('127.0.0.1', 0))
    listener.listen()
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    listener.close()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, seconds))
    ours.setblocking(False)
    try:
        while True:
            ours.send(b'x' * 65536)
    except BlockingIOError:
        pass
    files[name] = ours.detach()
    sockets[name + '.end'] = theirs
    return {}


@operation
def close_files(names):
    for name in names:
        os.close(files.pop(name))
    return {}


@operation
def read_file(name, size=64):
    """Waits; an empty text is the end."""
    return {'text': os.read(files[name], size).decode()}


@operation
def write_file(name, text):
    return {'bytes': os.write(files[name], text.encode())}


# ------------------------------------------------------------------ messages


def receive(sock, size, room):
    """One recvmsg. `end` is told apart from a message of no bytes, which SEQPACKET has."""
    credentials = sock.type == socket.SOCK_SEQPACKET
    space = socket.CMSG_SPACE(room * 4) if room else 0
    if credentials:
        space += socket.CMSG_SPACE(12)
    data, control, flags, _ = sock.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
    got = array.array('i')
    attested = False
    for level, kind, payload in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            got.frombytes(payload[: len(payload) - len(payload) % got.itemsize])
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            attested = True
    end = len(data) == 0 and not attested and size > 0
    return data, list(got), bool(flags & socket.MSG_CTRUNC), bool(flags & socket.MSG_TRUNC), end


def transmit(sock, data, fds):
    """All of it; the descriptors go with the first byte. A stream may take it in parts."""
    if fds:
        sent = sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))], socket.MSG_NOSIGNAL)
    else:
        sent = sock.send(data, socket.MSG_NOSIGNAL)
    if sent < len(data):
        sock.sendall(memoryview(data)[sent:], socket.MSG_NOSIGNAL)


def body(text, size):
    """`text`, made `size` long by repeating it."""
    data = text.encode()
    return data if size is None else (data * (size // max(1, len(data)) + 1))[:size]


@operation
def send(name, text='', size=None, descriptors=()):
    """One message."""
    transmit(sockets[name], body(text, size), [files[each] for each in descriptors])
    return {}


@operation
def send_urgent(name, text):
    """Its last byte jumps the queue, as far as the receiver wants it to."""
    sockets[name].send(text.encode(), socket.MSG_OOB | socket.MSG_NOSIGNAL)
    return {}


def keep(prefix, fds):
    names = [f'{prefix}{index}' for index in range(len(fds))]
    for name, fd in zip(names, fds):
        files[name] = fd
    return names


def told(data):
    return {'bytes': len(data), 'sha256': hashlib.sha256(data).hexdigest(), 'text': data[:4096].decode('latin-1')}


@operation
def receive_message(name, size=65536, room=MOST_DESCRIPTORS, keep_as=None):
    """One recvmsg, with room for descriptors. They are closed again unless kept under names with a prefix."""
    data, fds, cut, short, end = receive(sockets[name], size, room)
    answer = {**told(data), 'descriptors': [seen(fd) for fd in fds], 'cut': cut or short, 'end': end}
    if keep_as is None:
        for fd in fds:
            os.close(fd)
    else:
        keep(keep_as, fds)
    return answer


@operation
def read(name, size=65536):
    """One plain read, as a program does that expects no descriptors: those that come with it are lost."""
    data = sockets[name].recv(size)
    return {**told(data), 'end': len(data) == 0 and size > 0}


@operation
def read_exactly(name, size):
    """Plain reads until `size` bytes are there, or the end."""
    parts = []
    missing = size
    while missing > 0:
        part = sockets[name].recv(missing)
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return {**told(b''.join(parts)), 'end': missing > 0}


@operation
def read_to_end(name):
    """Until the end or a reset. What was received, and how it ended."""
    return drain(sockets[name])


@operation
def read_byte_by_byte(name, size, room=MOST_DESCRIPTORS):
    """The most exact reader there can be: which descriptors came with which byte."""
    text = b''
    positions = []
    while len(text) < size:
        data, fds, cut, _, end = receive(sockets[name], 1, room)
        if end:
            break
        if fds or cut:
            positions.append({'at': len(text), 'descriptors': [seen(fd) for fd in fds], 'cut': cut})
        for fd in fds:
            os.close(fd)
        text += data
    return {'text': text.decode('latin-1'), 'positions': positions}


NUMBERED = 8


@operation
def send_numbered(name, count, every):
    """Messages of 8 bytes that say their number; every so many carries a memfd that says it too."""
    for number in range(count):
        data = f'{number:07d}\n'.encode()
        fds = [memfd(f'{number}')] if number % every == 0 else []
        transmit(sockets[name], data, fds)
        for fd in fds:
            os.close(fd)
    return {}


@operation
def receive_numbered(name, count, every):
    """The other end of `send_numbered`, message by message: the first complaints, and how many descriptors came."""
    complaints = []
    descriptors = 0
    for number in range(count):
        data = b''
        contents = []
        while len(data) < NUMBERED:
            part, fds, cut, _, end = receive(sockets[name], NUMBERED - len(data), MOST_DESCRIPTORS)
            contents += [seen(fd)['content'] for fd in fds]
            for fd in fds:
                os.close(fd)
            if cut:
                complaints.append(f'descriptors were cut off at message {number}')
            if end:
                complaints.append(f'the end came at message {number}')
                return {'complaints': complaints[:5], 'descriptors': descriptors}
            data += part
        wanted = [f'{number}'] if number % every == 0 else []
        descriptors += len(contents)
        if data != f'{number:07d}\n'.encode() or contents != wanted:
            complaints.append(f'message {number}: got {data!r} with descriptors {contents}, wanted {wanted}')
    return {'complaints': complaints[:5], 'descriptors': descriptors}


# ------------------------------------------------------------------ bulk


def pour_into(sock, size):
    """`size` bytes that do not repeat where a block ends, and their checksum."""
    block = os.urandom(BULK + 1)
    digest = hashlib.sha256()
    done = 0
    while done < size:
        start = (done // BULK) % 2
        part = memoryview(block)[start : start + min(BULK, size - done)]
        sock.sendall(part, socket.MSG_NOSIGNAL)
        digest.update(part)
        done += len(part)
    return {'bytes': done, 'sha256': digest.hexdigest()}


def drain(sock, size=None):
    digest = hashlib.sha256()
    room = memoryview(bytearray(BULK))
    done = 0
    ended = 'enough'
    head = b''
    while size is None or done < size:
        try:
            got = sock.recv_into(room if size is None else room[: min(BULK, size - done)])
        except OSError as error:
            ended = errno.errorcode.get(error.errno, str(error.errno))
            break
        if got == 0:
            ended = 'end'
            break
        if len(head) < 4096:
            head = (head + bytes(room[:got]))[:4096]
        digest.update(room[:got])
        done += got
    return {'bytes': done, 'sha256': digest.hexdigest(), 'ended': ended, 'text': head.decode('latin-1')}


@operation
def pour(name, size):
    return pour_into(sockets[name], size)


@operation
def take(name, size):
    """Receive `size` bytes."""
    return drain(sockets[name], size)


@operation
def fill(name, quiet_ms, chunk=65536, descriptor=None, copies=1):
    """Send until nothing more was taken for `quiet_ms`: how much fits between here and a reader that does not read.

    Every message carries the descriptor, as many times as there shall be copies."""
    sock = sockets[name]
    data = b'\0' * chunk
    rights = []
    if descriptor is not None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [files[descriptor]] * copies))]
    done = 0
    while True:
        _, writable, _ = select.select([], [sock], [], quiet_ms / 1000)
        if not writable:
            return {'bytes': done}
        try:
            done += sock.sendmsg([data], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            time.sleep(0.001)


@operation
def queued(name):
    """Bytes that wait to be read here."""
    return {'bytes': struct.unpack('i', fcntl.ioctl(sockets[name], termios.FIONREAD, b'\0' * 4))[0]}


# ------------------------------------------------------------------ many connections


@operation
def connect_many(prefix, path, count):
    """How many could be connected, and why the others could not."""
    errors = {}
    for index in range(count):
        try:
            sockets[f'{prefix}{index}'] = dial(path, 'stream')
        except OSError as error:
            code = errno.errorcode.get(error.errno, str(error.errno))
            errors[code] = errors.get(code, 0) + 1
    return {'connected': sum(1 for name in sockets if name.startswith(prefix)), 'errors': errors}


@operation
def echo_many(prefix, count, patience_ms):
    """Every connection says something of its own before any is listened to: how many got exactly that back."""
    alive = {}
    refused = 0
    for index in range(count):
        sock = sockets.get(f'{prefix}{index}')
        if sock is None:
            continue
        try:
            sock.sendall(f'{prefix}{index}!'.encode(), socket.MSG_NOSIGNAL)
            alive[sock] = (f'{prefix}{index}!'.encode(), b'')
        except OSError:
            refused += 1
    good = 0
    deadline = time.monotonic() + patience_ms / 1000
    poll = select.poll()
    by_number = {}
    for sock in alive:
        by_number[sock.fileno()] = sock
        poll.register(sock, select.POLLIN)
    while by_number and time.monotonic() < deadline:
        for number, _ in poll.poll(max(1, int((deadline - time.monotonic()) * 1000))):
            sock = by_number[number]
            wanted, got = alive[sock]
            try:
                part = sock.recv(4096)
            except OSError:
                part = b''
            got += part
            alive[sock] = (wanted, got)
            if part and len(got) < len(wanted):
                continue
            poll.unregister(sock)
            del by_number[number]
            if got == wanted:
                good += 1
            else:
                refused += 1
    return {'good': good, 'refused': refused, 'waiting': len(by_number)}


@operation
def close_many(prefix):
    for name in [name for name in sockets if name.startswith(prefix)]:
        sockets.pop(name).close()
    return {}


@operation
def closed_many(prefix):
    """How many of them the other side has ended."""
    chosen = [sock for name, sock in sockets.items() if name.startswith(prefix)]
    return {'count': sum(1 for sock in chosen if hung_up(sock))}


@operation
def reconnect(path, for_ms):
    """Connect, wait for the end, connect again, and so on: how often that was."""
    deadline = time.monotonic() + for_ms / 1000
    count = 0
    while time.monotonic() < deadline:
        try:
            sock = dial(path, 'stream')
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            with sock:
                sock.recv(1)
        except OSError:
            pass
        count += 1
    return {'count': count}


# ------------------------------------------------------------------ services that run by themselves


def amount(drained):
    return {'bytes': drained['bytes'], 'sha256': drained['sha256']}


def echo(sock, _options, _record):
    while True:
        data, fds, _, _, end = receive(sock, 1024 * 1024, MOST_DESCRIPTORS)
        if end:
            return
        transmit(sock, data, fds)
        for fd in fds:
            os.close(fd)


def introduce(sock, options, record):
    """Says its label first, so that a consumer knows whom it reached, then echoes."""
    transmit(sock, options['label'].encode(), [])
    echo(sock, options, record)


def sink(sock, _options, record):
    record.update(received=amount(drain(sock)))


def exchange(sock, options, record):
    """Both directions at once, full."""
    sender = threading.Thread(target=lambda: record.update(sent=pour_into(sock, options['size'])))
    sender.start()
    record.update(received=amount(drain(sock, options['size'])))
    sender.join()
    sock.shutdown(socket.SHUT_WR)


def hang_up(sock, options, _record):
    """Closes after so many bytes, whatever else has arrived."""
    drain(sock, options['size'])


def mute(sock, _options, record):
    """Never reads; hears only that the other side is gone."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    poll.poll()
    record['hung_up'] = True


SERVICES = {each.__name__: each for each in (echo, introduce, sink, exchange, hang_up, mute)}


@operation
def serve(listener, service, size=None, label=None):
    """Accept for ever, a thread per connection. What became of each: `served_by`."""
    records = served.setdefault(listener, [])
    listening = sockets[listener]

    def attend(sock, record):
        try:
            SERVICES[service](sock, {'size': size, 'label': label}, record)
        except OSError as error:
            record['error'] = errno.errorcode.get(error.errno, str(error.errno))
        finally:
            sock.close()
            record['open'] = False

    def accept_all():
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            if sock.type == socket.SOCK_SEQPACKET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 * 1024 * 1024)
            record = {'open': True}
            records.append(record)
            threading.Thread(target=attend, args=(sock, record), daemon=True).start()

    threading.Thread(target=accept_all, daemon=True).start()
    return {}


@operation
def served_by(listener):
    records = served.get(listener, [])
    return {
        'open': sum(1 for record in records if record['open']),
        'total': len(records),
        'ended': [json.dumps(record) for record in records if not record['open']],
    }


@operation
def ready():
    return {}


@operation
def open_descriptors():
    return {'count': len(os.listdir('/proc/self/fd'))}


# ------------------------------------------------------------------ the loop


def main():
    threading.stack_size(512 * 1024)
    mouth = threading.Lock()

    def answer(request):
        try:
            reply = {'ok': operations[request['do']](**request['with'])}
        except OSError as error:
            reply = {'errno': errno.errorcode.get(error.errno, str(error.errno)), 'message': str(error)}
        except Exception as error:
            reply = {'errno': 'BUG', 'message': repr(error)}
        with mouth:
            print(json.dumps({'id': request['id'], **reply}), flush=True)

    # A consumer that is told to exit must not clean up nicely: nothing here runs atexit.
    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    os._exit(0)


if __name__ == '__main__':
    main()
