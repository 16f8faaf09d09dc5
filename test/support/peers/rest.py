"""Both ends of HTTP, byte by byte: lines that a test leads itself, and a provider that answers and records by itself.

In Python and with the standard library only, as peer.py, whose operations are all here too. Of HTTP it knows no more
than where a request ends; what it tells a test is what came, as it came. Bytes are texts in latin-1 both ways.
"""

import errno
import hashlib
import json
import re
import select
import socket
import threading
import time

import peer
from peer import SERVICES, files, operation, served, sockets, transmit

# Of what came over one connection this much is kept as text; the rest only counts, and goes into the checksum.
KEPT = 256 * 1024
END_OF_HEAD = b'\r\n\r\n'

lines = {}


class Ended(Exception):
    pass


class Line:
    """A connection and all that came over it. `body` is what followed the first head."""

    def __init__(self, sock):
        self.sock = sock
        self.kept = bytearray()
        self.came = 0
        self.body = 0
        self.digest = hashlib.sha256()
        self.ended = 'open'
        self.since = None
        self.until = None

    def take(self, most=256 * 1024):
        """What comes next; empty when there is no more."""
        try:
            part = self.sock.recv(most)
        except OSError as error:
            self.ended, self.until = errno.errorcode[error.errno], time.monotonic()
            return b''
        if self.since is None:
            self.since = time.monotonic()
        if not part:
            self.ended, self.until = how_it_ended(self.sock), time.monotonic()
        self.count_body(part)
        self.came += len(part)
        self.kept += part[: KEPT - len(self.kept)]
        return part

    def count_body(self, part):
        if self.body > 0 or END_OF_HEAD in self.kept:
            fresh = part
        else:
            head, mark, fresh = (bytes(self.kept) + part).partition(END_OF_HEAD)
            if not mark:
                return
        self.body += len(fresh)
        self.digest.update(fresh)

    def told(self):
        return {
            'text': self.kept.decode('latin-1'),
            'bytes': self.came,
            'body': {'bytes': self.body, 'sha256': self.digest.hexdigest()},
            'ended': self.ended,
            'tookMs': 0 if self.since is None or self.until is None else round((self.until - self.since) * 1000),
        }


