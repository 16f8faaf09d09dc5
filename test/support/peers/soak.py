"""One end of a soak: conversations whose every byte and descriptor both ends can foretell, so that each judges the other.

The client opens one with a header that says all that is going to happen. What then comes in either direction follows
from a seed: bytes, where messages begin, which of them carry descriptors, and what is in the files behind those.
A conversation that is cut short is told apart from one that goes wrong: the first may have its reasons, the second not.
"""

import errno
import json
import os
import random
import socket
import threading
import time

import peer
import soak_types
from peer import MOST_DESCRIPTORS, operation, sockets

HEADER = 256
ACKNOWLEDGED = b'k'
# Whoever hears nothing for so long has been forgotten.
PATIENCE_S = 60
# Prime, so that bytes which are out of place by a block or a page show.
ROUND = 1_048_573
LONGEST = 256 * 1024
# Above what sockets of this type hold at first, so that buffers have to grow.
LARGEST_PACKET = 250_000

once = random.Random(0).randbytes(ROUND)
SOURCE = memoryview(once + once[:LONGEST])

CUT = (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)

# A provider that is stalled neither accepts, reads nor writes.
running = soak_types.running
running.set()


class Wrong(Exception):
    """Something came that was not sent, or not there."""


class Early(Exception):
    """The end came before all that was to come."""


def now_ms():
    return int(time.monotonic() * 1000)


def bytes_at(seed, at, length):
    start = (seed * 7919 + at) % ROUND
    return SOURCE[start : start + length]


# ------------------------------------------------------------------ what is said in one direction


def plan(seed, total, rights, packets):
    """Messages: how long, and with how many descriptors."""
    choice = random.Random(seed)
    left = total
    while left > 0:
        if rights:
            size = choice.choice((1, 7, 100, 1000, 1000, 17_000))
        elif packets:
            size = choice.choice((1, 100, 4096, 60_000, LARGEST_PACKET))
        else:
            size = choice.choice((1, 100, 4096, 16_384, 65_536, LONGEST))
        count = choice.choice((0, 0, 1, 1, 3, 20)) if rights else 0
        # A stream cannot carry nothing.
        if packets and choice.random() < 0.1:
            yield 0, count
        size = min(size, left)
        left -= size
        yield size, count


def label(seed, number, index):
    return f'{seed}/{number}/{index}'


def say(sock, seed, total, rights, packets, heed=None):
    at = 0
    passed = 0
    for number, (size, count) in enumerate(plan(seed, total, rights, packets)):
        if heed is not None:
            heed.wait()
        files = [peer.memfd(label(seed, number, index)) for index in range(count)]
        try:
            peer.transmit(sock, bytes_at(seed, at, size), files)
        finally:
            for fd in files:
                os.close(fd)
        at += size
        passed += count
    return at, passed


def read_labels(fds):
    found = []
    for fd in fds:
        try:
            found.append(os.pread(fd, 64, 0).decode())
        finally:
            os.close(fd)
    return found


def check(seed, at, data, found, wanted):
    if data != bytes_at(seed, at, len(data)):
        raise Wrong(f'other bytes than were sent, between {at} and {at + len(data)}')
    if found != wanted:
        raise Wrong(f'descriptors {found} at byte {at}, where {wanted} were sent')


def behind_a_reset(sock, size, room):
    """A peer that closed with something unread leaves an error in front of the packets it had sent."""
    try:
        return peer.receive(sock, size, room)
    except ConnectionResetError:
        return peer.receive(sock, size, room)


def hear_packet(sock, seed, at, size, wanted):
    data, fds, cut, short, end = behind_a_reset(sock, LARGEST_PACKET + 1, MOST_DESCRIPTORS)
    found = read_labels(fds)
    if end:
        raise Early(at)
    if cut or short:
        raise Wrong(f'the packet at byte {at} is not whole')
    if len(data) != size:
        raise Wrong(f'a packet of {len(data)} bytes at byte {at}, where one of {size} was sent')
    check(seed, at, data, found, wanted)


def hear_message(sock, seed, at, size, wanted):
    """One message of a stream: never past its end, so that the place of the next descriptors shows."""
    done = 0
    while done < size:
        data, fds, cut, _, end = peer.receive(sock, min(size - done, LONGEST), MOST_DESCRIPTORS)
        found = read_labels(fds)
        if end:
            raise Early(at + done)
        if cut:
            raise Wrong(f'descriptors were lost at byte {at + done}')
        check(seed, at + done, data, found, wanted if done == 0 else [])
        done += len(data)


def hear(sock, seed, total, rights, packets, heed=None):
    """All that `say` says; how many bytes and descriptors. Wrong or Early where something else comes."""
    at = 0
    passed = 0
    messages = plan(seed, total, rights, packets) if rights or packets else ((LONGEST, 0),) * (total // LONGEST + 1)
    try:
        for number, (size, count) in enumerate(messages):
            if heed is not None:
                heed.wait()
            size = min(size, total - at)
            wanted = [label(seed, number, index) for index in range(count)]
            (hear_packet if packets else hear_message)(sock, seed, at, size, wanted)
            at += size
            passed += count
    except OSError as error:
        if error.errno not in CUT:
            raise
        raise Early(at) from error
    return at, passed


def hear_end(sock, resets=False):
    """Nothing but the end comes."""
    try:
        data, fds, _, _, end = peer.receive(sock, 100, MOST_DESCRIPTORS)
    except OSError as error:
        if resets and error.errno in CUT:
            return
        if error.errno in CUT:
            raise Early('the end') from error
        raise
    found = read_labels(fds)
    if not end:
        raise Wrong(f'{len(data)} bytes with descriptors {found} came where the end should have')


# ------------------------------------------------------------------ both directions


def wake(sock):
    """Whoever still says something would sleep on a closed descriptor."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        if error.errno not in CUT:
            raise


class Saying(threading.Thread):
    """One direction, said while the other is heard."""

    def __init__(self, sock, header, mine, heed=None, ends=True):
        super().__init__(daemon=True)
        self.said = (0, 0)
        self.error = None
        self.arguments = (sock, header['seed'] + mine[0], header[mine[1]], header['rights'], header['packets'], heed)
        self.ends = ends
        self.start()

    def run(self):
        try:
            self.said = say(*self.arguments)
            if self.ends:
                self.arguments[0].shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error

    def finish(self):
        self.join()
        if self.error is not None:
            raise self.error
        return self.said

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        # Nobody may still be about to write when the socket is closed: its number is the next connection's.
        if kind is not None:
            wake(self.arguments[0])
        self.join()


UP = (0, 'up')
DOWN = (1, 'down')


def converse(sock, header, mine, theirs, heed=None):
    """Say what is mine and hear what is theirs, as the header says it goes; bytes and descriptors of both."""
    seed, rights, packets, how = header['seed'], header['rights'], header['packets'], header['how']
    is_client = mine is UP

    def listen():
        return hear(sock, seed + theirs[0], header[theirs[1]], rights, packets, heed)

    wait = header['client_wait' if is_client else 'server_wait'] / 1000
    if how == 'both' or (how == 'turn' and is_client):
        with Saying(sock, header, mine, heed) as saying:
            time.sleep(wait)
            heard = listen()
            hear_end(sock)
            return saying.finish(), heard
    if how == 'turn':
        heard = listen()
        hear_end(sock)
        said = say(sock, seed + mine[0], header[mine[1]], rights, packets, heed)
        return said, heard
    # One of the two leaves as soon as it has said all, whatever else has come; the other must hear all of it.
    leaver = UP if how == 'vanish' else DOWN
    if mine is leaver:
        return say(sock, seed + mine[0], header[mine[1]], rights, packets, heed), (0, 0)
    with Saying(sock, header, mine, heed, ends=False) as saying:
        time.sleep(wait)
        heard = listen()
        hear_end(sock, resets=True)
    return saying.said, heard


def header_bytes(header):
    return json.dumps(header).encode().ljust(HEADER)


def outcome_of(work):
    """What became of it: `done`, `cut` (by an end or a reset), `stuck`, or `wrong`."""
    try:
        return {'outcome': 'done', **work()}
    except Wrong as wrong:
        return {'outcome': 'wrong', 'why': str(wrong)}
    except Early as early:
        return {'outcome': 'cut', 'why': f'ended at {early}'}
    except TimeoutError:
        return {'outcome': 'stuck', 'why': f'nothing moved for {PATIENCE_S} s'}
    except OSError as error:
        kind = 'cut' if error.errno in CUT else 'wrong'
        return {'outcome': kind, 'why': errno.errorcode.get(error.errno, str(error))}


def dial(path, packets):
    sock = peer.dial(path, 'seqpacket' if packets else 'stream')
    sock.settimeout(PATIENCE_S)
    if packets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        sock.setsockopt(socket.SOL_SOCKET, peer.SO_SNDBUFFORCE, 1024 * 1024)
    return sock


def refusal(error):
    return {'outcome': 'refused', 'why': errno.errorcode.get(error.errno, str(error))}


@operation
def talk(path, header):
    """One conversation as its client. `established`: when the provider was known to be there, in ms of the uptime."""
    established = None

    def work():
        nonlocal established
        peer.transmit(sock, header_bytes(header), [])
        if header['acknowledged']:
            data, _, _, _, end = peer.receive(sock, 1, 0)
            if end:
                raise Early('its beginning')
            if data != ACKNOWLEDGED:
                raise Wrong('another beginning than the provider made')
            established = now_ms()
        (sent, passed), (heard, got) = converse(sock, header, UP, DOWN)
        return {'bytes': sent + heard, 'descriptors': passed + got}

    try:
        sock = dial(path, header['packets'])
    except OSError as error:
        return refusal(error)
    with sock:
        return {**outcome_of(work), 'established': established}


@operation
def storm(path, headers):
    """Many at once: all are begun before the first is heard."""
    begun = []
    ended = []
    for header in headers:
        try:
            sock = dial(path, header['packets'])
        except OSError as error:
            ended.append(refusal(error))
            continue

        def begin(sock=sock, header=header):
            peer.transmit(sock, header_bytes(header), [])
            say(sock, header['seed'], header['up'], header['rights'], header['packets'])
            sock.shutdown(socket.SHUT_WR)
            return {}

        result = outcome_of(begin)
        if result['outcome'] == 'done':
            begun.append((sock, header))
        else:
            ended.append(result)
            sock.close()
    for sock, header in begun:

        def finish(sock=sock, header=header):
            heard, got = hear(sock, header['seed'] + 1, header['down'], header['rights'], header['packets'])
            hear_end(sock)
            return {'bytes': header['up'] + heard, 'descriptors': got}

        with sock:
            ended.append(outcome_of(finish))
    return {'outcomes': ended}


@operation
def leave(path, packets, count):
    """Connect and be gone."""
    refused = ''
    for _ in range(count):
        try:
            dial(path, packets).close()
        except OSError as error:
            refused = refusal(error)['why']
    return {'refused': refused}


# ------------------------------------------------------------------ providers

lock = threading.Lock()
problems = []
totals = {'conversations': 0, 'bytes': 0, 'descriptors': 0}


def read_header(sock, packets):
    """None: whoever connected has left."""
    data = b''
    while len(data) < HEADER:
        try:
            part, _, _, _, end = behind_a_reset(sock, HEADER - len(data), 0)
        except OSError as error:
            if error.errno in CUT:
                return None
            raise
        if end or (packets and part == b''):
            return None
        data += part
    return json.loads(data)


def attend(sock, packets):
    header = read_header(sock, packets)
    if header is None:
        return

    def work():
        if header['acknowledged']:
            peer.transmit(sock, ACKNOWLEDGED, [])
        (sent, passed), (heard, got) = converse(sock, header, DOWN, UP, running)
        return {'bytes': sent + heard, 'descriptors': passed + got}

    result = outcome_of(work)
    with lock:
        if result['outcome'] == 'done':
            totals['conversations'] += 1
            totals['bytes'] += result['bytes']
            totals['descriptors'] += result['descriptors']
        else:
            problems.append({'id': header['id'], 'at': now_ms(), 'outcome': result['outcome'], 'why': result['why']})


@operation
def answer(listener):
    """Be the provider of every conversation that comes."""
    listening = sockets[listener]
    packets = listening.type == socket.SOCK_SEQPACKET

    def attend_and_close(sock):
        with sock:
            sock.settimeout(PATIENCE_S)
            if packets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                sock.setsockopt(socket.SOL_SOCKET, peer.SO_SNDBUFFORCE, 1024 * 1024)
            try:
                attend(sock, packets)
            except Exception as error:
                with lock:
                    problems.append({'id': 0, 'at': now_ms(), 'outcome': 'wrong', 'why': repr(error)})

    def accept_all():
        while True:
            running.wait()
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=attend_and_close, args=(sock,), daemon=True).start()

    threading.Thread(target=accept_all, daemon=True).start()
    return {}


@operation
def stall(ms):
    """Neither accept, read nor write for so long."""
    running.clear()
    time.sleep(ms / 1000)
    running.set()
    return {}


@operation
def report():
    """What went other than well since the last report, and what went well at all."""
    with lock:
        told = list(problems)
        problems.clear()
        return {'problems': told, **totals}


# ------------------------------------------------------------------ consumers that get in the way


@operation
def occupy(path, how):
    """Put a socket of one's own, or a file, in the place of what is there, in one step."""
    aside = f'{path}.aside'
    if how == 'socket':
        # Not by `listen`, which makes folders: those would stay.
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(aside)
        sock.listen()
        sockets['occupant'] = sock
    else:
        with open(aside, 'w', encoding='utf-8') as file:
            file.write('mine')
    try:
        os.rename(aside, path)
    except OSError:
        # A node that is mounted there cannot be replaced (EBUSY).
        os.unlink(aside)
        raise
    return {'ino': str(os.lstat(path).st_ino)}


@operation
def vacate(path, ino):
    """Take it away again, if it is still that one."""
    try:
        if str(os.lstat(path).st_ino) == ino:
            os.unlink(path)
    except FileNotFoundError:
        pass
    if 'occupant' in sockets:
        peer.close('occupant')
    return {}


peer.main()