def how_it_ended(sock):
    """The other side can still hear us after a half-close; after a close it cannot."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return 'close' if any(events & select.POLLHUP for _, events in poll.poll(0)) else 'half-close'


def line_of(name):
    if name not in lines:
        lines[name] = Line(sockets[name])
    return lines[name]


# ------------------------------------------------------------------ lines that a test leads


@operation
def write(name, text, descriptors=()):
    transmit(sockets[name], text.encode('latin-1'), [files[each] for each in descriptors])
    return {}


@operation
def hear(name, mark, times=1):
    """Until all that came has the mark so often, or until the end: all that came."""
    line = line_of(name)
    while line.kept.count(mark.encode('latin-1')) < times and line.take():
        pass
    return line.told()


@operation
def hear_body(name, size):
    """Until so much followed the first head, or until the end."""
    line = line_of(name)
    while line.body < size and line.take():
        pass
    return line.told()


@operation
def hear_to_end(name):
    line = line_of(name)
    while line.take():
        pass
    return line.told()


@operation
def heard(name):
    """What has come, without waiting for more."""
    line = line_of(name)
    while line.ended == 'open' and select.select([line.sock], [], [], 0)[0]:
        line.take()
    return line.told()


@operation
def state_of(name):
    """How the other side left the line, without reading what it said before."""
    poll = select.poll()
    poll.register(sockets[name], select.POLLRDHUP)
    events = dict(poll.poll(0)).get(sockets[name].fileno(), 0)
    if events & select.POLLHUP:
        return {'text': 'close'}
    return {'text': 'half-close' if events & select.POLLRDHUP else 'open'}


@operation
def hang_up(name):
    lines.pop(name, None)
    sock = sockets.pop(name, None)
    if sock is not None:
        sock.close()
    return {}


@operation
def drip(name, text, every_ms):
    """A byte at a time until the other side has had enough: how many it took."""
    sock = sockets[name]
    for count, byte in enumerate(text.encode('latin-1')):
        try:
            sock.send(bytes([byte]), socket.MSG_NOSIGNAL)
        except OSError:
            return {'count': count}
        if select.select([sock], [], [], every_ms / 1000)[0]:
            return {'count': count + 1}
    return {'count': len(text)}


@operation
def ask_many(path, text, count):
    """So many connections at once, the same bytes over each; what came back over them, by how often it came."""
    crowd = [Line(peer.dial(path, 'stream')) for _ in range(count)]
    for line in crowd:
        transmit(line.sock, text.encode('latin-1'), [])
    answers = {}
    for line in crowd:
        while line.take():
            pass
        line.sock.close()
        answer = line.kept.decode('latin-1')
        answers[answer] = answers.get(answer, 0) + 1
    return {'answers': answers}


@operation
def backlog_is_full(path):
    """Whether a connection to the path would have to wait. One is made if not."""
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    try:
        sock.connect(path)
        return {'yes': False}
    except BlockingIOError:
        return {'yes': True}
    finally:
        sock.close()


# ------------------------------------------------------------------ a provider that answers by itself


class Request:
    def __init__(self, head):
        self.line, _, self.fields = head.decode('latin-1').partition('\r\n')
        self.method, self.target, self.version = (self.line.split(' ') + ['', ''])[:3]

    def field(self, name):
        found = re.findall(rf'(?im)^{name}:[ \t]*(.*?)[ \t]*\r?$', self.fields)
        return found[0] if found else None


class Requests:
    """The requests of one line, one after the other."""

    def __init__(self, line):
        self.line = line
        self.rest = b''

    def more(self):
        part = self.line.take()
        if not part:
            raise Ended
        self.rest += part

    def up_to(self, mark):
        while mark not in self.rest:
            self.more()
        before, _, self.rest = self.rest.partition(mark)
        return before

    def some(self, most):
        if not self.rest:
            self.more()
        part, self.rest = self.rest[:most], self.rest[most:]
        return part

    def head(self):
        return Request(self.up_to(END_OF_HEAD))

    def counted(self, size):
        while size > 0:
            part = self.some(size)
            size -= len(part)
            yield part

    def body(self, request):
        if (request.field('transfer-encoding') or '').lower() == 'chunked':
            while size := int(self.up_to(b'\r\n'), 16):
                yield from self.counted(size)
                self.up_to(b'\r\n')
            while self.up_to(b'\r\n'):
                pass
        else:
            yield from self.counted(int(request.field('content-length') or 0))


def head_of(status, *fields):
    return ''.join(f'{line}\r\n' for line in [f'HTTP/1.1 {status}', *fields, '']).encode('latin-1')


def answer(sock, request, digest, size):
    """`/bytes/N` and `/chunks/N`: so many; anything else: what the request was."""
    kind, _, amount = request.target.strip('/').partition('/')
    if kind == 'bytes':
        sock.sendall(head_of('200 OK', f'Content-Length: {amount}'))
        return peer.pour_into(sock, int(amount))['sha256']
    if kind == 'chunks':
        sock.sendall(head_of('200 OK', 'Transfer-Encoding: chunked'))
        sent = hashlib.sha256()
        left = int(amount)
        while left > 0:
            data = bytes([left % 251]) * min(65536, left)
            sock.sendall(b'%x\r\n%s\r\n' % (len(data), data))
            sent.update(data)
            left -= len(data)
        sock.sendall(b'0\r\n\r\n')
        return sent.hexdigest()
    told = {
        'request': request.line,
        'client': request.field('x-pv-client'),
        'role': request.field('x-pv-role'),
        'bytes': size,
        'sha256': digest,
    }
    body = json.dumps(told).encode() + b'\n'
    sock.sendall(head_of('200 OK', f'Content-Length: {len(body)}'))
    if request.method != 'HEAD':
        sock.sendall(body)
    return hashlib.sha256(body).hexdigest()


def http(sock, _options, record):
    line = record['line'] = Line(sock)
    record['sent'] = []
    requests = Requests(line)
    try:
        while True:
            request = requests.head()
            if (request.field('expect') or '').lower() == '100-continue':
                sock.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
            digest = hashlib.sha256()
            size = 0
            for part in requests.body(request):
                digest.update(part)
                size += len(part)
            record['sent'].append(answer(sock, request, digest.hexdigest(), size))
            if request.version == 'HTTP/1.0' or 'close' in (request.field('connection') or ''):
                return
    except Ended:
        return


SERVICES['http'] = http


@operation
def recorded(listener, since=0):
    """The connections taken, from so many on: all that came, how it ended, and the checksums of the bodies sent back."""
    return {
        'connections': [
            {**record['line'].told(), 'sent': record['sent'], 'open': record['open']}
            for record in served.get(listener, [])[since:]
            if 'line' in record
        ]
    }


if __name__ == '__main__':
    peer.main()
